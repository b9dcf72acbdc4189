"""The select behind `open_now`: each task and reservation that is open, for how long, and how long its kind usually is.

A kind is what it is, its status and its channel, in one workspace; where fewer than 20 of a kind have ended in the last 30 days, all channels
together; where fewer still, nothing is said. Usual is the 99th percentile: of a hundred, the longest but one. Spans whose end
is inferred say nothing of how long anything took. Times are up to the projection's event time.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables import spans
from projector.tables.columns import epoch_ms
from projector.tables.current import task
from projector.tables.now import known_to

ENOUGH = 20
LATELY_MS = 30 * 86_400_000
_KIND = ("workspace_sid", "kind", "status")


def open_now() -> sa.Select[Any]:
    """The open ones; `usual_ms`, `usual_of` and `times_usual` are NULL where too little is known."""
    open_, channel, status = _open().cte("open").c, _usual("channel").cte("of_channel").c, _usual("status").cte("of_status").c
    known_ms = epoch_ms(known_to())
    open_ms = known_ms - epoch_ms(open_.started_at)
    usual_ms = sa.func.coalesce(channel.usual_ms, status.usual_ms)
    same = [sa.and_(*(open_[name] == of[name] for name in _KIND)) for of in (channel, status)]
    source = (
        open_.workspace_sid.table.outerjoin(channel.usual_ms.table, sa.and_(same[0], open_.channel == channel.channel))
        .outerjoin(status.usual_ms.table, same[1])
    )  # fmt: skip
    return sa.select(
        open_.workspace_sid, open_.kind, open_.sid, open_.task_sid, open_.worker_sid, open_.status, open_.task_channel_sid, open_.started_at,
        open_.event_sid, open_ms.label("open_ms"), usual_ms.label("usual_ms"),
        sa.func.coalesce(channel.usual_of, status.usual_of).label("usual_of"),
        (sa.cast(open_ms, sa.Double) / sa.func.nullif(usual_ms, 0)).label("times_usual"),
    ).select_from(source)  # fmt: skip


def _open() -> sa.Select[Any]:
    c = _spans().subquery("span").c
    return sa.select(*c).where(c.ended_at.is_(None))


def _usual(of: str) -> sa.Select[Any]:
    """The 99th percentile of each kind, by channel or of all (`status`)."""
    c = _spans().subquery("span").c
    length = epoch_ms(c.ended_at) - epoch_ms(c.started_at)
    key = [c[name] for name in (*_KIND, *(("channel",) if of == "channel" else ()))]
    ranked = (
        sa.select(
            *key, length.label("usual_ms"), sa.func.row_number().over(partition_by=key, order_by=length).label("place"),
            sa.func.count().over(partition_by=key).label("usual_of"),
        )
        .where(c.ended_at.is_not(None), sa.not_(c.inferred), epoch_ms(c.ended_at) > epoch_ms(known_to()) - LATELY_MS)
        .subquery("ranked")
        .c
    )  # fmt: skip
    chosen = [ranked[each.name] for each in key]
    nearest = ranked.usual_of - ranked.usual_of // sa.literal_column("100", sa.BigInteger)  # nearest rank: ceil(0.99 n)
    return sa.select(*chosen, ranked.usual_ms, ranked.usual_of).where(ranked.place == nearest, ranked.usual_of >= ENOUGH)


def _spans() -> sa.CompoundSelect[Any]:
    """Every status of every task and reservation, ended or not."""
    s, r = spans.task_status_span().subquery("status").c, spans.reservation_status_span().subquery("offer").c
    of_tasks = sa.select(
        s.workspace_sid, sa.literal("task").label("kind"), s.task_sid.label("sid"), s.task_sid, sa.cast(sa.null(), sa.Text).label("worker_sid"),
        s.status, task.c.task_channel_sid, sa.func.coalesce(task.c.task_channel_sid, "").label("channel"), s.started_at, s.ended_at,
        s.inferred, s.event_sid,
    ).join(task, sa.and_(task.c.workspace_sid == s.workspace_sid, task.c.task_sid == s.task_sid))  # fmt: skip
    of_offers = sa.select(
        r.workspace_sid, sa.literal("reservation"), r.reservation_sid, r.task_sid, r.worker_sid, r.status, r.task_channel_sid,
        sa.func.coalesce(r.task_channel_sid, ""), r.started_at, r.ended_at, r.inferred, r.event_sid,
    )  # fmt: skip
    return sa.union_all(of_tasks, of_offers)
