"""How Alembic reaches the database: over the connection `projector.migrate` opened."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from projector import tables
from projector.log import schema
from projector.tables.reporting import grants


def render_item(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    """Write our own column types by name when a migration is generated."""
    name = "Instant()" if isinstance(item, tables.Instant) else "SID" if getattr(item, "collation", None) == "C" else None
    if kind != "type" or name is None:
        return False
    autogen.imports.add(f"from projector.tables import {name.removesuffix('()')}")
    return name


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[tables.metadata, schema.metadata, grants],
    include_schemas=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
