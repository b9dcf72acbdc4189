"""A TaskQueue. Its name and TargetWorkers expression come by mention: every task callback of the queue carries both."""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head


class TaskQueue(Head, frozen=True, kw_only=True):
    """A task queue's row."""

    task_queue_sid: str = ""
    operating_unit_sid: str | None = None


initial = TaskQueue()


def evolve(queue: TaskQueue, callback: Callback) -> TaskQueue:
    """The operating unit, which newer callbacks carry (recorded 2023)."""
    sid = callback.fields.operating_unit_sid
    return queue if sid is None else replace(queue, operating_unit_sid=sid)
