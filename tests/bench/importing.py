"""P3: importing an export into the log with its indexes, against the same bytes into a bare table the fastest way there is."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL

from projector.log import open_log
from tests.bench.cases import P3, Measured, Round
from tests.bench.run import Run, fill
from tests.given import text_url


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """Each into a fresh database; both read their lines from the same file."""
    bare = _executemany if backend == "sqlite" else _copy
    rounds = []
    for _ in run.each_round(f"P3 on {backend}"):
        with run.databases.fresh(backend) as url:
            run.databases.rest(url)
            ours = _import(run, url)
        with run.databases.bare() if backend == "postgresql" else run.databases.fresh(backend) as url:
            run.databases.rest(url)
            theirs = bare(run, url)
        rounds.append(Round(run.sizes.imported / ours, run.sizes.imported / theirs))
    yield run.tell(Measured(P3, backend, rounds, {"lines": run.sizes.imported}))


def _import(run: Run, url: URL) -> float:
    with closing(open_log(url)) as log, run.callbacks.lines(run.sizes.imported) as lines:
        began = time.perf_counter()
        fill(log, lines)
        return time.perf_counter() - began


def _copy(run: Run, url: URL) -> float:
    """One COPY, one transaction."""
    with psycopg.connect(text_url(url)) as connection, run.callbacks.lines(run.sizes.imported) as lines:
        connection.execute("CREATE TABLE bare (id bigint, state bytea)")
        connection.commit()
        began = time.perf_counter()
        with connection.cursor().copy("COPY bare (id, state) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "bytea"])
            for row in _rows(lines):
                copy.write_row(row)
        connection.commit()
        return time.perf_counter() - began


def _executemany(run: Run, url: URL) -> float:
    """One statement, one transaction, as durable as the log."""
    path = Path(url.database or "").with_name("bare.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, run.callbacks.lines(run.sizes.imported) as lines:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE bare (id bigint, state blob)")
        began = time.perf_counter()
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO bare (id, state) VALUES (?, ?)", _rows(lines))
        connection.execute("COMMIT")
        return time.perf_counter() - began


def _rows(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, line[:-1]) for number, line in enumerate(lines, start=1))
