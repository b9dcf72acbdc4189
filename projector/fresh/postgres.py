"""Fresh tables on PostgreSQL: a schema of their own, which the tables leave for the place of the old ones."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL

from projector import tables
from projector.access import projected, reading, writing
from projector.database import disposing, open_engine
from projector.errors import NotRebuilt, StoreUnavailable
from projector.fresh.steps import busy, create, take_place
from projector.grants import give, held
from projector.lease import Lease
from projector.tables.reporting import SCHEMA as REPORTING
from projector.tables.reporting import make_reporting, reporting
from projector.tables.views import VIEWS, make_views

SCHEMA, AWAY = "projector_rebuild", "projector_rebuild_away"
OURS = "projector: fresh tables of a rebuild, dropped by the next one"
INDEXED_AT_ONCE = 2
LOCK = 0x72656275  # "rebu": one rebuild at a time
YIELD_TIMEOUT_MS = 3_000  # above PostgreSQL's deadlock_timeout of a second: an autovacuum gives way to whoever waits so long
LOCK_TIMEOUT_MS = 200  # below it: whoever gives up is the swap, never a reader


class PostgresFresh:
    """A schema in the same database."""

    def __init__(self, url: URL) -> None:
        self._url = url

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Fresh.alone`."""
        with disposing(open_engine(self._url)) as engine, reading(engine) as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")  # or it would idle in a transaction
            if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(LOCK))).scalar():
                raise busy()
            yield

    def begin(self, names: Sequence[str]) -> None:
        """See `Fresh.begin`."""
        self.discard()
        with disposing(open_engine(self._url)) as engine, writing(engine) as connection:
            driver: Any = connection.connection.driver_connection
            if _is_ours(driver) is False:
                raise NotRebuilt(f"The schema {SCHEMA} is not this command's. Rename it: a rebuild needs that name.")
            _refuse_dependents(driver)
            connection.execute(sa.schema.CreateSchema(SCHEMA))
            driver.execute(SQL("COMMENT ON SCHEMA {} IS {}").format(Identifier(SCHEMA), OURS))
        with disposing(open_engine(self.url())) as engine:
            create(engine, names)

    def url(self, part: int | None = None) -> URL:  # noqa: ARG002 (all parts are in one schema)
        """See `Fresh.url`."""
        return self._url.update_query_dict({"options": f"{self._url.query.get('options', '')} -c search_path={SCHEMA}"})

    def join(self, parts: int) -> None:  # noqa: ARG002 (they are together already)
        """See `Fresh.join`."""
        with disposing(open_engine(self.url(), patient=True)) as engine, ThreadPoolExecutor(INDEXED_AT_ONCE) as pool:

            def prepare(table: sa.Table) -> None:
                _index(engine, table)
                with writing(engine) as connection:
                    driver: Any = connection.connection.driver_connection
                    driver.execute(SQL("ANALYZE {}").format(Identifier(table.name)))  # or the first readers' plans know nothing

            list(pool.map(prepare, tables.FOLDED))

    def swap(self, lease: Lease) -> bool:
        """See `Fresh.swap`."""
        with disposing(open_engine(self.url())) as engine, reading(engine) as connection:
            fresh = projected(connection)
        try:
            with disposing(open_engine(self._url)) as engine, writing(engine) as connection:
                home = connection.execute(sa.select(sa.func.current_schema())).scalar_one()
                driver: Any = connection.connection.driver_connection
                _lock(driver)
                take_place(connection, lease, fresh)
                _move(driver, home)
                make_views(connection, replace=True)
                make_reporting(connection, replace=True)
                _drop_old(driver)
        except (psycopg.errors.LockNotAvailable, StoreUnavailable) as error:
            if isinstance(getattr(error.__cause__, "orig", error), psycopg.errors.LockNotAvailable):
                return False
            raise
        except psycopg.errors.DependentObjectsStillExist as error:
            raise NotRebuilt(f"{error.diag.message_detail} Drop what depends on it first.") from error
        except psycopg.OperationalError as error:
            raise StoreUnavailable(f"PostgreSQL ended the swap, the tables are as they were: {error}") from error
        return True

    def discard(self) -> None:
        """See `Fresh.discard`. A schema of that name that is somebody else's stays."""
        with disposing(open_engine(self._url)) as engine, writing(engine) as connection:
            if _is_ours(connection.connection.driver_connection):
                connection.execute(sa.schema.DropSchema(SCHEMA, cascade=True))


def _index(engine: sa.Engine, table: sa.Table) -> None:
    """A table's key and indexes, after the load: of rows that are there they are made at once, which is quicker than row by row."""
    with writing(engine) as connection:
        connection.execute(sa.schema.AddConstraint(table.primary_key))
        for each in table.indexes:
            each.create(connection)


def _is_ours(driver: Any) -> bool | None:
    """Whether the schema was made by a rebuild; None when there is none."""
    comment = "SELECT obj_description(oid, 'pg_namespace') = %s FROM pg_namespace WHERE nspname = %s"
    found = driver.execute(comment, (OURS, SCHEMA)).fetchone()
    return bool(found[0]) if found else None


def _refuse_dependents(driver: Any) -> None:
    """Say at once what would keep the old tables from being dropped in the end."""
    names = [table.name for table in tables.FOLDED]
    found = driver.execute(
        _DEPENDENTS, {"names": names, "views": list(VIEWS), "reporting": REPORTING, "shown": list(reporting())}
    ).fetchone()
    if found is not None:
        raise NotRebuilt(
            f"{found[0]} depends on table {found[1]}, which is to be replaced. Build it on our views, or drop it first."
        )


_DEPENDENTS = """
SELECT 'view ' || v.relname, t.relname
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class
JOIN pg_class t ON t.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
WHERE t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(%(names)s)
AND NOT (v.relnamespace = t.relnamespace AND v.relname = ANY(%(views)s))
AND NOT (v.relnamespace = %(reporting)s::regnamespace AND v.relname = ANY(%(shown)s))
UNION ALL
SELECT 'foreign key ' || f.conname, t.relname
FROM pg_constraint f JOIN pg_class t ON t.oid = f.confrelid
WHERE f.contype = 'f' AND t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(%(names)s)
"""


def _lock(driver: Any) -> None:
    """Everything at once: first what keeps vacuum away, which is asked to give way, then what keeps readers away, for a moment.

    Readers of schema `reporting` come to the tables by its views, so these go first, by a change that is none: LOCK would take the tables
    beneath each along, and who has just come to another view would wait for them, and we for it.
    """
    old = [Identifier(name) for name in (tables.projection.name, *(table.name for table in tables.FOLDED))]
    fresh = [Identifier(SCHEMA, table.name) for table in tables.FOLDED]
    views = [Identifier(name) for name in VIEWS]
    driver.execute(SQL("SET LOCAL lock_timeout = {}").format(YIELD_TIMEOUT_MS))
    driver.execute(SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(SQL(", ").join([*old, *fresh])))
    driver.execute(SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT_MS))
    for name in reporting():
        driver.execute(SQL("ALTER VIEW {} SET (security_barrier)").format(Identifier(REPORTING, name)))
    driver.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(SQL(", ").join([*old, *fresh, *views])))


def _move(driver: Any, home: str) -> None:
    """Move the old tables out of the way and the fresh ones in their place, with the grants the old ones had."""
    driver.execute(SQL("CREATE SCHEMA {}").format(Identifier(AWAY)))
    names = [table.name for table in tables.FOLDED]
    grants = held(driver, home, names)
    move = SQL("ALTER TABLE {} SET SCHEMA {}")
    for name in names:
        driver.execute(move.format(Identifier(home, name), Identifier(AWAY)))
        driver.execute(move.format(Identifier(SCHEMA, name), Identifier(home)))
    give(driver, home, grants)


def _drop_old(driver: Any) -> None:
    for table in tables.FOLDED:
        driver.execute(SQL("DROP TABLE {}").format(Identifier(AWAY, table.name)))
    driver.execute(SQL("DROP SCHEMA {}").format(Identifier(AWAY)))
