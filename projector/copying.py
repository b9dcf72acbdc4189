"""COPY into PostgreSQL, in its binary format: straight into a table, or aside, into a temporary one that a statement reads from.

Moments are sent as what they are there, eight bytes of microseconds since 2000, so that none of them becomes a `datetime` on the way.
Imported only where the database is PostgreSQL: the driver takes a moment to load.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from projector.errors import Misconfigured, StoreUnavailable
from projector.tables import Instant

_2000_MS = 946_684_800_000
_TYPES: list[tuple[type[Any], str]] = [
    (Instant, "int8"), (sa.Text, "text"), (sa.BigInteger, "int8"), (sa.Boolean, "bool"), (sa.LargeBinary, "bytea"),
]  # fmt: skip


def microseconds(ms: int) -> int:
    """A moment as PostgreSQL stores it."""
    return (ms - _2000_MS) * 1000


def copy_into(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Write these rows into a table in which none of them is."""
    with _driver(connection) as driver:
        _copy(driver, table.name, table, columns, rows)


def copy_aside(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> str:
    """Write these rows into a temporary table with the columns' types, empty again after the transaction; its name."""
    aside = f"given_{table.name}_{crc32(' '.join(columns).encode()):08x}"
    made = SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA")
    names = SQL(", ").join(map(Identifier, columns))
    with _driver(connection) as driver:
        driver.execute(made.format(Identifier(aside), names, Identifier(table.name)))
        _copy(driver, aside, table, columns, rows)
    return aside


def _copy(driver: Any, target: str, table: sa.Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    names = SQL(", ").join(map(Identifier, columns))
    with driver.cursor().copy(SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(Identifier(target), names)) as copy:
        copy.set_types([next(name for kind, name in _TYPES if isinstance(table.c[column].type, kind)) for column in columns])
        for row in rows:
            copy.write_row(row)


@contextmanager
def _driver(connection: sa.Connection) -> Iterator[Any]:
    """The driver's own connection, whose errors SQLAlchemy does not see: here they become ours."""
    try:
        yield connection.connection.driver_connection
    except psycopg.OperationalError as error:
        connection.invalidate(error)
        raise StoreUnavailable(f"The database does not answer: {error}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise Misconfigured(f"PostgreSQL refuses: {error}. Grant that to the role (TEMPORARY on the database too).") from error
