"""What each resource is read from, what its list shows, and what filters it. A list shows what Twilio's shows: nothing deleted, and of
ended tasks those of the last five minutes; `Deleted=true` and `Ended=true` show all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.api import shapes
from projector.api.paging import Asked
from projector.api.problems import invalid
from projector.api.shapes import Row, Shape
from projector.api.wanted import Wanted, wanted_queues, wanted_tasks, wanted_workers
from projector.read.source import Source
from projector.read.then import reservation_then, task_then, thing_then, worker_then
from projector.tables import Instant
from projector.tables.current import RESERVATION_ENDED, TASK_ENDED

SHOWN_AFTER_END_MS = 5 * 60 * 1000  # Twilio deletes ended tasks after five minutes

Where: TypeAlias = sa.ColumnElement[bool]
Filter: TypeAlias = Callable[[str, str], Where]  # parameter, its text → condition. Raises `Problem`
Then: TypeAlias = Callable[[Source, Row, int], Row | None]  # what knows, today's row, the moment → the row then


class Resource(Struct, frozen=True):
    """One of Twilio's resources that is a row of a table."""

    path: str  # below the workspace's URL
    key: str  # the list's name in its JSON
    table: sa.Table
    sid: str  # the column that names a row in its URL
    shape: Shape
    filters: Mapping[str, Filter] = {}
    ends: sa.ColumnElement[Any] | None = None  # when a row ended: then it leaves the list after a while
    wanted: Callable[[sa.Connection, str, Mapping[str, str]], Iterator[Wanted]] | None = None  # filters that are expressions
    alias: str | None = None  # a column whose value may stand for the Sid
    then: Then | None = None  # how it was at a moment; without, as what has no history


def _equal(column: sa.ColumnElement[Any]) -> Filter:
    return lambda _, text: column == text


def _among(column: sa.ColumnElement[Any]) -> Filter:
    """One value, or several with commas between."""
    return lambda _, text: column.in_([each.strip() for each in text.split(",")])


def _number(column: sa.ColumnElement[Any]) -> Filter:
    def where(name: str, text: str) -> Where:
        if not text.isascii() or not text.isdecimal() or len(text) > 18:
            raise invalid(name, text, "a whole number")
        return column == int(text)

    return where


def _truth(column: sa.ColumnElement[Any]) -> Filter:
    """`true`, `1` and `yes` are true, anything else is false: so says the reference."""

    def where(_: str, text: str) -> Where:
        return column.is_(True) if text.lower() in ("true", "1", "yes") else sa.not_(sa.func.coalesce(column, sa.false()))

    return where


_task, _worker, _reservation, _activity = tables.task.c, tables.worker.c, tables.reservation.c, tables.activity.c

WORKSPACES = Resource(
    "", "workspaces", tables.workspace, "workspace_sid", shapes.workspace,
    {"FriendlyName": _equal(tables.workspace.c.friendly_name)},
)  # fmt: skip
ACTIVITIES = Resource(
    "Activities", "activities", tables.activity, "activity_sid", shapes.activity,
    {"FriendlyName": _equal(_activity.friendly_name), "Available": _truth(_activity.available)},
)  # fmt: skip
TASK_CHANNELS = Resource(
    "TaskChannels", "channels", tables.task_channel, "task_channel_sid", shapes.task_channel, alias="unique_name"
)
TASK_QUEUES = Resource(
    "TaskQueues", "task_queues", tables.task_queue, "task_queue_sid", shapes.task_queue,
    {"FriendlyName": _equal(tables.task_queue.c.friendly_name)},
    wanted=wanted_queues,
)  # fmt: skip
WORKFLOWS = Resource(
    "Workflows", "workflows", tables.workflow, "workflow_sid", shapes.workflow,
    {"FriendlyName": _equal(tables.workflow.c.friendly_name)},
)  # fmt: skip
WORKERS = Resource(
    "Workers", "workers", tables.worker, "worker_sid", shapes.worker,
    {
        "FriendlyName": _equal(_worker.friendly_name), "ActivitySid": _equal(_worker.activity_sid),
        "ActivityName": _equal(_worker.activity_name), "Available": _truth(_activity.available),
    },
    wanted=wanted_workers,
    then=worker_then,
)  # fmt: skip
TASKS = Resource(
    "Tasks", "tasks", tables.task, "task_sid", shapes.task,
    {
        "Priority": _number(_task.priority), "AssignmentStatus": _among(_task.status), "WorkflowSid": _equal(_task.workflow_sid),
        "WorkflowName": _equal(_task.workflow_name), "TaskQueueSid": _equal(_task.task_queue_sid),
        "TaskQueueName": _equal(_task.task_queue_name),
    },
    TASK_ENDED,
    wanted=wanted_tasks,
    then=task_then,
)  # fmt: skip
TASK_RESERVATIONS = Resource(
    "Reservations", "reservations", tables.reservation, "reservation_sid", shapes.task_reservation,
    {"ReservationStatus": _equal(_reservation.status), "WorkerSid": _equal(_reservation.worker_sid)},
    then=reservation_then,
)  # fmt: skip
WORKER_RESERVATIONS = Resource(
    "Reservations", "reservations", tables.reservation, "reservation_sid", shapes.worker_reservation,
    {"ReservationStatus": _equal(_reservation.status)},
    RESERVATION_ENDED,
    then=reservation_then,
)  # fmt: skip

WITHIN_WORKSPACE = (ACTIVITIES, TASK_CHANNELS, TASK_QUEUES, WORKFLOWS, WORKERS, TASKS)


def named(resource: Resource, text: str) -> Where:
    """The row that this stands for in a URL."""
    sid = resource.table.c[resource.sid]
    return sid == text if resource.alias is None else sa.or_(sid == text, resource.table.c[resource.alias] == text)


def one(connection: sa.Connection, resource: Resource, *where: Where) -> Row | None:
    """The row under these conditions, deleted or not."""
    found = connection.execute(_rows(resource).where(*where).limit(1)).mappings().first()
    return dict(found) if found is not None else None


def some(connection: sa.Connection, resource: Resource, where: Sequence[Where], asked: Asked, limit: int) -> Sequence[Row]:
    """Rows in the order of their Sids, from where the page begins; backwards for a page that ends before a key."""
    sid = resource.table.c[resource.sid]
    rows = _rows(resource).where(*where)
    if asked.before is not None:
        rows = rows.where(sid < asked.before).order_by(sid.desc())
    else:
        rows = (rows.where(sid > asked.after) if asked.after is not None else rows).order_by(sid)
    return [dict(row) for row in connection.execute(rows.limit(limit)).mappings()]


def one_then(source: Source, resource: Resource, today: Row, at_ms: int) -> Row | None:
    """The row as it was at the moment; None where it was not there."""
    if resource.then is None:
        return thing_then(source, resource.table, today, at_ms)
    return resource.then(source, today, at_ms)


def wants(parameters: Mapping[str, str], name: str) -> bool:
    """Whether the query asks for what is not shown otherwise (`Deleted`, `Ended`)."""
    return parameters.get(name, "").lower() == "true"


def listed(resource: Resource, parameters: Mapping[str, str], now_ms: int) -> list[Where]:
    """What the list shows, by what the query says. Raises `Problem`."""
    where = [each(name, parameters[name]) for name, each in resource.filters.items() if parameters.get(name)]
    if "deleted_at" in resource.table.c and not wants(parameters, "Deleted"):
        where.append(resource.table.c.deleted_at.is_(None))
    if resource.ends is not None and not wants(parameters, "Ended"):
        lately = sa.literal(now_ms - SHOWN_AFTER_END_MS, Instant)
        where.append(sa.or_(resource.ends.is_(None), resource.ends >= lately))
    return where


def _rows(resource: Resource) -> sa.Select[Any]:
    if resource.table is not tables.worker:
        return sa.select(resource.table)
    of_worker = sa.and_(_activity.workspace_sid == _worker.workspace_sid, _activity.activity_sid == _worker.activity_sid)
    joined = tables.worker.outerjoin(tables.activity, of_worker)
    return sa.select(tables.worker, _activity.available.label("activity_available")).select_from(joined)
