"""Looking at the tables and writing them: connections whose troubles come out as our errors, and the row that says how far they are."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from projector import tables
from projector.database import WRITES
from projector.errors import Misconfigured, NotMigrated, StoreUnavailable

PROJECTION = "tables"
UNDEFINED_TABLE, INSUFFICIENT_PRIVILEGE = "42P01", "42501"  # PostgreSQL's codes: its driver is not imported for SQLite


def projected(connection: sa.Connection, name: str = PROJECTION) -> Any:
    """The projection's row: position, originator_id, event_at, fold_version, holder, lease_expires_at."""
    row = connection.execute(sa.select(tables.projection).where(tables.projection.c.name == name)).first()
    if row is None:
        raise NotMigrated("The tables have no projection row. Run `projector migrate` first.")
    return row


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection to look with; the database's troubles come out as our errors."""
    with _errors(), engine.connect() as connection:
        yield connection


@contextmanager
def snapshot(engine: sa.Engine, *, patient: bool = False) -> Iterator[sa.Connection]:
    """A connection that sees one moment of the tables, for as long as it takes with `patient`; the live loop goes on.

    On PostgreSQL the lock comes before the snapshot: a rebuild that swaps the tables has then ended or waits for us. (Rows of
    tables that were moved in since the snapshot began would not be seen at all.)
    """
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            if patient:
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(sa.text("LOCK TABLE projection IN ACCESS SHARE MODE"))
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes, committed at the end."""
    with _errors(), engine.connect().execution_options(**WRITES) as connection, connection.begin():
        yield connection


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        code = getattr(error.orig, "sqlstate", None)
        if code == UNDEFINED_TABLE:
            raise NotMigrated("The tables are not there. Run `projector migrate` first.") from error
        if code == INSUFFICIENT_PRIVILEGE:
            raise Misconfigured(f"PostgreSQL refuses: {error.orig}. Grant that to the role, or use another one.") from error
        raise
    except OperationalError as error:
        if "no such table" in str(error.orig):
            raise NotMigrated("The tables are not there. Run `projector migrate` first.") from error
        raise StoreUnavailable(f"The database does not answer: {error.orig}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(f"The connection to the database broke: {error.orig}") from error
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in str(error.orig):
            raise Misconfigured("PROJECTOR_DATABASE_URL names a file that is no SQLite database. Name another one.") from error
        raise
