"""A task and a reservation at a moment.

Status, queue and reservations come from spans; what has none (attributes, priority, reason, version) is as the task's callbacks
stamped up to the moment left it. An ended task stays, completed or canceled, until it is deleted.
"""

from typing import cast

from projector import tables
from projector.read.source import Source, deleted_by, last_of, span_at, span_begun, state_at
from projector.read.worker import offer_row
from projector.rows import Row
from projector.taskrouter.callback import Callback, Unit, order_identity
from projector.taskrouter.fold import State
from projector.taskrouter.reservation import Reservation, ReservationStatusSpan
from projector.taskrouter.reservation import end as offer_end
from projector.taskrouter.reservation import last_spans as offer_spans
from projector.taskrouter.task import Task, TaskQueueSpan, TaskStatusSpan, end
from projector.taskrouter.task import last_spans as task_spans


def task(source: Source, workspace_sid: str, task_sid: str, at_ms: int) -> Row | None:
    """The task at the moment; None when it was not there yet, or was deleted.

    `status` since when; `queue`: its last visit to one, `waiting` while that lasts; `reservations`: the live ones.
    """
    unit = Unit(workspace_sid, "task", task_sid)
    state = source.state(unit)
    if state is None:
        return None
    head = cast("Task", state.head)
    visit = span_begun(source, last_of(task_spans(head), TaskQueueSpan), at_ms)
    begun = [ms for ms in (head.created_ms, head.first_seen_ms, visit.started_ms if visit else None) if ms is not None]
    if not begun or at_ms < min(begun) or deleted_by(head, at_ms):
        return None
    told = state_at(source, unit, at_ms)
    then = cast("Task", told.head) if told else Task()
    lasts = [last_of(offer_spans(cast("Reservation", part)), ReservationStatusSpan) for part in state.parts.values()]
    live = [offer for last in lasts if (offer := span_at(source, last, at_ms)) is not None]
    return {
        "workspace_sid": workspace_sid,
        "task_sid": task_sid,
        **_status(source, unit, head, at_ms),
        "reason": then.reason,
        "priority": then.priority,
        "attributes": then.attributes,
        "task_channel_sid": then.task_channel_sid,
        "task_channel_unique_name": then.task_channel_unique_name,
        "workflow_sid": then.workflow_sid,
        "workflow_name": then.workflow_name,
        "workflow_name_now": source.names.now(tables.workflow, workspace_sid, then.workflow_sid),
        "transfer_status": then.transfer_status,
        "ignore_capacity": then.ignore_capacity,
        "created_at": head.created_ms,
        "version": then.version,
        "last_event_sid": then.last_event_sid,
        "updated_at": then.updated_ms,
        "queue": _visit_row(source, visit, at_ms) if visit else None,
        "reservations": [
            offer_row(source, offer) for offer in sorted(live, key=lambda offer: (offer.started_ms, offer.reservation_sid))
        ],
    }


def reservation(source: Source, workspace_sid: str, task_sid: str, reservation_sid: str, at_ms: int) -> Row | None:
    """The reservation at the moment; None when it was not there yet.

    `inferred`: its own end never came, it ended with its task, whose callback `event_sid` names.
    """
    unit = Unit(workspace_sid, "task", task_sid)
    state = source.state(unit)
    part = cast("Reservation | None", state.parts.get(reservation_sid)) if state else None
    if state is None or part is None or part.first_seen_ms is None or at_ms < part.first_seen_ms:
        return None
    told = state_at(source, unit, at_ms)
    then = cast("Reservation", told.parts.get(reservation_sid, Reservation())) if told else Reservation()
    return {
        "workspace_sid": workspace_sid,
        "reservation_sid": reservation_sid,
        "task_sid": task_sid,
        **_offer_status(source, unit, state, part, at_ms),
        "worker_sid": then.worker_sid,
        "worker_name": then.worker_name,
        "worker_name_now": source.names.now(tables.worker, workspace_sid, then.worker_sid),
        "worker_activity_sid": then.worker_activity_sid,
        "worker_activity_name": then.worker_activity_name,
        "task_queue_sid": then.task_queue_sid,
        "workflow_sid": then.workflow_sid,
        "task_channel_sid": then.task_channel_sid,
        "ignore_capacity": then.ignore_capacity,
        "reason": then.reason,
        "version": then.version,
        "updated_at": then.updated_ms,
        "created_at": then.created_ms,
        "accepted_at": then.accepted_ms,
        "wrapup_at": then.wrapup_ms,
    }


def _visit_row(source: Source, visit: TaskQueueSpan, at_ms: int) -> Row:
    waiting = visit.ended_ms is None or at_ms < visit.ended_ms
    return {
        "task_queue_sid": visit.task_queue_sid,
        "task_queue_name": visit.task_queue_name,
        "task_queue_name_now": source.names.now(tables.task_queue, visit.workspace_sid, visit.task_queue_sid),
        "waiting": waiting,
        "since": visit.started_ms,
        "until": visit.ended_ms,
        "outcome": None if waiting else visit.outcome,
        "inferred": visit.inferred,
        "event_sid": visit.event_sid,
    }


def _status(source: Source, unit: Unit, head: Task, at_ms: int) -> Row:
    """The status at the moment, since when, and who told it: the end if that has come, else the span."""
    status, ended_ms = end(head)
    if status is not None and ended_ms is not None and ended_ms <= at_ms:
        return {"status": status, "since": ended_ms, "event_sid": _task_end(source, unit, status, ended_ms)}
    span = span_at(source, last_of(task_spans(head), TaskStatusSpan), at_ms)
    return {"status": span and span.status, "since": span and span.started_ms, "event_sid": span and span.event_sid}


def _offer_status(source: Source, unit: Unit, state: State, part: Reservation, at_ms: int) -> Row:
    head, ended_ms = cast("Task", state.head), offer_end(part)
    if ended_ms is not None and ended_ms <= at_ms:
        with_task = _task_end(source, unit, *end(head)) if part.inferred else None
        event_sid = with_task or _told_at(source, unit, ended_ms, f"reservation.{part.status}", part.reservation_sid)
        return {"status": part.status, "since": ended_ms, "inferred": part.inferred, "event_sid": event_sid}
    if deleted_by(head, at_ms):  # stamped before what else is known of it: deleted wins
        event_sid = order_identity(head.deletion_order or "")
        return {"status": "canceled", "since": head.deleted_ms, "inferred": True, "event_sid": event_sid}
    span = span_at(source, last_of(offer_spans(part), ReservationStatusSpan), at_ms)
    return {
        "status": span and span.status,
        "since": span and span.started_ms,
        "inferred": False,
        "event_sid": span and span.event_sid,
    }


def _task_end(source: Source, unit: Unit, status: str | None, ended_ms: int | None) -> str | None:
    """The callback that ended the task: its own, else the first snapshot that showed it, else the deletion."""
    if ended_ms is None:
        return None
    if status is None:
        found = source.callbacks(unit, ended_ms, ended_ms)
        return next((callback.identity for callback in reversed(found) if callback.is_deletion), None)
    own = _told_at(source, unit, ended_ms, f"task.{status}", None)
    return own or next((each.identity for each in _stamped(source, unit, ended_ms) if _states(each, status)), None)


def _states(callback: Callback, status: str) -> bool:
    return callback.fields.task_assignment_status == status


def _told_at(source: Source, unit: Unit, at_ms: int, event_type: str, reservation_sid: str | None) -> str | None:
    """Which callback of that type, of the task or of one of its reservations, told what happened at that very moment."""
    for each in _stamped(source, unit, at_ms):
        if each.event_type == event_type and reservation_sid in (None, each.fields.reservation_sid):
            return each.identity
    return None


def _stamped(source: Source, unit: Unit, at_ms: int) -> list[Callback]:
    return source.callbacks(unit, at_ms, at_ms)
