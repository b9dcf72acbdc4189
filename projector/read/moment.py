"""`projector at`: one entity at a moment, from all that is known or from what had arrived by some time."""

from collections import Counter
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.errors import Unanswerable
from projector.log import Log
from projector.read.activities import activities
from projector.read.find import TABLES, Subject, find
from projector.read.gaps import gaps_then
from projector.read.names import is_there
from projector.read.present import Present, present
from projector.read.queue import queue
from projector.read.refolded import Refolded
from projector.read.source import Source
from projector.read.task import reservation, task
from projector.read.when import position_at
from projector.read.worker import worker
from projector.rows import Row


def at(engine: sa.Engine, log: Log, sid: str, at_ms: int, known_ms: int | None = None, workspace_sid: str | None = None) -> Row:
    """The entity with this Sid at the moment, as all callbacks known tell it, or those received up to `known_ms`.

    `position`, `known_to_at`, `behind`: what the tables hold of the log, up to which event time, and how many callbacks wait to be
    projected. `exists` False: `why` is `not_yet`, `deleted` (with `deleted_at` and its basis), `only_mentioned` (no callback of its own is
    known) or `not_known_then` (none had arrived). `gaps`, with `known_ms`: what was believed missing of it then, whenever it happened. Raises `NotFound`, `Unanswerable`.
    """
    with present(engine, log) as now:
        subject = find(now.today, sid, workspace_sid)
        position = now.position if known_ms is None else position_at(log, known_ms)
        known = {"position": position, "known_to_at": now.event_ms, "behind": max(0, log.end() - now.position)}
        asked = {
            "kind": subject.kind,
            "at": at_ms,
            "known_at": known_ms,
            **(known if known_ms is None else {"position": position}),
        }
        if known_ms is None:
            row = _of_many(now, subject, at_ms) if subject.kind in ("task_queue", "workspace") else _of_one(now, subject, at_ms)
            return {"exists": True} | asked | row if row else {"exists": False} | asked | _absence(now, now, subject, at_ms)
        if subject.kind in ("task_queue", "workspace"):
            raise Unanswerable(
                f"{sid} is a {subject.kind}: what waits or works in it is many tasks and workers, and --known-at folds one of them. "
                "Ask for one worker (WK…), task (WT…) or reservation (WR…) with --known-at, or for this one without."
            )
        then = Refolded(now, position)
        row = _of_one(then, subject, at_ms)
        found = {"exists": True} | asked | row if row else {"exists": False} | asked | _absence(then, now, subject, at_ms)
        return found | _gaps(then, subject)


def _of_one(source: Source, subject: Subject, at_ms: int) -> Row | None:
    match subject.kind:
        case "worker":
            return worker(source, subject.workspace_sid, subject.sid, at_ms)
        case "task":
            return task(source, subject.workspace_sid, subject.sid, at_ms)
        case "reservation":
            return reservation(source, subject.workspace_sid, subject.unit.sid, subject.sid, at_ms)
        case _:
            asked = "WK…, WT…, WR…, WQ… and WS…"
            raise Unanswerable(f"{subject.sid} has no history of its own. Ask for {asked}, or `projector explain {subject.sid}`.")


def _gaps(then: Refolded, subject: Subject) -> Row:
    folding = then.folding(subject.unit)
    found = [] if folding is None else [gap for gap in gaps_then(folding) if gap["sid"] == subject.sid]
    told = ("reason", "missing_event_type", "missing_at", "activity_sid", "event_sid", "revealed_at")
    return {"gaps": [{name: gap[name] for name in told if gap[name] is not None} for gap in found]} if found else {}


def _of_many(now: Present, subject: Subject, at_ms: int) -> Row | None:
    if subject.kind == "task_queue":
        return queue(now, subject.workspace_sid, subject.sid, at_ms)
    workers = activities(now, subject.workspace_sid, at_ms)
    if not is_there(now.today, tables.workspace, subject.sid, subject.sid, at_ms, shown=bool(workers)):
        return None
    by_name = Counter(row["activity_name_now"] or row["activity_name"] or row["activity_sid"] for row in workers)
    return {"workspace_sid": subject.sid, "activities": dict(sorted(by_name.items())), "workers": workers}


def _absence(source: Source, now: Present, subject: Subject, at_ms: int) -> Row:
    """Why there is nothing to show. `first_seen_at`: when the tables' first callback that speaks of it was stamped."""
    table = TABLES[subject.sid[:2]]
    key = (table.c.workspace_sid == subject.workspace_sid, table.c[f"{table.name}_sid"] == subject.sid)
    today: Any = now.today.execute(sa.select(table.c.first_seen_at).where(*key)).first()
    absent: Row = {"workspace_sid": subject.workspace_sid, f"{subject.kind}_sid": subject.sid}
    absent |= {"why": "not_yet", "first_seen_at": today.first_seen_at if today else None}
    state = source.state(subject.unit)
    if state is None:
        if source is not now:
            return absent | {"why": "not_known_then"}
        return absent | ({"why": "only_mentioned"} if table in _WITH_HISTORY else {})
    deleted_ms = state.head.deleted_ms
    if subject.kind != "reservation" and deleted_ms is not None and deleted_ms <= at_ms:
        basis = getattr(state.head, "deleted_at_basis", "stamp")
        return absent | {"why": "deleted", "deleted_at": deleted_ms, "deleted_at_basis": basis}
    if subject.kind == "reservation" and source is not now and subject.sid not in state.parts:
        return absent | {"why": "not_known_then"}
    return absent


_WITH_HISTORY = (tables.worker, tables.task, tables.reservation)
