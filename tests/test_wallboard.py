"""The wallboard's figures: by hand for a short story, and against the read functions at many moments of a simulated floor."""

import random
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector.floor.center import START_MS, Floor
from projector.log import Entry
from projector.project import project
from projector.read import wallboard
from projector.read.activities import activities
from projector.read.happening import Scope, Window
from projector.read.performance import left, service_level
from projector.read.present import Present, present
from projector.read.queue import queue, tasks_in_queues, tasks_of
from projector.read.worker import worker as worker_at
from projector.table_sink import TableSink
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import WORKSPACE, callback, ms, reservation, sid, task, task_canceled, task_completed, task_created, worker
from tests.looking import Floor as Story
from tests.looking import looking_at

SEED, UNTIL_MS, MOMENTS = 12, START_MS + 900_000, 60
SUPPORT, SALES = sid("WQ", "support"), sid("WQ", "sales")


def entered(at: float, name: str, **parameters: str) -> dict[str, str]:
    return task("task-queue.entered", at, name, TaskAssignmentStatus="pending", **parameters)


@pytest.fixture
def story(url: URL) -> Iterator[Story]:
    """An hour of one queue: one answered in time, one late, one given up soon, one later, two that wait; one in another queue."""
    sales = {"TaskQueueSid": SALES, "TaskQueueName": "Sales"}
    with looking_at(url) as floor:
        yield floor.told(
            worker("created", 0), worker("activity.update", 1, activity="Idle"),
            *(each for name, at in (("soon", 100), ("late", 200), ("short", 300), ("gone", 400), ("old", 500), ("new", 590))
              for each in (task_created(at, name), entered(at, name))),
            reservation("created", 105, "r1", "soon"), reservation("accepted", 120, "r1", "soon"),
            reservation("created", 205, "r2", "late"), reservation("accepted", 221, "r2", "late"),
            task_canceled(304, "short"), task_canceled(406, "gone"),
            task_created(510, "sold", **sales), entered(510, "sold", **sales), reservation("created", 511, "r3", "sold", **sales),
            reservation("accepted", 512, "r3", "sold", **sales),
        )  # fmt: skip


def look(story: Story, at: float) -> dict[str, dict[str, Any]]:
    """The queues at a second of the story, by Sid."""
    with present(story.engine, story.log) as now:
        open_tasks = tasks_in_queues(now, WORKSPACE, ms(at))
        return {row["task_queue_sid"]: row for row in wallboard.queues(now, WORKSPACE, ms(at), open_tasks)}


def test_a_queue_is_counted_at_the_moment(story: Story) -> None:
    """Who waits, for how long, who is in progress, and how many of those who wait are still in time."""
    support = look(story, 600)[SUPPORT]
    assert (support["tasks_waiting"], support["longest_wait_ms"], support["oldest_task_sid"]) == (2, 100_000, sid("WT", "old"))
    assert (support["tasks_in_progress"], support["service_level_now"]) == (2, 0.5)
    assert look(story, 600)[SALES]["tasks_in_progress"] == 1
    early = look(story, 110)[SUPPORT]
    assert (early["tasks_waiting"], early["longest_wait_ms"], early["service_level_now"]) == (1, 10_000, 1.0)


def test_the_service_level_is_of_the_last_thirty_minutes(story: Story) -> None:
    """Exactly 20 seconds is in time, 21 is not; a wait given up after 4 seconds does not count, one after 6 does."""
    level = look(story, 600)[SUPPORT]["service_level"]
    assert (level["answered"], level["answered_in_time"], level["abandoned"], level["abandoned_short"]) == (2, 1, 2, 1)
    assert level["offered"] == pytest.approx(1 / 3, abs=1e-4)
    assert look(story, 120 + 1800.001)[SUPPORT]["service_level"]["answered"] == 1
    assert look(story, 4000)[SUPPORT]["service_level"]["offered"] is None


def test_a_threshold_is_within_and_a_window_ends_before_its_end(story: Story) -> None:
    """Who has waited exactly 20 seconds is in time; who is accepted in the very moment has not left before it."""
    assert [look(story, at)[SUPPORT]["service_level_now"] for at in (520, 520.001)] == [1.0, 0.0]
    assert [look(story, at)[SUPPORT]["service_level"]["answered"] for at in (120, 120.001)] == [0, 1]
    assert [look(story, at)[SUPPORT]["tasks_waiting"] for at in (499.999, 500)] == [0, 1]


def test_a_task_that_is_being_transferred_is_in_progress(url: URL) -> None:
    """Accepted, then offered to another worker out of the same queue: it waits no more, and it is not lost from sight."""
    with looking_at(url) as floor:
        floor.told(
            task_created(0), entered(0, "t"), reservation("created", 1), reservation("accepted", 2),
            task("task.transfer-initiated", 10, TaskAssignmentStatus="assigned"),
            reservation("created", 11, "r2", worker="bob"), task("task.updated", 30, TaskAssignmentStatus="reserved"),
        )  # fmt: skip
        assert [look(floor, at)[SUPPORT]["tasks_in_progress"] for at in (1, 2, 12, 40)] == [0, 1, 1, 1]
        assert look(floor, 40)[SUPPORT]["tasks_waiting"] == 0


def test_the_sparkline_ends_with_what_waits_at_the_moment(story: Story) -> None:
    """Thirty minutes, a point for each; the last one is the moment itself."""
    waited = look(story, 600)[SUPPORT]["waited"]
    assert (len(waited), waited[-1], waited[-2]) == (30, 2, 1)
    assert set(waited[:20]) == {0}


def test_all_queues_together(story: Story) -> None:
    """Sums are of all queues, the longest wait is of the queue that has it, the level is of all who left."""
    with present(story.engine, story.log) as now:
        open_tasks = tasks_in_queues(now, WORKSPACE, ms(600))
    together = wallboard.in_all(list(look(story, 600).values()), open_tasks, ms(600))
    assert (together["tasks_waiting"], together["longest_wait_ms"], together["tasks_in_progress"]) == (2, 100_000, 3)
    assert together["service_level"] == 0.5
    assert wallboard.in_all([], [], 0)["longest_wait_ms"] is None


def test_a_queue_s_day_is_told_by_the_hour(story: Story) -> None:
    """Each hour has those who entered and left in it, and its level is what its leavers come to."""
    hours = [Window(ms(0), ms(250)), Window(ms(250), ms(600))]
    with present(story.engine, story.log) as now:
        first, second = wallboard.day(now, WORKSPACE, SUPPORT, hours)
        gone = wallboard.leavers(now, WORKSPACE, SUPPORT, hours[1])
    assert (first["tasks_entered"], first["service_level"]["answered"], first["waits"]["max"]) == (2, 2, 21_000)
    assert (second["tasks_entered"], second["service_level"]["abandoned"]) == (4, 2)
    assert [(stay.task_sid, stay.how) for stay in gone] == [(sid("WT", "short"), "abandoned"), (sid("WT", "gone"), "abandoned")]


def test_workers_are_found_by_name_and_activity(url: URL) -> None:
    """Case does not matter; a worker of whom nobody told an activity is there too, as unknown."""
    with looking_at(url) as floor:
        floor.told(
            worker("created", 1, "Ann", activity="Offline"), worker("created", 1, "Bob", activity="Offline"),
            worker("activity.update", 5, "Ann", activity="Idle"),
            callback("worker.attributes.update", 6, WorkerSid=sid("WK", "mute"), WorkerName="mute", WorkerAttributes="{}"),
        )  # fmt: skip
        with present(floor.engine, floor.log) as now:
            crew = wallboard.crew(now, WORKSPACE, ms(10))
            assert [row["friendly_name"] for row in crew] == ["Ann", "Bob", "mute"]
            assert wallboard.by_activity(crew) == {"Idle": 1, "Offline": 1, "unknown": 1}
            assert [row["friendly_name"] for row in wallboard.chosen(crew, "aN", "")] == ["Ann"]
            assert [row["friendly_name"] for row in wallboard.chosen(crew, "", "unknown")] == ["mute"]
            (ann,) = wallboard.with_load(now, WORKSPACE, wallboard.chosen(crew, "ann", "Idle"), ms(10))
            assert (ann["since"], ann["reservations"]) == (ms(5), [])


class Looked(NamedTuple):
    """A floor's tables, and moments of it."""

    now: Present
    moments: list[int]


@pytest.fixture(scope="module", params=BACKENDS)
def looked(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Looked]:
    """Fifteen minutes of a floor, arrived late and out of order."""
    floor = Floor(SEED, workers=15, callbacks_per_second=6, workspace_sid=WORKSPACE)
    said = [(sent_ms, told) for sent_ms, told in takewhile(lambda each: each[0] < UNTIL_MS, floor.callbacks())]
    chance = random.Random(SEED)
    arrival = sorted(said, key=lambda each: each[0] + chance.expovariate(1 / 2000))
    with looking_at(databases.new(request.param)) as story:
        story.log.append([Entry.of(told, "callback", START_MS + 10_000_000) for _, told in arrival])
        project(story.log, TableSink(story.engine))
        stamps = sorted(int(told["TimestampMs"]) for _, told in said)
        with present(story.engine, story.log) as now:
            yield Looked(now, [chance.choice(stamps) + chance.choice((-1, 0, 1, 500)) for _ in range(MOMENTS)])


def test_every_queue_is_as_it_is_read_alone(looked: Looked) -> None:
    """All queues at once are what each is by itself, task for task, at any moment."""
    now, seen = looked.now, 0
    for at_ms in looked.moments:
        together = tasks_in_queues(now, WORKSPACE, at_ms)
        for row in wallboard.queues(now, WORKSPACE, at_ms, together):
            queue_sid = row["task_queue_sid"]
            of_queue = [{name: value for name, value in each.items() if name != "task_queue_sid"}
                        for each in together if each["task_queue_sid"] == queue_sid]  # fmt: skip
            assert of_queue == tasks_of(now, WORKSPACE, queue_sid, at_ms)
            alone = queue(now, WORKSPACE, queue_sid, at_ms)
            assert alone is not None
            assert {name: row[name] for name in ("tasks_waiting", "tasks_in_progress", "longest_wait_ms")} == {
                name: alone[name] for name in ("tasks_waiting", "tasks_in_progress", "longest_wait_ms")
            }
            assert row["waited"][-1] == row["tasks_waiting"]
            window = Window(at_ms - wallboard.LATELY_MS, at_ms)
            waits = left(now.today, window, Scope(WORKSPACE, task_queue_sid=queue_sid))
            assert row["service_level"] == service_level(waits, 20, 5)
            seen += row["tasks_waiting"]
    assert seen > MOMENTS  # or nothing was compared


def test_every_worker_is_as_it_is_read_alone(looked: Looked) -> None:
    """The crew is who was in which activity; each one's load is the worker's own."""
    now, seen = looked.now, 0
    for at_ms in looked.moments[:20]:
        crew = wallboard.crew(now, WORKSPACE, at_ms)
        known = {row["worker_sid"]: (row["activity_sid"], row["since"]) for row in crew if row["activity_sid"]}
        assert known == {row["worker_sid"]: (row["activity_sid"], row["since"]) for row in activities(now, WORKSPACE, at_ms)}
        for row in wallboard.with_load(now, WORKSPACE, crew, at_ms):
            alone = worker_at(now, WORKSPACE, row["worker_sid"], at_ms)
            if alone is not None:
                reported = {"reported_available_capacity", "reported_previous_capacity", "reported_task_count"}
                assert row["reservations"] == alone["reservations"]
                assert [channel | dict.fromkeys(reported) for channel in alone["channels"]] == row["channels"]
            seen += len(row["reservations"])
    assert seen > 100


def test_a_task_that_waits_is_described(url: URL) -> None:
    """With its priority and channel as they were then; one that was completed is not open."""
    with looking_at(url) as floor:
        floor.told(
            task_created(1, "a"), entered(2, "a", TaskPriority="7"), task_created(3, "b"), entered(3, "b"), task_completed(9, "b"),
            task("task.updated", 20, "a", TaskPriority="9", TaskAssignmentStatus="pending"),
        )  # fmt: skip
        with present(floor.engine, floor.log) as now:
            open_tasks = tasks_in_queues(now, WORKSPACE, ms(10))
            (row,) = wallboard.described(now, WORKSPACE, open_tasks, ms(10))
            assert (row["task_sid"], row["priority"], row["task_channel_unique_name"]) == (sid("WT", "a"), 7, "voice")


def test_a_screenful_takes_as_many_looks_as_one(looked: Looked) -> None:
    """At the end of the story, where nothing has changed since: the database is asked as often for twenty-five workers as for one."""
    now = looked.now
    crew = wallboard.crew(now, WORKSPACE, UNTIL_MS + 3_600_000)
    open_tasks = tasks_in_queues(now, WORKSPACE, UNTIL_MS + 3_600_000)
    asked: list[str] = []

    def count(*args: Any) -> None:
        asked.append(args[2])

    sa.event.listen(now.today, "before_cursor_execute", count)
    try:
        looks = []
        for many in (1, len(crew)):
            asked.clear()
            wallboard.with_load(now, WORKSPACE, crew[:many], UNTIL_MS + 3_600_000)
            wallboard.described(now, WORKSPACE, open_tasks[:many], UNTIL_MS + 3_600_000)
            looks.append(len([each for each in asked if "friendly_name" not in each]))  # a name is looked up once, whoever asks
    finally:
        sa.event.remove(now.today, "before_cursor_execute", count)
    assert len(crew) > 10
    assert looks[0] == looks[1] <= 5
