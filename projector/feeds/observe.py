"""What Twilio's REST API shows of a thing, as an observation: an event of our own, in a callback's shape.

An observation says how a thing stood at the end of the second of its last change: REST dates to the second, and a resource that was
read in a later second had not changed again in that one (`settled`: what was read too soon has to be read once more). So it is stamped with
the last millisecond of that second and sorts behind all its callbacks (`event_types.OBSERVED`). Where they have told the same, it says nothing new;
when they come only later (`backfill`), they are folded before it, and it says nothing new then. A worker has two dates and makes two
observations: `date_status_changed` is its activity's, `date_updated` that of everything else.

Its Sid is `OB` and a hash of the resource, that time and what is shown: the same thing shown twice is one event.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from projector.feeds.shape import Unreadable

Resource = Mapping[str, Any]
Shown = dict[str, Any]  # parameter → what is shown; None: nothing


def observations(kind: str, resource: Resource) -> Iterator[dict[str, str]]:
    """The observations that one resource makes; `kind` is one of `KINDS`. Raises `Unreadable`: it has no Sid or no readable date."""
    for event_type, dated_by, shown in KINDS[kind]:
        sid, workspace = sid_of(resource), resource.get("workspace_sid") or resource.get("sid")
        stamp = _seconds(resource.get(dated_by)) or _seconds(resource.get("date_updated"))
        if sid is None or not isinstance(workspace, str) or stamp is None:
            raise Unreadable(f"the {kind} has no sid or no {dated_by}")
        told = {name: text for name, value in shown(resource).items() if (text := _text(value)) is not None}
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


def _workspace(resource: Resource) -> Shown:
    return {"WorkspaceName": resource.get("friendly_name")}


def _activity(resource: Resource) -> Shown:
    return {
        "ActivitySid": resource["sid"],
        "ActivityName": resource.get("friendly_name"),
        "ActivityAvailable": resource.get("available"),
    }


def _task_channel(resource: Resource) -> Shown:
    return {
        "TaskChannelSid": resource["sid"],
        "TaskChannelUniqueName": resource.get("unique_name"),
        "TaskChannelName": resource.get("friendly_name"),
        "TaskChannelOptimizedRouting": resource.get("channel_optimized_routing"),
    }


def _task_queue(resource: Resource) -> Shown:
    return {
        "TaskQueueSid": resource["sid"],
        "TaskQueueName": resource.get("friendly_name"),
        "TaskQueueTargetExpression": resource.get("target_workers"),
    }


def _workflow(resource: Resource) -> Shown:
    return {"WorkflowSid": resource["sid"], "WorkflowName": resource.get("friendly_name")}


def _worker(resource: Resource) -> Shown:
    return {
        "WorkerSid": resource["sid"],
        "WorkerName": resource.get("friendly_name"),
        "WorkerAttributes": resource.get("attributes"),
        "DateCreated": _milliseconds(resource.get("date_created")),
    }


def _worker_activity(resource: Resource) -> Shown:
    return {
        "WorkerSid": resource["sid"],
        "WorkerName": resource.get("friendly_name"),
        "WorkerActivitySid": resource.get("activity_sid"),
        "WorkerActivityName": resource.get("activity_name"),
    }


def _worker_channel(resource: Resource) -> Shown:
    return {
        "WorkerSid": resource.get("worker_sid"),
        "TaskChannelSid": resource.get("task_channel_sid"),
        "TaskChannelUniqueName": resource.get("task_channel_unique_name"),
        "WorkerChannelAvailable": resource.get("available"),
        "WorkerChannelConfiguredCapacity": resource.get("configured_capacity"),
    }


def _task(resource: Resource) -> Shown:
    return {
        "TaskSid": resource["sid"],
        "TaskAttributes": resource.get("attributes"),
        "TaskPriority": resource.get("priority"),
        "TaskAssignmentStatus": resource.get("assignment_status"),
        "TaskChannelSid": resource.get("task_channel_sid"),
        "TaskChannelUniqueName": resource.get("task_channel_unique_name"),
        "TaskQueueSid": resource.get("task_queue_sid"),
        "TaskQueueName": resource.get("task_queue_friendly_name"),
        "WorkflowSid": resource.get("workflow_sid"),
        "WorkflowName": resource.get("workflow_friendly_name"),
        "Reason": resource.get("reason") or None,
        "TaskDateCreated": _milliseconds(resource.get("date_created")),
        "TaskQueueEnteredDate": _milliseconds(resource.get("task_queue_entered_date")),
        "TaskIgnoreCapacity": resource.get("ignore_capacity"),
    }


def _reservation(resource: Resource) -> Shown:
    """Not its task's queue: that may be another by now than the one it was offered out of."""
    return {
        "ReservationSid": resource["sid"],
        "ReservationStatus": resource.get("reservation_status"),
        "TaskSid": resource.get("task_sid"),
        "WorkerSid": resource.get("worker_sid"),
        "WorkerName": resource.get("worker_name"),
        "DateCreated": _milliseconds(resource.get("date_created")),
        # Its task's (`adopt`), of which they do not change:
        "TaskChannelSid": resource.get("task_channel_sid"),
        "TaskChannelUniqueName": resource.get("task_channel_unique_name"),
        "TaskIgnoreCapacity": resource.get("ignore_capacity"),
    }


# A kind of resource → the observations it makes: event type, the date of what is shown, what is shown.
KINDS: dict[str, tuple[tuple[str, str, Callable[[Resource], Shown]], ...]] = {
    "workspace": (("workspace.observed", "date_updated", _workspace),),
    "activity": (("activity.observed", "date_updated", _activity),),
    "task channel": (("task-channel.observed", "date_updated", _task_channel),),
    "task queue": (("task-queue.observed", "date_updated", _task_queue),),
    "workflow": (("workflow.observed", "date_updated", _workflow),),
    "worker": (
        ("worker.observed", "date_updated", _worker),
        ("worker.activity.observed", "date_status_changed", _worker_activity),
    ),
    "worker channel": (("worker.channel.observed", "date_updated", _worker_channel),),
    "task": (("task.observed", "date_updated", _task),),
    "reservation": (("reservation.observed", "date_updated", _reservation),),
}


def _identity(parameters: Mapping[str, str]) -> str:
    told = "".join(f"{len(name)}:{name}{len(value)}:{value}" for name, value in sorted(parameters.items()))
    return "OB" + hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case _:
            return None


def _seconds(date: Any) -> int | None:
    """A date of Twilio's (`2026-02-02T02:40:01Z`) in epoch seconds; None when it is none."""
    if not isinstance(date, str):
        return None
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _milliseconds(date: Any) -> int | None:
    seconds = _seconds(date)
    return None if seconds is None else seconds * 1000
