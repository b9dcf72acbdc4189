"""Opening the log that belongs to a database URL."""

from pathlib import Path

from sqlalchemy.engine import URL

from projector.log.entry import Log


def open_log(url: URL) -> Log:
    """The log of these tables: schema `log` on PostgreSQL, on SQLite the file `<name>-log.db` beside theirs.

    Only that database's module is imported: a command is to start quickly.
    """
    if url.get_backend_name() == "sqlite":
        from eventsourcing.sqlite import SQLiteDatastore

        from projector.log.sqlite import LOCK_TIMEOUT_SECONDS, SQLiteLog

        path = log_path(url).absolute()
        return SQLiteLog(SQLiteDatastore(str(path), lock_timeout=LOCK_TIMEOUT_SECONDS, originator_id_type="text"))
    from projector.log.postgres import Datastore, PostgresLog

    return PostgresLog(Datastore(url))


def log_path(url: URL) -> Path:
    """`projector.db` → `projector-log.db`."""
    tables = Path(url.database or "")
    return tables.with_name(f"{tables.stem}-log.db")
