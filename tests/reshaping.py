"""A callback as the other feeds would tell it: the inverse of `projector.feeds.shape`, for the tests' fake Twilio."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from tests.given import Parameters

_INTEGERS = {
    "task_age", "task_priority", "task_version", "reservation_version", "worker_version", "worker_time_in_previous_activity",
    "worker_time_in_previous_activity_ms", "worker_channel_available_capacity", "worker_channel_previous_capacity",
    "worker_channel_task_count", "worker_channel_capacity", "worker_channel_consumed_capacity",
}  # fmt: skip
_BOOLEANS = {"task_ignore_capacity", "worker_channel_available", "activity_available", "task_channel_optimized_routing"}
_DATES = {"task_date_created", "task_queue_entered_date", "task_virtual_start_time"}
_NAMES = {"EventType": "eventtype", "TaskAddons": "task_add_on_attributes"}
_ENVELOPE = {"Sid", "EventType", "AccountSid", "WorkspaceSid", "EventDescription", "ResourceSid", "ResourceType", "Timestamp", "TimestampMs"}  # fmt: skip

NOT_STREAMED = ("activity.", "task-channel.", "workspace.")  # types that Event Streams' catalogue does not have


def snake(name: str) -> str:
    return _NAMES.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_cloud_event(told: Parameters) -> dict[str, Any]:
    """As one element of what an Event Streams sink is sent: typed values, ISO dates."""
    payload: dict[str, Any] = {snake(name): value for name, value in told.items() if name not in ("Timestamp", "TimestampMs")}
    for name, value in payload.items():
        if name in _INTEGERS and value.isdecimal():
            payload[name] = int(value)
        elif name in _BOOLEANS and value in ("true", "false"):
            payload[name] = value == "true"
        elif name in _DATES and value.isdecimal():
            payload[name] = iso(int(value) if len(value) > len("1770000000") else int(value) * 1000)
    payload["timestamp"] = stamp = iso(int(told["TimestampMs"]))
    event_sid = told["Sid"]
    return {
        "specversion": "1.0",
        "type": f"com.twilio.taskrouter.{told['EventType']}",
        "source": "AB" + "0" * 32,
        "id": "NO" + hashlib.md5(event_sid.encode(), usedforsecurity=False).hexdigest(),
        "dataschema": "https://events-schemas.twilio.com/TaskRouter.WDSEvent/4",
        "datacontenttype": "application/json",
        "time": stamp,
        "data": {
            "sid": event_sid, "account_sid": told["AccountSid"], "timestamp": stamp, "level": "INFO", "product_name": "TaskRouter",
            "publisher": "Test floor", "publisher_metadata": "{}", "payload_type": "application/json", "payload": payload,
        },
    }  # fmt: skip


def as_events_api(told: Parameters) -> dict[str, Any]:
    """As one of `events` in an answer of the Events API: text values, the time to the second and in milliseconds."""
    at_ms = int(told["TimestampMs"])
    return {
        "account_sid": told["AccountSid"],
        "actor_sid": told["WorkspaceSid"],
        "actor_type": "workspace",
        "actor_url": None,
        "description": told.get("EventDescription", ""),
        "event_data": {snake(name): value for name, value in told.items() if name not in _ENVELOPE}
        | {"workspace_sid": told["WorkspaceSid"]},
        "event_date": datetime.fromtimestamp(at_ms // 1000, UTC).isoformat().replace("+00:00", "Z"),
        "event_date_ms": at_ms,
        "event_type": told["EventType"],
        "resource_sid": told.get("ResourceSid"),
        "resource_type": told.get("ResourceType"),
        "resource_url": None,
        "sid": told["Sid"],
        "source": "twilio",
        "source_ip_address": None,
        "url": None,
        "workspace_sid": told["WorkspaceSid"],
    }
