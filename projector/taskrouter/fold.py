"""fold: a unit's callbacks, in the order they happened, to its state.

A state is the unit's head (task, worker, …) and its parts (reservations, channels). Folding one by one or all at once,
from nothing or from a state saved before, gives the same: what depends on the whole (a deletion's effective time, the
end of a reservation that only its task's end tells) is settled after the last callback and undone before the next.

History comes out of the same fold: whatever span a callback closes, and whatever gap it reveals, is handed out beside the state.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projector.taskrouter import (
    activity,
    reservation,
    task,
    task_channel,
    task_queue,
    worker,
    worker_channel,
    workflow,
    workspace,
)
from projector.taskrouter.callback import Callback, Unit
from projector.taskrouter.head import Head, counted, dated, deleted, stamped_deletion_ms
from projector.taskrouter.reservation import Reservation
from projector.taskrouter.span import Line, Span
from projector.taskrouter.worker_channel import WorkerChannel

FOLD_VERSION = 5  # raise it when any evolve changes: tables folded by another version are due for a rebuild

Part = Reservation | WorkerChannel

ENTITIES: dict[str, Any] = {  # kind → the module whose State, initial and evolve are the unit's head
    "workspace": workspace,
    "activity": activity,
    "worker": worker,
    "task": task,
    "task_queue": task_queue,
    "workflow": workflow,
    "task_channel": task_channel,
}
LINED: dict[type[Struct], Any] = {  # the entities with history → their modules: `LINES`, `last_spans`
    worker.Worker: worker,
    WorkerChannel: worker_channel,
    task.Task: task,
    Reservation: reservation,
}


class State(NamedTuple):
    """A unit folded: its head, and its parts by Sid (a worker's channels by TaskChannelSid)."""

    head: Head
    parts: dict[str, Part]


class Folding(NamedTuple):
    """What a fold comes to: the state, and the spans it closed and the gaps it revealed, of each line the oldest first."""

    state: State
    closed: list[Struct]


def fold(unit: Unit, callbacks: Iterable[Callback], state: State | None = None) -> Folding:
    """The unit after these callbacks, given in order; `state` is what was folded before them."""
    head, parts = initial(unit) if state is None else _unsettled(state)
    parts = dict(parts)
    evolve, part_after = ENTITIES[unit.kind].evolve, _PART_AFTER.get(unit.kind)
    told: list[Callback] = []
    for callback in callbacks:
        if callback.is_deletion:
            head = deleted(head, callback)
            if isinstance(head, task.Task):
                head = task.seen(head, callback.at_ms)
        elif callback.known is not None:  # else a newer release stored it under this unit: it is ignored
            told.append(callback)
            head = evolve(head, callback)
            if part_after is not None:
                part_after(head, parts, callback)
    closed: list[Struct] = list(head.closed)
    head = counted(head, told)
    for sid, part in parts.items():
        if part.closed:
            closed += part.closed
            parts[sid] = replace(part, closed=())
    return Folding(_settled(State(head, parts)), closed)


def initial(unit: Unit) -> State:
    """A unit of which nothing is known but its name."""
    name = {"workspace_sid": unit.workspace_sid, f"{unit.kind}_sid": unit.sid}
    return State(replace(ENTITIES[unit.kind].initial, **name), {})


def with_deletion_of(state: State, other: State) -> State:
    """`state` knowing of the deletion that `other` knows of: deletions are outside the order, so a re-fold keeps them."""
    head = replace(state.head, deletion_order=other.head.deletion_order, deletion_received_ms=other.head.deletion_received_ms)
    if isinstance(head, task.Task) and isinstance(other.head, task.Task) and other.head.first_seen_ms is not None:
        head = task.seen(head, other.head.first_seen_ms)  # which may be the deletion's stamp
    return State(head, state.parts)


def last_spans(state: State) -> list[Span]:
    """The last span of every line of the unit: open, or ended by what ended the entity."""
    entities = (state.head, *state.parts.values())
    return [span for each in entities if type(each) in LINED for span in LINED[type(each)].last_spans(each)]


def lines(entity: Struct) -> dict[type[Struct], Line]:
    """The lines of a head or part: the kind of span → where its row keeps the last one."""
    module = LINED.get(type(entity))
    found: dict[type[Struct], Line] = module.LINES if module else {}
    return found


def _reservation_after(head: Head, parts: dict[str, Part], callback: Callback) -> None:
    """Put the task's reservation that this callback is about, as it is after it, among its parts."""
    sid = callback.fields.reservation_sid
    if sid is None or not callback.event_type.startswith("reservation."):
        return
    offer = parts.get(sid)
    if offer is None:
        offer = Reservation(workspace_sid=head.workspace_sid, task_sid=cast("task.Task", head).task_sid, reservation_sid=sid)
    parts[sid] = reservation.evolve(cast("Reservation", offer), callback)


def _channel_after(head: Head, parts: dict[str, Part], callback: Callback) -> None:
    """The same for the worker's channel."""
    sid = callback.fields.task_channel_sid
    if sid is None or callback.event_type not in worker_channel.EVENT_TYPES:
        return
    channel = parts.get(sid)
    if channel is None:
        worker_sid = cast("worker.Worker", head).worker_sid
        channel = WorkerChannel(workspace_sid=head.workspace_sid, worker_sid=worker_sid, task_channel_sid=sid)
    parts[sid] = worker_channel.evolve(cast("WorkerChannel", channel), callback)


_PART_AFTER = {"task": _reservation_after, "worker": _channel_after}


def _settled(state: State) -> State:
    head, parts = state
    if isinstance(head, worker.Worker):
        deleted_ms, basis = worker.deletion(head)
        head = dated(replace(head, deleted_at_basis=basis), deleted_ms)
        if any(part.ended_ms != deleted_ms for part in parts.values() if isinstance(part, WorkerChannel)):
            parts = {sid: replace(part, ended_ms=deleted_ms) for sid, part in parts.items()}
        return State(head, parts)
    head = dated(head, stamped_deletion_ms(head))
    if isinstance(head, task.Task):
        status, ended_ms = task.end(head)
        if ended_ms is not None:
            parts = {sid: _ended(part, status, ended_ms) for sid, part in parts.items()}
    return State(head, parts)


def _ended(part: Part, task_status: str | None, ended_ms: int) -> Part:
    return reservation.ended_with_task(part, task_status, ended_ms) if isinstance(part, Reservation) else part


def _unsettled(state: State) -> State:
    if not isinstance(state.head, task.Task):
        return state
    parts = {sid: reservation.as_told(part) if isinstance(part, Reservation) else part for sid, part in state.parts.items()}
    return State(state.head, parts)


_decoders = {
    kind: msgspec.msgpack.Decoder(
        tuple[type(module.initial), dict[str, Reservation if kind == "task" else WorkerChannel]]  # type: ignore[misc]
    )
    for kind, module in ENTITIES.items()
}


def encode(state: State) -> bytes:
    """A state as bytes, for a checkpoint."""
    return msgspec.msgpack.encode(state)


def decode(kind: str, data: bytes) -> State:
    """The state of a unit of this kind that `encode` wrote."""
    return State(*_decoders[kind].decode(data))
