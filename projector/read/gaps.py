"""What is believed missing, and why: the ledger's rows, counts, and what only two units together reveal."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.access import projected
from projector.database import disposing
from projector.rows import STORED, Row, row_of
from projector.status import in_all, missing
from projector.tables import gap_told
from projector.tables.gaps import MENTIONED, gap
from projector.tables.views import view
from projector.taskrouter.fold import Folding
from projector.taskrouter.worker import AGREE_MS

DAY_MS = 24 * 3_600_000
OTHER_ACTIVITY = "mentions_another_activity"


def gaps(
    connection: sa.Connection,
    *,
    limit: int,
    workspace_sid: str | None = None,
    kind: str | None = None,
    since_ms: int | None = None,
    hints: bool = False,
) -> list[Row]:
    """The latest first, at most `limit`; or the hints. Of one workspace, of one kind, revealed since a moment, where asked."""
    c = view("gap").c
    where = [c.is_hint if hints else ~c.is_hint, *_asked(workspace_sid, kind, since_ms)]
    found = sa.select(*c).where(*where).order_by(c.revealed_at.desc(), c.workspace_sid, c.kind, c.sid, c.n, c.reason).limit(limit)
    return [dict(row._mapping) for row in connection.execute(found)]


def _asked(workspace_sid: str | None, kind: str | None, since_ms: int | None) -> list[sa.ColumnElement[bool]]:
    c = view("gap").c
    asked = ((c.workspace_sid, workspace_sid), (c.kind, kind))
    return [column == value for column, value in asked if value is not None] + (
        [] if since_ms is None else [c.revealed_at >= since_ms]
    )


def gaps_then(folding: Folding) -> list[Row]:
    """Of one unit as its callbacks of then come to: the view's own select, over its rows in a database in memory. Hints are left out."""
    read = (gap_told, tables.task, tables.reservation, tables.task_queue_span_past, *MENTIONED)
    with disposing(sa.create_engine("sqlite://")) as engine, engine.connect() as connection:
        tables.metadata.create_all(connection, read)
        for each in (folding.state.head, *folding.state.parts.values(), *folding.closed):
            if (table := STORED[type(each)]) in read:
                connection.execute(sa.insert(table), row_of(each))
        found = gap().subquery("gap")
        order = (found.c.revealed_at, found.c.kind, found.c.sid, found.c.n, found.c.reason)
        return [dict(row._mapping) for row in connection.execute(sa.select(found).where(~found.c.is_hint).order_by(*order))]


def other_activities(connection: sa.Connection, workspace_sid: str | None, since_ms: int) -> list[Row]:
    """Offers whose callbacks mention an activity that their worker was not in by its own, within a second of it: an update is missing.

    Recorded 2018: an acceptance still says Idle, the move to Busy is stamped 288 ms later; hence the second. It takes two units, so no fold
    can tell (law 7): it is looked for among the offers since a moment, the latest first.
    """
    offer, spell = view("reservation_status_span").c, view("worker_activity_span").c
    offers = sa.select(offer.workspace_sid, offer.worker_sid, offer.worker_activity_sid, offer.event_sid, offer.started_at).where(
        offer.started_at >= since_ms, offer.worker_activity_sid.is_not(None), offer.worker_sid.is_not(None)
    )
    spells = sa.select(spell.workspace_sid, spell.worker_sid, spell.activity_sid, spell.started_at, spell.ended_at).where(
        sa.or_(spell.ended_at.is_(None), spell.ended_at >= since_ms - AGREE_MS)
    )
    if workspace_sid is not None:
        offers, spells = offers.where(offer.workspace_sid == workspace_sid), spells.where(spell.workspace_sid == workspace_sid)
    of_worker: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for each in connection.execute(spells.order_by(spell.started_at, spell.n)):
        of_worker[each.workspace_sid, each.worker_sid].append(each)
    return [
        {
            "workspace_sid": each.workspace_sid,
            "kind": "worker",
            "sid": each.worker_sid,
            "reason": OTHER_ACTIVITY,
            "event_sid": each.event_sid,
            "revealed_at": each.started_at,
            "missing_event_type": "worker.activity.update",
            "activity_sid": each.worker_activity_sid,
        }
        for each in connection.execute(offers.order_by(offer.started_at.desc(), offer.event_sid))
        if _is_elsewhere(each.started_at, each.worker_activity_sid, of_worker[each.workspace_sid, each.worker_sid])
    ]


def _is_elsewhere(at_ms: int, activity_sid: str, spells: Sequence[Any]) -> bool:
    """Whether a worker's spells around a moment are known, and none is in that activity. They follow each other, in order."""
    begun = bisect_right(spells, at_ms + AGREE_MS, key=attrgetter("started_at"))
    before = (spells[n] for n in range(begun - 1, -1, -1))
    around = list(takewhile(lambda each: each.ended_at is None or each.ended_at >= at_ms - AGREE_MS, before))
    is_known = any(each.started_at <= at_ms - AGREE_MS for each in around)
    return is_known and all(each.activity_sid != activity_sid for each in around)


def ledger(
    connection: sa.Connection,
    *,
    limit: int,
    workspace_sid: str | None = None,
    kind: str | None = None,
    since_ms: int | None = None,
) -> dict[str, Any]:
    """Counts by reason, what is missing, the latest first, and hints: as `projector gaps` tells it.

    Offers are held against their workers' activities since `since_ms`, by default a day before the last callback.
    """
    of = {"workspace_sid": workspace_sid, "kind": kind, "since_ms": since_ms}  # type: dict[str, Any]
    offers_since_ms = (projected(connection).event_at or 0) - DAY_MS if since_ms is None else since_ms
    others = other_activities(connection, workspace_sid, offers_since_ms) if kind in (None, "worker") else []
    counts = in_all(missing(connection, *_asked(**of))) | ({OTHER_ACTIVITY: len(others)} if others else {})
    found = gaps(connection, limit=limit, **of) + others[:limit]
    return {
        "missing": counts,
        "gaps": sorted(found, key=lambda row: row["revealed_at"] or 0, reverse=True)[:limit],
        "hints": gaps(connection, limit=limit, hints=True, **of),
    }
