"""Bulk statements, the same for both databases: rows as dictionaries with the same keys, one statement for all of them.

PostgreSQL takes the rows as one array per column (`unnest`), SQLite as one `executemany`.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from projector.rows import Row
from projector.taskrouter.mention import NAMES


def upsert(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: list[Row], merge: bool = False) -> None:
    """Write rows by primary key; with `merge`, names keep their latest value and first_seen_at its earliest."""
    insert = _insert(connection, table, columns)
    key = [column.name for column in table.primary_key]
    new = insert.excluded
    if merge:
        changes, where = _latest_names(table, new)
    else:
        changes, where = {name: new[name] for name in columns if name not in key}, None
    _run(connection, insert.on_conflict_do_update(index_elements=key, set_=changes, where=where), rows)


def insert_once(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: list[Row]) -> None:
    """Write the rows that are not there yet."""
    _run(connection, _insert(connection, table, columns).on_conflict_do_nothing(), rows)


def add_up(connection: sa.Connection, table: sa.Table, columns: Sequence[str], total: str, rows: list[Row]) -> None:
    """Write rows by primary key; what is there already is added to in column `total`."""
    insert = _insert(connection, table, columns)
    key = [column.name for column in table.primary_key]
    changes = {name: insert.excluded[name] for name in columns if name not in key}
    changes[total] = table.c[total] + insert.excluded[total]
    _run(connection, insert.on_conflict_do_update(index_elements=key, set_=changes), rows)


def delete_from(connection: sa.Connection, table: sa.Table, lines: list[Row]) -> None:
    """Delete each line's rows from its `n` on; `started_at` is where to begin looking, so that a long history is not read."""
    names = [name for name in lines[0] if name in table.primary_key.columns]
    of = _given(connection, table, names)
    where = [table.c[name] >= of[name] if name in ("n", "started_at") else table.c[name] == of[name] for name in names]
    _run(connection, sa.delete(table).where(*where), [{name: line[name] for name in names} for line in lines])


def _insert(connection: sa.Connection, table: sa.Table, columns: Sequence[str]) -> Any:
    values = _given(connection, table, columns)
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).values(values)
    return postgresql.insert(table).from_select(list(columns), sa.select(*(values[name] for name in columns)))


def _given(connection: sa.Connection, table: sa.Table, names: Sequence[str]) -> Any:
    """The rows' values in a statement, by column name. Their parameters are named apart from the table's columns."""
    if connection.dialect.name == "sqlite":
        return {name: sa.bindparam(f"given_{name}", type_=table.c[name].type) for name in names}
    arrays = (sa.bindparam(f"given_{name}", type_=postgresql.ARRAY(_element(table.c[name].type))) for name in names)
    return sa.func.unnest(*arrays).table_valued(*names).render_derived().c


def _element(kind: Any) -> Any:
    return sa.Text() if isinstance(kind, sa.Text) else kind


def _run(connection: sa.Connection, statement: Any, rows: list[Row]) -> None:
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(statement, [{f"given_{name}": value for name, value in row.items()} for row in rows])
    else:
        connection.execute(statement, {f"given_{name}": [row[name] for row in rows] for name in rows[0]})


def _latest_names(table: sa.Table, new: Any) -> tuple[dict[str, Any], Any]:
    earlier = sa.or_(table.c.first_seen_at.is_(None), new.first_seen_at < table.c.first_seen_at)
    changes = {"first_seen_at": sa.case((earlier, new.first_seen_at), else_=table.c.first_seen_at)}
    newer_names = []
    for field in NAMES[table.name]:
        order = f"{field}_order"
        newer = new[order] > sa.func.coalesce(table.c[order], "")
        newer_names.append(newer)
        for column in (field, order):
            changes[column] = sa.case((newer, new[column]), else_=table.c[column])
    return changes, sa.or_(earlier, *newer_names)
