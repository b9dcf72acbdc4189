"""project: read a slice of the log, fold it, give it to a sink. The one loop; every use differs only in slice and sink.

Late callbacks are this file's business and nobody else's. A callback whose order key lies before what its unit has
folded already re-folds the unit from before it: from the latest checkpoint before it, else from the beginning, by the
unit's index in the log, and never beyond the page at hand (what the log holds further on belongs to a later batch).
"""

import logging
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from msgspec import Struct

from projector.log import Log, Stored
from projector.sink import Batch, Checkpoint, Folded, Sink
from projector.taskrouter.callback import Callback, Unit, order_ms, read, unit_of
from projector.taskrouter.fold import State, fold, with_deletion_of
from projector.taskrouter.mention import mentions, stated
from projector.taskrouter.text import LATEST_MS


class Partition(NamedTuple):
    """One of `of` shares of all units. Callbacks of no unit belong to the first."""

    number: int
    of: int

    def has(self, unit: str | None) -> bool:
        """Whether this share has the unit, written as the log's column has it."""
        return crc32(unit.encode()) % self.of == self.number if unit else self.number == 0


WHOLE = Partition(0, 1)
PAGE = 2_000
CHECKPOINT_EVERY = 200  # callbacks of one unit: what a late one re-folds at most, beside its page

logger = logging.getLogger(__name__)


def project(log: Log, sink: Sink, upto: int | None = None, page: int = PAGE) -> int:
    """Bring the sink to the end of the log, or to position `upto`; return the position it is at."""
    position = sink.position()
    while (next_position := advance(log, sink, position, upto, page)) > position:
        position = next_position
    return position


def advance(log: Log, sink: Sink, position: int, upto: int | None = None, page: int = PAGE, part: Partition = WHOLE) -> int:
    """Fold the page behind `position` into the sink that stands there; where it stands then, unchanged at the log's end."""
    stored = log.read(position, page, upto)
    if not stored:
        return position
    sink.save(folded_page(log, sink, position, stored, part))
    return stored[-1].position


def folded_page(log: Log, sink: Sink, after: int, stored: Sequence[Stored], part: Partition = WHOLE) -> Batch:
    """What one page of the log comes to, given what the sink holds up to `after`."""
    callbacks: list[Callback] = []
    news: dict[Unit, list[Callback]] = defaultdict(list)
    for row in stored:
        if row.unit is not None and not part.has(row.unit):
            continue  # unread
        callback = read(row.state, row.originator_id)
        unit = unit_as_stored(row, callback)
        if row.unit is None and not part.has(str(unit) if unit else None):
            continue
        callbacks.append(callback)
        if unit is not None:
            news[unit].append(callback)
    position, originator_id = stored[-1].position, stored[-1].originator_id
    known = sink.load(news)
    broken = sink.incomplete()
    folded: dict[Unit, Folded] = {}
    incomplete: dict[Unit, str] = {}
    for unit, arrived in news.items():
        try:
            folded[unit] = _folded(log, sink, unit, arrived, known.get(unit), position, anew=unit in broken)
        except Exception as error:
            if not _raised_by_fold(error):
                raise
            incomplete[unit] = _place(error)
            # Not the error itself: its message may quote names or attributes.
            logger.error(  # noqa: TRY400 (see above)
                "fold_failed", extra={"unit": str(unit), "position": position, "error": incomplete[unit]}
            )
    return Batch(
        after=after,
        position=position,
        originator_id=originator_id,
        event_ms=max((callback.at_ms for callback in callbacks), default=0),
        folded=folded,
        mentions=mentions(callbacks),
        event_types=Counter(callback.fields.event_type for callback in callbacks),
        incomplete=incomplete,
        stated=stated(callbacks),
    )


def unit_as_stored(row: Stored, callback: Callback) -> Unit | None:
    """Whose callback it is: as the log's index has it, which does not change; as this release knows it, where that has nothing."""
    return Unit.parse(row.unit) if row.unit is not None else unit_of(callback.fields)


def refold(log: Log, sink: Sink, units: Iterable[Unit], position: int) -> Batch | None:
    """These units from their whole history up to `position`, which is where the sink is: a batch that moves nothing."""
    folded: dict[Unit, Folded] = {}
    incomplete: dict[Unit, str] = {}
    for unit in units:
        try:
            folded[unit] = _folded(log, sink, unit, [], None, position, anew=True)
        except Exception as error:
            if not _raised_by_fold(error):
                raise
            incomplete[unit] = _place(error)
    originator_id = log.originator_at(position)
    if originator_id is None or not (folded or incomplete):
        return None
    return Batch(position, position, originator_id, 0, folded, {}, {}, incomplete)  # its pages have told their event times


def _folded(log: Log, sink: Sink, unit: Unit, arrived: list[Callback], known: State | None, upto: int, anew: bool) -> Folded:
    """One unit after the callbacks that arrived for it."""
    if anew:
        return _in_steps(unit, _history(log, unit, "", upto), None, known, late="")
    told = sorted((callback for callback in arrived if not is_deletion(callback)), key=_order)
    deletions = [callback for callback in arrived if is_deletion(callback)]
    late = told[0].order if known and told and told[0].order < known.head.folded_to else None
    if known is None or late is None:
        return _in_steps(unit, told + deletions, known, known, late=None)
    has_checkpoints = known.head.callback_count >= CHECKPOINT_EVERY
    checkpoint = sink.checkpoint(unit, before=late) if has_checkpoints else None
    start = with_deletion_of(checkpoint.state, known) if checkpoint else None
    history = _history(log, unit, checkpoint.folded_to if checkpoint else "", upto)
    return _in_steps(unit, history + deletions, start, known, late)


def _in_steps(unit: Unit, callbacks: Sequence[Callback], start: State | None, before: State | None, late: str | None) -> Folded:
    """Fold, leaving a checkpoint at every `CHECKPOINT_EVERY` callbacks of the unit's life."""
    state, done = start, 0
    checkpoints: list[Checkpoint] = []
    closed: list[Struct] = []
    while done < len(callbacks) or state is None:
        count = state.head.callback_count if state else 0
        step = CHECKPOINT_EVERY - count % CHECKPOINT_EVERY
        state, more = fold(unit, callbacks[done : done + step], state)
        closed += more
        done += step
        if state.head.callback_count - count == step:
            checkpoints.append(Checkpoint(state.head.folded_to, state))
    return Folded(state, before, closed, checkpoints, late, start)


class Arrived(NamedTuple):
    """A callback and how it stands in the log."""

    stored: Stored
    callback: Callback


def history(log: Log, unit: Unit, upto: int, since_ms: int = 0, until_ms: int = LATEST_MS) -> list[Arrived]:
    """The unit's callbacks at positions up to `upto`, stamped between two moments, in the order they are folded: deletions last."""
    found = [Arrived(row, read(row.state, row.originator_id)) for row in log.history(str(unit), since_ms, upto, until_ms)]
    found = [each for each in found if each.stored.unit is not None or unit_of(each.callback.fields) == unit]
    return sorted(found, key=lambda each: (is_deletion(each.callback), _order(each.callback)))


def _history(log: Log, unit: Unit, after: str, upto: int) -> list[Callback]:
    """Those with an order key above `after`; every deletion of them, which has no place in the order."""
    found = [each.callback for each in history(log, unit, upto, order_ms(after) if after else 0)]
    return [callback for callback in found if is_deletion(callback) or callback.order > after]


def _order(callback: Callback) -> str:
    return callback.order


def is_deletion(callback: Callback) -> bool:
    """Whether it deletes its unit."""
    return callback.known is not None and callback.known.is_deletion


_PURE = str(Path(__file__).parent / "taskrouter")


def _raised_by_fold(error: Exception) -> bool:
    """True when the error comes out of the pure core: our bug, that unit's alone. Anything else is the world's."""
    return any(frame.filename.startswith(_PURE) for frame in traceback.extract_tb(error.__traceback__))


def _place(error: Exception) -> str:
    """The error's class and where it was raised; never its message, which may quote data."""
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    last = list(frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
