"""The log on SQLite: `eventsourcing`'s recorder over a file of its own, beside the tables' file.

A file of its own, so that no rebuild of the tables ever makes a webhook wait. WAL with `synchronous=FULL`: a commit is on
disk when it returns. `BEGIN IMMEDIATE`, because a reader that becomes a writer fails at once when another one committed.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from eventsourcing.persistence import Notification, PersistenceError
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from projector.errors import NotMigrated, StoreUnavailable
from projector.log.entry import (
    BY_UNIT_ROWS,
    EVERY_UNIT,
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
    rows,
)
from projector.taskrouter.text import LATEST_MS

LOCK_TIMEOUT_SECONDS = 1
RETRY_SECONDS = 0.0002  # SQLite's own pauses grow to 100 ms: beside a process that never rests, another never got its turn

_BUSY_TIMEOUT = f"PRAGMA busy_timeout = {LOCK_TIMEOUT_SECONDS * 1000}"
_READ = (
    "SELECT notification_id, originator_id, state, unit FROM stored_events WHERE notification_id > ? AND notification_id <= ?"
    " ORDER BY notification_id LIMIT ?"
)
_HISTORY = (
    "SELECT notification_id, originator_id, state, unit FROM stored_events WHERE (unit = ? OR unit IS NULL) AND at_ms BETWEEN ? AND ?"
    " AND notification_id <= ?"
)
_WITHOUT_UNIT = (
    "SELECT notification_id, originator_id, state, unit, at_ms FROM stored_events WHERE unit IS NULL"
    " AND (at_ms, notification_id) > (?, ?) AND notification_id <= ? ORDER BY at_ms, notification_id LIMIT ?"
)
_BY_UNIT = (
    "SELECT notification_id, originator_id, state, unit, at_ms FROM stored_events"
    " WHERE (unit, at_ms, notification_id) > (?, ?, ?) AND unit < ? AND notification_id <= ? ORDER BY unit, at_ms, notification_id LIMIT ?"
)
_LATEST = (
    "SELECT at_ms, notification_id, originator_id, topic, state FROM stored_events WHERE originator_version <> 0"
    " AND (at_ms, notification_id) < (:at_ms, :position) AND at_ms >= :bound_ms ORDER BY at_ms DESC, notification_id DESC LIMIT :limit"
)
_EARLIEST = (
    "SELECT at_ms, notification_id, originator_id, topic, state FROM stored_events WHERE originator_version <> 0"
    " AND (at_ms, notification_id) > (:at_ms, :position) AND at_ms <= :bound_ms ORDER BY at_ms, notification_id LIMIT :limit"
)
_LATEST_OF = (
    "SELECT * FROM (SELECT at_ms, notification_id, originator_id, topic, state FROM stored_events WHERE unit = :unit"
    " AND (at_ms, notification_id) < (:at_ms, :position) AND at_ms >= :bound_ms ORDER BY at_ms DESC, notification_id DESC LIMIT :limit)"
    " UNION ALL SELECT * FROM (SELECT at_ms, notification_id, originator_id, topic, state FROM stored_events WHERE unit IS NULL"
    " AND (at_ms, notification_id) < (:at_ms, :position) AND at_ms >= :bound_ms ORDER BY at_ms DESC, notification_id DESC LIMIT :limit)"
    " ORDER BY at_ms DESC, notification_id DESC LIMIT :limit"
)
_EARLIEST_OF = (
    "SELECT * FROM (SELECT at_ms, notification_id, originator_id, topic, state FROM stored_events WHERE unit = :unit"
    " AND (at_ms, notification_id) > (:at_ms, :position) AND at_ms <= :bound_ms ORDER BY at_ms, notification_id LIMIT :limit)"
    " UNION ALL SELECT * FROM (SELECT at_ms, notification_id, originator_id, topic, state FROM stored_events WHERE unit IS NULL"
    " AND (at_ms, notification_id) > (:at_ms, :position) AND at_ms <= :bound_ms ORDER BY at_ms, notification_id LIMIT :limit)"
    " ORDER BY at_ms, notification_id LIMIT :limit"
)
_FIND = "SELECT notification_id, originator_id, state, unit FROM stored_events WHERE originator_id = ?"
_UNITS_AT = "SELECT unit FROM stored_events WHERE notification_id IN (SELECT value FROM json_each(?)) AND unit IS NOT NULL"
_NOTIFICATIONS = (
    "SELECT * FROM stored_events WHERE notification_id > ? AND notification_id <= ?"
    " AND (json_array_length(?) = 0 OR topic IN (SELECT value FROM json_each(?))) ORDER BY notification_id LIMIT ?"
)
_LAST = "SELECT notification_id, state FROM stored_events ORDER BY notification_id DESC LIMIT 1"
_STORED = "SELECT originator_id, state FROM stored_events WHERE originator_id IN (SELECT value FROM json_each(?))"
_INSERT = "INSERT INTO stored_events (originator_id, originator_version, topic, state, unit, at_ms) VALUES (?, 1, ?, ?, ?, ?)"
_HOLDS = "SELECT originator_id FROM stored_events WHERE originator_id IN (SELECT value FROM json_each(?))"
_SEEN = (
    "INSERT INTO seen_via (originator_id, source, topic, at_ms)"
    " SELECT originator_id, ?, topic, at_ms FROM stored_events WHERE originator_id = ? ON CONFLICT DO NOTHING"
)
# The feed stands at a document's beginning: {"recorded_at":1770003600000,"source":"callback",…
_HEARD = (
    "SELECT at_ms / 3600000 AS hour, topic, substr(named, 1, instr(named, '\"') - 1) AS source, count(*) AS times, 1 AS is_first"
    ' FROM (SELECT at_ms, topic, substr(head, instr(head, \'"source":"\') + 10) AS named'
    " FROM (SELECT at_ms, topic, CAST(substr(state, 16, 45) AS TEXT) AS head FROM stored_events"
    " WHERE originator_version <> 0 AND at_ms >= :since_ms AND at_ms < :until_ms)) GROUP BY 1, 2, 3"
    " UNION ALL SELECT at_ms / 3600000, topic, source, count(*), 0 FROM seen_via"
    " WHERE at_ms >= :since_ms AND at_ms < :until_ms GROUP BY 1, 2, 3"
)
_TOLD_TWICE = (
    "SELECT json_group_array(notification_id) AS positions"
    " FROM (SELECT unit, at_ms, topic, notification_id, substr(named, 1, instr(named, '\"') - 1) AS source"
    ' FROM (SELECT unit, at_ms, topic, notification_id, substr(head, instr(head, \'"source":"\') + 10) AS named'
    " FROM (SELECT unit, at_ms, topic, notification_id, CAST(substr(state, 16, 45) AS TEXT) AS head FROM stored_events"
    " WHERE originator_version <> 0 AND unit IS NOT NULL AND at_ms >= ? AND at_ms < ?)))"
    " GROUP BY unit, at_ms, topic HAVING count(*) > 1 AND min(source) <> max(source) ORDER BY at_ms, unit, topic LIMIT ?"
)
_SEEN_VIA = "SELECT originator_id, source FROM seen_via WHERE originator_id IN (SELECT value FROM json_each(?))"
_MARK = "INSERT INTO feed_mark (feed, part, place) VALUES (?, ?, ?) ON CONFLICT (feed, part) DO UPDATE SET place = excluded.place"
_MARKS = "SELECT part, place FROM feed_mark WHERE feed = ?"
_QUARANTINE = (
    "INSERT INTO intake_quarantine (digest, reason, source, body, first_received_ms, times) VALUES (?, ?, ?, ?, ?, 1)"
    " ON CONFLICT (digest) DO UPDATE SET times = times + 1"
)
_COUNT = (
    "INSERT INTO intake_count (outcome, times) VALUES (?, ?) ON CONFLICT (outcome) DO UPDATE SET times = times + excluded.times"
)


class SQLiteLog(SQLiteApplicationRecorder):
    """A `Log` that is also a recorder of the library's, and passes the library's own test cases."""

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name)
        self.insert_events_statement = (
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)"
        )

    def append(self, arrivals: Sequence[Entry | Rejected], marks: Sequence[Mark] = ()) -> list[Outcome]:
        """See `Log.append`."""
        with self._writing() as cursor:
            last = cursor.execute(_LAST).fetchone()
            now_ms = time.time_ns() // 1_000_000
            origins = msgspec.json.encode([arrival.originator_id for arrival in arrivals if isinstance(arrival, Entry)]).decode()
            decision = decide(arrivals, dict(cursor.execute(_STORED, (origins,)).fetchall()))
            cursor.executemany(_INSERT, rows(decision.new, now_ms, last["state"] if last else None))
            for rejected in decision.rejected:
                values = (rejected.digest, rejected.reason, rejected.source, rejected.body, now_ms)
                cursor.execute(_QUARANTINE, values)
            cursor.executemany(_SEEN, decision.seen)
            cursor.executemany(_COUNT, list(decision.counts(arrivals).items()))
            cursor.executemany(_MARK, marks)
        return decision.outcomes

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """See `Log.read`."""
        return list(map(Stored._make, self._select(_READ, (after, 2**62 if upto is None else upto, limit))))

    def history(self, unit: str, since_ms: int, upto: int, until_ms: int = LATEST_MS) -> list[Stored]:
        """See `Log.history`."""
        return list(map(Stored._make, self._select(_HISTORY, (unit, since_ms, until_ms, upto))))

    def by_unit(self, upto: int, units: Units = EVERY_UNIT) -> Iterator[Stored]:
        """See `Log.by_unit`."""
        place: tuple[Any, ...] = (-1, 0)
        while found := self._select(_WITHOUT_UNIT, (*place, upto, BY_UNIT_ROWS)):
            yield from map(Stored._make, (row[:4] for row in found))
            place = (found[-1][4], found[-1][0])
        place = (units.first, -1, 0)
        while found := self._select(_BY_UNIT, (*place, units.below, upto, BY_UNIT_ROWS)):
            yield from map(Stored._make, (row[:4] for row in found))
            place = (found[-1][3], found[-1][4], found[-1][0])

    def latest(self, before: Place, since_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        """See `Log.latest`."""
        return self._timed(_LATEST if unit is None else _LATEST_OF, before, since_ms, limit, unit)

    def earliest(self, after: Place, until_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        """See `Log.earliest`."""
        return self._timed(_EARLIEST if unit is None else _EARLIEST_OF, after, until_ms, limit, unit)

    def units_at(self, positions: Sequence[int]) -> list[str]:
        """See `Log.units_at`."""
        return [row["unit"] for row in self._select(_UNITS_AT, (msgspec.json.encode(list(positions)).decode(),))]

    def end(self) -> int:
        """See `Log.end`."""
        found = self._select(_LAST, ())
        return found[0]["notification_id"] if found else 0

    def originator_at(self, position: int) -> str | None:
        """See `Log.originator_at`."""
        found = self._select(_READ, (position - 1, position, 1))
        return found[0]["originator_id"] if found else None

    def find(self, originator_id: str) -> Stored | None:
        """See `Log.find`."""
        found = self._select(_FIND, (originator_id,))
        return Stored(*found[0]) if found else None

    def holds(self, originator_ids: Sequence[str]) -> set[str]:
        """See `Log.holds`."""
        return {row["originator_id"] for row in self._select(_HOLDS, (msgspec.json.encode(list(originator_ids)).decode(),))}

    def marks(self, feed: str) -> dict[str, str]:
        """See `Log.marks`."""
        return {row["part"]: row["place"] for row in self._select(_MARKS, (feed,))}

    def heard(self, since_ms: int, until_ms: int) -> list[Tally]:
        """See `Log.heard`."""
        found = self._select(_HEARD, {"since_ms": since_ms, "until_ms": until_ms})
        return [Tally(row["hour"], row["topic"], row["source"], row["times"], bool(row["is_first"])) for row in found]

    def told_twice(self, since_ms: int, until_ms: int, limit: int) -> list[list[int]]:
        """See `Log.told_twice`."""
        found = self._select(_TOLD_TWICE, (since_ms, until_ms, limit))
        return [sorted(msgspec.json.decode(row["positions"])) for row in found]

    def seen_via(self, originator_ids: Sequence[str]) -> dict[str, set[str]]:
        """See `Log.seen_via`."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self._select(_SEEN_VIA, (msgspec.json.encode(list(originator_ids)).decode(),)):
            found[row["originator_id"]].add(row["source"])
        return found

    def intake(self) -> dict[str, int]:
        """See `Log.intake`."""
        return {row["outcome"]: row["times"] for row in self._select("SELECT outcome, times FROM intake_count", ())}

    def synchronous(self) -> int:
        """What a commit waits for: 2 (FULL) or more is durable."""
        return int(self._select("PRAGMA synchronous", ())[0][0])

    def close(self) -> None:
        """See `Log.close`."""
        self.datastore.close()

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The library's read. (Its own statement relies on a rowid that has no name of its own.)"""
        after = -1 if start is None else start - inclusive_of_start
        wanted = msgspec.json.encode(list(topics)).decode()
        found = self._select(_NOTIFICATIONS, (after, 2**62 if stop is None else stop, wanted, wanted, limit))
        return [
            Notification(
                id=row["notification_id"],
                originator_id=self.convert_originator_id(row["originator_id"]),
                originator_version=row["originator_version"],
                topic=row["topic"],
                state=row["state"],
            )
            for row in found
        ]

    def _timed(self, statement: str, place: Place, bound_ms: int, limit: int, unit: str | None) -> list[Timed]:
        values = {"at_ms": place[0], "position": place[1], "bound_ms": bound_ms, "limit": limit, "unit": unit}
        return list(map(Timed._make, self._select(statement, values)))

    def _select(self, statement: str, values: tuple[Any, ...] | Mapping[str, Any]) -> list[Any]:
        with self._errors(), self.datastore.get_connection(commit=False) as connection:
            return list(connection.cursor().sqlite_cursor.execute(statement, values).fetchall())

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        with self._errors(), self.datastore.get_connection(commit=True) as connection:
            cursor = connection.cursor().sqlite_cursor
            _begin(cursor)
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if cursor.connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                raise NotMigrated("The log's tables are not there. Run `projector migrate` first.") from error
            raise StoreUnavailable(f"SQLite cannot answer now: {error}") from error
        except (sqlite3.DatabaseError, PersistenceError) as error:
            raise StoreUnavailable(f"SQLite cannot answer now: {error}") from error


def _begin(cursor: sqlite3.Cursor) -> None:
    """Begin to write, as soon as nobody else does."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                return
    finally:
        cursor.execute(_BUSY_TIMEOUT)
