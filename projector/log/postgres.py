"""The log on PostgreSQL: `eventsourcing`'s recorder with an advisory lock, idempotent batches and the unit index.

The library serialises inserts by `LOCK TABLE … EXCLUSIVE`, which VACUUM, ANALYZE and CREATE INDEX CONCURRENTLY also wait
for and make wait. A transaction-scoped advisory lock gives the same law (positions become visible in order, so a reader
that pages by position never passes a gap that fills later) without that. All writers take it, library calls included.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from zlib import crc32

import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError, ProgrammingError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import dict_row, scalar_row, tuple_row
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL

from projector.errors import NotMigrated, StoreUnavailable
from projector.log.entry import (
    BY_UNIT_ROWS,
    EVERY_UNIT,
    Decision,
    Entry,
    Mark,
    Outcome,
    Place,
    Rejected,
    Stored,
    Tally,
    Timed,
    Units,
    decide,
)
from projector.log.schema import SCHEMA
from projector.taskrouter.text import LATEST_MS

CONNECT_TIMEOUT_SECONDS = 1.0
RECONNECT_SECONDS = 0.5  # the pool would double its pauses for five minutes, and stay away long after the database is back
SESSION = (
    "-c lock_timeout=1500 -c statement_timeout=10000 -c idle_in_transaction_session_timeout=5000"
    # Every question to the log has its index. A plan made while the log is empty, and kept, would read all of it ever after.
    " -c enable_seqscan=off"
)

# The bound stands outside of what is limited: two conditions on the time PostgreSQL, while it knows little of a young log, believes to be
# met by so few that it sorts them all. A NULL it only knows to be in order when it is told to order by it.
_LATEST = SQL(
    "SELECT * FROM (SELECT at_ms, notification_id, originator_id, topic, state FROM {} WHERE originator_version <> 0"
    " AND (at_ms, notification_id) < (%(at_ms)s, %(position)s) ORDER BY at_ms DESC, notification_id DESC LIMIT %(limit)s) AS nearest"
    " WHERE at_ms >= %(bound_ms)s ORDER BY at_ms DESC, notification_id DESC"
)
_EARLIEST = SQL(
    "SELECT * FROM (SELECT at_ms, notification_id, originator_id, topic, state FROM {} WHERE originator_version <> 0"
    " AND (at_ms, notification_id) > (%(at_ms)s, %(position)s) ORDER BY at_ms, notification_id LIMIT %(limit)s) AS nearest"
    " WHERE at_ms <= %(bound_ms)s ORDER BY at_ms, notification_id"
)
_LATEST_OF = SQL(
    "SELECT * FROM ((SELECT at_ms, notification_id, originator_id, topic, state FROM {0} WHERE unit = %(unit)s"
    " AND (at_ms, notification_id) < (%(at_ms)s, %(position)s) ORDER BY at_ms DESC, notification_id DESC LIMIT %(limit)s)"
    " UNION ALL (SELECT at_ms, notification_id, originator_id, topic, state FROM {0} WHERE unit IS NULL"
    " AND (at_ms, notification_id) < (%(at_ms)s, %(position)s) ORDER BY unit DESC, at_ms DESC, notification_id DESC LIMIT %(limit)s)"
    ") AS nearest WHERE at_ms >= %(bound_ms)s ORDER BY at_ms DESC, notification_id DESC LIMIT %(limit)s"
)
_EARLIEST_OF = SQL(
    "SELECT * FROM ((SELECT at_ms, notification_id, originator_id, topic, state FROM {0} WHERE unit = %(unit)s"
    " AND (at_ms, notification_id) > (%(at_ms)s, %(position)s) ORDER BY at_ms, notification_id LIMIT %(limit)s)"
    " UNION ALL (SELECT at_ms, notification_id, originator_id, topic, state FROM {0} WHERE unit IS NULL"
    " AND (at_ms, notification_id) > (%(at_ms)s, %(position)s) ORDER BY unit, at_ms, notification_id LIMIT %(limit)s)"
    ") AS nearest WHERE at_ms <= %(bound_ms)s ORDER BY at_ms, notification_id LIMIT %(limit)s"
)


class Datastore(PostgresDatastore):
    """The library's connection pool, from a URL. It opens at first use: a webhook starts while its database is away."""

    def __init__(self, url: URL, pool_size: int = 4) -> None:
        super().__init__(
            dbname="", host="", port="", user="", password="",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            idle_in_transaction_session_timeout=5,
            pool_size=1,
            max_overflow=pool_size - 1,
            max_waiting=0,  # whoever gave up waiting would still count, and at the limit the pool makes no new connection
            pre_ping=False,  # a connection that broke is noticed at its use, and whoever appends tries again
            schema=SCHEMA,
            originator_id_type="text",
        )  # fmt: skip
        settings: dict[str, Any] = {
            "connect_timeout": "2",
            "tcp_user_timeout": "5000",
            "application_name": "projector log",
            **url.translate_connect_args(username="user", database="dbname"),
            **url.query,
            "options": f"{url.query.get('options', '')} {SESSION}",
        }
        self.pool.kwargs = settings | {"row_factory": dict_row}
        self.pool.reconnect_timeout = RECONNECT_SECONDS

    def register_type_adapters(self) -> None:
        """Nothing to register: arrays of plain types are used instead of the library's composite type."""


class PostgresLog(PostgresApplicationRecorder):
    """A `Log` that is also a recorder of the library's, and passes the library's own test cases."""

    def __init__(self, datastore: Datastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        table = Identifier(datastore.schema, events_table_name)
        self._lock = crc32(f"{datastore.schema}.{events_table_name}".encode())
        self.lock_table_statements = [SQL("SELECT pg_advisory_xact_lock({})").format(self._lock)]
        self._insert_strictly = SQL(
            "INSERT INTO {} (originator_id, originator_version, topic, state, unit, at_ms)"
            " SELECT originator_id, originator_version, topic, state, unit, at_ms"
            " FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::text[], %b::bigint[]) WITH ORDINALITY"
            " AS t (originator_id, originator_version, topic, state, unit, at_ms, n) ORDER BY n RETURNING notification_id"
        ).format(table)
        self._append = SQL(
            "SELECT * FROM {}(%s::bigint, %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::bytea[])"
        ).format(Identifier(datastore.schema, "append_callbacks"))
        self._stored = SQL("SELECT originator_id, state FROM {} WHERE originator_id = ANY(%s)").format(table)
        self._read = SQL(
            "SELECT notification_id, originator_id, state, unit FROM {} WHERE notification_id > %s AND notification_id <= %s"
            " ORDER BY notification_id LIMIT %s"
        ).format(table)
        self._history = SQL(
            "SELECT notification_id, originator_id, state, unit FROM {} WHERE (unit = %s OR unit IS NULL)"
            " AND at_ms BETWEEN %s AND %s AND notification_id <= %s"
        ).format(table)
        self._without_unit = SQL(
            "SELECT notification_id, originator_id, state, unit, at_ms FROM {} WHERE unit IS NULL"
            " AND (at_ms, notification_id) > (%s, %s) AND notification_id <= %s ORDER BY at_ms, notification_id LIMIT %s"
        ).format(table)
        self._by_unit = SQL(
            "SELECT notification_id, originator_id, state, unit, at_ms FROM {} WHERE (unit, at_ms, notification_id) > (%s, %s, %s)"
            " AND unit < %s AND notification_id <= %s ORDER BY unit, at_ms, notification_id LIMIT %s"
        ).format(table)
        self._latest, self._earliest = _LATEST.format(table), _EARLIEST.format(table)
        self._latest_of, self._earliest_of = _LATEST_OF.format(table), _EARLIEST_OF.format(table)
        self._units_at = SQL("SELECT unit FROM {} WHERE notification_id = ANY(%s) AND unit IS NOT NULL").format(table)
        self._end = SQL("SELECT notification_id FROM {} ORDER BY notification_id DESC LIMIT 1").format(table)
        self._at = SQL("SELECT originator_id FROM {} WHERE notification_id = %s").format(table)
        self._find = SQL("SELECT notification_id, originator_id, state, unit FROM {} WHERE originator_id = %s").format(table)
        quarantine = Identifier(datastore.schema, "intake_quarantine")
        self._quarantine = SQL(
            "INSERT INTO {} AS q (digest, reason, source, body, first_received_ms, times) VALUES (%s, %s, %s, %s,"
            " (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 1) ON CONFLICT (digest) DO UPDATE SET times = q.times + 1"
        ).format(quarantine)
        self._holds = SQL("SELECT originator_id FROM {} WHERE originator_id = ANY(%s)").format(table)
        self._seen_via = SQL("SELECT originator_id, source FROM {} WHERE originator_id = ANY(%s)").format(
            Identifier(datastore.schema, "seen_via")
        )
        self._seen = SQL(
            "INSERT INTO {} (originator_id, source, topic, at_ms) SELECT stored.originator_id, given.source, stored.topic, stored.at_ms"
            " FROM unnest(%s::text[], %s::text[]) AS given (source, originator_id)"
            " CROSS JOIN LATERAL (SELECT * FROM {} AS e WHERE e.originator_id = given.originator_id LIMIT 1) AS stored"
            " ON CONFLICT DO NOTHING"
        ).format(Identifier(datastore.schema, "seen_via"), table)
        # The feed stands at the document's beginning: {"recorded_at":1770003600000,"source":"callback",…
        source = SQL("split_part(encode(substring(state FOR 60), 'escape'), '\"', 6)")
        self._heard = SQL(
            "SELECT at_ms / 3600000, topic, {0}, count(*), true FROM {1}"
            " WHERE originator_version <> 0 AND at_ms >= %(since_ms)s AND at_ms < %(until_ms)s GROUP BY 1, 2, 3"
            " UNION ALL SELECT at_ms / 3600000, topic, source, count(*), false FROM {2}"
            " WHERE at_ms >= %(since_ms)s AND at_ms < %(until_ms)s GROUP BY 1, 2, 3"
        ).format(source, table, Identifier(datastore.schema, "seen_via"))
        self._told_twice = SQL(
            "SELECT array_agg(notification_id ORDER BY notification_id) FROM {1} WHERE originator_version <> 0 AND unit IS NOT NULL"
            " AND at_ms >= %s AND at_ms < %s GROUP BY unit, at_ms, topic HAVING count(*) > 1 AND min({0}) <> max({0})"
            " ORDER BY at_ms, unit, topic LIMIT %s"
        ).format(source, table)
        marks = Identifier(datastore.schema, "feed_mark")
        self._mark = SQL(
            "INSERT INTO {} (feed, part, place) VALUES (%s, %s, %s) ON CONFLICT (feed, part) DO UPDATE SET place = excluded.place"
        ).format(marks)
        self._marks = SQL("SELECT part, place FROM {} WHERE feed = %s").format(marks)
        counts = Identifier(datastore.schema, "intake_count")
        self._count = SQL(
            "INSERT INTO {} AS c (outcome, times) VALUES (%s, %s)"
            " ON CONFLICT (outcome) DO UPDATE SET times = c.times + excluded.times"
        ).format(counts)
        self._counts = SQL("SELECT outcome, times FROM {}").format(counts)

    def append(self, arrivals: Sequence[Entry | Rejected], marks: Sequence[Mark] = ()) -> list[Outcome]:
        """See `Log.append`: one round trip, the receipt stamp taken under the lock; more where not everything is new."""
        decision = decide(arrivals, {})
        with self._connection() as conn, conn.transaction() if marks else nullcontext():
            others = self._store(conn, decision.new) if decision.new else []
            if others or len(decision.new) < len(arrivals):
                with conn.transaction():
                    decision = self._settle(conn, arrivals, others)
            for mark in marks:
                conn.execute(self._mark, mark)
        return decision.outcomes

    def _settle(self, conn: psycopg.Connection[Any], arrivals: Sequence[Entry | Rejected], others: list[str]) -> Decision:
        """What becomes of a batch that was not all new, now that it is known what is stored; written down beside the log.

        Rows that several servers may write are written in one order, or two would wait for each other.
        """
        stored = conn.execute(self._stored, (others,)).fetchall()
        decision = decide(arrivals, {row["originator_id"]: row["state"] for row in stored})
        for rejected in sorted(decision.rejected, key=lambda each: each.digest):
            conn.execute(self._quarantine, (rejected.digest, rejected.reason, rejected.source, rejected.body))
        if decision.seen:
            conn.execute(self._seen, [list(column) for column in zip(*sorted(decision.seen), strict=True)])
        for outcome, times in sorted(decision.counts(arrivals).items()):
            conn.execute(self._count, (outcome, times))
        return decision

    def _store(self, conn: psycopg.Connection[Any], new: list[Entry]) -> list[str]:
        """Append what is not stored yet, durably; whose callbacks the others are."""
        columns = [
            [entry.originator_id for entry in new], [entry.topic for entry in new], [entry.unit for entry in new],
            [entry.stamp_ms for entry in new], [entry.recorded_ms for entry in new], [entry.source for entry in new],
            [entry.parameters for entry in new],
        ]  # fmt: skip
        with conn.cursor(row_factory=scalar_row) as cursor:
            stored = set(cursor.execute(self._append, (self._lock, *columns), prepare=True).fetchall())
        return [entry.originator_id for entry in new if entry.originator_id not in stored] if len(stored) < len(new) else []

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """See `Log.read`."""
        return self._select(self._read, (after, 2**62 if upto is None else upto, limit))

    def history(self, unit: str, since_ms: int, upto: int, until_ms: int = LATEST_MS) -> list[Stored]:
        """See `Log.history`."""
        return self._select(self._history, (unit, since_ms, until_ms, upto))

    def by_unit(self, upto: int, units: Units = EVERY_UNIT) -> Iterator[Stored]:
        """See `Log.by_unit`."""
        place: tuple[Any, ...] = (-1, 0)
        while found := self._rows(self._without_unit, (*place, upto, BY_UNIT_ROWS)):
            yield from map(Stored._make, (row[:4] for row in found))
            place = (found[-1][4], found[-1][0])
        place = (units.first, -1, 0)
        while found := self._rows(self._by_unit, (*place, units.below, upto, BY_UNIT_ROWS)):
            yield from map(Stored._make, (row[:4] for row in found))
            place = (found[-1][3], found[-1][4], found[-1][0])

    def latest(self, before: Place, since_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        """See `Log.latest`."""
        return self._timed(self._latest if unit is None else self._latest_of, before, since_ms, limit, unit)

    def earliest(self, after: Place, until_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        """See `Log.earliest`."""
        return self._timed(self._earliest if unit is None else self._earliest_of, after, until_ms, limit, unit)

    def units_at(self, positions: Sequence[int]) -> list[str]:
        """See `Log.units_at`."""
        return [unit for (unit,) in self._rows(self._units_at, (list(positions),))]

    def end(self) -> int:
        """See `Log.end`."""
        with self._connection() as conn:
            row = conn.execute(self._end).fetchone()
        return row["notification_id"] if row else 0

    def originator_at(self, position: int) -> str | None:
        """See `Log.originator_at`."""
        with self._connection() as conn:
            row = conn.execute(self._at, (position,)).fetchone()
        return row["originator_id"] if row else None

    def find(self, originator_id: str) -> Stored | None:
        """See `Log.find`."""
        found = self._select(self._find, (originator_id,))
        return found[0] if found else None

    def holds(self, originator_ids: Sequence[str]) -> set[str]:
        """See `Log.holds`."""
        return {sid for (sid,) in self._rows(self._holds, (list(originator_ids),))}

    def marks(self, feed: str) -> dict[str, str]:
        """See `Log.marks`."""
        with self._connection() as conn:
            return {row["part"]: row["place"] for row in conn.execute(self._marks, (feed,)).fetchall()}

    def heard(self, since_ms: int, until_ms: int) -> list[Tally]:
        """See `Log.heard`."""
        return list(map(Tally._make, self._rows(self._heard, {"since_ms": since_ms, "until_ms": until_ms})))

    def told_twice(self, since_ms: int, until_ms: int, limit: int) -> list[list[int]]:
        """See `Log.told_twice`."""
        return [positions for (positions,) in self._rows(self._told_twice, (since_ms, until_ms, limit))]

    def seen_via(self, originator_ids: Sequence[str]) -> dict[str, set[str]]:
        """See `Log.seen_via`."""
        found: dict[str, set[str]] = defaultdict(set)
        for originator_id, source in self._rows(self._seen_via, (list(originator_ids),)):
            found[originator_id].add(source)
        return found

    def intake(self) -> dict[str, int]:
        """See `Log.intake`."""
        with self._connection() as conn:
            return {row["outcome"]: row["times"] for row in conn.execute(self._counts).fetchall()}

    def setting(self, name: str) -> str:
        """A server setting as it holds for the connections that append."""
        with self._connection() as conn:
            return str(conn.execute("SELECT current_setting(%s) AS value", (name,)).fetchone()["value"])  # type: ignore[index]

    def close(self) -> None:
        """See `Log.close`."""
        self.datastore.close()

    def _insert_stored_events(self, curs: Any, stored_events: Sequence[StoredEvent], **_: Any) -> None:
        """The library's insert: any duplicate refuses the whole call, as its contract says. Used by its tests alone."""
        self._lock_table(curs)
        events = [(str(e.originator_id), e.originator_version, e.topic, e.state, None, None) for e in stored_events]
        curs.execute(self._insert_strictly, [list(column) for column in zip(*events, strict=True)], prepare=True)

    def _select(self, statement: Any, values: tuple[object, ...]) -> list[Stored]:
        return list(map(Stored._make, self._rows(statement, values)))

    def _timed(self, statement: Any, place: Place, bound_ms: int, limit: int, unit: str | None) -> list[Timed]:
        values = {"at_ms": place[0], "position": place[1], "bound_ms": bound_ms, "limit": limit, "unit": unit}
        return list(map(Timed._make, self._rows(statement, values)))

    def _rows(self, statement: Any, values: tuple[object, ...] | Mapping[str, object]) -> list[tuple[Any, ...]]:
        with self._connection() as conn, conn.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(statement, values, prepare=True).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self.datastore.get_connection() as conn:
                yield conn
        except (OperationalError, InterfaceError) as error:
            raise StoreUnavailable(f"PostgreSQL does not answer: {error}") from error
        except ProgrammingError as error:
            if isinstance(
                error.__cause__,
                psycopg.errors.UndefinedTable | psycopg.errors.UndefinedFunction | psycopg.errors.InvalidSchemaName,
            ):
                raise NotMigrated("The log's tables are not there. Run `projector migrate` first.") from error
            raise
