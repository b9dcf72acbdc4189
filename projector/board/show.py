"""What each page shows: the read functions' answers at the moment, no figure made here."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.api.store import Store
from projector.board import picture
from projector.board.seen import Seen, window_asked
from projector.log import Log
from projector.read import callbacks
from projector.read import wallboard as board
from projector.read.cumulative import Wait
from projector.read.durations import durations
from projector.read.happening import Scope, Window
from projector.read.names import channels_of
from projector.read.present import Present
from projector.read.queue import queue as queue_at
from projector.read.queue import tasks_in_queues, tasks_of
from projector.read.refolded import Refolded
from projector.read.source import Source
from projector.read.task import task as task_at
from projector.read.then import thing_then
from projector.read.timeline import timeline, timeline_known
from projector.read.worker import worker as worker_at
from projector.rows import Row
from projector.tables.gaps import REASONS
from projector.taskrouter.callback import EVENT_SID, Unit
from projector.taskrouter.span import LONGEST_MS
from projector.taskrouter.text import EARLIEST_MS

Told = dict[str, Any]
PAGE = 25  # workers on a screen
MOST_SPANS = 2_000  # on a picture
WAITING, LATEST, BEHIND, LEFT = 20, 12, 50, 100  # tasks, callbacks, callbacks of one worker or task, tasks that left a queue
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
USUAL_MS, LONGEST_PICTURE_MS = 8 * HOUR_MS, 8 * 24 * HOUR_MS  # of a picture: a week, and what two clocks may differ by


def wallboard(store: Store, log: Log, seen: Seen, asked: Mapping[str, str]) -> Told:
    """Queues, workers, tasks that wait, the last callbacks, and how fresh all this is."""
    ws, at_ms = seen.workspace_sid, seen.at_ms
    name, activity = asked.get("worker", "").strip(), asked.get("activity", "")
    with store.knowing_all() as now:
        open_tasks = tasks_in_queues(now, ws, at_ms)
        waiting = [row for row in open_tasks if row["waiting"]]
        everybody = board.crew(now, ws, at_ms)
        chosen = board.chosen(everybody, name, activity)
        pages, page = _page(asked, len(chosen), PAGE)
        queues = board.queues(now, ws, at_ms, open_tasks)
        return {
            "queues": queues,
            "in_all": board.in_all(queues, open_tasks, at_ms),
            "late_ms": board.THRESHOLD_SECONDS * 1000,
            "waiting": board.described(now, ws, waiting[:WAITING], at_ms),
            "waiting_in_all": len(waiting),
            "activities": board.by_activity(everybody),
            "workers_in_all": len(everybody),
            "available": sum(row["available"] is True for row in everybody),
            "workers_chosen": len(chosen),
            "workers": board.with_load(now, ws, chosen[(page - 1) * PAGE : page * PAGE], at_ms),
            "page": page,
            "pages": pages,
            "name": name,
            "activity": activity,
            "latest": callbacks.latest(log, ws, at_ms, LATEST),
            "fresh": board.freshness(now, seen.now_ms),
            "missed": [each for each in store.feeds_lately(seen.now_ms) if each.missed] if seen.live else [],
            "gaps": store.missing_lately(ws, seen.now_ms) if seen.live else {},
            "reasons": REASONS,
        }


def worker(store: Store, log: Log, seen: Seen, sid: str, asked: Mapping[str, str]) -> Told:  # noqa: ARG001 (every page is asked alike)
    """A worker: what it does, the picture of a stretch of time, how long it was in each activity, the callbacks behind it."""
    ws = seen.workspace_sid
    with store.knowing_all() as now:
        today = _today(now, tables.worker, ws, sid)
        if today is None:
            return {"missing": f"No worker {sid} is in this workspace. Look for it on the board, by name."}
        age_ms = seen.at_ms - (today["created_at"] or today["first_seen_at"])
        window = window_asked(asked, seen, min(USUAL_MS, max(MINUTE_MS, age_ms)), LONGEST_PICTURE_MS)
        source = store.known(now, seen.known_ms)
        every = [_then(row, seen.at_ms) for row in _lasted(source, "worker", ws, sid, window)]
        rows = every[-MOST_SPANS:]
        tones = picture.tones_of(board.activity_names(now, ws))
        return {
            "sid": sid,
            "title": today["friendly_name"] or sid,
            "then": worker_at(source, ws, sid, seen.at_ms),
            "today": today,
            "window": window,
            "spans": rows,
            "spans_in_all": len(every),
            "tones": tones,
            "picture": picture.of_worker(rows, channels_of(now.today, ws, sid), tones, window, seen),
            "totals": _totals(now, source, Scope(ws, worker_sid=sid), window, every),
            "callbacks": callbacks.of_unit(source, Unit(ws, "worker", sid), seen.at_ms, BEHIND),
            "fresh": board.freshness(now, seen.now_ms),
        }


def task(store: Store, log: Log, seen: Seen, sid: str, asked: Mapping[str, str]) -> Told:  # noqa: ARG001 (every page is asked alike)
    """A task: how it stands, its way through queues and offers, the callbacks behind it."""
    ws = seen.workspace_sid
    with store.knowing_all() as now:
        today = _today(now, tables.task, ws, sid)
        if today is None:
            return {"missing": f"No task {sid} is in this workspace. Twilio may have sent nothing about it yet."}
        source = store.known(now, seen.known_ms)
        whole = Window(EARLIEST_MS, seen.at_ms + 1)
        rows = [_then(row, seen.at_ms) for row in _lasted(source, "task", ws, sid, whole)]
        if asked.get("from") or asked.get("until"):
            window = window_asked(asked, seen, USUAL_MS, LONGEST_MS)
        else:
            window = _whole_life(rows, seen.at_ms)
        return {
            "sid": sid,
            "title": sid,
            "then": task_at(source, ws, sid, seen.at_ms),
            "today": today,
            "window": window,
            "spans": rows,
            "picture": picture.of_task(rows, window, seen),
            "callbacks": callbacks.of_unit(source, Unit(ws, "task", sid), seen.at_ms, BEHIND),
            "fresh": board.freshness(now, seen.now_ms),
        }


def reservation(store: Store, log: Log, seen: Seen, sid: str, asked: Mapping[str, str]) -> Told:
    """A reservation is shown with its task."""
    c = tables.reservation.c
    of = (
        sa.select(c.task_sid).where(c.workspace_sid == seen.workspace_sid, c.reservation_sid == sid).order_by(c.updated_at.desc())
    )
    with store.looking() as connection:
        task_sid = connection.execute(of.limit(1)).scalar()
    if task_sid is None:
        return {"missing": f"No reservation {sid} is in this workspace."}
    return task(store, log, seen, task_sid, asked) | {"reservation_sid": sid}


def queue(store: Store, log: Log, seen: Seen, sid: str, asked: Mapping[str, str]) -> Told:  # noqa: ARG001 (every page is asked alike)
    """A queue: what waits in it, its day hour by hour, and who left it in a stretch of time: what a service level is made of."""
    ws, at_ms = seen.workspace_sid, seen.at_ms
    window = window_asked(asked, seen, board.LATELY_MS, LONGEST_PICTURE_MS)
    with store.knowing_all() as now:
        today = _today(now, tables.task_queue, ws, sid)
        if today is None:
            return {"missing": f"No queue {sid} is in this workspace."}
        open_tasks = tasks_of(now, ws, sid, at_ms)
        of_queue = [row | {"task_queue_sid": sid} for row in open_tasks]
        waiting, working = [row for row in of_queue if row["waiting"]], [row for row in of_queue if not row["waiting"]]
        how = asked.get("how", "")
        left = [stay for stay in board.leavers(now, ws, sid, window) if how in ("", stay.how)][::-1]
        pages, page = _page(asked, len(left), LEFT)
        return {
            "sid": sid,
            "title": today["friendly_name"] or sid,
            "today": today,
            "then": queue_at(now, ws, sid, at_ms),
            "target_workers": (thing_then(now, tables.task_queue, today, at_ms) or {}).get("target_workers"),
            "waiting": board.described(now, ws, waiting[:WAITING], at_ms),
            "waiting_in_all": len(waiting),
            "working": board.described(now, ws, working[:WAITING], at_ms),
            "working_in_all": len(working),
            "hours": board.day(now, ws, sid, seen.hours()) if seen.hours() else [],
            "window": window,
            "left": left[(page - 1) * LEFT : page * LEFT],
            "left_in_all": len(left),
            "how": how,
            "page": page,
            "pages": pages,
            "fresh": board.freshness(now, seen.now_ms),
        }


def callback(store: Store, log: Log, seen: Seen, sid: str, asked: Mapping[str, str]) -> Told:  # noqa: ARG001 (every page is asked alike)
    """A callback as it was received."""
    found = callbacks.one(log, seen.workspace_sid, sid) if EVENT_SID.fullmatch(sid) else None
    if found is None:
        return {"missing": f"No callback {sid} is in the log of this workspace."}
    with store.knowing_all() as now:
        return {"sid": sid, "title": found["event_type"], "callback": found, "fresh": board.freshness(now, seen.now_ms)}


def _today(now: Present, table: sa.Table, workspace_sid: str, sid: str) -> Row | None:
    where = (table.c.workspace_sid == workspace_sid, table.c[f"{table.name}_sid"] == sid)
    row = now.today.execute(sa.select(table).where(*where)).mappings().first()
    return dict(row) if row is not None else None


def _lasted(source: Source, of: str, workspace_sid: str, sid: str, window: Window) -> list[Row]:
    if isinstance(source, Refolded):
        return timeline_known(source, workspace_sid, of, sid, window)
    return timeline(source.today, workspace_sid, of, sid, window)


def _then(row: Row, at_ms: int) -> Row:
    """A span as it was at the moment: what ended later lasts."""
    if row["ended_at"] is None or row["ended_at"] <= at_ms:
        return row
    return row | {name: None for name in ("ended_at", "outcome") if name in row}


def _whole_life(rows: list[Row], at_ms: int) -> Window:
    """A task from its beginning to its end, or to the moment."""
    start_ms = min((row["started_at"] for row in rows), default=at_ms - HOUR_MS)
    lasts = any(row["ended_at"] is None for row in rows)
    ends = [row["ended_at"] for row in rows if row["ended_at"] is not None]
    end_ms = at_ms if lasts or not ends else max(ends)
    return Window(max(start_ms, end_ms - LONGEST_MS), max(end_ms, start_ms + 1000))


def _totals(now: Present, source: Source, scope: Scope, window: Window, rows: list[Row]) -> list[Row]:
    """Name, times and milliseconds by activity, the longest first; as it was known then, of the spans known then."""
    names = {row["activity_sid"]: row["activity_name_now"] or row["activity_name"] for row in rows if row["kind"] == "activity"}
    spent = _known_spent(rows, window) if isinstance(source, Refolded) else durations(now.today, window, scope, None)
    found = [{"name": names.get(sid) or sid, "times": told.times, "total_ms": told.total_ms} for sid, told in spent.items()]
    return sorted(found, key=lambda row: -row["total_ms"])


def _known_spent(rows: list[Row], window: Window) -> dict[str, Wait]:
    found: dict[str, Wait] = {}
    for row in rows:
        if row["kind"] == "activity" and row["activity_sid"]:
            ended_ms = window.end_ms if row["ended_at"] is None else min(row["ended_at"], window.end_ms)
            length = ended_ms - max(row["started_at"], window.start_ms)
            if length > 0:
                found[row["activity_sid"]] = Wait(1, length, length, length).and_also(found.get(row["activity_sid"]))
    return found


def _page(asked: Mapping[str, str], many: int, on_a_page: int) -> tuple[int, int]:
    """How many pages so many are, and the one asked for: the nearest there is."""
    text, pages = asked.get("page", ""), max(1, -(-many // on_a_page))
    return pages, max(1, min(pages, int(text))) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
