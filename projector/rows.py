"""States and mentions as rows of `tables.py`, and back. A state's field `x_ms` is the column `x_at` (or `x`)."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.taskrouter.activity import Activity
from projector.taskrouter.callback import Unit
from projector.taskrouter.fold import State
from projector.taskrouter.head import Head
from projector.taskrouter.mention import NAMES, Mention
from projector.taskrouter.reservation import Reservation
from projector.taskrouter.task import Task
from projector.taskrouter.task_channel import TaskChannel
from projector.taskrouter.task_queue import TaskQueue
from projector.taskrouter.worker import Worker
from projector.taskrouter.worker_channel import WorkerChannel
from projector.taskrouter.workflow import Workflow
from projector.taskrouter.workspace import Workspace

Row = dict[str, Any]

TABLE_OF: dict[type[Struct], sa.Table] = {
    Workspace: tables.workspace,
    Activity: tables.activity,
    Worker: tables.worker,
    WorkerChannel: tables.worker_channel,
    Task: tables.task,
    Reservation: tables.reservation,
    TaskQueue: tables.task_queue,
    Workflow: tables.workflow,
    TaskChannel: tables.task_channel,
}
PARTS: dict[str, type[Struct]] = {"task": Reservation, "worker": WorkerChannel}  # kind → what its parts are
PART_KEY = {Reservation: "reservation_sid", WorkerChannel: "task_channel_sid"}


def _column_name(table: sa.Table, field: str) -> str:
    if not field.endswith("_ms"):
        return field
    at = field.removesuffix("_ms") + "_at"
    return at if at in table.c else field.removesuffix("_ms")


COLUMNS = {  # state → its columns, in the order of its fields
    state: tuple(_column_name(table, field) for field in state.__struct_fields__) for state, table in TABLE_OF.items()
}
NAME_COLUMNS = {  # table → the columns that mentions fill, beside its key
    name: ("first_seen_at", *(column for field in fields for column in (field, f"{field}_order")))
    for name, fields in NAMES.items()
}


def row_of(state: Struct) -> Row:
    """The row of one head or part, without what mentions add."""
    return {column: getattr(state, field) for column, field in zip(COLUMNS[type(state)], state.__struct_fields__, strict=True)}


def state_of(kind: type[Struct], row: Mapping[Any, Any]) -> Any:
    """The head or part that a row holds."""
    return kind(**{field: row[column] for column, field in zip(COLUMNS[kind], kind.__struct_fields__, strict=True)})


def is_only_mentioned(head: Head) -> bool:
    """True for a row that no callback of its own has touched yet."""
    return not head.folded_to and head.deletion_order is None


def name_row(table: sa.Table, key: tuple[str, ...], mention: Mention) -> Row:
    """The row a mention writes: key, first_seen_at, each name with its order."""
    row: Row = dict(zip((column.name for column in table.primary_key), key, strict=True))
    row["first_seen_at"] = mention.first_seen_ms
    for field in NAMES[table.name]:
        order, value = mention.names.get(field, (None, None))
        row[field], row[f"{field}_order"] = value, order
    return row


def rows_of(state: State, before: State | None) -> Iterator[Struct]:
    """What of a unit has to be written: its head, and the parts that are new or changed."""
    yield state.head
    for sid, part in state.parts.items():
        if before is None or before.parts.get(sid) != part:
            yield part


def head_unit(kind: str, row: Mapping[Any, Any]) -> Unit:
    """Whose row this is."""
    return Unit(row["workspace_sid"], kind, row[f"{kind}_sid"])
