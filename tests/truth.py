"""Every statistic a second time: from what truly happened on a simulated floor, and not from what was said about it.

`pages/statistics.md` says what is counted. Here it is counted by going through everything that ever happened, for each question
anew, from the facts that the floor's own objects noted where they changed (`projector/floor/diary.py`). No callback, no table and
no code of the projector is looked at; it knows a worker's skills and what skill a queue asks for, and reads no expression.

Two things are as nobody can know them better: a worker begins in the whole second in which they truly began, and a reservation
without an end of its own ends with its task.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from projector.floor.diary import Fact

KEPT_MS = 5 * 60_000  # for so long a list of tasks shows what was completed or canceled
STATUSES = ("pending", "reserved", "assigned", "wrapping", "completed", "canceled")
TIMED_OUT = "Task canceled on Workflow timeout"
HAPPENED = {  # what happens to a reservation → the figure that counts it
    "created": "reservations_created", "accepted": "reservations_accepted", "rejected": "reservations_rejected",
    "timeout": "reservations_timed_out", "canceled": "reservations_canceled", "rescinded": "reservations_rescinded",
    "wrapup": "reservations_wrapup", "completed": "reservations_completed",
}  # fmt: skip
ENDS = ("rejected", "timeout", "canceled", "rescinded", "completed")


@dataclass(frozen=True)
class Entry:
    """A task came into a queue, with this priority."""

    at_ms: int
    queue: str
    priority: str


@dataclass
class Task:
    """A task, and all that happened to it. `ended`: completed, canceled or deleted."""

    sid: str
    workflow: str
    channel: str
    priority: str
    created_ms: int
    entries: list[Entry] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)
    reservations: "list[Reservation]" = field(default_factory=list, repr=False)
    ended: str | None = None
    ended_ms: int | None = None
    reason: str | None = None

    def entry(self, at_ms: int) -> Entry | None:
        """Its last entry into a queue by a moment."""
        found = None
        for entry in self.entries:
            if entry.at_ms <= at_ms:
                found = entry
        return found

    def last_queue(self) -> str | None:
        """The last queue it was in."""
        return self.entries[-1].queue if self.entries else None

    def status(self, at_ms: int) -> str | None:
        """Its status at a moment, if a list of tasks shows it at that moment."""
        if at_ms < self.created_ms:
            return None
        if self.ended_ms is not None and self.ended_ms <= at_ms:
            return self.ended if self.ended != "deleted" and at_ms < self.ended_ms + KEPT_MS else None
        found = "pending"
        for since_ms, status in self.statuses:
            if since_ms <= at_ms:
                found = status
        return found

    def acceptances(self) -> list[int]:
        """When it was accepted, the first time first."""
        return sorted(each.happened["accepted"] for each in self.reservations if "accepted" in each.happened)


@dataclass
class Reservation:
    """A reservation, the queue out of which it was offered, and what happened to it, when."""

    sid: str
    task: Task
    worker: str
    queue: str
    happened: dict[str, int] = field(default_factory=dict)


@dataclass
class Worker:
    """A worker, what they can do, and which activities they entered, when."""

    sid: str
    skills: tuple[str, ...]
    hired_ms: int
    activities: list[tuple[int, str]] = field(default_factory=list)
    deleted_ms: int | None = None

    def is_there(self, at_ms: int) -> bool:
        """Whether they work here at a moment."""
        return self.hired_ms <= at_ms and (self.deleted_ms is None or at_ms < self.deleted_ms)

    def activity(self, at_ms: int) -> str | None:
        """The activity they are in at a moment."""
        found = None
        for since_ms, activity in self.activities:
            if since_ms <= at_ms:
                found = activity
        return found


@dataclass
class Thing:
    """A queue or an activity: its Sid, and what it was from when on; nothing after its deletion."""

    sid: str
    facts: list[tuple[int, tuple[str, ...] | None]] = field(default_factory=list)

    def at(self, at_ms: int) -> tuple[str, ...] | None:
        """What it is at a moment."""
        found = None
        for since_ms, what in self.facts:
            if since_ms <= at_ms:
                found = what
        return found

    def was_there(self, start_ms: int, end_ms: int) -> bool:
        """Whether it was there at the start, or set up by the end."""
        return self.at(start_ms) is not None or any(what is not None and start_ms <= ms <= end_ms for ms, what in self.facts)


class Truth:
    """What truly happened before `until_ms`, and every figure that can be asked of it."""

    def __init__(self, diary: Iterable[Fact], until_ms: int) -> None:
        self.tasks: dict[str, Task] = {}
        self.reservations: dict[str, Reservation] = {}
        self.workers: dict[str, Worker] = {}
        self.things: dict[str, dict[str, Thing]] = {"task-queue": {}, "activity": {}, "workflow": {}, "task-channel": {}}
        for fact in diary:
            if fact.at_ms < until_ms:
                self._learn(fact)
        for reservation in self.reservations.values():
            _end_with_task(reservation)

    def cumulative(
        self,
        start_ms: int,
        end_ms: int,
        *,
        queue: str | None = None,
        workflow: str | None = None,
        worker: str | None = None,
        channel: str | None = None,
        split: Sequence[int] = (),
    ) -> dict[str, Any]:
        """The cumulative figures of a window, all of them; not each is told of everybody."""

        def within(at_ms: int | None) -> bool:
            return at_ms is not None and start_ms <= at_ms < end_ms

        def concerns(task: Task) -> bool:
            return workflow in (None, task.workflow) and channel in (None, task.channel)

        tasks = [task for task in self.tasks.values() if concerns(task)]
        ended = [task for task in tasks if within(task.ended_ms) and queue in (None, task.last_queue())]
        canceled = [task for task in ended if task.ended == "canceled"]
        entries = [(task, entry) for task in tasks for entry in task.entries if within(entry.at_ms)]
        reservations = [
            each
            for each in self.reservations.values()
            if concerns(each.task) and queue in (None, each.queue) and worker in (None, each.worker)
        ]
        accepted = [each for each in reservations if within(each.happened.get("accepted"))]
        waits = [each.happened["accepted"] - each.task.created_ms for each in accepted]
        firsts = [each for each in accepted if each.happened["accepted"] == each.task.acceptances()[0]]
        first_waits = [each.happened["accepted"] - each.task.created_ms for each in firsts]
        accepted_visits = [
            (entry, min(during)) for task in tasks for entry in task.entries if (during := _accepted_during(task, entry))
        ]
        waits_in_queue = [
            ended_ms - entry.at_ms for entry, ended_ms in accepted_visits if within(ended_ms) and queue in (None, entry.queue)
        ]
        canceled_waits = [(task.ended_ms or 0) - task.created_ms for task in canceled]
        figures: dict[str, Any] = {
            figure: sum(within(each.happened.get(what)) for each in reservations) for what, figure in HAPPENED.items()
        }
        return figures | {
            "tasks_created": sum(within(task.created_ms) for task in tasks),
            "tasks_entered": sum(within(task.created_ms) for task in tasks)
            if queue is None
            else sum(entry.queue == queue for _, entry in entries),
            "tasks_moved": sum(_moved_from(task, entry) not in (None, entry.queue) for task, entry in entries)
            if queue is None
            else sum(_moved_from(task, entry) == queue != entry.queue for task, entry in entries),
            "tasks_canceled": len(canceled),
            "tasks_completed": sum(task.ended == "completed" for task in ended),
            "tasks_deleted": sum(task.ended == "deleted" for task in ended),
            "tasks_timed_out_in_workflow": sum(task.reason == TIMED_OUT for task in canceled),
            "tasks_assigned": len({each.task.sid for each in accepted}),
            "wait_duration_until_accepted": durations(waits),
            "avg_task_acceptance_time": durations(waits)["avg"],
            "wait_duration_until_canceled": durations(canceled_waits),
            "wait_duration_in_queue_until_accepted": durations(waits_in_queue),
            "split_by_wait_time": {
                str(seconds): {
                    side: {
                        "tasks_canceled": sum((wait > 1000 * seconds) is is_above for wait in canceled_waits),
                        "reservations_accepted": sum((wait > 1000 * seconds) is is_above for wait in first_waits),
                    }
                    for side, is_above in (("above", True), ("below", False))
                }
                for seconds in split
            },
        }

    def activity_durations(
        self, start_ms: int, end_ms: int, *, worker: str | None = None, queue: str | None = None
    ) -> dict[str, dict[str, int | None]]:
        """How long workers were in each activity, in a window: of one worker, of those who match a queue at the window's end, or of all."""
        spells: dict[str, list[int]] = {}
        for each in self.workers.values():
            if worker not in (None, each.sid) or (queue is not None and not self._is_eligible(each, queue, end_ms)):
                continue
            for number, (since_ms, activity) in enumerate(each.activities):
                following = [later_ms for later_ms, _ in each.activities[number + 1 :]]
                ends = [ms for ms in (*following[:1], each.deleted_ms, end_ms) if ms is not None]
                length_ms = min(ends) - max(since_ms, start_ms)
                if length_ms > 0:
                    spells.setdefault(activity, []).append(length_ms)
        return {activity: durations(lengths) for activity, lengths in spells.items()}

    def realtime(
        self, at_ms: int, *, queue: str | None = None, workflow: str | None = None, channel: str | None = None
    ) -> dict[str, Any]:
        """The figures of a moment, all of them; not each is told of everybody."""
        shown: list[tuple[Task, str]] = []
        for task in self.tasks.values():
            status, entry = task.status(at_ms), task.entry(at_ms)
            is_in = queue is None or (entry is not None and entry.queue == queue)
            if status is not None and is_in and workflow in (None, task.workflow) and channel in (None, task.channel):
                shown.append((task, status))
        priorities = [entry.priority if (entry := task.entry(at_ms)) else task.priority for task, _ in shown]
        created = [(task.created_ms, task.sid) for task, status in shown if status == "pending"]
        entered = [(entry.at_ms, task.sid) for task, status in shown if status == "pending" and (entry := task.entry(at_ms))]
        workers = [each for each in self.workers.values() if each.is_there(at_ms)]
        eligible = [each for each in workers if queue is None or self._is_eligible(each, queue, at_ms)]
        activities = [activity for each in eligible if (activity := each.activity(at_ms)) is not None]
        return {
            "total_tasks": len(shown),
            "tasks_by_status": {name: sum(status == name for _, status in shown) for name in STATUSES},
            "tasks_by_priority": {priority: priorities.count(priority) for priority in priorities},
            "longest_task_waiting_age": (at_ms - min(created)[0]) // 1000 if created else 0,
            "longest_task_waiting_sid": min(created)[1] if created else None,
            "longest_relative_task_age_in_queue": (at_ms - min(entered)[0]) // 1000 if entered else 0,
            "longest_relative_task_sid_in_queue": min(entered)[1] if entered else None,
            "activity_statistics": {
                sid: activities.count(sid)
                for sid, activity in self.things["activity"].items()
                if activity.at(at_ms) is not None or sid in activities  # a worker's whole second may begin before their activity
            },
            "total_workers": len(workers),
            "total_eligible_workers": len(eligible),
            "total_available_workers": sum(self._is_available(activity, at_ms) for activity in activities),
        }

    def _learn(self, fact: Fact) -> None:
        at_ms, what, sid, about = fact
        match what.split():
            case ["task", "created"]:
                self.tasks[sid] = Task(sid, *about, created_ms=at_ms)
            case ["task", "entered"]:
                self.tasks[sid].entries.append(Entry(at_ms, *about))
            case ["task", "turned"]:
                self.tasks[sid].statuses.append((at_ms, *about))
            case ["task", end]:
                task = self.tasks[sid]
                task.ended, task.ended_ms, task.reason = end, at_ms, about[0] if about else None
            case ["reservation", "created"]:
                task = self.tasks[about[0]]
                self.reservations[sid] = Reservation(sid, task, *about[1:], happened={"created": at_ms})
                task.reservations.append(self.reservations[sid])
            case ["reservation", happened]:
                self.reservations[sid].happened[happened] = at_ms
            case ["worker", "hired"]:
                self.workers[sid] = Worker(sid, about, at_ms)
            case ["worker", "entered"]:
                self.workers[sid].activities.append((at_ms, *about))
            case ["worker", "deleted"]:
                self.workers[sid].deleted_ms = at_ms
            case [kind, happened]:
                thing = self.things[kind].setdefault(sid, Thing(sid))
                thing.facts.append((at_ms, None if happened == "deleted" else about))

    def _is_eligible(self, worker: Worker, queue: str, at_ms: int) -> bool:
        asked = self.things["task-queue"][queue].at(at_ms)
        return worker.is_there(at_ms) and asked is not None and (asked[0] == "" or asked[0] in worker.skills)

    def _is_available(self, activity: str, at_ms: int) -> bool:
        _, available = self.things["activity"][activity].at(at_ms) or ("", "")
        return available == "available"


def durations(lengths_ms: Sequence[int]) -> dict[str, int | None]:
    """Of so many milliseconds each: the average, least, most and total in whole seconds."""
    return {
        "avg": sum(lengths_ms) // len(lengths_ms) // 1000 if lengths_ms else None,
        "min": min(lengths_ms) // 1000 if lengths_ms else None,
        "max": max(lengths_ms) // 1000 if lengths_ms else None,
        "total": sum(lengths_ms) // 1000,
    }


def _end_with_task(reservation: Reservation) -> None:
    """End one that has no end of its own as its task ended, if it did: no earlier than what happened to it last."""
    task = reservation.task
    if task.ended_ms is not None and not any(end in reservation.happened for end in ENDS):
        end = "completed" if task.ended == "completed" else "canceled"
        reservation.happened[end] = max(task.ended_ms, *reservation.happened.values())


def _moved_from(task: Task, entry: Entry) -> str | None:
    """The queue in which the task was before."""
    before = None
    for each in task.entries:
        if each is entry:
            return before
        before = each.queue
    return None


def _accepted_during(task: Task, entry: Entry) -> list[int]:
    """The acceptances while this was the last entry: the first of them ended the visit."""
    following = [each.at_ms for each in task.entries[task.entries.index(entry) + 1 :]]
    return [ms for ms in task.acceptances() if ms >= entry.at_ms and not any(ms >= later_ms for later_ms in following)]
