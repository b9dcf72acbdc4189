"""Twilio's statistics: what was counted, as its JSON. The counting is `projector.read`'s, the definitions are pages/statistics.md's.

Milliseconds become whole seconds here, and nowhere else.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.api.shapes import Json, instant
from projector.read import cumulative, performance, realtime
from projector.read.cumulative import Wait
from projector.read.durations import durations
from projector.read.happening import Scope, Window
from projector.read.occupancy import occupancy
from projector.read.present import Present
from projector.read.tasks import tasks
from projector.read.then import thing_then
from projector.read.workers import eligible, workers
from projector.rows import Row
from projector.taskrouter.expression import readable

OF_ALL = ("created", "accepted", "rejected", "timed_out", "canceled", "rescinded")  # what is counted of reservations everywhere
OF_COMBINED = ("wrapup", "completed")  # what …/Statistics counts besides (observed; the reference does not say what it is)


class Floor:
    """One workspace, or one queue of it, at one moment; looked at once however many figures are asked for."""

    def __init__(self, present: Present, workspace_sid: str, at_ms: int, task_queue_sid: str | None = None) -> None:
        self.present, self.workspace_sid, self.at_ms, self._queue_sid = present, workspace_sid, at_ms, task_queue_sid

    @cached_property
    def tasks(self) -> list[Row]:
        """Those that a list of tasks shows."""
        return tasks(self.present, self.workspace_sid, self.at_ms, self._queue_sid)

    @cached_property
    def tasks_by_queue(self) -> dict[str | None, list[Row]]:
        """The same by queue: a thousand queues are not a thousand times all tasks."""
        found: dict[str | None, list[Row]] = {}
        for task in self.tasks:
            found.setdefault(task["task_queue_sid"], []).append(task)
        return found

    @cached_property
    def workers(self) -> list[Row]:
        """Those that were there."""
        return workers(self.present, self.workspace_sid, self.at_ms)

    @cached_property
    def activities(self) -> list[Row]:
        """Those that were there."""
        return realtime.activities(self.present, self.workspace_sid, self.at_ms)

    def eligible(self, queue: Mapping[str, Any]) -> list[Row] | None:
        """The workers that a queue (today's row) wanted; None when nobody told which, or it cannot be read."""
        then = thing_then(self.present, tables.task_queue, queue, self.at_ms) if queue else None
        expression = readable(then["target_workers"]) if then is not None else None
        return None if expression is None else eligible(expression, self.workers)


def of_tasks(floor: Floor, scope: Scope) -> Json:
    """Real-time, of a workspace's, workflow's or queue's tasks."""
    among = floor.tasks if scope.task_queue_sid is None else floor.tasks_by_queue.get(scope.task_queue_sid, [])
    told = realtime.of_tasks(realtime.of_scope(among, scope), floor.at_ms)
    told["longest_task_waiting_age"] //= 1000
    told["longest_relative_task_age_in_queue"] //= 1000
    if scope.task_queue_sid is None:
        del told["longest_relative_task_age_in_queue"], told["longest_relative_task_sid_in_queue"]
    return told


def of_workers(floor: Floor, among: Sequence[Row]) -> Json:
    """Real-time, of workers."""
    return {"total_workers": len(among), "activity_statistics": realtime.of_workers(among, floor.activities)}


def of_queue(floor: Floor, queue: Mapping[str, Any], scope: Scope) -> Json:
    """Real-time, of a queue: its tasks, and the workers it wants."""
    wanted = floor.eligible(queue)
    return of_tasks(floor, scope) | {
        "total_eligible_workers": None if wanted is None else len(wanted),
        "total_available_workers": None if wanted is None else sum(worker["available"] is True for worker in wanted),
        "activity_statistics": None if wanted is None else realtime.of_workers(wanted, floor.activities),
    }


def handled(connection: sa.Connection, window: Window, scope: Scope, split_seconds: Sequence[int], *, combined: bool) -> Json:
    """Cumulative, of a workspace's, workflow's or queue's tasks and reservations."""
    offers = cumulative.of_reservations(connection, window, scope, split_seconds)
    ends = cumulative.of_tasks(connection, window, scope, split_seconds)
    visits = cumulative.of_visits(connection, window, scope)
    waited = wait(offers["wait_duration_until_accepted"])
    told = _dates(window) | _reservations(offers, combined=combined) | {
        "avg_task_acceptance_time": waited["avg"],
        "wait_duration_until_accepted": waited,
        "wait_duration_until_canceled": wait(ends["wait_duration_until_canceled"]),
        **{f"tasks_{what}": ends[f"tasks_{what}"] for what in ("canceled", "completed", "deleted")},
        "tasks_moved": visits["tasks_moved"],
        "split_by_wait_time": _split(offers["split"], ends["split"]),
    }  # fmt: skip
    if scope.task_queue_sid is not None:
        in_queue = wait(visits["wait_duration_in_queue_until_accepted"])
        return told | {"tasks_entered": visits["tasks_entered"], "wait_duration_in_queue_until_accepted": in_queue}
    told["tasks_timed_out_in_workflow"] = ends["tasks_timed_out_in_workflow"]
    return told | {"tasks_entered" if scope.workflow_sid is not None else "tasks_created": ends["tasks_created"]}


def worked(connection: sa.Connection, window: Window, scope: Scope, among: Collection[str] | None, *, combined: bool) -> Json:
    """Cumulative, of workers: their reservations, and how long they were in each activity."""
    offers = cumulative.of_reservations(connection, window, scope)
    spent = durations(connection, window, scope, among)
    return _dates(window) | _reservations(offers, combined=combined) | {
        "activity_durations": [
            {"sid": sid, "friendly_name": name, **wait(spent.get(sid, Wait(0, 0, None, None)))}
            for sid, name in _activity_names(connection, scope.workspace_sid, window, spent)
        ]
    }  # fmt: skip


def wait(told: Wait) -> Json:
    """Whole seconds; what would be a division by nothing, or the least of nothing, is null."""
    return {
        "avg": told.total_ms // told.times // 1000 if told.times else None,
        "min": None if told.min_ms is None else told.min_ms // 1000,
        "max": None if told.max_ms is None else told.max_ms // 1000,
        "total": told.total_ms // 1000,
    }


def performed(connection: sa.Connection, window: Window, scope: Scope, thresholds: Sequence[int], short_abandon: int) -> Json:
    """What Twilio does not count of a workspace, queue or workflow: percentiles and service levels."""
    left = performance.left(connection, window, scope)
    return _dates(window) | {
        "durations": spread_seconds(performance.spreads(connection, window, scope)),
        "service_levels": [performance.service_level(left, each, short_abandon) for each in thresholds],
    }  # fmt: skip


def busy(connection: sa.Connection, window: Window, scope: Scope) -> Json:
    """The same of a worker: percentiles of its handling, and occupancy both ways."""
    told = occupancy(connection, window, scope)
    seconds = {name.removesuffix("_ms"): told[name] // 1000 for name in ("handling_ms", "on_duty_ms", "used_ms", "offered_ms")}
    ratios = {name: told[name] for name in ("occupancy", "weighted_occupancy")}
    spreads = performance.spreads_of_offers(connection, window, scope)
    return _dates(window) | {"durations": spread_seconds(spreads), "occupancy": seconds | ratios}


def spread_seconds(spreads: Mapping[str, Row]) -> Json:
    """Whole seconds."""
    return {
        name: {key: value if key == "count" or value is None else value // 1000 for key, value in told.items()}
        for name, told in spreads.items()
    }


def _dates(window: Window) -> Json:
    return {"start_time": instant(window.start_ms), "end_time": instant(window.end_ms)}


def _reservations(offers: Row, *, combined: bool) -> Json:
    told = {f"reservations_{what}": offers[f"reservations_{what}"] for what in (*OF_ALL, *(OF_COMBINED if combined else ()))}
    return told | ({"tasks_assigned": offers["tasks_assigned"]} if combined else {})


def _split(accepted: Mapping[int, Json], canceled: Mapping[int, Json]) -> Json | None:
    """By threshold: `{"20": {"above": {"reservations_accepted": 1, "tasks_canceled": 0}, "below": …}}`; None where none was asked for."""
    sides = ("above", "below")
    return {
        str(seconds): {
            side: {"reservations_accepted": accepted[seconds][side], "tasks_canceled": canceled[seconds][side]} for side in sides
        }
        for seconds in accepted
    } or None


def _activity_names(
    connection: sa.Connection, workspace_sid: str, window: Window, spent: Mapping[str, Wait]
) -> list[tuple[str, str | None]]:
    """The activities there were at some time of the window, and those somebody was in; by Sid, with their names as they are now."""
    c, there = tables.activity.c, window.had(tables.activity)
    found = connection.execute(
        sa.select(c.activity_sid, c.friendly_name, there.label("there")).where(c.workspace_sid == workspace_sid)
    )
    names = {row.activity_sid: row.friendly_name for row in found if row.there or row.activity_sid in spent}
    return sorted((dict.fromkeys(spent) | names).items())
