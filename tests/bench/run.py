"""What every measure is given, and how it calls a function undisturbed."""

import gc
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from projector.importing import import_lines
from projector.log import Log, Outcome
from tests.bench.callbacks import Callbacks
from tests.bench.cases import Measured, NotMeasured
from tests.bench.databases import Databases
from tests.bench.figures import shown
from tests.bench.sizes import Sizes

T = TypeVar("T")


class Run(NamedTuple):
    """One run of the benchmarks."""

    sizes: Sizes
    rounds: int
    folder: Path
    databases: Databases
    callbacks: Callbacks
    wanted: frozenset[str]  # ids
    say: Callable[[str], None]

    def each_round(self, what: str) -> Iterator[int]:
        """Numbers of the rounds, told to whoever waits."""
        for number in range(1, self.rounds + 1):
            self.say(f"{what}: round {number} of {self.rounds}")
            yield number

    def tell(self, measured: Measured) -> Measured:
        """The same, having told its figure to whoever waits."""
        where = f" on {measured.database}" if measured.database else ""
        self.say(f"{measured.case.id}{where}: {shown(measured.figure.median)}")
        return measured


Measure = Callable[[Run, str], Iterator[Measured]]  # `str`: the database it is measured on


def fill(log: Log, lines: Iterator[bytes]) -> int:
    """Import lines that are all good and all new; how many."""
    imported = import_lines(log, lines)
    if imported.bad or set(imported.outcomes) - {Outcome.STORED}:
        raise NotMeasured(f"Of the lines made for this, not all were stored: {dict(imported.outcomes)}, {imported.bad[:3]}.")
    return imported.outcomes[Outcome.STORED]


def apart(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in a process of its own: nothing of ours is in its memory, and what it leaves there is gone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()  # or leaving the pool would wait for its work
            raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection of what was prepared: it is much, all of it is needed, and looking through it takes time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do this beside what is measured, in a thread, until the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), name=work.__name__, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
