"""Views by their public names: the history, what has ended and the last span in the entity's row as one table each; the floor now;
and both by the hour and quarter.

Half-open `[started_at, ended_at)`, `ended_at` NULL while it lasts. Names as sent then (`worker_name`) and as they are now
(`worker_name_now`); deleted things keep theirs. Views belong to a release, not to a migration: they are dropped before one and
made after it, and likewise when a rebuild swaps the tables beneath them.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateView, DropView

from projector.tables import gaps, spans
from projector.tables.columns import BIG, SID, at, column, metadata, personal
from projector.tables.hourly import activity_duration_hourly
from projector.tables.intervals import queue_interval_15m
from projector.tables.now import queue_now, worker_now
from projector.tables.open import open_now


class View(NamedTuple):
    """A view's select on a database, what it is, and what its columns are, those of its `_past` table apart."""

    select: Callable[[str], sa.SelectBase]
    comment: str
    told: Sequence[sa.Column[Any]] = ()


_WORKSPACE, _WORKER, _ACTIVITY = (
    column(f"{name}_sid", SID, f"{prefix}…") for name, prefix in (("workspace", "WS"), ("worker", "WK"), ("activity", "WA"))
)
_QUEUE = column("task_queue_sid", SID, "WQ…")
_ENDED = at("ended_at", "Up to, not including, this moment; NULL while it lasts.")
_ACTIVITY_NOW = column("activity_name_now", sa.Text, "The activity's name as it is now.")
_WORKER_NOW = personal("worker_name_now", "The worker's name as it is now.")
_QUEUE_NOW = column("task_queue_name_now", sa.Text, "The queue's name as it is now.")

VIEWS: dict[str, View] = {
    "worker_activity_span": View(
        lambda _: spans.worker_activity_span(), "Spells of workers in activities.", (_ENDED, _ACTIVITY_NOW, _WORKER_NOW)
    ),
    "worker_attributes_span": View(
        lambda _: spans.worker_attributes_span(), "Times of workers with the same attributes.", (_ENDED, _WORKER_NOW)
    ),
    "worker_channel_span": View(
        lambda _: spans.worker_channel_span(),
        "Times of worker channels with the same configured capacity and availability.",
        (
            _ENDED, _WORKER_NOW,
            column("configured_capacity", BIG, "As callbacks of tasks state it, else as the worker's own update told."),
            column("configured_capacity_basis", sa.Text, "Which of the two it is: stated or updated."),
        ),
    ),
    "task_status_span": View(lambda _: spans.task_status_span(), "Times of tasks in a status that is no end.", (_ENDED,)),
    "reservation_status_span": View(
        lambda _: spans.reservation_status_span(), "Times of reservations in a status that is no end.", (_ENDED, _WORKER_NOW)
    ),
    "task_queue_span": View(
        lambda _: spans.task_queue_span(),
        "Visits of tasks to queues, and what ended each.",
        (_ENDED, _QUEUE_NOW, column("outcome", sa.Text, "accepted, timeout, moved, canceled, completed, deleted; NULL while it lasts.")),
    ),
    "gap": View(
        lambda _: gaps.gap(),
        "What must have happened and is not here now.",
        (
            _WORKSPACE, column("kind", SID, "What is missing something: worker, task, reservation; of hints also activity, task_queue, workflow, task_channel."),
            column("sid", SID, "Its Sid."), column("n", BIG, "Of a worker: how many gaps of it came before; else 0."),
            column("reason", sa.Text, "Why something must be missing: docs/feeds.md lists them."),
            column("event_sid", SID, "Sid of the callback that reveals it, or that was the last of what reveals it."),
            at("revealed_at", "Its event time."), column("missing_event_type", sa.Text, "What is believed missing."),
            at("missing_at", "When that happened, or about when, if it can be told."), column("activity_sid", SID, "The activity it entered."),
            column("is_hint", sa.Boolean, "True: it may as well have been there before the projector was."),
        ),
    ),
    "activity_duration_hourly": View(
        activity_duration_hourly,
        "Milliseconds of each worker in each activity, by hour of UTC.",
        (
            _WORKSPACE, _WORKER, _ACTIVITY, _WORKER_NOW, _ACTIVITY_NOW,
            at("hour", "Beginning of the hour, UTC."),
            column("milliseconds", BIG, "Of that hour; a spell that lasts counts up to the projection's event time."),
        ),
    ),
    "worker_now": View(
        lambda _: worker_now(),
        "Workers who are not deleted, as of the projection's event time: activity and load.",
        (
            _WORKSPACE, _WORKER, personal("friendly_name", "Its name as last told."), column("activity_sid", SID, "The activity it is in."),
            column("activity_name", sa.Text, "That activity's name as it is now."),
            column("available", sa.Boolean, "Whether workers in that activity get tasks; NULL where no callback told."),
            at("activity_since", "When it entered that activity."),
            column("in_activity_ms", BIG, "For how long it has been in it, up to the projection's event time."),
            column("pending", BIG, "Its reservations that wait for an answer."),
            column("accepted", BIG, "Its reservations that are accepted."),
            column("wrapping", BIG, "Its reservations in wrap-up."),
            column("load", BIG, "All of these but those that take no capacity (TaskIgnoreCapacity)."),
        ),
    ),
    "queue_now": View(
        lambda _: queue_now(),
        "Task queues that are not deleted, as of the projection's event time: what waits and what is in progress.",
        (
            _WORKSPACE, _QUEUE, column("friendly_name", sa.Text, "Its name as last told."),
            column("tasks_waiting", BIG, "Tasks whose visit to it lasts; a rejected offer does not end one."),
            column("longest_wait_ms", BIG, "How long the first of them has waited, up to the projection's event time; NULL when none waits."),
            column("oldest_task_sid", SID, "That task."),
            column("tasks_in_progress", BIG, "Tasks assigned, wrapping or being transferred whose last visit was to it."),
        ),
    ),
    "open_now": View(
        open_now,
        "Tasks and reservations that are open, as of the projection's event time, and how long their kind usually is.",
        (
            _WORKSPACE, column("kind", sa.Text, "task or reservation."), column("sid", SID, "WT… or WR…"), column("task_sid", SID, "WT…"),
            column("worker_sid", SID, "WK…, of a reservation."), column("task_queue_sid", SID, "WQ…, the task's, or out of which it was offered."),
            column("status", sa.Text, "The status it is in."), column("task_channel_sid", SID, "TC…, its task's."), at("started_at", "Since when."),
            column("event_sid", SID, "Sid of the callback that told so."),
            column("last_event_sid", SID, "Sid of the last callback of it; for a task that is one of its reservations' too."),
            column("open_ms", BIG, "For how long, up to the projection's event time."),
            column("usual_ms", BIG, "How long 99 of 100 of its kind stayed in that status, of those of the last 30 days and 10,000 tasks; NULL where fewer than 20 have."),
            column("usual_of", BIG, "Of how many that is said."),
            column("times_usual", sa.Double, "open_ms / usual_ms, where that is at least a second, else open_ms in seconds: what is far above 1 may be stuck, or its end was lost."),
        ),
    ),
    "queue_interval_15m": View(
        lambda _: queue_interval_15m(),
        "Who entered and left each queue, by quarter of an hour of UTC; quarters in which nobody did are left out.",
        (
            _WORKSPACE, _QUEUE, _QUEUE_NOW, at("started_at", "Beginning of the quarter of an hour, UTC."),
            column("entered", BIG, "Visits that began in it."),
            column("answered", BIG, "Visits that ended in it by acceptance."),
            column("answered_in_20s", BIG, "Of those, within 20 seconds; exactly 20 is within."),
            column("abandoned", BIG, "Visits that ended in it with the task's cancellation or deletion, or by a timeout that led nowhere."),
            column("abandoned_short", BIG, "Of those, within 5 seconds."),
            column("flowed_out", BIG, "Visits that ended in it because the task went on into another queue."),
            column("answered_wait_ms", BIG, "How long the answered waited, together."),
            column("abandoned_wait_ms", BIG, "How long the abandoned waited, together."),
            column("max_wait_ms", BIG, "How long the one of all who left waited that waited longest; NULL when nobody left."),
            column("service_level", sa.Double, "answered_in_20s, of answered and abandoned without abandoned_short; NULL when that is none."),
        ),
    ),
}  # fmt: skip


@cache
def view(name: str) -> sa.Table:
    """A view, to select from, each column with what it means."""
    select, comment, told = VIEWS[name]
    past = metadata.tables.get(f"{name}_past")
    means = {each.name: each for each in (*(() if past is None else past.c), *told)}
    shown = [means[each.name] for each in select("sqlite").selected_columns]
    columns = [sa.Column(each.name, each.type, comment=each.comment, info=each.info) for each in shown]
    return sa.Table(name, sa.MetaData(), *columns, comment=comment)


def make_views(connection: sa.Connection, *, replace: bool = False) -> None:
    """Create every view of this release; none may be there yet, unless they are to be replaced (PostgreSQL): grants and comments stay
    then."""
    for name, (select, *_) in VIEWS.items():
        connection.execute(CreateView(select(connection.dialect.name), name, metadata=sa.MetaData(), or_replace=replace))
        if connection.dialect.supports_comments and not replace:
            comment_on_view(connection, view(name))


def comment_on_view(connection: sa.Connection, of: sa.Table) -> None:
    """Say of a view and of its columns what they are, where a reader's tool shows it."""
    connection.execute(_CommentOnView(of))
    for each in of.c:
        connection.execute(sa.schema.SetColumnComment(each))


class _CommentOnView(sa.schema.ExecutableDDLElement):
    def __init__(self, view: sa.Table) -> None:
        self.view = view


@compiles(_CommentOnView)
def _(element: Any, compiler: Any, **_: Any) -> str:
    name = compiler.preparer.format_table(element.view)
    return f"COMMENT ON VIEW {name} IS {compiler.sql_compiler.render_literal_value(element.view.comment, sa.String())}"


def drop_views(connection: sa.Connection) -> None:
    """Drop whichever of our views are there. (A later release that gives one up has to name it here.)"""
    there = sa.inspect(connection).get_view_names()
    for name in VIEWS:
        if name in there:
            connection.execute(DropView(sa.Table(name, sa.MetaData())))
