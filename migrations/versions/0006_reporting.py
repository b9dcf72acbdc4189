"""Schema `reporting` on PostgreSQL, and in it who may see what. Its views are the release's: `projector migrate` makes them after this.

Going back leaves the schema where anybody was granted anything: without its views nobody sees anything by that, and who may read is
not for a migration to forget.
"""

import sqlalchemy as sa
from alembic import op

from projector.errors import NotMigrated
from projector.tables import SID
from projector.tables.reporting import reporting

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql" or _is_there("workspace_grant"):
        return
    for name in reporting():
        if _is_there(name):
            raise NotMigrated(f"Schema reporting holds something of yours named {name}, as a view of ours is. Rename or move it.")
    op.execute(sa.schema.CreateSchema("reporting", if_not_exists=True))
    op.create_table(
        "workspace_grant",
        sa.Column("role_name", SID, nullable=False, comment="The role that reads, as current_user says."),
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…, whose rows it sees; * for every one."),
        sa.Column(
            "sees_people",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Whether it sees personal text there: names of workers, attributes, reasons, expressions. Else that is NULL.",
        ),
        sa.PrimaryKeyConstraint("role_name", "workspace_sid", name=op.f("pk_workspace_grant")),
        schema="reporting",
        comment="Who may see which workspaces in the views of this schema.",
    )


def downgrade() -> None:
    if op.get_context().dialect.name != "postgresql" or _holds(sa.table("workspace_grant", schema="reporting")):
        return
    op.drop_table("workspace_grant", schema="reporting")
    others = sa.table("pg_class", sa.column("relnamespace"), schema="pg_catalog")
    namespaces = sa.table("pg_namespace", sa.column("oid"), sa.column("nspname"), schema="pg_catalog")
    if not _holds(others.join(namespaces, namespaces.c.oid == others.c.relnamespace), namespaces.c.nspname == "reporting"):
        op.execute(sa.schema.DropSchema("reporting"))


def _is_there(name: str) -> bool:
    inspector = sa.inspect(op.get_bind())
    return name in (*inspector.get_table_names("reporting"), *inspector.get_view_names("reporting"))


def _holds(what: sa.FromClause, *where: sa.ColumnElement[bool]) -> bool:
    row = sa.select(sa.literal(1)).select_from(what).where(*where).limit(1)
    return op.get_bind().execute(row).first() is not None
