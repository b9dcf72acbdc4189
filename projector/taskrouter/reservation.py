"""A Reservation: one offer of a task to a worker.

    pending ─▶ accepted ─▶ wrapping ─▶ completed
       │           └──────────────────────▲
       └──▶ rejected | timeout | canceled | rescinded      (all terminal)     failed: could not be created

Its status is told by the EventType (no callback carries it), or shown by an observation. A task may have several live reservations (transfer,
multi-reservation), so a reservation is known by its own Sid and never by task and worker. Its queue and workflow are those it was offered out of, as
first told: after a transfer its later callbacks show the queue that its task is in by then.
"""

from msgspec import Struct
from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.span import Closed, Line, Span
from projector.taskrouter.text import boolean, integer, moment_ms


class Reservation(Struct, frozen=True, kw_only=True):
    """A reservation's row. `inferred`: its own end never came, it ended with its task. `live_…`: its last live status."""

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
    ignore_capacity: bool | None = None
    live_status: str | None = None
    live_since_ms: int | None = None
    live_n: int = 0
    live_event_sid: str | None = None
    live_worker_name: str | None = None
    live_activity_sid: str | None = None
    live_activity_name: str | None = None
    updated_ms: int | None = None
    last_event_sid: str | None = None
    created_told: bool = False  # by reservation.created
    observed: bool = False  # REST has shown it, and no reservation.created: what came before that may never have been told
    closed: Closed = ()


class ReservationStatusSpan(Span, frozen=True, kw_only=True):
    """A time in one live status. The worker's name and activity are those its opening callback mentions."""

    task_sid: str | None = None
    reservation_sid: str = ""
    status: str = ""
    worker_sid: str | None = None
    worker_name: str | None = None
    worker_activity_sid: str | None = None
    worker_activity_name: str | None = None
    task_channel_sid: str | None = None
    ignore_capacity: bool | None = None


LINES = {ReservationStatusSpan: Line("live_n", "live_since_ms")}

ENDS = {  # status → the field with its time
    "rejected": "rejected_ms",
    "timeout": "timed_out_ms",
    "canceled": "canceled_ms",
    "rescinded": "rescinded_ms",
    "completed": "completed_ms",
    "failed": "failed_ms",
}
_LIVE = {"created": "pending", "accepted": "accepted", "wrapup": "wrapping"}  # what happened → the live status after it
_RANK = {None: 0, "pending": 1, "accepted": 2, "wrapping": 3}
_BECAME = {status: what for what, status in _LIVE.items()} | {status: status for status in ENDS}  # a status → what brings it


def evolve(reservation: Reservation, callback: Callback) -> Reservation:
    """The reservation after one of its own callbacks. The first end stands."""
    told = _described(reservation, callback)
    if reservation.status in ENDS:
        return told
    at_ms, what = callback.at_ms, _happened(reservation, callback)
    told = _lives(told, what, _span(reservation, at_ms), callback)
    match what:
        case "created":
            return replace(told, created_ms=moment_ms(callback.fields.date_created) or at_ms)
        case "accepted":
            return replace(told, accepted_ms=at_ms)
        case "wrapup":
            return replace(told, wrapup_ms=at_ms)
        case end if end in ENDS:
            return replace(told, status=end, **{ENDS[end]: at_ms})
        case _:
            return told


def end(reservation: Reservation) -> int | None:
    """When it ended; None while it lives."""
    return getattr(reservation, ENDS[reservation.status]) if reservation.status in ENDS else None


def ended_with_task(reservation: Reservation, task_status: str | None, task_ended_ms: int | None) -> Reservation:
    """Its end with its task, marked inferred, when its own never came: completed with it, else canceled."""
    if reservation.status in ENDS or task_ended_ms is None:
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
    return replace(reservation, status=reservation.live_status, completed_ms=None, canceled_ms=None, inferred=False)


def last_spans(reservation: Reservation) -> tuple[Span, ...]:
    """The last live status, as the row holds it: until its end, if that has come."""
    span = _span(reservation, end(reservation))
    missed = reservation.status == "completed" and reservation.live_status == "pending"  # its acceptance
    return () if span is None else (replace(span, inferred=reservation.inferred or missed),)


def _happened(reservation: Reservation, callback: Callback) -> str:
    """What the EventType says; of an observation, what must have happened where it shows a status further on."""
    if callback.event_type != "reservation.observed":
        return callback.event_type.removeprefix("reservation.")
    shown = callback.fields.reservation_status
    is_news = shown in ENDS or _RANK.get(shown, 0) > _RANK[reservation.status]
    return _BECAME.get(shown or "", "") if is_news else ""


def _lives(reservation: Reservation, what: str, ended: ReservationStatusSpan | None, callback: Callback) -> Reservation:
    """Its next live status, which ends the span before; a step back (an offer created after it was accepted) is none."""
    status = _LIVE.get(what)
    if status is None or _RANK[status] <= _RANK[reservation.status]:
        return reservation
    return replace(
        reservation,
        status=status,
        live_status=status,
        live_since_ms=callback.at_ms,
        live_n=reservation.live_n + (ended is not None),
        live_event_sid=callback.identity,
        live_worker_name=callback.fields.worker_name,
        live_activity_sid=callback.fields.worker_activity_sid,
        live_activity_name=callback.fields.worker_activity_name,
        closed=reservation.closed if ended is None else (*reservation.closed, ended),
    )


def _span(reservation: Reservation, ended_ms: int | None) -> ReservationStatusSpan | None:
    if reservation.live_since_ms is None or reservation.live_status is None:
        return None
    return ReservationStatusSpan(
        workspace_sid=reservation.workspace_sid,
        task_sid=reservation.task_sid,
        reservation_sid=reservation.reservation_sid,
        started_ms=reservation.live_since_ms,
        n=reservation.live_n,
        ended_ms=ended_ms,
        event_sid=reservation.live_event_sid,
        status=reservation.live_status,
        worker_sid=reservation.worker_sid,
        worker_name=reservation.live_worker_name,
        worker_activity_sid=reservation.live_activity_sid,
        worker_activity_name=reservation.live_activity_name,
        task_channel_sid=reservation.task_channel_sid,
        ignore_capacity=reservation.ignore_capacity,
    )


def _described(reservation: Reservation, callback: Callback) -> Reservation:
    fields = callback.fields
    version, ignore_capacity = integer(fields.reservation_version), boolean(fields.task_ignore_capacity)
    return replace(
        reservation,
        first_seen_ms=callback.at_ms if reservation.first_seen_ms is None else reservation.first_seen_ms,
        worker_sid=fields.worker_sid or reservation.worker_sid,
        worker_name=fields.worker_name or reservation.worker_name,
        worker_activity_sid=fields.worker_activity_sid or reservation.worker_activity_sid,
        worker_activity_name=fields.worker_activity_name or reservation.worker_activity_name,
        task_queue_sid=reservation.task_queue_sid or fields.task_queue_sid,
        workflow_sid=reservation.workflow_sid or fields.workflow_sid,
        task_channel_sid=fields.task_channel_sid or reservation.task_channel_sid,
        reason=fields.canceled_reason_code or fields.reason or reservation.reason,
        version=reservation.version if version is None else version,
        created_ms=reservation.created_ms if reservation.created_ms is not None else moment_ms(fields.date_created),
        ignore_capacity=reservation.ignore_capacity if ignore_capacity is None else ignore_capacity,
        updated_ms=callback.at_ms,
        last_event_sid=callback.identity,
        created_told=reservation.created_told or callback.event_type == "reservation.created",
        observed=reservation.observed or (callback.event_type == "reservation.observed" and not reservation.created_told),
    )
