"""The selects behind `worker_now` and `queue_now`: the floor at the projection's event time, never at the reader's clock.

Each is what `projector.read` says of that moment. Reservations and visits that last are those of live tasks, found by the index
`ix_task_quiet`; both sides are brought together by grouping, so that a filter by workspace reaches every table.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables.columns import epoch_ms
from projector.tables.current import RESERVATION_ENDED, TASK_QUIET, activity, reservation, task, task_queue, worker, workspace
from projector.tables.operating import projection
from projector.taskrouter.span import LONGEST_MS

TAKES_CAPACITY = ("pending", "accepted", "wrapping")
IN_PROGRESS = ("reserved", "assigned", "wrapping")  # with a visit that has ended: reserved again is being transferred


def known_to() -> Any:
    """The projection's event time: what lasts, lasts until then as far as anybody knows."""
    return sa.select(projection.c.event_at).limit(1).scalar_subquery()


def worker_now() -> sa.Select[Any]:
    """Each worker: its activity, and the reservations it has."""
    w, r, a, nothing = worker.c, reservation.c, activity.c, sa.literal_column("0", sa.BigInteger)
    taken = [_one(r.live_status == status).label(status) for status in TAKES_CAPACITY]
    load = _one(sa.and_(r.ignore_capacity.is_not(sa.true()), r.live_status.in_(TAKES_CAPACITY))).label("load")
    each = sa.select(w.workspace_sid, w.worker_sid, *(nothing.label(column.name) for column in (*taken, load)))
    live = _live()  # and their offers by task, not by the index of their workers
    offers = sa.select(live.c.workspace_sid, r.worker_sid, *taken, load).join_from(
        live, reservation, sa.and_(r.workspace_sid == live.c.workspace_sid, r.task_sid == live.c.task_sid)
    ).where(RESERVATION_ENDED.is_(None), sa.func.coalesce(r.worker_sid, "") != "", _lately(r.live_since))  # fmt: skip
    has = sa.union_all(each, offers).subquery("has").c
    counts = [sa.cast(sa.func.sum(has[column.name]), sa.BigInteger).label(column.name) for column in (*taken, load)]
    of = sa.select(has.workspace_sid, has.worker_sid, *counts).group_by(has.workspace_sid, has.worker_sid).subquery("of").c
    return sa.select(
        of.workspace_sid, of.worker_sid, w.friendly_name, w.activity_sid,
        sa.func.coalesce(a.friendly_name, w.activity_name).label("activity_name"), a.available, w.activity_since,
        (epoch_ms(known_to()) - epoch_ms(w.activity_since)).label("in_activity_ms"),
        *(of[column.name] for column in (*taken, load)),
    ).join(worker, sa.and_(w.workspace_sid == of.workspace_sid, w.worker_sid == of.worker_sid)).outerjoin(
        activity, sa.and_(a.workspace_sid == w.workspace_sid, a.activity_sid == w.activity_sid)
    ).where(w.deleted_at.is_(None))  # fmt: skip


def queue_now() -> sa.Select[Any]:
    """Each queue: what waits in it, and what is in progress out of it."""
    q, t = task_queue.c, _live().c
    no, waits = sa.literal_column("0", sa.BigInteger), t.visit_ended_at.is_(None)
    each = sa.select(
        q.workspace_sid, q.task_queue_sid, sa.cast(sa.null(), sa.Text).label("task_sid"),
        sa.cast(sa.null(), sa.BigInteger).label("since_ms"), no.label("waiting"), no.label("in_progress"),
    )  # fmt: skip
    visits = sa.select(
        t.workspace_sid, t.visit_queue_sid, t.task_sid, epoch_ms(t.visit_since), _one(waits),
        _one(sa.and_(sa.not_(waits), t.live_status.in_(IN_PROGRESS))),
    ).where(_lately(t.visit_since))  # fmt: skip
    told = sa.union_all(each, visits).subquery("told").c
    place = sa.func.row_number().over(
        partition_by=(told.workspace_sid, told.task_queue_sid), order_by=(told.waiting.desc(), told.since_ms, told.task_sid)
    )
    in_order = sa.select(*told, place.label("place")).subquery("in_order").c
    first = sa.and_(in_order.waiting == 1, in_order.place == 1)
    of = sa.select(
        in_order.workspace_sid, in_order.task_queue_sid,
        sa.cast(sa.func.sum(in_order.waiting), sa.BigInteger).label("tasks_waiting"),
        sa.func.max(sa.case((first, in_order.since_ms))).label("oldest_ms"),
        sa.func.max(sa.case((first, in_order.task_sid))).label("oldest_task_sid"),
        sa.cast(sa.func.sum(in_order.in_progress), sa.BigInteger).label("tasks_in_progress"),
    ).group_by(in_order.workspace_sid, in_order.task_queue_sid).subquery("of").c  # fmt: skip
    return sa.select(
        of.workspace_sid, of.task_queue_sid, q.friendly_name, of.tasks_waiting,
        (epoch_ms(known_to()) - of.oldest_ms).label("longest_wait_ms"), of.oldest_task_sid, of.tasks_in_progress,
    ).join(task_queue, sa.and_(q.workspace_sid == of.workspace_sid, q.task_queue_sid == of.task_queue_sid)).where(
        q.deleted_at.is_(None)
    )  # fmt: skip


def _live() -> Any:
    """The tasks that live, workspace by workspace: a range each of `ix_task_quiet`; SQLite has to be told to begin with them."""
    c = task.c
    told = (c.workspace_sid, c.task_sid, c.live_status, c.visit_queue_sid, c.visit_since, c.visit_ended_at)
    each = sa.select(*told).where(c.workspace_sid.in_(sa.select(workspace.c.workspace_sid)), TASK_QUIET.is_(None))
    return each.cte("live").prefix_with("MATERIALIZED", dialect="sqlite")


def _lately(since: Any) -> Any:
    """Nothing outlasts the longest task: what seems to, lost its end."""
    return epoch_ms(since) > epoch_ms(known_to()) - LONGEST_MS


def _one(condition: Any) -> Any:
    """1 where it holds, to be counted."""
    return sa.case((condition, sa.literal_column("1", sa.BigInteger)), else_=sa.literal_column("0", sa.BigInteger))
