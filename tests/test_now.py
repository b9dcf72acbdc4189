"""The views of the floor now and by quarter of an hour: what `projector.read` says of the same moment and window, on both databases."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projector import tables
from projector.database import disposing, open_engine
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.log import Entry, open_log
from projector.project import project
from projector.read.happening import Scope, Window
from projector.read.performance import left, service_level
from projector.read.present import Present, present
from projector.read.queue import queue
from projector.read.worker import TAKES_CAPACITY, worker
from projector.table_sink import TableSink
from projector.tables.intervals import INTERVAL_MS
from projector.tables.views import view
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import WORKSPACE, arrived, ms, reservation, sid, task, task_canceled, task_created
from tests.given import worker as told_of_worker
from tests.histories import arrivals, histories
from tests.test_views import HISTORIES, Store, opened

Row = dict[str, Any]


@pytest.fixture(params=BACKENDS)
def floor(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Present]:
    """Over an hour of a simulated floor, late, twice and lossy, up to the middle of a day: much of it lasts."""
    url = databases.new(request.param)
    center = Floor(61, workers=12, callbacks_per_second=1.5)
    sent = deliveries(islice(center.callbacks(), 6_000), seed=61, lost=0.01)
    log = open_log(url)
    with disposing(open_engine(url)) as engine:
        log.append([Entry.of(body, "callback", at_ms) for at_ms, body in sent])
        project(log, TableSink(engine))
        with present(engine, log) as now:
            yield now
    log.close()


@pytest.fixture
def shared(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Store]:
    """One for all examples of a property: each lives in a workspace of its own."""
    yield from opened(databases.new(request.param))


def rows(now: Present, name: str, workspace: str = WORKSPACE) -> list[Row]:
    select = sa.select(view(name)).where(view(name).c.workspace_sid == workspace)
    return [dict(row) for row in now.today.execute(select).mappings()]


def test_over_a_simulated_floor_the_views_are_what_is_read(floor: Present) -> None:
    """Every worker, every queue, every quarter of over an hour, much of it still going on."""
    (workspace,) = floor.today.execute(sa.select(tables.workspace.c.workspace_sid)).scalars()
    loads, waits, left_as = workers_are(floor, workspace), queues_are(floor, workspace), quarters_are(floor, workspace)
    assert loads["accepted"]
    assert waits["tasks_waiting"] > 1
    assert waits["tasks_in_progress"] > 1
    assert all(left_as[name] for name in ("answered", "abandoned", "flowed_out")), left_as


@pytest.mark.parametrize("shared", BACKENDS, indirect=True)
@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_over_random_histories_the_views_are_what_is_read(shared: Store, data: st.DataObject) -> None:
    """Shuffled and duplicated, with ties, contradictions and deletions."""
    workspace = f"WS{shared.log.end():032x}"
    history = data.draw(histories(max_size=20))
    bodies = [[body | {"WorkspaceSid": workspace} for body in batch] for batch in data.draw(arrivals(history))]
    shared.take(([Entry.of(body, "callback", ms(3600)) for body in batch] for batch in bodies), page=500)
    with present(shared.engine, shared.log) as now:
        workers_are(now, workspace)
        queues_are(now, workspace)
        if not deleted_before_it_waited(now, workspace):
            quarters_are(now, workspace)


def deleted_before_it_waited(now: Present, workspace: str) -> bool:
    """Whether a task's deletion is stamped before it last waited: a window of `projector.read` that begins later does not look at it,
    the spans and the views keep what was told."""
    c = tables.task.c
    of = sa.select(c.visit_since, c.visit_ended_at, sa.type_coerce(tables.TASK_QUIET, tables.Instant).label("quiet")).where(
        c.workspace_sid == workspace, c.deleted_at.is_not(None)
    )
    return any(max(row.visit_since or 0, row.visit_ended_at or 0) > row.quiet for row in now.today.execute(of))


def workers_are(now: Present, workspace: str) -> Counter[str]:
    """Every worker who is there, nobody else: its activity, for how long, and its reservations by status, which are counted."""
    shown = {row["worker_sid"]: row for row in rows(now, "worker_now", workspace)}
    loads = Counter[str]()
    for known in now.today.execute(sa.select(tables.worker).where(tables.worker.c.workspace_sid == workspace)).mappings():
        row = shown.pop(known["worker_sid"], None)
        assert (row is None) == (known["deleted_at"] is not None)
        if row is None:
            continue
        at = worker(now, workspace, known["worker_sid"], now.event_ms) or {"activity": None, "reservations": []}  # only mentioned
        activity = at["activity"] or dict.fromkeys(("activity_sid", "activity_name", "activity_name_now", "available", "since"))
        assert (row["friendly_name"], row["activity_sid"]) == (known["friendly_name"], activity["activity_sid"])
        named_now, named_then = activity["activity_name_now"], activity["activity_name"]
        assert row["activity_name"] == (named_then if named_now is None else named_now)
        assert (row["available"], row["activity_since"]) == (activity["available"], activity["since"])
        assert row["in_activity_ms"] == (activity["since"] and now.event_ms - activity["since"])
        statuses = Counter(offer["status"] for offer in at["reservations"])
        assert {status: row[status] for status in TAKES_CAPACITY} == {status: statuses[status] for status in TAKES_CAPACITY}
        assert row["load"] == sum(not offer["ignore_capacity"] for offer in at["reservations"])
        loads += statuses
    assert shown == {}
    return loads


def queues_are(now: Present, workspace: str) -> Counter[str]:
    """Every queue that is there: what waits, the one that waits longest, and what is in progress; the sums."""
    shown = {row["task_queue_sid"]: row for row in rows(now, "queue_now", workspace)}
    sums, same = Counter[str](), ("tasks_waiting", "longest_wait_ms", "tasks_in_progress")
    for known in now.today.execute(sa.select(tables.task_queue).where(tables.task_queue.c.workspace_sid == workspace)).mappings():
        at = queue(now, workspace, known["task_queue_sid"], now.event_ms)
        row = shown.pop(known["task_queue_sid"], None)
        assert (at is None) == (row is None)
        if at is not None and row is not None:
            assert row["friendly_name"] == at["task_queue_name_now"]
            assert {name: row[name] for name in same} == {name: at[name] for name in same}
            assert row["oldest_task_sid"] == (at["oldest_task"] and at["oldest_task"]["task_sid"])
            sums += Counter({name: row[name] or 0 for name in same})
    assert shown == {}
    return sums


def quarters_are(now: Present, workspace: str) -> Counter[str]:
    """Queue by queue, over every quarter of an hour since the first entry, the empty ones included; the sums."""
    shown = {(row["task_queue_sid"], row["started_at"]): row for row in rows(now, "queue_interval_15m", workspace)}
    visits = rows(now, "task_queue_span", workspace)
    entered = Counter((row["task_queue_sid"], row["started_at"] - row["started_at"] % INTERVAL_MS) for row in visits)
    sums, same = Counter[str](), ("answered", "abandoned", "abandoned_short", "flowed_out")
    first_ms = min((start_ms for _, start_ms in entered), default=now.event_ms)
    for of in {row["task_queue_sid"] for row in visits}:
        for start_ms in range(first_ms, now.event_ms + 1, INTERVAL_MS):
            gone = left(now.today, Window(start_ms, start_ms + INTERVAL_MS), Scope(workspace, task_queue_sid=of))
            level, row = service_level(gone, 20, 5), shown.pop((of, start_ms), None)
            if row is None:
                assert (sum(map(len, gone)), entered[of, start_ms]) == (0, 0)
                continue
            assert row["entered"] == entered[of, start_ms]
            assert {name: row[name] for name in same} == {name: level[name] for name in same}
            assert row["answered_in_20s"] == level["answered_in_time"]
            assert (row["answered_wait_ms"], row["abandoned_wait_ms"]) == (sum(gone.answered_ms), sum(gone.abandoned_ms))
            assert row["max_wait_ms"] == max((wait for waits in gone for wait in waits), default=None)
            assert (row["service_level"] is None) == (level["offered"] is None)
            assert row["service_level"] is None or round(row["service_level"], 4) == level["offered"]
            sums += Counter({name: level[name] for name in same})
    assert shown == {}
    return sums


def test_a_quarter_counted_by_hand(url: sa.URL) -> None:
    """Taken after exactly 20 s, taken later, given up after exactly 5 s and after 6, and one that waits: 1 of 3 in time."""
    start = -(ms(0) % INTERVAL_MS) / 1000 + 900  # at a full quarter
    waits = {"in time": 20, "late": 21, "short": 5, "gone": 6}
    story = [body for name in (*waits, "waits") for body in (task_created(start, name), _entered(start, name))]
    for name in ("in time", "late"):
        story += [reservation("created", start + 1, name, name), reservation("accepted", start + waits[name], name, name)]
    story += [task_canceled(start + waits[name], name) for name in ("short", "gone")]
    with disposing(open_engine(url)) as engine:
        log = open_log(url)
        arrived(log, *story)
        project(log, TableSink(engine))
        with present(engine, log) as now:
            (row,) = rows(now, "queue_interval_15m")
            (of_queue,) = rows(now, "queue_now")
            (ann,) = rows(now, "worker_now")
        log.close()
    counts = {"entered": 5, "answered": 2, "answered_in_20s": 1, "abandoned": 2, "abandoned_short": 1, "flowed_out": 0}
    assert {name: row[name] for name in counts} == counts
    assert (row["workspace_sid"], row["started_at"], row["service_level"]) == (WORKSPACE, ms(start), pytest.approx(1 / 3))
    assert (row["answered_wait_ms"], row["abandoned_wait_ms"], row["max_wait_ms"]) == (41_000, 11_000, 21_000)
    assert (of_queue["tasks_waiting"], of_queue["longest_wait_ms"], of_queue["tasks_in_progress"]) == (1, 21_000, 2)
    assert (of_queue["oldest_task_sid"], ann["accepted"], ann["load"]) == (sid("WT", "waits"), 2, 2)


def _entered(at: float, name: str) -> dict[str, str]:
    return task("task-queue.entered", at, name, TaskAssignmentStatus="pending")


def test_a_transfer_given_back_is_no_departure(url: sa.URL) -> None:
    """It entered the second queue and was withdrawn there: neither answered nor abandoned nor gone on, even when the task is canceled later."""
    second = {"TaskQueueSid": sid("WQ", "second"), "TaskQueueName": "Second"}
    pending, assigned = {"TaskAssignmentStatus": "pending"}, {"TaskAssignmentStatus": "assigned"}
    story = [
        task_created(0), _entered(0, "t"), reservation("created", 1), reservation("accepted", 2),
        task("task.transfer-initiated", 3, **pending, **second), task("task-queue.entered", 3, **pending, **second),
        task("task.transfer-canceled", 9, **assigned, **second), task_canceled(20, **second),
    ]  # fmt: skip
    with disposing(open_engine(url)) as engine:
        log = open_log(url)
        arrived(log, *story)
        project(log, TableSink(engine))
        with present(engine, log) as now:
            counts = {row["task_queue_sid"]: row for row in rows(now, "queue_interval_15m")}
            quarters_are(now, WORKSPACE)
        log.close()
    first, other = counts[sid("WQ", "support")], counts[second["TaskQueueSid"]]
    assert (first["entered"], first["answered"]) == (1, 1)
    assert [other[name] for name in ("entered", "answered", "abandoned", "flowed_out", "max_wait_ms")] == [1, 0, 0, 0, None]


def test_what_takes_no_capacity_is_no_load(url: sa.URL) -> None:
    """TaskIgnoreCapacity: counted by its status, not in the load. A deleted worker is not shown."""
    story = [
        task_created(0), reservation("created", 1, "r1"), reservation("accepted", 2, "r1"),
        reservation("created", 3, "r2", "other", TaskIgnoreCapacity="true"), told_of_worker("created", 0, "bob"), told_of_worker("deleted", 9, "bob"),
    ]  # fmt: skip
    with disposing(open_engine(url)) as engine:
        log = open_log(url)
        arrived(log, *story)
        project(log, TableSink(engine))
        with present(engine, log) as now:
            (row,) = rows(now, "worker_now")
        log.close()
    assert (row["pending"], row["accepted"], row["wrapping"], row["load"]) == (1, 1, 0, 1)


@pytest.mark.parametrize(
    ("name", "index"),
    [("worker_now", "ix_task_quiet"), ("queue_now", "ix_task_quiet"), ("open_now", "ix_task_quiet"), ("queue_interval_15m", "")],
)
def test_the_floor_of_one_workspace_is_read_by_an_index(url: sa.URL, name: str, index: str) -> None:
    """EXPLAIN of a view filtered by workspace: no table that grows is scanned. (SQLite counts quarters of all workspaces.)"""
    with disposing(open_engine(url)) as engine, engine.connect() as connection:
        is_sqlite = engine.dialect.name == "sqlite"
        if not is_sqlite:  # an empty table is scanned whatever the indexes: forbid it
            connection.execute(sa.text("SET enable_seqscan = off"))
        question = sa.select(view(name)).where(view(name).c.workspace_sid == "x")
        statement = question.compile(engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        plan = [row[-1] for row in connection.exec_driver_sql(explain + str(statement))]
    grown = {"task", "reservation", *(table.name for table in tables.PAST)} if index or not is_sqlite else set()
    scanned = [step for step in plan if (step.startswith("SCAN ") and step.split()[1] in grown) or "Seq Scan on task" in step]
    assert not scanned, "\n".join(plan)
    assert not is_sqlite or any(index in step for step in plan), "\n".join(plan)
