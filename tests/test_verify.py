"""verify: equal is equal whoever asks, and whatever row is wrong is found and traced to its callbacks."""

import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import project as projecting
from projector import tables
from projector.access import writing
from projector.database import disposing, open_engine
from projector.errors import NotRebuilt
from projector.log import open_log
from projector.log import postgres as postgres_log
from projector.log import sqlite as sqlite_log
from projector.project import project
from projector.table_sink import TableSink
from projector.taskrouter import task
from projector.verify import COMPARED, verify
from tests.databases import Databases
from tests.given import arrived, reservation, sid, task_created, text_url, worker
from tests.harness import Workload
from tests.test_loops import following
from tests.test_rebuild import full


@pytest.fixture(scope="module")
def floor(databases: Databases) -> URL:
    """Tables on SQLite that a simulated floor has filled, every one of them."""
    url = databases.new("sqlite")
    full(url, 3_000)
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        previous = {"WorkerPreviousActivitySid": sid("WA", "Break"), "WorkerTimeInPreviousActivityMs": "5000"}
        arrived(log, worker("activity.update", at=10, **previous))  # a gap: nothing tells how the worker came to be there
        project(log, TableSink(engine))
    return url


def test_the_hashes_are_the_same_on_both_databases_however_it_is_read(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash for each table: it depends on the rows alone."""
    verdicts = []
    for backend in ("sqlite", "postgresql"):
        url = databases.new(backend)
        full(url, 2_000)
        for size in (3, 500):
            monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", size)
            monkeypatch.setattr(sqlite_log, "BY_UNIT_ROWS", 7 * size)
            monkeypatch.setattr(postgres_log, "BY_UNIT_ROWS", 7 * size)
            verdicts.append(verify(url))
    assert [verdict.difference for verdict in verdicts] == [None] * 4
    assert all(verdict.hashes == verdicts[0].hashes and verdict.rows == verdicts[0].rows for verdict in verdicts)


@pytest.mark.parametrize("table", COMPARED, ids=lambda table: table.name)
@pytest.mark.parametrize("how", ["changed", "removed", "added"])
def test_any_wrong_row_is_found(floor: URL, table: sa.Table, how: str) -> None:
    """One row changed, removed or invented in any table: its table and key are told, and both versions."""
    elsewhere = {"event_type": "task.invented"} if table is tables.event_type_count else {"workspace_sid": "WS" + "0" * 32}
    invented = sa.and_(*(table.c[name] == value for name, value in elsewhere.items()))
    stored = [column for column in table.c if column.computed is None]
    text = next((column.name for column in reversed(stored) if not column.primary_key and isinstance(column.type, sa.Text)), None)
    wrong: dict[str, object] = (
        {"times" if table is tables.event_type_count else "capacity": 4711} if text is None else {text: "changed"}
    )
    with disposing(open_engine(floor)) as engine:
        with engine.connect() as connection:
            row = dict(connection.execute(sa.select(*stored).limit(1)).mappings().one())
        key = {column.name: row[column.name] for column in table.primary_key}
        same = sa.and_(*(table.c[name] == value for name, value in key.items()))
        spoiling = {
            "changed": sa.update(table).where(same).values(wrong),
            "removed": sa.delete(table).where(same),
            "added": sa.insert(table).values(row | elsewhere),
        }[how]
        with writing(engine) as connection:
            connection.execute(spoiling)
        try:
            difference = verify(floor).difference
        finally:
            with writing(engine) as connection:
                connection.execute(sa.delete(table).where(sa.or_(same, invented)))
                connection.execute(sa.insert(table).values(row))
    assert difference is not None
    assert difference.table == table.name
    assert difference.key == (key if how != "added" else key | elsewhere)
    assert (difference.in_tables is None, difference.from_log is None) == (how == "removed", how == "added")
    assert how != "changed" or difference.in_tables == wrong


def test_what_was_spoilt_and_put_back_is_equal(floor: URL) -> None:
    """After all of the above: no difference."""
    assert verify(floor).difference is None


def test_an_invented_row_that_says_nothing_is_found(floor: URL) -> None:
    """A key and nothing else: no callback spoke of it."""
    with disposing(open_engine(floor)) as engine:
        with writing(engine) as connection:
            connection.execute(sa.insert(tables.worker).values(workspace_sid="WSnobody", worker_sid="WKnobody"))
        try:
            difference = verify(floor).difference
        finally:
            with writing(engine) as connection:
                connection.execute(sa.delete(tables.worker).where(tables.worker.c.workspace_sid == "WSnobody"))
    assert difference is not None
    assert (difference.key, difference.from_log) == ({"workspace_sid": "WSnobody", "worker_sid": "WKnobody"}, None)


def test_a_unit_whose_fold_failed_is_told_and_not_compared(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are as of before, which the tables say themselves: everything else is compared."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("planted")

    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        arrived(log, task_created(at=0), worker("created", at=1))
        with monkeypatch.context() as patch:
            patch.setattr(task, "_described", broken)
            project(log, TableSink(engine))
            verdict = verify(url)
    assert verdict.difference is None
    assert [unit.split("/")[1] for unit in verdict.incomplete] == ["task"]
    assert run_verify(url).returncode == 1


def test_a_difference_is_traced_to_the_callbacks_behind_it(url: URL) -> None:
    """The Sids of the unit's callbacks, in the order they happened, and of those that named it."""
    created, offered = worker("created", at=0), reservation("created", at=5)
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        arrived(log, offered, created, task_created(at=1))
        project(log, TableSink(engine))
        with writing(engine) as connection:
            connection.execute(sa.update(tables.worker).values(friendly_name="Nobody"))
    difference = verify(url).difference
    assert difference is not None
    assert difference.key["worker_sid"] == sid("WK", "ann")
    assert (difference.in_tables, difference.from_log) == ({"friendly_name": "Nobody"}, {"friendly_name": "ann"})
    assert difference.callbacks == [created["Sid"], offered["Sid"]]


def test_the_live_loop_may_go_on(url: URL) -> None:
    """Callbacks arrive and are projected while tables and log are compared, again and again: no false alarm."""
    full(url, 1_000)
    workload, stop = Workload(3), threading.Event()

    def arrive() -> None:
        with closing(open_log(url)) as log:
            while not stop.wait(0.01):
                arrived(log, *(workload.next() for _ in range(10)))

    arriving = threading.Thread(target=arrive)
    with following(url):
        arriving.start()
        try:
            verdicts = [verify(url) for _ in range(6)]
        finally:
            stop.set()
            arriving.join()
    assert [verdict.difference for verdict in verdicts] == [None] * 6
    assert verdicts[-1].position > verdicts[0].position


def test_tables_of_another_fold_are_not_compared(url: URL) -> None:
    """They differ by right: a rebuild is asked for."""
    full(url, 100)
    with disposing(open_engine(url)) as engine, writing(engine) as connection:
        connection.execute(sa.update(tables.projection).values(fold_version=1))
    with pytest.raises(NotRebuilt, match="projector rebuild"):
        verify(url)


def test_the_command_says_it_by_its_exit_status(url: URL) -> None:
    """0 and a hash for each table; 1 and the first difference, both versions side by side."""
    full(url, 200)
    done = run_verify(url)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["difference"] is None
    assert all(len(each["hash"]) == 64 for each in said["tables"].values())
    with disposing(open_engine(url)) as engine, writing(engine) as connection:
        connection.execute(sa.update(tables.task).values(priority=99))
    done = run_verify(url)
    assert done.returncode == 1
    difference = json.loads(done.stdout)["difference"]
    assert (difference["table"], difference["in_tables"]["priority"]) == ("task", 99)
    assert difference["callbacks"]


def run_verify(url: URL) -> "subprocess.CompletedProcess[str]":
    command: list[Any] = [sys.executable, "-m", "projector", "verify", "--json"]
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_an_empty_log_equals_empty_tables(url: URL) -> None:
    """Nothing is nothing."""
    assert verify(url).difference is None
