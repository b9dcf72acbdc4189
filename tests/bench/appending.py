"""P2: single durable appends by many threads, through group commit, against the library's recorders."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from eventsourcing.persistence import StoredEvent

from projector.log import Entry, GroupCommit, Outcome, open_log
from tests.bench.cases import P2, P2_SQLITE, Measured, NotMeasured, Round
from tests.bench.databases import stored
from tests.bench.library import events, postgres_recorder, sqlite_recorder
from tests.bench.run import Run, undisturbed

THREADS = 32
READY_SECONDS = 60.0

T = TypeVar("T")


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """Group commit and the library in turn; on SQLite the library's SQLite recorder too, for information."""
    entries = run.callbacks.entries(run.sizes.appends)
    theirs = events(run, run.sizes.appends)
    ours, postgres, sqlite = [], [], []
    for _ in run.each_round(f"P2 on {backend}"):
        ours.append(_group_commit(run, backend, entries))
        postgres.append(_library_postgres(run, theirs))
        if backend == "sqlite":
            sqlite.append(_library_sqlite(run, theirs))
    yield run.tell(Measured(P2, backend, [Round(*pair) for pair in zip(ours, postgres, strict=True)], {"threads": THREADS}))
    if sqlite:
        rounds = [Round(*pair) for pair in zip(ours, sqlite, strict=True)]
        yield run.tell(Measured(P2_SQLITE, backend, rounds, {"threads": THREADS}))


def _group_commit(run: Run, backend: str, entries: Sequence[Entry]) -> float:
    with run.databases.fresh(backend) as url:
        run.databases.rest(url)
        with closing(open_log(url)) as log, closing(GroupCommit(log)) as writer:

            def append(entry: Entry) -> None:
                outcome = writer.append(entry)
                if outcome is not Outcome.STORED:
                    raise NotMeasured(f"A callback that is new was {outcome.value}.")

            count, rate = _in_threads(append, entries, run.sizes.append_seconds)
        if (rows := stored(url)) != count:
            raise NotMeasured(f"{count} callbacks were appended, and {rows} are in the log.")
        return rate


def _library_postgres(run: Run, waiting: Sequence[StoredEvent]) -> float:
    with run.databases.bare() as url, postgres_recorder(url, THREADS) as recorder:
        run.databases.rest(url)
        return _in_threads(lambda each: recorder.insert_events([each]), waiting, run.sizes.append_seconds)[1]


def _library_sqlite(run: Run, waiting: Sequence[StoredEvent]) -> float:
    with run.databases.fresh("sqlite") as url:
        path = Path(url.database or "").with_name("library.db")
        with sqlite_recorder(path, THREADS) as recorder:
            run.databases.rest(url)
            return _in_threads(lambda each: recorder.insert_events([each]), waiting, run.sizes.append_seconds)[1]


def _in_threads(append: Callable[[T], object], waiting: Sequence[T], seconds: float) -> tuple[int, float]:
    """How many were appended, and how many a second: by all threads at once, until time is up or none is left.

    Each thread's first one, which opens its connection, is not measured.
    """
    coming = iter(waiting)
    times: list[float] = []
    ready = threading.Barrier(THREADS, action=lambda: times.append(time.perf_counter()))

    def work() -> tuple[int, float]:
        try:
            append(next(coming))
        except BaseException:
            ready.abort()
            raise
        ready.wait(READY_SECONDS)
        until, count = times[0] + seconds, 0
        while (now := time.perf_counter()) < until and (each := next(coming, None)) is not None:
            append(each)
            count += 1
        return count, now

    with undisturbed(), ThreadPoolExecutor(THREADS) as threads:
        done = [future.result() for future in [threads.submit(work) for _ in range(THREADS)]]
    appended = sum(count for count, _ in done)
    return appended + THREADS, appended / (max(ended for _, ended in done) - times[0])
