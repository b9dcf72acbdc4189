"""Time cut where a clock strikes: into quarters, halves, hours and days of any time zone.

A bucket is half-open and begins where the zone's wall clock shows a full quarter, half, hour or midnight. It is named by the moment
it begins, in epoch milliseconds, so that the hour which comes twice on a night in autumn is two buckets. Whenever the clock is
changed a new one begins, days apart: a day is all there is between two midnights, 23 or 25 hours of it if need be.

Pure, and of no database: `tables.views.activity_duration_hourly` says the same for hours of UTC.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import Enum
from typing import TypeVar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS, _DAY = timedelta(milliseconds=1), timedelta(days=1)
K = TypeVar("K", bound=Hashable)


class Bucket(Enum):
    """How long a bucket is by the wall clock, in minutes."""

    QUARTER = 15
    HALF = 30
    HOUR = 60
    DAY = 1440


def split(started_ms: int, ended_ms: int, zone: tzinfo, bucket: Bucket) -> Iterator[tuple[int, int]]:
    """The buckets that `[started_ms, ended_ms)` touches: when each begins, and how many milliseconds of the span are in it."""
    at_ms = started_ms
    while at_ms < ended_ms:
        begins_ms, ends_ms = bounds(at_ms, zone, bucket)
        upto_ms = min(ends_ms, ended_ms)
        yield begins_ms, upto_ms - at_ms
        at_ms = upto_ms


def totals(spans: Iterable[tuple[K, int, int]], zone: tzinfo, bucket: Bucket) -> dict[tuple[K, int], int]:
    """Milliseconds by key and bucket of spans `(key, started_ms, ended_ms)`."""
    total: dict[tuple[K, int], int] = defaultdict(int)
    for key, started_ms, ended_ms in spans:
        for begins_ms, milliseconds in split(started_ms, ended_ms, zone, bucket):
            total[key, begins_ms] += milliseconds
    return dict(total)


def bounds(at_ms: int, zone: tzinfo, bucket: Bucket) -> tuple[int, int]:
    """The bucket that a moment is in: when it begins and when it ends."""
    if bucket is Bucket.DAY:
        return _day(at_ms, zone)
    offset_ms, size_ms = _offset_ms(at_ms, zone), bucket.value * 60_000
    begins_ms = at_ms - (at_ms + offset_ms) % size_ms
    ends_ms = begins_ms + size_ms
    if _offset_ms(begins_ms, zone) != offset_ms:
        begins_ms = _change_ms(begins_ms, at_ms, zone)
    if _offset_ms(ends_ms - 1, zone) != offset_ms:
        ends_ms = _change_ms(at_ms, ends_ms - 1, zone)
    return begins_ms, ends_ms


def _day(at_ms: int, zone: tzinfo) -> tuple[int, int]:
    today = _utc(at_ms).astimezone(zone).date()
    ends_ms = _midnight_ms(today + _DAY, zone)
    if at_ms < ends_ms:
        return _midnight_ms(today, zone), ends_ms
    return ends_ms, _midnight_ms(today + 2 * _DAY, zone)  # put back over a midnight that has been: the new day goes on


def _midnight_ms(day: date, zone: tzinfo) -> int:
    """The first moment of a day: its midnight, or, where the clock skips that, the moment it does."""
    midnight = datetime.combine(day, time(), zone)
    first_ms = _ms(midnight)
    if _utc(first_ms).astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return first_ms
    return _change_ms(_ms(midnight.replace(fold=1)), first_ms, zone)


def _change_ms(low_ms: int, high_ms: int, zone: tzinfo) -> int:
    """The first moment of the offset that holds at `high_ms`, another one holding at `low_ms`."""
    offset_ms = _offset_ms(high_ms, zone)
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if _offset_ms(middle_ms, zone) == offset_ms:
            high_ms = middle_ms
        else:
            low_ms = middle_ms
    return high_ms


def _offset_ms(at_ms: int, zone: tzinfo) -> int:
    return (_utc(at_ms).astimezone(zone).utcoffset() or timedelta()) // _MS


def _utc(at_ms: int) -> datetime:
    return _EPOCH + at_ms * _MS


def _ms(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _MS
