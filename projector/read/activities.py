"""Who was in which activity at a moment, across a workspace: one row a worker, whatever the length of their histories."""

from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.read.present import Present
from projector.read.worker import available
from projector.rows import Row

_WORKER, _PAST, _ACTIVITY = tables.worker.c, tables.worker_activity_span_past.c, tables.activity.c


def activities(present: Present, workspace_sid: str, at_ms: int) -> list[Row]:
    """Every worker that was in an activity at the moment, by Sid: which, since when, and the callback that told it.

    `available`: whether workers in that activity get tasks; None where no callback told. Workers that were not there yet, were
    deleted, or whose activity nobody had told, are left out.
    """
    found = [row for select in (_in_last(workspace_sid, at_ms), _in_past(workspace_sid, at_ms)) for row in _rows(present, select)]
    told = {sid: available(present, workspace_sid, sid, at_ms) for sid in {row["activity_sid"] for row in found}}
    rows = [row | {"available": told[row["activity_sid"]]} for row in found]
    return sorted(rows, key=lambda row: row["worker_sid"])


def _rows(present: Present, select: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in present.today.execute(select).mappings()]


def _in_last(workspace_sid: str, at_ms: int) -> sa.Select[Any]:
    """Workers in the activity that is their last to this day."""
    c = _WORKER
    return sa.select(
        c.worker_sid, c.activity_worker_name.label("worker_name"), c.friendly_name.label("worker_name_now"),
        c.activity_sid, c.activity_name, *_activity(c.activity_sid), c.activity_since.label("since"),
        c.deleted_at.label("until"), sa.false().label("inferred"), c.activity_event_sid.label("event_sid"),
    ).where(c.workspace_sid == workspace_sid, c.activity_since <= at_ms, there(at_ms))  # fmt: skip


def _in_past(workspace_sid: str, at_ms: int) -> sa.Select[Any]:
    """Workers in an activity that another one followed: the last begun by then, by its key."""
    p, c = _PAST, _WORKER
    same = (p.workspace_sid == c.workspace_sid, p.worker_sid == c.worker_sid)
    return (
        sa.select(
            c.worker_sid, p.worker_name, c.friendly_name.label("worker_name_now"),
            p.activity_sid, p.activity_name, *_activity(p.activity_sid), p.started_at.label("since"), p.ended_at.label("until"),
            p.inferred, p.event_sid,
        )
        .join_from(tables.worker, tables.worker_activity_span_past, sa.and_(*same))
        .where(
            c.workspace_sid == workspace_sid, c.activity_since > at_ms, there(at_ms),
            *_last_begun(at_ms), p.ended_at > at_ms,
        )
    )  # fmt: skip


def _last_begun(at_ms: int) -> list[Any]:
    """That a span of a worker's is its last one begun by then, by its key. (SQLite has no LATERAL.)"""
    s = tables.worker_activity_span_past.alias("begun").c
    mine = (s.workspace_sid == _WORKER.workspace_sid, s.worker_sid == _WORKER.worker_sid, s.started_at <= at_ms)

    def of_last(column: Any) -> Any:
        last = sa.select(column).where(*mine).order_by(s.started_at.desc(), s.n.desc()).limit(1)
        return last.correlate(tables.worker).scalar_subquery()

    return [_PAST.started_at == of_last(s.started_at), _PAST.n == of_last(s.n)]


def there(at_ms: int) -> Any:
    """That a worker was not deleted by then."""
    return sa.or_(_WORKER.deleted_at.is_(None), _WORKER.deleted_at > at_ms)


def _activity(sid: Any) -> list[Any]:
    """What the activity's own row says: its name now."""
    of = (_ACTIVITY.workspace_sid == _WORKER.workspace_sid, _ACTIVITY.activity_sid == sid)
    return [
        sa.select(_ACTIVITY.friendly_name).where(*of).scalar_subquery().label("activity_name_now"),
    ]
