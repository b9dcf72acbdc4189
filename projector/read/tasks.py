"""All tasks of a workspace that a list of tasks shows at a moment: the live ones, and those that ended a little before."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.read.present import Present
from projector.read.refolded import Refolded
from projector.read.then import task_then
from projector.rows import Row
from projector.tables import Instant
from projector.taskrouter.span import LONGEST_MS

SHOWN_AFTER_END_MS = 5 * 60 * 1000  # Twilio deletes ended tasks after five minutes


def tasks(present: Present, workspace_sid: str, at_ms: int, task_queue_sid: str | None = None) -> list[Row]:
    """Each in the columns of its table, by Sid; of a queue, if one is named, and perhaps some that had been in it.

    One of which nothing was heard since is as its row says. Any other is folded from the log, some dozen callbacks each: what that
    takes grows with the tasks that were live then, not with the history.
    """
    folded = Refolded(present, present.position)
    then = [as_it_was(folded, today, at_ms) for today in _candidates(present, workspace_sid, at_ms, task_queue_sid)]
    return [dict(row) for row in then if row is not None and shown(row, at_ms)]


def shown(task: Mapping[str, Any], at_ms: int) -> bool:
    """Whether a list shows it at the moment: it lives, or ended no longer ago than Twilio keeps it."""
    ended_ms = task["completed_at"] if task["completed_at"] is not None else task["canceled_at"]
    return ended_ms is None or ended_ms > at_ms - SHOWN_AFTER_END_MS


def as_it_was(folded: Refolded, today: Row, at_ms: int) -> Mapping[str, Any] | None:
    """A task (today's row) at the moment, in the columns of its table; None where it was not there."""
    if today["updated_at"] is None or today["updated_at"] > at_ms:
        return task_then(folded, today, at_ms)
    return None if today["deleted_at"] is not None and today["deleted_at"] <= at_ms else today


def _candidates(present: Present, workspace_sid: str, at_ms: int, task_queue_sid: str | None) -> list[Row]:
    """Today's rows of all tasks that may have been shown: begun by then, and heard of since, or a little before, or alive.

    A task begins with its creation: `workflow.target-matched` may speak of it a millisecond before (recorded).
    """
    c, quiet = tables.task.c, tables.TASK_QUIET
    now, lately = sa.literal(at_ms, Instant), sa.literal(at_ms - SHOWN_AFTER_END_MS, Instant)
    begun = sa.func.coalesce(c.created_at, c.first_seen_at, type_=Instant) <= now
    of = sa.select(tables.task).where(c.workspace_sid == workspace_sid, begun)
    if task_queue_sid is not None:
        p = tables.task_queue_span_past.c
        past = sa.select(p.task_sid).where(
            p.workspace_sid == workspace_sid, p.task_queue_sid == task_queue_sid,
            p.started_at > sa.literal(at_ms - LONGEST_MS, Instant), p.started_at <= now,
        )  # fmt: skip
        of = of.where(sa.or_(c.task_queue_sid == task_queue_sid, c.visit_queue_sid == task_queue_sid, c.task_sid.in_(past)))
    heard = of.where(quiet > lately, quiet < sa.literal(at_ms + LONGEST_MS, Instant))
    found = [dict(row) for select in (of.where(quiet.is_(None)), heard) for row in present.today.execute(select).mappings()]
    return sorted(found, key=lambda row: row["task_sid"])
