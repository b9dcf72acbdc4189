"""Every figure of the statistics is the one that truly was: the API's answers, field by field, against a simulated floor's own diary.

`tests/truth.py` counts it all a second time, without callbacks or tables. First the truth is held to itself and to what was said; then
the API is asked about many windows and moments, most of them beginning, ending or looked at in the very millisecond of a fact.
"""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

import pytest

from projector import tables
from projector.floor.center import START_MS, Floor
from projector.floor.diary import Diary, Fact
from projector.log import Entry, Log
from projector.project import project
from projector.table_sink import TableSink
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import ACCOUNT, WORKSPACE, Parameters
from tests.reading import Api, reading_from
from tests.truth import ENDS, KEPT_MS, STATUSES, Truth

SEED = 61
UNTIL_MS = START_MS + 1_300_000  # some 6,300 callbacks, and all that a floor knows how to do (below)
WINDOWS, MOMENTS = 200, 200
SPLIT = (5, 20, 29)  # for exactly 29 seconds one task of this floor waited
RESERVATIONS = tuple(f"reservations_{what}" for what in ("created", "accepted", "rejected", "timed_out", "canceled", "rescinded"))
WAITS = ("avg_task_acceptance_time", "split_by_wait_time", "wait_duration_until_accepted", "wait_duration_until_canceled")
TASKS = (*RESERVATIONS, *WAITS, "tasks_canceled", "tasks_completed", "tasks_deleted", "tasks_moved")
CUMULATIVE = {  # Twilio's figures, by whose they are; an answer may hold more of the truth's
    "workspace": {*TASKS, "tasks_created", "tasks_timed_out_in_workflow"},
    "workflow": {*TASKS, "tasks_entered", "tasks_timed_out_in_workflow"},
    "queue": {*TASKS, "tasks_entered", "wait_duration_in_queue_until_accepted"},
    "workers": {*RESERVATIONS, "activity_durations"},
    "worker": {*RESERVATIONS, "activity_durations"},
}
WAITING = ("longest_task_waiting_age", "longest_task_waiting_sid", "tasks_by_priority", "tasks_by_status", "total_tasks")
REALTIME = {
    "workspace": {*WAITING, "activity_statistics", "total_workers"},
    "workflow": {*WAITING},
    "queue": {
        *WAITING, "longest_relative_task_age_in_queue", "longest_relative_task_sid_in_queue", "activity_statistics",
        "total_available_workers", "total_eligible_workers",
    },
    "workers": {"activity_statistics", "total_workers"},
}  # fmt: skip


class Happened(NamedTuple):
    """What a floor said and when, and what truly happened."""

    said: list[tuple[int, Parameters]]
    diary: Diary
    truth: Truth

    def moment(self, chance: random.Random) -> int:
        """Any moment; mostly that of a fact, each kind as often as another, or when a list of tasks forgets one; or just beside it."""
        if chance.random() < 0.2:
            return chance.randrange(START_MS - 30_000, UNTIL_MS + 30_000)
        beside_ms = chance.choice((-1, 0, 0, 1))
        if chance.random() < 0.15:
            ended = [fact.at_ms for fact in self.diary if fact.what in ("task completed", "task canceled")]
            return chance.choice(ended) + KEPT_MS + beside_ms
        what = chance.choice(sorted({fact.what for fact in self.diary}))
        return chance.choice([fact.at_ms for fact in self.diary if fact.what == what]) + beside_ms

    def window(self, chance: random.Random) -> tuple[int, int]:
        """Any window, from a millisecond to everything."""
        start_ms, end_ms = sorted((self.moment(chance), self.moment(chance)))
        return (start_ms, end_ms) if start_ms < end_ms else (start_ms, start_ms + 1)

    def channel(self, chance: random.Random) -> tuple[str | None, dict[str, str]]:
        """A task channel or none: its Sid, and how the API is asked for it, by that or by its unique name."""
        if chance.random() < 0.6:
            return None, {}
        created = [body for _, body in self.said[:12] if body["EventType"] == "task-channel.created"]
        body = chance.choice(created)
        return body["TaskChannelSid"], {"TaskChannel": body[chance.choice(("TaskChannelSid", "TaskChannelUniqueName"))]}


class Whose(NamedTuple):
    """Whose figures are asked for: where, and how the truth is asked the same."""

    kind: str
    path: str
    of: dict[str, str]


@pytest.fixture(scope="module")
def happened() -> Happened:
    """A floor that shows everything in its first twenty minutes."""
    diary: Diary = []
    floor = Floor(SEED, workers=12, callbacks_per_second=5, account_sid=ACCOUNT, workspace_sid=WORKSPACE)
    said = list(takewhile(lambda each: each[0] < UNTIL_MS, floor.callbacks(diary)))
    return Happened(said, [fact for fact in diary if fact.at_ms < UNTIL_MS], Truth(diary, UNTIL_MS))


@pytest.fixture(scope="module", params=BACKENDS)
def api(request: pytest.FixtureRequest, databases: Databases, happened: Happened) -> Iterator[Api]:
    """The API over all that was said, which came late and twice, on each backend."""
    with reading_from(databases.new(request.param)) as api:
        _arrive(api.log, happened.said)
        project(api.log, TableSink(api.engine))
        yield api


def _arrive(log: Log, said: list[tuple[int, Parameters]]) -> None:
    """Each callback within a second, some a second time; a worker's deletion at once, since its receipt is when it took effect."""
    chance = random.Random("arrivals")
    arrivals = []
    for at_ms, body in said:
        is_late = body["EventType"] != "worker.deleted" and chance.random() < 0.3
        for delay_ms in (
            chance.randrange(1_000) if is_late else 0,
            *([chance.randrange(1_000, 5_000)] * (chance.random() < 0.05)),
        ):
            arrivals.append((at_ms + delay_ms, len(arrivals), body))
    arrivals.sort()
    for start in range(0, len(arrivals), 500):
        log.append([Entry.of(body, "callback", arrived_ms) for arrived_ms, _, body in arrivals[start : start + 500]])


# The truth by itself


def test_the_floor_shows_everything(happened: Happened) -> None:
    """Transfers, timeouts, cancellations, deletions, a purge, rescinds, workers who leave, spare queues: none is missing here."""
    types = {body["EventType"] for _, body in happened.said}
    assert types >= {
        "task.transfer-completed", "task.transfer-failed", "task.transfer-canceled", "task-queue.timeout", "workflow.timeout",
        "task.canceled", "task.deleted", "task.system-deleted", "reservation.timeout", "reservation.canceled", "reservation.failed",
        "reservation.rescinded", "worker.deleted", "task-queue.created", "task-queue.expression.updated", "task-queue.deleted",
    }  # fmt: skip
    waits = [task.acceptances()[0] - task.created_ms for task in happened.truth.tasks.values() if task.acceptances()]
    assert 1000 * SPLIT[-1] in waits


def test_what_happened_was_said(happened: Happened) -> None:
    """Every fact that has a callback of its own was said in its millisecond, and nothing was said that did not happen."""
    words = {
        "task created": "task.created", "task entered": "task-queue.entered", "task completed": "task.completed",
        "task canceled": "task.canceled", "worker deleted": "worker.deleted",
    } | {
        f"reservation {what}": f"reservation.{what}"
        for what in ("created", "accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed")
    }  # fmt: skip
    subject = {"task": "TaskSid", "reservation": "ReservationSid", "worker": "WorkerSid"}
    facts = Counter((fact.at_ms, words[fact.what], fact.sid) for fact in happened.diary if fact.what in words)
    said = Counter(
        (at_ms, body["EventType"], body[subject[fact.split()[0]]])
        for fact, event_type in words.items()
        for at_ms, body in happened.said
        if body["EventType"] == event_type
    )
    assert facts == said


def test_nothing_gets_lost(happened: Happened) -> None:
    """Whatever was created has ended or lives, and ended once."""
    truth, everything = happened.truth, happened.truth.cumulative(START_MS, UNTIL_MS)
    live = sum(truth.realtime(UNTIL_MS)["tasks_by_status"][status] for status in STATUSES[:4])
    ended = sum(everything[f"tasks_{how}"] for how in ("completed", "canceled", "deleted"))
    assert everything["tasks_created"] == len(truth.tasks) == live + ended
    ended_lately = [task for task in truth.tasks.values() if task.ended_ms and task.ended_ms > UNTIL_MS - KEPT_MS]
    assert truth.realtime(UNTIL_MS)["total_tasks"] == live + sum(task.ended != "deleted" for task in ended_lately)
    for each in truth.reservations.values():
        assert sum(end in each.happened for end in ENDS) == 1 or (
            each.task.ended is None and not each.happened.keys() & set(ENDS)
        )
        assert each.happened["created"] == min(each.happened.values())
    ended = sum(everything[f"reservations_{how}"] for how in ("rejected", "timed_out", "canceled", "rescinded", "completed"))
    assert len(truth.reservations) == everything["reservations_created"] > ended


def test_queues_and_windows_add_up(happened: Happened) -> None:
    """What happened in neighbouring windows, or in each queue, happened in all of them together; so did the time of workers."""
    truth, chance = happened.truth, random.Random("sums")
    counted = [name for name, value in truth.cumulative(0, 1).items() if isinstance(value, int) and name != "tasks_assigned"]
    for _ in range(20):
        first, second, third = sorted(happened.moment(chance) for _ in range(3))
        whole, halves = truth.cumulative(first, third), (truth.cumulative(first, second), truth.cumulative(second, third))
        queues = [truth.cumulative(first, third, queue=queue) for queue in truth.things["task-queue"]]
        for name in counted:
            assert whole[name] == sum(half[name] for half in halves), name
            assert name in ("tasks_created", "tasks_entered") or whole[name] == sum(queue[name] for queue in queues), name
        spent = sum(each["total"] or 0 for each in truth.activity_durations(first, third).values())
        there = sum(
            max(0, min(third, third if each.deleted_ms is None else each.deleted_ms) - max(first, each.hired_ms))
            for each in truth.workers.values()
        )
        assert spent <= there / 1000 < spent + len(truth.things["activity"])
        now = truth.realtime(third)
        queued = [truth.realtime(third, queue=queue) for queue in truth.things["task-queue"]]
        not_yet_entered = sum(task.status(third) is not None and task.entry(third) is None for task in truth.tasks.values())
        assert now["total_tasks"] == sum(each["total_tasks"] for each in queued) + not_yet_entered


def test_a_story_counted_by_hand() -> None:
    """One task that is refused, moves on, is taken after exactly five seconds, handed over and done; one that gives up after six."""
    story = [
        Fact(0, "task-queue created", "Q1", ("sales",)), Fact(0, "task-queue created", "Q2", ("",)),
        Fact(0, "activity created", "A", ("Available", "available")), Fact(0, "activity created", "O", ("Offline", "")),
        Fact(0, "worker hired", "W", ("sales",)), Fact(0, "worker entered", "W", ("O",)), Fact(500, "worker entered", "W", ("A",)),
        Fact(1_000, "task created", "T", ("F", "voice", "0")), Fact(1_001, "task entered", "T", ("Q1", "0")),
        Fact(2_000, "task turned", "T", ("reserved",)), Fact(2_000, "reservation created", "R1", ("T", "W", "Q1")),
        Fact(2_500, "task turned", "T", ("pending",)), Fact(2_500, "reservation rejected", "R1", ()),
        Fact(3_000, "task entered", "T", ("Q2", "10")), Fact(4_000, "task created", "U", ("F", "chat", "0")),
        Fact(4_001, "task entered", "U", ("Q2", "0")), Fact(5_000, "reservation created", "R2", ("T", "W", "Q2")),
        Fact(6_000, "task turned", "T", ("assigned",)), Fact(6_000, "reservation accepted", "R2", ()),
        Fact(7_000, "reservation created", "R3", ("T", "X", "Q2")), Fact(8_000, "reservation accepted", "R3", ()),
        Fact(9_000, "reservation completed", "R2", ()), Fact(9_500, "worker deleted", "W", ()),
        Fact(10_000, "task canceled", "U", ("hangup",)), Fact(11_000, "task completed", "T", ()),
    ]  # fmt: skip
    truth = Truth(story, 20_000)
    figures = truth.cumulative(0, 20_000, split=(5,))
    counts = {name.removeprefix("reservations_"): figures[name] for name in figures if name.startswith("reservations_")}
    assert {what: n for what, n in counts.items() if n} == {"created": 3, "rejected": 1, "accepted": 2, "completed": 2}
    assert figures["wait_duration_until_accepted"] == {"avg": 6, "min": 5, "max": 7, "total": 12}
    assert figures["wait_duration_in_queue_until_accepted"] == {"avg": 3, "min": 3, "max": 3, "total": 3}
    assert figures["wait_duration_until_canceled"] == {"avg": 6, "min": 6, "max": 6, "total": 6}
    above, below = figures["split_by_wait_time"]["5"]["above"], figures["split_by_wait_time"]["5"]["below"]
    assert above == {"tasks_canceled": 1, "reservations_accepted": 0}
    assert below == {"tasks_canceled": 0, "reservations_accepted": 1}
    assert (figures["tasks_moved"], figures["tasks_assigned"], figures["tasks_completed"], figures["tasks_canceled"]) == (
        1,
        1,
        1,
        1,
    )
    first, second = truth.cumulative(0, 20_000, queue="Q1"), truth.cumulative(0, 20_000, queue="Q2")
    assert [queue["tasks_moved"] for queue in (first, second)] == [1, 0]
    assert [queue["reservations_created"] for queue in (first, second)] == [1, 2]
    assert [queue["tasks_entered"] for queue in (first, second)] == [1, 2]
    assert truth.cumulative(0, 6_000)["reservations_accepted"] == 0
    assert truth.cumulative(6_000, 6_001)["reservations_accepted"] == 1
    assert truth.activity_durations(400, 9_999) == {
        "O": {"avg": 0, "min": 0, "max": 0, "total": 0}, "A": {"avg": 9, "min": 9, "max": 9, "total": 9}
    }  # fmt: skip
    assert truth.activity_durations(500, 501).keys() == {"A"}
    waiting = truth.realtime(4_000)
    assert (waiting["total_tasks"], waiting["tasks_by_priority"]) == (2, {"10": 1, "0": 1})
    assert (waiting["longest_task_waiting_sid"], waiting["longest_task_waiting_age"]) == ("T", 3)
    assert [truth.realtime(at_ms, queue="Q2")["total_tasks"] for at_ms in (2_999, 3_000, 4_000, 4_001)] == [0, 1, 1, 2]
    waiting = truth.realtime(5_000, queue="Q2")
    assert (waiting["longest_relative_task_sid_in_queue"], waiting["longest_relative_task_age_in_queue"]) == ("T", 2)
    assert waiting["activity_statistics"] == {"A": 1, "O": 0}
    assert (waiting["total_eligible_workers"], waiting["total_available_workers"]) == (1, 1)
    assert truth.realtime(9_500)["total_workers"] == 0
    assert [
        truth.realtime(at_ms)["total_tasks"] for at_ms in (999, 10_000 + KEPT_MS - 1, 10_000 + KEPT_MS, 11_000 + KEPT_MS)
    ] == [0, 2, 1, 0]


# The API against it


def test_windows_are_as_the_floor_knows(api: Api, happened: Happened) -> None:
    """Half of them of the workspace, half of somebody in it, with and without a task channel, alone and in the combined answer."""
    chance = random.Random("windows")
    wrong = []
    for number in range(WINDOWS):
        (start_ms, end_ms), (channel, query) = happened.window(chance), happened.channel(chance)
        whose = WORKSPACE_ITSELF if number % 2 else chance.choice(_everybody(happened.truth, start_ms, end_ms))
        query |= {"StartDate": tables.iso(start_ms), "EndDate": tables.iso(end_ms), "SplitByWaitTime": ",".join(map(str, SPLIT))}
        alone = whose.kind != "worker" and chance.random() < 0.7  # of one worker there is only the combined answer
        path = f"{whose.path}/{'CumulativeStatistics' if alone else 'Statistics'}"
        answer = api.json(path, **query)
        right = _cumulative(happened.truth, start_ms, end_ms, whose, channel)
        wrong += _differences(path, query, answer if alone else answer["cumulative"], right, CUMULATIVE[whose.kind])
    assert wrong == []


def test_moments_are_as_the_floor_knows(api: Api, happened: Happened) -> None:
    """What was there, what waited and for how long, at any millisecond."""
    chance = random.Random("moments")
    wrong = []
    for number in range(MOMENTS):
        at_ms, (channel, query) = happened.moment(chance), happened.channel(chance)
        there = [each for each in _everybody(happened.truth, at_ms, at_ms) if each.kind != "worker"]
        whose = WORKSPACE_ITSELF if number % 2 else chance.choice(there)
        query |= {"AsOf": tables.iso(at_ms)}
        path = f"{whose.path}/RealTimeStatistics"
        right = happened.truth.realtime(at_ms, **whose.of, channel=channel)
        wrong += _differences(path, query, api.json(path, **query), right, REALTIME[whose.kind])
    assert wrong == []


def test_a_task_is_not_there_before_it_is_created(api: Api, happened: Happened) -> None:
    """`workflow.target-matched` may be said a millisecond before: that makes no task yet, and none that has waited -1 seconds."""
    matched = {(at_ms, body["TaskSid"]) for at_ms, body in happened.said if body["EventType"] == "workflow.target-matched"}
    early = [task.created_ms - 1 for task in happened.truth.tasks.values() if (task.created_ms - 1, task.sid) in matched]
    wrong = []
    for at_ms in early[::50]:
        query = {"AsOf": tables.iso(at_ms)}
        answer = api.json("/RealTimeStatistics", **query)
        wrong += _differences("/RealTimeStatistics", query, answer, happened.truth.realtime(at_ms), REALTIME["workspace"])
    assert early
    assert wrong == []


def test_combined_statistics_reach_back_from_their_moment(api: Api, happened: Happened) -> None:
    """So many minutes, 15 when nothing is said."""
    chance = random.Random("combined")
    wrong = []
    for whose in _everybody(happened.truth, UNTIL_MS, UNTIL_MS):
        at_ms, minutes, (channel, query) = happened.moment(chance), chance.choice((1, 3, None)), happened.channel(chance)
        query |= {"AsOf": str(at_ms), "SplitByWaitTime": ",".join(map(str, SPLIT))} | (
            {"Minutes": str(minutes)} if minutes else {}
        )
        path, start_ms = f"{whose.path}/Statistics", at_ms - 60_000 * (minutes or 15)
        if whose not in _everybody(happened.truth, start_ms, at_ms):
            assert api.get(path, **query).status_code == 404
            continue
        answer = api.json(path, **query)
        right = _cumulative(happened.truth, start_ms, at_ms, whose, channel)
        wrong += _differences(path, query, answer["cumulative"], right, CUMULATIVE[whose.kind])
        if whose.kind != "worker":
            right = happened.truth.realtime(at_ms, **whose.of, channel=channel)
            wrong += _differences(path, query, answer["realtime"], right, REALTIME[whose.kind])
    assert wrong == []


def test_all_queues_together_are_as_each_of_them(api: Api, happened: Happened) -> None:
    """The list of their statistics."""
    chance = random.Random("queues")
    wrong = []
    for _ in range(10):
        (start_ms, end_ms), (channel, query) = happened.window(chance), happened.channel(chance)
        query |= {"StartDate": tables.iso(start_ms), "EndDate": tables.iso(end_ms), "SplitByWaitTime": ",".join(map(str, SPLIT))}
        query |= {"AsOf": tables.iso(end_ms)}
        queues = {whose.of["queue"]: whose for whose in _everybody(happened.truth, end_ms, end_ms) if whose.kind == "queue"}
        rows = {row["task_queue_sid"]: row for row in api.json("/TaskQueues/Statistics", **query)["task_queues_statistics"]}
        assert rows.keys() == queues.keys()
        for sid, whose in queues.items():
            right = _cumulative(happened.truth, start_ms, end_ms, whose, channel)
            wrong += _differences(sid, query, rows[sid]["cumulative"], right, CUMULATIVE["queue"])
            right = happened.truth.realtime(end_ms, queue=sid, channel=channel)
            wrong += _differences(sid, query, rows[sid]["realtime"], right, REALTIME["queue"])
    assert wrong == []


def test_the_workers_of_a_queue_are_as_the_floor_knows(api: Api, happened: Happened) -> None:
    """Those who match it at the window's end, and the offers out of it."""
    chance = random.Random("workers of a queue")
    wrong = []
    for _ in range(20):
        (start_ms, end_ms), (channel, query) = happened.window(chance), happened.channel(chance)
        there = [whose.of["queue"] for whose in _everybody(happened.truth, end_ms, end_ms) if whose.kind == "queue"]
        queue = chance.choice(there or [next(iter(happened.truth.things["task-queue"]))])
        query |= {"StartDate": tables.iso(start_ms), "EndDate": tables.iso(end_ms), "TaskQueueSid": queue}
        right = happened.truth.cumulative(start_ms, end_ms, queue=queue, channel=channel)
        right |= {"activity_durations": happened.truth.activity_durations(start_ms, end_ms, queue=queue)}
        answer = api.json("/Workers/Statistics", **query)["cumulative"]
        wrong += _differences("/Workers/Statistics", query, answer, right, CUMULATIVE["workers"])
    assert wrong == []


WORKSPACE_ITSELF = Whose("workspace", "", {})


def _everybody(truth: Truth, start_ms: int, end_ms: int) -> list[Whose]:
    """Whose figures can be asked for: the workspace, all workers, and what workflows, queues and workers were there meanwhile.

    All that ever left, and some of those who stayed.
    """
    queues, workflows = (
        [sid for sid, thing in truth.things[kind].items() if thing.was_there(start_ms, end_ms)]
        for kind in ("task-queue", "workflow")
    )
    there = [each for each in truth.workers.values() if each.is_there(start_ms) or start_ms <= each.hired_ms <= end_ms]
    workers = [each.sid for each in there if each.deleted_ms is not None or each is there[0] or each is there[-1]]
    return [
        WORKSPACE_ITSELF,
        Whose("workers", "/Workers", {}),
        *(Whose("workflow", f"/Workflows/{sid}", {"workflow": sid}) for sid in workflows),
        *(Whose("queue", f"/TaskQueues/{sid}", {"queue": sid}) for sid in queues),
        *(Whose("worker", f"/Workers/{sid}", {"worker": sid}) for sid in workers),
    ]


def _cumulative(truth: Truth, start_ms: int, end_ms: int, whose: Whose, channel: str | None) -> dict[str, Any]:
    """The truth about a window, activities included."""
    right = truth.cumulative(start_ms, end_ms, **whose.of, channel=channel, split=SPLIT)
    return right | {"activity_durations": truth.activity_durations(start_ms, end_ms, worker=whose.of.get("worker"))}


def _differences(
    path: str, query: dict[str, str], answer: dict[str, Any], right: dict[str, Any], needed: set[str]
) -> list[tuple[str, dict[str, str], str, Any, Any]]:
    """Figures that are not the true ones: which, what was answered, and what is right."""
    told = {name: _by_activity(value) if isinstance(value, list) else value for name, value in answer.items()}
    names = sorted(needed | (told.keys() & right.keys()))
    return [
        (path, query, name, told.get(name, "missing"), right[name]) for name in names if told.get(name, "missing") != right[name]
    ]


def _by_activity(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A list of activities as the truth has it, by Sid. That nobody was in one is said by leaving it out, or by nothing but nulls."""
    nothing = {"avg": None, "min": None, "max": None, "total": 0}
    found = {row["sid"]: row["workers"] if "workers" in row else {name: row[name] for name in nothing} for row in rows}
    return {sid: told for sid, told in found.items() if told != nothing}
