"""A TaskChannel: `voice`, `chat`, … Its names come by mention."""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head
from projector.taskrouter.text import boolean


class TaskChannel(Head, frozen=True, kw_only=True):
    """A task channel's row."""

    task_channel_sid: str = ""
    optimized_routing: bool | None = None


initial = TaskChannel()


def evolve(channel: TaskChannel, callback: Callback) -> TaskChannel:
    """Whether workers idle the longest are preferred."""
    optimized = boolean(callback.fields.task_channel_optimized_routing)
    return channel if optimized is None else replace(channel, optimized_routing=optimized)
