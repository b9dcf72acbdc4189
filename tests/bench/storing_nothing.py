"""The webhook without its log: the same application with the same checks, whose writer says STORED at once. P1's baseline.

    python -m tests.bench.storing_nothing --server granian --workers 2 --threads 4 --port 8080

A process of its own, so that what is replaced here is replaced nowhere else.
"""

import os
import sys
import tempfile
from importlib.util import find_spec
from typing import NamedTuple

import click
from flask import Flask

from projector.config import read_config
from projector.log import Entry, GroupCommit, Outcome, Rejected, open_log
from webhook import create_app

APPLICATION = "tests.bench.storing_nothing:application"
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
    granian = [Setup("granian", workers, threads) for workers in (1, 2) for threads in (1, 4, 32)]
    gunicorn = [Setup("gunicorn", workers, threads) for workers, threads in ((1, 32), (2, 4), (2, 16))]
    return granian + (gunicorn if find_spec("gunicorn") else [])


def application() -> Flask:
    """The shipped application over a log that nothing reaches."""
    GroupCommit.append = _stored_at_once  # type: ignore[method-assign]
    config = read_config()
    return create_app(config, open_log(config.database_url), lambda _now_ms: {})


def _stored_at_once(self: GroupCommit, arrival: Entry | Rejected, patience_seconds: float = 0.0) -> Outcome:
    return Outcome.STORED


@click.command()
@click.option("--server", type=click.Choice(["granian", "gunicorn"]), required=True)
@click.option("--workers", type=int, required=True)
@click.option("--threads", type=int, required=True)
@click.option("--port", type=int, required=True)
def main(server: str, workers: int, threads: int, port: int) -> None:
    """Serve until SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="projector-bench-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # counted as by the shipped server
        (_granian if server == "granian" else _gunicorn)(workers, threads, port)


def _granian(workers: int, threads: int, port: int) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.server import Server

    server = Server(
        APPLICATION,
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
