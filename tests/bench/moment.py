"""P7: what a worker was doing at a moment, with many callbacks in the tables against few, as many workers in both."""

import random
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import sqlalchemy as sa

from projector import tables
from projector.access import projected, reading
from projector.database import disposing, open_engine
from projector.floor.center import START_MS
from projector.log import Log, open_log
from projector.read.moment import at
from tests.bench.cases import P7, Measured, Round
from tests.bench.figures import percentile
from tests.bench.rebuilding import rebuilt_tables
from tests.bench.run import Run, undisturbed

TURN = 50  # calls on one of them before it is the other's turn
WARM_CALLS = 50


class Place(NamedTuple):
    """Tables to look at, and the span of time they tell of."""

    engine: sa.Engine
    log: Log
    until_ms: int


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """Calls on both in turn, few at a time: the same workers, moments from the whole of each history."""
    few, many = (rebuilt_tables(run, backend, callbacks) for callbacks in (run.sizes.looked_few, run.sizes.looked_many))
    rounds, p99 = [], []
    with (
        closing(open_log(few)) as few_log, closing(open_log(many)) as many_log,
        disposing(open_engine(few)) as few_engine, disposing(open_engine(many)) as many_engine,
    ):  # fmt: skip
        places = [_place(few_engine, few_log), _place(many_engine, many_log)]
        workers = _workers(few_engine)
        for number in run.each_round(f"P7 on {backend}"):
            chance = random.Random(number)
            for place in places:
                _look(place, workers, chance, WARM_CALLS)
            took: list[list[float]] = [[], []]
            with undisturbed():
                while len(took[0]) < run.sizes.looks:
                    for place, kept in zip(places, took, strict=True):
                        kept += _look(place, workers, chance, min(TURN, run.sizes.looks))
            small, large = (percentile(each, 0.5) * 1e6 for each in took)
            rounds.append(Round(large, small))
            p99.append(percentile(took[1], 0.99) * 1e6)
    details = {
        "callbacks": run.sizes.looked_many,
        "callbacks_few": run.sizes.looked_few,
        "workers": len(workers),
        "p99_us": max(p99),
    }
    yield run.tell(Measured(P7, backend, rounds, details))


def _look(place: Place, workers: list[str], chance: random.Random, times: int) -> list[float]:
    """Seconds of each call."""
    took = []
    for _ in range(times):
        sid, at_ms = chance.choice(workers), chance.randrange(START_MS, place.until_ms)
        began = time.perf_counter()
        at(place.engine, place.log, sid, at_ms)
        took.append(time.perf_counter() - began)
    return took


def _place(engine: sa.Engine, log: Log) -> Place:
    with reading(engine) as connection:
        return Place(engine, log, projected(connection).event_at)


def _workers(engine: sa.Engine) -> list[str]:
    """Everybody who was ever there, in the shorter history and so in the longer one."""
    with engine.connect() as connection:
        return list(connection.execute(sa.select(tables.worker.c.worker_sid).order_by(tables.worker.c.worker_sid)).scalars())
