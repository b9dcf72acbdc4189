"""The select behind `queue_interval_15m`: who entered and who left each queue, by quarter of an hour.

What answered, abandoned and flowed out mean is `projector.read.performance`'s: a visit counts where it ended, an entry where it began.
A task that went on in the same queue has not left it; neither has one whose transfer was given back. Nothing here is a window
over all visits, so that a filter by workspace or queue reaches their indexes.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables.columns import SID, epoch_ms
from projector.tables.current import task, task_queue
from projector.tables.history import task_queue_span_past
from projector.tables.hourly import instant
from projector.tables.spans import VISIT_ENDED, VISIT_OUTCOME, joined

INTERVAL_MS = 15 * 60 * 1000
IN_TIME_MS, SHORT_MS = 20_000, 5_000  # exactly so long is in time, and short

_KEY = ("workspace_sid", "task_queue_sid")


def queue_interval_15m() -> sa.Select[Any]:
    """By queue and quarter of an hour; of the quarters in which somebody entered or left."""
    quarter = _quarters().subquery("quarter").c
    offered = quarter.answered + quarter.abandoned - quarter.abandoned_short
    named = joined(task_queue.c.friendly_name, (quarter.workspace_sid, quarter.task_queue_sid), task_queue, "task_queue_sid")
    return sa.select(
        *quarter,
        (sa.cast(quarter.answered_in_20s, sa.Double) / sa.func.nullif(offered, 0)).label("service_level"),
        named.label("task_queue_name_now"),
    )


def _quarters() -> sa.Select[Any]:
    c = sa.union_all(_entered(), _left()).subquery("moment").c
    start_ms = c.at_ms - c.at_ms % INTERVAL_MS
    answered, abandoned = c.how == "answered", c.how == "abandoned"
    counted = {
        "entered": c.how == "entered",
        "answered": answered,
        "answered_in_20s": sa.and_(answered, c.wait_ms <= IN_TIME_MS),
        "abandoned": abandoned,
        "abandoned_short": sa.and_(abandoned, c.wait_ms <= SHORT_MS),
        "flowed_out": c.how == "flowed_out",
    }
    counts = [sa.func.count(sa.case((condition, 1))).label(name) for name, condition in counted.items()]
    waits = [
        sa.cast(sa.func.coalesce(sa.func.sum(sa.case((condition, c.wait_ms))), 0), sa.BigInteger).label(f"{name}_wait_ms")
        for name, condition in (("answered", answered), ("abandoned", abandoned))
    ]
    key = [c[name] for name in _KEY]
    found = sa.select(*key, instant(start_ms).label("started_at"), *counts, *waits, sa.func.max(c.wait_ms).label("max_wait_ms"))
    return found.group_by(*key, start_ms)


def _entered() -> sa.Select[Any]:
    v = _visits().subquery("visit").c
    how, wait_ms = sa.literal_column("'entered'", sa.Text), sa.cast(sa.null(), sa.BigInteger)
    return sa.select(
        *(v[name] for name in _KEY), epoch_ms(v.started_at).label("at_ms"), how.label("how"), wait_ms.label("wait_ms")
    )


def _left() -> sa.Select[Any]:
    v = _visits().subquery("departure").c
    ended_ms = epoch_ms(v.ended_at)
    return sa.select(*(v[name] for name in _KEY), ended_ms, v.how, ended_ms - epoch_ms(v.started_at)).where(
        v.ended_at.is_not(None), v.how.is_not(None)
    )


def _visits() -> sa.CompoundSelect[Any]:
    """Every visit to a queue, and how it was left."""
    p, c = task_queue_span_past.c, task.c
    how = _how(p.outcome, p.task_queue_sid, _queue_after(p), with_task=sa.false())
    past = sa.select(p.workspace_sid, p.task_queue_sid, p.started_at, p.ended_at, how.label("how"))
    how = _how(VISIT_OUTCOME, c.visit_queue_sid, sa.cast(sa.null(), SID), with_task=c.visit_ended_at.is_(None))
    last = sa.select(c.workspace_sid, c.visit_queue_sid, c.visit_since, VISIT_ENDED, how)
    return sa.union_all(past, last.where(c.visit_since.is_not(None)))


def _how(outcome: Any, task_queue_sid: Any, after: Any, with_task: Any) -> Any:
    """How a visit was left: answered, abandoned or flowed_out; NULL where it was not."""
    return sa.case(
        (outcome == "accepted", "answered"),
        (
            sa.and_(outcome.in_(("moved", "timeout")), after.is_not(None)),
            sa.case((after != task_queue_sid, "flowed_out")),
        ),
        (sa.or_(outcome == "timeout", sa.and_(with_task, outcome.in_(("canceled", "deleted")))), "abandoned"),
    )


def _queue_after(p: Any) -> Any:
    """The queue that the task visited next. Only where it matters is it looked for, task by task."""
    following, c = task_queue_span_past.alias("following").c, task.c
    task_sid = (p.workspace_sid, p.task_sid)
    past = sa.select(following.task_queue_sid).where(
        following.workspace_sid == task_sid[0], following.task_sid == task_sid[1], following.n == p.n + 1
    )
    last = sa.select(c.visit_queue_sid).where(c.workspace_sid == task_sid[0], c.task_sid == task_sid[1], c.visit_n == p.n + 1)
    return sa.func.coalesce(past.scalar_subquery(), last.scalar_subquery())
