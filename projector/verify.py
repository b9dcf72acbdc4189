"""verify: fold the log again in memory and compare with every row of every table, while the live loop goes on.

The tables are read in one snapshot, so what they hold is what the log comes to at one position. The log is folded part by part, so
memory does not grow with it. Nothing is kept of a row but its digest, added up by table and bucket: sums do not ask for an order. A
bucket whose sums differ is looked at again, row by row.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.database import disposing, open_engine
from projector.errors import NotRebuilt
from projector.log import Log, open_log
from projector.project import Partition, advance, history
from projector.rows import NAME_COLUMNS, Row, is_default, unit_of_row
from projector.sink import MemorySink
from projector.status import check_position, rebuild_due
from projector.table_sink import projected, reading
from projector.taskrouter.callback import order_identity
from projector.taskrouter.fold import FOLD_VERSION
from projector.taskrouter.mention import Mentions, merge_all

PART_CALLBACKS = 50_000  # folded in memory at once
PAGE = 5_000
ROWS_AT_ONCE = 2_000
COMPARED = (*tables.CURRENT, *tables.HISTORY)

Progress = Callable[[int, int], None]  # callbacks folded so far, of how many


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
    parts: int
    seconds: float
    rows: dict[str, int]
    hashes: dict[str, str]
    difference: Difference | None


class Sums:
    """Digests of rows, added up by table and bucket; the order they come in does not matter."""

    def __init__(self, buckets: int) -> None:
        self.buckets = buckets
        self.sums: dict[tuple[str, int], int] = defaultdict(int)

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Take one row in: what its own unit told, and what mentions told, each for itself."""
        for kind, part in _split(table, row):
            digest = sha256(msgspec.msgpack.encode([part[name] for name in sorted(part)])).digest()
            self.sums[f"{table.name}{kind}", self.bucket(table, row)] += int.from_bytes(digest)

    def bucket(self, table: sa.Table, row: Mapping[str, Any]) -> int:
        """The bucket of a row: its unit's part."""
        return crc32(str(unit_of_row(table, row)).encode()) % self.buckets

    def hashes(self) -> dict[str, str]:
        """One hash for each table, of all its rows."""
        totals: dict[str, int] = {table.name: 0 for table in COMPARED}
        for (name, _), total in self.sums.items():
            totals[name.partition(" ")[0]] += total
        return {name: f"{total % 2**256:064x}" for name, total in totals.items()}


NAMED = " (named)"


def _split(table: sa.Table, row: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """What the row's own unit says, unless it says nothing, and what mentions say: they come from different parts of the log."""
    by_mention = NAME_COLUMNS.get(table.name, ())
    key = [column.name for column in table.primary_key]
    own = {name: value for name, value in row.items() if name not in by_mention}
    if not by_mention or not is_default(table, own):
        yield "", own
    if by_mention and any(row.get(name) is not None for name in by_mention):
        yield NAMED, {name: row.get(name) for name in (*key, *by_mention)}


def verify(url: URL, progress: Progress = lambda _done, _of: None) -> Verdict:
    """Compare all tables with the log they were projected from. Raises `LogMismatch`, and `NotRebuilt` when a rebuild is due."""
    began = time.monotonic()
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine, _snapshot(engine) as connection:
        row = projected(connection)
        check_position(log, row)
        if rebuild_due(row):
            raise NotRebuilt(
                f"The tables hold what fold {row.fold_version} made of the log, and this release's is {FOLD_VERSION}: they differ by "
                "right. Run `projector rebuild` first."
            )
        parts = max(1, -(-row.position // PART_CALLBACKS))
        found = Sums(parts)
        rows = dict.fromkeys((table.name for table in COMPARED), 0)
        for table in COMPARED:
            for each in _rows(connection, table):
                found.add(table, each)
                rows[table.name] += 1
        folded, names = _folded(log, row.position, parts, progress)
        difference = _difference(log, connection, row.position, found, folded, names)
    return Verdict(row.position, parts, time.monotonic() - began, rows, found.hashes(), difference)


@contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One moment of the tables, for as long as it takes; the live loop goes on."""
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
                connection.execute(sa.select(sa.func.set_config(setting, "0", True)))
        yield connection


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[Mapping[str, Any]]:
    """Every stored row, derived columns left out, a few at a time."""
    stored = [column for column in table.c if column.computed is None]
    found = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE).execute(sa.select(*stored))
    for row in found.mappings():
        yield dict(row)


def _folded(log: Log, upto: int, parts: int, progress: Progress) -> tuple[Sums, Mentions]:
    """The same sums from the log, and everything that was mentioned: entities that have names are few, tasks have none."""
    sums, names = Sums(parts), Mentions()
    for number in range(parts):
        sink = _fold_part(log, Partition(number, parts), upto, partial(_tell, progress, number * upto, parts * upto))
        for table, row in sink.own_rows():
            sums.add(table, row)
        merge_all(names, sink.mentions)
    for table, row in _named_rows(names):
        sums.add(table, row)
    return sums, names


def _tell(progress: Progress, before: int, of: int, done: int) -> None:
    progress(before + done, of)


def _fold_part(log: Log, part: Partition, upto: int, tell: Callable[[int], None]) -> MemorySink:
    sink, position = MemorySink(), 0
    while position < upto:
        position = advance(log, sink, position, upto, PAGE, part)
        tell(position)
    return sink


def _named_rows(names: Mentions) -> Iterator[tuple[sa.Table, Row]]:
    sink = MemorySink()
    sink.mentions = names
    for name, rows in sink.rows().items():
        for row in rows.values():
            yield tables.metadata.tables[name], row


def _difference(log: Log, connection: sa.Connection, upto: int, found: Sums, folded: Sums, names: Mentions) -> Difference | None:
    """The first row that differs, in the order of tables, buckets and keys."""
    for table in COMPARED:
        for kind in ("", NAMED):
            for bucket in range(found.buckets):
                place = (table.name + kind, bucket)
                if found.sums[place] != folded.sums[place]:
                    return _first(log, connection, upto, table, bucket, found, names)
    return None


def _first(
    log: Log, connection: sa.Connection, upto: int, table: sa.Table, bucket: int, found: Sums, names: Mentions
) -> Difference:
    key = [column.name for column in table.primary_key]

    def kept(rows: Iterator[tuple[sa.Table, Mapping[str, Any]]]) -> dict[tuple[Any, ...], Row]:
        return {
            tuple(row[name] for name in key): dict(row) for of, row in rows if of is table and found.bucket(of, row) == bucket
        }

    theirs = kept((table, row) for row in _rows(connection, table))
    # What a callback states of another unit's channel may come from any part; everything else from its own.
    parts = range(found.buckets) if table is tables.stated_capacity else [bucket]
    ours: dict[tuple[Any, ...], Row] = kept(_named_rows(names))
    for number in parts:
        for each, row in kept(_fold_part(log, Partition(number, found.buckets), upto, lambda _: None).own_rows()).items():
            ours[each] = ours.get(each, {}) | row
    for each in sorted(theirs.keys() | ours.keys(), key=repr):
        one, other = theirs.get(each), ours.get(each)
        if one != other:
            differing = [name for name in (one or other or {}) if one is None or other is None or one[name] != other[name]]
            return Difference(
                table.name,
                dict(zip(key, each, strict=True)),
                one and {name: one[name] for name in differing},
                other and {name: other[name] for name in differing},
                _behind(log, table, one or other or {}, upto),
            )
    raise AssertionError(f"{table.name}: the sums of bucket {bucket} differ and no row does")


def _behind(log: Log, table: sa.Table, row: Row, upto: int) -> list[str]:
    """The Sids of the callbacks that a row comes from: its unit's, and those that named it."""
    told = [each.callback.identity for each in history(log, unit_of_row(table, row), upto)]
    named = [row[name] for name in row if name.endswith("_order") and name != "deletion_order" and row[name]]
    return list(dict.fromkeys([*told, *(order_identity(order) for order in named)]))
