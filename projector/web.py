"""The web server: Granian, which reads requests and writes answers outside Python, so that slow clients hold no thread."""

import os
import tempfile
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
    end_with_parent()
    config = read_config()
    log, engine = open_log(config.database_url), open_engine(config.database_url)
    return create_app(config, log, lambda now_ms: progress(log, engine, now_ms))
