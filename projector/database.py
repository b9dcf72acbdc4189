"""The tables' database: an engine with the settings each database needs, and its URL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from projector.errors import Misconfigured

LIMIT_SECONDS = 60.0  # for a statement
STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine: a millisecond or so
WRITES = {"sqlite_begin": "BEGIN IMMEDIATE"}  # execution options of a transaction that will write


def database_url(text: str) -> URL:
    """The URL of PROJECTOR_DATABASE_URL: `sqlite:///FILE` or `postgresql://…`, the driver being our choice."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(
            "PROJECTOR_DATABASE_URL is not a URL. Write sqlite:///projector.db or postgresql://user@host/name."
        ) from error
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite")
        case "sqlite":
            raise Misconfigured("SQLite in memory is not shared between connections. Name a file: sqlite:///projector.db.")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise Misconfigured(f"PROJECTOR_DATABASE_URL names {other}; sqlite and postgresql are supported.")


def open_engine(url: URL, *, patient: bool = False, passing: bool = False, limit_seconds: float = LIMIT_SECONDS) -> sa.Engine:
    """An engine over the tables. Nothing is connected yet. Its errors do not quote what was written: that may be people's names.

    With `patient` a statement may take as long as it takes: an index over years is not made within a minute. `passing` is for a
    SQLite file that nobody reads before it is whole and that is thrown away when something goes wrong: nothing of it is synced.
    `limit_seconds`: what a statement may take; on SQLite only a shorter time than usual is looked after.
    """
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": 5, "isolation_level": None}, hide_parameters=True)
        sa.event.listen(engine, "connect", _prepare_passing_sqlite if passing else _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        if limit_seconds < LIMIT_SECONDS:
            sa.event.listen(engine, "before_cursor_execute", partial(_limit_sqlite, limit_seconds))
        return engine
    # Compiling a view's plan takes PostgreSQL longer than running it.
    options = f"{url.query.get('options', '')} -c jit=off -c lock_timeout=3000 -c statement_timeout={0 if patient else round(limit_seconds * 1000)} -c idle_in_transaction_session_timeout=10000"
    connect_args = {"connect_timeout": 2, "tcp_user_timeout": 5000, "options": options, "application_name": "projector"}
    return sa.create_engine(url, connect_args=connect_args, pool_pre_ping=True, pool_size=2, hide_parameters=True)


@contextmanager
def disposing(engine: sa.Engine) -> Iterator[sa.Engine]:
    """The engine, its connections closed at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # The tables can be folded again from the log, so losing their last commits with the power is harmless: NORMAL.
    connection.execute("PRAGMA synchronous=NORMAL")
    # Large enough that catching up does not wait for each page to be written home, and reads it back, many times over.
    connection.execute("PRAGMA cache_size=-65536")  # KiB
    connection.execute("PRAGMA wal_autocheckpoint=16384")  # pages: 64 MiB


def _prepare_passing_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=MEMORY")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-16384")  # KiB


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _limit_sqlite(limit_seconds: float, connection: sa.Connection, *_: Any) -> None:
    """From here on: the statement that begins now is interrupted when its time is up."""
    deadline = time.monotonic() + limit_seconds
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
