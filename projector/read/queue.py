"""A task queue at a moment: what waited in it, for how long, and what was in progress out of it.

A task waits while a visit to the queue lasts: a rejected offer does not end one. It is in progress when its last visit was to this
queue, has ended, and it lives: assigned, wrapping, or reserved again because it is being transferred. Both are found among the visits begun in the `LONGEST_MS` before the moment.
"""

from collections import Counter
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.read.names import is_there
from projector.read.present import Present
from projector.rows import Row
from projector.tables.now import IN_PROGRESS
from projector.taskrouter.span import LONGEST_MS


def queue(present: Present, workspace_sid: str, task_queue_sid: str, at_ms: int) -> Row | None:
    """The queue at the moment; None when nobody had spoken of it yet, or it was deleted.

    `oldest_task`: the one that waits longest. `tasks_by_status`: of all that wait or are in progress.
    """
    tasks = tasks_of(present, workspace_sid, task_queue_sid, at_ms)
    if not is_there(present.today, tables.task_queue, workspace_sid, task_queue_sid, at_ms, shown=bool(tasks)):
        return None
    waiting = [task for task in tasks if task["waiting"]]
    return {
        "workspace_sid": workspace_sid,
        "task_queue_sid": task_queue_sid,
        "task_queue_name": tasks[-1]["task_queue_name"] if tasks else None,
        "task_queue_name_now": present.names.now(tables.task_queue, workspace_sid, task_queue_sid),
        "tasks_waiting": len(waiting),
        "longest_wait_ms": at_ms - waiting[0]["since"] if waiting else None,
        "oldest_task": waiting[0] if waiting else None,
        "tasks_in_progress": len(tasks) - len(waiting),
        "tasks_by_status": dict(sorted(Counter(task["status"] or "unknown" for task in tasks).items())),
    }


def tasks_of(present: Present, workspace_sid: str, task_queue_sid: str, at_ms: int) -> list[Row]:
    """The queue's tasks that wait or are in progress at the moment, those that came first before the others.

    Each with `status`, `waiting`, `since` (of its visit), `inferred` and the visit's `event_sid`.
    """
    last, past = _last_visits(workspace_sid, task_queue_sid, at_ms), _past_visits(workspace_sid, task_queue_sid, at_ms)
    return _in_order([dict(row) for select in (last, past) for row in present.today.execute(select).mappings()], at_ms)


def _in_order(found: list[Row], at_ms: int) -> list[Row]:
    open_ = [row | {"waiting": row["until"] is None or at_ms < row["until"]} for row in found]
    return sorted(
        (row for row in open_ if row["waiting"] or row["status"] in IN_PROGRESS),
        key=lambda row: (row["since"], row["task_sid"]),
    )


def tasks_in_queues(present: Present, workspace_sid: str, at_ms: int) -> list[Row]:
    """The same of all queues at once, each with its `task_queue_sid`; those that came first before the others.

    Not queue by queue: of the tasks that live, or were heard of since the moment, each is looked at once.
    """
    heard = _heard_since(workspace_sid, at_ms)
    rows = [
        dict(row)
        for select in (_last_of(heard, at_ms), _past_of(heard, at_ms))
        for row in present.today.execute(select).mappings()
    ]
    return _in_order(rows, at_ms)


def _heard_since(workspace_sid: str, at_ms: int) -> sa.CTE:
    """The tasks that had neither ended nor been deleted, and few others: each half a range of their index."""
    c, quiet = tables.task.c, tables.TASK_QUIET
    told = (c.workspace_sid, c.task_sid, c.live_status, c.live_since, c.visit_since, c.visit_queue_sid, c.visit_queue_name,
            c.visit_ended_at, c.visit_inferred, c.visit_event_sid, tables.TASK_ENDED.label("task_ended_at"))  # fmt: skip
    of = sa.select(*told).where(c.workspace_sid == workspace_sid, *_open(at_ms))
    at, longest = sa.literal(at_ms, tables.Instant), sa.literal(at_ms + LONGEST_MS, tables.Instant)
    halves = sa.union_all(of.where(quiet.is_(None)), of.where(quiet > at, quiet < longest))
    return halves.cte("heard").prefix_with("MATERIALIZED", dialect="sqlite")


def _last_of(heard: sa.CTE, at_ms: int) -> sa.Select[Any]:
    """Of them, those whose last visit of all is the last one begun by then."""
    c = heard.c
    ended = sa.func.coalesce(c.visit_ended_at, c.task_ended_at, type_=tables.Instant)
    status = sa.case((c.live_since <= at_ms, c.live_status), else_=_status_before(c, at_ms))
    return sa.select(
        c.task_sid, c.visit_queue_sid.label("task_queue_sid"), status.label("status"), c.visit_queue_name.label("task_queue_name"),
        c.visit_since.label("since"), ended.label("until"), c.visit_inferred.label("inferred"), c.visit_event_sid.label("event_sid"),
    ).where(c.visit_since > at_ms - LONGEST_MS, c.visit_since <= at_ms)  # fmt: skip


def _past_of(heard: sa.CTE, at_ms: int) -> sa.Select[Any]:
    """Of them, those that visited another queue since, but not by then."""
    c, p = heard.c, tables.task_queue_span_past.c
    status = sa.case((c.live_since <= at_ms, c.live_status), else_=_status_before(c, at_ms))
    return sa.select(
        p.task_sid, p.task_queue_sid, status.label("status"), p.task_queue_name, p.started_at.label("since"), p.ended_at.label("until"),
        p.inferred, p.event_sid,
    ).join_from(
        heard, tables.task_queue_span_past, sa.and_(p.workspace_sid == c.workspace_sid, p.task_sid == c.task_sid)
    ).where(
        c.visit_since > at_ms, p.started_at > at_ms - LONGEST_MS, p.started_at <= at_ms, p.n == _last_begun(p, at_ms)
    )  # fmt: skip


def _last_visits(workspace_sid: str, task_queue_sid: str, at_ms: int) -> sa.Select[Any]:
    """Tasks whose last visit of all is the last one begun by then."""
    c = tables.task.c
    ended = sa.func.coalesce(c.visit_ended_at, tables.TASK_ENDED, type_=tables.Instant)
    status = sa.case((c.live_since <= at_ms, c.live_status), else_=_status_before(c, at_ms))
    return sa.select(
        c.task_sid, status.label("status"), c.visit_queue_name.label("task_queue_name"), c.visit_since.label("since"),
        ended.label("until"), c.visit_inferred.label("inferred"), c.visit_event_sid.label("event_sid"),
    ).where(
        c.workspace_sid == workspace_sid, c.visit_queue_sid == task_queue_sid,
        c.visit_since > at_ms - LONGEST_MS, c.visit_since <= at_ms, *_open(at_ms),
    )  # fmt: skip


def _past_visits(workspace_sid: str, task_queue_sid: str, at_ms: int) -> sa.Select[Any]:
    """Tasks that visited another queue since, but not by then.

    Of the task only scalars by its key: from a join or EXISTS PostgreSQL may make a plan that reads all tasks.
    """
    p, c = tables.task_queue_span_past.c, tables.task.c
    of_task = sa.select(c.live_status).where(c.workspace_sid == p.workspace_sid, c.task_sid == p.task_sid)
    status = sa.func.coalesce(of_task.where(c.live_since <= at_ms).scalar_subquery(), _status_before(p, at_ms))
    still = of_task.with_only_columns(sa.true()).where(c.visit_since > at_ms, *_open(at_ms)).scalar_subquery()
    return sa.select(
        p.task_sid, status.label("status"), p.task_queue_name, p.started_at.label("since"), p.ended_at.label("until"),
        p.inferred, p.event_sid,
    ).where(
        p.workspace_sid == workspace_sid, p.task_queue_sid == task_queue_sid,
        p.started_at > at_ms - LONGEST_MS, p.started_at <= at_ms, p.n == _last_begun(p, at_ms), still.is_(sa.true()),
    )  # fmt: skip


def _last_begun(p: Any, at_ms: int) -> Any:
    """The number of a task's last visit begun by then, among those that another one followed."""
    later = tables.task_queue_span_past.alias("later").c
    begun = sa.select(later.n).where(
        later.workspace_sid == p.workspace_sid, later.task_sid == p.task_sid, later.started_at <= at_ms
    )
    return begun.order_by(later.started_at.desc(), later.n.desc()).limit(1).scalar_subquery()


def _open(at_ms: int) -> list[Any]:
    """That the task had neither ended nor been deleted; a deletion may be stamped before what else is known of it."""
    c, ended = tables.task.c, tables.TASK_ENDED
    return [sa.or_(ended.is_(None), ended > at_ms), sa.or_(c.deleted_at.is_(None), c.deleted_at > at_ms)]


def _status_before(task: Any, at_ms: int) -> Any:
    """The status of a task at the moment, among those that another one followed."""
    s = tables.task_status_span_past.c
    begun = sa.select(s.status).where(s.workspace_sid == task.workspace_sid, s.task_sid == task.task_sid, s.started_at <= at_ms)
    return begun.order_by(s.started_at.desc(), s.n.desc()).limit(1).scalar_subquery()
