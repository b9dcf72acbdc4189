"""Migrations lead from nothing to exactly what tables.py says, and back."""

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from projector import tables
from projector.access import reading, writing
from projector.database import disposing, open_engine
from projector.errors import NotMigrated, NotRebuilt, ProjectorError
from projector.log import open_log, schema
from projector.migrate import LOCK, alembic_config, migrate, migration_engine
from projector.read.moment import at
from projector.rebuild import rebuild
from projector.revision import REVISION, check_migrated
from projector.status import progress
from projector.tables.reporting import grants
from projector.verify import verify
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import arrived, ms, sid, task_created, text_url, worker

BY_EXPRESSION = "ix_task_quiet"


def compared(_: object, name: str | None, *__: object) -> bool:
    return name != BY_EXPRESSION


def differences(url: sa.URL) -> list[object]:
    # SQLite gives server defaults back in another spelling, so they are compared on PostgreSQL alone.
    options = {
        "include_schemas": True,
        "include_object": compared,
        "compare_type": True,
        "compare_server_default": url.get_backend_name() != "sqlite",
    }
    with disposing(migration_engine(url)) as engine, engine.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(autogenerate skipping|Skipped unsupported reflection of).*expression")
        context = MigrationContext.configure(connection, opts=options)
        reporting = [] if url.get_backend_name() == "sqlite" else [grants]
        return compare_metadata(context, [tables.metadata, schema.metadata, *reporting])


def by_expression(url: sa.URL) -> str:
    """The index by an expression, which Alembic cannot compare, as the database gives it back."""
    told = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE name = :name",
        "postgresql": "SELECT pg_get_indexdef(CAST(:name AS regclass))",
    }
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        return str(connection.execute(sa.text(told[url.get_backend_name()]), {"name": BY_EXPRESSION}).scalar_one())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore:Computed default on")  # Alembic cannot alter these; it compares their presence
def test_from_nothing_to_head_equals_the_tables_and_back_leaves_nothing(databases: Databases, backend: str) -> None:
    """Upgrade, downgrade and upgrade again leave no difference to tables.py, and nothing behind at base."""
    url = databases.new(backend, migrated=False)
    assert migrate(url) == REVISION
    assert differences(url) == []
    assert migrate(url, "base") is None
    with disposing(migration_engine(url)) as engine, engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    assert migrate(url) == REVISION
    assert differences(url) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_index_by_an_expression_is_the_tables_one_too(databases: Databases, backend: str) -> None:
    """A migration makes what tables.py says."""
    migrated, plain = databases.new(backend), databases.new(backend, migrated=False)
    with disposing(open_engine(plain)) as engine, writing(engine) as connection:
        tables.task.create(connection)
    assert by_expression(migrated) == by_expression(plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_tables_of_the_release_before_are_brought_here_by_a_migration_and_a_rebuild(
    databases: Databases, backend: str
) -> None:
    """Until the rebuild it is said to be due, and nobody is told a history that is not there."""
    url = databases.new(backend)
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        arrived(log, worker("created", at=0), task_created(at=1))
        migrate(url, "0002")  # as that release left it
        stands = {"position": log.end(), "originator_id": log.originator_at(log.end()), "fold_version": 1}
        with writing(engine) as connection:
            connection.execute(sa.update(tables.projection).values(stands))  # as if that release had projected them
        assert migrate(url) == REVISION
        assert progress(log, engine, 0)["rebuild_due"]
        with pytest.raises(NotRebuilt, match="projector rebuild"):
            at(engine, log, sid("WK", "ann"), ms(5))
        rebuild(url)
        assert at(engine, log, sid("WK", "ann"), ms(5))["activity"]["activity_name"] == "Idle"
    assert verify(url).difference is None


def test_a_log_with_callbacks_is_never_dropped(url: sa.URL) -> None:
    """Going back to nothing stops at a log that holds anything."""
    log = open_log(url)
    arrived(log, task_created(at=0))
    with pytest.raises(ProjectorError, match="never drops"):
        migrate(url, "base")
    assert log.end() == 1
    log.close()


def test_a_migration_waits_for_another_however_long_it_takes(databases: Databases) -> None:
    """Longer than a statement waits for a lock elsewhere (3 s): on a large log the first one has much to do."""
    url = databases.new("postgresql", migrated=False)
    found: list[str | None] = []
    second = threading.Thread(target=lambda: found.append(migrate(url)))
    with disposing(migration_engine(url)) as engine, engine.begin() as first:
        first.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        second.start()
        second.join(4)
        assert (second.is_alive(), found) == (True, [])
    second.join(60)
    assert found == [REVISION]


@pytest.mark.parametrize("backend", BACKENDS)
def test_eight_processes_starting_on_an_empty_database_all_start(databases: Databases, backend: str) -> None:
    """Eight at once migrate and append: none fails, all eight callbacks are stored."""
    url = databases.new(backend, migrated=False)
    program = (
        "import sys; from projector.database import database_url; from projector.migrate import migrate;"
        "from projector.log import open_log; from tests.given import *;"
        "url = database_url(sys.argv[1]); migrate(url); log = open_log(url);"
        "arrived(log, task_created(0, sys.argv[2])); log.close()"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, text_url(url), str(n)]) for n in range(8)]
    assert [process.wait(timeout=120) for process in started] == [0] * 8
    log = open_log(url)
    assert log.end() == 8
    log.close()


def test_a_log_of_the_release_before_is_not_appended_to(new_url: Callable[[str], sa.URL]) -> None:
    """Its way of appending is not there: whoever tries is told what to run."""
    url = new_url("postgresql")
    migrate(url, "0003")
    with closing(open_log(url)) as log, pytest.raises(NotMigrated, match="projector migrate"):
        arrived(log, task_created(at=0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_database_is_refused_with_the_next_step(databases: Databases, backend: str) -> None:
    """Whoever forgot to migrate is told to."""
    url = databases.new(backend, migrated=False)
    with pytest.raises(NotMigrated, match="projector migrate"):
        check_migrated(url)


def test_the_revision_asked_for_at_every_start_is_alembic_s_newest() -> None:
    """`projector.revision` does without Alembic, so it names the revision itself."""
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == REVISION


def test_postgresql_leaves_the_log_s_rows_uncompressed(new_url: Callable[[str], sa.URL]) -> None:
    """As the migration sets it: most callbacks would be compressed at every append otherwise."""
    with disposing(open_engine(new_url("postgresql"))) as engine, reading(engine) as connection:
        options = "SELECT reloptions FROM pg_class WHERE oid = 'log.stored_events'::regclass"
        assert connection.execute(sa.text(options)).scalar() == ["toast_tuple_target=8160"]
