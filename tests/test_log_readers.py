"""A reader that pages by position while many processes write sees every callback, in order: no gap is skipped."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from psycopg.sql import SQL
from sqlalchemy import select, text
from sqlalchemy.engine import URL

from projector.api.events import LOOK
from projector.database import disposing, open_engine
from projector.log import Entry, Stored, open_log, sqlite
from projector.log.postgres import PostgresLog
from projector.log.schema import stored_events
from projector.log.sqlite import SQLiteLog
from projector.migrate import migration_engine
from projector.taskrouter.text import LATEST_MS
from tests.given import ms, task_created, text_url
from tests.harness import ROOT, measured

WRITERS, CALLBACKS = 8, 20_000
PAGE = 50


def read_while_written(url: URL, callbacks: int, *more: str) -> tuple[list[Stored], list[Stored]]:
    """What a reader saw while eight processes wrote, and what the log holds when they are done."""
    log = open_log(url)
    each = callbacks // WRITERS
    command = [sys.executable, "-m", "tests.writers", text_url(url)]
    writers = [subprocess.Popen([*command, f"writer {n}", str(each), str(n), *more], cwd=ROOT) for n in range(WRITERS)]
    try:
        seen: list[Stored] = []
        deadline = time.monotonic() + 240
        while True:
            done = all(writer.poll() is not None for writer in writers)  # asked before the read: the last page is after it
            page = log.read(seen[-1].position if seen else 0, PAGE)
            seen += page
            if done and not page:
                break
            assert time.monotonic() < deadline, "the writers do not come to an end"
        assert [writer.returncode for writer in writers] == [0] * WRITERS
        return seen, log.read(0, callbacks + 1)
    finally:
        log.close()
        for writer in writers:
            writer.kill()
            writer.wait()


def test_a_reader_misses_nothing_that_eight_processes_write(url: URL) -> None:
    """All 20,000 are seen, each once, in the order of their positions, as the log holds them afterwards."""
    seen, stored = read_while_written(url, CALLBACKS)
    assert len(stored) == CALLBACKS
    assert [row.position for row in stored] == sorted({row.position for row in stored})
    assert seen == stored


def test_the_reader_test_sees_a_log_without_its_lock(new_url: Callable[[str], URL]) -> None:
    """When writers do not take the log's lock, the reader passes gaps that fill later: the test above would see it."""
    seen, stored = read_while_written(new_url("postgresql"), CALLBACKS // 4, "unlocked")
    measured(f"without the lock {len(stored) - len(seen)} of {len(stored)} were never seen")
    assert len(stored) == CALLBACKS // 4
    assert len(seen) < len(stored)


def test_a_plan_made_while_the_log_was_empty_does_not_read_all_of_it_later(new_url: Callable[[str], URL]) -> None:
    """PostgreSQL knows that a log vacuumed while empty has no row, and a connection keeps the plans it once made."""
    url = new_url("postgresql")
    with disposing(open_engine(url)) as engine, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) log.stored_events"))
    with closing(open_log(url)) as log:
        assert isinstance(log, PostgresLog)
        by_time = {"at_ms": 9, "position": 9, "bound_ms": 0, "limit": 9, "unit": "u"}
        asked: dict[str, Any] = {
            "_read": (0, 9, 9),
            "_history": ("u", 0, 9, 9),
            "_by_unit": ("", 0, 0, "v", 9, 9),
            "_without_unit": (-1, 0, 9, 9),
            "_stored": (["o"],),
            "_find": ("o",),
            "_latest": by_time,
            "_earliest": by_time,
            "_latest_of": by_time,
            "_earliest_of": by_time,
        }
        for name, values in asked.items():
            with log._connection() as conn:
                plan = str(conn.execute(SQL("EXPLAIN ") + getattr(log, name), values).fetchall())
            assert "Seq Scan" not in plan, name
            # The index by time is in order, and a statement that has another index for what it asks never takes it instead.
            assert ("ix_stored_events_at " in plan) == (name in ("_latest", "_earliest")), (name, plan)
            assert "Sort" not in plan or name not in ("_latest", "_earliest"), (name, plan)
        append = "SELECT prosrc FROM pg_proc WHERE oid = 'log.append_callbacks'::regproc"
        with log._connection() as conn:
            source = conn.execute(append).fetchone()["prosrc"]
            lookup = re.search(r"\((SELECT true FROM log.stored_events .*? LIMIT 1)\)", source)[1]
            assert "Seq Scan" not in str(conn.execute("EXPLAIN " + lookup.replace("origin ", "'o' ")).fetchall())


def test_a_young_log_is_not_sorted_for_a_page(new_url: Callable[[str], URL]) -> None:
    """PostgreSQL, before it has analysed a log, still reads as many callbacks as a look wants, in the order of the index."""
    url = new_url("postgresql")
    with disposing(open_engine(url)) as engine, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER TABLE log.stored_events SET (autovacuum_enabled = off)"))
    with closing(open_log(url)) as log:
        assert isinstance(log, PostgresLog)
        for first in range(0, 4_000, 1_000):
            log.append([Entry.of(task_created(n, str(n)), "import", ms(9_999)) for n in range(first, first + 1_000)])
        for name, at_ms, bound_ms in (("_latest", LATEST_MS, 0), ("_earliest", 0, LATEST_MS)):
            values = {"at_ms": at_ms, "position": 0, "bound_ms": bound_ms, "limit": LOOK}
            with log._connection() as conn:
                plan = str(conn.execute(SQL("EXPLAIN ") + getattr(log, name), values).fetchall())
            assert "ix_stored_events_at " in plan, (name, plan)
            assert "Sort" not in plan, (name, plan)


def test_sqlite_goes_by_time_through_an_index_and_sorts_no_more_than_a_page(new_url: Callable[[str], URL]) -> None:
    """The index by time for all callbacks, the unit's for one's; the other statements keep to theirs."""
    through = {
        "_READ": "INTEGER PRIMARY KEY",
        "_HISTORY": "ix_stored_events_unit_at",
        "_WITHOUT_UNIT": "ix_stored_events_unit_at",
        "_BY_UNIT": "ix_stored_events_unit_at",
        "_LATEST": "ix_stored_events_at",
        "_EARLIEST": "ix_stored_events_at",
        "_LATEST_OF": "ix_stored_events_unit_at",
        "_EARLIEST_OF": "ix_stored_events_unit_at",
    }
    by_time = {"at_ms": 9, "position": 9, "bound_ms": 0, "limit": 9, "unit": "u"}
    with closing(open_log(new_url("sqlite"))) as log:
        assert isinstance(log, SQLiteLog)
        for name, index in through.items():
            statement = getattr(sqlite, name)
            values = by_time if ":limit" in statement else (9,) * statement.count("?")
            steps = [row["detail"] for row in log._select(f"EXPLAIN QUERY PLAN {statement}", values)]
            looks = [step for step in steps if step.startswith(("SEARCH", "SCAN")) and "subquery" not in step]
            assert looks, (name, steps)
            assert all(step.startswith("SEARCH") and f" {index} " in step for step in looks), (name, steps)
            assert not any("TEMP B-TREE" in step for step in steps) or name.endswith("_OF"), (name, steps)


def test_an_append_comes_to_the_same_rows_in_every_log(new_url: Callable[[str], URL]) -> None:
    """PostgreSQL's function says in SQL what `log.entry` says for the others: receipts that never go back, event times, documents."""
    stamps = [
        {"TimestampMs": str(ms(at))} for at in (10, 310, 311)
    ]  # a stamp is believed up to five minutes ahead of its receipt
    bodies = [task_created(0, str(n)) | stamp for n, stamp in enumerate([*stamps, {"TimestampMs": "x", "Timestamp": "x"}])]
    receipts = [ms(10), ms(10), ms(10), ms(5)]  # the last one arrives with an older receipt
    odd = [{**task_created(3, "é"), "EventType": "no.such.type", "TaskAttributes": '{"\\u0000":"\u2028"}'}]
    found = []
    for url in (new_url("sqlite"), new_url("postgresql")):
        with closing(open_log(url)) as log, disposing(migration_engine(url)) as engine, engine.connect() as connection:
            log.append([Entry.of(body, "import", at) for body, at in zip(bodies, receipts, strict=True)])
            log.append([Entry.of(body, "callback", ms(7)) for body in (bodies[0], *odd)])
            found.append(connection.execute(select(stored_events).order_by(stored_events.c.notification_id)).all())
    assert found[0] == found[1]
    assert [row.at_ms for row in found[0]] == [ms(10), ms(310), ms(10), ms(10), ms(3)]
