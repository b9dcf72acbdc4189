"""Whether two deliveries of one Sid say the same. They are compared by the core (`callback.Fields`), by value, never by spelling.

One feed repeats itself to the letter, but for the JSON it writes anew. Two feeds differ in what they carry (a schema version
without a field, a feed without milliseconds) and in spelling (`1` for `true`, an ISO date for epoch milliseconds): what only one of
them tells is no contradiction.
"""

from collections.abc import Callable
from typing import TypeAlias

from projector.taskrouter.callback import Fields, stamp_ms
from projector.taskrouter.event_types import canonical
from projector.taskrouter.text import boolean, canonical_json, integer, moment_ms

Readings: TypeAlias = dict[str, Callable[[str | None], object]]  # a field → how its text is read

_JSON: Readings = dict.fromkeys(("task_attributes", "worker_attributes"), canonical_json)
_VALUES: Readings = {
    **_JSON,
    **dict.fromkeys(
        ("task_ignore_capacity", "task_channel_optimized_routing", "worker_channel_available", "activity_available"), boolean
    ),
    **dict.fromkeys(
        (
            "task_priority", "task_version", "reservation_version", "canceled_reason_code", "worker_version",
            "worker_time_in_previous_activity_ms", "worker_channel_available_capacity", "worker_channel_previous_capacity",
            "worker_channel_task_count", "worker_channel_capacity",
        ),
        integer,
    ),
}  # fmt: skip
_DATES = ("task_date_created", "task_queue_entered_date")  # one feed tells seconds, another milliseconds
_COMPARED = tuple(name for name in Fields.__struct_fields__ if name not in ("event_type", "timestamp", "timestamp_ms"))


def same_core(one: Fields, other: Fields) -> bool:
    """Of one feed: the core is equal, attributes as JSON values, the stamp as a moment."""
    return one == other or (
        canonical(one.event_type) == canonical(other.event_type)
        and stamp_ms(one) == stamp_ms(other)
        and all(_equal(name, getattr(one, name), getattr(other, name), _JSON) for name in _COMPARED)
    )


def same_where_both_say(one: Fields, other: Fields) -> bool:
    """Of two feeds: nothing that both tell is told otherwise."""
    return (
        canonical(one.event_type) == canonical(other.event_type)
        and _same_stamp(one, other)
        and all(_compatible(name, getattr(one, name), getattr(other, name)) for name in _COMPARED)
    )


def _compatible(name: str, one: str | None, other: str | None) -> bool:
    if one is None or other is None or _equal(name, one, other, _VALUES):
        return True
    return name in _DATES and _same_date(moment_ms(one), moment_ms(other))


def _same_date(one: int | None, other: int | None) -> bool:
    """To the second where one of them is a whole one."""
    if one is None or other is None:
        return False
    return one == other or (one // 1000 == other // 1000 and 0 in (one % 1000, other % 1000))


def _equal(name: str, one: str | None, other: str | None, readings: Readings) -> bool:
    if one == other:
        return True
    meaning = readings[name](one) if name in readings else None
    return meaning is not None and meaning == readings[name](other)


def _same_stamp(one: Fields, other: Fields) -> bool:
    """To the second where one of them tells no milliseconds."""
    mine, theirs = stamp_ms(one), stamp_ms(other)
    if mine is None or theirs is None or mine == theirs:
        return True
    is_exact = one.timestamp_ms is not None and other.timestamp_ms is not None
    return not is_exact and mine // 1000 == theirs // 1000
