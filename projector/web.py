"""The web server: Granian, which reads requests and writes answers outside Python, so that slow clients hold nobody up."""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server

from projector import logs
from projector.config import Config, read_config
from projector.processes import STOPS, end_with_parent, on_signals

if TYPE_CHECKING:
    from webhook.loop import OnLoop

CONNECTIONS = 2_048  # taken at once; beyond them, and with few, slow clients would keep everybody waiting
HEADER_READ_TIMEOUT_MS = 10_000
DRAIN_SECONDS = 8
LINGER_SECONDS = 0.5  # connections made before SIGTERM are accepted for so long; the kernel would reset them otherwise


def serve_http(config: Config, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered are finished first."""
    with tempfile.TemporaryDirectory(prefix="projector-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(folder))
        server = _Server(
            "projector.web:application",
            factory=True,
            interface=Interfaces.RSGI,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            address=host,
            port=port,
            workers=config.web_processes,
            backpressure=CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
            respawn_failed_workers=True,
            respawn_interval=0.5,
            workers_kill_timeout=DRAIN_SECONDS,
            log_enabled=False,
            websockets=False,
        )
        on_signals(server.interrupt)
        server.serve()


class _Server(Server):  # type: ignore[misc, valid-type]  # which of two it is, Granian decides at import
    """Granian's, which sets an event in its signal handler: there it may wait for ever for a lock that it holds itself."""

    def signal_handler_interrupt(self, *_: object) -> None:
        """Nothing: `interrupt` is called instead, in a thread."""

    def interrupt(self) -> None:
        """Stop serving."""
        super().signal_handler_interrupt()


def application() -> "OnLoop":
    """The application of one server process."""
    linger_on_signals()
    end_with_parent()

    from projector.database import open_engine
    from projector.log import open_log
    from projector.status import progress
    from webhook import create_app
    from webhook.loop import LoopWaiter, OnLoop

    logs.configure()
    config = read_config()
    log, engine = open_log(config.database_url), open_engine(config.database_url)
    return OnLoop(create_app(config, log, lambda now_ms: progress(log, engine, now_ms), LoopWaiter))


def linger_on_signals() -> None:
    """Hand SIGTERM and SIGINT to the server a moment late: what was sent before them, read or not yet, is then answered.

    Blocked here, before any other thread begins, so that every thread inherits it and one alone waits for them.
    """
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    inherited: dict[int, object] = {number: signal.getsignal(number) for number in STOPS}

    def hand_over() -> None:
        while True:
            number = signal.sigwait(STOPS)
            time.sleep(LINGER_SECONDS)
            while signal.getsignal(number) is inherited[number]:
                time.sleep(0.05)  # the server, still starting, has not put its own yet
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            signal.raise_signal(number)  # its loop hears of it
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)

    threading.Thread(target=hand_over, name="linger", daemon=True).start()
