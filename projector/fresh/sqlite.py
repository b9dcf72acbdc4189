"""Fresh tables on SQLite: files of their own, whose rows are copied in the end."""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import PROJECTION, reading, writing
from projector.database import WRITES, disposing, open_engine
from projector.fresh.steps import busy, create, take_place
from projector.lease import Lease

WHOLE = "whole"  # the schema as which the tables that serve see the file


class SQLiteFresh:
    """Files beside the tables' file: one for each part, and one that takes them all in, made just as the tables that serve are."""

    def __init__(self, url: URL) -> None:
        self._url = url

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Fresh.alone`."""
        with _beside(self._url, "rebuild.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise busy() from error
            yield

    def begin(self, names: Sequence[str]) -> None:
        """See `Fresh.begin`."""
        self.discard()
        with disposing(open_engine(self._url)) as engine, reading(engine) as connection:
            made = _made(connection, "table")
        with disposing(open_engine(self.url(), passing=True)) as engine, writing(engine) as connection:
            for statement in made:
                connection.exec_driver_sql(statement)
            connection.execute(sa.insert(tables.projection), [{"name": PROJECTION, "position": 0, "fold_version": 0}])
        for part in range(len(names)):
            with disposing(open_engine(self.url(part), passing=True)) as engine:
                create(engine, names)

    def url(self, part: int | None = None) -> URL:
        """See `Fresh.url`."""
        return self._url.set(database=str(_beside(self._url, f"rebuild-{'whole' if part is None else part}.db")))

    def join(self, parts: int) -> None:
        """See `Fresh.join`."""
        with disposing(open_engine(self._url)) as engine, reading(engine) as connection:
            indexes = _made(connection, "index")
        files = {f"part_{part}": self.url(part) for part in range(parts)}
        whole = disposing(open_engine(self.url(), passing=True))
        with whole as engine, _attached(engine, files) as connection, connection.begin():
            for table in tables.FOLDED:
                _gather(connection, table, list(files))
            for statement in indexes:
                connection.exec_driver_sql(statement)

    def swap(self, lease: Lease) -> bool:
        """See `Fresh.swap`."""
        with (
            disposing(open_engine(self._url)) as engine,
            _attached(engine, {WHOLE: self.url()}) as connection,
            connection.begin(),
        ):
            fresh = connection.execute(sa.select(_in_file(tables.projection, WHOLE)).where(sa.column("name") == PROJECTION)).one()
            take_place(connection, lease, fresh)
            for table in tables.FOLDED:
                connection.execute(sa.delete(table))
                _move(connection, table)
        return True

    def discard(self) -> None:
        """See `Fresh.discard`."""
        for file in _beside(self._url, "").parent.glob(f"{_beside(self._url, 'rebuild').name}-*.db*"):
            file.unlink(missing_ok=True)


def _beside(url: URL, name: str) -> Path:
    """`projector.db` → `projector-rebuild-0.db`."""
    path = Path(url.database or "")
    return path.with_name(f"{path.stem}-{name}")


@contextmanager
def _attached(engine: sa.Engine, files: Mapping[str, URL]) -> Iterator[sa.Connection]:
    """A connection that sees other files' tables as schemas of these names."""
    with reading(engine) as connection:
        connection = connection.execution_options(**WRITES)
        driver: Any = connection.connection.driver_connection
        connection.detach()  # from the pool: what is attached goes with it
        for name, url in files.items():
            driver.execute(f"ATTACH DATABASE ? AS {name}", (url.database,))
        yield connection


def _in_file(table: sa.Table, name: str) -> sa.Table:
    return table.to_metadata(sa.MetaData(schema=name))


def _gather(connection: sa.Connection, table: sa.Table, files: Sequence[str]) -> None:
    """Take in a table's rows of all files. In the order of its key that is quickest, and they come so, unit by unit; but a capacity is
    stated by the callback of another unit.
    """
    names = [column.name for column in table.c if column.computed is None]
    rows = sa.union_all(*(sa.select(*(theirs.c[name] for name in names)) for theirs in (_in_file(table, each) for each in files)))
    key = [rows.selected_columns[column.name] for column in table.primary_key] if table is tables.stated_capacity else []
    connection.execute(sa.insert(table).from_select(names, rows.order_by(*key)))


def _move(connection: sa.Connection, table: sa.Table) -> None:
    """Take in a table of the whole that was made by the same statement.

    Said in just these words, SQLite copies rows and indexes undecoded, in a third of the time ("the transfer optimization", whose
    conditions are the comments of `xferOptimization` in its insert.c); but not where the database computes columns.
    """
    if any(column.computed is not None for column in table.c):
        _gather(connection, table, [WHOLE])
        return
    name = connection.dialect.identifier_preparer.format_table(table)
    connection.exec_driver_sql(f"INSERT INTO {name} SELECT * FROM {WHOLE}.{name}")  # noqa: S608 (a table's name)


_SCHEMA = sa.table("sqlite_master", *map(sa.column, ("type", "name", "tbl_name", "sql")))


def _made(connection: sa.Connection, kind: str) -> Sequence[str]:
    """The statements that made the tables that serve, the projection's too, or their indexes."""
    c = _SCHEMA.c
    names = [table.name for table in (*tables.FOLDED, tables.projection)]
    return connection.execute(
        sa.select(c.sql).where(c.type == kind, c.tbl_name.in_(names), c.sql.is_not(None))
    ).scalars().all()  # fmt: skip
