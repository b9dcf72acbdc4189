"""What each feed delivered of what is known to have happened: its loss, hour by hour; and what two feeds tell as two events.

Only of what another feed, or `backfill`, has brought is it known that a feed did not. So these are lower bounds, and they settle when the
hour has been asked for (`feeds/reconcile.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple, cast

from projector.log import Heard, Log
from projector.log.entry import PUSHED
from projector.taskrouter.callback import read

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
TWINS_MAX = 1_000  # looked at
# Event Streams' catalogue has none of these (and nothing that is ours, `observed`).
NOT_STREAMED = ("activity.", "task-channel.", "workspace.")


class Delivered(NamedTuple):
    """Of `known` callbacks of an hour that a feed carries, it brought `seen`."""

    feed: str
    hour: int  # since the epoch
    seen: int
    known: int

    @property
    def missed(self) -> int:
        """How many it did not bring."""
        return self.known - self.seen

    @property
    def missed_share(self) -> float:
        """The same of 1."""
        return self.missed / self.known if self.known else 0.0


def delivered(log: Log, since_ms: int, until_ms: int) -> list[Delivered]:
    """By feed and hour, for each feed that brought anything within these moments."""
    return shares(log.heard(since_ms, until_ms))


def last_hour(log: Log, now_ms: int) -> list[Delivered]:
    """Of the last hour that is over; looked up once a minute by each process, whoever asks."""
    return _looked_up(cast("Any", log), now_ms // MINUTE_MS)


@lru_cache(maxsize=2)
def _looked_up(log: Log, minute: int) -> list[Delivered]:
    until_ms = minute * MINUTE_MS // HOUR_MS * HOUR_MS
    return delivered(log, until_ms - HOUR_MS, until_ms)


def shares(heard: Iterable[Heard]) -> list[Delivered]:
    """What it comes to; a type that a feed does not carry is none that it missed."""
    seen: Counter[tuple[str, int]] = Counter()
    known: dict[str, Counter[int]] = defaultdict(Counter)
    for each in heard:
        if each.source in PUSHED:
            seen[each.source, each.hour] += each.times
        if each.is_first:
            for feed in PUSHED:
                known[feed][each.hour] += each.times if carries(feed, each.topic) else 0
    feeds = sorted({feed for feed, _ in seen})
    return [Delivered(feed, hour, seen[feed, hour], of) for feed in feeds for hour, of in sorted(known[feed].items()) if of]


def carries(feed: str, topic: str) -> bool:
    """Whether Twilio sends such an event by this feed."""
    return not topic.endswith(".observed") and (feed == "callback" or not topic.startswith(NOT_STREAMED))


def told_twice(log: Log, since_ms: int, until_ms: int) -> list[tuple[str, ...]]:
    """Sids under which two feeds tell one event: the same type, resource and millisecond, under several. Each was folded: see the docs."""
    twins = []
    for positions in log.told_twice(since_ms, until_ms, TWINS_MAX):
        by_resource: dict[str | None, dict[str, str]] = defaultdict(dict)
        for position in positions:
            (row,) = log.read(position - 1, 1)
            callback = read(row.state, row.originator_id)
            fields = callback.fields
            resource = fields.resource_sid or fields.reservation_sid or fields.task_sid or fields.worker_sid
            by_resource[resource][callback.identity] = callback.source
        twins += [tuple(sids) for sids in by_resource.values() if len(set(sids.values())) > 1]
    return twins
