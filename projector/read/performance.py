"""What Twilio does not count: how waits and handling are spread, and service levels by every usual definition.

The definitions are pages/statistics.md's. Times are milliseconds.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, NamedTuple

import sqlalchemy as sa

from projector.read import happening
from projector.read.happening import OFFER, VISIT, Happening, Scope, Window
from projector.rows import Row
from projector.tables import Instant

PERCENTILES = (50, 90, 95, 99)
GLOBAL_SECONDS = 60  # the threshold of `global`, whatever is asked for (Flex Insights)

_ACCEPTED = (OFFER.accepted_at.is_not(None),)
_TALKED = sa.func.coalesce(OFFER.wrapup_at, OFFER.completed_at, type_=Instant)
OF_OFFERS = (
    happening.ACCEPTED,
    Happening("ring", OFFER.accepted_at, ("reservation.accepted",), OFFER.task_queue_sid, since=OFFER.created_at),
    Happening("talk", _TALKED, ("reservation.wrapup", "reservation.completed"), OFFER.task_queue_sid, _ACCEPTED, OFFER.accepted_at),
    Happening("wrap_up", OFFER.completed_at, ("reservation.completed",), OFFER.task_queue_sid, _ACCEPTED, _TALKED),
    Happening("handle", OFFER.completed_at, ("reservation.completed",), OFFER.task_queue_sid, _ACCEPTED, OFFER.accepted_at),
)  # fmt: skip


def spreads(connection: sa.Connection, window: Window, scope: Scope) -> dict[str, Row]:
    """Of each wait and handling time that ended in the window, by name: see `spread`."""
    ended, visits = happening.ended(window, scope), happening.visits(window, scope)
    return (
        spreads_of_offers(connection, window, scope)
        | _spreads(connection, ended, (happening.CANCELED,), window, scope)
        | _spreads(connection, visits, (happening.IN_QUEUE,), window, scope)
    )


def spreads_of_offers(connection: sa.Connection, window: Window, scope: Scope) -> dict[str, Row]:
    """Of those that are reservations'."""
    return _spreads(connection, happening.offers(window, scope), OF_OFFERS, window, scope)


def _spreads(
    connection: sa.Connection, select: sa.Select[Any], happenings: Sequence[Happening], window: Window, scope: Scope
) -> dict[str, Row]:
    within = {each.name: each.within(window, scope) for each in happenings}
    waits = select.add_columns(*(sa.case((within[each.name], each.wait_ms)) for each in happenings)).where(
        sa.or_(*within.values())
    )
    columns = list(zip(*connection.execute(waits), strict=True)) or [()] * len(happenings)
    told = zip(happenings, columns, strict=True)
    return {each.name: spread(sorted(wait for wait in column if wait is not None)) for each, column in told}


def spread(sorted_ms: Sequence[int]) -> Row:
    """How many, their average, least, most and total, and percentiles by nearest rank: each is a wait that somebody had."""
    count = len(sorted_ms)
    ranks = {f"p{each}": sorted_ms[ceil(each * count / 100) - 1] if count else None for each in PERCENTILES}
    total = sum(sorted_ms)
    return {
        "count": count,
        "avg": total // count if count else None,
        "min": sorted_ms[0] if count else None,
        "max": sorted_ms[-1] if count else None,
        "total": total,
        **ranks,
    }


class Visit(NamedTuple):
    """A stay in a queue. `how` it was left: `answered`, `abandoned`, or `flowed_out` into another queue; None while it lasts, for one
    that went on in the same queue, and for a transfer given back."""

    task_sid: str
    task_queue_sid: str
    started_ms: int
    ended_ms: int | None
    how: str | None


class Left(NamedTuple):
    """How long those waited who left a queue in the window, the shortest first: answered, abandoned, or on into another queue."""

    answered_ms: list[int]
    abandoned_ms: list[int]
    flowed_out_ms: list[int]


def visits(connection: sa.Connection, window: Window, scope: Scope) -> list[Visit]:
    """All that touch the window, of the scope's queue if it has one; in no order."""
    touch = sa.or_(VISIT.ended_at.is_(None), VISIT.ended_at >= sa.literal(window.start_ms, Instant))
    of_queue = () if scope.task_queue_sid is None else (VISIT.task_queue_sid == scope.task_queue_sid,)
    select = happening.visits(window, scope).where(VISIT.started_at < sa.literal(window.end_ms, Instant), touch, *of_queue)
    told = (
        VISIT.task_sid,
        VISIT.task_queue_sid,
        VISIT.started_at,
        VISIT.ended_at,
        VISIT.outcome,
        VISIT.with_task,
        VISIT.queue_after,
    )
    rows = connection.execute(select.add_columns(*told))
    return [Visit(row.task_sid, row.task_queue_sid, row.started_at, row.ended_at, _how(row)) for row in rows]


def left(connection: sa.Connection, window: Window, scope: Scope) -> Left:
    """Who left in the window, by what ended the visit."""
    return leaving(visits(connection, window, scope), window)


def leaving(among: Iterable[Visit], window: Window) -> Left:
    """Of these visits, those that ended in the window."""
    found: dict[str, list[int]] = {"answered": [], "abandoned": [], "flowed_out": []}
    for each in among:
        if each.how is not None and each.ended_ms is not None and window.start_ms <= each.ended_ms < window.end_ms:
            found[each.how].append(each.ended_ms - each.started_ms)
    return Left(*(sorted(waits_ms) for waits_ms in found.values()))


def _how(visit: Any) -> str | None:
    if visit.outcome == "accepted":
        return "answered"
    if visit.outcome in ("moved", "timeout") and visit.queue_after is not None:
        return "flowed_out" if visit.queue_after != visit.task_queue_sid else None
    if visit.outcome == "timeout" or (visit.with_task and visit.outcome in ("canceled", "deleted")):
        return "abandoned"
    return None


def service_level(left: Left, threshold_seconds: int, short_abandon_seconds: int) -> Row:
    """Every variant by name; None where its denominator is 0. What a variant counts: pages/statistics.md."""
    answered, abandoned, flowed = len(left.answered_ms), len(left.abandoned_ms), len(left.flowed_out_ms)
    in_time = _within(left.answered_ms, threshold_seconds)
    short = _within(left.abandoned_ms, short_abandon_seconds)
    gone_in_time = in_time + _within(left.abandoned_ms, threshold_seconds) + _within(left.flowed_out_ms, threshold_seconds)
    return {
        "threshold": threshold_seconds,
        "short_abandon": short_abandon_seconds,
        "answered": answered,
        "answered_in_time": in_time,
        "abandoned": abandoned,
        "abandoned_short": short,
        "flowed_out": flowed,
        "offered": _ratio(in_time, answered + abandoned - short),
        "handled": _ratio(in_time, answered),
        "removed": _ratio(gone_in_time, answered + abandoned + flowed),
        "with_flow_outs": _ratio(in_time, answered + flowed + abandoned - short),
        "with_short_abandons": _ratio(in_time, answered + abandoned),
        "with_all": _ratio(in_time, answered + flowed + abandoned),
        "global": _ratio(_within(left.answered_ms, GLOBAL_SECONDS), answered + abandoned),
        "abandon_rate": _ratio(abandoned, answered + abandoned),
        "abandon_rate_without_short": _ratio(abandoned - short, answered + abandoned - short),
    }


def _within(waits_ms: Sequence[int], seconds: int) -> int:
    """Of waits in order: exactly so many seconds is in time."""
    return bisect_right(waits_ms, seconds * 1000)


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
