"""Cumulative statistics: what happened in a window of event time (`happening.py`), counted, and the waits for it added up."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from projector.read.happening import (
    ACCEPTED,
    CANCELED,
    ENDED,
    FIRST_ACCEPTED,
    IN_QUEUE,
    OFFER,
    OFFERED,
    VISITED,
    Happening,
    Scope,
    Window,
    ended,
    offers,
    visits,
)
from projector.rows import Row


class Wait(NamedTuple):
    """How often something was waited for and how long: all of it, the least and the most, milliseconds (None when never)."""

    times: int
    total_ms: int
    min_ms: int | None
    max_ms: int | None

    def and_also(self, other: "Wait | None") -> "Wait":
        """Both together."""
        if other is None or not other.times:
            return self
        least, most = ([each for each in pair if each is not None] for pair in zip(self[2:], other[2:], strict=True))
        return Wait(self.times + other.times, self.total_ms + other.total_ms, min(least, default=None), max(most, default=None))


def of_reservations(connection: sa.Connection, window: Window, scope: Scope, split_seconds: Sequence[int] = ()) -> Row:
    """What became of reservations: counts, `tasks_assigned`, the wait until acceptance, and `split` (see `_split`)."""
    assigned = sa.func.count(sa.distinct(sa.case((ACCEPTED.within(window, scope), OFFER.task_sid)))).label("tasks_assigned")
    columns = [*_counts(OFFERED, window, scope), assigned, *_waits(ACCEPTED, window, scope)]
    columns += _split(FIRST_ACCEPTED, window, scope, split_seconds)
    return _figures(connection, offers(window, scope).add_columns(*columns), (ACCEPTED,), split_seconds)


def of_tasks(connection: sa.Connection, window: Window, scope: Scope, split_seconds: Sequence[int] = ()) -> Row:
    """What became of tasks: counts, the wait until cancellation, and `split`."""
    columns = [*_counts(ENDED, window, scope), *_waits(CANCELED, window, scope), *_split(CANCELED, window, scope, split_seconds)]
    return _figures(connection, ended(window, scope).add_columns(*columns), (CANCELED,), split_seconds)


def of_visits(connection: sa.Connection, window: Window, scope: Scope) -> Row:
    """Who entered a queue and went to another, and the wait in it until acceptance."""
    columns = [*_counts(VISITED, window, scope), *_waits(IN_QUEUE, window, scope)]
    return _figures(connection, visits(window, scope).add_columns(*columns), (IN_QUEUE,), ())


def _counts(happenings: Iterable[Happening], window: Window, scope: Scope) -> list[sa.ColumnElement[Any]]:
    return [sa.func.count(sa.case((each.within(window, scope), 1))).label(each.name) for each in happenings]


def _waits(happening: Happening, window: Window, scope: Scope) -> list[sa.ColumnElement[Any]]:
    wait = sa.case((happening.within(window, scope), happening.wait_ms))
    return [
        sa.cast(function(wait), sa.BigInteger).label(f"{happening.name}_{label}")
        for label, function in (("count", sa.func.count), ("total", sa.func.sum), ("min", sa.func.min), ("max", sa.func.max))
    ]


def _split(happening: Happening, window: Window, scope: Scope, split_seconds: Sequence[int]) -> Iterable[sa.ColumnElement[Any]]:
    """How many waited so long at most (`below`), and how many longer (`above`), for each of the seconds."""
    for seconds in split_seconds:
        short = happening.wait_ms <= seconds * 1000
        for side, holds in (("below", short), ("above", sa.not_(short))):
            # Of two acceptances in one millisecond, which is the first? The task counts once.
            tasks = sa.distinct(sa.case((sa.and_(happening.within(window, scope), holds), happening.task_sid)))
            yield sa.func.count(tasks).label(f"{side}_{seconds}")


def _figures(connection: sa.Connection, select: sa.Select[Any], waits: Iterable[Happening], split_seconds: Sequence[int]) -> Row:
    row = dict(connection.execute(select).mappings().one())
    for each in waits:
        times, total, least, most = (row.pop(f"{each.name}_{label}") for label in ("count", "total", "min", "max"))
        row[each.name] = Wait(times, total or 0, least, most)
    split = {seconds: {side: row.pop(f"{side}_{seconds}") for side in ("above", "below")} for seconds in split_seconds}
    return row | {"split": split}
