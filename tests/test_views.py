"""The history by its public names: what the views show is what the fold says, on both databases."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from projector.database import disposing, open_engine
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.log import Entry, open_log
from projector.project import project
from projector.rows import HISTORY_OF, LINE_KEY, row_of
from projector.sink import MemorySink
from projector.table_sink import TableSink
from projector.tables.views import VIEWS, view
from projector.taskrouter.span import Span
from projector.taskrouter.task import TaskQueueSpan
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import WORKSPACE, MemoryLog, Parameters, callback, ms, reservation, sid, task, task_created, worker
from tests.histories import arrivals, histories

HISTORIES = min(int(os.environ.get("PROJECTOR_HISTORIES", "50")), 500)
VIEW_OF = {  # kind of span → the view that shows it as it is; channels' is made of more than spans
    kind: table.name.removesuffix("_past")
    for kind, table in HISTORY_OF.items()
    if issubclass(kind, Span) and table.name != "worker_channel_span_past"
}
CHANNEL = ("workspace_sid", "worker_sid", "task_channel_sid")
LINES = {VIEW_OF[kind]: LINE_KEY[kind] for kind in VIEW_OF} | {"worker_channel_span": CHANNEL}
NOW = {  # column → the table that knows the name, and the row of which it is the name
    "worker_name_now": ("worker", "worker_sid"),
    "activity_name_now": ("activity", "activity_sid"),
    "task_queue_name_now": ("task_queue", "task_queue_sid"),
}

Row = dict[str, Any]
Rows = dict[str, dict[tuple[Any, ...], Row]]


class Store:
    """A log and its tables on a real database."""

    def __init__(self, log: Any, engine: sa.Engine) -> None:
        self.log, self.engine, self.sink = log, engine, TableSink(engine)

    def take(self, batches: Iterable[list[Entry]], page: int) -> None:
        """Append and project, batch by batch."""
        for batch in batches:
            self.log.append(batch)
            project(self.log, self.sink, page=page)

    def rows(self, name: str, workspace: str) -> list[Row]:
        """What a view shows of a workspace."""
        table = view(name)
        with self.engine.connect() as connection:
            return [
                dict(row) for row in connection.execute(sa.select(table).where(table.c.workspace_sid == workspace)).mappings()
            ]


@pytest.fixture
def store(url: URL) -> Iterator[Store]:
    yield from opened(url)


@pytest.fixture
def shared(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Store]:
    """One for all examples of a property: each lives in a workspace of its own."""
    yield from opened(databases.new(request.param))


def opened(url: URL) -> Iterator[Store]:
    log = open_log(url)
    with disposing(open_engine(url)) as engine:
        yield Store(log, engine)
    log.close()


def in_memory(entries: list[Entry]) -> MemorySink:
    """The same callbacks folded in memory, in the order they happened."""
    log, sink = MemoryLog(ms(3600)), MemorySink()
    log.append(sorted(entries, key=lambda entry: (entry.at_ms(ms(3600)), entry.originator_id)))
    project(log, sink)
    return sink


def spans_as_rows(sink: MemorySink) -> dict[str, list[Row]]:
    """The fold's spans as rows, by the view that should show them."""
    found: dict[str, list[Row]] = {name: [] for name in VIEW_OF.values()}
    for span in sink.spans():
        if type(span) in VIEW_OF:
            found[VIEW_OF[type(span)]].append(row_of(span))
    return found


def channel_spans(tables: Rows) -> list[Row]:
    """`worker_channel_span` from the rows of its tables, channel by channel and moment by moment, as one would by hand."""
    own, stated = defaultdict(list), defaultdict(list)
    for row in tables["worker_channel_span_past"].values():
        own[tuple(row[name] for name in CHANNEL)].append(row)
    for key, row in tables["worker_channel"].items():
        if row["since"] is not None:
            own[key].append(row | {"started_at": row["since"]})
    for row in sorted(tables["stated_capacity"].values(), key=lambda row: row["stated_order"]):
        stated[tuple(row[name] for name in CHANNEL)].append(row)
    return [span for key in own.keys() | stated.keys() for span in _channel(key, own[key], stated[key], tables)]


def _channel(key: tuple[str, ...], own: list[Row], stated: list[Row], tables: Rows) -> list[Row]:
    deleted_at = tables["worker"][key[:2]]["deleted_at"]
    own.sort(key=lambda row: row["n"])
    spans: list[Row] = []
    for at in sorted({row["started_at"] for row in own} | {row["stated_at"] for row in stated}):
        if deleted_at is not None and at > deleted_at:
            break
        by_worker = [row for row in own if row["started_at"] <= at]
        by_task = [row for row in stated if row["stated_at"] <= at]
        last: Row = by_worker[-1] if by_worker else defaultdict(lambda: None)
        capacity, basis = last["updated_capacity"], "updated" if last["updated_capacity"] is not None else None
        opener = last["event_sid"]
        if by_task:
            capacity, basis = by_task[-1]["capacity"], "stated"
            restated = [now for before, now in pairwise([{"capacity": None}, *by_task]) if before["capacity"] != now["capacity"]]
            if restated[-1]["stated_at"] == at:
                opener = restated[-1]["stated_order"][32:]
        if not spans or (spans[-1]["available"], spans[-1]["configured_capacity"]) != (last["available"], capacity):
            if spans:
                spans[-1]["ended_at"] = at
            spans.append(dict(zip(CHANNEL, key, strict=True)) | {
                "started_at": at, "ended_at": deleted_at, "n": len(spans), "available": last["available"],
                "configured_capacity": capacity, "configured_capacity_basis": basis, "worker_name": last["worker_name"],
                "inferred": False, "event_sid": opener,
            })  # fmt: skip
    return spans


def sorted_rows(rows: Iterable[Row]) -> list[list[tuple[str, Any]]]:
    return sorted((sorted(row.items()) for row in rows), key=repr)


def views_are_the_fold(store: Store, workspace: str, entries: list[Entry]) -> dict[str, list[Row]]:
    """Every history's view shows the fold's spans, whose lines never overlap, with the names that the current rows have."""
    sink = in_memory(entries)
    tables = sink.rows()
    expected = spans_as_rows(sink) | {"worker_channel_span": channel_spans(tables)}
    shown = {name: store.rows(name, workspace) for name in expected}
    for name, rows in shown.items():
        then = [{column: value for column, value in row.items() if column not in NOW} for row in rows]
        assert sorted_rows(then) == sorted_rows(expected[name]), name
        tiles(name, rows)
        for row in rows:
            for column in NOW.keys() & row.keys():
                table, of = NOW[column]
                named = tables[table].get((workspace, row[of]))
                assert row[column] == (named and named["friendly_name"]), (name, column)
    return shown


def tiles(name: str, rows: list[Row]) -> None:
    """Numbered from 0, never of negative length, never overlapping; and each begins where the one before ended, visits apart."""
    lines = defaultdict(list)
    for row in rows:
        lines[tuple(row[key] for key in LINES[name])].append(row)
    for line in lines.values():
        line.sort(key=lambda row: row["n"])
        assert [row["n"] for row in line] == list(range(len(line)))
        assert all(row["started_at"] <= row["ended_at"] for row in line if row["ended_at"] is not None)
        for one, other in pairwise(line):
            assert one["ended_at"] <= other["started_at"], name
            assert one["ended_at"] == other["started_at"] or name == VIEW_OF[TaskQueueSpan], name


@lru_cache(maxsize=1)
def floor_entries() -> tuple[str, list[Entry]]:
    """Some 3,000 deliveries of a simulated floor, a share of them lost, late and twice; its workspace."""
    floor = Floor(11, workers=20, callbacks_per_second=20)
    sent = deliveries(islice(floor.callbacks(), 3_000), seed=11, duplicates=0.05, late=0.1, late_ms_max=30_000, lost=0.02)
    received = [(parameters, at_ms) for at_ms, parameters in sent]
    first = {}  # one receipt for each callback: the first
    for parameters, at_ms in received:
        first.setdefault(parameters["Sid"], at_ms)
    return floor.workspace_sid, [Entry.of(parameters, "callback", first[parameters["Sid"]]) for parameters, _ in received]


def test_over_a_simulated_floor_every_view_is_the_fold(store: Store) -> None:
    """Page by page, as it arrives: every span of some 3,000 callbacks."""
    workspace, entries = floor_entries()
    store.take((entries[at : at + 400] for at in range(0, len(entries), 400)), page=150)
    shown = views_are_the_fold(store, workspace, entries)
    assert {name: len(rows) > 20 for name, rows in shown.items()} == dict.fromkeys(shown, True)
    assert {"accepted", "canceled", "timeout", None} <= {row["outcome"] for row in shown["task_queue_span"]}
    assert any(row["inferred"] for row in shown["task_queue_span"])
    assert {"stated", "updated"} <= {row["configured_capacity_basis"] for row in shown["worker_channel_span"]}


@pytest.mark.parametrize("shared", BACKENDS, indirect=True)
@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_over_random_histories_every_view_is_the_fold(shared: Store, data: st.DataObject) -> None:
    """Shuffled and duplicated, with ties, contradictions and deletions, in any batches and pages."""
    workspace = f"WS{shared.log.end():032x}"
    history = data.draw(histories(max_size=20))

    def entries(bodies: list[Parameters]) -> list[Entry]:
        return [Entry.of(body | {"WorkspaceSid": workspace}, "callback", ms(3600)) for body in bodies]

    shared.take(map(entries, data.draw(arrivals(history))), page=data.draw(st.sampled_from((1, 7, 500))))
    views_are_the_fold(shared, workspace, entries(history))


VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}


def shown(
    store: Store, name: str, *story: Parameters, columns: tuple[str, ...], received_at: float = 3600
) -> list[tuple[Any, ...]]:
    """What a view shows of a story, row by row as they began."""
    store.take([[Entry.of(body, "callback", ms(received_at)) for body in story]], page=500)
    rows = sorted(store.rows(name, WORKSPACE), key=lambda row: row["n"])
    return [tuple(row[column] for column in columns) for row in rows]


def test_a_channel_span_is_cut_where_what_holds_changes_and_nowhere_else(store: Store) -> None:
    """What tasks state stands before what the worker's update says; restating it cuts nothing, nor does an update beneath it."""
    updated = worker("capacity.update", at=1, WorkerChannelAvailableCapacity="2", WorkerChannelAvailable="true", **VOICE)
    beneath = worker("capacity.update", at=3, WorkerChannelAvailableCapacity="5", WorkerChannelAvailable="true", **VOICE)
    closed = worker("channel.availability.update", at=5, WorkerChannelAvailable="false", **VOICE)
    stated = [
        reservation("created", at=at, reservation=f"r{at}", WorkerChannelCapacity=what)
        for at, what in ((2, "3"), (4, "3"), (6, "4"))
    ]
    born, died = worker("created", at=0), worker("deleted", at=0)
    after = reservation("completed", at=3700, reservation="r6", WorkerChannelCapacity="1")
    columns = (
        "started_at",
        "ended_at",
        "available",
        "configured_capacity",
        "configured_capacity_basis",
        "event_sid",
        "worker_name",
    )
    found = shown(store, "worker_channel_span", born, updated, *stated, beneath, closed, died, after, columns=columns)
    assert found == [
        (ms(1), ms(2), True, 2, "updated", updated["Sid"], "ann"),
        (ms(2), ms(5), True, 3, "stated", stated[0]["Sid"], "ann"),
        (ms(5), ms(6), False, 3, "stated", closed["Sid"], "ann"),
        (ms(6), ms(3600), False, 4, "stated", stated[2]["Sid"], "ann"),  # deleted on receipt; what was stated later is of no life
    ]


def test_what_is_told_of_a_channel_in_one_millisecond_is_one_span(store: Store) -> None:
    """Two callbacks of the worker and one of a task, all of one moment: what holds after them all, opened by the last of them."""
    updated = worker("capacity.update", at=1, WorkerChannelAvailableCapacity="2", WorkerChannelAvailable="true", **VOICE)
    both = [
        worker("channel.availability.update", at=5, WorkerChannelAvailable=available, **VOICE) for available in ("true", "false")
    ]
    both[0]["WorkerVersion"], both[1]["WorkerVersion"] = "8", "7"  # last: available, as it was
    more = worker("capacity.update", at=5, WorkerChannelAvailableCapacity="9", WorkerVersion="6", **VOICE)
    stated = reservation("created", at=5, WorkerChannelCapacity="3")
    columns = ("started_at", "ended_at", "available", "configured_capacity", "configured_capacity_basis", "event_sid")
    assert shown(store, "worker_channel_span", updated, *both, more, stated, columns=columns) == [
        (ms(1), ms(5), True, 2, "updated", updated["Sid"]),
        (ms(5), None, True, 3, "stated", stated["Sid"]),
    ]


def test_a_channel_that_only_tasks_speak_of_has_a_history_too(store: Store) -> None:
    """No callback of the worker's own: the capacity as stated, and whether it is available is not known."""
    story = (
        task_created(at=0),
        *(reservation(what, at=at, WorkerChannelCapacity=str(at)) for what, at in (("created", 1), ("accepted", 2))),
    )
    columns = ("started_at", "ended_at", "available", "configured_capacity", "worker_name", "worker_name_now")
    assert shown(store, "worker_channel_span", *story, columns=columns) == [
        (ms(1), ms(2), None, 1, None, "ann"), (ms(2), None, None, 2, None, "ann"),
    ]  # fmt: skip


def test_names_then_and_names_now(store: Store) -> None:
    """Worker, activity and queue are renamed, then deleted: a span keeps the name sent then, `_now` is the last one known."""
    renamed = {"TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Support EU"}
    story = (
        worker("created", at=0, activity="Idle"),
        task("task-queue.entered", at=1, TaskAssignmentStatus="pending"),
        reservation("created", at=2),
        worker("attributes.update", at=3, WorkerName="ann@example.com", WorkerAttributes="{}"),
        callback("activity.updated", at=4, ActivitySid=sid("WA", "Idle"), ActivityName="Available"),
        callback("task-queue.updated", at=5, **renamed),
        callback("activity.deleted", at=6, ActivitySid=sid("WA", "Idle"), ActivityName="Available"),
        callback("task-queue.deleted", at=6, **renamed),
        worker("deleted", at=7, WorkerName="ann@example.com", WorkerActivityName="Available"),
    )
    names = ("worker_name", "worker_name_now", "activity_name", "activity_name_now")
    assert shown(store, "worker_activity_span", *story, columns=names) == [("ann", "ann@example.com", "Idle", "Available")]
    columns = ("task_queue_name", "task_queue_name_now")
    assert shown(store, "task_queue_span", columns=columns) == [("Support", "Support EU")]
    assert shown(store, "reservation_status_span", columns=names[:2]) == [("ann", "ann@example.com")]
    assert shown(store, "worker_attributes_span", columns=(*names[:2], "ended_at")) == [
        ("ann", "ann@example.com", ms(3)), ("ann@example.com", "ann@example.com", ms(7)),
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["configured_capacity", "ended_at", "outcome", "inferred"])
def test_the_comparison_sees_a_wrong_value(store: Store, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that cannot fail proves nothing: one value changed in what a view shows is found."""
    workspace, entries = floor_entries()
    store.take([entries[:600]], page=500)
    views_are_the_fold(store, workspace, entries[:600])
    right = Store.rows

    def wrong(self: Store, name: str, of: str) -> list[Row]:
        rows = right(self, name, of)
        for row in [row for row in rows if column in row][:1]:
            row[column] = 0 if row[column] is None else None
        return rows

    monkeypatch.setattr(Store, "rows", wrong)
    with pytest.raises(AssertionError):
        views_are_the_fold(store, workspace, entries[:600])


def test_every_view_says_what_it_is(databases: Databases) -> None:
    """Comments are on the views themselves, where a reader's tool shows them."""
    with disposing(open_engine(databases.new("postgresql"))) as engine, engine.connect() as connection:
        described = sa.text("SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c WHERE c.relname = ANY(:names)")
        found = dict(tuple(row) for row in connection.execute(described, {"names": list(VIEWS)}))
    assert found == {name: of.comment for name, of in VIEWS.items()}
    assert all(found.values())


OF_ONE = {  # view → what a reader filters by
    "worker_activity_span": ("workspace_sid", "worker_sid"),
    "worker_attributes_span": ("workspace_sid", "worker_sid"),
    "worker_channel_span": ("workspace_sid", "worker_sid"),
    "task_status_span": ("workspace_sid", "task_sid"),
    "reservation_status_span": ("workspace_sid", "task_sid"),
    "task_queue_span": ("workspace_sid", "task_sid"),
}
BY_OTHERS = {"reservation_status_span": ("workspace_sid", "worker_sid"), "task_queue_span": ("workspace_sid", "task_queue_sid")}


@pytest.mark.parametrize(("name", "columns"), [*OF_ONE.items(), *BY_OTHERS.items()])
def test_the_history_of_one_thing_is_read_by_an_index(url: URL, name: str, columns: tuple[str, ...]) -> None:
    """EXPLAIN of a view filtered by workspace and worker, task or queue: no table is scanned, on either database."""
    table = view(name)
    with disposing(open_engine(url)) as engine, engine.connect() as connection:
        question = sa.select(table).where(*(table.c[column] == "x" for column in columns))
        explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
        if engine.dialect.name == "postgresql":  # an empty table is scanned whatever the indexes: forbid it
            connection.execute(sa.text("SET enable_seqscan = off"))
        statement = question.compile(engine, compile_kwargs={"literal_binds": True})
        plan = [row[-1] for row in connection.exec_driver_sql(explain + str(statement))]
    real = {kind.name for kind in HISTORY_OF.values()} | {"worker", "worker_channel", "task", "reservation", "stated_capacity"}
    scanned = [step for step in plan if (step.startswith("SCAN ") and step.split()[1] in real) or "Seq Scan" in step]
    assert not scanned, "\n".join(plan)
    assert any("SEARCH" in step or "Index Cond" in step for step in plan), "\n".join(plan)
