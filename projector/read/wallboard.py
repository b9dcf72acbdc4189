"""What a wallboard shows of a workspace at a moment: its queues, its workers, and which tasks wait.

Everything is a look at the history, so the board of now and the board of last March are the same functions at another moment. Only what
is on the screen is looked at closely: of ten thousand workers a page's.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from projector import tables
from projector.log.entry import recorded_ms
from projector.read.happening import Scope, Window
from projector.read.loads import loads
from projector.read.performance import Visit, leaving, service_level, spread, visits
from projector.read.present import Present
from projector.read.refolded import Refolded
from projector.read.tasks import as_it_was
from projector.read.workers import workers
from projector.rows import Row
from projector.tables import Instant

LATELY_MS = 30 * 60_000  # how far back a service level and a sparkline look
SAMPLE_MS = 60_000  # between two points of a sparkline
THRESHOLD_SECONDS, SHORT_ABANDON_SECONDS = 20, 5  # of a service level, as `/Performance` has them when nothing is asked for
UNKNOWN = "unknown"  # the activity of a worker of whom nobody told one


def queues(present: Present, workspace_sid: str, at_ms: int, open_tasks: Sequence[Row]) -> list[Row]:
    """Every queue that was there, by name; `open_tasks`: those of `tasks_in_queues` at the same moment.

    `service_level_now`: of the tasks that wait, the share that has not waited longer than the threshold yet; None when none waits.
    `service_level`: see `performance.service_level`, of who left in the `LATELY_MS` before. `waited`: how many waited at each
    minute of those, the moment itself last.
    """
    lately = Window(at_ms - LATELY_MS, at_ms)
    stays = _by_queue(visits(present.today, Window(lately.start_ms, at_ms + 1), Scope(workspace_sid)))
    inside: dict[str, list[Row]] = {}
    for row in open_tasks:
        inside.setdefault(row["task_queue_sid"], []).append(row)
    return [
        _queue(sid, name, inside.get(sid, []), stays.get(sid, []), lately)
        for sid, name in _queues_there(present, workspace_sid, at_ms, inside)
    ]


def _queue(sid: str, name: str | None, open_tasks: Sequence[Row], stays: Sequence[Visit], lately: Window) -> Row:
    at_ms = lately.end_ms
    waiting = [row for row in open_tasks if row["waiting"]]
    in_time = sum(at_ms - row["since"] <= THRESHOLD_SECONDS * 1000 for row in waiting)
    return {
        "task_queue_sid": sid,
        "friendly_name": name,
        "tasks_waiting": len(waiting),
        "longest_wait_ms": at_ms - waiting[0]["since"] if waiting else None,
        "oldest_task_sid": waiting[0]["task_sid"] if waiting else None,
        "tasks_in_progress": len(open_tasks) - len(waiting),
        "service_level_now": round(in_time / len(waiting), 4) if waiting else None,
        "service_level": service_level(leaving(stays, lately), THRESHOLD_SECONDS, SHORT_ABANDON_SECONDS),
        "waited": [_waiting_at(stays, ms) for ms in range(lately.start_ms + SAMPLE_MS, at_ms + 1, SAMPLE_MS)],
    }


def in_all(among: Sequence[Row], open_tasks: Sequence[Row], at_ms: int) -> Row:
    """All queues together, those deleted with tasks in them too, as each is in `queues`; `service_level`: the ratio alone."""
    waiting = [row for row in open_tasks if row["waiting"]]
    levels = [row["service_level"] for row in among]
    in_time, offered = sum(each["answered_in_time"] for each in levels), sum(map(_offered, levels))
    return {
        "tasks_waiting": len(waiting),
        "longest_wait_ms": at_ms - waiting[0]["since"] if waiting else None,
        "oldest_task_sid": waiting[0]["task_sid"] if waiting else None,
        "tasks_in_progress": len(open_tasks) - len(waiting),
        "service_level": round(in_time / offered, 4) if offered else None,
    }


def _offered(level: Row) -> int:
    return int(level["answered"] + level["abandoned"] - level["abandoned_short"])


def _queues_there(present: Present, workspace_sid: str, at_ms: int, shown: Iterable[str]) -> list[tuple[str, str | None]]:
    """Sid and name, as it is now, of those that were spoken of by then or shown by what was in them, and not deleted."""
    c, at = tables.task_queue.c, sa.literal(at_ms, Instant)
    there = (c.workspace_sid == workspace_sid, sa.or_(c.deleted_at.is_(None), c.deleted_at > at))
    rows = present.today.execute(
        sa.select(c.task_queue_sid, c.friendly_name, (c.first_seen_at <= at).label("spoken_of")).where(*there)
    )
    among = set(shown)
    found = [(row.task_queue_sid, row.friendly_name) for row in rows if row.spoken_of or row.task_queue_sid in among]
    return sorted(found, key=lambda queue: (queue[1] or "", queue[0]))


def day(present: Present, workspace_sid: str, task_queue_sid: str, hours: Sequence[Window]) -> list[Row]:
    """A queue hour by hour (the windows follow each other): who entered, how long those waited who left, and the service level."""
    whole = Window(hours[0].start_ms, hours[-1].end_ms)
    stays = visits(present.today, whole, Scope(workspace_sid, task_queue_sid=task_queue_sid))
    return [_hour(stays, hour) for hour in hours]


def leavers(present: Present, workspace_sid: str, task_queue_sid: str, window: Window) -> list[Visit]:
    """Who left a queue in a window, in the order they left: what is behind its service level."""
    stays = visits(present.today, window, Scope(workspace_sid, task_queue_sid=task_queue_sid))
    gone = [stay for stay in stays if stay.how is not None and stay.ended_ms is not None and _within(stay.ended_ms, window)]
    return sorted(gone, key=lambda stay: (stay.ended_ms, stay.task_sid))


def _within(ms: int, window: Window) -> bool:
    return window.start_ms <= ms < window.end_ms


def _hour(stays: Sequence[Visit], hour: Window) -> Row:
    left = leaving(stays, hour)
    return {
        "started_ms": hour.start_ms,
        "ended_ms": hour.end_ms,
        "tasks_entered": sum(_within(stay.started_ms, hour) for stay in stays),
        "waits": spread(left.answered_ms),
        "service_level": service_level(left, THRESHOLD_SECONDS, SHORT_ABANDON_SECONDS),
    }


def crew(present: Present, workspace_sid: str, at_ms: int) -> list[Row]:
    """Every worker that was there, by name: see `workers`."""
    return sorted(workers(present, workspace_sid, at_ms), key=lambda row: (row["friendly_name"] or "", row["worker_sid"]))


def activity_names(present: Present, workspace_sid: str) -> list[str]:
    """The names of all activities that there ever were, as they are now."""
    c = tables.activity.c
    told = sa.select(c.friendly_name).where(c.workspace_sid == workspace_sid, c.friendly_name.is_not(None)).distinct()
    return list(present.today.execute(told.order_by(c.friendly_name)).scalars())


def by_activity(among: Iterable[Row]) -> dict[str, int]:
    """How many of them were in each activity, by its name."""
    return dict(sorted(Counter(row["activity_name"] or UNKNOWN for row in among).items()))


def chosen(among: Iterable[Row], name: str, activity: str) -> list[Row]:
    """Those whose name contains the one asked for, in the activity asked for; empty text asks for nothing."""
    wanted = name.casefold()
    return [
        row
        for row in among
        if wanted in (row["friendly_name"] or row["worker_sid"]).casefold()
        and (not activity or activity == (row["activity_name"] or UNKNOWN))
    ]


def with_load(present: Present, workspace_sid: str, among: Sequence[Row], at_ms: int) -> list[Row]:
    """These workers, each with its `channels` and open `reservations`: see `loads`."""
    found = loads(present, workspace_sid, [row["worker_sid"] for row in among], at_ms)
    return [row | found[row["worker_sid"]] for row in among]


def described(present: Present, workspace_sid: str, among: Sequence[Row], at_ms: int) -> list[Row]:
    """These tasks of `tasks_in_queues`, each with its priority, channel and attributes."""
    told, c = ("priority", "task_channel_unique_name", "attributes", "workflow_name"), tables.task.c
    of = sa.select(tables.task).where(c.workspace_sid == workspace_sid, c.task_sid.in_([row["task_sid"] for row in among]))
    today = {row["task_sid"]: dict(row) for row in present.today.execute(of).mappings()}
    folded = Refolded(present, present.position)
    then = {sid: as_it_was(folded, row, at_ms) or dict.fromkeys(told) for sid, row in today.items()}
    return [row | {name: then[row["task_sid"]][name] for name in told} for row in among]


def freshness(present: Present, now_ms: int) -> Row:
    """How far the tables are: `position` in the log, `event_ms` their greatest event time, `behind` how many callbacks wait to be
    projected, `lag_ms` how long the first of those has waited."""
    waiting = present.log.read(present.position, 1)
    lag_ms = max(0, now_ms - recorded_ms(waiting[0].state)) if waiting else 0
    behind = max(0, present.log.end() - present.position)
    return {"position": present.position, "event_ms": present.event_ms, "behind": behind, "lag_ms": lag_ms}


def _by_queue(stays: Iterable[Visit]) -> dict[str, list[Visit]]:
    found: dict[str, list[Visit]] = {}
    for stay in stays:
        found.setdefault(stay.task_queue_sid, []).append(stay)
    return found


def _waiting_at(stays: Iterable[Visit], ms: int) -> int:
    return sum(stay.started_ms <= ms and (stay.ended_ms is None or ms < stay.ended_ms) for stay in stays)
