"""A resource as it was at a moment, in the columns of its table: whatever shows a row as it is now shows it as it was then.

Each takes today's row, which names it, and gives None where it was not there yet or deleted by then. Names of workers, queues and
workflows are as sent then; those of things that have no history (activities, queues, workflows, channels, workspaces) as they are now.
A queue's TargetWorkers are those of then.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa

from projector import tables
from projector.read.source import Source, deleted_by, state_at
from projector.read.task import reservation, task
from projector.read.worker import worker
from projector.rows import row_of, untouched
from projector.taskrouter.callback import Unit
from projector.taskrouter.text import LATEST_MS

Row: TypeAlias = Mapping[str, Any]


def then(source: Source, table: sa.Table, today: Row, at_ms: int) -> Row | None:
    """A row of any table with a Sid of its own."""
    with_history = {tables.worker: worker_then, tables.task: task_then, tables.reservation: reservation_then}
    if table in with_history:
        return with_history[table](source, today, at_ms)
    return thing_then(source, table, today, at_ms)


def worker_then(source: Source, today: Row, at_ms: int) -> Row | None:
    """A Worker."""
    found = worker(source, today["workspace_sid"], today["worker_sid"], at_ms)
    if found is None:
        return None
    activity, attributes = found["activity"] or {}, found["attributes"] or {}
    return _like(today) | {
        "friendly_name": found["worker_name"],
        "attributes": attributes.get("attributes"),
        "activity_sid": activity.get("activity_sid"),
        "activity_name": activity.get("activity_name"),
        "activity_available": activity.get("available"),
        "activity_since": activity.get("since"),
        "created_at": found["created_at"],
        "updated_at": found["updated_at"],
    }


def channels_then(source: Source, today: Row, at_ms: int) -> list[Row] | None:
    """A Worker's Channels, by the Sids of their TaskChannels; None where the worker was not there."""
    whose = {"workspace_sid": today["workspace_sid"], "worker_sid": today["worker_sid"]}
    found = worker(source, **whose, at_ms=at_ms)
    if found is None:
        return None
    c = tables.worker_channel.c
    seen = sa.select(c.task_channel_sid, c.first_seen_at).where(*(c[name] == sid for name, sid in whose.items()))
    first_seen = {row.task_channel_sid: row.first_seen_at for row in source.today.execute(seen)}
    return [row | whose | {"first_seen_at": first_seen.get(row["task_channel_sid"])} for row in found["channels"]]


def task_then(source: Source, today: Row, at_ms: int) -> Row | None:
    """A Task."""
    found = task(source, today["workspace_sid"], today["task_sid"], at_ms)
    if found is None:
        return None
    queue = found["queue"] or {}
    told = {name: value for name, value in found.items() if name in today}
    return _like(today) | told | {
        "task_queue_sid": queue.get("task_queue_sid"),
        "task_queue_name": queue.get("task_queue_name"),
        "queue_entered_at": queue.get("since"),
        "completed_at": found["since"] if found["status"] == "completed" else None,
        "canceled_at": found["since"] if found["status"] == "canceled" else None,
    }  # fmt: skip


def reservation_then(source: Source, today: Row, at_ms: int) -> Row | None:
    """A Reservation."""
    found = reservation(source, today["workspace_sid"], today["task_sid"], today["reservation_sid"], at_ms)
    return None if found is None else _like(today) | {name: value for name, value in found.items() if name in today}


def thing_then(source: Source, table: sa.Table, today: Row, at_ms: int) -> Row | None:
    """Whatever has no history of its own, from its callbacks up to the moment; before the first that speaks of it, it is not there."""
    if today["first_seen_at"] is None or at_ms < today["first_seen_at"]:
        return None
    unit = Unit(today["workspace_sid"], table.name, today[f"{table.name}_sid"])
    last = source.state(unit)
    if last is not None and deleted_by(last.head, at_ms):
        return None
    told = state_at(source, unit, at_ms)
    own = row_of(told.head) if told else untouched(table)
    then = dict(today) | {name: value for name, value in own.items() if name not in table.primary_key.columns}
    return then | ({"target_workers": _target_workers(source, unit, today, at_ms)} if table is tables.task_queue else {})


def _target_workers(source: Source, unit: Unit, today: Row, at_ms: int) -> str | None:
    """A queue's TargetWorkers, as its own callbacks tell them: the last by then, else the first ever; as its row has it where none does."""
    told = [each for each in source.callbacks(unit, 0, LATEST_MS) if each.fields.task_queue_target_expression]
    by_then = [each for each in told if each.at_ms <= at_ms]
    found = by_then[-1] if by_then else told[0] if told else None
    return today["target_workers"] if found is None else found.fields.task_queue_target_expression


def _like(today: Row) -> dict[str, Any]:
    """All columns, nothing told but what names the row and when it was first spoken of."""
    kept = ("workspace_sid", "worker_sid", "task_sid", "reservation_sid", "first_seen_at")
    return {name: value if name in kept else None for name, value in today.items()}
