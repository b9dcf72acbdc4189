"""States, spans and mentions as rows of `tables`, and back. A field `x_ms` is the column `x_at` (or `x`)."""

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.taskrouter.activity import Activity
from projector.taskrouter.callback import Unit
from projector.taskrouter.fold import State
from projector.taskrouter.gap import Gap
from projector.taskrouter.head import Head
from projector.taskrouter.mention import NAMES, Mention, Mentions, Stated
from projector.taskrouter.reservation import Reservation, ReservationStatusSpan
from projector.taskrouter.task import Task, TaskQueueSpan, TaskStatusSpan
from projector.taskrouter.task_channel import TaskChannel
from projector.taskrouter.task_queue import TaskQueue
from projector.taskrouter.worker import ActivitySpan, AttributesSpan, Worker
from projector.taskrouter.worker_channel import ChannelSpan, WorkerChannel
from projector.taskrouter.workflow import Workflow
from projector.taskrouter.workspace import Workspace

Row = dict[str, Any]
Values = tuple[Any, ...]  # a row's values, in the order of its columns

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
HISTORY_OF: dict[type[Struct], sa.Table] = {  # what the fold hands out beside the state
    ActivitySpan: tables.worker_activity_span_past,
    AttributesSpan: tables.worker_attributes_span_past,
    ChannelSpan: tables.worker_channel_span_past,
    TaskStatusSpan: tables.task_status_span_past,
    ReservationStatusSpan: tables.reservation_status_span_past,
    TaskQueueSpan: tables.task_queue_span_past,
    Gap: tables.gap_told,
}
LINE_KEY = {  # what names a line of it: the key without the span's own part
    kind: tuple(column.name for column in table.primary_key if column.name not in ("started_at", "n"))
    for kind, table in HISTORY_OF.items()
}
PARTS: dict[str, type[Struct]] = {"task": Reservation, "worker": WorkerChannel}  # kind → what its parts are
PART_KEY = {Reservation: "reservation_sid", WorkerChannel: "task_channel_sid"}


def _column_name(table: sa.Table, field: str) -> str:
    if field in table.c or not field.endswith("_ms"):
        return field  # `reported_ms` is a length, not a moment
    at = field.removesuffix("_ms") + "_at"
    return at if at in table.c else field.removesuffix("_ms")


STORED: dict[type[Struct], sa.Table] = TABLE_OF | HISTORY_OF | {Stated: tables.stated_capacity}
FIELDS = {  # row's struct → the fields that are stored
    kind: tuple(field for field in kind.__struct_fields__ if field != "closed") for kind in STORED
}
COLUMNS = {  # row's struct → its columns, in the order of its fields
    kind: tuple(_column_name(table, field) for field in FIELDS[kind]) for kind, table in STORED.items()
}
NAME_COLUMNS = {  # table → the columns that mentions fill, beside its key
    name: ("first_seen_at", *(column for field in fields for column in (field, f"{field}_order")))
    for name, fields in NAMES.items()
}


VALUES_OF: dict[type[Struct], Callable[[Struct], Values]] = {  # row's struct → its values, in the order of `COLUMNS`
    kind: attrgetter(*fields) for kind, fields in FIELDS.items()
}


def row_of(state: Struct) -> Row:
    """The row of one head, part, span or gap, without what mentions add."""
    kind = type(state)
    return dict(zip(COLUMNS[kind], VALUES_OF[kind](state), strict=True))


def state_of(kind: type[Struct], row: Mapping[Any, Any]) -> Any:
    """The head or part that a row holds."""
    return kind(**{field: row[column] for column, field in zip(COLUMNS[kind], FIELDS[kind], strict=True)})


def is_only_mentioned(head: Head) -> bool:
    """True for a row that no callback of its own has touched yet."""
    return not head.folded_to and head.deletion_order is None


def name_values(table: str, key: tuple[str, ...], mention: Mention) -> Values:
    """The row a mention writes: key, first_seen_at, each name with its order."""
    values: list[Any] = [*key, mention.first_seen_ms]
    for field in NAMES[table]:
        order, value = mention.names.get(field, (None, None))
        values += (value, order)
    return tuple(values)


def name_row(table: sa.Table, key: tuple[str, ...], mention: Mention) -> Row:
    """The same by column name."""
    columns = (*(column.name for column in table.primary_key), *NAME_COLUMNS[table.name])
    return dict(zip(columns, name_values(table.name, key, mention), strict=True))


def rows_of(state: State, before: State | None) -> Iterator[Struct]:
    """What of a unit has to be written: its head, and the parts that are new or changed."""
    yield state.head
    for sid, part in state.parts.items():
        if before is None or before.parts.get(sid) != part:
            yield part


def head_unit(kind: str, row: Mapping[Any, Any]) -> Unit:
    """Whose row this is."""
    return Unit(row["workspace_sid"], kind, row[f"{kind}_sid"])


# Of the kinds that name a unit in a key, the first is the unit's: a reservation is its task's, everything is in a workspace.
_UNIT_KINDS = ("task", "worker", "activity", "task_queue", "workflow", "task_channel", "workspace")
_STATE_OF = {table.name: kind for kind, table in TABLE_OF.items()}


def untouched(table: sa.Table) -> Row:
    """The row, its key apart, of an entity that no callback of its own has touched, without what mentions add."""
    return row_of(_STATE_OF[table.name]())


def named_rows(mentions: Mentions) -> Iterator[tuple[sa.Table, Row]]:
    """The rows that mentions alone come to."""
    for (name, key), mention in mentions.items():
        table = tables.metadata.tables[name]
        yield table, untouched(table) | name_row(table, key, mention)


def unit_of_row(table: sa.Table, row: Mapping[str, Any]) -> Unit:
    """The unit whose fold wrote a row (of `stated_capacity`: the worker it speaks of)."""
    if table is tables.gap_told:
        return Unit(row["workspace_sid"], row["kind"], row["sid"])
    kind = next(kind for kind in _UNIT_KINDS if f"{kind}_sid" in table.primary_key.columns)
    return head_unit(kind, row)


def is_default(table: sa.Table, own: Mapping[str, Any]) -> bool:
    """True when a row, what mentions fill left out, says nothing but its key: no callback of its own has touched it."""
    blank = untouched(table) if table.name in _STATE_OF else {}
    return bool(blank) and all(name in table.primary_key.columns or value == blank[name] for name, value in own.items())
