"""Every EventType: whose unit it belongs to, its place in a life when stamps tie, and what it changes.

The first 49 are the events reference page's. The rest are spellings and types seen elsewhere (Event Streams' catalogue,
consumers' code). `rank` settles callbacks stamped in the same millisecond: a task's creation set routinely shares one,
and `workflow.target-matched` is recorded 0 to 1 ms before `task.created`. A `task.updated` gives way to everything else
of its millisecond. Deletes are last in their unit whatever their stamp says (`fold.py`).

The last ten are no callbacks: they are what Twilio's REST API shows of a thing, taken in by `projector adopt` (`feeds/observe.py`). REST
dates to the second, and what it shows is how things stood at the end of that second: an observation is stamped with its last
millisecond and sorts behind every callback of it, whatever their versions.
"""

from msgspec import Struct

TASK, WORKER, ACTIVITY, TASK_QUEUE = "task", "worker", "activity", "task_queue"
WORKFLOW, TASK_CHANNEL, WORKSPACE = "workflow", "task_channel", "workspace"


class EventType(Struct, frozen=True):
    """One row of the README's table: `kind` of unit, `rank` within a millisecond, and the `effect` in words."""

    kind: str
    rank: int
    effect: str


DELETION = 99  # the rank of what is terminal for its unit and sorted last in it
OBSERVED = 98  # what REST shows: behind every callback of its millisecond
_LATEST = 50

EVENT_TYPES: dict[str, EventType] = {
    "activity.created": EventType(ACTIVITY, 0, "activity: exists, name, available"),
    "activity.updated": EventType(ACTIVITY, _LATEST, "activity: name, available"),
    "activity.deleted": EventType(ACTIVITY, DELETION, "activity: deleted_at"),
    "reservation.created": EventType(TASK, 7, "reservation: pending; task: first_reserved_at, snapshot"),
    "reservation.accepted": EventType(
        TASK, 9, "reservation: accepted; task: first_accepted_at, its visit to the queue ends, snapshot"
    ),
    "reservation.rejected": EventType(TASK, 8, "reservation: rejected; task: snapshot"),
    "reservation.timeout": EventType(TASK, 8, "reservation: timeout; task: snapshot"),
    "reservation.canceled": EventType(TASK, 8, "reservation: canceled; task: snapshot"),
    "reservation.rescinded": EventType(TASK, 8, "reservation: rescinded; task: snapshot"),
    "reservation.completed": EventType(TASK, 12, "reservation: completed; task: snapshot"),
    "reservation.failed": EventType(TASK, 8, "reservation (when it has a Sid): failed; task: snapshot"),
    "reservation.wrapup": EventType(TASK, 11, "reservation: wrapping; task: snapshot"),
    "task.created": EventType(TASK, 1, "task: exists, created_at, snapshot"),
    "task.updated": EventType(TASK, 2, "task: snapshot; never resurrects a completed or canceled task"),
    "task.canceled": EventType(TASK, 13, "task: canceled, canceled_at, reason; its visit and live reservations end"),
    "task.wrapup": EventType(TASK, 11, "task: wrapping, wrapup_at, snapshot"),
    "task.completed": EventType(TASK, 13, "task: completed, completed_at, reason; its visit and live reservations end"),
    "task.deleted": EventType(TASK, DELETION, "task: deleted_at; its visit and live reservations end"),
    "task.system-deleted": EventType(TASK, DELETION, "task: deleted_at; its visit and live reservations end"),
    "task.transfer-initiated": EventType(
        TASK, 10, "task: transfer_status initiated, snapshot; a visit when it shows another queue"
    ),
    "task.transfer-attempt-failed": EventType(TASK, 8, "task: transfer_status stays initiated, snapshot"),
    "task.transfer-failed": EventType(
        TASK, 14, "task: transfer_status failed, snapshot; assigned again, its visit ends (canceled)"
    ),
    "task.transfer-canceled": EventType(
        TASK, 14, "task: transfer_status canceled, snapshot; assigned again, its visit ends (canceled)"
    ),
    "task.transfer-completed": EventType(TASK, 14, "task: transfer_status complete, snapshot"),
    "task-channel.created": EventType(TASK_CHANNEL, 0, "task_channel: exists, names, optimized routing"),
    "task-channel.updated": EventType(TASK_CHANNEL, _LATEST, "task_channel: names, optimized routing"),
    "task-channel.deleted": EventType(TASK_CHANNEL, DELETION, "task_channel: deleted_at"),
    "task-queue.created": EventType(TASK_QUEUE, 0, "task_queue: exists, name, target_workers"),
    "task-queue.deleted": EventType(TASK_QUEUE, DELETION, "task_queue: deleted_at"),
    "task-queue.entered": EventType(TASK, 6, "task: a visit to the queue begins; queue_entered_at, snapshot"),
    "task-queue.timeout": EventType(TASK, 5, "task: its visit ends (timeout), snapshot"),
    "task-queue.moved": EventType(TASK, 5, "task: its visit ends (moved), snapshot"),
    "task-queue.expression.updated": EventType(TASK_QUEUE, _LATEST, "task_queue: target_workers, name"),
    "worker.created": EventType(WORKER, 0, "worker: exists, created_at, activity, attributes"),
    "worker.activity.update": EventType(
        WORKER, 3, "worker: an activity span; what it says of the one before may reveal a gap; attributes"
    ),
    "worker.attributes.update": EventType(WORKER, 2, "worker: an attributes span when they differ"),
    "worker.capacity.update": EventType(
        WORKER, 1, "worker_channel: reported capacities, a span when something changes; worker: attributes"
    ),
    "worker.channel.availability.update": EventType(
        WORKER, 1, "worker_channel: available, a span when something changes; worker: attributes"
    ),
    "worker.deleted": EventType(WORKER, DELETION, "worker: deleted_at and its basis (the stamp lies: the worker's creation)"),
    "workflow.created": EventType(WORKFLOW, 0, "workflow: exists, name"),
    "workflow.updated": EventType(WORKFLOW, _LATEST, "workflow: name"),
    "workflow.deleted": EventType(WORKFLOW, DELETION, "workflow: deleted_at"),
    "workflow.target-matched": EventType(TASK, 4, "task: snapshot (may come before task.created)"),
    "workflow.entered": EventType(TASK, 3, "task: snapshot"),
    "workflow.timeout": EventType(TASK, 12, "task: snapshot (its end is told by task.canceled)"),
    "workflow.skipped": EventType(TASK, 12, "task: snapshot (its end is told by task.canceled)"),
    "workspace.created": EventType(WORKSPACE, 0, "workspace: exists, name"),
    "workspace.updated": EventType(WORKSPACE, _LATEST, "workspace: name"),
    "workspace.deleted": EventType(WORKSPACE, DELETION, "workspace: deleted_at"),
    # Not on the reference page:
    "workflow.rejected": EventType(TASK, 12, "task: snapshot (Event Streams' catalogue)"),
    "reservation.updated": EventType(TASK, _LATEST, "task: snapshot (seen in consumers' code)"),
    "task-queue.updated": EventType(TASK_QUEUE, _LATEST, "task_queue: target_workers, name (seen in consumers' code)"),
    # Not callbacks, but what REST shows:
    "workspace.observed": EventType(WORKSPACE, OBSERVED, "workspace: exists, name"),
    "activity.observed": EventType(ACTIVITY, OBSERVED, "activity: exists, name, available"),
    "task-queue.observed": EventType(TASK_QUEUE, OBSERVED, "task_queue: exists, name, target_workers"),
    "workflow.observed": EventType(WORKFLOW, OBSERVED, "workflow: exists, name"),
    "task-channel.observed": EventType(TASK_CHANNEL, OBSERVED, "task_channel: exists, names, optimized routing"),
    "worker.observed": EventType(WORKER, OBSERVED, "worker: exists, created_at; an attributes span when they differ"),
    "worker.activity.observed": EventType(
        WORKER, OBSERVED, "worker: an activity span when it differs; a gap when another was known"
    ),
    "worker.channel.observed": EventType(
        WORKER, OBSERVED, "worker_channel: available, configured capacity, a span when something changes"
    ),
    "task.observed": EventType(TASK, OBSERVED, "task: exists, created_at, snapshot"),
    "reservation.observed": EventType(TASK, OBSERVED, "reservation: exists, created_at, its status"),
}

SPELLINGS = {
    "task-queue.expression-updated": "task-queue.expression.updated",  # Event Streams' catalogue
    "task.cancelled": "task.canceled",  # third-party code
}


def canonical(event_type: str) -> str:
    """The reference page's spelling of an EventType; an unknown one as it came."""
    return SPELLINGS.get(event_type, event_type)
