"""What others may do with our tables and views on PostgreSQL: read before they are made anew, given again afterwards."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg.sql import SQL, Identifier


class Grant(NamedTuple):
    """One privilege on a table or view, or on one of its columns. `role` None: everybody."""

    relation: str
    column: str | None
    privilege: str
    role: str | None
    grantable: bool


_HELD = """
SELECT c.relname, NULL, a.privilege_type, r.rolname, a.is_grantable
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relname = ANY(%(names)s) AND a.grantee <> c.relowner
UNION ALL
SELECT c.relname, t.attname, a.privilege_type, r.rolname, a.is_grantable
FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relname = ANY(%(names)s) AND a.grantee <> c.relowner
"""


def held(driver: Any, schema: str, names: Sequence[str]) -> list[Grant]:
    """Everything granted on these tables and views to others than their owner. `driver`: psycopg's connection."""
    return [Grant(*row) for row in driver.execute(_HELD, {"schema": schema, "names": list(names)}).fetchall()]


def give(driver: Any, schema: str, grants: Sequence[Grant]) -> None:
    """Grant them again."""
    for grant in grants:
        what = SQL(grant.privilege) + (SQL(" ({})").format(Identifier(grant.column)) if grant.column else SQL(""))
        whom = Identifier(grant.role) if grant.role else SQL("PUBLIC")
        option = SQL(" WITH GRANT OPTION" if grant.grantable else "")
        driver.execute(SQL("GRANT {} ON {} TO {}{}").format(what, Identifier(schema, grant.relation), whom, option))
