"""What Twilio does not count: how waits and handling are spread, and service levels by every usual definition.

The definitions are pages/statistics.md's. Times are milliseconds.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

import sqlalchemy as sa

from projector.read import happening
from projector.read.happening import OFFER, VISIT, Happening, Scope, Window
from projector.rows import Row
from projector.tables import Instant, epoch_ms

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


class Left(NamedTuple):
    """How long those waited who left a queue in the window, the shortest first: answered, abandoned, or on into another queue."""

    answered_ms: list[int]
    abandoned_ms: list[int]
    flowed_out_ms: list[int]


def left(connection: sa.Connection, window: Window, scope: Scope) -> Left:
    """By what ended the visit. One that went on in the same queue has not left it; a transfer given back is none of these."""
    wait = (epoch_ms(VISIT.ended_at) - epoch_ms(VISIT.started_at)).label("wait_ms")
    of_queue = () if scope.task_queue_sid is None else (VISIT.task_queue_sid == scope.task_queue_sid,)
    ended = happening.visits(window, scope).where(window.has(VISIT.ended_at), *of_queue)
    found = Left([], [], [])
    for row in connection.execute(
        ended.add_columns(wait, VISIT.outcome, VISIT.with_task, VISIT.task_queue_sid, VISIT.queue_after)
    ):
        if row.outcome == "accepted":
            found.answered_ms.append(row.wait_ms)
        elif row.outcome in ("moved", "timeout") and row.queue_after is not None:
            if row.queue_after != row.task_queue_sid:
                found.flowed_out_ms.append(row.wait_ms)
        elif row.outcome == "timeout" or (row.with_task and row.outcome in ("canceled", "deleted")):
            found.abandoned_ms.append(row.wait_ms)
    for waits_ms in found:
        waits_ms.sort()
    return found


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
