"""The select behind `activity_duration_hourly`: spells cut at every full hour of UTC.

A spell that lasts is counted up to the projection's event time, never to now. PostgreSQL lists the hours of each spell, so that a filter
reaches the spells' index; SQLite, which has no such function, goes from hour to hour by recursion over all spells.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from projector.tables.columns import Instant, epoch_ms
from projector.tables.current import (
    activity,
    worker,
)
from projector.tables.operating import projection
from projector.tables.spans import joined, spells

HOUR_MS = 3_600_000


class instant(sa.sql.functions.FunctionElement[int]):  # noqa: N801 (an SQL function)
    """Epoch milliseconds of a whole second as a moment."""

    type = Instant()
    inherit_cache = True


@compiles(instant, "postgresql")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    return f"to_timestamp(({compiler.process(element.clauses, **kw)}) / 1000)"


@compiles(instant, "sqlite")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S.000Z', ({compiler.process(element.clauses, **kw)}) / 1000, 'unixepoch')"


KEY = ("workspace_sid", "worker_sid", "activity_sid")


def activity_duration_hourly(dialect: str) -> sa.Select[Any]:
    """By worker, activity and hour: milliseconds. Over hours they add up to exactly the spells' lengths."""
    total = (_listed if dialect == "postgresql" else _recursive)().subquery("total")
    t = total.c
    return sa.select(
        *t,
        joined(worker.c.friendly_name, (t.workspace_sid, t.worker_sid), worker, "worker_sid").label("worker_name_now"),
        joined(activity.c.friendly_name, (t.workspace_sid, t.activity_sid), activity, "activity_sid").label("activity_name_now"),
    )


def _lengths() -> sa.Subquery:
    """Each spell's beginning and end, epoch milliseconds."""
    span = spells().subquery("span")
    known_to = sa.select(projection.c.event_at).limit(1).scalar_subquery()
    ended_at = sa.func.coalesce(span.c.ended_at, known_to, type_=Instant)
    return sa.select(
        *(span.c[name] for name in KEY), epoch_ms(span.c.started_at).label("from_ms"), epoch_ms(ended_at).label("ended_ms")
    ).subquery("spell")  # fmt: skip


def _listed() -> sa.Select[Any]:
    c = _lengths().c
    hours = sa.func.generate_series(_hour(c.from_ms), c.ended_ms - 1, HOUR_MS).column_valued("hour_ms")
    length = sa.func.least(c.ended_ms, hours + HOUR_MS) - sa.func.greatest(c.from_ms, hours)
    return _by_hour(c, hours, length).where(c.ended_ms > c.from_ms)


def _recursive() -> sa.Select[Any]:
    c = _lengths().c
    first = sa.select(
        *(c[name] for name in KEY), c.from_ms, _earlier(c.ended_ms, _hour(c.from_ms) + HOUR_MS).label("to_ms"), c.ended_ms
    )
    piece = first.where(c.ended_ms > c.from_ms).cte("piece", recursive=True)
    p = piece.c
    rest = sa.select(*(p[name] for name in KEY), p.to_ms, _earlier(p.ended_ms, p.to_ms + HOUR_MS), p.ended_ms)
    p = piece.union_all(rest.where(p.to_ms < p.ended_ms)).c
    return _by_hour(p, _hour(p.from_ms), p.to_ms - p.from_ms)


def _by_hour(c: Any, hour_ms: Any, length_ms: Any) -> sa.Select[Any]:
    milliseconds = sa.cast(sa.func.sum(length_ms), sa.BigInteger).label("milliseconds")
    return sa.select(*(c[name] for name in KEY), instant(hour_ms).label("hour"), milliseconds).group_by(
        *(c[name] for name in KEY), hour_ms
    )


def _hour(ms: Any) -> Any:
    return ms - ms % HOUR_MS


def _earlier(one: Any, other: Any) -> Any:
    return sa.case((other < one, other), else_=one)
