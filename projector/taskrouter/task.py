"""A Task: its status, its queue, its way from creation to its end.

    pending ─▶ reserved ─▶ assigned ─▶ wrapping ─▶ completed
       │  ◀──────┘  ▲          │                       (terminal)
       └──▶ canceled └─────────┘ transfer
            (terminal)

Every callback of a task is a wide snapshot, so any of them may be the first one seen. The status is the one the callback
states (`TaskAssignmentStatus` is the status *after* the event: recorded), else the one its EventType implies. Completed
and canceled absorb the status and nothing else: a `task.updated` after completion (observed) may change attributes.
"""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head
from projector.taskrouter.text import boolean, canonical_json, integer, moment_ms

TERMINAL = ("completed", "canceled")


class Task(Head, frozen=True, kw_only=True):
    """A task's row."""

    task_sid: str = ""
    first_seen_ms: int | None = None
    attributes: str | None = None
    attributes_readable: bool = True
    status: str | None = None
    reason: str | None = None
    priority: int | None = None
    ignore_capacity: bool | None = None
    task_channel_sid: str | None = None
    task_channel_unique_name: str | None = None
    task_queue_sid: str | None = None
    task_queue_name: str | None = None
    workflow_sid: str | None = None
    workflow_name: str | None = None
    transfer_status: str | None = None
    created_ms: int | None = None
    queue_entered_ms: int | None = None
    first_reserved_ms: int | None = None
    first_accepted_ms: int | None = None
    wrapup_ms: int | None = None
    completed_ms: int | None = None
    canceled_ms: int | None = None
    version: int | None = None


initial = Task()

_IMPLIED_STATUS = {
    "task.created": "pending",
    "reservation.created": "reserved",
    "reservation.accepted": "assigned",
    "task.wrapup": "wrapping",
    "task.completed": "completed",
    "task.canceled": "canceled",
}
_TRANSFER_STATUS = {  # Twilio's SDK's words
    "task.transfer-initiated": "initiated",
    "task.transfer-attempt-failed": "initiated",
    "task.transfer-failed": "failed",
    "task.transfer-canceled": "canceled",
    "task.transfer-completed": "complete",
}


def evolve(task: Task, callback: Callback) -> Task:
    """The task after one of its callbacks, a deletion apart."""
    task = _moved(_ended(_described(task, callback), callback), callback)
    at_ms = callback.at_ms
    match callback.event_type:
        case "task.created":
            return replace(task, created_ms=at_ms)
        case "reservation.created" if task.first_reserved_ms is None:
            return replace(task, first_reserved_ms=at_ms)
        case "reservation.accepted" if task.first_accepted_ms is None:
            return replace(task, first_accepted_ms=at_ms)
        case "task.wrapup" if task.wrapup_ms is None:
            return replace(task, wrapup_ms=at_ms)
        case _:
            return task


def _described(task: Task, callback: Callback) -> Task:
    fields = callback.fields
    attributes = canonical_json(fields.task_attributes)
    priority, version = integer(fields.task_priority), integer(fields.task_version)
    ignore_capacity = boolean(fields.task_ignore_capacity)
    stated_creation = moment_ms(fields.task_date_created)
    return replace(
        task,
        first_seen_ms=callback.at_ms if task.first_seen_ms is None else task.first_seen_ms,
        attributes=task.attributes if attributes is None else attributes,
        attributes_readable=task.attributes_readable if fields.task_attributes is None else attributes is not None,
        reason=fields.reason or fields.task_canceled_reason or fields.task_completed_reason or task.reason,
        priority=task.priority if priority is None else priority,
        ignore_capacity=task.ignore_capacity if ignore_capacity is None else ignore_capacity,
        task_channel_sid=fields.task_channel_sid or task.task_channel_sid,
        task_channel_unique_name=fields.task_channel_unique_name or task.task_channel_unique_name,
        workflow_sid=fields.workflow_sid or task.workflow_sid,
        workflow_name=fields.workflow_name or task.workflow_name,
        transfer_status=_TRANSFER_STATUS.get(callback.event_type, task.transfer_status),
        created_ms=stated_creation if task.created_ms is None else task.created_ms,
        version=task.version if version is None else version,
    )


def _ended(task: Task, callback: Callback) -> Task:
    """Status; its end, where the callback tells one. The end's own callback dates it better than a snapshot of it."""
    stated = callback.fields.task_assignment_status or _IMPLIED_STATUS.get(callback.event_type)
    at_ms = callback.at_ms
    if task.status not in TERMINAL and stated is not None:
        task = replace(task, status=stated)
        if stated == "completed":
            task = replace(task, completed_ms=at_ms)
        elif stated == "canceled":
            task = replace(task, canceled_ms=at_ms)
    if callback.event_type == "task.completed" and task.status == "completed":
        return replace(task, completed_ms=at_ms)
    if callback.event_type == "task.canceled" and task.status == "canceled":
        return replace(task, canceled_ms=at_ms)
    return task


def _moved(task: Task, callback: Callback) -> Task:
    """Its queue, and when it entered it: `task-queue.entered`, else what a snapshot in another queue shows."""
    fields = callback.fields
    sid = fields.task_queue_sid or task.task_queue_sid
    name = fields.task_queue_name or (task.task_queue_name if sid == task.task_queue_sid else None)
    entered_ms = task.queue_entered_ms
    if callback.event_type == "task-queue.entered":
        entered_ms = callback.at_ms
    elif sid != task.task_queue_sid:
        stated = moment_ms(fields.task_queue_entered_date)
        entered_ms = stated if stated is not None else callback.at_ms
    return replace(task, task_queue_sid=sid, task_queue_name=name, queue_entered_ms=entered_ms)


def end(task: Task) -> tuple[str | None, int | None]:
    """How and when the task ended: completed, canceled or (status None) deleted; (None, None) while it lives."""
    if task.completed_ms is not None:
        return "completed", task.completed_ms
    if task.canceled_ms is not None:
        return "canceled", task.canceled_ms
    return None, task.deleted_ms
