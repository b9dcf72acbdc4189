"""What each feed delivered of what is known to have happened: its loss, hour by hour; and what two feeds tell as two events.

Only of what another feed, or `backfill`, has brought is it known that a feed did not. So these are lower bounds, and they settle when the
hour has been asked for (`feeds/reconcile.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from msgspec.structs import replace

from projector.lately import Lately
from projector.log import Log, Tally
from projector.log.entry import PUSHED
from projector.taskrouter.callback import Fields, read
from projector.taskrouter.sameness import same_where_both_say

HOUR_MS = 3_600_000
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
    """By feed and hour, for each feed that brought anything within these moments, from the first hour of which it did."""
    return shares(log.heard(since_ms, until_ms))


def feeds_lately(log: Log) -> Lately[list[Delivered]]:
    """Of the last hour that is over; looked up once a minute."""

    def look(now_ms: int) -> list[Delivered]:
        until_ms = now_ms // HOUR_MS * HOUR_MS
        return delivered(log, until_ms - HOUR_MS, until_ms)

    return Lately("feeds_not_counted", look, [])


def shares(heard: Iterable[Tally]) -> list[Delivered]:
    """What it comes to; a type that a feed does not carry is none that it missed, nor an hour before its first."""
    seen: Counter[tuple[str, int]] = Counter()
    known: dict[str, Counter[int]] = defaultdict(Counter)
    for each in heard:
        if each.source in PUSHED and carries(each.source, each.topic):
            seen[each.source, each.hour] += each.times
        if each.is_first:
            for feed in PUSHED:
                known[feed][each.hour] += each.times if carries(feed, each.topic) else 0
    began = {feed: min(hour for of, hour in seen if of == feed) for feed in sorted({feed for feed, _ in seen})}
    return [
        Delivered(feed, hour, seen[feed, hour], of)
        for feed, first in began.items()
        for hour, of in sorted(known[feed].items())
        if of and hour >= first
    ]


def carries(feed: str, topic: str) -> bool:
    """Whether Twilio sends such an event by this feed."""
    return not topic.endswith(".observed") and (feed == "callback" or not topic.startswith(NOT_STREAMED))


def told_twice(log: Log, since_ms: int, until_ms: int) -> list[tuple[str, ...]]:
    """Sids under which two feeds tell one event: the same type, resource and millisecond, nothing told otherwise, and no feed that brought both.

    Each was folded: see the docs.
    """
    twins: list[tuple[str, ...]] = []
    for positions in log.told_twice(since_ms, until_ms, TWINS_MAX):
        rows = [log.read(position - 1, 1)[0] for position in positions]
        callbacks = {row.originator_id: read(row.state, row.originator_id) for row in rows}
        seen = log.seen_via(list(callbacks))
        brought = {origin: {callback.source} | seen.get(origin, set()) for origin, callback in callbacks.items()}
        for one, other in combinations(callbacks, 2):
            if not brought[one] & brought[other] and _same(callbacks[one].fields, callbacks[other].fields):
                twins.append((callbacks[one].identity, callbacks[other].identity))
    return twins


def _same(one: Fields, other: Fields) -> bool:
    """But for their Sids."""
    return same_where_both_say(replace(one, sid=None), replace(other, sid=None))
