"""What reading a moment needs to know. The tables know it, and so does a unit folded from the log; what is made of it is the same."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import sqlalchemy as sa
from msgspec.structs import replace

from projector.log import Log
from projector.read.names import Names
from projector.sink import Checkpoint
from projector.taskrouter.callback import Callback, Unit, order_ms
from projector.taskrouter.fold import State, fold
from projector.taskrouter.head import Head
from projector.taskrouter.mention import Stated
from projector.taskrouter.reservation import ReservationStatusSpan
from projector.taskrouter.span import Span

S = TypeVar("S", bound=Span)


class Source(Protocol):
    """All that is known: of the log up to `position`. `today`: the tables as they are; `names`: as they are now."""

    log: Log
    position: int
    today: sa.Connection
    names: Names

    def callbacks(self, unit: Unit, since_ms: int, until_ms: int) -> list[Callback]:
        """The unit's callbacks known that are stamped between two moments, in the order they are folded: deletions last."""

    def state(self, unit: Unit) -> State | None:
        """The unit after all its callbacks known; None when none is."""

    def begun(self, last: S, at_ms: int) -> S | None:
        """Of the spans before `last`, its line's last one, the last that began at `at_ms` or earlier."""

    def offers(self, workspace_sid: str, worker_sid: str, at_ms: int) -> list[ReservationStatusSpan]:
        """A worker's reservations in a live status at `at_ms`, by task and Sid. None lasts longer than `LONGEST_MS`."""

    def stated(self, workspace_sid: str, worker_sid: str, task_channel_sid: str, at_ms: int) -> Stated | None:
        """The capacity of a worker's channel that was stated last, up to `at_ms`."""

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:
        """The unit's latest checkpoint with an order key below `before`, if there are any."""


def after(at_ms: int) -> str:
    """What every order key stamped up to `at_ms` lies below, and every later one above."""
    return f"{at_ms + 1:015d}"


def last_of(spans: Iterable[Span], kind: type[S]) -> S | None:
    """The last span of one line, among those of an entity's lines."""
    return next((span for span in spans if isinstance(span, kind)), None)


def span_at(source: Source, last: S | None, at_ms: int) -> S | None:
    """The span of a line that covers the moment; `last` is the line's last span. None before, after and between them."""
    span = span_begun(source, last, at_ms)
    return span if span is not None and (span.ended_ms is None or at_ms < span.ended_ms) else None


def span_begun(source: Source, last: S | None, at_ms: int) -> S | None:
    """The last span of a line that began at the moment or earlier, ended or not."""
    return last if last is None or last.started_ms <= at_ms else source.begun(last, at_ms)


def deleted_by(head: Head, at_ms: int) -> bool:
    """Whether its deletion had taken effect by the moment."""
    return head.deleted_ms is not None and head.deleted_ms <= at_ms


def state_at(source: Source, unit: Unit, at_ms: int) -> State | None:
    """The unit after its callbacks stamped up to the moment, deletions apart; None when there are none.

    It begins at the checkpoint before, so its cost does not grow with the unit's age.
    """
    point = source.checkpoint(unit, before=after(at_ms))
    folded_to, start = (point.folded_to, _without_deletion(point.state)) if point else ("", None)
    since_ms = order_ms(folded_to) if folded_to else 0
    told = [
        callback
        for callback in source.callbacks(unit, since_ms, at_ms)
        if callback.order > folded_to and not callback.is_deletion
    ]
    return fold(unit, told, start).state if told or start else None


def _without_deletion(state: State) -> State:
    """The state of a checkpoint, which may know of a deletion, whatever its stamp: deletions are outside the order."""
    return State(replace(state.head, deletion_order=None, deletion_received_ms=None), state.parts)
