"""A Worker's channel: what is reported of its capacity and availability on one TaskChannel.

Reported figures are kept raw: whether `WorkerChannelAvailableCapacity` is a count or a percentage is not settled
publicly. The configured capacity is `WorkerChannelCapacity` where any callback states it (`stated_capacity`, by mention),
else the reported available capacity of `worker.capacity.update`; `tables` derives it and says which.
"""

from msgspec import Struct
from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.span import Closed, Line, Span
from projector.taskrouter.text import boolean, integer


class WorkerChannel(Struct, frozen=True, kw_only=True):
    """A worker channel's row, without what mentions add (`unique_name`, `stated_capacity`). `ended_ms`: its worker's deletion."""

    workspace_sid: str = ""
    worker_sid: str = ""
    task_channel_sid: str = ""
    available: bool | None = None
    updated_capacity: int | None = None  # by the last worker.capacity.update (as available) or observation (as configured)
    since_ms: int | None = None  # of these two
    n: int = 0
    event_sid: str | None = None
    worker_name: str | None = None
    reported_available_capacity: str | None = None
    reported_previous_capacity: str | None = None
    reported_task_count: str | None = None
    ended_ms: int | None = None
    updated_ms: int | None = None
    last_event_sid: str | None = None
    closed: Closed = ()


class ChannelSpan(Span, frozen=True, kw_only=True):
    """A time with the same availability and capacity, as far as the worker's own callbacks tell."""

    worker_sid: str = ""
    task_channel_sid: str = ""
    worker_name: str | None = None
    available: bool | None = None
    updated_capacity: int | None = None


LINES = {ChannelSpan: Line("n", "since_ms")}

EVENT_TYPES = ("worker.capacity.update", "worker.channel.availability.update", "worker.channel.observed")
_CAPACITY = {  # event type → the field with the channel's capacity, where it tells one
    "worker.capacity.update": "worker_channel_available_capacity",
    "worker.channel.observed": "worker_channel_configured_capacity",
}


def evolve(channel: WorkerChannel, callback: Callback) -> WorkerChannel:
    """The channel after a `worker.capacity.update`, a `worker.channel.availability.update` or an observation of its own."""
    fields = callback.fields
    available = boolean(fields.worker_channel_available)
    told = _CAPACITY.get(callback.event_type)
    capacity = integer(getattr(fields, told)) if told else None
    channel = _changed(
        channel,
        callback,
        channel.available if available is None else available,
        channel.updated_capacity if capacity is None or capacity < 0 else capacity,
    )
    return replace(
        channel,
        reported_available_capacity=fields.worker_channel_available_capacity or channel.reported_available_capacity,
        reported_previous_capacity=fields.worker_channel_previous_capacity or channel.reported_previous_capacity,
        reported_task_count=fields.worker_channel_task_count or channel.reported_task_count,
        updated_ms=callback.at_ms,
        last_event_sid=callback.identity,
    )


def last_spans(channel: WorkerChannel) -> tuple[Span, ...]:
    """The last span, as the row holds it."""
    span = _span(channel, channel.ended_ms)
    return () if span is None else (span,)


def _changed(channel: WorkerChannel, callback: Callback, available: bool | None, capacity: int | None) -> WorkerChannel:
    if (available, capacity) == (channel.available, channel.updated_capacity):
        return channel
    ended = _span(channel, callback.at_ms)
    return replace(
        channel,
        available=available,
        updated_capacity=capacity,
        since_ms=callback.at_ms,
        n=channel.n + (ended is not None),
        event_sid=callback.identity,
        worker_name=callback.fields.worker_name,
        closed=channel.closed if ended is None else (*channel.closed, ended),
    )


def _span(channel: WorkerChannel, ended_ms: int | None) -> ChannelSpan | None:
    if channel.since_ms is None:
        return None
    return ChannelSpan(
        workspace_sid=channel.workspace_sid,
        worker_sid=channel.worker_sid,
        task_channel_sid=channel.task_channel_sid,
        started_ms=channel.since_ms,
        n=channel.n,
        ended_ms=ended_ms,
        event_sid=channel.event_sid,
        worker_name=channel.worker_name,
        available=channel.available,
        updated_capacity=channel.updated_capacity,
    )
