"""What is asked of one workspace: at which moment, in which window, of whom; and the figures of that."""

from collections.abc import Collection
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import request

from projector import tables
from projector.api.asked import missing, window_asked
from projector.api.problems import invalid
from projector.api.resources import wants
from projector.api.shapes import Json, Setting
from projector.api.statistics import Floor, handled, worked
from projector.read.explained import MOST, explained, explained_spells
from projector.read.happening import Happening, Scope, Window
from projector.read.present import Present
from projector.rows import Row

THRESHOLDS = 100  # at once
T = TypeVar("T")


class Asked:
    """What is asked for of one workspace: a moment, and a window that ends there, or wherever the query says."""

    def __init__(self, present: Present, setting: Setting, workspace_sid: str) -> None:
        self.connection, self.setting, self.workspace_sid = present.today, setting, workspace_sid
        start_ms, end_ms = window_asked(setting.at_ms)
        self.window = Window(start_ms, max(start_ms, min(end_ms, setting.at_ms)))  # what has not happened yet is not counted
        self.floor = Floor(present, workspace_sid, setting.at_ms)
        self.floor_then = Floor(present, workspace_sid, self.window.end_ms)  # for who was eligible at the window's end
        self.split_seconds = numbers_asked("SplitByWaitTime")

    def floor_of(self, task_queue_sid: str) -> Floor:
        """The moment asked for, of one queue alone: its tasks are fewer."""
        return Floor(self.floor.present, self.workspace_sid, self.setting.at_ms, task_queue_sid)

    def scope(self, **of: str | None) -> Scope:
        """Whose figures."""
        return Scope(self.workspace_sid, task_channel=request.args.get("TaskChannel") or None, **of)

    def cumulative(self, scope: Scope, *, combined: bool) -> Json:
        """Of tasks and reservations."""
        told = handled(self.connection, self.window, scope, self.split_seconds, combined=combined)
        behind = self.explain(scope).get("explain", {})
        if scope.workflow_sid is not None:  # its tasks enter it when they are created
            behind["tasks_entered"] = behind.pop("tasks_created", [])
        shown = {figure: rows for figure, rows in behind.items() if rows and figure in told}
        return told | ({"explain": shown} if wants(request.args, "Explain") else {})

    def worked(self, scope: Scope, among: Collection[str] | None, *, combined: bool) -> Json:
        """Of workers (or of those among them): reservations, and how long they were in each activity."""
        told = worked(self.connection, self.window, scope, among, combined=combined)
        explained = self.explain(scope, of_tasks=(), of_visits=())
        if explained:
            spells = _few(explained_spells(self.floor.present, self.window, scope, among))
            explained["explain"]["activity_durations"] = [_dated(row) for row in spells]
        return told | explained

    def explain(self, scope: Scope, **happenings: tuple[Happening, ...]) -> Json:
        """`Explain=true`: the callbacks behind each figure. Raises `Problem`."""
        if not wants(request.args, "Explain"):
            return {}
        found = _few(explained(self.floor.present, self.window, scope, **happenings))
        return {"explain": {figure: [_dated(row) for row in rows] for figure, rows in found.items()}}

    def rows(self, table: sa.Table, *where: Any, window: Window | None = None) -> list[Row]:
        """The workspace's queues, workflows or workers that were there at the moment, or at some time of a window; by Sid."""
        there = (window or Window(self.setting.at_ms, self.setting.at_ms + 1)).had(table)
        select = sa.select(table).where(table.c.workspace_sid == self.workspace_sid, there, *where)
        return [dict(row) for row in self.connection.execute(select.order_by(table.c[f"{table.name}_sid"])).mappings()]

    def row(self, table: sa.Table, sid: str, *, now: bool = False) -> Row:
        """The one with this Sid: that was there within the window, or, for what is counted now, at the moment. Raises `Problem`."""
        window = None if now else self.window
        found = self.rows(table, table.c[f"{table.name}_sid"] == sid, window=window)
        if not found:
            raise missing()
        return found[0]


def _few(found: T | None) -> T:
    """What is behind the figures, if it is not too much to be looked up. Raises `Problem`."""
    if found is None:
        raise invalid("Explain", "true", f"for a narrower window: behind one of its figures are more than {MOST} callbacks")
    return found


def _dated(row: Row) -> Json:
    return {"at": tables.iso(row["at_ms"])} | {name: value for name, value in row.items() if name != "at_ms"}


def numbers_asked(name: str) -> tuple[int, ...]:
    """Seconds, with commas between; none where nothing is asked for. Raises `Problem`."""
    text = request.args.get(name)
    if not text:
        return ()
    told = [each.strip() for each in text.split(",")]
    if len(told) > THRESHOLDS or not all(each.isascii() and each.isdecimal() and len(each) <= 9 for each in told):
        raise invalid(name, text, f"up to {THRESHOLDS} whole numbers of seconds with commas between: 5,20,60")
    return tuple(dict.fromkeys(int(each) for each in told))
