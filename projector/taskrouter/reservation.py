"""A Reservation: one offer of a task to a worker.

    pending ─▶ accepted ─▶ wrapping ─▶ completed
       │           └──────────────────────▲
       └──▶ rejected | timeout | canceled | rescinded      (all terminal)     failed: could not be created

Its status is told by the EventType (no callback carries it). A task may have several live reservations (transfer,
multi-reservation), so a reservation is known by its own Sid and never by task and worker.
"""

from msgspec import Struct
from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.text import integer


class Reservation(Struct, frozen=True, kw_only=True):
    """A reservation's row. `inferred`: its own end never came, it ended with its task."""

    workspace_sid: str = ""
    reservation_sid: str = ""
    first_seen_ms: int | None = None
    task_sid: str | None = None
    worker_sid: str | None = None
    worker_name: str | None = None
    worker_activity_sid: str | None = None
    worker_activity_name: str | None = None
    task_queue_sid: str | None = None
    workflow_sid: str | None = None
    task_channel_sid: str | None = None
    status: str | None = None
    reason: str | None = None
    version: int | None = None
    created_ms: int | None = None
    accepted_ms: int | None = None
    rejected_ms: int | None = None
    timed_out_ms: int | None = None
    canceled_ms: int | None = None
    rescinded_ms: int | None = None
    wrapup_ms: int | None = None
    completed_ms: int | None = None
    failed_ms: int | None = None
    inferred: bool = False
    updated_ms: int | None = None
    last_event_sid: str | None = None


initial = Reservation()

TERMINAL = ("rejected", "timeout", "canceled", "rescinded", "completed", "failed")


def evolve(reservation: Reservation, callback: Callback) -> Reservation:
    """The reservation after one of its own callbacks."""
    reservation = _described(reservation, callback)
    if reservation.status in TERMINAL:
        return reservation
    at_ms = callback.at_ms
    match callback.event_type:
        case "reservation.created":
            return replace(reservation, status=reservation.status or "pending", created_ms=at_ms)
        case "reservation.accepted":
            status = reservation.status if reservation.status == "wrapping" else "accepted"
            return replace(reservation, status=status, accepted_ms=at_ms)
        case "reservation.wrapup":
            return replace(reservation, status="wrapping", wrapup_ms=at_ms)
        case "reservation.completed":
            return replace(reservation, status="completed", completed_ms=at_ms)
        case "reservation.rejected":
            return replace(reservation, status="rejected", rejected_ms=at_ms)
        case "reservation.timeout":
            return replace(reservation, status="timeout", timed_out_ms=at_ms)
        case "reservation.canceled":
            return replace(reservation, status="canceled", canceled_ms=at_ms)
        case "reservation.rescinded":
            return replace(reservation, status="rescinded", rescinded_ms=at_ms)
        case "reservation.failed":
            return replace(reservation, status="failed", failed_ms=at_ms)
        case _:
            return reservation


def ended_with_task(reservation: Reservation, task_status: str | None, task_ended_ms: int | None) -> Reservation:
    """Its end with its task, marked inferred, when its own never came: completed with it, else canceled."""
    if reservation.status in TERMINAL or task_ended_ms is None:
        return reservation
    began = (reservation.wrapup_ms, reservation.accepted_ms, reservation.created_ms, reservation.first_seen_ms)
    ended_ms = max(task_ended_ms, *(ms for ms in began if ms is not None))
    if task_status == "completed":
        return replace(reservation, status="completed", completed_ms=ended_ms, inferred=True)
    return replace(reservation, status="canceled", canceled_ms=ended_ms, inferred=True)


def as_told(reservation: Reservation) -> Reservation:
    """The reservation without an inferred end, as its own callbacks left it: what `evolve` goes on from."""
    if not reservation.inferred:
        return reservation
    status = None
    if reservation.created_ms is not None:
        status = "pending"
    if reservation.accepted_ms is not None:
        status = "accepted"
    if reservation.wrapup_ms is not None:
        status = "wrapping"
    return replace(reservation, status=status, completed_ms=None, canceled_ms=None, inferred=False)


def _described(reservation: Reservation, callback: Callback) -> Reservation:
    fields = callback.fields
    version = integer(fields.reservation_version)
    return replace(
        reservation,
        first_seen_ms=callback.at_ms if reservation.first_seen_ms is None else reservation.first_seen_ms,
        worker_sid=fields.worker_sid or reservation.worker_sid,
        worker_name=fields.worker_name or reservation.worker_name,
        worker_activity_sid=fields.worker_activity_sid or reservation.worker_activity_sid,
        worker_activity_name=fields.worker_activity_name or reservation.worker_activity_name,
        task_queue_sid=fields.task_queue_sid or reservation.task_queue_sid,
        workflow_sid=fields.workflow_sid or reservation.workflow_sid,
        task_channel_sid=fields.task_channel_sid or reservation.task_channel_sid,
        reason=fields.canceled_reason_code or fields.reason or reservation.reason,
        version=reservation.version if version is None else version,
        updated_ms=callback.at_ms,
        last_event_sid=callback.identity,
    )
