"""The sink that is a database: bulk reads and bulk writes, one transaction a batch, SQLAlchemy Core throughout.

Heads and parts overwrite their own columns. Names merge: each column keeps the value with the greatest order key, so rows
that several partitions mention come out the same whoever writes last.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.access import PROJECTION, projected, reading, writing
from projector.bulk import add_up, delete_from, insert, merge, select_among, upsert
from projector.errors import StandingBy
from projector.lease import Lease
from projector.rows import (
    COLUMNS,
    HISTORY_OF,
    NAME_COLUMNS,
    PART_KEY,
    PARTS,
    TABLE_OF,
    VALUES_OF,
    Row,
    Values,
    head_unit,
    is_only_mentioned,
    name_values,
    rows_of,
    state_of,
)
from projector.sink import Batch, Checkpoint, voids
from projector.taskrouter.callback import Unit
from projector.taskrouter.event_types import EVENT_TYPES, canonical
from projector.taskrouter.fold import ENTITIES, FOLD_VERSION, State, decode, encode
from projector.taskrouter.mention import Stated

RECENT_UNITS = 10_000  # whose states are kept in memory: some 30 MB
EVENT_TYPE_MAX_LENGTH = 100


class TableSink:
    """Tables in a database. With a lease, only its holder may save. `name` is the projection's: a rebuild has one for each part."""

    def __init__(self, engine: sa.Engine, lease: Lease | None = None, name: str = PROJECTION) -> None:
        self._engine = engine
        self._lease = lease
        self._name = name
        self._fold_version = FOLD_VERSION  # of the tables, as last looked at
        self._recent: dict[Unit, State] = {}  # what the tables hold of them: nobody else writes while our batches are taken
        self._incomplete: set[Unit] | None = None

    def position(self) -> int:
        """See `Sink.position`."""
        with reading(self._engine) as connection:
            row = projected(connection, self._name)
        self._fold_version = row.fold_version
        return int(row.position)

    def load(self, units: Iterable[Unit]) -> dict[Unit, State]:
        """See `Sink.load`."""
        by_kind: dict[str, list[tuple[str, str]]] = defaultdict(list)
        found: dict[Unit, State] = {}
        for unit in units:
            if (state := self._recent.get(unit)) is not None:
                found[unit] = state
            else:
                by_kind[unit.kind].append((unit.workspace_sid, unit.sid))
        if not by_kind:
            return found
        with reading(self._engine) as connection:
            for kind, keys in by_kind.items():
                found |= _load(connection, kind, keys)
        return found

    def incomplete(self) -> set[Unit]:
        """See `Sink.incomplete`."""
        if self._incomplete is None:
            with reading(self._engine) as connection:
                self._incomplete = set(map(Unit.parse, connection.execute(sa.select(tables.incomplete_unit.c.unit)).scalars()))
        return self._incomplete

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:
        """See `Sink.checkpoint`."""
        with reading(self._engine) as connection:
            return latest_checkpoint(connection, unit, before)

    def save(self, batch: Batch) -> None:
        """See `Sink.save`. Raises `StandingBy` when another loop has moved the position or holds the lease."""
        with writing(self._engine) as connection:
            self._advance(connection, batch)
            _save_states(connection, batch)
            _save_history(connection, batch)
            _save_names(connection, batch)
            _save_operating(connection, batch)
        self._remember(batch)

    def _remember(self, batch: Batch) -> None:
        for unit, folded in batch.folded.items():
            self._recent.pop(unit, None)  # or it would keep its place, which says when it was last heard of
            self._recent[unit] = folded.state
        for unit in list(islice(self._recent, max(0, len(self._recent) - RECENT_UNITS))):
            del self._recent[unit]
        if self._incomplete is not None:
            self._incomplete = (self._incomplete | batch.incomplete.keys()).difference(batch.healed)

    def rows(self, workspace_sid: str | None = None) -> dict[str, dict[tuple[Any, ...], Row]]:
        """Every row (of one workspace): table → key → row, derived columns left out."""
        found: dict[str, dict[tuple[Any, ...], Row]] = {}
        with reading(self._engine) as connection:
            for table in (*tables.CURRENT, *tables.HISTORY):
                stored = [column for column in table.c if column.computed is None]
                keys = [column.name for column in table.primary_key]
                every = sa.select(*stored)
                if workspace_sid is not None:
                    every = every.where(table.c.workspace_sid == workspace_sid)
                found[table.name] = {tuple(row[key] for key in keys): dict(row) for row in connection.execute(every).mappings()}
        return found

    def _advance(self, connection: sa.Connection, batch: Batch) -> None:
        c = tables.projection.c
        moved = sa.update(tables.projection).where(c.name == self._name, c.position == batch.after)
        if batch.after > 0:  # a rebuild may have swapped in tables of another fold since these states were loaded
            moved = moved.where(c.fold_version == self._fold_version)
        values: dict[str, Any] = {
            "position": batch.position,
            "originator_id": batch.originator_id,
            "event_at": sa.case(
                (c.event_at > sa.literal(batch.event_ms, tables.Instant), c.event_at),
                else_=sa.literal(batch.event_ms, tables.Instant),
            ),
        }
        if batch.after == 0:
            values["fold_version"] = self._fold_version = FOLD_VERSION
        if self._lease is not None:
            moved = moved.where(c.holder == self._lease.holder)
            values["lease_expires_at"] = self._lease.renewed_until(connection)
        if connection.execute(moved.values(values)).rowcount != 1:
            raise StandingBy(
                f"Another loop took over: the tables are no longer at position {batch.after} under this loop's lease."
            )


def latest_checkpoint(connection: sa.Connection, unit: Unit, before: str) -> Checkpoint | None:
    """See `Sink.checkpoint`."""
    c = tables.checkpoint.c
    earlier = sa.select(c.folded_to, c.state).where(c.unit == str(unit), c.folded_to < before)
    row = connection.execute(earlier.order_by(c.folded_to.desc()).limit(1)).first()
    return Checkpoint(row.folded_to, decode(unit.kind, row.state)) if row else None


def _load(connection: sa.Connection, kind: str, keys: Sequence[tuple[str, ...]]) -> dict[Unit, State]:
    owner = ("workspace_sid",) if kind == "workspace" else ("workspace_sid", f"{kind}_sid")
    keys = [key[: len(owner)] for key in keys]
    head_type = type(ENTITIES[kind].initial)
    found: dict[Unit, State] = {}
    for row in select_among(connection, TABLE_OF[head_type], COLUMNS[head_type], owner, keys).mappings():
        head = state_of(head_type, row)
        if not is_only_mentioned(head):
            found[head_unit(kind, row)] = State(head, {})
    part_type = PARTS.get(kind)
    if part_type is not None and found:
        owners = [(unit.workspace_sid, unit.sid) for unit in found]
        for row in select_among(connection, TABLE_OF[part_type], COLUMNS[part_type], owner, owners).mappings():
            if row["last_event_sid"] is not None:  # a channel that was only mentioned is no part yet
                found[head_unit(kind, row)].parts[row[PART_KEY[part_type]]] = state_of(part_type, row)
    return found


def _save_states(connection: sa.Connection, batch: Batch) -> None:
    rows: dict[Any, list[Values]] = defaultdict(list)
    for folded in batch.folded.values():
        for state in rows_of(folded.state, folded.before):
            kind = type(state)
            rows[kind].append(VALUES_OF[kind](state))
    for kind, written in rows.items():
        upsert(connection, TABLE_OF[kind], COLUMNS[kind], written)


def _save_history(connection: sa.Connection, batch: Batch) -> None:
    """Take back what a late callback made wrong, then write what has ended since."""
    wrong: dict[Any, list[Values]] = defaultdict(list)
    ended: dict[Any, list[Values]] = defaultdict(list)
    for unit, folded in batch.folded.items():
        for void in voids(unit, folded):
            place = void.line | {"n": void.n, "started_at": void.since_ms}
            names = tuple(name for name in place if name in HISTORY_OF[void.kind].primary_key.columns)
            wrong[void.kind, names].append(tuple(place[name] for name in names))
        for span in folded.closed:
            ended[type(span)].append(VALUES_OF[type(span)](span))
    for (kind, names), lines in wrong.items():
        delete_from(connection, HISTORY_OF[kind], names, lines)
    for kind, written in ended.items():
        insert(connection, HISTORY_OF[kind], COLUMNS[kind], written)
    insert(connection, tables.stated_capacity, COLUMNS[Stated], [VALUES_OF[Stated](each) for each in batch.stated])


def _save_names(connection: sa.Connection, batch: Batch) -> None:
    rows: dict[str, list[Values]] = defaultdict(list)
    for (name, key), mention in batch.mentions.items():
        rows[name].append(name_values(name, key, mention))
    for name, written in rows.items():
        table = tables.metadata.tables[name]
        merge(connection, table, (*(column.name for column in table.primary_key), *NAME_COLUMNS[name]), written)


def _save_operating(connection: sa.Connection, batch: Batch) -> None:
    late = [(str(unit), folded.late) for unit, folded in batch.folded.items() if folded.late is not None]
    delete_from(connection, tables.checkpoint, ("unit", "folded_to"), late)
    checkpoints = [checkpoint_values(unit, point) for unit, folded in batch.folded.items() for point in folded.checkpoints]
    upsert(connection, tables.checkpoint, CHECKPOINT_COLUMNS, checkpoints)
    failed = [(str(unit), error, batch.position) for unit, error in batch.incomplete.items()]
    upsert(connection, tables.incomplete_unit, ("unit", "error", "position"), failed)
    healed = [(str(unit),) for unit in batch.healed]
    delete_from(connection, tables.incomplete_unit, ("unit",), healed)
    add_up(connection, tables.event_type_count, COUNT_COLUMNS, counted(batch.event_types))


CHECKPOINT_COLUMNS = ("unit", "folded_to", "state")
COUNT_COLUMNS = ("event_type", "known", "times")


def checkpoint_values(unit: Unit, point: Checkpoint) -> Values:
    """A checkpoint as a row."""
    return str(unit), point.folded_to, encode(point.state)


def counted(event_types: Mapping[str, int]) -> list[Values]:
    """Counts by EventType as rows of `COUNT_COLUMNS`."""
    counts: dict[str, int] = defaultdict(int)
    for event_type, times in event_types.items():
        counts[event_type[:EVENT_TYPE_MAX_LENGTH]] += times
    return [(name, canonical(name) in EVENT_TYPES, times) for name, times in counts.items()]
