"""A Worker's channel: what is reported of its capacity and availability on one TaskChannel.

Reported figures are kept raw: whether `WorkerChannelAvailableCapacity` is a count or a percentage is not settled
publicly. The configured capacity is `WorkerChannelCapacity` where any callback states it (`stated_capacity`, by mention),
else the reported available capacity of `worker.capacity.update`; `tables.py` derives it and says which.
"""

from msgspec import Struct
from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.text import boolean, integer


class WorkerChannel(Struct, frozen=True, kw_only=True):
    """A worker channel's row, without what mentions add (`unique_name`, `stated_capacity`)."""

    workspace_sid: str = ""
    worker_sid: str = ""
    task_channel_sid: str = ""
    available: bool | None = None
    updated_capacity: int | None = None  # reported available capacity of the last worker.capacity.update
    reported_available_capacity: str | None = None
    reported_previous_capacity: str | None = None
    reported_task_count: str | None = None
    updated_ms: int | None = None
    last_event_sid: str | None = None


initial = WorkerChannel()

EVENT_TYPES = ("worker.capacity.update", "worker.channel.availability.update")


def evolve(channel: WorkerChannel, callback: Callback) -> WorkerChannel:
    """The channel after a `worker.capacity.update` or `worker.channel.availability.update` of its own."""
    fields = callback.fields
    available = boolean(fields.worker_channel_available)
    capacity = integer(fields.worker_channel_available_capacity)
    is_capacity = callback.event_type == "worker.capacity.update" and capacity is not None and capacity >= 0
    return replace(
        channel,
        available=channel.available if available is None else available,
        updated_capacity=capacity if is_capacity else channel.updated_capacity,
        reported_available_capacity=fields.worker_channel_available_capacity or channel.reported_available_capacity,
        reported_previous_capacity=fields.worker_channel_previous_capacity or channel.reported_previous_capacity,
        reported_task_count=fields.worker_channel_task_count or channel.reported_task_count,
        updated_ms=callback.at_ms,
        last_event_sid=callback.identity,
    )
