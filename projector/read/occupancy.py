"""How busy workers were in a window, both ways: with anything at all, and by the capacity that they have.

A worker is *handling* while a reservation of theirs is accepted or wrapping, and *on duty* while they are handling or in an activity that
is available.

    occupancy           handling / on duty                                  (one chat of three is 100 %)
    weighted_occupancy  capacity in use × time / configured capacity × time on duty, over all channels   (one of three is 33 %)

A reservation without capacity (TaskIgnoreCapacity) occupies, and uses none. A channel that was switched off, or whose capacity nobody told,
offers nothing meanwhile, and nothing is used of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from projector import tables
from projector.read.durations import spells
from projector.read.happening import Scope, Window
from projector.rows import Row
from projector.tables import Instant, epoch_ms
from projector.tables.views import view
from projector.taskrouter.span import LONGEST_MS

HANDLING = ("accepted", "wrapping")


class Stretch(NamedTuple):
    """A half-open stretch of time, milliseconds."""

    start_ms: int
    end_ms: int


def occupancy(connection: sa.Connection, window: Window, scope: Scope) -> Row:
    """Of the scope's workers: `handling_ms`, `on_duty_ms`, `used_ms` and `offered_ms` (capacity × time), and both ratios (None: of nothing)."""
    handling, in_use = _handling(connection, window, scope)
    on_duty = _available(connection, window, scope)
    for sid, stretches in handling.items():
        on_duty[sid] += stretches
    duty = {sid: union(stretches) for sid, stretches in on_duty.items()}
    handling_ms = sum(length(union(stretches)) for stretches in handling.values())
    on_duty_ms = sum(length(stretches) for stretches in duty.values())
    used = offered = 0
    for (sid, channel), capacity, stretch in _capacities(connection, window, scope):
        offered += capacity * length(overlap(duty.get(sid, ()), [stretch]))
        used += length(overlap(in_use.get((sid, channel), ()), [stretch]))
    return {
        "handling_ms": handling_ms,
        "on_duty_ms": on_duty_ms,
        "used_ms": used,
        "offered_ms": offered,
        "occupancy": round(handling_ms / on_duty_ms, 4) if on_duty_ms else None,
        "weighted_occupancy": round(used / offered, 4) if offered else None,
    }


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same time, without overlaps, in order."""
    found: list[Stretch] = []
    for each in sorted(stretches):
        if found and each.start_ms <= found[-1].end_ms:
            found[-1] = Stretch(found[-1].start_ms, max(found[-1].end_ms, each.end_ms))
        else:
            found.append(each)
    return found


def overlap(some: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """The time that is in both; each without overlaps in itself."""
    both = (Stretch(max(one.start_ms, other.start_ms), min(one.end_ms, other.end_ms)) for one in some for other in others)
    return [each for each in both if each.start_ms < each.end_ms]


def length(stretches: Iterable[Stretch]) -> int:
    """How long all of them are, milliseconds."""
    return sum(each.end_ms - each.start_ms for each in stretches)


def _handling(
    connection: sa.Connection, window: Window, scope: Scope
) -> tuple[dict[str, list[Stretch]], dict[tuple[str, str], list[Stretch]]]:
    """When each worker was handling; and when a reservation took capacity of a worker's channel."""
    span = view("reservation_status_span").c
    status = span.status.in_(HANDLING)
    lately = span.started_at > sa.literal(window.start_ms - LONGEST_MS, Instant)
    found: dict[str, list[Stretch]] = defaultdict(list)
    in_use: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for row in _cut(connection, span, window, scope, (span.ignore_capacity, span.task_channel_sid), where=(status, lately)):
        stretch = Stretch(row.start_ms, row.end_ms)
        found[row.worker_sid].append(stretch)
        if not row.ignore_capacity:
            in_use[row.worker_sid, row.task_channel_sid].append(stretch)
    return found, in_use


def _available(connection: sa.Connection, window: Window, scope: Scope) -> dict[str, list[Stretch]]:
    a, spell = tables.activity.c, spells(window, scope).subquery("spell").c
    of = sa.and_(a.workspace_sid == scope.workspace_sid, a.activity_sid == spell.activity_sid)
    told = sa.select(spell.worker_sid, spell.started_ms, spell.ended_ms).join(tables.activity, of).where(a.available.is_(True))
    found: dict[str, list[Stretch]] = defaultdict(list)
    for row in connection.execute(told):
        found[row.worker_sid].append(Stretch(row.started_ms, row.ended_ms))
    return found


def _capacities(connection: sa.Connection, window: Window, scope: Scope) -> Iterable[tuple[tuple[str, str], int, Stretch]]:
    """What each worker could take on each channel, while: where nobody told a capacity, none is offered and none counts as used."""
    span = view("worker_channel_span").c
    offers = (span.available.is_distinct_from(False), span.configured_capacity > 0)
    for row in _cut(connection, span, window, scope, (span.configured_capacity, span.task_channel_sid), where=offers):
        yield (row.worker_sid, row.task_channel_sid), row.configured_capacity, Stretch(row.start_ms, row.end_ms)


def _cut(
    connection: sa.Connection, span: Any, window: Window, scope: Scope, told: Sequence[Any], where: Sequence[Any]
) -> Iterable[Any]:
    """Spans of the scope's workers, cut to the window."""
    start, end = sa.literal(window.start_ms, Instant), sa.literal(window.end_ms, Instant)
    ended = sa.func.coalesce(span.ended_at, end, type_=Instant)
    select = sa.select(
        span.worker_sid, *told,
        epoch_ms(sa.case((span.started_at < start, start), else_=span.started_at)).label("start_ms"),
        epoch_ms(sa.case((ended > end, end), else_=ended)).label("end_ms"),
    ).where(span.workspace_sid == scope.workspace_sid, span.started_at < end, ended > start, *where)  # fmt: skip
    if scope.worker_sid is not None:
        select = select.where(span.worker_sid == scope.worker_sid)
    return connection.execute(select)
