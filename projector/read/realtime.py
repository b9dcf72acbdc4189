"""Real-time statistics at a moment, by the definitions of pages/statistics.md: counted over the rows that were there."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from projector import tables
from projector.read.happening import Scope, Window
from projector.read.present import Present
from projector.rows import Row

STATUSES = ("pending", "reserved", "assigned", "wrapping", "completed", "canceled")


def of_scope(tasks: Iterable[Row], scope: Scope) -> list[Row]:
    """The tasks of the scope's queue, workflow and channel."""
    asked = (("task_queue_sid", scope.task_queue_sid), ("workflow_sid", scope.workflow_sid))
    wanted = [(name, sid) for name, sid in asked if sid is not None]
    channel = scope.task_channel
    return [
        task
        for task in tasks
        if all(task[name] == sid for name, sid in wanted)
        and (channel is None or channel in (task["task_channel_sid"], task["task_channel_unique_name"]))
    ]


def of_tasks(tasks: Sequence[Row], at_ms: int) -> Row:
    """Tasks by status and priority, and which of them waits longest: since its creation, and in its queue (milliseconds)."""
    by_status = Counter(task["status"] for task in tasks)
    by_priority = Counter(task["priority"] or 0 for task in tasks)
    waiting = [task for task in tasks if task["status"] == "pending"]
    first = _first(waiting, lambda task: task["created_at"] if task["created_at"] is not None else task["first_seen_at"])
    first_in_queue = _first(waiting, lambda task: task["queue_entered_at"])
    return {
        "total_tasks": len(tasks),
        "tasks_by_status": {status: by_status[status] for status in STATUSES},
        "tasks_by_priority": {str(priority): count for priority, count in sorted(by_priority.items())},
        "longest_task_waiting_age": at_ms - first[0] if first else 0,
        "longest_task_waiting_sid": first[1] if first else None,
        "longest_relative_task_age_in_queue": at_ms - first_in_queue[0] if first_in_queue else 0,
        "longest_relative_task_sid_in_queue": first_in_queue[1] if first_in_queue else None,
    }


def of_workers(workers: Iterable[Row], activities: Iterable[Row]) -> list[Row]:
    """How many of the workers are in each activity; those nobody is in, too."""
    counts = Counter(
        (worker["activity_sid"], worker["activity_name"]) for worker in workers if worker["activity_sid"] is not None
    )
    names = {row["activity_sid"]: row["friendly_name"] for row in activities}
    found = dict.fromkeys(names, 0)
    for (sid, name), count in counts.items():
        names.setdefault(sid, name)
        found[sid] = found.get(sid, 0) + count
    return [{"sid": sid, "friendly_name": names[sid], "workers": count} for sid, count in sorted(found.items())]


def activities(present: Present, workspace_sid: str, at_ms: int) -> list[Row]:
    """The activities that were there at the moment: activity_sid, friendly_name (as it is now)."""
    c, there = tables.activity.c, Window(at_ms, at_ms + 1).had(tables.activity)
    found = sa.select(c.activity_sid, c.friendly_name).where(c.workspace_sid == workspace_sid, there).order_by(c.activity_sid)
    return [dict(row) for row in present.today.execute(found).mappings()]


def _first(waiting: Iterable[Row], since: Callable[[Row], int | None]) -> tuple[int, str] | None:
    """The one that has waited longest, and since when."""
    return min(((ms, task["task_sid"]) for task in waiting if (ms := since(task)) is not None), default=None)
