"""P10: how long after its 204 a callback is in the tables, at a quiet rate."""

import sqlite3
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
from sqlalchemy.engine import URL

from projector.log import open_log
from tests.bench.callbacks import document
from tests.bench.cases import P10, Measured, NotMeasured, Round
from tests.bench.figures import percentile, shown, spread
from tests.bench.load import ACCEPTED, Answer, post_at_rate
from tests.bench.processes import PROJECTOR, environment, serving
from tests.bench.run import Run, meanwhile
from tests.given import text_url

CONNECTIONS = 8
POLL_SECONDS = 0.002
CATCH_UP_SECONDS = 30.0
WARM_SECONDS = 1.0  # of posting that is not judged: connections and statements are prepared meanwhile
POSITION = "SELECT position FROM projection WHERE name = 'tables'"
PAGE = 5_000


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """A fresh server and loop in each round."""
    rounds, medians, greatest, answers_ms = [], [], [], []
    for _ in run.each_round(f"P10 on {backend}"):
        with run.databases.fresh(backend) as url:
            run.databases.rest(url)
            answers, latencies = _latencies(run, url)
        in_ms = [seconds * 1000 for seconds in latencies]
        rounds.append(Round(percentile(in_ms, 0.99)))
        medians.append(percentile(in_ms, 0.5))
        greatest.append(max(in_ms))
        answers_ms.append(percentile([(each.answered_at - each.due_at) * 1000 for each in answers], 0.99))
    details = {"p50_ms": spread(medians).median, "max_ms": max(greatest), "answer_p99_ms": spread(answers_ms).median}
    note = f"p50 {shown(details['p50_ms'])} ms, max {shown(details['max_ms'])} ms; from due to answered p99 {shown(details['answer_p99_ms'])} ms"
    yield run.tell(Measured(P10, backend, rounds, details, [note]))


def _latencies(run: Run, url: URL) -> tuple[list[Answer], list[float]]:
    """The answers, and for each the seconds from it until the first look that found its callback projected."""
    per_second = run.sizes.live_per_second
    warm = int(WARM_SECONDS * per_second)
    requests = run.callbacks.requests(warm + int(run.sizes.live_seconds * per_second))
    watch = _Watch(url)
    with serving([str(PROJECTOR), "serve"], environment(url), run.folder / "server.log") as port, meanwhile(watch.watch):
        answers = post_at_rate(port, requests, CONNECTIONS, per_second)
        refused = [answer.status for answer in answers if answer.status != ACCEPTED]
        if refused:
            raise NotMeasured(f"{len(refused)} callbacks were not answered 204 but {sorted(set(refused))}.")
        positions = _positions(url)
        watch.wait_for(max(positions.values()))
    with run.callbacks.lines(len(requests)) as lines:
        sids = [document(line).parameters["Sid"] for line in lines]
    judged = [answer for answer in answers if answer.number >= warm]
    return judged, [max(0.0, watch.seen_at(positions[sids[each.number]]) - each.answered_at) for each in judged]


def _positions(url: URL) -> dict[str, int]:
    """Where each Sid stands in the log."""
    found: dict[str, int] = {}
    position = 0
    with closing(open_log(url)) as log:
        while page := log.read(position, PAGE):
            found |= {row.originator_id.partition("/")[2]: row.position for row in page}
            position = page[-1].position
    return found


@contextmanager
def _position_of(url: URL) -> Iterator[Callable[[], int]]:
    """A look at the committed position that costs as little as it can."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(url.database or "")) as file:
            yield lambda: int(file.execute(POSITION).fetchone()[0])
        return
    with psycopg.connect(text_url(url), autocommit=True) as connection:
        yield lambda: int(connection.execute(POSITION, prepare=True).fetchone()[0])  # type: ignore[index]


class _Watch:
    """Somebody who reads the projection's committed position all the time, and notes when it moved."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._positions: list[int] = [0]
        self._moments: list[float] = [0.0]
        self._trouble: Exception | None = None

    def wait_for(self, position: int) -> None:
        """Wait until it was seen there."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while self._positions[-1] < position:
            if self._trouble is not None or time.monotonic() > deadline:
                raise NotMeasured(f"The tables did not reach position {position}: {self._trouble or 'the time is up'}.")
            time.sleep(0.05)

    def seen_at(self, position: int) -> float:
        """The moment of the first look at or beyond it."""
        return self._moments[bisect_left(self._positions, position)]

    def watch(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        try:
            with _position_of(self._url) as look:
                while not stop.wait(POLL_SECONDS):
                    position = look()
                    if position > self._positions[-1]:
                        self._moments.append(time.perf_counter())
                        self._positions.append(position)
        except Exception as error:  # noqa: BLE001 (told to whoever waits)
            self._trouble = error
