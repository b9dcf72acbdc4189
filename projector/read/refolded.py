"""The source that is the log up to a position: single units, folded in memory, as they were known then.

Only the unit asked for is folded whole (some 10 µs a callback), and of other units what an answer needs. Which those are is asked of
today's tables, which know at least as much. A worker's reservations: those of the tasks that the tables show offered to it by
anything begun up to `LATE_MS` before what could still last, for an offer that is known to have begun earlier today than it was then.
"""

from collections.abc import Sequence

from msgspec import Struct

from projector.log.entry import recorded_ms
from projector.project import history
from projector.read.present import Present
from projector.read.source import S, after, deleted_by
from projector.rows import LINE_KEY
from projector.sink import Checkpoint
from projector.taskrouter.callback import FUTURE_TOLERANCE_MS, Callback, Unit, order_identity
from projector.taskrouter.fold import Folding, State, fold, last_spans
from projector.taskrouter.mention import Stated
from projector.taskrouter.reservation import ReservationStatusSpan
from projector.taskrouter.span import LONGEST_MS, Span
from projector.taskrouter.text import LATEST_MS

LATE_MS = 30 * 24 * 3_600_000  # Twilio keeps its events so long: nothing arrives later than that


class Refolded:
    """See `Source`. Folds a unit the first time it is asked for."""

    def __init__(self, present: Present, position: int) -> None:
        self.log, self.position, self.today, self.names = present.log, position, present.today, present.names
        self._present = present
        self._told: dict[Unit, list[Callback]] = {}
        self._folded: dict[Unit, Folding | None] = {}

    def callbacks(self, unit: Unit, since_ms: int, until_ms: int) -> list[Callback]:
        """See `Source.callbacks`."""
        if unit not in self._told:
            self._told[unit] = [each.callback for each in history(self.log, unit, self.position)]
        return [callback for callback in self._told[unit] if since_ms <= callback.at_ms <= until_ms]

    def state(self, unit: Unit) -> State | None:
        """See `Source.state`."""
        folding = self.folding(unit)
        return folding.state if folding else None

    def begun(self, last: S, at_ms: int) -> S | None:
        """See `Source.begun`."""
        found = None
        for span in self._closed(_unit_of(last)):
            if isinstance(span, type(last)) and _line(span) == _line(last) and span.started_ms <= at_ms:
                found = span  # they come oldest first
        return found

    def offers(self, workspace_sid: str, worker_sid: str, at_ms: int) -> list[ReservationStatusSpan]:
        """See `Source.offers`."""
        spans = self.offered(workspace_sid, worker_sid, at_ms, at_ms, there_at_ms=at_ms)
        lasting = [span for span in spans if _lasts(span, at_ms)]
        return sorted(lasting, key=lambda span: (span.task_sid or "", span.reservation_sid))

    def offered(
        self, workspace_sid: str, worker_sid: str, since_ms: int, until_ms: int, there_at_ms: int | None = None
    ) -> list[ReservationStatusSpan]:
        """A worker's reservations that may have lasted at some time between two moments; not those of tasks deleted by `there_at_ms`."""
        spans: list[ReservationStatusSpan] = []
        for sid in self._present.tasks_offered(workspace_sid, worker_sid, since_ms - LONGEST_MS - LATE_MS, until_ms):
            unit = Unit(workspace_sid, "task", sid)
            state = self.state(unit)
            if state is None or (there_at_ms is not None and deleted_by(state.head, there_at_ms)):
                continue
            every = self.spans(unit)
            spans += [span for span in every if isinstance(span, ReservationStatusSpan) and span.worker_sid == worker_sid]
        return spans

    def spans(self, unit: Unit) -> list[Span]:
        """All spans of a unit, those that last among them."""
        state = self.state(unit)
        closed = [span for span in self._closed(unit) if isinstance(span, Span)]
        return [*closed, *last_spans(state)] if state else closed

    def stated(self, workspace_sid: str, worker_sid: str, task_channel_sid: str, at_ms: int) -> Stated | None:
        """See `Source.stated`: of those the tables hold, the last whose callback had arrived. None later than its own time can have."""
        newest = self.log.read(self.position - 1, 1) if self.position else []
        if not newest:
            return None
        order = after(min(at_ms, recorded_ms(newest[0].state) + FUTURE_TOLERANCE_MS))
        while found := self._present.stated_before((workspace_sid, worker_sid, task_channel_sid), order):
            stored = self.log.find(f"{workspace_sid}/{order_identity(found.stated_order)}")
            if stored is not None and stored.position <= self.position:
                return found
            order = found.stated_order
        return None

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:  # noqa: ARG002 (Source's signature)
        """None: a checkpoint of the tables may hold what arrived later."""
        return None

    def folding(self, unit: Unit) -> Folding | None:
        """A unit's state, and the spans and gaps of before; None when nothing of it had arrived."""
        if unit not in self._folded:
            told = self.callbacks(unit, 0, LATEST_MS)
            self._folded[unit] = fold(unit, told) if told else None
        return self._folded[unit]

    def _closed(self, unit: Unit) -> Sequence[Struct]:
        folding = self.folding(unit)
        return folding.closed if folding else ()


def _line(span: S) -> tuple[str, ...]:
    return tuple(getattr(span, name) for name in LINE_KEY[type(span)])


def _unit_of(span: S) -> Unit:
    kind = "task" if hasattr(span, "task_sid") else "worker"
    return Unit(span.workspace_sid, kind, getattr(span, f"{kind}_sid"))


def _lasts(span: ReservationStatusSpan, at_ms: int) -> bool:
    return at_ms - LONGEST_MS < span.started_ms <= at_ms and (span.ended_ms is None or at_ms < span.ended_ms)
