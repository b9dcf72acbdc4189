"""What goes into the log and what comes out, the same on every database."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from projector.taskrouter.callback import Fields, event_time_ms, fields_of, identity_of, read, stamp_ms, unit_of
from projector.taskrouter.sameness import same_core, same_where_both_say
from projector.taskrouter.text import LATEST_MS, clean

PUSHED = ("callback", "event-streams", "kinesis")  # what Twilio sends by itself, and may lose
ASKED = ("events-api", "rest")  # what Twilio is asked for, again and again
FEEDS = (*PUSHED, *ASKED, "import")  # a document's `source`


class Outcome(Enum):
    """What became of one arrival. All four are durable when reported."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"  # same Sid, another core: the first stands, this one is in the quarantine
    QUARANTINED = "quarantined"


class Entry(Struct, frozen=True):
    """One callback on its way into the log, encoded but for its receipt stamp, which is taken under the append lock."""

    originator_id: str
    topic: str
    unit: str | None
    stamp_ms: int | None
    source: str
    parameters: bytes  # the JSON object of the parameters as received
    fields: Fields
    recorded_ms: int | None = None  # the receipt an export carries; None: now

    @classmethod
    def of(cls, parameters: Mapping[str, str], source: str, recorded_ms: int | None = None) -> "Entry":
        """The entry for a callback's parameters; `source` is the feed it came by (`FEEDS`)."""
        fields = fields_of(parameters)
        unit = unit_of(fields)
        return cls(
            originator_id=f"{fields.workspace_sid}/{identity_of(parameters)}",
            topic=clean(fields.event_type),
            unit=str(unit) if unit else None,
            stamp_ms=stamp_ms(fields),
            source=source,
            parameters=msgspec.json.encode(parameters),
            fields=fields,
            recorded_ms=recorded_ms,
        )

    def at_ms(self, recorded_ms: int) -> int:
        """Its event time, once its receipt is known."""
        return event_time_ms(self.stamp_ms, recorded_ms)

    def state(self, recorded_ms: int) -> bytes:
        """The document as stored (`taskrouter.callback.Document`)."""
        return b'{"recorded_at":%d,"source":"%s","parameters":%s}' % (recorded_ms, self.source.encode(), self.parameters)


class Mark(NamedTuple):
    """How far a feed was read: its name, which part of it (a shard, a workspace), a place in that part. An empty place: read whole."""

    feed: str
    part: str
    place: str


class Rejected(Struct, frozen=True):
    """A signed arrival that is kept beside the log, not in it: it cannot be read, or contradicts what is stored."""

    reason: str
    body: bytes
    source: str

    @property
    def digest(self) -> str:
        """The same arrival sent again is counted, not kept again."""
        return hashlib.sha256(self.reason.encode() + b"\n" + self.body).hexdigest()


class Stored(NamedTuple):
    """One callback as the log holds it."""

    position: int
    originator_id: str
    state: bytes
    unit: str | None = None  # None: the release that appended it knew none


class Timed(NamedTuple):
    """One callback as the log holds it, by event time."""

    at_ms: int
    position: int
    originator_id: str
    topic: str
    state: bytes


class Tally(NamedTuple):
    """How many callbacks of one hour and type a feed brought. `is_first`: they are stored from it; else they were stored from another."""

    hour: int  # since the epoch, by event time
    topic: str
    source: str
    times: int
    is_first: bool


Place: TypeAlias = tuple[int, int]  # of a callback among all, by event time: its milliseconds, its position


class Units(NamedTuple):
    """A share of all units: those whose text is `first` or above it, and below `below`, by bytes."""

    first: str = ""
    below: str = "\U0010ffff"

    def has(self, unit: str) -> bool:
        """Whether this share has the unit."""
        return self.first <= unit < self.below


EVERY_UNIT = Units()
BY_UNIT_ROWS = 5_000  # read at once by `Log.by_unit`


class Log(Protocol):
    """A log. Every method raises `StoreUnavailable` when the database cannot answer now."""

    def append(self, arrivals: Sequence[Entry | Rejected], marks: Sequence[Mark] = ()) -> list[Outcome]:
        """Store these, in this order, and where their feed stands then, in one transaction; return when it is durable.

        Without marks what leaves no row in the log (duplicates, the quarantine) may be counted in a transaction of its own.
        """

    def marks(self, feed: str) -> dict[str, str]:
        """How far a feed was read: part → place."""

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """The callbacks at positions above `after` (and not above `upto`), at most `limit`."""

    def history(self, unit: str, since_ms: int, upto: int, until_ms: int = LATEST_MS) -> list[Stored]:
        """One unit's callbacks with an event time from `since_ms` to `until_ms`, at positions up to `upto`.

        Those without a unit come too: whoever reads them may know their type, which was unknown when they were appended.
        """

    def by_unit(self, upto: int, units: Units = EVERY_UNIT) -> Iterator[Stored]:
        """Every callback of these units up to a position, unit by unit, each in order of event time. All without a unit come first."""

    def latest(self, before: Place, since_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        """The callbacks below a place and stamped at `since_ms` or later, at most `limit`, the latest first.

        With `unit` that one's, and those without a unit, as in `history`.
        """

    def earliest(self, after: Place, until_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        """The callbacks above a place and stamped at `until_ms` or earlier, at most `limit`, the earliest first. `unit` as in `latest`."""

    def units_at(self, positions: Sequence[int]) -> list[str]:
        """Whose callbacks stand at these positions, where they have a unit."""

    def end(self) -> int:
        """The last position; 0 for an empty log."""

    def originator_at(self, position: int) -> str | None:
        """Whose callback stands at a position."""

    def find(self, originator_id: str) -> Stored | None:
        """The callback stored under `<WorkspaceSid>/<identity>`."""

    def holds(self, originator_ids: Sequence[str]) -> set[str]:
        """Which of these are stored."""

    def heard(self, since_ms: int, until_ms: int) -> list[Tally]:
        """What each feed brought of the callbacks stamped from one moment to before another."""

    def told_twice(self, since_ms: int, until_ms: int, limit: int) -> list[list[int]]:
        """The positions of callbacks of one unit, type and millisecond that more than one feed brought under several Sids: sets of them."""

    def seen_via(self, originator_ids: Sequence[str]) -> dict[str, set[str]]:
        """By which other feeds that Twilio sends each of these was seen, where it was, than the one it is stored from."""

    def intake(self) -> dict[str, int]:
        """How many arrivals were duplicates, conflicts and quarantined, since the log began."""

    def close(self) -> None:
        """Give back all connections."""


class Seen(NamedTuple):
    """A stored callback that came again, by another feed than the one it was stored from."""

    source: str
    originator_id: str


def foreseen(log: Log, arrivals: Sequence[Entry | Rejected]) -> list[Outcome]:
    """What would become of these, as far as their Sids tell, for who writes nothing: a conflict shows as a duplicate."""
    held = log.holds([arrival.originator_id for arrival in arrivals if isinstance(arrival, Entry)])
    return [
        Outcome.QUARANTINED if isinstance(arrival, Rejected)
        else Outcome.DUPLICATE if arrival.originator_id in held
        else Outcome.STORED
        for arrival in arrivals
    ]  # fmt: skip


class Decision(NamedTuple):
    """What one batch does: rows to insert, rows for the quarantine, what was seen by another feed too, an outcome for each arrival."""

    new: list[Entry]
    rejected: list[Rejected]
    seen: list[Seen]
    outcomes: list[Outcome]

    def counts(self, arrivals: Sequence[Entry | Rejected]) -> dict[str, int]:
        """The outcomes that leave no row in the log, by name. What was known when it was asked for is no duplicate: nobody sent it twice."""
        kept = [
            outcome
            for arrival, outcome in zip(arrivals, self.outcomes, strict=True)
            if outcome is not Outcome.STORED and not (outcome is Outcome.DUPLICATE and arrival.source in ASKED)
        ]
        return {outcome.value: kept.count(outcome) for outcome in dict.fromkeys(kept)}


class _Known(NamedTuple):
    """What a Sid is stored with, or about to be."""

    fields: Fields
    source: str


def decide(arrivals: Sequence[Entry | Rejected], stored: Mapping[str, bytes]) -> Decision:
    """Sort a batch by what is stored already (originator → state): the first of a Sid stands, whoever comes later."""
    decision = Decision([], [], [], [])
    known: dict[str, _Known] = {}
    for arrival in arrivals:
        if isinstance(arrival, Rejected):
            decision.rejected.append(arrival)
            decision.outcomes.append(Outcome.QUARANTINED)
            continue
        origin = arrival.originator_id
        if origin not in known and origin in stored:
            callback = read(stored[origin], origin)
            known[origin] = _Known(callback.fields, callback.source)
        if origin not in known:
            known[origin] = _Known(arrival.fields, arrival.source)
            decision.new.append(arrival)
            decision.outcomes.append(Outcome.STORED)
        elif _same(known[origin], arrival):
            decision.outcomes.append(Outcome.DUPLICATE)
            if arrival.source in PUSHED and arrival.source != known[origin].source:
                decision.seen.append(Seen(arrival.source, origin))
        else:
            decision.rejected.append(
                Rejected("conflict: this Sid is stored with other content", arrival.parameters, arrival.source)
            )
            decision.outcomes.append(Outcome.CONFLICT)
    return decision


def _same(known: _Known, arrival: Entry) -> bool:
    """Whether an arrival says what is known. Two feeds may tell more or less of one event; neither may tell it otherwise."""
    compare = same_core if known.source == arrival.source else same_where_both_say
    return compare(known.fields, arrival.fields)


class _Receipt(Struct, frozen=True):
    recorded_at: int


def recorded_ms(state: bytes) -> int:
    """The receipt stamp inside a stored document."""
    return msgspec.json.decode(state, type=_Receipt).recorded_at


def rows(entries: Sequence[Entry], now_ms: int, last: bytes | None) -> list[tuple[str, str, bytes, str | None, int]]:
    """What is inserted for each entry: originator, topic, state, unit, at_ms; `last` is the newest document in the log.

    Receipt stamps never go back, neither when the clock does nor when an export carries older ones: "as known at" then
    has one meaning, a position.
    """
    newest = recorded_ms(last) if last is not None else 0
    written = []
    for entry in entries:
        newest = max(newest, now_ms if entry.recorded_ms is None else entry.recorded_ms)
        written.append((entry.originator_id, entry.topic, entry.state(newest), entry.unit, entry.at_ms(newest)))
    return written
