"""What is open far longer than its kind usually is, with what is known of it. Nothing is closed for it: that would be a fact nobody told."""

from typing import Any

import sqlalchemy as sa

from projector.log import Log
from projector.rows import Row
from projector.tables.views import view
from projector.taskrouter.callback import Unit
from projector.taskrouter.text import LATEST_MS


def stuck(connection: sa.Connection, log: Log, factor: float, workspace_sid: str | None, limit: int) -> list[Row]:
    """Open for more than `factor` times as long as 99 of 100 of its kind: the longest by that first, each with the last callback of its task."""
    c = view("open_now").c
    where = [c.times_usual > factor]
    if workspace_sid is not None:
        where.append(c.workspace_sid == workspace_sid)
    found = connection.execute(
        sa.select(*c).where(*where).order_by(c.times_usual.desc(), c.workspace_sid, c.kind, c.sid).limit(limit)
    )
    return [dict(row._mapping) | {"last_callback": _last(log, row)} for row in found]


def _last(log: Log, row: Any) -> Row | None:
    """The last callback of the task that it is, or is of."""
    unit = str(Unit(row.workspace_sid, "task", row.task_sid))
    found = log.latest((LATEST_MS, 0), 0, 1, unit)
    return (
        {"sid": found[0].originator_id.partition("/")[2], "event_type": found[0].topic, "at": found[0].at_ms} if found else None
    )
