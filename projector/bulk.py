"""Bulk statements: many rows of one table in one statement, each row a tuple in the order of `columns`.

SQLite takes them as one `executemany`; PostgreSQL takes few as one array per column (`unnest`) and many by COPY through a
temporary table, from which the same statement reads. Statements are made once; values go to the driver as it stores them, past
SQLAlchemy, which would look at each by itself: that took longer than the database.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from projector.tables import Instant, iso
from projector.taskrouter.mention import NAMES

Rows = Sequence[tuple[Any, ...]]

COPY_ROWS = 500  # from here on COPY is quicker than arrays (measured)


def insert(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Rows) -> None:
    """Write rows none of which is there."""
    if connection.dialect.name == "postgresql" and len(rows) >= COPY_ROWS:
        from projector.copying import copy_into, microseconds

        copy_into(connection, table, columns, _as_stored(table, columns, rows, microseconds))
    else:
        _write(connection, _insert, table, columns, rows)


def upsert(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Rows) -> None:
    """Write rows by primary key."""
    _write(connection, _upsert, table, columns, rows)


def merge(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Rows) -> None:
    """Write names by primary key: each keeps its latest value, and first_seen_at its earliest."""
    _write(connection, _merge, table, columns, rows)


def add_up(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Rows) -> None:
    """Write rows by primary key; what is there already is added to in column `times`."""
    _write(connection, _add_up, table, columns, rows)


def delete_from(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Rows) -> None:
    """Delete the rows that have these values, or those from `n` on; `started_at` is where to begin looking, so that a long history is not read."""
    _write(connection, _delete, table, columns, rows)


def select_among(
    connection: sa.Connection, table: sa.Table, columns: Sequence[str], key: Sequence[str], keys: Rows
) -> sa.CursorResult[Any]:
    """These columns of the rows whose `key` columns are among these values, by index on both databases."""
    is_sqlite = connection.dialect.name == "sqlite"
    given = {"given": msgspec.json.encode(keys).decode()} if is_sqlite else _arrays(key, keys)
    return connection.execute(_among(connection.dialect.name, table, tuple(columns), tuple(key)), given)


@lru_cache(maxsize=256)
def _among(dialect: str, table: sa.Table, columns: tuple[str, ...], key: tuple[str, ...]) -> Any:
    if dialect == "sqlite":
        each = sa.func.json_each(sa.bindparam("given", type_=sa.Text)).table_valued("value").c.value
        given: list[Any] = [sa.func.json_extract(each, f"$[{place}]") for place in range(len(key))]
    else:
        given = [*_unnested(table, key)]
    among = sa.tuple_(*(table.c[name] for name in key)).in_(sa.select(*given))
    return sa.select(*(table.c[name] for name in columns)).where(among)


# A statement over rows that are given: the table, the columns, the rows' values by column name.
Statement = Callable[[sa.Table, Sequence[str], Any], Any]


def _insert(table: sa.Table, columns: Sequence[str], given: Any) -> Any:
    if isinstance(given, dict):
        return sqlite.insert(table).values(given)
    return postgresql.insert(table).from_select(list(columns), sa.select(*(given[name] for name in columns)))


def _upsert(table: sa.Table, columns: Sequence[str], given: Any) -> Any:
    statement = _insert(table, columns, given)
    changes = {name: statement.excluded[name] for name in columns if name not in table.primary_key.columns}
    return statement.on_conflict_do_update(index_elements=_key(table), set_=changes)


def _merge(table: sa.Table, columns: Sequence[str], given: Any) -> Any:
    statement = _insert(table, columns, given)
    new, c = statement.excluded, table.c
    earlier = sa.or_(c.first_seen_at.is_(None), new.first_seen_at < c.first_seen_at)
    changes = {"first_seen_at": sa.case((earlier, new.first_seen_at), else_=c.first_seen_at)}
    newer_names = []
    for field in NAMES[table.name]:
        order = f"{field}_order"
        newer = new[order] > sa.func.coalesce(c[order], sa.literal_column("''"))
        newer_names.append(newer)
        for column in (field, order):
            changes[column] = sa.case((newer, new[column]), else_=c[column])
    return statement.on_conflict_do_update(index_elements=_key(table), set_=changes, where=sa.or_(earlier, *newer_names))


def _add_up(table: sa.Table, columns: Sequence[str], given: Any) -> Any:
    statement = _insert(table, columns, given)
    total = {"times": table.c.times + statement.excluded.times}
    return statement.on_conflict_do_update(index_elements=_key(table), set_=total)


def _delete(table: sa.Table, columns: Sequence[str], given: Any) -> Any:
    from_on = ("n", "started_at", "folded_to")
    return sa.delete(table).where(
        *(table.c[name] >= given[name] if name in from_on else table.c[name] == given[name] for name in columns)
    )


def _key(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _write(connection: sa.Connection, statement: Statement, table: sa.Table, columns: Sequence[str], rows: Rows) -> None:
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        text, places = _for_sqlite(statement, table, tuple(columns))
        connection.exec_driver_sql(text, _as_stored(table, columns, rows, iso, places))
    elif len(rows) < COPY_ROWS:
        connection.execute(_over_arrays(statement, table, tuple(columns)), _arrays(columns, rows))
    else:
        from projector.copying import copy_aside, microseconds

        aside = copy_aside(connection, table, columns, _as_stored(table, columns, rows, microseconds))
        connection.execute(_over_table(statement, table, tuple(columns), aside))


def _as_stored(
    table: sa.Table, columns: Sequence[str], rows: Rows, moment: Callable[[int], object], places: Iterable[int] | None = None
) -> list[tuple[Any, ...]]:
    """The rows with their moments as the database stores them, their values in the statement's order."""
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True))
    moments = _Moments(moment)
    for place, name in enumerate(columns):
        if isinstance(table.c[name].type, Instant):
            by_column[place] = list(map(moments.__getitem__, by_column[place]))
    ordered = by_column if places is None else [by_column[place] for place in places]
    return list(zip(*ordered, strict=True))


class _Moments(dict[int | None, object]):
    """Milliseconds → what the database stores; a row has the same moment in several columns."""

    def __init__(self, stored: Callable[[int], object]) -> None:
        super().__init__({None: None})
        self._stored = stored

    def __missing__(self, ms: int) -> object:
        value = self[ms] = self._stored(ms)
        return value


@lru_cache(maxsize=256)
def _for_sqlite(statement: Statement, table: sa.Table, columns: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """The statement's text, and which column each of its parameters is."""
    given = {name: sa.bindparam(f"given_{name}", type_=table.c[name].type) for name in columns}
    compiled = statement(table, columns, given).compile(dialect=sqlite.dialect(paramstyle="qmark"))
    return str(compiled), tuple(columns.index(name.removeprefix("given_")) for name in compiled.positiontup)


@lru_cache(maxsize=256)
def _over_arrays(statement: Statement, table: sa.Table, columns: tuple[str, ...]) -> Any:
    return statement(table, columns, _unnested(table, columns))


@lru_cache(maxsize=256)
def _over_table(statement: Statement, table: sa.Table, columns: tuple[str, ...], name: str) -> Any:
    return statement(table, columns, sa.table(name, *(sa.column(each, table.c[each].type) for each in columns)).c)


def _arrays(columns: Sequence[str], rows: Rows) -> dict[str, list[Any]]:
    """The rows as the parameters of `_unnested`, an array for each column."""
    return {f"given_{name}": list(values) for name, values in zip(columns, zip(*rows, strict=True), strict=True)}


def _unnested(table: sa.Table, columns: Sequence[str]) -> Any:
    """Rows given as arrays, by column name. Their parameters are named apart from the table's columns."""
    arrays = (sa.bindparam(f"given_{name}", type_=postgresql.ARRAY(_element(table.c[name].type))) for name in columns)
    return sa.func.unnest(*arrays).table_valued(*columns).render_derived().c


def _element(kind: Any) -> Any:
    return sa.Text() if isinstance(kind, sa.Text) else kind
