"""The fields of every answer and what they are, for the OpenAPI document; a test holds each answer to them.

A field is written as its type: `WK` is a Sid with that prefix, `text`, `integer`, `number`, `boolean`, `instant` (whole seconds) and `moment` (with
milliseconds), `url`, `json` (anything); `?` behind it: may be null; `[Name]` is a list of another of these, `Name` one.
"""

from typing import Any, TypeAlias

Fields: TypeAlias = dict[str, str]
Schema: TypeAlias = dict[str, Any]

_OWNED: Fields = {"account_sid": "AC?", "workspace_sid": "WS", "url": "url"}
_DATED: Fields = {"date_created": "instant?", "date_updated": "instant?"}
_FIGURES: Fields = _OWNED | {"start_time": "instant", "end_time": "instant"}


def _counts(prefix: str, *names: str) -> Fields:
    return {f"{prefix}_{name}": "integer" for name in names}


_RESERVATIONS = _counts("reservations", "created", "accepted", "rejected", "timed_out", "canceled", "rescinded")
_COMBINED = _counts("reservations", "wrapup", "completed") | {"tasks_assigned": "integer"}
_CUMULATIVE: Fields = {
    "start_time": "instant", "end_time": "instant", **_RESERVATIONS, **_counts("tasks", "canceled", "completed", "deleted", "moved"),
    "avg_task_acceptance_time": "integer?", "wait_duration_until_accepted": "Wait", "wait_duration_until_canceled": "Wait",
    "split_by_wait_time": "json?",
}  # fmt: skip
_OF_WORKSPACE = _CUMULATIVE | _counts("tasks", "created", "timed_out_in_workflow")
_OF_WORKFLOW = _CUMULATIVE | _counts("tasks", "entered", "timed_out_in_workflow")
_OF_QUEUE = _CUMULATIVE | {"tasks_entered": "integer", "wait_duration_in_queue_until_accepted": "Wait"}
_OF_WORKERS: Fields = {
    "start_time": "instant",
    "end_time": "instant",
    **_RESERVATIONS,
    "activity_durations": "[ActivityDuration]",
}
_TASKS_NOW: Fields = {
    "total_tasks": "integer", "tasks_by_status": "json", "tasks_by_priority": "json", "longest_task_waiting_age": "integer",
    "longest_task_waiting_sid": "WT?",
}  # fmt: skip
_WORKERS_NOW: Fields = {"total_workers": "integer", "activity_statistics": "[ActivityCount]"}
_QUEUE_NOW = _TASKS_NOW | {
    "longest_relative_task_age_in_queue": "integer", "longest_relative_task_sid_in_queue": "WT?", "total_eligible_workers": "integer?",
    "total_available_workers": "integer?", "activity_statistics": "[ActivityCount]?",
}  # fmt: skip
_BOTH: Fields = {"cumulative": "json", "realtime": "json"}

ANSWERS: dict[str, Fields] = {
    "Workspace": {
        "sid": "WS", "friendly_name": "text?", "default_activity_name": "text?", "default_activity_sid": "WA?", "event_callback_url": "url?",
        "events_filter": "text?", "multi_task_enabled": "boolean?", "timeout_activity_name": "text?", "timeout_activity_sid": "WA?",
        "prioritize_queue_order": "text?", **_DATED, "account_sid": "AC?", "url": "url", "links": "json",
    },
    "Activity": _OWNED | _DATED | {"sid": "WA", "friendly_name": "text?", "available": "boolean?", "links": "json"},
    "TaskChannel": _OWNED | _DATED | {
        "sid": "TC", "friendly_name": "text?", "unique_name": "text?", "channel_optimized_routing": "boolean?", "links": "json",
    },
    "TaskQueue": _OWNED | _DATED | {
        "sid": "WQ", "friendly_name": "text?", "target_workers": "text?", "assignment_activity_sid": "WA?",
        "assignment_activity_name": "text?", "reservation_activity_sid": "WA?", "reservation_activity_name": "text?",
        "max_reserved_workers": "integer?", "task_order": "text?", "links": "json",
    },
    "Workflow": _OWNED | _DATED | {
        "sid": "WW", "friendly_name": "text?", "assignment_callback_url": "url?", "configuration": "text?",
        "document_content_type": "text?", "fallback_assignment_callback_url": "url?", "task_reservation_timeout": "integer?",
        "links": "json",
    },
    "Worker": _OWNED | _DATED | {
        "sid": "WK", "friendly_name": "text?", "attributes": "text", "activity_sid": "WA?", "activity_name": "text?",
        "available": "boolean?", "date_status_changed": "instant?", "links": "json",
    },
    "WorkerChannel": _OWNED | _DATED | {
        "sid": "WC?", "worker_sid": "WK", "assigned_tasks": "integer", "available": "boolean?",
        "available_capacity_percentage": "integer?", "configured_capacity": "integer?", "task_channel_sid": "TC",
        "task_channel_unique_name": "text?",
    },
    "Task": _OWNED | _DATED | {
        "sid": "WT", "age": "integer?", "assignment_status": "text?", "attributes": "text", "addons": "text?", "priority": "integer?",
        "reason": "text?", "timeout": "integer?", "virtual_start_time": "instant?", "ignore_capacity": "boolean?", "routing_target": "text?",
        "task_queue_entered_date": "instant?", "task_queue_sid": "WQ?", "task_queue_friendly_name": "text?", "task_channel_sid": "TC?",
        "task_channel_unique_name": "text?", "workflow_sid": "WW?", "workflow_friendly_name": "text?", "links": "json",
    },
    "Reservation": _OWNED | _DATED | {
        "sid": "WR", "reservation_status": "text?", "task_sid": "WT", "worker_sid": "WK?", "worker_name": "text?", "links": "json",
    },
    "Event": {
        "account_sid": "AC?", "workspace_sid": "WS", "url": "url?", "sid": "EV?", "event_type": "text", "event_date": "instant",
        "event_date_ms": "integer", "event_data": "json", "description": "text?", "resource_type": "text?", "resource_sid": "sid?",
        "resource_url": "url?", "actor_sid": "sid?", "actor_type": "text?", "actor_url": "url?", "source": "text?",
        "source_ip_address": "text?",
    },
    "Wait": {"avg": "integer?", "min": "integer?", "max": "integer?", "total": "integer"},
    "ActivityDuration": {"sid": "WA", "friendly_name": "text?", "avg": "integer?", "min": "integer?", "max": "integer?", "total": "integer"},
    "ActivityCount": {"sid": "WA", "friendly_name": "text?", "workers": "integer"},
    "WorkspaceCumulativeStatistics": _OWNED | _OF_WORKSPACE,
    "WorkspaceRealTimeStatistics": _OWNED | _TASKS_NOW | _WORKERS_NOW,
    "WorkspaceStatistics": _OWNED | _BOTH,
    "TaskQueueCumulativeStatistics": _OWNED | {"task_queue_sid": "WQ"} | _OF_QUEUE,
    "TaskQueueRealTimeStatistics": _OWNED | {"task_queue_sid": "WQ"} | _QUEUE_NOW,
    "TaskQueueStatistics": _OWNED | {"task_queue_sid": "WQ"} | _BOTH,
    "TaskQueuesStatistics": {"account_sid": "AC?", "workspace_sid": "WS", "task_queue_sid": "WQ", **_BOTH},
    "TaskQueueBulkRealTimeStatistics": _OWNED | {"task_queue_data": "[TaskQueueData]", "task_queue_response_count": "integer"},
    "TaskQueueData": {"task_queue_sid": "WQ", **_QUEUE_NOW},
    "WorkflowCumulativeStatistics": _OWNED | {"workflow_sid": "WW"} | _OF_WORKFLOW,
    "WorkflowRealTimeStatistics": _OWNED | {"workflow_sid": "WW"} | _TASKS_NOW,
    "WorkflowStatistics": _OWNED | {"workflow_sid": "WW"} | _BOTH,
    "WorkersCumulativeStatistics": _OWNED | _OF_WORKERS,
    "WorkersRealTimeStatistics": _OWNED | _WORKERS_NOW,
    "WorkersStatistics": _OWNED | _BOTH,
    "WorkerStatistics": _OWNED | {"worker_sid": "WK", "cumulative": "json"},
    "Performance": _FIGURES | {"durations": "json", "service_levels": "[ServiceLevel]"},
    "TaskQueuePerformance": _FIGURES | {"task_queue_sid": "WQ", "durations": "json", "service_levels": "[ServiceLevel]"},
    "WorkflowPerformance": _FIGURES | {"workflow_sid": "WW", "durations": "json", "service_levels": "[ServiceLevel]"},
    "WorkersPerformance": _FIGURES | {"durations": "json", "occupancy": "Occupancy"},
    "WorkerPerformance": _FIGURES | {"worker_sid": "WK", "durations": "json", "occupancy": "Occupancy"},
    "ServiceLevel": {
        **dict.fromkeys(("threshold", "short_abandon", "answered", "answered_in_time", "abandoned", "abandoned_short", "flowed_out"), "integer"),
        **dict.fromkeys(
            ("offered", "handled", "removed", "with_flow_outs", "with_short_abandons", "with_all", "global", "abandon_rate",
             "abandon_rate_without_short"), "number?",
        ),
    },
    "Occupancy": dict.fromkeys(("handling", "on_duty", "used", "offered"), "integer")
    | {"occupancy": "number?", "weighted_occupancy": "number?"},
    "WorkerTimeline": _FIGURES | {"worker_sid": "WK", "spans": "[WorkerSpan]"},
    "TaskTimeline": _FIGURES | {"task_sid": "WT", "spans": "[TaskSpan]"},
    "WorkerSpan": {
        "kind": "text", "started_at": "moment", "ended_at": "moment?", "inferred": "boolean", "event_sid": "sid?", "activity_sid": "WA?",
        "activity_name": "text?", "activity_name_now": "text?", "attributes": "text?", "task_channel_sid": "TC?", "available": "boolean?",
        "configured_capacity": "integer?", "configured_capacity_basis": "text?", "reservation_sid": "WR?", "status": "text?", "task_sid": "WT?",
        "ignore_capacity": "boolean?",
    },
    "TaskSpan": {
        "kind": "text", "started_at": "moment", "ended_at": "moment?", "inferred": "boolean", "event_sid": "sid?", "status": "text?",
        "task_queue_sid": "WQ?", "task_queue_name": "text?", "task_queue_name_now": "text?", "outcome": "text?", "reservation_sid": "WR?",
        "worker_sid": "WK?", "worker_name": "text?", "worker_name_now": "text?",
    },
    "Problem": {"code": "integer", "message": "text", "more_info": "url", "status": "integer"},
}  # fmt: skip
EXPLAINED = {"Statistics", "Performance"}  # answers whose name ends so may hold `explain`
META: Fields = {
    "page": "integer", "page_size": "integer", "first_page_url": "url", "previous_page_url": "url?", "url": "url", "next_page_url": "url?",
    "key": "text",
}  # fmt: skip

_TYPES: dict[str, Schema] = {
    "text": {"type": "string"}, "integer": {"type": "integer"}, "number": {"type": "number"}, "boolean": {"type": "boolean"}, "json": {},
    "instant": {"type": "string", "format": "date-time"}, "moment": {"type": "string", "format": "date-time"},
    "url": {"type": "string", "format": "uri"}, "sid": {"type": "string"},
}  # fmt: skip


def schemas() -> dict[str, Schema]:
    """All of them, as OpenAPI 3.0 has them."""
    return {name: schema(fields, explained=name.endswith(tuple(EXPLAINED))) for name, fields in ANSWERS.items()}


def schema(fields: Fields, *, explained: bool = False) -> Schema:
    """An object with exactly these fields."""
    told = {name: type_of(text) for name, text in fields.items()}
    more = {"explain": {"type": "object"}} if explained else {}
    return {"type": "object", "properties": told | more, "required": list(told), "additionalProperties": False}


def type_of(text: str) -> Schema:
    """One field's type."""
    name, nullable = text.removesuffix("?"), {"nullable": True} if text.endswith("?") else {}
    if name.startswith("["):
        return {"type": "array", "items": type_of(name[1:-1])} | nullable
    if name in _TYPES:
        return _TYPES[name] | (nullable if _TYPES[name] else {})
    if name in ANSWERS:
        return {"$ref": f"#/components/schemas/{name}"}
    return {"type": "string", "description": f"{name}…"} | nullable
