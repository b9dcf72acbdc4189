"""The webhook without its log: the same application with the same checks, whose writer says STORED at once. P1's baseline.

    python -m tests.bench.storing_nothing --server granian --workers 2 --threads 4 --port 8080

`loop` is the server as shipped, on an event loop without threads; the others take WSGI.

A process of its own, so that what is replaced here is replaced nowhere else.
"""

import os
import sys
import tempfile
from importlib.util import find_spec
from typing import Any, NamedTuple

import click
from flask import Flask
from granian.constants import HTTPModes, Interfaces, Loops
from granian.server import Server

from projector.config import read_config
from projector.log import Entry, GroupCommit, Outcome, Rejected, open_log
from webhook import create_app
from webhook.loop import OnLoop

APPLICATION = "tests.bench.storing_nothing:application"
ON_LOOP = "tests.bench.storing_nothing:on_loop"
BACKPRESSURE = 2_048  # as the shipped server's: no connection waits


class Setup(NamedTuple):
    """A server and its size."""

    server: str
    workers: int
    threads: int  # of each worker; 0: none, on a loop

    def __str__(self) -> str:
        return f"{self.server} {self.workers}×{self.threads}" if self.threads else f"{self.server} {self.workers}"

    @property
    def command(self) -> list[str]:
        """What starts it; a port is to be added."""
        sizes = ["--workers", str(self.workers), "--threads", str(self.threads)]
        return [sys.executable, "-m", "tests.bench.storing_nothing", "--server", self.server, *sizes]


def setups() -> list[Setup]:
    """Those worth trying on a small machine, of the servers that are installed."""
    loop = [Setup("loop", workers, 0) for workers in (1, 2)]
    granian = [Setup("granian", workers, threads) for workers in (1, 2) for threads in (1, 4, 32)]
    gunicorn = [Setup("gunicorn", workers, threads) for workers, threads in ((1, 32), (2, 4), (2, 16))]
    return loop + granian + (gunicorn if find_spec("gunicorn") else [])


def application() -> Flask:
    """The shipped application over a log that nothing reaches."""
    GroupCommit.append = _stored_at_once  # type: ignore[method-assign]
    config = read_config()
    return create_app(config, open_log(config.database_url), lambda _now_ms: {})


def on_loop() -> OnLoop:
    """The same on the shipped server's event loop."""
    return OnLoop(application())


def _stored_at_once(self: GroupCommit, arrival: Entry | Rejected, patience_seconds: float = 0.0) -> Outcome:
    return Outcome.STORED


@click.command()
@click.option("--server", type=click.Choice(["loop", "granian", "gunicorn"]), required=True)
@click.option("--workers", type=int, required=True)
@click.option("--threads", type=int, required=True)
@click.option("--port", type=int, required=True)
def main(server: str, workers: int, threads: int, port: int) -> None:
    """Serve until SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="projector-bench-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # counted as by the shipped server
        match server:
            case "loop":
                _granian(ON_LOOP, port, interface=Interfaces.RSGI, loop=Loops.uvloop, workers=workers)
            case "granian":
                _granian(APPLICATION, port, interface=Interfaces.WSGI, workers=workers, blocking_threads=threads)
            case _:
                _gunicorn(workers, threads, port)


def _granian(application: str, port: int, **setup: Any) -> None:
    server = Server(
        application,
        factory=True,
        http=HTTPModes.http1,
        address="127.0.0.1",
        port=port,
        backpressure=BACKPRESSURE,
        log_enabled=False,
        websockets=False,
        workers_kill_timeout=2,
        **setup,
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
