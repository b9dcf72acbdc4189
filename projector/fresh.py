"""Fresh tables beside the ones that serve, and the swap of the two in one transaction.

On PostgreSQL they are a schema of their own, `rebuild`, and are moved: tables keep their names and their indexes' names, our views
are bound to the new ones, grants are given again. On SQLite they are files of their own, so that building them never makes the
live loop wait, and their rows are copied: readers go on reading what was there until the copy is committed.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL

from projector import tables
from projector.database import WRITES, disposing, open_engine
from projector.errors import NotRebuilt, StandingBy, StoreUnavailable
from projector.lease import Lease
from projector.table_sink import PROJECTION, projected, reading, writing
from projector.tables.views import VIEWS, make_views

SCHEMA, AWAY = "rebuild", "rebuild_away"
ATTACHED = "fresh"
LOCK = 0x72656275  # "rebu": one rebuild at a time
LOCK_TIMEOUT_MS = 200  # below PostgreSQL's deadlock_timeout: whoever gives up is the swap, never a reader


class Fresh(Protocol):
    """Tables of this release beside the ones that serve. Their parts may be filled by several processes at once."""

    def begin(self, parts: int) -> None:
        """Make them, empty, without secondary indexes; whatever an earlier rebuild left is gone."""

    def url(self, part: int = 0) -> URL:
        """Where a part's rows go; part 0 is where they all are in the end."""

    def join(self, parts: int) -> None:
        """Bring the parts together and index them."""

    def swap(self, lease: Lease) -> bool:
        """Put them in the place of the others, if the lease is still held; False when readers are in the way."""

    def discard(self) -> None:
        """Remove what is left of them."""


def fresh_tables(url: URL) -> Fresh:
    """The fresh tables of a database."""
    return SQLiteFresh(url) if url.get_backend_name() == "sqlite" else PostgresFresh(url)


@contextmanager
def alone(url: URL) -> Iterator[None]:
    """One rebuild at a time; the next one is refused, and the end of this process, however it comes, lets it run."""
    busy = NotRebuilt("Another rebuild of these tables is running. Wait for its end.")
    if url.get_backend_name() == "sqlite":
        with _beside(url, "rebuild.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise busy from error
            yield
        return
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")  # or it would idle in a transaction
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(LOCK))).scalar():
            raise busy
        yield


def _create(engine: sa.Engine, parts: int) -> None:
    """The tables of this release, empty and without secondary indexes, a projection's row for each part and for the whole."""
    names = [PROJECTION, *(part_name(number, parts) for number in range(parts))]
    with writing(engine) as connection:
        for table in (*tables.FOLDED, tables.projection):
            connection.execute(sa.schema.CreateTable(table))
            if connection.dialect.supports_comments:
                connection.execute(sa.schema.SetTableComment(table))
                for column in table.c:
                    connection.execute(sa.schema.SetColumnComment(column))
        connection.execute(sa.insert(tables.projection), [{"name": name, "position": 0, "fold_version": 0} for name in names])


def part_name(number: int, parts: int) -> str:
    """The projection of one part: of another number of parts it is another one."""
    return f"part {number} of {parts}"


def _index(engine: sa.Engine) -> None:
    """Secondary indexes, after the load."""
    for table in tables.FOLDED:
        with writing(engine) as connection:
            for index in table.indexes:
                index.create(connection)


def _take_place(connection: sa.Connection, lease: Lease, fresh: sa.Row[tuple[object, ...]]) -> None:
    """The projection's row says what the fresh tables' row says, if nobody took the lease meanwhile."""
    values = {name: getattr(fresh, name) for name in ("position", "originator_id", "event_at", "fold_version")}
    moved = sa.update(tables.projection).where(tables.projection.c.holder == lease.holder).values(values)
    if connection.execute(moved).rowcount != 1:
        raise StandingBy("A loop took the lease before the swap.")


class PostgresFresh:
    """A schema of its own in the same database."""

    def __init__(self, url: URL) -> None:
        self._url = url

    def begin(self, parts: int) -> None:
        """See `Fresh.begin`."""
        self.discard()
        with disposing(open_engine(self._url)) as engine, writing(engine) as connection:
            connection.execute(sa.schema.CreateSchema(SCHEMA))
        with disposing(open_engine(self.url())) as engine:
            _create(engine, parts)

    def url(self, part: int = 0) -> URL:  # noqa: ARG002 (all parts are in one schema)
        """See `Fresh.url`."""
        return self._url.update_query_dict({"options": f"{self._url.query.get('options', '')} -c search_path={SCHEMA}"})

    def join(self, parts: int) -> None:  # noqa: ARG002 (they are together already)
        """See `Fresh.join`."""
        with disposing(open_engine(self.url())) as engine:
            _index(engine)
            with writing(engine) as connection:
                driver: Any = connection.connection.driver_connection
                for table in tables.FOLDED:
                    driver.execute(SQL("ANALYZE {}").format(Identifier(table.name)))  # or the first readers' plans know nothing

    def swap(self, lease: Lease) -> bool:
        """See `Fresh.swap`."""
        with disposing(open_engine(self.url())) as engine, reading(engine) as connection:
            fresh = projected(connection)
        try:
            with disposing(open_engine(self._url)) as engine, writing(engine) as connection:
                home = connection.execute(sa.select(sa.func.current_schema())).scalar_one()
                driver: Any = connection.connection.driver_connection
                _lock(driver)
                _take_place(connection, lease, fresh)
                _set_aside(driver, home)
                make_views(connection, replace=True)
                _drop_old(driver)
        except (psycopg.errors.LockNotAvailable, StoreUnavailable) as error:
            if isinstance(getattr(error.__cause__, "orig", error), psycopg.errors.LockNotAvailable):
                return False
            raise
        except psycopg.errors.DependentObjectsStillExist as error:
            raise NotRebuilt(
                f"Something of yours depends on a table to be replaced: {error.diag.message_detail} Drop it first."
            ) from error
        return True

    def discard(self) -> None:
        """See `Fresh.discard`."""
        with disposing(open_engine(self._url)) as engine, writing(engine) as connection:
            connection.execute(sa.schema.DropSchema(SCHEMA, cascade=True, if_exists=True))


def _lock(driver: Any) -> None:
    """All tables and views at once: a reader that holds some and waits for others is met within a moment or not at all."""
    driver.execute(SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT_MS))
    names = [tables.projection.name, *(table.name for table in tables.FOLDED), *VIEWS]
    driver.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(SQL(", ").join(map(Identifier, names))))


def _set_aside(driver: Any, home: str) -> None:
    """Move the old tables out of the way and the fresh ones in their place, with the grants the old ones had."""
    driver.execute(SQL("CREATE SCHEMA {}").format(Identifier(AWAY)))
    names = [table.name for table in tables.FOLDED]
    grants = driver.execute(_GRANTS, {"home": home, "names": names}).fetchall()
    move = SQL("ALTER TABLE {} SET SCHEMA {}")
    for name in names:
        driver.execute(move.format(Identifier(home, name), Identifier(AWAY)))
        driver.execute(move.format(Identifier(SCHEMA, name), Identifier(home)))
    for name, column, privilege, role, grantable in grants:
        what = SQL(privilege) + (SQL(" ({})").format(Identifier(column)) if column else SQL(""))
        whom = Identifier(role) if role else SQL("PUBLIC")
        option = SQL(" WITH GRANT OPTION" if grantable else "")
        driver.execute(SQL("GRANT {} ON {} TO {}{}").format(what, Identifier(home, name), whom, option))


_GRANTS = """
SELECT c.relname, NULL AS column, a.privilege_type, r.rolname, a.is_grantable
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = %(home)s::regnamespace AND c.relname = ANY(%(names)s) AND a.grantee <> c.relowner
UNION ALL
SELECT c.relname, t.attname, a.privilege_type, r.rolname, a.is_grantable
FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = %(home)s::regnamespace AND c.relname = ANY(%(names)s) AND a.grantee <> c.relowner
"""


def _drop_old(driver: Any) -> None:
    for table in tables.FOLDED:
        driver.execute(SQL("DROP TABLE {}").format(Identifier(AWAY, table.name)))
    driver.execute(SQL("DROP SCHEMA {}").format(Identifier(AWAY)))


class SQLiteFresh:
    """A file for each part beside the tables' file; the first takes in the others."""

    def __init__(self, url: URL) -> None:
        self._url = url

    def begin(self, parts: int) -> None:
        """See `Fresh.begin`."""
        self.discard()
        for part in range(parts):
            with disposing(open_engine(self.url(part))) as engine:
                _create(engine, parts)

    def url(self, part: int = 0) -> URL:
        """See `Fresh.url`."""
        return self._url.set(database=str(_beside(self._url, f"rebuild-{part}.db")))

    def join(self, parts: int) -> None:
        """See `Fresh.join`."""
        with disposing(open_engine(self.url())) as engine:
            for part in range(1, parts):
                with _attached(engine, self.url(part)) as connection, connection.begin():
                    for table in tables.FOLDED:
                        _copy(connection, table)
            _index(engine)

    def swap(self, lease: Lease) -> bool:
        """See `Fresh.swap`."""
        with disposing(open_engine(self._url)) as engine, _attached(engine, self.url()) as connection, connection.begin():
            fresh = connection.execute(sa.select(_in_file(tables.projection)).where(sa.column("name") == PROJECTION)).one()
            _take_place(connection, lease, fresh)
            for table in tables.FOLDED:
                connection.execute(sa.delete(table))
                _copy(connection, table)
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
