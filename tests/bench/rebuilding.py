"""P5, P6, P8, P9: `projector rebuild` as a user runs it, its seconds and its memory, for many callbacks and for few."""

import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
from sqlalchemy.engine import URL, make_url

from projector.database import disposing, open_engine
from projector.log import open_log
from projector.log.open import log_path
from projector.table_sink import TableSink
from tests.bench.cases import P5, P6, P8, P9, Measured, NotMeasured, Round
from tests.bench.library import runner_rate
from tests.bench.processes import PROJECTOR, environment, last_line, started
from tests.bench.run import Run, apart, fill, meanwhile
from tests.given import text_url

JOBS = 2
LOOK_SECONDS = 0.05  # between two looks at the memory
STEP = 1.02  # how much the resident memory has to grow before it is looked at closely, which takes the kernel milliseconds
REBUILD_SECONDS = 1_800.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FETCHED = 5_000
SELECT = "SELECT notification_id, originator_id, state, unit FROM "  # a table is to be added
COPY = f"COPY ({SELECT}log.stored_events) TO STDOUT (FORMAT BINARY)"


class Rebuilt(NamedTuple):
    """One rebuild."""

    seconds: float
    mebibytes: float


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """The runner, the bare reading, the rebuild of few and of many, in turn; tables that serve are replaced each time."""
    sizes, with_few = run.sizes, bool({"P8", "P9"} & run.wanted)
    many = rebuilt_tables(run, backend, sizes.rebuilt_many)
    few = rebuilt_tables(run, backend, sizes.rebuilt_few) if with_few else None
    read = _fastest_way_to_read(many) if "P6" in run.wanted else None
    runner, reading, small, large = [], [], [], []
    for _ in run.each_round(f"P5, P6, P8, P9 on {backend}"):
        if "P5" in run.wanted:
            runner.append(runner_rate(run))
        if read is not None:
            reading.append(sizes.rebuilt_many / apart(read, text_url(many)))
        if few is not None:
            small.append(rebuild(run, few, sizes.rebuilt_few))
        large.append(rebuild(run, many, sizes.rebuilt_many))
    rates = [sizes.rebuilt_many / each.seconds for each in large]
    details = {"callbacks": sizes.rebuilt_many, "callbacks_few": sizes.rebuilt_few, "jobs": JOBS}
    if runner:
        yield run.tell(Measured(P5, backend, _rounds(rates, runner), details | {"runner_backlog": sizes.backlog}))
    if read is not None:
        yield run.tell(Measured(P6, backend, _rounds(rates, reading), details | {"read_by": read.__name__}))
    if "P8" in run.wanted:
        yield run.tell(
            Measured(P8, backend, _rounds([each.seconds for each in large], [each.seconds for each in small]), details)
        )
    if "P9" in run.wanted:
        memory = _rounds([each.mebibytes for each in large], [each.mebibytes for each in small])
        yield run.tell(Measured(P9, backend, memory, details))


def _rounds(ours: Sequence[float], theirs: Sequence[float]) -> list[Round]:
    return [Round(*pair) for pair in zip(ours, theirs, strict=True)]


def rebuilt_tables(run: Run, backend: str, callbacks: int) -> URL:
    """A database whose tables were rebuilt from the floor's first so many, so that they are as full as where they serve; made once."""

    def fill_tables(url: URL) -> None:
        run.say(f"importing {callbacks:,} callbacks on {backend} and rebuilding the tables")
        with closing(open_log(url)) as log, run.callbacks.lines(callbacks) as lines:
            fill(log, lines)
        rebuild(run, url, callbacks)

    return run.databases.kept(backend, f"tables of {callbacks}", fill_tables)


def rebuild(run: Run, url: URL, callbacks: int) -> Rebuilt:
    """The whole command, from its start to its exit."""
    run.databases.rest(url)
    diary = run.folder / "rebuild.log"
    command = [str(PROJECTOR), "rebuild", "--jobs", str(JOBS)]
    began = time.perf_counter()
    with started(command, environment(url), diary) as process, meanwhile((memory := _Memory(process.pid)).watch):
        try:
            status = process.wait(REBUILD_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise NotMeasured(f"A rebuild of {callbacks} callbacks took more than {REBUILD_SECONDS:.0f} s.") from error
        seconds = time.perf_counter() - began
    with disposing(open_engine(url)) as engine:
        position = TableSink(engine).position()
    if status != 0 or position != callbacks:
        raise NotMeasured(
            f"A rebuild of {callbacks} callbacks ended with status {status} at position {position}: {last_line(diary)}"
        )
    return Rebuilt(seconds, memory.peak / 2**20)


class _Memory:
    """The greatest memory of a process and all its descendants together, looked at all the time.

    It is their proportional set size, where what several of them share counts once. To count that is not cheap, and they would wait
    for it; so it is counted whenever their resident memory has reached a new height.
    """

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid

    def watch(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        height = 0.0
        while not stop.wait(LOOK_SECONDS):
            family = _family(self._pid)
            resident = sum(map(_resident_bytes, family))
            if resident > height * STEP:
                height = resident
                self.peak = max(self.peak, sum(map(_proportional_bytes, family)))


def _family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                found += _family(int(child))
    return found


def _resident_bytes(pid: int) -> int:
    with suppress(OSError):  # it may just have ended
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return 0


def _proportional_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _fastest_way_to_read(url: URL) -> Callable[[str], float]:
    ways = [read_sqlite] if url.get_backend_name() == "sqlite" else [read_blocks, read_rows]
    return min(ways, key=lambda way: apart(way, text_url(url)))


def read_blocks(url: str) -> float:
    """Seconds to take in the log's rows by COPY BINARY, as the bytes that come."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(COPY) as copy:
            sum(len(block) for block in copy)
        return time.perf_counter() - began


def read_rows(url: str) -> float:
    """The same as tuples of Python's values."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(COPY) as copy:
            copy.set_types(["int8", "text", "bytea", "text"])
            sum(len(row) for row in copy.rows())
        return time.perf_counter() - began


def read_sqlite(url: str) -> float:
    """Seconds to take in the log's rows from its file, some thousand at a time."""
    with closing(sqlite3.connect(log_path(make_url(url)))) as connection:
        began = time.perf_counter()
        cursor = connection.execute(f"{SELECT}stored_events")
        while cursor.fetchmany(FETCHED):
            pass
        return time.perf_counter() - began
