"""Migrations, by Alembic: from nothing to the tables of this release, and back.

Several processes may start at once on an empty database: PostgreSQL's advisory lock, SQLite's write lock, let one work and
the others find it done.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL

import migrations
from projector.access import writing
from projector.database import disposing, open_engine
from projector.errors import NotMigrated
from projector.grants import give, held
from projector.log.open import log_path
from projector.readers import let_read, make_reader
from projector.revision import current_revision
from projector.tables.reporting import SCHEMA, drop_reporting, make_reporting, reporting, reporting_there
from projector.tables.views import VIEWS, drop_views, make_views

LOCK = 0x70726F6A  # "proj"


def migrate(url: URL, revision: str = "head") -> str | None:
    """Bring the database to a revision (`head`, `base`, a number); return the one it is at."""
    with disposing(migration_engine(url)) as engine:
        if engine.dialect.name == "postgresql":
            make_reader(engine)
        with writing(engine) as connection:
            return _bring(connection, revision)


def _bring(connection: sa.Connection, revision: str) -> str | None:
    if connection.dialect.name == "postgresql":
        # Whoever comes second waits for as long as the first one works, which may be long on a large log; the rest has its usual patience.
        connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
    alembic = alembic_config()
    alembic.attributes["connection"] = connection
    current = current_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(alembic).walk_revisions()}
    if current is not None and current not in known:
        raise NotMigrated(f"The database is at revision {current}, which this release does not know. Run a newer release.")
    head = ScriptDirectory.from_config(alembic).get_current_head()
    if current == head and revision in ("head", head):
        let_read(connection)
        return current  # nothing else is touched: views and grants stay as they are
    with _views_apart(connection, head):
        (command.downgrade if revision == "base" or (current or "") > revision else command.upgrade)(alembic, revision)
    return current_revision(connection)


@contextmanager
def _views_apart(connection: sa.Connection, head: str | None) -> Iterator[None]:
    """Drop our views, whose tables are about to change, and make this release's afterwards, with the grants they had."""
    driver: Any = connection.connection.driver_connection
    is_postgres = connection.dialect.name == "postgresql"
    home = connection.execute(sa.select(sa.func.current_schema())).scalar_one() if is_postgres else ""
    grants = held(driver, home, list(VIEWS)) if is_postgres else []
    reported = reporting_there(connection)
    readers = held(driver, SCHEMA, reported) if reported else []
    try:
        drop_reporting(connection)
        drop_views(connection)
    except sa.exc.InternalError as error:
        if isinstance(error.orig, psycopg.errors.DependentObjectsStillExist):
            detail = error.orig.diag.message_detail
            raise NotMigrated(f"Something of yours depends on a view to be made anew: {detail} Drop it first.") from error
        raise
    yield
    if current_revision(connection) == head:
        make_views(connection)
        give(driver, home, grants)
        if is_postgres:
            make_reporting(connection)
            give(driver, SCHEMA, readers)
            let_read(connection, [name for name in reporting() if name not in reported])


def alembic_config() -> AlembicConfig:
    """Alembic's settings; there is no file of them."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


def migration_engine(url: URL) -> sa.Engine:
    """An engine that sees the log as the schema `log` on SQLite too: its file attached."""
    engine = open_engine(url, patient=True)
    if url.get_backend_name() == "sqlite":
        path = str(log_path(url).absolute())

        @sa.event.listens_for(engine, "connect")
        def attach(connection: object, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout=30000")  # type: ignore[attr-defined]
            connection.execute("ATTACH DATABASE ? AS log", (path,))  # type: ignore[attr-defined]
            connection.execute("PRAGMA log.journal_mode=WAL")  # type: ignore[attr-defined]

    return engine
