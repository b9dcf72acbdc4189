"""The projecting loop: one works and others stand by, nothing is written twice, and what is in its way passes or is told."""

import itertools
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import writing
from projector.config import Config
from projector.database import database_url, disposing, open_engine
from projector.errors import StandingBy
from projector.follow import follow
from projector.lease import Lease
from projector.log import Log, open_log
from projector.migrate import migrate
from projector.project import folded_page, project
from projector.status import progress, status
from projector.table_sink import TableSink
from projector.taskrouter import task
from tests.given import WORKSPACE, arrived, reservation, sid, task_completed, task_created
from tests.harness import Process, Workload, assert_tables_are_the_folded_log, end_lease, ending, measured, wait_until
from tests.postgres import Server
from webhook import create_app

TAKEOVER_SECONDS = 20.0  # promised are 10; a machine busy with other tests is granted more


class Floor:
    """A log to append to and tables to look at."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._workload = Workload(7)

    def happen(self, callbacks: int = 100) -> None:
        """Append so many."""
        with self.log() as log:
            arrived(log, *(self._workload.next() for _ in range(callbacks)))

    def projected(self) -> bool:
        """True when the tables are at the end of the log."""
        with self.log() as log, disposing(open_engine(self.url)) as engine:
            return TableSink(engine).position() == log.end() > 0

    @contextmanager
    def log(self) -> Iterator[Log]:
        log = open_log(self.url)
        try:
            yield log
        finally:
            log.close()


@contextmanager
def following(url: URL) -> Iterator[threading.Thread]:
    """The loop, in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=follow, args=(Config(database_url=url), stop))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


def two_loops(floor: Floor) -> tuple[Process, Process]:
    """One that works, and one that stands by for it."""
    worker, standby = Process(floor.url, "run"), Process(floor.url, "run")
    worker.start()
    wait_until(lambda: bool(worker.said("projecting")))
    standby.start()
    wait_until(lambda: bool(standby.said("standing_by")))
    floor.happen()
    wait_until(floor.projected)
    return worker, standby


def test_a_standby_takes_over_from_a_killed_loop(url: URL) -> None:
    """Two loops: one projects. It is killed, and the other goes on where it stopped."""
    floor = Floor(url)
    worker, standby = two_loops(floor)
    with ending(worker, standby):
        assert not standby.said("projecting")
        worker.kill()
        floor.happen()
        took = wait_until(floor.projected, TAKEOVER_SECONDS)
        measured(f"{url.get_backend_name()}: taken over {took:.1f} s after SIGKILL")
        standby.signal(signal.SIGTERM)
        assert standby.wait() == 0
    assert_tables_are_the_folded_log(url)


def test_a_loop_that_was_paused_past_its_lease_changes_nothing_and_steps_down(url: URL) -> None:
    """The holder sleeps, the standby takes over; the holder wakes, writes nothing and stands by from then on."""
    floor = Floor(url)
    sleeper, standby = two_loops(floor)
    with ending(sleeper, standby):
        sleeper.signal(signal.SIGSTOP)
        floor.happen()
        took = wait_until(floor.projected, TAKEOVER_SECONDS)
        measured(f"{url.get_backend_name()}: taken over {took:.1f} s after SIGSTOP")
        floor.happen()
        sleeper.signal(signal.SIGCONT)
        floor.happen()
        wait_until(lambda: bool(sleeper.said("standing_by")))
        wait_until(floor.projected)
        assert len(sleeper.said("projecting")) == len(standby.said("projecting")) == 1
        for process in (sleeper, standby):
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
    assert_tables_are_the_folded_log(url)


def test_four_loops_at_once_write_everything_once(url: URL) -> None:
    """Four start together on a full log: one projects it, three stand by, and none ends."""
    floor = Floor(url)
    floor.happen(3_000)
    loops = [Process(url, "run") for _ in range(4)]
    with ending(*loops):
        for loop in loops:
            loop.start()
        wait_until(floor.projected)
        wait_until(lambda: sum(bool(loop.said("standing_by")) for loop in loops) == 3)
        assert sum(len(loop.said("projecting")) for loop in loops) == 1
        for loop in loops:
            loop.signal(signal.SIGTERM)
        assert [loop.wait() for loop in loops] == [0] * 4
    assert_tables_are_the_folded_log(url)


def test_the_fence_holds_without_the_lease_s_help(url: URL) -> None:
    """A batch that was folded before another loop took over is refused whole, whichever of lease and position changed."""
    floor = Floor(url)
    floor.happen()
    with floor.log() as log, disposing(open_engine(url)) as engine:
        first, second = Lease(), Lease()
        slow, quick = TableSink(engine, first), TableSink(engine, second)
        with writing(engine) as connection:
            assert first.take(connection)
        batch = folded_page(log, slow, 0, log.read(0, 50))
        with writing(engine) as connection:
            assert not second.take(connection)
        end_lease(url)
        with writing(engine) as connection:
            assert second.take(connection)
        before = quick.rows()
        with pytest.raises(StandingBy):
            slow.save(batch)  # the position is still the one it began at
        assert (quick.position(), quick.rows()) == (0, before)
        project(log, quick)
        after = quick.rows()
        with pytest.raises(StandingBy):
            TableSink(engine).save(batch)  # no lease asked for: the position alone refuses it
        assert quick.rows() == after
    assert_tables_are_the_folded_log(url)


@pytest.mark.parametrize(
    ("moved", "told"),
    [({"position": 1_000_000}, "which ends at 100"), ({"originator_id": f"{WORKSPACE}/{sid('EV', 'elsewhere')}"}, "which has")],
    ids=["beyond the log", "another callback there"],
)
def test_tables_of_another_log_are_refused(url: URL, moved: dict[str, Any], told: str) -> None:
    """After one of the two was restored from a backup the loop says so in a sentence and ends with status 2."""
    floor = Floor(url)
    with floor.log() as log, disposing(open_engine(url)) as engine:
        arrived(log, *(task_created(n, f"task {n}") for n in range(100)))
        project(log, TableSink(engine))
        with writing(engine) as connection:
            connection.execute(sa.update(tables.projection).values(moved))
    process = Process(url, "run")
    with ending(process):
        process.start()
        assert process.wait(60) == 2
        wait_until(lambda: "Restore both from one backup" in process.stderr)
        assert told in process.stderr
        assert "Traceback" not in process.stderr


def failing_for(name: str) -> Callable[..., Any]:
    """A task's evolve with a bug that one task meets."""
    evolve = task.evolve

    def broken(head: Any, callback: Any) -> Any:
        if head.task_sid == sid("WT", name) and callback.event_type == "reservation.accepted":
            raise ZeroDivisionError(f"{name} has a secret")
        return evolve(head, callback)

    return broken


def lives(names: list[str]) -> list[dict[str, str]]:
    """The lives of these tasks, side by side."""
    told = [
        [
            task_created(0, name),
            reservation("created", 1, name, name),
            reservation("accepted", 2, name, name),
            task_completed(9, name),
        ]
        for name in names
    ]
    return list(itertools.chain.from_iterable(zip(*told, strict=True)))


@pytest.mark.parametrize("page", [1, 5, 500])
@pytest.mark.parametrize("mended", ["the loop starts again", "its next callback"])
def test_a_fold_that_fails_concerns_its_unit_alone_and_heals(
    url: URL, monkeypatch: pytest.MonkeyPatch, page: int, mended: str
) -> None:
    """One task's fold raises: the others are exact, status and /readyz say so; once mended, the tables are a clean fold."""
    unit = f"{WORKSPACE}/task/{sid('WT', 'poison')}"
    floor, config = Floor(url), Config(database_url=url)
    with floor.log() as log, disposing(open_engine(url)) as engine:
        sink = TableSink(engine)
        arrived(log, *lives(["good", "poison", "fine"]))
        monkeypatch.setattr(task, "evolve", failing_for("poison"))
        project(log, sink, page=page)
        assert sink.position() == log.end()
        found = status(log, engine, 0)["incomplete"]
        assert list(found) == [unit]
        assert found[unit].startswith("ZeroDivisionError at ")
        client = create_app(config, log, lambda now_ms: progress(log, engine, now_ms)).test_client()
        assert client.get("/readyz").status_code == 503
        assert client.get("/readyz").get_json()["incomplete_units"] == 1
        statuses = {key[1]: row["status"] for key, row in sink.rows()["task"].items()}
        assert statuses[sid("WT", "good")] == statuses[sid("WT", "fine")] == "completed"

        monkeypatch.undo()
        if mended == "its next callback":
            arrived(log, task_created(10, "poison"))
            project(log, sink, page=page)
        else:
            with following(url):
                wait_until(lambda: TableSink(engine).incomplete() == set(), 10)  # the one above remembers its own
        assert status(log, engine, 0)["incomplete"] == {}
        assert client.get("/readyz").status_code == 200
    assert_tables_are_the_folded_log(url)


def test_what_is_logged_of_a_failed_fold_quotes_nothing(
    url: URL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log line names the unit and the line of code; the error's message, which may quote data, stays out."""
    monkeypatch.setattr(task, "evolve", failing_for("poison"))
    with Floor(url).log() as log, disposing(open_engine(url)) as engine:
        arrived(log, *lives(["poison"]))
        project(log, TableSink(engine))
        assert "secret" not in str(status(log, engine, 0))
    (record,) = [record for record in caplog.records if record.message == "fold_failed"]
    assert "secret" not in str(vars(record))


def test_the_loop_waits_for_a_database_that_went_away(caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL stops and starts again: the same loop goes on by itself."""
    caplog.set_level(logging.INFO)
    with TemporaryDirectory(prefix="projector-away-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            url = database_url(server.url)
            migrate(url)
            floor = Floor(url)
            with following(url) as loop:
                floor.happen()
                wait_until(floor.projected)
                server.stop("immediate")
                wait_until(lambda: "database_away" in caplog.messages)
                time.sleep(1)
                server.start()
                floor.happen()
                wait_until(floor.projected)
                assert loop.is_alive()
            assert_tables_are_the_folded_log(url)
        finally:
            server.stop()


def test_a_batch_that_was_refused_is_folded_again_though_nothing_else_comes(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been written behind: a loop with nothing to do asks what became of it."""
    save, refused = TableSink.save, threading.Event()

    def refusing_once(sink: TableSink, batch: Any) -> None:
        if not refused.is_set():
            refused.set()
            raise StandingBy("Another loop took over.")
        save(sink, batch)

    monkeypatch.setattr(TableSink, "save", refusing_once)
    floor = Floor(url)
    floor.happen()
    with following(url):
        wait_until(floor.projected)
    assert refused.is_set()


def test_the_loop_waits_for_a_locked_file(new_url: Callable[[str], URL], caplog: pytest.LogCaptureFixture) -> None:
    """Somebody locks the tables' file for longer than SQLite waits: the same loop goes on when it is free again."""
    caplog.set_level(logging.INFO)
    url = new_url("sqlite")
    floor = Floor(url)
    with following(url) as loop:
        floor.happen()
        wait_until(floor.projected)
        connection = sqlite3.connect(url.database or "", isolation_level=None, timeout=30)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            floor.happen()
            wait_until(lambda: "database_away" in caplog.messages)
        finally:
            connection.close()
        wait_until(floor.projected)
        assert loop.is_alive()
    assert_tables_are_the_folded_log(url)
