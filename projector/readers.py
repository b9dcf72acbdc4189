"""The role that may read schema `reporting` on PostgreSQL: made where it is missing, given what it needs to read and nothing else.

A role is the cluster's, not the database's: another database's migration may make it at the same moment, and often only an
administrator may make one. Without it everything works, and `nobody_reads` says what to run.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL

from projector.access import reading
from projector.database import disposing, open_engine
from projector.tables.reporting import SCHEMA, reporting_there

READER = "projector_reader"


def make_reader(engine: sa.Engine) -> None:
    """Make the role if it is missing and if we may; committed at once, so that whoever makes it too need not wait for a migration."""
    with reading(engine) as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        driver: Any = connection.connection.driver_connection
        if _is_there(driver):
            return
        try:
            driver.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(READER)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # another database's migration was faster
        except psycopg.errors.InsufficientPrivilege:
            pass  # `nobody_reads` says so


def let_read(connection: sa.Connection, made: Sequence[str] = ()) -> None:
    """Let the role read the views just made; all of them, where it could read none so far. What was taken from it stays taken."""
    driver: Any = connection.connection.driver_connection
    there = reporting_there(connection)
    if not there or not _is_there(driver):
        return
    may_use = "SELECT has_schema_privilege(%s, %s, 'USAGE')"
    if not driver.execute(may_use, (READER, SCHEMA)).fetchone()[0]:
        driver.execute(SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(SCHEMA), Identifier(READER)))
        made = there
    if made:
        views = SQL(", ").join(Identifier(SCHEMA, name) for name in made)
        driver.execute(SQL("GRANT SELECT ON {} TO {}").format(views, Identifier(READER)))


def nobody_reads(url: URL) -> str | None:
    """What to run, where there is no such role; None where there is one, or where nobody needs one."""
    if url.get_backend_name() != "postgresql":
        return None
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        if _is_there(connection.connection.driver_connection) or not reporting_there(connection):
            return None
    return (
        f"There is no role {READER}, and ours may make none: nobody but the owner reads schema {SCHEMA}. "
        f"Have an administrator run `CREATE ROLE {READER} NOLOGIN`, then run `projector migrate` again."
    )


def _is_there(driver: Any) -> bool:
    return driver.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,)).fetchone() is not None
