"""How Alembic reaches the database: over the connection `projector.migrate` opened."""

from alembic import context
from alembic.autogenerate.api import AutogenContext

from projector import tables
from projector.log import schema


def render_item(kind: str, item: object, autogen: AutogenContext) -> str | bool:
    """Write our own column type by name when a migration is generated."""
    if kind == "type" and isinstance(item, tables.Instant):
        autogen.imports.add("from projector.tables import Instant")
        return "Instant()"
    return False


def configure(**options: object) -> None:
    """Both metadata, both schemas."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=[tables.metadata, schema.metadata],
        include_schemas=True,
        render_item=render_item,
        **options,
    )


configure()
with context.begin_transaction():
    context.run_migrations()
