"""The select behind `open_now`: each task and reservation that is open, for how long, and how long its kind usually is.

A kind is what it is, its status and its task's channel, in one workspace; where fewer than 20 of a kind have ended in the last 30 days, all channels
together; where fewer still, nothing is said. Usual is the 99th percentile: of a hundred, the longest but one. Spans whose end
is inferred, or was the task's deletion, say nothing of how long anything took. Times are up to the projection's event time.

What is read is bounded: a workspace's tasks that live, and of those that ended in these 30 days the last 10,000 (and those that were last heard
of in the same millisecond as the first of them), both found by `ix_task_quiet`; their spans and reservations by key.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables.columns import SID, Instant, epoch_ms
from projector.tables.current import RESERVATION_ENDED, TASK_QUIET, reservation, task, workspace
from projector.tables.history import reservation_status_span_past, task_status_span_past
from projector.tables.hourly import instant
from projector.tables.now import known_to
from projector.tables.spans import OFFER_INFERRED, task_ended

ENOUGH = 20
LATELY_MS = 30 * 86_400_000
TASKS = 10_000  # of these a hundred are longer than usual; more would tell no more and take longer
LEAST_MS = 1_000  # what usually takes less is stuck by no fraction of a second: times_usual is of this
_KIND = ("workspace_sid", "kind", "status")


def open_now(dialect: str) -> sa.Select[Any]:
    """The open ones; `usual_ms`, `usual_of` and `times_usual` are NULL where too little is known."""
    placed = _placed(dialect)
    open_, channel, status = _open().subquery("open").c, _usual(placed, "channel").c, _usual(placed, "status").c
    open_ms = epoch_ms(known_to()) - epoch_ms(open_.started_at)
    usual_ms = sa.func.coalesce(channel.usual_ms, status.usual_ms)
    same = [sa.and_(*(open_[name] == of[name] for name in _KIND)) for of in (channel, status)]
    source = (
        open_.kind.table.outerjoin(channel.kind.table, sa.and_(same[0], sa.func.coalesce(open_.task_channel_sid, "") == channel.channel))
        .outerjoin(status.kind.table, same[1])
    )  # fmt: skip
    at_least_ms = sa.case((usual_ms < LEAST_MS, sa.literal_column(str(LEAST_MS), sa.BigInteger)), else_=usual_ms)
    return sa.select(
        open_.workspace_sid, open_.kind, open_.sid, open_.task_sid, open_.worker_sid, open_.task_queue_sid, open_.status,
        open_.task_channel_sid, open_.started_at, open_.event_sid, open_.last_event_sid, open_ms.label("open_ms"), usual_ms.label("usual_ms"),
        sa.func.coalesce(channel.usual_of, status.usual_of).label("usual_of"),
        (sa.cast(open_ms, sa.Double) / at_least_ms).label("times_usual"),
    ).select_from(source)  # fmt: skip


def _open() -> sa.CompoundSelect[Any]:
    """The last status of each task that lives, and of its reservations that have not ended."""
    live = _live()
    t, r = live.c, reservation.c
    of_tasks = sa.select(
        t.workspace_sid, sa.literal("task").label("kind"), t.task_sid.label("sid"), t.task_sid, sa.cast(sa.null(), SID).label("worker_sid"),
        t.task_queue_sid, t.live_status.label("status"), t.task_channel_sid, t.live_since.label("started_at"),
        t.live_event_sid.label("event_sid"), t.last_event_sid,
    ).where(t.live_since.is_not(None))  # fmt: skip
    of_offers = sa.select(
        t.workspace_sid, sa.literal("reservation"), r.reservation_sid, r.task_sid, r.worker_sid, r.task_queue_sid, r.live_status,
        t.task_channel_sid, r.live_since, r.live_event_sid, r.last_event_sid,
    ).join_from(live, reservation, _of_task(r, t)).where(r.live_since.is_not(None), RESERVATION_ENDED.is_(None))  # fmt: skip
    return sa.union_all(of_tasks, of_offers)


def _live() -> sa.CTE:
    c = task.c
    told = (
        c.workspace_sid,
        c.task_sid,
        c.task_queue_sid,
        c.task_channel_sid,
        c.live_status,
        c.live_since,
        c.live_event_sid,
        c.last_event_sid,
    )
    each = sa.select(*told).where(c.workspace_sid.in_(sa.select(workspace.c.workspace_sid)), TASK_QUIET.is_(None))
    return _begun_with(each, "live")


def _usual(placed: sa.CTE, of: str) -> sa.Subquery:
    """The 99th percentile of each kind, by channel or of all (`status`): by nearest rank, so it is a time that something took."""
    c = placed.c
    key = [c[name] for name in (*_KIND, *(("channel",) if of == "channel" else ()))]
    place, count = c[f"{of}_place"], c[f"{of}_count"]
    rank = count - count // sa.literal_column("100", sa.BigInteger)  # ceil(0.99 n)
    chosen = sa.select(*key, c.length_ms.label("usual_ms"), count.label("usual_of"))
    return chosen.where(place == rank, count >= ENOUGH).subquery(f"of_{of}")


def _placed(dialect: str) -> sa.CTE:
    """Every span that counts, its place among those of its kind, and how many those are; by channel and of all."""
    c = _begun_with(_lengths(dialect), "length").c
    by_status = [c[name] for name in _KIND]
    numbers = [
        column
        for of, key in (("status", by_status), ("channel", [*by_status, c.channel]))
        for column in (
            sa.func.row_number().over(partition_by=key, order_by=c.length_ms).label(f"{of}_place"),
            sa.func.count().over(partition_by=key).label(f"{of}_count"),
        )
    ]
    return _begun_with(sa.select(*c, *numbers), "placed")


def _lengths(dialect: str) -> sa.CompoundSelect[Any]:
    """How long statuses lasted that ended in the last 30 days: of the tasks looked at, the last ones in the rows, those before in the history."""
    looked_at = _begun_with(_looked_at(dialect), "looked_at")
    t, r, ts, rs = looked_at.c, reservation.c, task_status_span_past.c, reservation_status_span_past.c
    offers, past, past_offers = (
        looked_at.join(each, _of_task(each.c, t)) for each in (reservation, task_status_span_past, reservation_status_span_past)
    )
    return sa.union_all(
        _length(t, "task", t.live_status, t.live_since, t.ended_at),
        _length(t, "task", ts.status, ts.started_at, ts.ended_at).select_from(past).where(sa.not_(ts.inferred)),
        _length(t, "reservation", r.live_status, r.live_since, RESERVATION_ENDED)
        .select_from(offers)
        .where(sa.not_(OFFER_INFERRED)),
        _length(t, "reservation", rs.status, rs.started_at, rs.ended_at).select_from(past_offers).where(sa.not_(rs.inferred)),
    )


def _length(t: Any, kind: str, status: Any, started_at: Any, ended_at: Any) -> sa.Select[Any]:
    return sa.select(
        t.workspace_sid, sa.literal(kind).label("kind"), status.label("status"), sa.func.coalesce(t.task_channel_sid, "").label("channel"),
        (epoch_ms(ended_at) - epoch_ms(started_at)).label("length_ms"),
    ).where(ended_at > _lately(), started_at.is_not(None))  # fmt: skip


def _looked_at(dialect: str) -> sa.CompoundSelect[Any]:
    """The tasks that live, and those that ended lately: each a range of the index for every workspace.

    PostgreSQL is given the number of the latter, from which it knows that going by key is cheaper than reading years of spans; SQLite, which has
    no LATERAL and no WITH TIES, the moment at which the first of them was last heard of.
    """
    c, w = task.c, workspace.c
    ended = sa.case(
        (sa.or_(c.completed_at.is_not(None), c.canceled_at.is_not(None)), task_ended(c.live_since))
    )  # not by deletion
    told = (
        c.workspace_sid,
        c.task_sid,
        c.task_channel_sid,
        c.live_status,
        c.live_since,
        sa.type_coerce(ended, Instant).label("ended_at"),
    )
    live = sa.select(*told).where(c.workspace_sid.in_(sa.select(w.workspace_sid)), TASK_QUIET.is_(None))
    lately = (c.workspace_sid == w.workspace_sid, _lately() < TASK_QUIET)
    if dialect == "postgresql":
        last = (
            sa.select(*told)
            .where(*lately)
            .order_by(TASK_QUIET.desc())
            .fetch(TASKS, with_ties=True)
            .correlate(workspace)
            .lateral("last")
        )
        return sa.union_all(live, sa.select(*last.c).join_from(workspace, last, sa.true()))
    first = sa.select(TASK_QUIET).where(*lately).order_by(TASK_QUIET.desc()).limit(1).offset(TASKS - 1).correlate(workspace)
    since = sa.select(w.workspace_sid, sa.func.coalesce(first.scalar_subquery(), _lately(), type_=Instant).label("since")).cte(
        "since"
    )
    return sa.union_all(
        live, sa.select(*told).join_from(since, task, c.workspace_sid == since.c.workspace_sid).where(since.c.since <= TASK_QUIET)
    )


def _begun_with(what: sa.SelectBase, name: str) -> sa.CTE:
    """Found once, before anything else: left alone SQLite begins with all reservations of a workspace, and sorts before it brings together."""
    return what.cte(name).prefix_with("MATERIALIZED", dialect="sqlite")


def _lately() -> Any:
    """30 days before the projection's event time, at a full second."""
    return instant(epoch_ms(known_to()) - LATELY_MS)


def _of_task(c: Any, t: Any) -> Any:
    return sa.and_(c.workspace_sid == t.workspace_sid, c.task_sid == t.task_sid)
