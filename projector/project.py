"""project: read a slice of the log, fold it, give it to a sink. The one loop; every use differs only in slice and sink.

Late callbacks are this file's business and nobody else's. A callback whose order key lies before what its unit has
folded already re-folds the unit from before it: from the latest checkpoint before it, else from the beginning, by the
unit's index in the log, and never beyond the page at hand (what the log holds further on belongs to a later batch).
"""

import logging
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

from msgspec import Struct

from projector.log import Log, Stored
from projector.sink import Batch, Checkpoint, Folded, Sink
from projector.taskrouter.callback import Callback, Unit, order_ms, read, unit_of
from projector.taskrouter.fold import Folding, State, fold, with_deletion_of
from projector.taskrouter.mention import Heard
from projector.taskrouter.text import LATEST_MS

PAGE = 20_000  # of a loop that is behind: the larger, the fewer times a row is written
CHECKPOINT_EVERY = 200  # callbacks of one unit: what a late one re-folds at most, beside its page

logger = logging.getLogger(__name__)


def project(log: Log, sink: Sink, upto: int | None = None, page: int = PAGE) -> int:
    """Bring the sink to the end of the log, or to position `upto`; return the position it is at."""
    position = sink.position()
    while (next_position := advance(log, sink, position, upto, page)) > position:
        position = next_position
    return position


def advance(log: Log, sink: Sink, position: int, upto: int | None = None, page: int = PAGE) -> int:
    """Fold the page behind `position` into the sink that stands there; where it stands then, unchanged at the log's end."""
    stored = log.read(position, page, upto)
    if not stored:
        return position
    sink.save(folded_page(log, sink, position, stored))
    return stored[-1].position


def folded_page(log: Log, sink: Sink, after: int, stored: Sequence[Stored]) -> Batch:
    """What one page of the log comes to, given what the sink holds up to `after`."""
    arrived: dict[str | None, list[Stored]] = defaultdict(list)
    for row in stored:
        arrived[row.unit].append(row)
    for row in arrived.pop(None, ()):  # this release may know its type
        arrived[_unit_now(row)].append(row)
    units = {text: Unit.parse(text) for text in arrived if text is not None}
    known, broken = sink.load(units.values()), sink.incomplete()
    position, heard, event_ms = stored[-1].position, Heard(), 0
    folded: dict[Unit, Folded] = {}
    incomplete: dict[Unit, str] = {}
    for text, rows in arrived.items():  # decoded, folded and forgotten unit by unit: what is at hand stays small
        callbacks = [read(row.state, row.originator_id) for row in rows]
        for callback in callbacks:
            heard.hear(callback)
        event_ms = max(event_ms, *(callback.at_ms for callback in callbacks))
        if text is None:
            continue
        unit = units[text]
        with failing(unit, position, incomplete):
            folded[unit] = _folded(log, sink, unit, callbacks, known.get(unit), position, anew=unit in broken)
    return Batch(
        after=after,
        position=position,
        originator_id=stored[-1].originator_id,
        event_ms=event_ms,
        folded=folded,
        mentions=heard.mentions(),
        event_types=heard.event_types,
        incomplete=incomplete,
        stated=heard.stated,
        healed=[unit for unit in broken if unit in folded],
    )


@contextmanager
def failing(unit: Unit, position: int, incomplete: dict[Unit, str]) -> Iterator[None]:
    """A unit whose fold raises is left as it was, and told: that is our bug, and its alone. Whatever else raises is the world's."""
    try:
        yield
    except Exception as error:
        if not _raised_by_fold(error):
            raise
        incomplete[unit] = _place(error)
        # Not the error itself: its message may quote names or attributes.
        logger.error(  # noqa: TRY400 (see above)
            "fold_failed", extra={"unit": str(unit), "position": position, "error": incomplete[unit]}
        )


def _unit_now(row: Stored) -> str | None:
    """Whose callback it is as this release knows it, where the log's index, which does not change, has nothing."""
    unit = unit_of(read(row.state, row.originator_id).fields)
    return str(unit) if unit else None


def refold(log: Log, sink: Sink, units: Iterable[Unit], position: int) -> Batch | None:
    """These units from their whole history up to `position`, which is where the sink is: a batch that moves nothing."""
    folded: dict[Unit, Folded] = {}
    incomplete: dict[Unit, str] = {}
    for unit in units:
        with failing(unit, position, incomplete):
            folded[unit] = _folded(log, sink, unit, [], None, position, anew=True)
    originator_id = log.originator_at(position)
    if originator_id is None or not (folded or incomplete):
        return None
    # Its pages have told their event times, names and counts.
    return Batch(position, position, originator_id, 0, folded, {}, {}, incomplete, healed=list(folded))


def _folded(log: Log, sink: Sink, unit: Unit, arrived: list[Callback], known: State | None, upto: int, anew: bool) -> Folded:
    """One unit after the callbacks that arrived for it."""
    if anew:
        return _in_steps(unit, _history(log, unit, "", upto), None, known, late="")
    told = sorted((callback for callback in arrived if not callback.is_deletion), key=_order)
    deletions = [callback for callback in arrived if callback.is_deletion]
    late = told[0].order if known and told and told[0].order < known.head.folded_to else None
    if known is None or late is None:
        return _in_steps(unit, told + deletions, known, known, late=None)
    has_checkpoints = known.head.callback_count >= CHECKPOINT_EVERY
    checkpoint = sink.checkpoint(unit, before=late) if has_checkpoints else None
    start = with_deletion_of(checkpoint.state, known) if checkpoint else None
    history = _history(log, unit, checkpoint.folded_to if checkpoint else "", upto)
    return _in_steps(unit, history + deletions, start, known, late)


def _in_steps(unit: Unit, callbacks: Sequence[Callback], start: State | None, before: State | None, late: str | None) -> Folded:
    state = start
    checkpoints: list[Checkpoint] = []
    closed: list[Struct] = []
    for folding, checkpoint in steps(unit, callbacks, start):
        state = folding.state
        closed += folding.closed
        if checkpoint is not None:
            checkpoints.append(checkpoint)
    return Folded(cast("State", state), before, closed, checkpoints, late, start)


def steps(unit: Unit, callbacks: Iterable[Callback], state: State | None) -> Iterator[tuple[Folding, Checkpoint | None]]:
    """Fold as far as the next checkpoint at a time: there is one at every `CHECKPOINT_EVERY` callbacks of the unit's life."""
    rest = iter(callbacks)
    while True:
        count = state.head.callback_count if state else 0
        step = CHECKPOINT_EVERY - count % CHECKPOINT_EVERY
        some = list(islice(rest, step))
        if not some and state is not None:
            return
        folding = fold(unit, some, state)
        state = folding.state
        is_full = state.head.callback_count - count == step
        yield folding, Checkpoint(state.head.folded_to, state) if is_full else None
        if len(some) < step:
            return


class Arrived(NamedTuple):
    """A callback and how it stands in the log."""

    stored: Stored
    callback: Callback


def history(log: Log, unit: Unit, upto: int, since_ms: int = 0, until_ms: int = LATEST_MS) -> list[Arrived]:
    """The unit's callbacks at positions up to `upto`, stamped between two moments, in the order they are folded: deletions last."""
    found = [Arrived(row, read(row.state, row.originator_id)) for row in log.history(str(unit), since_ms, upto, until_ms)]
    found = [each for each in found if each.stored.unit is not None or unit_of(each.callback.fields) == unit]
    return sorted(found, key=lambda each: (each.callback.is_deletion, _order(each.callback)))


def _history(log: Log, unit: Unit, after: str, upto: int) -> list[Callback]:
    """Those with an order key above `after`; every deletion of them, which has no place in the order."""
    found = [each.callback for each in history(log, unit, upto, order_ms(after) if after else 0)]
    return [callback for callback in found if callback.is_deletion or callback.order > after]


def _order(callback: Callback) -> str:
    return callback.order


_PURE = str(Path(__file__).parent / "taskrouter")


def _raised_by_fold(error: Exception) -> bool:
    """True when the error comes out of the pure core: our bug, that unit's alone. Anything else is the world's."""
    return any(frame.filename.startswith(_PURE) for frame in traceback.extract_tb(error.__traceback__))


def _place(error: Exception) -> str:
    """The error's class and where it was raised; never its message, which may quote data."""
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    last = list(frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
