"""Where folded states go: tables, or memory. Both give back what they were given, and neither knows how it was folded.

A sink takes one batch whole: rows, checkpoints, counts and the position it was read up to, in one transaction. The
position moves only from where this loop believes it to be, and only while the loop holds the lease: a second loop, or one
that was paused past its lease, changes nothing. That condition is the fence; the lease only keeps standbys quiet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.rows import HISTORY_OF, LINE_KEY, PARTS, TABLE_OF, Row, name_row, row_of, untouched
from projector.taskrouter.callback import Unit
from projector.taskrouter.fold import ENTITIES, LINED, State, last_spans, lines
from projector.taskrouter.mention import Mentions, Stated, merge_all
from projector.taskrouter.span import Span


class Checkpoint(NamedTuple):
    """A unit folded up to an order key."""

    folded_to: str
    state: State


class Folded(NamedTuple):
    """One unit after a batch, and what was closed on the way.

    `late`: the order key from which it was folded anew, from the state `start` (None: from nothing). What was written since
    then, checkpoints and spans, is void.
    """

    state: State
    before: State | None
    closed: Sequence[Struct] = ()
    checkpoints: Sequence[Checkpoint] = ()
    late: str | None = None
    start: State | None = None


class Void(NamedTuple):
    """Spans or gaps of one line that a late callback made wrong: those from the `n`-th on, none of which began before `since_ms`."""

    kind: type[Struct]
    line: dict[str, str]  # column → value; without a part's Sid: the lines of all parts
    n: int
    since_ms: int


class Batch(NamedTuple):
    """What one page of the log comes to."""

    after: int  # the position it begins behind
    position: int  # the last position in it
    originator_id: str  # whose callback stands there
    event_ms: int  # greatest event time in it
    folded: Mapping[Unit, Folded]
    mentions: Mentions
    event_types: Mapping[str, int]  # EventType → how many
    incomplete: Mapping[Unit, str]  # units whose fold raised → the error
    stated: Sequence[Stated] = ()
    healed: Sequence[Unit] = ()  # units whose fold had raised before


def voids(unit: Unit, folded: Folded) -> Iterator[Void]:
    """What of the unit's history a late callback made wrong. Nothing where no span was closed since `start`."""
    if folded.late is None:
        return
    names = {"workspace_sid": unit.workspace_sid, f"{unit.kind}_sid": unit.sid, "kind": unit.kind, "sid": unit.sid}
    if folded.before is None:
        for owner in (type(ENTITIES[unit.kind].initial), PARTS.get(unit.kind)):
            for kind in LINED[owner].LINES if owner in LINED else ():
                yield Void(kind, {name: names[name] for name in LINE_KEY[kind] if name in names}, 0, 0)
        return
    begun = folded.start.parts if folded.start else {}
    yield from _voids(names, folded.before.head, folded.start.head if folded.start else None)
    for sid, part in folded.before.parts.items():
        yield from _voids(names, part, begun.get(sid))


def _voids(names: dict[str, str], before: Struct, start: Struct | None) -> Iterator[Void]:
    for kind, (n, since) in lines(before).items():
        kept = getattr(start, n) if start else 0
        if getattr(before, n) > kept:
            since_ms = getattr(start, since) if start and since else None
            line = {name: names.get(name) or getattr(before, name) for name in LINE_KEY[kind]}
            yield Void(kind, line, kept, since_ms or 0)


class Sink(Protocol):
    """A place for states."""

    def position(self) -> int:
        """The last position of the log that is in here."""

    def load(self, units: Iterable[Unit]) -> dict[Unit, State]:
        """What is known of these units; nothing for one that is new or only mentioned."""

    def incomplete(self) -> set[Unit]:
        """The units whose fold failed."""

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:
        """The unit's latest checkpoint with an order key below `before`."""

    def save(self, batch: Batch) -> None:
        """Take the batch, all or nothing."""


class MemorySink:
    """A sink in memory: for tests, for `verify`, and for a look at one unit."""

    def __init__(self) -> None:
        self.states: dict[Unit, State] = {}
        self.mentions: Mentions = {}
        self.counts: dict[str, int] = {}
        self._past: dict[tuple[Any, ...], list[Any]] = {}  # a line (its kind and key) → its spans or gaps, by n
        self._stated: dict[tuple[str, ...], Stated] = {}
        self._position = 0
        self._checkpoints: dict[Unit, list[Checkpoint]] = {}
        self._incomplete: dict[Unit, str] = {}

    def position(self) -> int:
        """See `Sink.position`."""
        return self._position

    def load(self, units: Iterable[Unit]) -> dict[Unit, State]:
        """See `Sink.load`."""
        return {unit: self.states[unit] for unit in units if unit in self.states}

    def incomplete(self) -> set[Unit]:
        """See `Sink.incomplete`."""
        return set(self._incomplete)

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:
        """See `Sink.checkpoint`."""
        return max((c for c in self._checkpoints.get(unit, ()) if c.folded_to < before), default=None)

    def save(self, batch: Batch) -> None:
        """See `Sink.save`."""
        for unit, folded in batch.folded.items():
            self.states[unit] = folded.state
            self._incomplete.pop(unit, None)
            kept = [c for c in self._checkpoints.get(unit, ()) if folded.late is None or c.folded_to < folded.late]
            self._checkpoints[unit] = [*kept, *folded.checkpoints]
            for void in voids(unit, folded):
                self._forget(void)
            for span in folded.closed:
                kind = type(span)
                self._past.setdefault((kind, *(getattr(span, name) for name in LINE_KEY[kind])), []).append(span)
        merge_all(self.mentions, batch.mentions)
        for each in batch.stated:
            self._stated[each.workspace_sid, each.worker_sid, each.task_channel_sid, each.stated_order] = each
        for event_type, times in batch.event_types.items():
            self.counts[event_type] = self.counts.get(event_type, 0) + times
        self._incomplete.update(batch.incomplete)
        self._position = batch.position

    def spans(self) -> Iterator[Span]:
        """Every span, ended or not, line by line in the order they began."""
        last: dict[tuple[Any, ...], Span] = {}
        for state in self.states.values():
            for span in last_spans(state):
                last[type(span), *(getattr(span, name) for name in LINE_KEY[type(span)])] = span
        for line, past in self._past.items():
            if line[0] in LINED_SPANS and past:
                yield from past
                yield last.pop(line)
        yield from last.values()

    def own_rows(self) -> Iterator[tuple[sa.Table, Row]]:
        """Every row that units' own callbacks tell, without what mentions add."""
        for state in self.states.values():
            for entity in (state.head, *state.parts.values()):
                yield TABLE_OF[type(entity)], row_of(entity)
        for past in self._past.values():
            for span in past:
                yield HISTORY_OF[type(span)], row_of(span)
        for each in self._stated.values():
            yield tables.stated_capacity, row_of(each)

    def rows(self) -> dict[str, dict[tuple[Any, ...], Row]]:
        """Every row the tables would hold: table → key → row, derived columns left out."""
        found: dict[str, dict[tuple[Any, ...], Row]] = {table.name: {} for table in (*tables.CURRENT, *tables.HISTORY)}
        for table, row in self.own_rows():
            found[table.name][tuple(row[column.name] for column in table.primary_key)] = row
        for (name, key), mention in self.mentions.items():
            table = tables.metadata.tables[name]
            row = found[name].get(key) or untouched(table)
            found[name][key] = row | name_row(table, key, mention)
        for table in TABLE_OF.values():
            stored = [column.name for column in table.c if column.computed is None]
            for key, row in found[table.name].items():
                found[table.name][key] = {name: row.get(name) for name in stored}
        return found

    def _forget(self, void: Void) -> None:
        names = LINE_KEY[void.kind]
        if len(void.line) == len(names):
            line = (void.kind, *(void.line[name] for name in names))
            del self._past.get(line, [])[void.n :]
            return
        for line in [line for line in self._past if line[0] is void.kind]:
            if void.line.items() <= dict(zip(names, line[1:], strict=True)).items():
                del self._past[line]


LINED_SPANS = frozenset(kind for kind in HISTORY_OF if issubclass(kind, Span))
