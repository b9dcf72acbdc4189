"""The webhook without its log: the same application with the same checks, whose writer says STORED at once. P1's baseline.

    python -m tests.bench.storing_nothing --server granian --workers 2 --threads 4 --port 8080

`shipped` is the server as shipped, which can be answered later; the others are plain.

A process of its own, so that what is replaced here is replaced nowhere else.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import click
from flask import Flask
from granian.constants import HTTPModes, Interfaces
from granian.server import Server

from projector.config import read_config
from projector.log import Entry, GroupCommit, Outcome, Rejected, open_log
from projector.web import THREADS, answer_later
from webhook import create_app

APPLICATION = "tests.bench.storing_nothing:application"
AS_SHIPPED = "tests.bench.storing_nothing:as_shipped"
BACKPRESSURE = 2_048  # as the shipped server's: no connection waits


class Setup(NamedTuple):
    """A server and its size."""

    server: str
    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.server} {self.workers}×{self.threads}"

    @property
    def command(self) -> list[str]:
        """What starts it; a port is to be added."""
        sizes = ["--workers", str(self.workers), "--threads", str(self.threads)]
        return [sys.executable, "-m", "tests.bench.storing_nothing", "--server", self.server, *sizes]


def setups() -> list[Setup]:
    """Those worth trying on a small machine, of the servers that are installed."""
    shipped = [Setup("shipped", workers, THREADS) for workers in (1, 2)]
    granian = [Setup("granian", workers, threads) for workers in (1, 2) for threads in (1, 4, 32)]
    gunicorn = [Setup("gunicorn", workers, threads) for workers, threads in ((1, 32), (2, 4), (2, 16))]
    return shipped + granian + (gunicorn if find_spec("gunicorn") else [])


def application() -> Flask:
    """The shipped application over a log that nothing reaches."""
    GroupCommit.submit = _stored_at_once  # type: ignore[method-assign]
    config = read_config()
    return create_app(config, open_log(config.database_url), lambda _now_ms: {})


def as_shipped() -> Flask:
    """The same in the shipped server."""
    answer_later()
    return application()


def _stored_at_once(self: GroupCommit, arrival: Entry | Rejected, hear: Callable[[Outcome], object]) -> None:
    hear(Outcome.STORED)


@click.command()
@click.option("--server", type=click.Choice(["shipped", "granian", "gunicorn"]), required=True)
@click.option("--workers", type=int, required=True)
@click.option("--threads", type=int, required=True)
@click.option("--port", type=int, required=True)
def main(server: str, workers: int, threads: int, port: int) -> None:
    """Serve until SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="projector-bench-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # counted as by the shipped server
        match server:
            case "shipped":
                _granian(AS_SHIPPED, port, workers, threads)
            case "granian":
                _granian(APPLICATION, port, workers, threads)
            case _:
                _gunicorn(workers, threads, port)


def _granian(application: str, port: int, workers: int, threads: int) -> None:
    server = Server(
        application,
        factory=True,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        address="127.0.0.1",
        port=port,
        workers=workers,
        blocking_threads=threads,
        backpressure=BACKPRESSURE,
        log_enabled=False,
        websockets=False,
        workers_kill_timeout=2,
    )
    server.serve()


def _gunicorn(workers: int, threads: int, port: int) -> None:
    from gunicorn.app.wsgiapp import run

    sizes = ["--workers", str(workers), "--threads", str(threads)]
    quiet = ["--log-level", "error", "--keep-alive", "30", "--graceful-timeout", "2"]
    sys.argv = ["gunicorn", "--worker-class", "gthread", *sizes, *quiet, "--bind", f"127.0.0.1:{port}", f"{APPLICATION}()"]
    run()


if __name__ == "__main__":
    main()
