"""Opening the log that belongs to a database URL."""

from pathlib import Path

from eventsourcing.sqlite import SQLiteDatastore
from sqlalchemy.engine import URL

from projector.log.entry import Log
from projector.log.postgres import Datastore, PostgresLog
from projector.log.sqlite import LOCK_TIMEOUT_SECONDS, SQLiteLog


def open_log(url: URL) -> Log:
    """The log of these tables: schema `log` on PostgreSQL, on SQLite the file `<name>-log.db` beside theirs."""
    if url.get_backend_name() == "sqlite":
        path = log_path(url).absolute()
        return SQLiteLog(SQLiteDatastore(str(path), lock_timeout=LOCK_TIMEOUT_SECONDS, originator_id_type="text"))
    return PostgresLog(Datastore(url))


def log_path(url: URL) -> Path:
    """`projector.db` → `projector-log.db`."""
    tables = Path(url.database or "")
    return tables.with_name(f"{tables.stem}-log.db")
