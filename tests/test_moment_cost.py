"""A look at a moment costs the same however long the history is: by index, no scan, on both databases."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from projector.log import Entry
from projector.project import project
from projector.read import cumulative, happening, performance
from projector.read.activities import activities as activities_at
from projector.read.durations import durations
from projector.read.find import find
from projector.read.present import present
from projector.read.queue import queue as queue_at
from projector.read.queue import tasks_in_queues
from projector.read.task import reservation as reservation_at
from projector.read.task import task as task_at
from projector.read.tasks import tasks as tasks_at
from projector.read.worker import worker as worker_at
from projector.read.workers import workers as workers_at
from projector.table_sink import TableSink
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import WORKSPACE, Parameters, callback, ms, reservation, sid, task, task_completed, task_created, worker
from tests.looking import Floor, looking_at

DAY = 86_400.0
DAYS = (40, 160)  # how long the two histories are
MOMENTS = (20.5 * DAY, 39.5 * DAY)  # in both of them
BUSY = 20 * DAY + 8_300  # while a task is handled
VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
QUESTIONS: dict[str, Callable[[Any, int], Any]] = {
    "a worker": lambda now, at_ms: worker_at(now, WORKSPACE, sid("WK", "ann"), at_ms),
    "a task": lambda now, at_ms: task_at(now, WORKSPACE, sid("WT", "5/2"), at_ms),
    "a reservation": lambda now, at_ms: reservation_at(now, WORKSPACE, sid("WT", "5/2"), sid("WR", "5/2"), at_ms),
    "a queue": lambda now, at_ms: queue_at(now, WORKSPACE, sid("WQ", "support"), at_ms),
    "who is in which activity": lambda now, at_ms: activities_at(now, WORKSPACE, at_ms),
    "a worker by its Sid": lambda now, _: find(now.today, sid("WK", "ann")),
    "a reservation by its Sid": lambda now, _: find(now.today, sid("WR", "5/2")),
    "the tasks a worker was offered": lambda now, at_ms: now.tasks_offered(
        WORKSPACE, sid("WK", "ann"), at_ms - ms(DAY) + ms(0), at_ms
    ),
}
WINDOWED: dict[
    str, Callable[[Any, int], Any]
] = {  # what looks at a window looks at what was heard of within some days after it, too
    "all tasks": lambda now, at_ms: tasks_at(now, WORKSPACE, at_ms),
    "a queue's tasks": lambda now, at_ms: tasks_at(now, WORKSPACE, at_ms, sid("WQ", "support")),
    "all workers": lambda now, at_ms: workers_at(now, WORKSPACE, at_ms),
    "what became of reservations": lambda now, at_ms: cumulative.of_reservations(now.today, *hour(at_ms)),
    "what became of a worker's": lambda now, at_ms: cumulative.of_reservations(
        now.today, *hour(at_ms, worker_sid=sid("WK", "ann"))
    ),
    "what became of tasks": lambda now, at_ms: cumulative.of_tasks(now.today, *hour(at_ms)),
    "what became of visits": lambda now, at_ms: cumulative.of_visits(now.today, *hour(at_ms)),
    "how long workers were in each activity": lambda now, at_ms: durations(now.today, *hour(at_ms)),
    "what is open in all queues": lambda now, at_ms: tasks_in_queues(now, WORKSPACE, at_ms),
    "who visited queues": lambda now, at_ms: performance.visits(now.today, *hour(at_ms)),
    "how waits are spread": lambda now, at_ms: performance.spreads(now.today, *hour(at_ms)),
}
ALL = QUESTIONS | WINDOWED
LOOKS = [(question, at) for question in QUESTIONS for at in MOMENTS] + [(question, BUSY) for question in WINDOWED]
MADE = {
    "heard",
    "touched",
    "visit",
    "every_visit",
    "who",
    "spell",
    "every_spell",
    "cut",
}  # by the statement itself, of what it found


def hour(at_ms: int, **of: str) -> tuple[happening.Window, happening.Scope]:
    return happening.Window(at_ms - 3_600_000, at_ms), happening.Scope(WORKSPACE, **of)


def day(number: int) -> Iterator[Parameters]:
    """Ann changes activity, attributes and capacity and handles five tasks; one of them comes back to the queue."""
    start = number * DAY
    for step in range(10):
        attributes = json.dumps({"step": f"{number}/{step}"})
        yield worker("activity.update", start + 3600 * step, activity=("Idle", "Busy")[step % 2], WorkerAttributes=attributes)
        yield worker("capacity.update", start + 3600 * step + 1, WorkerChannelAvailableCapacity=str(1 + step % 2), **VOICE)
    for step in range(5):
        name, began = f"{number}/{step}", start + 4_000 * step
        yield task_created(began, name)
        yield task("task-queue.entered", began, name, TaskAssignmentStatus="pending")
        if step == 4:
            yield task("task-queue.entered", began + 5, name, TaskAssignmentStatus="pending", TaskQueueSid=sid("WQ", "vip"))
        yield reservation("created", began + 10, name, name, WorkerChannelCapacity=str(2 + step % 2))
        yield reservation("accepted", began + 20, name, name)
        yield reservation("completed", began + 900, name, name, TaskAssignmentStatus="assigned")
        yield task_completed(began + 901, name)


def story(days: int) -> list[Parameters]:
    others = [worker("created", 0, f"worker {number}") for number in range(30)]
    activities = [callback("activity.created", 0, ActivitySid=sid("WA", name), ActivityName=name) for name in ("Idle", "Busy")]
    return [*activities, worker("created", 0), *others, *(body for number in range(days) for body in day(number))]


@pytest.fixture(scope="module", params=BACKENDS)
def floors(request: pytest.FixtureRequest, databases: Databases) -> Iterator[list[Floor]]:
    """A short history and one four times as long, each in a database of its own."""
    with looking_at(databases.new(request.param)) as short, looking_at(databases.new(request.param)) as long:
        for floor, days in ((short, DAYS[0]), (long, DAYS[1])):
            floor.log.append([Entry.of(body, "callback", ms(days * DAY)) for body in story(days)])
            project(floor.log, TableSink(floor.engine))
            if request.param == "postgresql":  # SQLite plans by its rules: nothing here analyses its tables
                with floor.engine.connect() as connection, connection.begin():
                    connection.execute(sa.text("ANALYZE"))
        yield [short, long]


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[tuple[str, Any]]]:
    """Every statement on the engine meanwhile, as the driver gets it."""
    seen: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)


def asked(floor: Floor, question: str, at_ms: int) -> list[tuple[str, Any]]:
    """The statements that answer a question, the position's apart."""
    with statements(floor.engine) as seen, present(floor.engine, floor.log) as now:
        seen.clear()
        assert ALL[question](now, at_ms)
        return list(seen)


def plans(floor: Floor, question: str, found: list[tuple[str, Any]], *, scans: bool) -> list[Any]:
    """PostgreSQL's plans with what each node really read; without `scans` it may not scan where any other way exists.

    Of a window a few hundred rows are best read whole and hashed: it is held to what it does with many, row by row.
    """
    with floor.engine.connect() as connection:
        connection.execute(sa.text(f"SET enable_seqscan = {'on' if scans else 'off'}"))
        for join in ("hashjoin", "mergejoin") if question in WINDOWED else ():
            connection.execute(sa.text(f"SET enable_{join} = off"))
        explained = [
            connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values).scalar() for sql, values in found
        ]
    return [plan[0]["Plan"] for plan in explained]


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def rows_read(plan: Any) -> float:
    """The rows its scans looked at."""
    scans = [node for node in nodes(plan) if "Scan" in node["Node Type"] and "Relation Name" in node]
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum((node["Actual Rows"] + sum(node.get(key, 0) for key in removed)) * node["Actual Loops"] for node in scans)


def small_tables(floor: Floor) -> set[str]:
    """Those of a page or two, which PostgreSQL reads whole whatever their indexes."""
    with floor.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples < 60")
        return set(found.scalars())


def steps(floor: Floor, question: str, at_ms: int) -> int:
    """How many instructions of SQLite's machine a question takes, in tens."""
    with present(floor.engine, floor.log) as now:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        driver = now.today.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(tick, 10)
        try:
            assert ALL[question](now, at_ms)
        finally:
            driver.set_progress_handler(None, 0)
        return count


@pytest.mark.parametrize(("question", "at"), LOOKS)
def test_a_look_goes_by_an_index(floors: list[Floor], question: str, at: float) -> None:
    """EXPLAIN shows no scan; on PostgreSQL with real statistics none of a table that grows, and none at all when another way exists."""
    floor = floors[1]
    found = asked(floor, question, ms(at))
    if floor.engine.dialect.name == "sqlite":
        with floor.engine.connect() as connection:
            for sql, values in found:
                plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
                scanned = set(re.findall(r"SCAN (\(?\w+)", plan)) - MADE - {"(subquery"}
                assert scanned <= {"workspace"}, (sql, plan)  # a Sid is looked for in every workspace
        return
    ways = ((True, small_tables(floor)), (False, {"workspace"}))
    for may_scan, scannable in ways[1:] if question in WINDOWED else ways:
        for plan, (sql, _) in zip(plans(floor, question, found, scans=may_scan), found, strict=True):
            scanned = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
            assert scanned <= scannable, (sql, json.dumps(plan, indent=1))


@pytest.mark.parametrize(("question", "at"), LOOKS)
def test_a_look_costs_the_same_in_a_history_four_times_as_long(floors: list[Floor], question: str, at: float) -> None:
    """Counted: rows that PostgreSQL's scans looked at, instructions that SQLite's machine took."""
    short, long = floors
    if short.engine.dialect.name == "sqlite":
        few, many = (steps(floor, question, ms(at)) for floor in floors)
        assert many <= few * 1.1 + 20, (few, many)
        return
    few_rows, many_rows = (
        sum(map(rows_read, plans(floor, question, asked(floor, question, ms(at)), scans=False))) for floor in (short, long)
    )
    assert many_rows <= few_rows * 1.1 + 5, (few_rows, many_rows)
