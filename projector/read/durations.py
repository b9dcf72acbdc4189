"""How long workers were in each activity within a window: every spell, cut to it."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.read.cumulative import Wait
from projector.read.happening import Scope, Window
from projector.tables import Instant, epoch_ms


def durations(connection: sa.Connection, window: Window, scope: Scope, among: Collection[str] | None = None) -> dict[str, Wait]:
    """By ActivitySid: how many spells, and their lengths; of the scope's workers, or of those among them, however many.

    A spell that lasts is cut at the window's end. Spells of no length within the window are left out.
    """
    spell = spells(window, scope).subquery("spell").c
    length = (spell.ended_ms - spell.started_ms).label("length")
    of_worker = sa.select(
        spell.worker_sid, spell.activity_sid, sa.func.count(),
        *(sa.cast(each(length), sa.BigInteger) for each in (sa.func.sum, sa.func.min, sa.func.max)),
    ).where(spell.activity_sid.is_not(None)).group_by(spell.worker_sid, spell.activity_sid)  # fmt: skip
    found: dict[str, Wait] = {}
    for worker_sid, activity_sid, *told in connection.execute(of_worker):
        if among is None or worker_sid in among:
            found[activity_sid] = Wait(*told).and_also(found.get(activity_sid))
    return found


def spells(window: Window, scope: Scope) -> sa.Select[Any]:
    """Each spell cut to the window: worker_sid, activity_sid, started_ms, ended_ms, and the event_sid that opened it.

    Of the spells another one followed, those begun within the window, and the one that covers its start: two looks by key for each
    worker, however long they have been there.
    """
    start, end = sa.literal(window.start_ms, Instant), sa.literal(window.end_ms, Instant)
    w, p = _workers(scope).cte("who").prefix_with("MATERIALIZED", dialect="sqlite").c, tables.worker_activity_span_past.c
    same = (p.workspace_sid == w.workspace_sid, p.worker_sid == w.worker_sid)
    told = (w.worker_sid, p.activity_sid, p.started_at, p.ended_at, p.event_sid)
    within = sa.select(*told).where(*same, p.started_at > start, p.started_at < end)
    b = tables.worker_activity_span_past.alias("begun").c
    mine = (b.workspace_sid == w.workspace_sid, b.worker_sid == w.worker_sid, b.started_at <= start)
    covering = sa.select(*told).where(
        *same, p.started_at == sa.select(sa.func.max(b.started_at)).where(*mine).scalar_subquery(), p.ended_at > start
    )
    last = sa.select(w.worker_sid, w.activity_sid, w.activity_since, w.deleted_at, w.activity_event_sid).where(
        w.activity_since < end
    )
    every = sa.union_all(within, covering, last).subquery("every_spell").c
    ended = sa.func.coalesce(every.ended_at, end, type_=Instant)
    cut = sa.select(
        every.worker_sid, every.activity_sid, every.event_sid,
        epoch_ms(sa.case((every.started_at < start, start), else_=every.started_at)).label("started_ms"),
        epoch_ms(sa.case((ended > end, end), else_=ended)).label("ended_ms"),
    ).subquery("cut")  # fmt: skip
    return sa.select(*cut.c).where(cut.c.ended_ms > cut.c.started_ms)


def _workers(scope: Scope) -> sa.Select[Any]:
    c = tables.worker.c
    told = (c.workspace_sid, c.worker_sid, c.activity_sid, c.activity_since, c.deleted_at, c.activity_event_sid)
    who = sa.select(*told).where(c.workspace_sid == scope.workspace_sid)
    if scope.worker_sid is not None:
        who = who.where(c.worker_sid == scope.worker_sid)
    if scope.worker_name is not None:
        who = who.where(c.friendly_name == scope.worker_name)
    return who
