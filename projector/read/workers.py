"""All workers of a workspace at a moment: which activity each was in, and its attributes; and which of them a queue wants."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.read.activities import activities, there
from projector.read.present import Present
from projector.rows import Row
from projector.tables import Instant
from projector.taskrouter.expression import Expression, matches


def workers(present: Present, workspace_sid: str, at_ms: int) -> list[Row]:
    """Every worker that was there, by Sid: `activity_sid` and `activity_name` (None where nobody had told), `available`, `since` when,
    `attributes`; `event_sid`: the callback that told the activity."""
    w = tables.worker.c
    here = (w.workspace_sid == workspace_sid, w.first_seen_at <= sa.literal(at_ms, Instant), there(at_ms))
    found = sa.select(w.worker_sid, w.friendly_name, w.attributes, w.attributes_since).where(*here).order_by(w.worker_sid)
    rows = present.today.execute(found).all()
    in_activity = {row["worker_sid"]: row for row in activities(present, workspace_sid, at_ms)}
    changed = any(row.attributes_since is not None and row.attributes_since > at_ms for row in rows)
    before = _attributes_before(present, workspace_sid, at_ms) if changed else {}
    return [_worker(row, in_activity.get(row.worker_sid, {}), before, at_ms) for row in rows]


def eligible(expression: Expression, among: Iterable[Row]) -> list[Row]:
    """The workers whose attributes match."""
    return [worker for worker in among if matches(expression, attributes_of(worker["attributes"]))]


@lru_cache(maxsize=16_384)  # each queue asks for the same workers' attributes
def attributes_of(text: str | None) -> dict[str, Any]:
    """A worker's or task's attributes, not to be changed; none where none are known, or where they are no object."""
    told = json.loads(text) if text is not None else None
    return told if isinstance(told, dict) else {}


def _worker(row: Any, in_activity: Row, before: dict[str, str | None], at_ms: int) -> Row:
    known = row.attributes_since is not None and row.attributes_since <= at_ms
    return {
        "worker_sid": row.worker_sid,
        "friendly_name": row.friendly_name,
        "activity_sid": in_activity.get("activity_sid"),
        "activity_name": in_activity.get("activity_name_now") or in_activity.get("activity_name"),
        "available": in_activity.get("available"),
        "since": in_activity.get("since"),
        "event_sid": in_activity.get("event_sid"),
        "attributes": row.attributes if known else before.get(row.worker_sid),
    }


def _attributes_before(present: Present, workspace_sid: str, at_ms: int) -> dict[str, str | None]:
    """The attributes that others followed since, by worker."""
    w, past, at = tables.worker.c, tables.worker_attributes_span_past.c, sa.literal(at_ms, Instant)
    mine = (past.workspace_sid == w.workspace_sid, past.worker_sid == w.worker_sid, past.started_at <= at)
    last = sa.select(past.attributes).where(*mine).order_by(past.started_at.desc(), past.n.desc()).limit(1)
    before = last.correlate(tables.worker).scalar_subquery().label("attributes")
    found = sa.select(w.worker_sid, before).where(w.workspace_sid == workspace_sid, w.attributes_since > at)
    return {row.worker_sid: row.attributes for row in present.today.execute(found)}
