"""The history by its public names: what has ended and the last span in the entity's row, as one table each.

Half-open `[started_at, ended_at)`, `ended_at` NULL while it lasts. Names as sent then (`worker_name`) and as they are now
(`worker_name_now`); deleted things keep theirs. Views belong to a release, not to a migration: they are dropped before one and
made after it, and likewise when a rebuild swaps the tables beneath them.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateView, DropView

from projector.tables.columns import Instant
from projector.tables.current import activity, reservation, task, task_queue, worker, worker_channel
from projector.tables.history import (
    reservation_status_span_past,
    stated_capacity,
    task_queue_span_past,
    task_status_span_past,
    worker_activity_span_past,
    worker_attributes_span_past,
    worker_channel_span_past,
)
from projector.tables.operating import projection

HOUR_MS = 3_600_000
ORDER_SID = 33  # where the Sid begins in an order key, from 1


class epoch_ms(sa.sql.functions.FunctionElement[int]):  # noqa: N801 (an SQL function)
    """A moment as epoch milliseconds."""

    type = sa.BigInteger()
    inherit_cache = True


class instant(sa.sql.functions.FunctionElement[int]):  # noqa: N801 (an SQL function)
    """Epoch milliseconds of a whole second as a moment."""

    type = Instant()
    inherit_cache = True


@compiles(epoch_ms, "postgresql")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST(EXTRACT(epoch FROM {compiler.process(element.clauses, **kw)}) * 1000 AS BIGINT)"


@compiles(epoch_ms, "sqlite")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.clauses, **kw)
    return f"(CAST(strftime('%s', {moment}) AS INTEGER) * 1000 + CAST(substr({moment}, 21, 3) AS INTEGER))"


@compiles(instant, "postgresql")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    return f"to_timestamp(({compiler.process(element.clauses, **kw)}) / 1000)"


@compiles(instant, "sqlite")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S.000Z', ({compiler.process(element.clauses, **kw)}) / 1000, 'unixepoch')"


def _joined(column: Any, key: tuple[Any, Any], table: sa.Table, sid: str) -> Any:
    """A column of another entity's row."""
    return sa.select(column).where(table.c.workspace_sid == key[0], table.c[sid] == key[1]).scalar_subquery()


def _whole(past: sa.Table, last: sa.Select[Any]) -> sa.CompoundSelect[Any]:
    """What has ended and what the rows hold, with the same columns."""
    return sa.union_all(sa.select(*(past.c[column.name] for column in last.selected_columns)), last)


def _worker_activity_span() -> sa.Select[Any]:
    span = _spells().subquery("span")
    return sa.select(
        *span.c,
        _joined(activity.c.friendly_name, (span.c.workspace_sid, span.c.activity_sid), activity, "activity_sid").label("activity_name_now"),
        _joined(worker.c.friendly_name, (span.c.workspace_sid, span.c.worker_sid), worker, "worker_sid").label("worker_name_now"),
    )  # fmt: skip


def _spells() -> sa.CompoundSelect[Any]:
    c, null = worker.c, sa.null()
    last = sa.select(
        c.workspace_sid, c.worker_sid, c.activity_since.label("started_at"), c.deleted_at.label("ended_at"),
        c.activity_n.label("n"), c.activity_sid, c.activity_name, c.activity_worker_name.label("worker_name"),
        sa.cast(null, sa.BigInteger).label("reported_ms"), sa.cast(null, sa.Boolean).label("agrees"),
        sa.false().label("inferred"), c.activity_event_sid.label("event_sid"),
    ).where(c.activity_since.is_not(None))  # fmt: skip
    return _whole(worker_activity_span_past, last)


def _worker_attributes_span() -> sa.Select[Any]:
    c = worker.c
    last = sa.select(
        c.workspace_sid, c.worker_sid, c.attributes_since.label("started_at"), c.deleted_at.label("ended_at"),
        c.attributes_n.label("n"), c.attributes_worker_name.label("worker_name"), c.attributes,
        sa.false().label("inferred"), c.attributes_event_sid.label("event_sid"),
    ).where(c.attributes_since.is_not(None))  # fmt: skip
    span = _whole(worker_attributes_span_past, last).subquery("span")
    named = _joined(c.friendly_name, (span.c.workspace_sid, span.c.worker_sid), worker, "worker_sid")
    return sa.select(*span.c, named.label("worker_name_now"))


def _worker_channel_span() -> sa.Select[Any]:
    """Cut wherever the worker's own callbacks or a stated capacity change something; what is stated stands before what is reported."""
    channel = ("workspace_sid", "worker_sid", "task_channel_sid")
    own, s = _own_channel_span().subquery("own"), stated_capacity.c
    before = sa.func.lag(s.capacity).over(partition_by=[s[name] for name in channel], order_by=s.stated_order)
    stated = sa.select(*(s[name] for name in channel), s.stated_at, s.capacity, before.label("before")).subquery("stated")
    starts = sa.union(
        sa.select(*(own.c[name] for name in channel), own.c.started_at),
        sa.select(*(stated.c[name] for name in channel), stated.c.stated_at).where(stated.c.before.is_distinct_from(stated.c.capacity)),
    ).subquery("start")  # fmt: skip
    v = starts.c

    def told(name: str) -> Any:
        """As the worker's own callbacks told it last, at that moment."""
        known = _own_channel_span().subquery("known")
        same = (known.c[part] == v[part] for part in channel)
        latest = sa.select(known.c[name]).where(*same, known.c.started_at <= v.started_at)
        return latest.order_by(known.c.started_at.desc(), known.c.n.desc()).limit(1).scalar_subquery()

    said = stated_capacity.alias("said")
    same = (said.c[name] == v[name] for name in channel)
    latest = sa.select(said.c.capacity, said.c.stated_order, said.c.stated_at).where(*same, said.c.stated_at <= v.started_at)
    latest = latest.order_by(said.c.stated_order.desc()).limit(1)
    capacity, order = (latest.with_only_columns(column).scalar_subquery() for column in (said.c.capacity, said.c.stated_order))
    fresh = latest.with_only_columns(said.c.stated_at == v.started_at).scalar_subquery()
    partition = [v[name] for name in channel]
    deleted = _joined(worker.c.deleted_at, (v.workspace_sid, v.worker_sid), worker, "worker_sid")
    named = _joined(worker.c.friendly_name, (v.workspace_sid, v.worker_sid), worker, "worker_sid")
    return sa.select(
        *v,
        sa.func.coalesce(sa.func.lead(v.started_at).over(partition_by=partition, order_by=v.started_at), deleted, type_=Instant).label("ended_at"),
        (sa.func.row_number().over(partition_by=partition, order_by=v.started_at) - 1).label("n"),
        told("available").label("available"),
        sa.func.coalesce(capacity, told("updated_capacity")).label("configured_capacity"),
        sa.case((capacity.is_not(None), "stated"), (told("updated_capacity").is_not(None), "updated")).label("configured_capacity_basis"),
        told("worker_name").label("worker_name"), named.label("worker_name_now"), sa.false().label("inferred"),
        sa.case((fresh, sa.func.substr(order, ORDER_SID)), else_=told("event_sid")).label("event_sid"),
    )  # fmt: skip


def _own_channel_span() -> sa.CompoundSelect[Any]:
    c = worker_channel.c
    last = sa.select(
        c.workspace_sid, c.worker_sid, c.task_channel_sid, c.since.label("started_at"), c.n, c.worker_name, c.available,
        c.updated_capacity, c.event_sid,
    ).where(c.since.is_not(None))  # fmt: skip
    return _whole(worker_channel_span_past, last)


def _task_status_span() -> sa.Select[Any]:
    c = task.c
    last = sa.select(
        c.workspace_sid, c.task_sid, c.live_since.label("started_at"), _task_ended(c.live_since).label("ended_at"),
        c.live_n.label("n"), c.live_status.label("status"), sa.false().label("inferred"), c.live_event_sid.label("event_sid"),
    ).where(c.live_since.is_not(None))  # fmt: skip
    return sa.select(*_whole(task_status_span_past, last).subquery("span").c)


def _task_ended(begun: Any) -> Any:
    """When the task ended, but not before its last span began: a deletion's stamp may lie before."""
    c = task.c
    ended = sa.func.coalesce(c.completed_at, c.canceled_at, c.deleted_at, type_=Instant)
    return sa.case((ended < begun, begun), else_=ended)


def _task_queue_span() -> sa.Select[Any]:
    c = task.c
    outcome = sa.case(
        (c.completed_at.is_not(None), "completed"),
        (c.canceled_at.is_not(None), "canceled"),
        (c.deleted_at.is_not(None), "deleted"),
    )
    last = sa.select(
        c.workspace_sid, c.task_sid, c.visit_since.label("started_at"),
        sa.func.coalesce(c.visit_ended_at, _task_ended(c.visit_since), type_=Instant).label("ended_at"), c.visit_n.label("n"),
        c.visit_queue_sid.label("task_queue_sid"), c.visit_queue_name.label("task_queue_name"),
        sa.func.coalesce(c.visit_outcome, outcome).label("outcome"), c.visit_inferred.label("inferred"),
        c.visit_event_sid.label("event_sid"),
    ).where(c.visit_since.is_not(None))  # fmt: skip
    span = _whole(task_queue_span_past, last).subquery("span")
    named = _joined(task_queue.c.friendly_name, (span.c.workspace_sid, span.c.task_queue_sid), task_queue, "task_queue_sid")
    return sa.select(*span.c, named.label("task_queue_name_now"))


def _reservation_status_span() -> sa.Select[Any]:
    c = reservation.c
    ended = sa.func.coalesce(
        c.rejected_at, c.timed_out_at, c.canceled_at, c.rescinded_at, c.completed_at, c.failed_at, type_=Instant
    )
    last = sa.select(
        c.workspace_sid, c.task_sid, c.reservation_sid, c.live_since.label("started_at"), ended.label("ended_at"),
        c.live_n.label("n"), c.live_status.label("status"), c.worker_sid, c.live_worker_name.label("worker_name"),
        c.live_activity_sid.label("worker_activity_sid"), c.live_activity_name.label("worker_activity_name"), c.task_channel_sid,
        c.ignore_capacity, sa.false().label("inferred"), c.live_event_sid.label("event_sid"),
    ).where(c.live_since.is_not(None))  # fmt: skip
    span = _whole(reservation_status_span_past, last).subquery("span")
    named = _joined(worker.c.friendly_name, (span.c.workspace_sid, span.c.worker_sid), worker, "worker_sid")
    return sa.select(*span.c, named.label("worker_name_now"))


def _activity_duration_hourly() -> sa.Select[Any]:
    """Spells cut at every full hour of UTC; one that lasts is counted up to the projection's event time, never to now."""
    span = _spells().subquery("span")
    known_to = sa.select(projection.c.event_at).limit(1).scalar_subquery()
    begun_ms, ended_ms = epoch_ms(span.c.started_at), epoch_ms(sa.func.coalesce(span.c.ended_at, known_to, type_=Instant))
    spell = sa.select(
        span.c.workspace_sid, span.c.worker_sid, span.c.activity_sid, begun_ms.label("from_ms"), ended_ms.label("ended_ms")
    ).subquery("spell")  # fmt: skip
    key = ("workspace_sid", "worker_sid", "activity_sid")
    c = spell.c
    first = sa.select(*(c[name] for name in key), c.from_ms, _to_ms(c).label("to_ms"), c.ended_ms).where(c.ended_ms > c.from_ms)
    piece = first.cte("piece", recursive=True)
    p = piece.c
    rest = sa.select(*(p[name] for name in key), p.to_ms, _earlier(p.ended_ms, p.to_ms + HOUR_MS), p.ended_ms)
    piece = piece.union_all(rest.where(p.to_ms < p.ended_ms))
    p = piece.c
    hour_ms = p.from_ms - p.from_ms % HOUR_MS
    total = sa.select(
        *(p[name] for name in key), instant(hour_ms).label("hour"), sa.cast(sa.func.sum(p.to_ms - p.from_ms), sa.BigInteger).label("milliseconds")
    ).group_by(*(p[name] for name in key), hour_ms).subquery("total")  # fmt: skip
    t = total.c
    return sa.select(
        *t,
        _joined(worker.c.friendly_name, (t.workspace_sid, t.worker_sid), worker, "worker_sid").label("worker_name_now"),
        _joined(activity.c.friendly_name, (t.workspace_sid, t.activity_sid), activity, "activity_sid").label("activity_name_now"),
    )


def _to_ms(c: Any) -> Any:
    """The end of a spell's first piece: its own, or the next full hour."""
    return _earlier(c.ended_ms, c.from_ms - c.from_ms % HOUR_MS + HOUR_MS)


def _earlier(one: Any, other: Any) -> Any:
    return sa.case((other < one, other), else_=one)


VIEWS: dict[str, tuple[sa.Select[Any], str]] = {  # name → select, comment
    "worker_activity_span": (_worker_activity_span(), "Spells of workers in activities."),
    "worker_attributes_span": (_worker_attributes_span(), "Times of workers with the same attributes."),
    "worker_channel_span": (
        _worker_channel_span(),
        "Times of worker channels with the same configured capacity and availability.",
    ),
    "task_status_span": (_task_status_span(), "Times of tasks in a status that is no end."),
    "reservation_status_span": (_reservation_status_span(), "Times of reservations in a status that is no end."),
    "task_queue_span": (_task_queue_span(), "Visits of tasks to queues, and what ended each."),
    "activity_duration_hourly": (_activity_duration_hourly(), "Milliseconds of each worker in each activity, by hour of UTC."),
}


def view(name: str) -> sa.TableClause:
    """A view, to select from."""
    return sa.table(name, *(sa.column(column.name, column.type) for column in VIEWS[name][0].selected_columns))


def make_views(connection: sa.Connection) -> None:
    """Create every view of this release; none may be there yet."""
    for name, (select, comment) in VIEWS.items():
        connection.execute(CreateView(select, name, metadata=sa.MetaData()))
        if connection.dialect.supports_comments:
            connection.execute(_CommentOnView(name, comment))


class _CommentOnView(sa.schema.ExecutableDDLElement):
    def __init__(self, name: str, comment: str) -> None:
        self.name, self.comment = name, comment


@compiles(_CommentOnView)
def _(element: Any, compiler: Any, **_: Any) -> str:
    name = compiler.preparer.quote(element.name)
    return f"COMMENT ON VIEW {name} IS {compiler.sql_compiler.render_literal_value(element.comment, sa.String())}"


def drop_views(connection: sa.Connection) -> None:
    """Drop whatever views of ours are there, of this release or an earlier one."""
    there = sa.inspect(connection).get_view_names()
    for name in VIEWS:
        if name in there:
            connection.execute(DropView(sa.Table(name, sa.MetaData())))
