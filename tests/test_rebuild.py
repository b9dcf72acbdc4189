"""A rebuild: the same rows as live, beside live, and whatever ends it leaves the tables as they were."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any, NamedTuple

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import projected, reading, writing
from projector.database import disposing, open_engine
from projector.errors import NotMigrated, NotRebuilt, StandingBy
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.fresh import fresh_tables
from projector.fresh.postgres import SCHEMA
from projector.log import Entry, open_log
from projector.migrate import migrate
from projector.project import folded_page, project
from projector.rebuild import rebuild
from projector.status import progress
from projector.table_sink import TableSink
from projector.taskrouter import task
from projector.taskrouter.fold import FOLD_VERSION
from tests.given import arrived, task_created, text_url
from tests.harness import Clients, Process, Workload, assert_tables_are_the_folded_log, caught_up, ending, measured, wait_until
from tests.test_migrations import by_expression, differences

CALLBACKS = int(os.environ.get("PROJECTOR_REBUILD_CALLBACKS", "6000"))
RATE = float(os.environ.get("PROJECTOR_REBUILD_RATE", "60"))  # callbacks per second that arrive meanwhile
JOBS = int(os.environ.get("PROJECTOR_REBUILD_JOBS", "2"))
READ_EVERY_SECONDS = 0.01
KILLS = int(os.environ.get("PROJECTOR_REBUILD_KILLS", "10"))


def full(url: URL, callbacks: int, seed: int = 1) -> None:
    """A log of a simulated floor, late and duplicate deliveries included, and the tables it comes to."""
    batch: list[Entry] = []
    with closing(open_log(url)) as log:
        for at_ms, parameters in islice(deliveries(Floor(seed).callbacks(), seed, lost=0.02), callbacks):
            batch.append(Entry.of(parameters, "callback", at_ms))
            if len(batch) == 1000:
                log.append(batch)
                batch = []
        log.append(batch)
        with disposing(open_engine(url)) as engine:
            project(log, TableSink(engine))


def rows(url: URL) -> dict[str, Any]:
    with disposing(open_engine(url)) as engine:
        return TableSink(engine).rows()


def spoil(url: URL) -> None:
    """Tables that no fold would have made."""
    with disposing(open_engine(url)) as engine, writing(engine) as connection:
        connection.execute(sa.update(tables.task).values(status="spoilt"))
        connection.execute(sa.delete(tables.task_queue_span_past))


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_a_rebuild_gives_the_rows_of_the_live_loop(url: URL, parts: int) -> None:
    """Law 2: any partitioning. What somebody spoilt is mended, and every index, name and comment is where a migration puts it."""
    full(url, 2500)
    live = rows(url)
    spoil(url)
    assert rows(url) != live
    rebuilt = rebuild(url, parts)
    assert (rows(url), rebuilt.parts) == (live, parts)
    assert_tables_are_the_folded_log(url)


@pytest.mark.filterwarnings("ignore:Computed default on")
def test_swapped_tables_are_what_a_migration_makes(url: URL) -> None:
    """No difference in columns, indexes, constraints or comments, twice in a row; nothing is left beside them."""
    full(url, 500)
    migrated = by_expression(url)
    for _ in range(2):
        rebuild(url)
        assert differences(url) == []
        assert by_expression(url) == migrated
    if url.get_backend_name() == "sqlite":
        assert url.database
        folder = os.listdir(os.path.dirname(url.database))  # noqa: PTH120, PTH208
        assert not [name for name in folder if "rebuild" in name and not name.endswith(".lock")]
    else:
        with disposing(open_engine(url)) as engine, reading(engine) as connection:
            assert SCHEMA not in sa.inspect(connection).get_schema_names()


def test_an_empty_log_is_rebuilt_too(url: URL) -> None:
    """Nothing comes to nothing, and what arrives afterwards is projected."""
    assert rebuild(url, 2).position == 0
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        arrived(log, task_created(at=0))
        project(log, TableSink(engine))
    assert_tables_are_the_folded_log(url)


def test_a_rebuild_is_due_after_another_release_s_fold_and_done_by_a_rebuild(url: URL) -> None:
    """Status says so until then; `run` says so and goes on."""
    full(url, 300)
    with disposing(open_engine(url)) as engine, closing(open_log(url)) as log:
        with writing(engine) as connection:
            connection.execute(sa.update(tables.projection).values(fold_version=FOLD_VERSION - 1))
        assert progress(log, engine, 0)["rebuild_due"]
        loop = Process(url, "run")
        with ending(loop):
            loop.start()
            wait_until(lambda: bool(loop.said("projecting")))
            assert loop.said("rebuild_due")[0]["next"] == "projector rebuild"
        rebuild(url)
        assert not progress(log, engine, 0)["rebuild_due"]


def test_what_was_folded_upon_the_old_tables_is_refused_by_the_new_ones(url: URL) -> None:
    """A batch begun before the swap, by another fold: the loop stands by and begins again."""
    full(url, 300)
    with disposing(open_engine(url)) as engine, closing(open_log(url)) as log:
        with writing(engine) as connection:
            connection.execute(sa.update(tables.projection).values(fold_version=FOLD_VERSION - 1))
        sink = TableSink(engine)
        position = sink.position()
        rebuild(url)
        arrived(log, task_created(at=0))
        batch = folded_page(log, sink, position, log.read(position, 10))
        with pytest.raises(StandingBy):
            sink.save(batch)
        project(log, sink)
    assert_tables_are_the_folded_log(url)


def test_one_rebuild_at_a_time(url: URL) -> None:
    """The second one is refused in a sentence."""
    full(url, 100)
    with fresh_tables(url).alone(), pytest.raises(NotRebuilt, match="Another rebuild"):
        rebuild(url)
    rebuild(url)


def test_a_unit_that_cannot_be_folded_stops_the_rebuild(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live loop steps over a bug of ours, one unit at a time; a rebuild would lose that unit's rows, so it does not swap."""
    full(url, 300)
    before = rows(url)

    def broken(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(task, "_described", broken)
    with pytest.raises(NotRebuilt, match="units could not be folded"):
        rebuild(url)
    assert rows(url) == before


class Look(NamedTuple):
    """What one read saw: the position, the callbacks counted by type, those folded into units, and tasks."""

    position: int
    counted: int
    folded: int
    tasks: int


def _look_statement() -> sa.Select[Any]:
    heads = [table for table in tables.CURRENT if "callback_count" in table.c]
    folded = [sa.select(sa.func.coalesce(sa.func.sum(table.c.callback_count), 0)).scalar_subquery() for table in heads]
    deletions = [sa.select(sa.func.count(table.c.deletion_order)).scalar_subquery() for table in heads]
    counted = sa.select(sa.func.coalesce(sa.func.sum(tables.event_type_count.c.times), 0)).scalar_subquery()
    total = folded[0]
    for more in (*folded[1:], *deletions):
        total = total + more
    tasks = sa.select(sa.func.count()).select_from(tables.task).scalar_subquery()
    position = sa.select(tables.projection.c.position).where(tables.projection.c.name == "tables").scalar_subquery()
    return sa.select(position, counted, total, tasks)


LOOK = _look_statement()


class Reader:
    """Somebody who looks at the tables all the time, in one statement, and remembers whatever was wrong."""

    def __init__(self, url: URL) -> None:
        self.reads, self.wrong, self.troubles = 0, [], []  # type: ignore[var-annotated]
        self._url, self._stop = url, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _look(self) -> None:
        last = Look(0, 0, 0, 0)
        with disposing(open_engine(self._url)) as engine:
            while not self._stop.wait(READ_EVERY_SECONDS):
                try:
                    with reading(engine) as connection:
                        look = Look(*connection.execute(LOOK).one())
                except Exception as error:  # noqa: BLE001 (a reader's error is what the test is about)
                    self.troubles.append(repr(error))
                    continue
                self.reads += 1
                # One statement is one moment: all callbacks up to the position, and never fewer than before.
                if not (look.position == look.counted == look.folded and look >= last):
                    self.wrong.append((last, look))
                last = look


def test_the_reader_sees_a_swap_that_is_none(url: URL) -> None:
    """The bug to be seen: tables emptied and filled one after another. The reader of the test below finds it every time."""
    full(url, 500)
    with disposing(open_engine(url)) as engine, Reader(url) as reader:
        wait_until(lambda: reader.reads > 5)
        for table in tables.FOLDED:
            stored = [column for column in table.c if column.computed is None]
            with writing(engine) as connection:
                kept = [dict(row) for row in connection.execute(sa.select(*stored)).mappings()]
                connection.execute(sa.delete(table))
            read = reader.reads
            wait_until(lambda read=read: reader.reads > read + 1)
            with writing(engine) as connection:
                for start in range(0, len(kept), 500):
                    connection.execute(sa.insert(table), kept[start : start + 500])
    assert reader.wrong
    assert not reader.troubles


@contextmanager
def serving(url: URL) -> Iterator[Process]:
    server = Process.serving(url)
    with ending(server):
        yield server.start().wait_alive()


def test_a_rebuild_beside_live(url: URL) -> None:
    """Callbacks keep coming and are all answered 204; a reader never sees tables that are empty, mixed or older than before."""
    full(url, CALLBACKS)
    threads = max(4, round(RATE / 50))
    with serving(url) as server, Reader(url) as reader:
        assert server.port is not None
        with Clients(server.port, Workload(11), threads, pause=threads / RATE) as clients:
            wait_until(lambda: clients.acks() > 20)
            began, posted = time.monotonic(), len(clients.answers)
            done = run_rebuild(url, JOBS)
            seconds, during = time.monotonic() - began, len(clients.answers) - posted
            assert done.returncode == 0, done.stderr
            wait_until(lambda: reader.reads > 20)
            clients.finish()
        wait_until(lambda: caught_up(server))
        assert (reader.wrong, reader.troubles, clients.troubles) == ([], [], [])
        assert {answer.status for answer in clients.answers} == {204}
        slowest = max(answer.seconds for answer in clients.answers)
        measured(
            f"{url.get_backend_name()}: {CALLBACKS} callbacks rebuilt in {seconds:.1f} s beside {during} posts ({during / seconds:.0f} a "
            f"second), all 204, slowest {slowest:.2f} s; {reader.reads} reads, 0 wrong; swap refused {done.stderr.count('swap_refused')} times"
        )
    assert_tables_are_the_folded_log(url)


def run_rebuild(url: URL, jobs: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "projector", "rebuild", "--jobs", str(jobs)]
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.crash
def test_a_rebuild_killed_at_any_moment_leaves_the_tables_and_can_be_run_again(url: URL) -> None:
    """SIGKILL to all its processes at random moments: the rows are the old ones or the new ones, which are the same; then it ends."""
    full(url, 3000)
    live = rows(url)
    moments = random.Random(5)
    with disposing(open_engine(url)) as engine:
        for _ in range(KILLS):
            rebuilding = Process(url, "rebuild", "--jobs", "2").start()
            time.sleep(moments.uniform(0.3, 3.5))
            rebuilding.kill()
            with reading(engine) as connection:
                row = projected(connection)
            assert row.position > 0
            assert TableSink(engine).rows() == live
    spoil(url)
    assert run_rebuild(url, 2).returncode == 0
    assert rows(url) == live


@pytest.mark.crash
@pytest.mark.parametrize("after", [0.5, 0.7, 0.9, 1.2])
def test_nobody_outlives_a_rebuild_that_is_ended_while_it_starts(url: URL, after: float) -> None:
    """SIGTERM to it alone while its processes begin: they end by themselves, and the next one is not disturbed."""
    full(url, 1000)
    rebuilding = Process(url, "rebuild", "--jobs", "3").start()
    with ending(rebuilding):
        time.sleep(after)
        rebuilding.signal(signal.SIGTERM)
        rebuilding.wait()
        assert run_rebuild(url, 3).returncode == 0
        wait_until(lambda: not rebuilding.pids())
    assert_tables_are_the_folded_log(url)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_rebuild_ends_cleanly(url: URL, jobs: int) -> None:
    """Ctrl-C: no traceback, nothing left, and the next one runs."""
    full(url, 20_000)
    rebuilding = Process(url, "rebuild", "--jobs", str(jobs)).start()
    with ending(rebuilding):
        wait_until(lambda: _begun(url), every=0.01)
        time.sleep(0.7 * (jobs - 1))  # until its processes have begun
        rebuilding.signal_all(signal.SIGINT)
        assert rebuilding.wait() != 0
    assert "Traceback" not in rebuilding.stderr
    assert not _begun(url)
    rebuild(url)


def _begun(url: URL) -> bool:
    if url.get_backend_name() == "sqlite":
        assert url.database
        return os.path.exists(url.database.replace(".db", "-rebuild-0.db"))  # noqa: PTH110
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        return SCHEMA in sa.inspect(connection).get_schema_names()


@pytest.fixture
def postgres(databases: Any) -> URL:
    url: URL = databases.new("postgresql")
    full(url, 300)
    return url


def test_grants_and_views_of_others_live_through_the_swap(postgres: URL) -> None:
    """Whoever may read may read afterwards, tables and single columns; views built on our views stay."""
    reader = f"reader_{postgres.database}"
    with psycopg.connect(text_url(postgres), autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {reader}", f"GRANT SELECT ON task TO {reader}", f"GRANT SELECT (worker_sid) ON worker TO {reader} WITH GRANT OPTION",
            f"GRANT SELECT ON worker_activity_span TO {reader}", "GRANT SELECT ON reservation TO PUBLIC",
            "CREATE VIEW theirs AS SELECT count(*) AS spells FROM worker_activity_span",
        ):  # fmt: skip
            connection.execute(statement)
        spells = connection.execute("SELECT spells FROM theirs").fetchone()
        rebuild(postgres)
        connection.execute(f"SET ROLE {reader}")
        for statement in (
            "SELECT status FROM task", "SELECT worker_sid FROM worker", "SELECT * FROM worker_activity_span", "SELECT * FROM reservation",
        ):  # fmt: skip
            assert connection.execute(statement).fetchall() is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT attributes FROM worker")
        connection.execute("RESET ROLE")
        assert connection.execute("SELECT spells FROM theirs").fetchone() == spells
        connection.execute(f"DROP OWNED BY {reader}")
        connection.execute(f"DROP ROLE {reader}")


def test_a_schema_of_somebody_else_s_is_left_alone(postgres: URL) -> None:
    """It has our name and not our comment: the rebuild asks for it to be renamed."""
    with psycopg.connect(text_url(postgres), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA projector_rebuild")
        connection.execute("CREATE TABLE projector_rebuild.precious AS SELECT 1 AS one")
        with pytest.raises(NotRebuilt, match="Rename it"):
            rebuild(postgres)
        assert connection.execute("SELECT one FROM projector_rebuild.precious").fetchone() == (1,)


def test_a_migration_that_changes_nothing_leaves_grants_and_views_alone(postgres: URL) -> None:
    """The compose file migrates at every start."""
    with psycopg.connect(text_url(postgres), autocommit=True) as connection:
        connection.execute("GRANT SELECT ON worker_activity_span TO PUBLIC")
        connection.execute("CREATE VIEW theirs AS SELECT count(*) AS spells FROM worker_activity_span")
        granted = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC' AND table_name = 'worker_activity_span'"
        migrate(postgres)
        assert connection.execute(granted).fetchone() == (1,)
        with pytest.raises(NotMigrated, match="theirs depends on view"):
            migrate(postgres, "0002")
        connection.execute("DROP VIEW theirs")
        migrate(postgres, "0002")
        migrate(postgres)


def test_a_view_of_others_upon_a_table_is_named(postgres: URL) -> None:
    """It would break with the table, so the rebuild says which it is and swaps nothing."""
    before = rows(postgres)
    with psycopg.connect(text_url(postgres), autocommit=True) as connection:
        connection.execute("CREATE VIEW theirs AS SELECT * FROM task")
        with pytest.raises(NotRebuilt, match="view theirs depends on table task"):
            rebuild(postgres)
        connection.execute("DROP VIEW theirs")
    assert rows(postgres) == before


def test_a_long_query_makes_the_swap_wait_and_is_not_disturbed(postgres: URL) -> None:
    """The swap tries again; the reader in its way ends in peace."""
    with psycopg.connect(text_url(postgres)) as connection:
        connection.execute("SELECT * FROM task")  # in a transaction: the table stays locked against the swap
        waiting = threading.Thread(target=rebuild, args=(postgres,))
        waiting.start()
        time.sleep(2)
        assert waiting.is_alive()
        assert connection.execute("SELECT count(*) FROM reservation").fetchone() is not None
        connection.commit()
        waiting.join(timeout=60)
        assert not waiting.is_alive()
    assert_tables_are_the_folded_log(postgres)
