"""sweep: the log unit by unit instead of in the order of arrival, each unit folded from its beginning to its end.

Nothing is late that way, nothing has to be loaded, and whatever comes out is final, each row once: what `rebuild` writes and
`verify` compares. It is the fold of `project.py`, step by step, over another slice of the log.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from projector.log import EVERY_UNIT, Log, Stored, Units
from projector.project import failing, history, steps
from projector.sink import Checkpoint
from projector.taskrouter.callback import Callback, Unit, read, unit_of
from projector.taskrouter.fold import State
from projector.taskrouter.mention import Heard

TELL_EVERY = 5_000

Told = Callable[[int], None]  # how many callbacks were read so far


class Kept(NamedTuple):
    """A checkpoint of a unit."""

    unit: Unit
    checkpoint: Checkpoint


Line = Struct | Kept  # a head or part, a closed span, a gap, a stated capacity; or a checkpoint


class Sweep:
    """A share of all units, folded up to a position. What several units say of one thing is in `heard`, once `lines` has ended."""

    def __init__(self, log: Log, upto: int, units: Units = EVERY_UNIT, tell: Told = lambda _: None) -> None:
        self.heard = Heard()
        self.event_ms = 0  # greatest event time
        self.incomplete: dict[Unit, str] = {}  # units whose fold raised → where
        self._log, self._upto, self._units, self._tell = log, upto, units, tell
        self._read = 0

    def lines(self) -> Iterator[Line]:
        """Every row that the units' own callbacks come to, and every capacity that any callback states."""
        strays: set[Unit] = set()
        for text, rows in groupby(self._log.by_unit(self._upto, self._units), key=attrgetter("unit")):
            if text is None:
                strays = self._strays(rows)
            elif (unit := Unit.parse(text)) in strays:
                for _ in self._hear(rows):  # it is folded below, with those that had no unit when they were appended
                    pass
            else:
                yield from self._fold(unit, _in_order(self._hear(rows)))
            yield from self._stated()
        for unit in strays:
            yield from self._fold(unit, (each.callback for each in history(self._log, unit, self._upto)))
        self._tell(self._read)

    def _fold(self, unit: Unit, callbacks: Iterable[Callback]) -> Iterator[Line]:
        state: State | None = None
        with failing(unit, self._upto, self.incomplete):
            for folding, checkpoint in steps(unit, callbacks, None):
                state = folding.state
                yield from folding.closed
                yield from self._stated()
                if checkpoint is not None:
                    yield Kept(unit, checkpoint)
            if state is not None:
                yield state.head
                yield from state.parts.values()

    def _strays(self, rows: Iterable[Stored]) -> set[Unit]:
        """The units of this share with callbacks whose type was unknown when they were appended. The first share hears those."""
        callbacks = self._hear(rows) if self._units.first == "" else (read(row.state, row.originator_id) for row in rows)
        found = {unit for callback in callbacks if (unit := unit_of(callback.fields)) is not None}
        return {unit for unit in found if self._units.has(str(unit))}

    def _hear(self, rows: Iterable[Stored]) -> Iterator[Callback]:
        for row in rows:
            callback = read(row.state, row.originator_id)
            self.heard.hear(callback)
            if callback.at_ms > self.event_ms:
                self.event_ms = callback.at_ms
            self._read += 1
            if self._read % TELL_EVERY == 0:
                self._tell(self._read)
            yield callback

    def _stated(self) -> Iterator[Line]:
        """The capacities stated since the last call."""
        if self.heard.stated:
            yield from self.heard.stated
            self.heard.stated.clear()


def _in_order(callbacks: Iterable[Callback]) -> Iterator[Callback]:
    """Callbacks that come by event time, in the unit's order, its deletions last."""
    deletions = []
    for _, tied in groupby(callbacks, key=attrgetter("at_ms")):
        for callback in sorted(tied, key=attrgetter("order")):
            if callback.is_deletion:
                deletions.append(callback)
            else:
                yield callback
    yield from deletions
