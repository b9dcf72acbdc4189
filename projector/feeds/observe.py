"""What Twilio's REST API shows of a thing, as an observation: an event of our own, in a callback's shape.

An observation says how a thing stood at the end of the second of its last change: REST dates to the second, and a resource that was
read in a later second had not changed again in that one (`settled`: what was read too soon has to be read once more). So it is stamped with
the last millisecond of that second and sorts behind all its callbacks (`event_types.OBSERVED`). Where they have told the same, it says nothing new;
when they come only later (`backfill`), they are folded before it, and it says nothing new then. A worker has two dates and makes two
observations: `date_status_changed` is its activity's, `date_updated` that of everything else.

Its Sid is `OB` and a hash of the resource, that time and what is shown: the same thing shown twice is one event.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from projector.feeds.shape import Unreadable
from projector.read.when import iso_ms

Resource = Mapping[str, Any]


def observations(kind: str, resource: Resource) -> Iterator[dict[str, str]]:
    """The observations that one resource makes; `kind` is one of `KINDS`. Raises `Unreadable`: it has no Sid or no readable date."""
    for event_type, dated_by, shown in KINDS[kind]:
        sid, workspace = sid_of(resource), resource.get("workspace_sid") or resource.get("sid")
        stamp = _seconds(resource.get(dated_by)) or _seconds(resource.get("date_updated"))
        if sid is None or not isinstance(workspace, str) or stamp is None:
            raise Unreadable(f"the {kind} has no sid or no {dated_by}")
        told = {name: text for name, field in shown.items() if (text := _shown(resource, field)) is not None}
        parameters = {
            "EventType": event_type, "AccountSid": str(resource.get("account_sid") or ""), "WorkspaceSid": workspace,
            "ResourceSid": sid, "Timestamp": str(stamp), "TimestampMs": str(stamp * 1000 + 999),
        } | told  # fmt: skip
        yield {"Sid": _identity(parameters)} | parameters


def sid_of(resource: Resource) -> str | None:
    """Its Sid; a worker's channel that is shown by another projector has none of its own: it goes by its TaskChannel's."""
    sid = resource.get("sid") or resource.get("task_channel_sid")
    return sid if isinstance(sid, str) else None


def settled(kind: str, resource: Resource, asked_seconds: int) -> bool:
    """Whether the resource, read in the second `asked_seconds` or later by Twilio's clock, can have changed in its last second no more."""
    dates = [_seconds(resource.get(name)) for _, dated_by, _ in KINDS[kind] for name in (dated_by, "date_updated")]
    return all(date is None or date < asked_seconds for date in dates)


_WORKER = {"WorkerSid": "sid", "WorkerName": "friendly_name"}
_TASK_CHANNEL = {"TaskChannelSid": "task_channel_sid", "TaskChannelUniqueName": "task_channel_unique_name"}
# A kind of resource → the observations it makes: event type, the date of what is shown, what is shown: parameter → the resource's field.
KINDS: dict[str, tuple[tuple[str, str, Mapping[str, str]], ...]] = {
    "workspace": (("workspace.observed", "date_updated", {"WorkspaceName": "friendly_name"}),),
    "activity": (
        (
            "activity.observed", "date_updated",
            {"ActivitySid": "sid", "ActivityName": "friendly_name", "ActivityAvailable": "available"},
        ),
    ),
    "task channel": (
        (
            "task-channel.observed", "date_updated",
            {
                "TaskChannelSid": "sid", "TaskChannelUniqueName": "unique_name", "TaskChannelName": "friendly_name",
                "TaskChannelOptimizedRouting": "channel_optimized_routing",
            },
        ),
    ),
    "task queue": (
        (
            "task-queue.observed", "date_updated",
            {"TaskQueueSid": "sid", "TaskQueueName": "friendly_name", "TaskQueueTargetExpression": "target_workers"},
        ),
    ),
    "workflow": (("workflow.observed", "date_updated", {"WorkflowSid": "sid", "WorkflowName": "friendly_name"}),),
    "worker": (
        ("worker.observed", "date_updated", _WORKER | {"WorkerAttributes": "attributes", "DateCreated": "date_created"}),
        (
            "worker.activity.observed", "date_status_changed",
            _WORKER | {"WorkerActivitySid": "activity_sid", "WorkerActivityName": "activity_name"},
        ),
    ),
    "worker channel": (
        (
            "worker.channel.observed", "date_updated",
            _TASK_CHANNEL
            | {
                "WorkerSid": "worker_sid", "WorkerChannelAvailable": "available",
                "WorkerChannelConfiguredCapacity": "configured_capacity",
            },
        ),
    ),
    "task": (
        (
            "task.observed", "date_updated",
            _TASK_CHANNEL
            | {
                "TaskSid": "sid", "TaskAttributes": "attributes", "TaskPriority": "priority", "TaskAssignmentStatus": "assignment_status",
                "TaskQueueSid": "task_queue_sid", "TaskQueueName": "task_queue_friendly_name", "WorkflowSid": "workflow_sid",
                "WorkflowName": "workflow_friendly_name", "Reason": "reason", "TaskDateCreated": "date_created",
                "TaskQueueEnteredDate": "task_queue_entered_date", "TaskIgnoreCapacity": "ignore_capacity",
            },
        ),
    ),
    # Not its task's queue: that may be another by now than the one it was offered out of. Its channel and whether it takes capacity are its
    # task's (`adopt`), and do not change.
    "reservation": (
        (
            "reservation.observed", "date_updated",
            _TASK_CHANNEL
            | {
                "ReservationSid": "sid", "ReservationStatus": "reservation_status", "TaskSid": "task_sid", "WorkerSid": "worker_sid",
                "WorkerName": "worker_name", "DateCreated": "date_created", "TaskIgnoreCapacity": "ignore_capacity",
            },
        ),
    ),
}  # fmt: skip
_DATES = ("date_created", "task_queue_entered_date")  # shown in epoch milliseconds


def _shown(resource: Resource, field: str) -> str | None:
    """What a field shows, as a text; None: nothing. A reason that is empty is none."""
    match resource.get(field):
        case date if field in _DATES:
            seconds = _seconds(date)
            return None if seconds is None else str(seconds * 1000)
        case "" if field == "reason":
            return None
        case bool() as value:
            return "true" if value else "false"
        case str() | int() as value:
            return str(value)
        case _:
            return None


def _identity(parameters: Mapping[str, str]) -> str:
    told = "".join(f"{len(name)}:{name}{len(value)}:{value}" for name, value in sorted(parameters.items()))
    return "OB" + hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _seconds(date: Any) -> int | None:
    """A date of Twilio's (`2026-02-02T02:40:01Z`) in epoch seconds; None when it is none."""
    if not isinstance(date, str):
        return None
    try:
        return iso_ms(date) // 1000
    except ValueError:
        return None
