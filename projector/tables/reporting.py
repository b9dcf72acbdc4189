"""Schema `reporting` of PostgreSQL: what a BI tool reads, and who may see which rows of it.

A view for every current table, every view of `views.py`, and the projection, by the same name. Each shows `current_user` the
workspaces granted to that role in `workspace_grant`, and personal text (`columns.personal`) only where the grant says so, else NULL.
A setting would not do in the grant's stead: whoever reads can change it. The views are security barriers: no function of a reader
runs on a row before the grant was looked at. Like all views they belong to a release; the grants stay whatever is made anew.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateView, DropView

from projector.tables.columns import is_personal, key
from projector.tables.current import CURRENT, workspace
from projector.tables.operating import projection
from projector.tables.views import VIEWS, comment_on_view, view

SCHEMA = "reporting"
EVERY_WORKSPACE = "*"

grants = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s"})
workspace_grant = sa.Table(
    "workspace_grant", grants,
    key("role_name", "The role that reads, as current_user says."),
    key("workspace_sid", "WS…, whose rows it sees; * for every one."),
    sa.Column("sees_people", sa.Boolean, nullable=False, server_default=sa.false(), comment="Whether it sees personal text there: names of workers, attributes, reasons, expressions. Else that is NULL."),
    schema=SCHEMA, comment="Who may see which workspaces in the views of this schema.",
)  # fmt: skip

# What the fold and the loop need to go on, and what a span's view tells better.
_BOOKS = {
    "folded_to", "callback_count", "timed_by_receipt_count", "deletion_order", "deletion_received_at", "attributes_since",
    "attributes_event_sid", "attributes_worker_name", "activity_event_sid", "activity_worker_name",
}  # fmt: skip
_BOOKS_OF = {
    "worker_channel": {"since", "n", "event_sid", "worker_name"},
    "projection": {"name", "position", "originator_id", "holder", "lease_expires_at"},
}
_BOOKS_BEGIN, _BOOKS_END = ("live_", "visit_"), ("_order", "_n")


@cache
def reporting() -> dict[str, sa.Table]:
    """The views of the schema by name, each column with its comment."""
    shown = (*CURRENT, projection, *map(view, VIEWS))
    return {table.name: _shown(table) for table in shown}


def _shown(of: sa.Table) -> sa.Table:
    kept = [each for each in of.c if not _is_book(of, each.name)]
    columns = [sa.Column(each.name, each.type, comment=each.comment, info=each.info) for each in kept]
    return sa.Table(of.name, sa.MetaData(schema=SCHEMA), *columns, comment=of.comment)


def _is_book(of: sa.Table, name: str) -> bool:
    return name in _BOOKS | _BOOKS_OF.get(of.name, set()) or name.startswith(_BOOKS_BEGIN) or name.endswith(_BOOKS_END)


def _select(shown: sa.Table) -> sa.Select[Any]:
    """What `current_user` sees of a table or view of the home schema."""
    of = sa.table(shown.name, *(sa.column(each.name, each.type) for each in shown.c))
    if "workspace_sid" not in of.c:  # the projection's row, of no workspace
        return sa.select(*of.c).where(sa.exists().where(_GRANT.role_name == sa.func.current_user()))
    sees, sees_people = _granted(), _granted(_GRANT.sees_people)
    columns = [
        sa.case((of.c.workspace_sid == sees_people, of.c[each.name])).label(each.name) if is_personal(each) else of.c[each.name]
        for each in shown.c
    ]
    return sa.select(*columns).where(of.c.workspace_sid == sees)


_GRANT = workspace_grant.c


def _granted(*also: Any) -> Any:
    """Any of the workspaces granted: looked up once for a query, so that an index on workspace_sid is used with them."""
    there = workspace.alias("granted").c
    given = sa.and_(_GRANT.workspace_sid.in_((there.workspace_sid, EVERY_WORKSPACE)), _GRANT.role_name == sa.func.current_user())
    sids = sa.select(there.workspace_sid).join(workspace_grant, given).where(*also).scalar_subquery()
    return sa.func.any(sa.func.array(sids))


def make_reporting(connection: sa.Connection, *, replace: bool = False) -> None:
    """Create every view of the schema over this release's tables and views, or replace them: who may read them and what they are stays then."""
    for shown in reporting().values():
        connection.execute(
            CreateView(
                _select(shown), shown.name, metadata=sa.MetaData(), schema=SCHEMA, or_replace=replace,
                postgresql_with={"security_barrier": True},
            )
        )  # fmt: skip
        if not replace:
            comment_on_view(connection, shown)


def reporting_there(connection: sa.Connection) -> list[str]:
    """Which of them are there: none before the migration that makes the schema ours."""
    if connection.dialect.name != "postgresql" or not sa.inspect(connection).has_table(workspace_grant.name, schema=SCHEMA):
        return []
    there = set(sa.inspect(connection).get_view_names(schema=SCHEMA))
    return [name for name in reporting() if name in there]


def drop_reporting(connection: sa.Connection) -> None:
    """Drop whichever of them are there."""
    for name in reporting_there(connection):
        connection.execute(DropView(reporting()[name]))
