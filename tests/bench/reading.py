"""How long the read API takes to answer: a week of 500 workers, a million callbacks. `python -m tests.bench.reading --help`.

Whole requests, from the WSGI call to the JSON, without a network; the questions in turn, one after the other.
"""

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import click
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import URL

from projector import tables
from projector.access import reading
from projector.database import disposing, open_engine
from projector.floor.center import START_MS, Floor
from projector.log import Entry, open_log
from projector.project import project
from projector.table_sink import TableSink
from tests.bench.databases import Databases
from tests.bench.figures import percentile
from tests.bench.run import undisturbed
from tests.reading import Api, reading_from

SEED, WORKERS = 7, 500
WEEK_MS = 7 * 24 * 3_600_000
BATCH = 5_000
WARM = 3  # calls of each question that are not counted

Question: TypeAlias = tuple[str, dict[str, str]]  # path below the workspace, query


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--on", "backends", multiple=True, type=click.Choice(("sqlite", "postgresql")), help="A database; both without.")
@click.option("--callbacks", default=1_000_000, show_default=True, type=click.IntRange(1_000))
@click.option("--calls", default=200, show_default=True, type=click.IntRange(1), help="Of each question.")
def main(backends: tuple[str, ...], callbacks: int, calls: int) -> None:
    """Print milliseconds a request, median and 99th percentile, by question."""
    table = Table("question", title=f"ms a request, {callbacks:,} callbacks of {WORKERS} workers in a week, {calls} calls each")
    columns = []
    with tempfile.TemporaryDirectory(prefix="projector-bench-") as name, closing(Databases(Path(name))) as databases:
        for backend in backends or ("sqlite", "postgresql"):
            table.add_column(f"{backend}: p50", justify="right")
            table.add_column("p99", justify="right")
            with databases.fresh(backend) as url:
                workspace = fill(url, callbacks)
                databases.rest(url)
                with reading_from(url) as api:
                    columns.append(measure(api, workspace, calls))
    for question in columns[0]:
        table.add_row(
            question, *(f"{1000 * percentile(column[question], share):.1f}" for column in columns for share in (0.5, 0.99))
        )
    Console(width=120).print(table)


def fill(url: URL, callbacks: int, workers: int = WORKERS, start_ms: int = START_MS) -> str:
    """A week of the floor, stored as it arrived and projected; its workspace."""
    floor = Floor(SEED, workers, callbacks / (WEEK_MS / 1000), start_ms)
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        coming = (Entry.of(told, "callback", sent_ms) for sent_ms, told in islice(floor.callbacks(), callbacks))
        while batch := list(islice(coming, BATCH)):
            log.append(batch)
        project(log, TableSink(engine))
    return floor.workspace_sid


def measure(api: Api, workspace: str, calls: int) -> dict[str, list[float]]:
    """Seconds of each call, by question."""
    asked = questions(api, workspace)
    chance, took = random.Random(SEED), {name: [] for name in asked}  # type: dict[str, list[float]]
    with undisturbed():
        for number in range(WARM + calls):
            for name, question in asked.items():
                path, query = question(chance)
                began = time.perf_counter()
                answer = api.get(f"/v1/Workspaces/{workspace}{path}", **query)
                if number >= WARM:
                    took[name].append(time.perf_counter() - began)
                assert answer.status_code == 200, answer.text
    return took


def questions(api: Api, workspace: str) -> dict[str, Callable[[random.Random], Question]]:
    """What is asked: of any worker, of the busiest kind of queue, at any moment of the second half of the week, or at its end."""
    with reading(api.engine) as connection:
        w, q = tables.worker.c, tables.task_queue.c
        there = (
            w.workspace_sid == workspace,
            w.deleted_at.is_(None),
            w.created_at < sa.literal(START_MS + WEEK_MS // 2, tables.Instant),
        )
        workers = list(connection.execute(sa.select(w.worker_sid).where(*there)).scalars())
        queue = connection.execute(sa.select(q.task_queue_sid).where(q.friendly_name == "Support")).scalar_one()
        end_ms: Any = connection.execute(sa.select(tables.projection.c.event_at)).scalar_one()
    at_end, of_queue = {"AsOf": str(end_ms)}, f"/TaskQueues/{queue}"

    def at_any(chance: random.Random) -> dict[str, str]:
        return {"AsOf": str(chance.randrange(START_MS + WEEK_MS // 2, end_ms))}

    return {
        "a worker at a moment": lambda chance: (f"/Workers/{chance.choice(workers)}", at_any(chance)),
        "a queue's real-time statistics, now": lambda _: (f"{of_queue}/RealTimeStatistics", at_end),
        "a queue's real-time statistics, at a moment": lambda chance: (f"{of_queue}/RealTimeStatistics", at_any(chance)),
        "a queue's cumulative statistics, 15 minutes": lambda _: (f"{of_queue}/CumulativeStatistics", at_end),
        "a queue's cumulative statistics, the week": lambda _: (
            f"{of_queue}/CumulativeStatistics",
            at_end | {"Minutes": "10080"},
        ),
        "all workers' cumulative statistics, the week": lambda _: (
            "/Workers/CumulativeStatistics",
            at_end | {"Minutes": "10080"},
        ),
        "a page of live tasks": lambda _: ("/Tasks", {}),
        "a page of events": lambda _: ("/Events", at_end),
        "a worker's day as a timeline": lambda chance: (f"/Workers/{chance.choice(workers)}/Timeline", at_end),
    }


if __name__ == "__main__":
    main()
