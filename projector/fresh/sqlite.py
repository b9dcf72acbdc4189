"""Fresh tables on SQLite: files of their own, whose rows are copied in the end."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import PROJECTION, reading
from projector.database import WRITES, disposing, open_engine
from projector.fresh.steps import busy, create, index, take_place
from projector.lease import Lease

ATTACHED = "fresh"


class SQLiteFresh:
    """A file for each part beside the tables' file; the first takes in the others."""

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
        for part in range(len(names)):
            with disposing(open_engine(self.url(part), passing=True)) as engine:
                create(engine, names)

    def url(self, part: int = 0) -> URL:
        """See `Fresh.url`."""
        return self._url.set(database=str(_beside(self._url, f"rebuild-{part}.db")))

    def join(self, parts: int) -> None:
        """See `Fresh.join`."""
        with disposing(open_engine(self.url(), passing=True)) as engine:
            for part in range(1, parts):
                with _attached(engine, self.url(part)) as connection, connection.begin():
                    for table in tables.FOLDED:
                        _copy(connection, table)
            for table in tables.FOLDED:
                index(engine, table)

    def swap(self, lease: Lease) -> bool:
        """See `Fresh.swap`."""
        with disposing(open_engine(self._url)) as engine, _attached(engine, self.url()) as connection, connection.begin():
            fresh = connection.execute(sa.select(_in_file(tables.projection)).where(sa.column("name") == PROJECTION)).one()
            take_place(connection, lease, fresh)
            for table in tables.FOLDED:
                for each in table.indexes:
                    each.drop(connection)  # made anew over all rows at once, which is quicker than row by row
                connection.execute(sa.delete(table))
                _copy(connection, table)
                for each in table.indexes:
                    each.create(connection)
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
def _attached(engine: sa.Engine, other: URL) -> Iterator[sa.Connection]:
    """A connection that sees another file's tables as the schema `fresh`."""
    with reading(engine) as connection:
        connection = connection.execution_options(**WRITES)
        driver: Any = connection.connection.driver_connection
        connection.detach()  # from the pool: what is attached goes with it
        driver.execute("ATTACH DATABASE ? AS fresh", (other.database,))
        yield connection


def _in_file(table: sa.Table) -> sa.Table:
    return table.to_metadata(sa.MetaData(schema=ATTACHED))


def _copy(connection: sa.Connection, table: sa.Table) -> None:
    names = [column.name for column in table.c if column.computed is None]
    theirs = _in_file(table)
    connection.execute(sa.insert(table).from_select(names, sa.select(*(theirs.c[name] for name in names))))
