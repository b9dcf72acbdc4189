"""How things stand: positions, lag, counts. For `projector status`, `/readyz` and `/metrics`."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import projected, reading
from projector.database import disposing, open_engine
from projector.delivered import HOUR_MS, Delivered, delivered, told_twice
from projector.errors import LogMismatch
from projector.lately import Lately
from projector.log import Log
from projector.log.entry import recorded_ms
from projector.tables.views import view
from projector.taskrouter.expression import readable
from projector.taskrouter.fold import FOLD_VERSION

FEED_HOURS = 24  # of which `status` says what each feed brought
TWINS_SHOWN = 20


def progress(log: Log, engine: sa.Engine, now_ms: int) -> dict[str, Any]:
    """How far the tables are behind the log, in callbacks and in the age of the oldest one not projected.

    Raises `LogMismatch` when they are another log's.
    """
    with reading(engine) as connection:
        row = projected(connection)
        incomplete = connection.execute(sa.select(sa.func.count()).select_from(tables.incomplete_unit)).scalar_one()
        unreadable = unreadable_queues(connection)
    check_position(log, row)
    end, waiting = log.end(), log.read(row.position, 1)
    lag_seconds = max(0.0, (now_ms - recorded_ms(waiting[0].state)) / 1000) if waiting else 0.0
    return {
        "log_position": end,
        "projected_position": row.position,
        "lag_events": max(0, end - row.position),
        "lag_seconds": round(lag_seconds, 3),
        "incomplete_units": incomplete,
        "rebuild_due": rebuild_due(row),
        "unreadable_target_workers": unreadable,
    }


def unreadable_queues(connection: sa.Connection) -> list[str]:
    """The queues (Sids) whose TargetWorkers is no expression we can read: who is eligible for them is not known."""
    c = tables.task_queue.c
    told = sa.select(c.task_queue_sid, c.target_workers).where(c.target_workers.is_not(None), c.deleted_at.is_(None))
    found = connection.execute(told.order_by(c.task_queue_sid))
    return [row.task_queue_sid for row in found if readable(row.target_workers) is None]


def rebuild_due(row: Any) -> bool:
    """True when the tables (their projection's row) hold what another release's fold made of the log."""
    return bool(row.position > 0 and row.fold_version != FOLD_VERSION)


def is_rebuild_due(url: URL) -> bool:
    """The same of a database."""
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        return rebuild_due(projected(connection))


def check_position(log: Log, row: Any) -> None:
    """Refuse tables (their projection's row) that were projected from another log: a restored backup, another file.

    Raises `LogMismatch`.
    """
    if row.position == 0:
        return
    originator = log.originator_at(row.position)
    if originator == row.originator_id:
        return
    end = log.end()
    problem = f"which ends at {end}" if row.position > end else f"which has {originator} there, not {row.originator_id}"
    raise LogMismatch(
        f"The tables stand at position {row.position} of a log, {problem}: one of them was restored from a backup. "
        "Restore both from one backup, or make the tables anew from this log: `projector rebuild`."
    )


def status(log: Log, engine: sa.Engine, now_ms: int) -> dict[str, Any]:
    """All of `progress`; gaps by reason; counts by EventType, what is unknown, what was left out and why; of the last day, what each feed brought of what is
    known to have happened, which share it missed hour by hour, and what two feeds tell as two events."""
    counts = tables.event_type_count.c
    unreadable = [
        sa.select(sa.func.count()).select_from(table).where(table.c.attributes_readable.is_(False))
        for table in (tables.worker, tables.task)
    ]
    with reading(engine) as connection:
        row = projected(connection)
        by_type = connection.execute(sa.select(counts.event_type, counts.known, counts.times).order_by(counts.event_type)).all()
        broken = connection.execute(sa.select(tables.incomplete_unit.c.unit, tables.incomplete_unit.c.error)).all()
        gaps = in_all(missing(connection))
        unreadable_attributes = sum(connection.execute(each).scalar_one() for each in unreadable)
    intake, since_ms = log.intake(), (now_ms // HOUR_MS - FEED_HOURS) * HOUR_MS
    by_feed = delivered(log, since_ms, now_ms)
    twins = told_twice(log, since_ms, now_ms)
    return progress(log, engine, now_ms) | {
        "gaps": gaps,
        "event_at": tables.iso(row.event_at) if row.event_at else None,
        "fold_version": row.fold_version if row.position else FOLD_VERSION,
        "loop": row.holder,
        "event_types": {each.event_type: each.times for each in by_type if each.known},
        "unknown_event_types": {each.event_type: each.times for each in by_type if not each.known},
        "unreadable_attributes": unreadable_attributes,
        "duplicates": intake.get("duplicate", 0),
        "intake_quarantine": {name: intake.get(name, 0) for name in ("conflict", "quarantined")},
        "incomplete": {each.unit: each.error for each in broken},
        "feeds_seen": _total(by_feed, "seen"),
        "feeds_known": _total(by_feed, "known"),
        "missed_share_by_hour": {
            f"{each.feed} {tables.iso(each.hour * HOUR_MS)}": round(each.missed_share, 4) for each in by_feed if each.missed
        },
        "told_twice": len(twins),
        "told_twice_sids": [" = ".join(sids) for sids in twins[:TWINS_SHOWN]],
    }


def missing(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> dict[str, dict[str, int]]:
    """How many callbacks are believed missing, of those of which this holds: workspace → reason → times; hints apart."""
    c = view("gap").c
    counted = sa.select(c.workspace_sid, c.reason, sa.func.count().label("times")).where(~c.is_hint, *where)
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(counted.group_by(c.workspace_sid, c.reason)):
        found.setdefault(row.workspace_sid, {})[row.reason] = row.times
    return found


def gaps_lately(engine: sa.Engine) -> Lately[dict[str, dict[str, int]]]:
    """`missing`, counted once a minute: where much was lost it takes seconds."""

    def count(_now_ms: int) -> dict[str, dict[str, int]]:
        with reading(engine) as connection:
            return missing(connection)

    return Lately("gaps_not_counted", count, {})


def in_all(by_workspace: dict[str, dict[str, int]]) -> dict[str, int]:
    """By reason, of all workspaces together."""
    found: Counter[str] = Counter()
    for times in by_workspace.values():
        found.update(times)
    return dict(sorted(found.items()))


def _total(by_feed: Iterable[Delivered], what: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for each in by_feed:
        found[each.feed] += getattr(each, what)
    return dict(found)
