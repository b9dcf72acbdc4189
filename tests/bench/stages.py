"""Where the time goes: microseconds a callback, stage by stage. `python -m tests.bench.stages --help`.

Each stage is timed by itself, one after the other, so a loop that overlaps some of them takes less than their sum.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
from rich.console import Console
from rich.table import Table

from projector import table_sink
from projector.database import disposing, open_engine
from projector.log import Log, Stored, open_log
from projector.processes import collect_seldom
from projector.project import PAGE, folded_page
from projector.sweep import Sweep
from projector.table_sink import TableSink
from projector.taskrouter.callback import read
from projector.taskrouter.mention import Heard
from tests.bench.callbacks import Callbacks
from tests.bench.databases import Databases
from tests.bench.run import fill, undisturbed

SAVED = {"_save_states": "write current rows", "_save_history": "write history", "_save_names": "write names"}


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count what happens here to this stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, each call counted to the stage."""

        def call(*arguments: Any) -> Any:
            with self.on(stage):
                return function(*arguments)

        return call

    def take(self, whole: str, *parts: str) -> None:
        """Leave in a stage what it takes beside these."""
        self.seconds[whole] -= sum(self.seconds.get(part, 0.0) for part in parts)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--on", "backends", multiple=True, type=click.Choice(("sqlite", "postgresql")), help="A database; both without.")
@click.option("--callbacks", default=200_000, show_default=True, type=click.IntRange(1_000))
def main(backends: tuple[str, ...], callbacks: int) -> None:
    """Print where a catch-up, and the fold of a rebuild as far as its rows, spend their time."""
    collect_seldom()
    table = Table("stage", title=f"µs a callback, {callbacks:,} callbacks")
    columns = []
    with tempfile.TemporaryDirectory(prefix="projector-bench-") as name, closing(Databases(Path(name))) as databases:
        bodies = Callbacks(Path(name))
        for backend in backends or ("sqlite", "postgresql"):
            with databases.fresh(backend) as url:
                with closing(open_log(url)) as log, bodies.lines(callbacks) as lines:
                    fill(log, lines)
                databases.rest(url)
                with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
                    for what, stages in (("catch-up", catch_up(log, TableSink(engine))), ("rebuild", sweep(log))):
                        table.add_column(f"{what}, {backend}", justify="right")
                        columns.append({stage: 1e6 * seconds / callbacks for stage, seconds in stages.items()})
    for stage in dict.fromkeys(stage for column in columns for stage in column):
        table.add_row(stage, *(f"{column[stage]:.1f}" if stage in column else "–" for column in columns))
    table.add_row("sum", *(f"{sum(column.values()):.1f}" for column in columns))
    Console(width=120).print(table)


def catch_up(log: Log, sink: TableSink) -> dict[str, float]:
    """Page by page into the tables, nothing overlapping."""
    watch, position = Stopwatch(), sink.position()
    saving = {name: watch.timed(stage, getattr(table_sink, name)) for name, stage in SAVED.items()}
    with patch.object(sink, "load", watch.timed("load", sink.load)), patch.multiple(table_sink, **saving):
        while stored := watch.timed("read", log.read)(position, PAGE):
            _told(watch, stored)
            with watch.on("group and fold"):
                batch = folded_page(log, sink, position, stored)
            with watch.on("commit and the rest"):
                sink.save(batch)
            position = batch.position
    watch.take("group and fold", "load", "decode", "mentions")  # it does those once more
    watch.take("commit and the rest", *SAVED.values())
    return watch.seconds


def sweep(log: Log) -> dict[str, float]:
    """Unit by unit, as far as the rows."""
    watch, upto = Stopwatch(), log.end()
    with watch.on("read"):
        stored = list(log.by_unit(upto))
    _told(watch, stored)
    del stored
    with watch.on("group and fold"):
        for _ in Sweep(log, upto).lines():
            pass
    watch.take("group and fold", "read", "decode", "mentions")
    return watch.seconds


def _told(watch: Stopwatch, stored: list[Stored]) -> None:
    """What each callback says, told without folding."""
    with undisturbed(), watch.on("decode"):
        callbacks = [read(row.state, row.originator_id) for row in stored]
    with undisturbed(), watch.on("mentions"):
        heard = Heard()
        for callback in callbacks:
            heard.hear(callback)
        heard.mentions()


if __name__ == "__main__":
    main()
