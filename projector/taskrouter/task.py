"""A Task: its status, its queue, its way from creation to its end.

    pending ─▶ reserved ─▶ assigned ─▶ wrapping ─▶ completed
       │  ◀──────┘  ▲          │                       (terminal)
       └──▶ canceled └─────────┘ transfer
            (terminal)

Every callback of a task is a wide snapshot, and so is an observation, so any of them may be the first one seen. The status is the one the callback
states (`TaskAssignmentStatus` is the status *after* the event: recorded), else the one its EventType implies. Completed
and canceled absorb the status and nothing else: a `task.updated` after completion (observed) may change attributes.

A visit to a queue begins with `task-queue.entered`, or where a snapshot shows one that nothing told of (inferred; a transfer's own
callback tells it): dated where its queue was first shown. It ends with the acceptance, a timeout, a move, or the task; a rejection does not
end it. Neither a move nor a transfer was recorded, so what their callbacks show is believed with care: `_shows_one`.
"""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head
from projector.taskrouter.span import Line, Span
from projector.taskrouter.text import boolean, canonical_json, integer, moment_ms

TERMINAL = ("completed", "canceled")


class Task(Head, frozen=True, kw_only=True):
    """A task's row. `live_…`: its last status that was no end; `visit_…`: its last visit to a queue."""

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
    live_status: str | None = None
    live_since_ms: int | None = None
    live_n: int = 0
    live_event_sid: str | None = None
    visit_queue_sid: str | None = None
    visit_queue_name: str | None = None
    visit_since_ms: int | None = None
    visit_n: int = 0
    visit_event_sid: str | None = None
    visit_told: bool = False  # by task-queue.entered
    visit_inferred: bool = False
    visit_ended_ms: int | None = None
    visit_outcome: str | None = None
    created_told: bool = False  # by task.created
    ended_told: bool = False  # by task.completed or task.canceled, or shown by REST
    observed: bool = False  # REST has shown it, and no task.created: what came before that may never have been told


class TaskStatusSpan(Span, frozen=True, kw_only=True):
    """A time in one status that is no end."""

    task_sid: str = ""
    status: str = ""


class TaskQueueSpan(Span, frozen=True, kw_only=True):
    """A visit to a queue, with the queue's name as sent. `outcome`: what ended it; None while it lasts."""

    task_sid: str = ""
    task_queue_sid: str = ""
    task_queue_name: str | None = None
    told: bool = False  # by task-queue.entered
    outcome: str | None = None


initial = Task()
LINES = {TaskStatusSpan: Line("live_n", "live_since_ms"), TaskQueueSpan: Line("visit_n", "visit_since_ms")}

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
    task = _visited(task, _moved(_ended(_described(task, callback), callback), callback), callback)
    at_ms = callback.at_ms
    match callback.event_type:
        case "task.created":
            return replace(task, created_ms=at_ms, created_told=True)
        case "task.completed" | "task.canceled":
            return replace(task, ended_told=True)
        case "task.observed":
            is_over = callback.fields.task_assignment_status in TERMINAL
            return replace(task, observed=task.observed or not task.created_told, ended_told=task.ended_told or is_over)
        case "reservation.created" if task.first_reserved_ms is None:
            return replace(task, first_reserved_ms=at_ms)
        case "reservation.accepted" if task.first_accepted_ms is None:
            return replace(task, first_accepted_ms=at_ms)
        case "task.wrapup" if task.wrapup_ms is None:
            return replace(task, wrapup_ms=at_ms)
        case _:
            return task


def end(task: Task) -> tuple[str | None, int | None]:
    """How and when the task ended: completed, canceled or (status None) deleted; (None, None) while it lives."""
    if task.completed_ms is not None:
        return "completed", task.completed_ms
    if task.canceled_ms is not None:
        return "canceled", task.canceled_ms
    return None, task.deleted_ms


def seen(task: Task, at_ms: int) -> Task:
    """The task spoken of at a moment, which may be its deletion's: earlier than all else, or all there is."""
    return task if task.first_seen_ms is not None and task.first_seen_ms <= at_ms else replace(task, first_seen_ms=at_ms)


def last_spans(task: Task) -> tuple[Span, ...]:
    """The last live status and the last visit, as the row holds them: until the task's end, if that has come.

    A deletion's stamp may lie before them: they end where they began then.
    """
    status, ended_ms = end(task)
    live = _status_span(task, ended_ms)
    visit = _visit(task)
    if visit is not None and visit.ended_ms is None and ended_ms is not None:
        missed = status == "completed"  # nobody completes what nobody accepted
        ended_ms = max(visit.started_ms, ended_ms)
        visit = replace(visit, ended_ms=ended_ms, outcome=status or "deleted", inferred=visit.inferred or missed)
    return tuple(span for span in (live, visit) if span is not None)


def _described(task: Task, callback: Callback) -> Task:
    fields = callback.fields
    attributes = canonical_json(fields.task_attributes)
    priority, version = integer(fields.task_priority), callback.version
    ignore_capacity = boolean(fields.task_ignore_capacity)
    created_ms = task.created_ms if task.created_ms is not None else moment_ms(fields.task_date_created)
    return replace(
        task,
        first_seen_ms=seen(task, callback.at_ms).first_seen_ms,
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
        created_ms=created_ms,
        version=task.version if version is None else version,
    )


def _ended(task: Task, callback: Callback) -> Task:
    """Status; its end, where the callback tells one. The end's own callback dates it better than a snapshot of it."""
    stated = callback.fields.task_assignment_status or _IMPLIED_STATUS.get(callback.event_type)
    at_ms = callback.at_ms
    if task.status not in TERMINAL and stated is not None and stated != task.status:
        if stated == "completed":
            task = replace(task, status=stated, completed_ms=at_ms)
        elif stated == "canceled":
            task = replace(task, status=stated, canceled_ms=at_ms)
        else:
            task = _lives(task, stated, callback)
    if callback.event_type == "task.completed" and task.status == "completed":
        return replace(task, completed_ms=at_ms)
    if callback.event_type == "task.canceled" and task.status == "canceled":
        return replace(task, canceled_ms=at_ms)
    return task


def _lives(task: Task, status: str, callback: Callback) -> Task:
    ended = _status_span(task, callback.at_ms)
    return replace(
        task,
        status=status,
        live_status=status,
        live_since_ms=callback.at_ms,
        live_n=task.live_n + (ended is not None),
        live_event_sid=callback.identity,
        closed=task.closed if ended is None else (*task.closed, ended),
    )


def _status_span(task: Task, ended_ms: int | None) -> TaskStatusSpan | None:
    if task.live_since_ms is None or task.live_status is None:
        return None
    return TaskStatusSpan(
        workspace_sid=task.workspace_sid,
        task_sid=task.task_sid,
        started_ms=task.live_since_ms,
        n=task.live_n,
        ended_ms=ended_ms if ended_ms is None else max(ended_ms, task.live_since_ms),
        event_sid=task.live_event_sid,
        status=task.live_status,
    )


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
    elif name == task.task_queue_name:
        return task
    return replace(task, task_queue_sid=sid, task_queue_name=name, queue_entered_ms=entered_ms)


def _visited(before: Task, task: Task, callback: Callback) -> Task:
    """Its visits to queues: first what ends one, then what begins the next, then what shows that it ended unseen."""
    told, at_ms = callback.event_type, callback.at_ms
    if before.status in TERMINAL:
        return task
    if task.status in TERMINAL:  # a visit that lasts ends with the task (`last_spans`)
        return _entered(task, callback) if _went_on(task) and task.task_queue_sid != task.visit_queue_sid else task
    task = _left(task, told, at_ms)
    is_held = task.status in ("assigned", "wrapping") and told != "task.transfer-initiated" and not _gives(task, told)
    if told == "task-queue.entered" or _shows_one(before, task, callback, is_held=is_held):
        task = _entered(task, callback)
    if not is_held or not _lasts(task):
        return task
    # With a transfer's failure comes a task.updated, which may be the first to show the task assigned again.
    is_back = told in _FAILED or (task.transfer_status == "initiated" and told in ("task.updated", *_UNWANTED))
    inferred = task.visit_inferred or not (is_back or told == "reservation.rescinded")  # rescinded: a sibling was accepted
    return replace(task, visit_ended_ms=at_ms, visit_outcome="canceled" if is_back else "accepted", visit_inferred=inferred)


def _gives(task: Task, told: str) -> bool:
    """Whether it may be told of whoever hands the task on, and wraps up meanwhile: its snapshot may be of before."""
    return task.transfer_status == "initiated" and told in ("reservation.wrapup", "reservation.completed")


def _shows_one(before: Task, task: Task, callback: Callback, *, is_held: bool) -> bool:
    """Whether a snapshot shows a visit that nothing told of."""
    told = callback.event_type
    if told.startswith("workflow."):  # where it is to go
        return False
    if task.visit_since_ms is None:
        return True
    is_other, at_ms = task.task_queue_sid != task.visit_queue_sid, callback.at_ms
    if _went_on(task):
        return is_other and (told == "reservation.created" or at_ms - (task.visit_ended_ms or 0) > SETTLES_MS)
    if is_held:  # it waits nowhere: what is shown is where it was
        return False
    if _lasts(task):  # others may show where it is to go; an offer is made out of the queue it is in
        return is_other and told in ("reservation.created", "task.observed")
    return task.task_queue_sid != before.task_queue_sid  # somebody held it, and gives it to another queue


def _lasts(task: Task) -> bool:
    return task.visit_since_ms is not None and task.visit_ended_ms is None


def _went_on(task: Task) -> bool:
    """Out of its last queue, and nothing told into which."""
    return task.visit_outcome in ("moved", "timeout")


_OUTCOMES = {"reservation.accepted": "accepted", "task-queue.timeout": "timeout", "task-queue.moved": "moved"}
SETTLES_MS = 1_000  # within which callbacks of one change follow one another: our decision, for no move was recorded
_UNWANTED = ("reservation.canceled", "reservation.rejected", "reservation.timeout")
_FAILED = ("task.transfer-failed", "task.transfer-canceled")  # assigned again, and nobody accepted it out of the queue


def _left(task: Task, told: str, at_ms: int) -> Task:
    outcome = _OUTCOMES.get(told)
    if outcome is None or task.visit_since_ms is None:
        return task
    if task.visit_ended_ms is None:
        return replace(task, visit_ended_ms=at_ms, visit_outcome=outcome)
    if outcome == "timeout" and task.visit_outcome == "moved" and task.visit_ended_ms == at_ms:
        return replace(task, visit_outcome=outcome)  # both told in one millisecond: it was moved because it timed out
    return task


def _entered(task: Task, callback: Callback) -> Task:
    """In the queue that it was shown in last: told, or shown, which dates it where the queue was first shown, or as it says."""
    sid, name, at_ms = task.task_queue_sid, task.task_queue_name, callback.at_ms
    is_told, lasts = callback.event_type == "task-queue.entered", _lasts(task)
    if sid is None:
        return task
    if is_told and lasts and sid == task.visit_queue_sid and not task.visit_told:
        # The queue was seen in a snapshot before it was told: the creation set's order is not fixed (recorded 2018).
        if task.visit_inferred:
            task = replace(task, visit_since_ms=at_ms, visit_event_sid=callback.identity)
        return replace(task, visit_queue_name=name, visit_told=True, visit_inferred=False)
    stated_ms = None if is_told else moment_ms(callback.fields.task_queue_entered_date)
    shown_ms = task.queue_entered_ms if stated_ms is None else stated_ms
    earliest_ms = max((ms for ms in (task.visit_since_ms, task.visit_ended_ms) if ms is not None), default=0)
    began_ms = at_ms if shown_ms is None else min(at_ms, max(shown_ms, earliest_ms))
    ended = _visit(task)
    if ended is not None and lasts:
        ended = replace(ended, ended_ms=began_ms, outcome="moved", inferred=True)
    return replace(
        task,
        visit_queue_sid=sid,
        visit_queue_name=name,
        visit_since_ms=began_ms,
        visit_n=task.visit_n + (ended is not None),
        visit_event_sid=callback.identity,
        visit_told=is_told,
        visit_inferred=not is_told and callback.event_type != "task.transfer-initiated",
        visit_ended_ms=None,
        visit_outcome=None,
        closed=task.closed if ended is None else (*task.closed, ended),
    )


def _visit(task: Task) -> TaskQueueSpan | None:
    if task.visit_since_ms is None or task.visit_queue_sid is None:
        return None
    return TaskQueueSpan(
        workspace_sid=task.workspace_sid,
        task_sid=task.task_sid,
        started_ms=task.visit_since_ms,
        n=task.visit_n,
        ended_ms=task.visit_ended_ms,
        event_sid=task.visit_event_sid,
        inferred=task.visit_inferred,
        task_queue_sid=task.visit_queue_sid,
        task_queue_name=task.visit_queue_name,
        told=task.visit_told,
        outcome=task.visit_outcome,
    )
