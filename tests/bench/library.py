"""The library as it comes: eventsourcing's recorders and its ProjectionRunner, with its default settings.

Its runner cannot follow a SQLite application (`subscribe` is not implemented there), so PostgreSQL to PostgreSQL is what both of our
databases are compared with.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from eventsourcing.utils import get_topic
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL, make_url

from tests.bench.callbacks import document
from tests.bench.cases import NotMeasured
from tests.bench.run import Run, apart
from tests.given import text_url

BATCH = 1_000
WAIT_SECONDS = 300.0
LOCK_SECONDS = 30


class CallbackReceived:
    """The event class that the library's mapper makes of a stored callback."""

    originator_id: str
    originator_version: int


def events(run: Run, count: int) -> list[StoredEvent]:
    """The first so many callbacks in the library's words: the same bytes under the same names."""
    topic, found = get_topic(CallbackReceived), []
    with run.callbacks.lines(count) as lines:
        for line in lines:
            told = document(line).parameters
            found.append(StoredEvent(f"{told['WorkspaceSid']}/{told['Sid']}", originator_version=1, topic=topic, state=line[:-1]))
    return found


@contextmanager
def postgres_recorder(url: URL, connections: int) -> Iterator[PostgresApplicationRecorder]:
    """The PostgreSQL recorder with its own table, and a connection for each thread."""
    with PostgresDatastore(**_server(url), connect_timeout=30, pool_size=connections, originator_id_type="text") as datastore:
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        datastore.pool.wait(WAIT_SECONDS)
        yield recorder


@contextmanager
def sqlite_recorder(path: Path, connections: int) -> Iterator[SQLiteApplicationRecorder]:
    """The SQLite recorder with its own file, and a connection for each thread."""
    datastore = SQLiteDatastore(str(path), pool_size=connections, lock_timeout=LOCK_SECONDS, originator_id_type="text")
    try:
        recorder = SQLiteApplicationRecorder(datastore)
        recorder.create_table()
        yield recorder
    finally:
        datastore.close()


class CallbackLog(Application[str]):
    """The application whose events are followed."""


class CountView(PostgresTrackingRecorder):
    """A view of one row: how many events were processed. Row and tracking are written in one transaction."""

    def __init__(self, datastore: PostgresDatastore, **more: Any) -> None:
        super().__init__(datastore, **more)
        table = Identifier(datastore.schema, "counted")
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, times bigint)").format(table)
        )
        self._count = SQL(
            "INSERT INTO {} AS c VALUES ('callbacks', 1) ON CONFLICT (name) DO UPDATE SET times = c.times + 1"
        ).format(table)

    def count(self, tracking: Tracking) -> None:
        """One more."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self._count, prepare=True)


class Counting(Projection[CountView]):
    """Counts, and notes when the first event began and each one ended."""

    def __init__(self, view: CountView) -> None:
        super().__init__(view)
        self.began_at = self.ended_at = 0.0
        self.processed, self.awaited = 0, 0
        self.done = threading.Event()

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002 (it is only counted)
        """One event."""
        if not self.began_at:
            self.began_at = time.perf_counter()
        self.view.count(tracking)
        self.ended_at = time.perf_counter()
        self.processed += 1
        if self.processed == self.awaited:
            self.done.set()


def runner_rate(run: Run) -> float:
    """Callbacks a second of the ProjectionRunner over a backlog, in a process of its own."""
    with run.databases.bare() as url:
        store_backlog(url, events(run, run.sizes.backlog))
        run.databases.rest(url)
        return apart(seconds_an_event, text_url(url), run.sizes.backlog) ** -1


def store_backlog(url: URL, backlog: Sequence[StoredEvent]) -> None:
    """Put these into the application's table."""
    application = CallbackLog(_environment(url))
    try:
        for start in range(0, len(backlog), BATCH):
            application.recorder.insert_events(backlog[start : start + BATCH])
    finally:
        application.close()


def seconds_an_event(url: str, backlog: int) -> float:
    """How long the runner takes for each of a backlog, from the first one's beginning to the last one's end."""
    runner = ProjectionRunner(
        application_class=CallbackLog, projection_class=Counting, view_class=CountView, env=_environment(make_url(url))
    )
    with runner:
        counting: Any = runner.projection
        counting.awaited = backlog
        deadline = time.monotonic() + WAIT_SECONDS
        while counting.processed < backlog and not counting.done.wait(0.1):
            if runner.is_interrupted.is_set() or time.monotonic() > deadline:
                runner.run_forever(timeout=0)  # raises what ended it
                raise NotMeasured(f"The library's runner stopped after {counting.processed} of {backlog} events.")
        return float(counting.ended_at - counting.began_at) / backlog


def _server(url: URL) -> dict[str, Any]:
    host = url.host or str(url.query.get("host", ""))
    return {"dbname": url.database, "host": host, "port": url.port or 5432, "user": url.username, "password": url.password or ""}


def _environment(url: URL) -> dict[str, str]:
    told = {f"POSTGRES_{name.upper()}": str(value) for name, value in _server(url).items()}
    return {**told, "PERSISTENCE_MODULE": "eventsourcing.postgres", "ORIGINATOR_ID_TYPE": "text"}
