"""Where folded states go: tables, or memory. Both give back what they were given, and neither knows how it was folded.

A sink takes one batch whole: rows, checkpoints, counts and the position it was read up to, in one transaction. The
position moves only from where this loop believes it to be, and only while the loop holds the lease: a second loop, or one
that was paused past its lease, changes nothing. That condition is the fence; the lease only keeps standbys quiet.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from projector.rows import TABLE_OF, Row, name_row, row_of
from projector.tables import metadata
from projector.taskrouter.callback import Unit
from projector.taskrouter.fold import State
from projector.taskrouter.mention import Mentions, merge


class Checkpoint(NamedTuple):
    """A unit folded up to an order key."""

    folded_to: str
    state: State


class Folded(NamedTuple):
    """One unit after a batch. `late`: the order key from which it was folded anew, checkpoints since then are void."""

    state: State
    before: State | None
    checkpoints: Sequence[Checkpoint] = ()
    late: str | None = None


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
        for key, mention in batch.mentions.items():
            known = self.mentions.setdefault(key, mention)
            for field, (order, value) in mention.names.items():
                merge(known, mention.first_seen_ms, order, {field: value})
            merge(known, mention.first_seen_ms, "", {})
        for event_type, times in batch.event_types.items():
            self.counts[event_type] = self.counts.get(event_type, 0) + times
        self._incomplete.update(batch.incomplete)
        self._position = batch.position

    def rows(self) -> dict[str, dict[tuple[str, ...], Row]]:
        """Every row the tables would hold: table → key → row, derived columns left out."""
        found: dict[str, dict[tuple[str, ...], Row]] = {table.name: {} for table in TABLE_OF.values()}
        for state in self.states.values():
            for part in (state.head, *state.parts.values()):
                table = TABLE_OF[type(part)]
                row = row_of(part)
                found[table.name][tuple(row[column.name] for column in table.primary_key)] = row
        for (name, key), mention in self.mentions.items():
            table = metadata.tables[name]
            row = found[name].get(key) or _untouched(name)
            found[name][key] = row | name_row(table, key, mention)
        for table in TABLE_OF.values():
            stored = [column.name for column in table.c if column.computed is None]
            for key, row in found[table.name].items():
                found[table.name][key] = {name: row.get(name) for name in stored}
        return found


def _untouched(name: str) -> Row:
    return next(row_of(kind()) for kind, table in TABLE_OF.items() if table.name == name)
