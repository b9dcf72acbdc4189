"""The selects behind the span views: what has ended and the last span in the entity's row, with the same columns."""

from typing import Any

import sqlalchemy as sa

from projector.tables.columns import Instant
from projector.tables.current import (
    RESERVATION_ENDED,
    TASK_ENDED,
    activity,
    reservation,
    task,
    task_queue,
    worker,
    worker_channel,
)
from projector.tables.history import (
    reservation_status_span_past,
    stated_capacity,
    task_queue_span_past,
    task_status_span_past,
    worker_activity_span_past,
    worker_attributes_span_past,
    worker_channel_span_past,
)

ORDER_SID = 33  # where the Sid begins in an order key, from 1


def joined(column: Any, key: tuple[Any, Any], table: sa.Table, sid: str) -> Any:
    """A column of another entity's row."""
    return sa.select(column).where(table.c.workspace_sid == key[0], table.c[sid] == key[1]).scalar_subquery()


def _whole(past: sa.Table, last: sa.Select[Any]) -> sa.CompoundSelect[Any]:
    """What has ended and what the rows hold, with the same columns."""
    return sa.union_all(sa.select(*(past.c[column.name] for column in last.selected_columns)), last)


def worker_activity_span() -> sa.Select[Any]:
    """Spells in activities, names as sent then and as they are now."""
    span = spells().subquery("span")
    return sa.select(
        *span.c,
        joined(activity.c.friendly_name, (span.c.workspace_sid, span.c.activity_sid), activity, "activity_sid").label("activity_name_now"),
        joined(worker.c.friendly_name, (span.c.workspace_sid, span.c.worker_sid), worker, "worker_sid").label("worker_name_now"),
    )  # fmt: skip


def spells() -> sa.CompoundSelect[Any]:
    """Spells in activities, as told."""
    c, null = worker.c, sa.null()
    last = sa.select(
        c.workspace_sid, c.worker_sid, c.activity_since.label("started_at"), c.deleted_at.label("ended_at"),
        c.activity_n.label("n"), c.activity_sid, c.activity_name, c.activity_worker_name.label("worker_name"),
        sa.cast(null, sa.BigInteger).label("reported_ms"), sa.cast(null, sa.Boolean).label("agrees"),
        sa.false().label("inferred"), c.activity_event_sid.label("event_sid"),
    ).where(c.activity_since.is_not(None))  # fmt: skip
    return _whole(worker_activity_span_past, last)


def worker_attributes_span() -> sa.Select[Any]:
    """Times with the same attributes."""
    c = worker.c
    last = sa.select(
        c.workspace_sid, c.worker_sid, c.attributes_since.label("started_at"), c.deleted_at.label("ended_at"),
        c.attributes_n.label("n"), c.attributes_worker_name.label("worker_name"), c.attributes,
        sa.false().label("inferred"), c.attributes_event_sid.label("event_sid"),
    ).where(c.attributes_since.is_not(None))  # fmt: skip
    span = _whole(worker_attributes_span_past, last).subquery("span")
    named = joined(c.friendly_name, (span.c.workspace_sid, span.c.worker_sid), worker, "worker_sid")
    return sa.select(*span.c, named.label("worker_name_now"))


CHANNEL = ("workspace_sid", "worker_sid", "task_channel_sid")


def worker_channel_span() -> sa.Select[Any]:
    """Cut where availability or configured capacity changes; what is stated stands before what the worker's callbacks report.

    Every window is over one channel: so a filter by workspace and worker reaches the tables' indexes, on SQLite too.
    """
    settled = _settled_channel().subquery("settled")
    c = settled.c
    window: dict[str, Any] = {"partition_by": [c[name] for name in CHANNEL], "order_by": c.started_at}
    before = [
        sa.func.lag(column, type_=column.type).over(**window).label(f"{column.name}_before")
        for column in (c.available, c.configured_capacity)
    ]
    number = sa.func.row_number().over(**window).label("number")
    compared = sa.select(*c, *before, number).subquery("compared")
    c = compared.c
    changes = sa.or_(
        c.number == 1,
        c.available.is_distinct_from(c.available_before),
        c.configured_capacity.is_distinct_from(c.configured_capacity_before),
    )
    window = {"partition_by": [c[name] for name in CHANNEL], "order_by": c.started_at}
    return sa.select(
        *(c[name] for name in CHANNEL), c.started_at,
        sa.func.coalesce(sa.func.lead(c.started_at).over(**window), _deleted_at(c), type_=Instant).label("ended_at"),
        (sa.func.row_number().over(**window) - 1).label("n"),
        c.available, c.configured_capacity, c.configured_capacity_basis, c.worker_name,
        joined(worker.c.friendly_name, (c.workspace_sid, c.worker_sid), worker, "worker_sid").label("worker_name_now"),
        sa.false().label("inferred"), c.event_sid,
    ).where(changes)  # fmt: skip


def _settled_channel() -> sa.Select[Any]:
    """What holds of a channel after each moment at which something of it is told: the last of its own and of what is stated."""
    facts = sa.union_all(_own_channel_facts(), _stated_channel_facts()).subquery("fact")
    c = facts.c
    place = [c.started_at, c.source, c.n, c.stated_order]  # of one moment, what is stated comes last
    window: dict[str, Any] = {"partition_by": [c[name] for name in CHANNEL], "order_by": place, "rows": (None, 0)}
    after = sa.func.lead(c.started_at, type_=Instant).over(partition_by=window["partition_by"], order_by=place)
    counted = sa.select(
        *c, after.label("next_at"),
        sa.func.count(c.n).over(**window).label("own_number"), sa.func.count(c.stated_order).over(**window).label("stated_number"),
    ).subquery("counted")  # fmt: skip
    c = counted.c

    def last(column: Any, number: Any) -> Any:
        """What the last fact told up to here: of the rows with its number, the one where this is not NULL."""
        partition = [c[name] for name in CHANNEL]
        return sa.func.max(column, type_=column.type).over(partition_by=partition, order_by=number, range_=(0, 0))

    told = sa.select(
        *(c[name] for name in CHANNEL), c.started_at, c.next_at, c.event_sid,
        (last(sa.cast(c.available, sa.Integer), c.own_number) == 1).label("available"),
        last(c.updated_capacity, c.own_number).label("updated_capacity"), last(c.worker_name, c.own_number).label("worker_name"),
        last(c.stated_capacity, c.stated_number).label("stated_capacity"),
    ).subquery("told")  # fmt: skip
    c = told.c
    return sa.select(
        *(c[name] for name in CHANNEL), c.started_at, c.event_sid, c.available, c.worker_name,
        sa.func.coalesce(c.stated_capacity, c.updated_capacity).label("configured_capacity"),
        sa.case((c.stated_capacity.is_not(None), "stated"), (c.updated_capacity.is_not(None), "updated")).label("configured_capacity_basis"),
    ).where(c.next_at.is_distinct_from(c.started_at))  # fmt: skip


def _own_channel_facts() -> sa.Select[Any]:
    """The spans that the worker's own callbacks tell."""
    c, null = worker_channel.c, sa.null()
    last = sa.select(
        c.workspace_sid, c.worker_sid, c.task_channel_sid, c.since.label("started_at"), c.n, c.worker_name, c.available,
        c.updated_capacity, c.event_sid,
    ).where(c.since.is_not(None))  # fmt: skip
    own = _whole(worker_channel_span_past, last).subquery("own")
    stated_nothing = (sa.cast(null, sa.Text).label("stated_order"), sa.cast(null, sa.BigInteger).label("stated_capacity"))
    return sa.select(*own.c, *stated_nothing, sa.literal_column("0", sa.Integer).label("source"))


def _stated_channel_facts() -> sa.Select[Any]:
    """Where the stated capacity changes, up to the worker's deletion: a task's callback may be stamped after it."""
    s, null = stated_capacity.c, sa.null()
    before = sa.func.lag(s.capacity).over(partition_by=[s[name] for name in CHANNEL], order_by=s.stated_order)
    stated = sa.select(*s, before.label("before")).subquery("stated")
    c = stated.c
    deleted_at = _deleted_at(c)
    return sa.select(
        *(c[name] for name in CHANNEL), c.stated_at.label("started_at"), sa.cast(null, sa.BigInteger).label("n"),
        sa.cast(null, sa.Text).label("worker_name"), sa.cast(null, sa.Boolean).label("available"),
        sa.cast(null, sa.BigInteger).label("updated_capacity"), sa.func.substr(c.stated_order, ORDER_SID).label("event_sid"),
        c.stated_order, c.capacity.label("stated_capacity"), sa.literal_column("1", sa.Integer).label("source"),
    ).where(c.before.is_distinct_from(c.capacity), sa.or_(deleted_at.is_(None), c.stated_at <= deleted_at))  # fmt: skip


def _deleted_at(c: Any) -> Any:
    return joined(worker.c.deleted_at, (c.workspace_sid, c.worker_sid), worker, "worker_sid")


def task_status_span() -> sa.Select[Any]:
    """Times in a status that is no end."""
    c = task.c
    last = sa.select(
        c.workspace_sid, c.task_sid, c.live_since.label("started_at"), task_ended(c.live_since).label("ended_at"),
        c.live_n.label("n"), c.live_status.label("status"), sa.false().label("inferred"), c.live_event_sid.label("event_sid"),
    ).where(c.live_since.is_not(None))  # fmt: skip
    return sa.select(*_whole(task_status_span_past, last).subquery("span").c)


def task_ended(begun: Any) -> Any:
    """When the task ended, but not before its last span began: a deletion's stamp may lie before."""
    return sa.case((begun > TASK_ENDED, begun), else_=TASK_ENDED)


# When a task's last visit ended and what ended it: something of its own, else the task's end. NULL while it lasts.
VISIT_ENDED = sa.func.coalesce(task.c.visit_ended_at, task_ended(task.c.visit_since), type_=Instant)
VISIT_OUTCOME = sa.func.coalesce(
    task.c.visit_outcome,
    sa.case(
        (task.c.completed_at.is_not(None), "completed"),
        (task.c.canceled_at.is_not(None), "canceled"),
        (task.c.deleted_at.is_not(None), "deleted"),
    ),
)


def task_queue_span() -> sa.Select[Any]:
    """Visits to queues. One that only the task's completion ended is inferred: its acceptance was missed."""
    c = task.c
    last = sa.select(
        c.workspace_sid, c.task_sid, c.visit_since.label("started_at"), VISIT_ENDED.label("ended_at"), c.visit_n.label("n"),
        c.visit_queue_sid.label("task_queue_sid"), c.visit_queue_name.label("task_queue_name"), c.visit_told.label("told"),
        VISIT_OUTCOME.label("outcome"), sa.or_(c.visit_inferred, sa.and_(c.visit_ended_at.is_(None), c.completed_at.is_not(None))).label("inferred"),
        c.visit_event_sid.label("event_sid"),
    ).where(c.visit_since.is_not(None))  # fmt: skip
    span = _whole(task_queue_span_past, last).subquery("span")
    named = joined(task_queue.c.friendly_name, (span.c.workspace_sid, span.c.task_queue_sid), task_queue, "task_queue_sid")
    return sa.select(*span.c, named.label("task_queue_name_now"))


# Whether the end of a reservation's last status is inferred: it ended with its task, or was completed without having been seen accepted.
OFFER_INFERRED = sa.or_(
    reservation.c.inferred, sa.and_(reservation.c.status == "completed", reservation.c.live_status == "pending")
)


def reservation_status_span() -> sa.Select[Any]:
    """Times in a status that is no end."""
    c = reservation.c
    last = sa.select(
        c.workspace_sid, c.task_sid, c.reservation_sid, c.live_since.label("started_at"), RESERVATION_ENDED.label("ended_at"),
        c.live_n.label("n"), c.live_status.label("status"), c.worker_sid, c.live_worker_name.label("worker_name"),
        c.live_activity_sid.label("worker_activity_sid"), c.live_activity_name.label("worker_activity_name"), c.task_channel_sid,
        c.ignore_capacity, OFFER_INFERRED.label("inferred"),
        c.live_event_sid.label("event_sid"),
    ).where(c.live_since.is_not(None))  # fmt: skip
    span = _whole(reservation_status_span_past, last).subquery("span")
    named = joined(worker.c.friendly_name, (span.c.workspace_sid, span.c.worker_sid), worker, "worker_sid")
    return sa.select(*span.c, named.label("worker_name_now"))
