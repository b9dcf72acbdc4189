"""verify: fold the log again in memory and compare with every row of every table, while the live loop goes on.

The tables are read in one snapshot, so what they hold is what the log comes to at one position. The log is read unit by unit and
folded as it comes, so memory does not grow with it. Nothing is kept of a row but its digest, added up by table and bucket: sums do
not ask for an order. A bucket whose sums differ is looked at again, row by row.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import projected, snapshot
from projector.database import disposing, open_engine
from projector.errors import NotRebuilt
from projector.log import Log, open_log
from projector.project import history
from projector.rows import NAME_COLUMNS, STORED, Row, is_default, named_rows, row_of, unit_of_row
from projector.status import check_position, rebuild_due
from projector.sweep import Kept, Sweep
from projector.table_sink import COUNT_COLUMNS, counted
from projector.taskrouter.callback import order_identity
from projector.taskrouter.fold import FOLD_VERSION

BUCKETS = 1_024
ROWS_AT_ONCE = 2_000
FOLDED_AT_ONCE = 500
COMPARED = (*tables.CURRENT, *tables.HISTORY, tables.event_type_count)

Progress = Callable[[int, int], None]  # callbacks folded so far, of how many
Line = tuple[sa.Table, Mapping[str, Any]]  # a table and a row of it


class Difference(NamedTuple):
    """The first row that is not what the log says, its differing columns in both versions, and the callbacks behind it."""

    table: str
    key: dict[str, Any]
    in_tables: Row | None
    from_log: Row | None
    callbacks: list[str]


class Verdict(NamedTuple):
    """What was compared up to which position, a hash and a number of rows for each table, and the first difference."""

    position: int
    seconds: float
    rows: dict[str, int]
    hashes: dict[str, str]
    incomplete: dict[str, str]  # units whose fold failed, which are not compared → where
    difference: Difference | None


def verify(url: URL, progress: Progress = lambda _done, _of: None) -> Verdict:
    """Compare all tables with the log they were projected from. Raises `LogMismatch`, and `NotRebuilt` when a rebuild is due."""
    began = time.monotonic()
    with (
        closing(open_log(url)) as log,
        disposing(open_engine(url, patient=True)) as engine,
        snapshot(engine, patient=True) as connection,
    ):
        row = projected(connection)
        check_position(log, row)
        if rebuild_due(row):
            raise NotRebuilt(
                f"The tables hold what fold {row.fold_version} made of the log, and this release's is {FOLD_VERSION}: they differ by "
                "right. Run `projector rebuild` first."
            )
        incomplete = {each.unit: each.error for each in connection.execute(sa.select(tables.incomplete_unit))}
        found, rows = Sums(incomplete), dict.fromkeys((table.name for table in COMPARED), 0)
        for table, each in _stored_rows(connection):
            found.add(table, each)
            rows[table.name] += 1
        folded = Sums(incomplete)
        sweep = Sweep(log, row.position, tell=lambda done: progress(done, row.position))
        for table, each in _folded_rows(sweep):
            folded.add(table, each)
        incomplete |= {str(unit): error for unit, error in sweep.incomplete.items()}
        place = next((place for place in _places() if found.sums[place] != folded.sums[place]), None)
        difference = _first(log, connection, row.position, place, incomplete) if place else None
    return Verdict(row.position, time.monotonic() - began, rows, found.hashes(), incomplete, difference)


class Sums:
    """Digests of rows, added up by table and bucket; the order they come in does not matter."""

    def __init__(self, incomplete: Iterable[str]) -> None:
        self._incomplete = frozenset(incomplete)
        self.sums: dict[tuple[str, str, int], int] = defaultdict(int)

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Take one row in: what its own unit told, and what mentions told, each for itself. A unit whose fold failed is left out."""
        if _owner(table, row) in self._incomplete:
            return
        for kind, part in _split(table, row):
            digest = sha256(msgspec.msgpack.encode([part[name] for name in sorted(part)])).digest()
            self.sums[table.name, kind, _bucket(table, row)] += int.from_bytes(digest)

    def hashes(self) -> dict[str, str]:
        """One hash for each table, of all its rows."""
        totals = dict.fromkeys((table.name for table in COMPARED), 0)
        for (name, _, _), total in self.sums.items():
            totals[name] += total
        return {name: f"{total % 2**256:064x}" for name, total in totals.items()}


OWN, NAMED = "own", "named"


def _split(table: sa.Table, row: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """What the row's own unit says, unless it says nothing, and what mentions say: they come from different parts of the log."""
    by_mention = NAME_COLUMNS.get(table.name, ())
    own = {name: value for name, value in row.items() if name not in by_mention}
    is_only_mentioned = bool(by_mention) and is_default(table, own)
    if not is_only_mentioned:
        yield OWN, own
    if is_only_mentioned or any(row.get(name) is not None for name in by_mention):
        key = [column.name for column in table.primary_key]
        yield NAMED, {name: row.get(name) for name in (*key, *by_mention)}


def _owner(table: sa.Table, row: Mapping[str, Any]) -> str:
    return str(row["event_type"]) if table is tables.event_type_count else str(unit_of_row(table, row))


def _bucket(table: sa.Table, row: Mapping[str, Any]) -> int:
    return crc32(_owner(table, row).encode()) % BUCKETS


def _places() -> Iterator[tuple[str, str, int]]:
    """Where sums are kept, in the order in which a difference is looked for."""
    return ((table.name, kind, bucket) for table in COMPARED for kind in (OWN, NAMED) for bucket in range(BUCKETS))


def _stored_rows(connection: sa.Connection) -> Iterator[Line]:
    """Every stored row of the tables, derived columns left out, a few at a time."""
    for table in COMPARED:
        stored = [column for column in table.c if column.computed is None]
        found = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE).execute(sa.select(*stored))
        try:
            yield from ((table, dict(row)) for row in found.mappings())
        except ValueError as error:  # SQLite takes any text for a moment
            raise NotRebuilt(f"Table {table.name} holds what nobody projected: {error}. Run `projector rebuild`.") from error


def _folded_rows(sweep: Sweep) -> Iterator[Line]:
    """Every row that the log comes to at a position: unit after unit, then what all of them mention and count."""
    for line in sweep.lines():
        if not isinstance(line, Kept):
            yield STORED[type(line)], row_of(line)
    yield from named_rows(sweep.heard.mentions())
    yield from ((tables.event_type_count, dict(zip(COUNT_COLUMNS, row, strict=True))) for row in counted(sweep.heard.event_types))


def _first(
    log: Log, connection: sa.Connection, upto: int, place: tuple[str, str, int], incomplete: Mapping[str, str]
) -> Difference:
    """The first row of a table's bucket, by its key, that differs."""
    name, _, bucket = place
    table = tables.metadata.tables[name]
    key = [column.name for column in table.primary_key]
    blank = {column.name: None for column in table.c if column.computed is None}

    def kept(lines: Iterable[Line]) -> dict[tuple[Any, ...], Row]:
        rows: dict[tuple[Any, ...], Row] = {}
        for of, row in lines:
            if of is table and _bucket(of, row) == bucket and _owner(of, row) not in incomplete:
                place = tuple(row[column] for column in key)
                rows[place] = {**row, **rows.get(place, {})}  # what a unit itself told comes before what is mentioned
        return {place: blank | row for place, row in rows.items()}

    theirs, ours = kept(_stored_rows(connection)), kept(_folded_rows(Sweep(log, upto)))
    for each in sorted(theirs.keys() | ours.keys(), key=repr):
        one, other = theirs.get(each), ours.get(each)
        if one != other:
            differing = [column for column in blank if one is None or other is None or one[column] != other[column]]
            return Difference(
                name,
                dict(zip(key, each, strict=True)),
                one and {column: one[column] for column in differing},
                other and {column: other[column] for column in differing},
                _behind(log, table, one or other or {}, upto),
            )
    raise AssertionError(f"{name}: the sums of bucket {bucket} differ and no row does")


def _behind(log: Log, table: sa.Table, row: Row, upto: int) -> list[str]:
    """The Sids of the callbacks that a row comes from: its unit's, and those that named it."""
    if table is tables.event_type_count:
        return []
    told = [each.callback.identity for each in history(log, unit_of_row(table, row), upto)]
    named = [row[name] for name in row if name.endswith("_order") and name != "deletion_order" and row[name]]
    return list(dict.fromkeys([*told, *(order_identity(order) for order in named)]))
