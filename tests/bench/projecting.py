"""P4 and P4b: catching up with what is in the log, into the real tables, against the library's runner; and when much is late."""

import time
from collections.abc import Iterator
from contextlib import closing

from sqlalchemy.engine import URL

from projector.behind import table_sink
from projector.database import database_url, disposing, open_engine
from projector.log import open_log
from projector.processes import collect_seldom
from projector.project import project
from projector.table_sink import TableSink
from tests.bench.callbacks import write_with_veteran
from tests.bench.cases import P4, P4B, Measured, NotMeasured, Round
from tests.bench.library import runner_rate
from tests.bench.run import Run, apart, fill
from tests.given import text_url


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """The runner, a catch-up, and a catch-up with a veteran, in turn: each over a database as it was before."""
    prompt = loaded(run, backend, run.sizes.caught_up)
    late = _with_veteran(run, backend) if "P4b" in run.wanted else None
    rounds, late_rounds = [], []
    for _ in run.each_round(f"P4 on {backend}"):
        theirs = runner_rate(run) if "P4" in run.wanted else None
        ours = _rate(run, prompt, run.sizes.caught_up)
        if theirs is not None:
            rounds.append(Round(ours, theirs))
        if late is not None:
            late_rounds.append(Round(_rate(run, late, run.sizes.caught_up + run.sizes.veteran_more), ours))
    sizes = run.sizes
    if rounds:
        yield run.tell(Measured(P4, backend, rounds, {"callbacks": sizes.caught_up, "runner_backlog": sizes.backlog}))
    if late_rounds:
        details = {
            "callbacks": sizes.caught_up + sizes.veteran_more,
            "veteran_before": sizes.veteran,
            "veteran_within": sizes.veteran_more,
        }
        yield run.tell(Measured(P4B, backend, late_rounds, details))


def loaded(run: Run, backend: str, callbacks: int) -> URL:
    """A database whose log holds the floor's first so many and whose tables are empty; made once."""

    def load(url: URL) -> None:
        run.say(f"importing {callbacks:,} callbacks on {backend}")
        with closing(open_log(url)) as log, run.callbacks.lines(callbacks) as lines:
            fill(log, lines)

    return run.databases.kept(backend, f"log of {callbacks}", load)


def _with_veteran(run: Run, backend: str) -> URL:
    """A log with the history of one worker, which the tables hold, and then the floor and more of that worker, which they do not."""
    sizes, path = run.sizes, run.folder / "veteran.jsonl"

    def load(url: URL) -> None:
        if not path.exists():
            write_with_veteran(path, sizes.caught_up, sizes.veteran, sizes.veteran_more)
        run.say(f"importing and projecting a worker of {sizes.veteran:,} callbacks on {backend}")
        with closing(open_log(url)) as log, disposing(open_engine(url)) as engine, path.open("rb") as lines:
            fill(log, lines)
            project(log, TableSink(engine), upto=sizes.veteran)

    return run.databases.kept(backend, "log with veteran", load)


def _rate(run: Run, original: URL, callbacks: int) -> float:
    """Callbacks a second of a catch-up over a copy of this database, in a process of its own."""
    with run.databases.copy(original) as url:
        projected, seconds = apart(catch_up, text_url(url))
    if projected != callbacks:
        raise NotMeasured(f"{callbacks} callbacks were waiting to be projected, and {projected} were.")
    return projected / seconds


def catch_up(url: str) -> tuple[int, float]:
    """Project what is waiting, as `projector run` does: how many callbacks, in how many seconds."""
    collect_seldom()
    with closing(open_log(at := database_url(url))) as log, disposing(open_engine(at)) as engine, table_sink(engine) as sink:
        before, began = sink.position(), time.perf_counter()
        project(log, sink)
        return sink.position() - before, time.perf_counter() - began
