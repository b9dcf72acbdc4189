"""Timelines: everything that lasted, of a worker or a task, within a window; each span whole, in order of its beginning."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.read.happening import Window
from projector.read.refolded import Refolded
from projector.rows import HISTORY_OF, Row, row_of
from projector.tables import Instant
from projector.tables.views import view
from projector.taskrouter.callback import Unit
from projector.taskrouter.span import LONGEST_MS, Span

WORKER, TASK = {
    "activity": ("worker_activity_span", ("activity_sid", "activity_name", "activity_name_now")),
    "attributes": ("worker_attributes_span", ("attributes",)),
    "channel": ("worker_channel_span", ("task_channel_sid", "available", "configured_capacity", "configured_capacity_basis")),
    "reservation": (
        "reservation_status_span", ("reservation_sid", "status", "task_sid", "task_channel_sid", "ignore_capacity"),
    ),
}, {
    "status": ("task_status_span", ("status",)),
    "queue": ("task_queue_span", ("task_queue_sid", "task_queue_name", "task_queue_name_now", "outcome")),
    "reservation": (
        "reservation_status_span", ("reservation_sid", "status", "worker_sid", "worker_name", "worker_name_now"),
    ),
}  # fmt: skip
TOLD = ("started_at", "ended_at", "inferred", "event_sid")


def timeline(connection: sa.Connection, workspace_sid: str, of: str, sid: str, window: Window) -> list[Row]:
    """Of a `worker` or a `task`: rows of `kind` (activity, channel, …), the same columns in each, None where a kind has no such.

    `ended_at` None: it lasts. A span that touches the window is in it whole; one of no length, if it lies within.
    """
    kinds = WORKER if of == "worker" else TASK
    columns = dict.fromkeys(column for _, told in kinds.values() for column in told)
    found: list[Row] = []
    for kind, (name, told) in kinds.items():
        span = view(name)
        select = sa.select(*(span.c[column] for column in (*TOLD, *told))).where(
            span.c.workspace_sid == workspace_sid, span.c[f"{of}_sid"] == sid, *_touches(span.c, window, name)
        )
        rows = connection.execute(select).mappings()
        found += [{"kind": kind} | {column: row.get(column) for column in (*TOLD, *columns)} for row in rows]
    return sorted(found, key=lambda row: (row["started_at"], row["kind"], row["event_sid"] or ""))


def timeline_known(source: Refolded, workspace_sid: str, of: str, sid: str, window: Window) -> list[Row]:
    """The same from what was known then. Configured capacities are left out: what of them tasks' callbacks
    stated was known then is looked up for a moment alone (`Source.stated`)."""
    kinds = WORKER if of == "worker" else TASK
    columns = dict.fromkeys(column for _, told in kinds.values() for column in told)
    spans = source.spans(Unit(workspace_sid, of, sid))
    if of == "worker":
        spans += source.offered(workspace_sid, sid, window.start_ms, window.end_ms)
    rows = [_known(source, span, kinds, columns) for span in spans if _touched(span, window)]
    return sorted((row for row in rows if row), key=lambda row: (row["started_at"], row["kind"], row["event_sid"] or ""))


def _known(source: Refolded, span: Span, kinds: dict[str, Any], columns: Iterable[str]) -> Row:
    """A span by the names of its view; nothing for one of a kind that is not shown."""
    name = HISTORY_OF[type(span)].name.removesuffix("_past")
    kind = next((kind for kind, (view_name, _) in kinds.items() if view_name == name), None)
    if kind is None:
        return {}
    told = row_of(span)
    for table in (tables.activity, tables.worker, tables.task_queue):
        told[f"{table.name}_name_now"] = source.names.now(table, span.workspace_sid, told.get(f"{table.name}_sid"))
    return {"kind": kind} | {column: told.get(column) for column in (*TOLD, *columns)}


def _touched(span: Span, window: Window) -> bool:
    ended = span.ended_ms is None or span.ended_ms > window.start_ms or span.started_ms >= window.start_ms
    return span.started_ms < window.end_ms and ended


def _touches(c: Any, window: Window, name: str) -> Iterable[sa.ColumnElement[bool]]:
    start, end = sa.literal(window.start_ms, Instant), sa.literal(window.end_ms, Instant)
    yield c.started_at < end
    yield sa.or_(c.ended_at.is_(None), c.ended_at > start, c.started_at >= start)
    if name == "reservation_status_span":  # none is longer: an index on its beginning finds it among few
        yield c.started_at > sa.literal(window.start_ms - LONGEST_MS, Instant)
