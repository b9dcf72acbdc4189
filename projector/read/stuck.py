"""What is open far longer than its kind usually is, with what is known of it. Nothing is closed for it: that would be a fact nobody told."""

from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.log import Log
from projector.read.callbacks import one
from projector.read.names import Names
from projector.rows import Row
from projector.tables.views import view


def stuck(connection: sa.Connection, log: Log, factor: float, workspace_sid: str | None, limit: int) -> list[Row]:
    """Open for more than `factor` times as long as 99 of 100 of its kind: the longest by that first, at most `limit`.

    Each is a row of `open_now` with `task_queue_name_now`, `worker_name_now` and `last_callback`: the last one known of it.
    """
    c, names = view("open_now").c, Names(connection)
    where = [c.times_usual > factor]
    if workspace_sid is not None:
        where.append(c.workspace_sid == workspace_sid)
    found = connection.execute(
        sa.select(*c).where(*where).order_by(c.times_usual.desc(), c.workspace_sid, c.kind, c.sid).limit(limit)
    )
    return [
        dict(row._mapping)
        | {
            "task_queue_name_now": names.now(tables.task_queue, row.workspace_sid, row.task_queue_sid),
            "worker_name_now": names.now(tables.worker, row.workspace_sid, row.worker_sid),
            "last_callback": _last(log, row),
        }
        for row in found.all()
    ]


def _last(log: Log, row: Any) -> Row | None:
    """By the Sid that its row keeps: the log's last of its task may be one of no unit, which it gives with those of any."""
    found = one(log, row.workspace_sid, row.last_event_sid) if row.last_event_sid else None
    return {"sid": row.last_event_sid, "event_type": found["event_type"], "at": found["at"]} if found else None
