"""A row as Twilio's JSON: its field names, whole seconds as `2026-11-25T15:08:20Z`, `url` and `links` that point to ourselves.

What no callback carries is null, whatever the reference says of its type: a worker channel's `sid`; a task's `addons`, `timeout`,
`virtual_start_time` and `routing_target`; what is configured in a workspace, queue or workflow.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from msgspec import Struct

Row: TypeAlias = Mapping[str, Any]
Json: TypeAlias = dict[str, Any]


class Setting(Struct, frozen=True):
    """What a shape has to know beside its row: where the workspace is, whose it is, and at which moment it is looked at."""

    url: str  # …/v1/Workspaces/WS…
    account_sid: str | None
    at_ms: int


Shape: TypeAlias = Callable[[Row, Setting], Json]


def instant(ms: int | None) -> str | None:
    """A moment as Twilio writes it."""
    return None if ms is None else datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def workspace(row: Row, setting: Setting) -> Json:
    """A Workspace; of its settings callbacks carry the name alone."""
    parts = {
        "activities": "Activities", "workers": "Workers", "task_queues": "TaskQueues", "task_channels": "TaskChannels",
        "workflows": "Workflows", "tasks": "Tasks", "events": "Events", "statistics": "Statistics",
        "real_time_statistics": "RealTimeStatistics", "cumulative_statistics": "CumulativeStatistics",
    }  # fmt: skip
    unknown = dict.fromkeys(
        ("default_activity_name", "default_activity_sid", "event_callback_url", "events_filter", "multi_task_enabled",
         "timeout_activity_name", "timeout_activity_sid", "prioritize_queue_order")
    )  # fmt: skip
    return {
        "sid": row["workspace_sid"],
        "friendly_name": row["friendly_name"],
        **unknown,
        **_dates(row),
        "account_sid": setting.account_sid,
        "url": setting.url,
        "links": {name: f"{setting.url}/{path}" for name, path in parts.items()},
    }


def activity(row: Row, setting: Setting) -> Json:
    """An Activity."""
    own = {"friendly_name": row["friendly_name"], "available": row["available"], **_dates(row)}
    return _within(row, setting, "Activities", "activity_sid", own, {"workspace": setting.url})


def task_channel(row: Row, setting: Setting) -> Json:
    """A TaskChannel."""
    own = {
        "friendly_name": row["friendly_name"],
        "unique_name": row["unique_name"],
        "channel_optimized_routing": row["optimized_routing"],
        **_dates(row),
    }
    return _within(row, setting, "TaskChannels", "task_channel_sid", own, {"workspace": setting.url})


def task_queue(row: Row, setting: Setting) -> Json:
    """A TaskQueue; of its configuration callbacks carry the name and TargetWorkers."""
    unknown = dict.fromkeys(
        ("assignment_activity_sid", "assignment_activity_name", "reservation_activity_sid", "reservation_activity_name",
         "max_reserved_workers", "task_order")
    )  # fmt: skip
    own = {"friendly_name": row["friendly_name"], "target_workers": row["target_workers"], **unknown, **_dates(row)}
    url = f"{setting.url}/TaskQueues/{row['task_queue_sid']}"
    links = {"workspace": setting.url, "list_statistics": f"{setting.url}/TaskQueues/Statistics", **_statistics(url)}
    return _within(row, setting, "TaskQueues", "task_queue_sid", own, links)


def workflow(row: Row, setting: Setting) -> Json:
    """A Workflow; of its configuration callbacks carry the name."""
    unknown = dict.fromkeys(
        ("assignment_callback_url", "configuration", "document_content_type", "fallback_assignment_callback_url",
         "task_reservation_timeout")
    )  # fmt: skip
    own = {"friendly_name": row["friendly_name"], **unknown, **_dates(row)}
    url = f"{setting.url}/Workflows/{row['workflow_sid']}"
    return _within(row, setting, "Workflows", "workflow_sid", own, {"workspace": setting.url, **_statistics(url)})


def worker(row: Row, setting: Setting) -> Json:
    """A Worker. `available` is its activity's, null while no `activity.…` callback has told that."""
    own = {
        "friendly_name": row["friendly_name"],
        "attributes": row["attributes"] or "{}",
        "activity_sid": row["activity_sid"],
        "activity_name": row["activity_name"],
        "available": row["activity_available"],
        "date_status_changed": instant(row["activity_since"]),
        **_dates(row),
    }
    url = f"{setting.url}/Workers/{row['worker_sid']}"
    links = {
        "workspace": setting.url,
        "activity": _to(setting, "Activities", row["activity_sid"]),
        "channels": f"{url}/Channels",
        "worker_channels": f"{url}/Channels",
        "reservations": f"{url}/Reservations",
        "worker_statistics": f"{url}/Statistics",
        **_statistics(f"{setting.url}/Workers"),
    }
    return _within(row, setting, "Workers", "worker_sid", own, links)


def worker_channel(row: Row, setting: Setting) -> Json:
    """A Worker's Channel. No callback carries its own Sid (WC…): it is addressed by its TaskChannel's Sid or unique name.

    `available_capacity_percentage` and `assigned_tasks` are worked out from its reservations (`projector.read.worker`).
    """
    return {
        "sid": None,
        "assigned_tasks": row["load"],
        "available": row["available"],
        "available_capacity_percentage": row["available_percentage"],
        "configured_capacity": row["configured_capacity"],
        "task_channel_sid": row["task_channel_sid"],
        "task_channel_unique_name": row["unique_name_now"],
        "date_created": instant(row["first_seen_at"]),
        "date_updated": instant(row["since"] if row["since"] is not None else row["first_seen_at"]),
        "account_sid": setting.account_sid,
        "workspace_sid": row["workspace_sid"],
        "worker_sid": row["worker_sid"],
        "url": f"{setting.url}/Workers/{row['worker_sid']}/Channels/{row['task_channel_sid']}",
    }


def task(row: Row, setting: Setting) -> Json:
    """A Task. `age`: seconds since its creation."""
    unknown = dict.fromkeys(("addons", "timeout", "virtual_start_time", "routing_target"))
    own = {
        "age": None if row["created_at"] is None else max(0, setting.at_ms - row["created_at"]) // 1000,
        "assignment_status": row["status"],
        "attributes": row["attributes"] or "{}",
        "priority": row["priority"],
        "reason": row["reason"],
        "ignore_capacity": row["ignore_capacity"],
        "task_queue_entered_date": instant(row["queue_entered_at"]),
        "task_queue_sid": row["task_queue_sid"],
        "task_queue_friendly_name": row["task_queue_name"],
        "task_channel_sid": row["task_channel_sid"],
        "task_channel_unique_name": row["task_channel_unique_name"],
        "workflow_sid": row["workflow_sid"],
        "workflow_friendly_name": row["workflow_name"],
        **unknown,
        **_dates(row),
    }
    links = {
        "workspace": setting.url,
        "task_queue": _to(setting, "TaskQueues", row["task_queue_sid"]),
        "workflow": _to(setting, "Workflows", row["workflow_sid"]),
        "reservations": f"{setting.url}/Tasks/{row['task_sid']}/Reservations",
    }
    return _within(row, setting, "Tasks", "task_sid", own, links)


def task_reservation(row: Row, setting: Setting) -> Json:
    """A Reservation under its task."""
    return _reservation(row, setting, f"Tasks/{row['task_sid']}")


def worker_reservation(row: Row, setting: Setting) -> Json:
    """A Reservation under its worker."""
    return _reservation(row, setting, f"Workers/{row['worker_sid']}")


def _reservation(row: Row, setting: Setting, under: str) -> Json:
    own = {
        "reservation_status": row["status"],
        "task_sid": row["task_sid"],
        "worker_sid": row["worker_sid"],
        "worker_name": row["worker_name"],
        **_dates(row),
    }
    links = {
        "workspace": setting.url,
        "task": _to(setting, "Tasks", row["task_sid"]),
        "worker": _to(setting, "Workers", row["worker_sid"]),
    }
    return _within(row, setting, f"{under}/Reservations", "reservation_sid", own, links)


def _within(row: Row, setting: Setting, path: str, sid: str, own: Json, links: Mapping[str, str | None]) -> Json:
    return {
        "sid": row[sid],
        **own,
        "account_sid": setting.account_sid,
        "workspace_sid": row["workspace_sid"],
        "url": f"{setting.url}/{path}/{row[sid]}",
        "links": dict(links),
    }


def _dates(row: Row) -> Json:
    """`date_created`: as told, else when it was first spoken of."""
    created_ms = row.get("created_at")
    return {
        "date_created": instant(created_ms if created_ms is not None else row["first_seen_at"]),
        "date_updated": instant(row["updated_at"] if row["updated_at"] is not None else row["first_seen_at"]),
    }


def _to(setting: Setting, path: str, sid: str | None) -> str | None:
    return f"{setting.url}/{path}/{sid}" if sid else None


def _statistics(url: str) -> dict[str, str | None]:
    return {
        "statistics": f"{url}/Statistics",
        "real_time_statistics": f"{url}/RealTimeStatistics",
        "cumulative_statistics": f"{url}/CumulativeStatistics",
    }
