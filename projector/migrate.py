"""Migrations, by Alembic: from nothing to the tables of this release, and back.

Several processes may start at once on an empty database: PostgreSQL's advisory lock, SQLite's write lock, let one work and
the others find it done.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL

import migrations
from projector.database import disposing, open_engine
from projector.errors import NotMigrated
from projector.log.open import log_path
from projector.table_sink import reading, writing
from projector.tables.views import drop_views, make_views

LOCK = 0x70726F6A  # "proj"


def migrate(url: URL, revision: str = "head") -> str | None:
    """Bring the database to a revision (`head`, `base`, a number); return the one it is at."""
    alembic = alembic_config()
    with disposing(migration_engine(url)) as engine, writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        alembic.attributes["connection"] = connection
        current = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in ScriptDirectory.from_config(alembic).walk_revisions()}
        if current is not None and current not in known:
            raise NotMigrated(f"The database is at revision {current}, which this release does not know. Run a newer release.")
        drop_views(connection)
        (command.downgrade if revision == "base" or (current or "") > revision else command.upgrade)(alembic, revision)
        reached = MigrationContext.configure(connection).get_current_revision()
        if reached == ScriptDirectory.from_config(alembic).get_current_head():
            make_views(connection)
        return reached


def check_migrated(url: URL) -> None:
    """Refuse tables of another release. Raises `NotMigrated`."""
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if current != head:
        raise NotMigrated(f"The tables are at revision {current or 'none'}, this release needs {head}. Run `projector migrate`.")


def alembic_config() -> AlembicConfig:
    """Alembic's settings; there is no file of them."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


def migration_engine(url: URL) -> sa.Engine:
    """An engine that sees the log as the schema `log` on SQLite too: its file attached."""
    engine = open_engine(url)
    if url.get_backend_name() == "sqlite":
        path = str(log_path(url).absolute())

        @sa.event.listens_for(engine, "connect")
        def attach(connection: object, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout=30000")  # type: ignore[attr-defined]
            connection.execute("ATTACH DATABASE ? AS log", (path,))  # type: ignore[attr-defined]
            connection.execute("PRAGMA log.journal_mode=WAL")  # type: ignore[attr-defined]

    return engine
