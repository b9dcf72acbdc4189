"""What each resource is read from, what its list shows, and what filters it. A list shows what Twilio's shows: nothing deleted, and of
ended tasks those of the last five minutes; `Deleted=true` and `Ended=true` show all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.api import shapes
from projector.api.ordering import Order, Sorting, ordered
from projector.api.paging import Asked
from projector.api.problems import invalid
from projector.api.shapes import Row, Shape
from projector.api.wanted import Look, Wanted, wanted_queues, wanted_tasks, wanted_workers
from projector.read.source import Source
from projector.read.tasks import SHOWN_AFTER_END_MS
from projector.read.then import then
from projector.tables import Instant
from projector.tables.current import RESERVATION_ENDED, TASK_ENDED
from projector.taskrouter.span import LONGEST_MS
from projector.taskrouter.text import LATEST_MS

SEVERAL = ("AssignmentStatus",)  # parameters that may be told several times
YES, NO = ("true", "1", "yes"), ("false", "0", "no")

Where: TypeAlias = sa.ColumnElement[bool]


class Filter(Struct, frozen=True):
    """A parameter that leaves the rows with certain values in a column: asked of the database for now, of each row for then."""

    column: sa.ColumnElement[Any]
    values: Callable[[str, str], tuple[Any, ...]]  # the parameter, its text → the values. Raises `Problem`
    name: str = ""  # the column's, in a row

    def where(self, parameter: str, text: str) -> Where:
        """The condition."""
        values = self.values(parameter, text)
        among = self.column.in_([each for each in values if each is not None])
        return sa.or_(among, self.column.is_(None)) if None in values else among

    def holds(self, parameter: str, text: str, row: Row) -> bool:
        """Whether a row has such a value."""
        return row[self.name or str(self.column.key)] in self.values(parameter, text)


class Resource(Struct, frozen=True):
    """One of Twilio's resources that is a row of a table."""

    path: str  # below the workspace's URL
    key: str  # the list's name in its JSON
    table: sa.Table
    sid: str  # the column that names a row in its URL
    shape: Shape
    filters: Mapping[str, Filter] = {}
    ends: sa.ColumnElement[Any] | None = None  # when a row ended: then it leaves the list after a while
    wanted: Callable[[sa.Connection, str, Mapping[str, str], Look], Iterator[Wanted]] | None = (
        None  # filters that are expressions
    )
    alias: str | None = None  # a column whose value may stand for the Sid
    quiet: sa.ColumnElement[Any] | None = None  # an indexed moment, NULL like `ends`, and no earlier
    orderings: Mapping[str, Sorting] = {}  # what `Ordering` may name
    order: str = ""  # the one that stands when nothing is asked for
    unknown: tuple[str, ...] = ()  # Twilio's filters by what no table holds


def _equal(column: sa.ColumnElement[Any]) -> Filter:
    return Filter(column, lambda _, text: (text,))


def _among(column: sa.ColumnElement[Any]) -> Filter:
    """One value, or several with commas between."""
    return Filter(column, lambda _, text: tuple(each.strip() for each in text.split(",")))


def _number(column: sa.ColumnElement[Any]) -> Filter:
    def values(name: str, text: str) -> tuple[int]:
        if not text.isascii() or not text.isdecimal() or len(text) > 18:
            raise invalid(name, text, "a whole number")
        return (int(text),)

    return Filter(column, values)


def _truth(column: sa.ColumnElement[Any], name: str = "") -> Filter:
    """`true`, `1` and `yes` are true, anything else is false: so says the reference."""
    return Filter(column, lambda _, text: (True,) if text.lower() in YES else (False, None), name)


_task, _worker, _reservation, _activity = tables.task.c, tables.worker.c, tables.reservation.c, tables.activity.c


def _since(*columns: sa.Column[Any], moves: bool) -> Sorting:
    """In order of a moment: the first of these that is known."""
    names = [column.name for column in columns]
    return Sorting(
        sa.func.coalesce(*columns, type_=Instant), lambda row: next(row[name] for name in names if row[name] is not None), moves
    )


_CREATED = _since(_task.created_at, _task.first_seen_at, moves=False)
_PRIORITY = Sorting(sa.func.coalesce(_task.priority, 0), lambda row: row["priority"] or 0)

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
    orderings={"DateUpdated": _since(tables.task_queue.c.updated_at, tables.task_queue.c.first_seen_at, moves=True)},
)  # fmt: skip
WORKFLOWS = Resource(
    "Workflows", "workflows", tables.workflow, "workflow_sid", shapes.workflow,
    {"FriendlyName": _equal(tables.workflow.c.friendly_name)},
)  # fmt: skip
WORKERS = Resource(
    "Workers", "workers", tables.worker, "worker_sid", shapes.worker,
    {
        "FriendlyName": _equal(_worker.friendly_name), "ActivitySid": _equal(_worker.activity_sid),
        "ActivityName": _equal(_worker.activity_name), "Available": _truth(_activity.available, "activity_available"),
    },
    wanted=wanted_workers,
    orderings={"DateStatusChanged": _since(_worker.activity_since, _worker.first_seen_at, moves=True)},
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
    quiet=tables.TASK_QUIET,
    # A task's VirtualStartTime is its creation, unless whoever created it said otherwise, which no callback tells.
    orderings={"DateCreated": _CREATED, "Priority": _PRIORITY, "VirtualStartTime": _CREATED},
    order="DateCreated",
    unknown=("RoutingTarget", "HasAddons"),
)  # fmt: skip
TASK_RESERVATIONS = Resource(
    "Reservations", "reservations", tables.reservation, "reservation_sid", shapes.task_reservation,
    {"ReservationStatus": _equal(_reservation.status), "WorkerSid": _equal(_reservation.worker_sid)},
)  # fmt: skip
WORKER_RESERVATIONS = Resource(
    "Reservations", "reservations", tables.reservation, "reservation_sid", shapes.worker_reservation,
    {"ReservationStatus": _equal(_reservation.status)},
    RESERVATION_ENDED,
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


def some(
    connection: sa.Connection, resource: Resource, where: Sequence[Where], order: Order, asked: Asked, limit: int
) -> Sequence[Row]:
    """Rows from where the page begins, each with its `place`; nearest first for a page that ends before one."""
    rows = order.page(_rows(resource).where(*where), asked).limit(limit)
    return [row | {"place": order.place(row)} for row in map(dict, connection.execute(rows).mappings())]


def wants(parameters: Mapping[str, str], name: str) -> bool:
    """Whether the query asks for what is not shown otherwise (`Deleted`, `Ended`, `Explain`). Raises `Problem`."""
    text = parameters.get(name, "").lower()
    if text not in ("", *YES, *NO):
        raise invalid(name, text, "true or false")
    return text in YES


def order_asked(resource: Resource, parameters: Mapping[str, str]) -> Order:
    """The order of the list: `Ordering`, else the resource's own, else by Sid. Raises `Problem`.

    Of a moment that is gone rows can only be listed by what never changes: anything else would have to be read of all of them first.
    """
    text = parameters.get("Ordering", "")
    order = ordered(
        resource.table.c[resource.sid], resource.orderings, text or ("" if wants(parameters, "Ended") else resource.order)
    )
    if parameters.get("AsOf") and any(sorting.moves for sorting, _ in order.by):
        raise invalid("Ordering", text, "an order by DateCreated, or leave it away: with AsOf there is no other")
    return order


def refuse_unknown(resource: Resource, parameters: Mapping[str, str]) -> None:
    """A filter by what no table holds would leave nothing or everything: it is refused. Raises `Problem`."""
    for name in resource.unknown:
        if parameters.get(name):
            raise invalid(name, parameters[name], "up: no table holds what it asks for")


def listed(resource: Resource, workspace_sid: str, parameters: Mapping[str, str], at_ms: int) -> list[Where]:
    """What the list shows now, by what the query says. Raises `Problem`."""
    where = [each.where(name, parameters[name]) for name, each in _filters(resource, parameters)]
    if "deleted_at" in resource.table.c and not wants(parameters, "Deleted"):
        where.append(resource.table.c.deleted_at.is_(None))
    return where + _lately(resource, workspace_sid, parameters, at_ms)


def listed_then(resource: Resource, workspace_sid: str, parameters: Mapping[str, str], at_ms: int) -> list[Where]:
    """Today's rows of all that the list may have shown at a moment: what is known of it then, `then_kept` asks of each."""
    c, at = resource.table.c, sa.literal(at_ms, Instant)
    begun = sa.func.coalesce(c.created_at, c.first_seen_at, type_=Instant) if "created_at" in c else c.first_seen_at
    where: list[Where] = [begun <= at]
    if "deleted_at" in c:
        where.append(sa.or_(c.deleted_at.is_(None), c.deleted_at > at))
    return where + _lately(resource, workspace_sid, parameters, at_ms, at_ms + LONGEST_MS)


def then_kept(
    source: Source, resource: Resource, parameters: Mapping[str, str], at_ms: int, wanted: Sequence[Wanted]
) -> Callable[[Row], Row | None]:
    """Today's row → the row then, if it was there and the query asks for it."""
    filters = _filters(resource, parameters)

    def kept(today: Row) -> Row | None:
        row = then(source, resource.table, today, at_ms)
        if row is None or not all(each.holds(name, parameters[name], row) for name, each in filters):
            return None
        return dict(row) | {"place": today["place"]} if all(each(row) for each in wanted) else None

    return kept


def _filters(resource: Resource, parameters: Mapping[str, str]) -> list[tuple[str, Filter]]:
    return [(name, each) for name, each in resource.filters.items() if parameters.get(name)]


def _lately(
    resource: Resource, workspace_sid: str, parameters: Mapping[str, str], at_ms: int, until_ms: int = LATEST_MS
) -> list[Where]:
    """That it lives, or ended a little before at most; unless `Ended=true`. Of what lived at `at_ms` nothing is heard from `until_ms` on."""
    if resource.ends is None or wants(parameters, "Ended"):
        return []
    lately = sa.literal(at_ms - SHOWN_AFTER_END_MS, Instant)
    found: list[Where] = [sa.or_(resource.ends.is_(None), resource.ends > lately)]
    if resource.quiet is None:
        return found
    # Fewer by an index, each half a range of it: else a list of some live tasks would read all that ever were.
    c = resource.table.c
    heard = sa.select(c[resource.sid]).where(c.workspace_sid == workspace_sid)
    halves = (
        heard.where(resource.quiet.is_(None)),
        heard.where(resource.quiet > lately, resource.quiet < sa.literal(until_ms, Instant)),
    )
    return [*found, c[resource.sid].in_(sa.union_all(*halves))]


def _rows(resource: Resource) -> sa.Select[Any]:
    if resource.table is not tables.worker:
        return sa.select(resource.table)
    of_worker = sa.and_(_activity.workspace_sid == _worker.workspace_sid, _activity.activity_sid == _worker.activity_sid)
    joined = tables.worker.outerjoin(tables.activity, of_worker)
    return sa.select(tables.worker, _activity.available.label("activity_available")).select_from(joined)
