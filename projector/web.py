"""The web server: Granian, which reads requests and writes answers outside Python, so that slow clients hold no thread."""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

from flask import Flask
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from projector import logs
from projector.config import Config, read_config
from projector.processes import end_with_parent

THREADS = 32  # requests of one process that may wait for one commit together
HEADER_READ_TIMEOUT_MS = 10_000
DRAIN_SECONDS = 8
LINGER_SECONDS = 0.5  # connections made before SIGTERM are accepted for so long; the kernel would reset them otherwise


def serve_http(config: Config, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered are finished first."""
    with tempfile.TemporaryDirectory(prefix="projector-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(folder))
        Server(
            "projector.web:application",
            factory=True,
            interface=Interfaces.WSGI,
            http=HTTPModes.http1,
            address=host,
            port=port,
            workers=config.web_processes,
            blocking_threads=THREADS,
            backpressure=THREADS * 4,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
            respawn_failed_workers=True,
            respawn_interval=0.5,
            workers_kill_timeout=DRAIN_SECONDS,
            log_enabled=False,
            websockets=False,
        ).serve()


def application() -> Flask:
    """The application of one server process."""
    from projector.database import open_engine
    from projector.log import open_log
    from projector.status import progress
    from webhook import create_app

    logs.configure()
    linger_on_signals()
    end_with_parent()
    config = read_config()
    log, engine = open_log(config.database_url), open_engine(config.database_url)
    return create_app(config, log, lambda now_ms: progress(log, engine, now_ms))


def linger_on_signals() -> None:
    """Hand SIGTERM and SIGINT to the server a moment late: what was sent before them, read or not yet, is then answered.

    Blocked here, before any other thread begins, so that every thread inherits it and one alone waits for them.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def hand_over() -> None:
        while True:
            number = signal.sigwait(numbers)
            time.sleep(LINGER_SECONDS)
            handler = signal.getsignal(number)
            if callable(handler):
                handler(number, None)

    threading.Thread(target=hand_over, name="linger", daemon=True).start()
