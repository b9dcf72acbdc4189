"""What both databases do alike to fresh tables: make them, say in the projection's row that they took over."""

from collections.abc import Sequence

import sqlalchemy as sa

from projector import tables
from projector.access import PROJECTION, writing
from projector.errors import NotRebuilt, StandingBy
from projector.lease import Lease


def busy() -> NotRebuilt:
    """What the second of two rebuilds at once is told."""
    return NotRebuilt("Another rebuild of these tables is running. Wait for its end.")


def create(engine: sa.Engine, names: Sequence[str]) -> None:
    """The tables of this release, empty and without keys and indexes, a projection's row for each part and for the whole."""
    with writing(engine) as connection:
        for table in (*tables.FOLDED, tables.projection):
            connection.execute(sa.schema.CreateTable(table if table is tables.projection else _without_key(table)))
            if connection.dialect.supports_comments:
                connection.execute(sa.schema.SetTableComment(table))
                for column in table.c:
                    connection.execute(sa.schema.SetColumnComment(column))
        connection.execute(
            sa.insert(tables.projection), [{"name": name, "position": 0, "fold_version": 0} for name in (PROJECTION, *names)]
        )


def _without_key(table: sa.Table) -> sa.Table:
    """The same table, its primary key left out."""
    copy = table.to_metadata(sa.MetaData())
    for column in copy.primary_key:
        column.primary_key = False
    copy.append_constraint(sa.PrimaryKeyConstraint())
    return copy


def take_place(connection: sa.Connection, lease: Lease, fresh: sa.Row[tuple[object, ...]]) -> None:
    """The projection's row says what the fresh tables' row says, if nobody took the lease meanwhile."""
    values = {name: getattr(fresh, name) for name in ("position", "originator_id", "event_at", "fold_version")}
    moved = sa.update(tables.projection).where(tables.projection.c.holder == lease.holder).values(values)
    if connection.execute(moved).rowcount != 1:
        raise StandingBy("A loop took the lease before the swap.")
