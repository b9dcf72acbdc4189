"""The web server: Granian, which reads requests and writes answers outside Python, so that slow clients hold no thread."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask
from granian import wsgi
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server, mp

from projector import logs
from projector.board.stream import MOST
from projector.config import Config, read_config
from projector.processes import STOPS, end_with_parent, on_signals
from webhook.acknowledgement import ANSWER, LATER

THREADS = (
    16 + MOST
)  # of one process, reading and checking requests; none waits for a commit. The others are for the board's streams
CONNECTIONS = 2_048  # taken at once; beyond them, and with few, slow clients would keep everybody waiting
HEADER_READ_TIMEOUT_MS = 10_000
DRAIN_SECONDS = 8
LINGER_SECONDS = 0.5  # connections made before SIGTERM are accepted for so long; the kernel would reset them otherwise


def serve_http(config: Config, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered are finished first."""
    server = _Server(
        "projector.web:application",
        factory=True,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        address=host,
        port=port,
        workers=config.web_processes,
        blocking_threads=THREADS,
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


def application() -> Flask:
    """The application of one server process."""
    stopping: list[Callable[[], None]] = []
    linger_on_signals(stopping)
    end_with_parent()
    answer_later()

    from projector.api import document_pages, read_api
    from projector.api.keys import Key, Keys
    from projector.api.login import Login
    from projector.api.store import LOOK_SECONDS, Store
    from projector.board import board
    from projector.database import open_engine
    from projector.log import open_log
    from projector.status import gaps_lately, in_all, progress
    from webhook import create_app

    logs.configure()
    config = read_config()
    log, engine = open_log(config.database_url), open_engine(config.database_url)
    missing = gaps_lately(engine)
    look = open_engine(config.database_url, limit_seconds=LOOK_SECONDS)
    store = Store(look, log)
    app = create_app(
        config, log, lambda now_ms: progress(log, engine, now_ms), lambda now_ms: in_all(missing(now_ms)), store.feeds_lately
    )
    keys = Keys(Key(name, secret, workspaces) for name, (secret, workspaces) in config.api_keys.items())
    app.register_blueprint(document_pages)
    login = Login(keys)
    app.register_blueprint(read_api(look, log, login))
    pages, pulse = board(store, log, look, None if config.board_is_open else login, config.public_url)
    app.register_blueprint(pages)
    stopping.append(pulse.close)
    return app


def answer_later() -> None:
    """Let the application answer a request when its thread is long busy with the next one (`webhook.acknowledgement`).

    Granian can, but has no name for it: the object that sends an answer may be kept, and used from any thread. So its
    function that calls a WSGI application is replaced by one that puts it into the environ. Should a release of Granian not
    look for it here any more, every request waits in its thread: slower, and right.
    """
    mp._wsgi_call_wrap = _calling  # type: ignore[attr-defined, assignment]


def _calling(application: Callable[..., Any], scope_opts: Mapping[str, Any], _access_log_format: str | None = None) -> Any:
    """As `granian.wsgi._callback_wrapper`: the function that Granian calls with each request."""
    always = {
        "SCRIPT_NAME": scope_opts.get("url_path_prefix") or "",
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multiprocess": True,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.version": (1, 0),
    }

    def call(protocol: Any, scope: dict[str, Any]) -> int:
        begun = wsgi.Response()  # type: ignore[no-untyped-call]
        content = application(always | scope | {ANSWER: protocol.response_bytes}, begun)
        if content is LATER:
            return begun.status
        if isinstance(content, list):
            protocol.response_bytes(begun.status, begun.headers, b"".join(content))
        else:
            stream = wsgi.ResponseIterWrap(content)  # type: ignore[no-untyped-call]
            protocol.response_iter(begun.status, begun.headers, stream)
        return begun.status

    return call


def linger_on_signals(stopping: Sequence[Callable[[], None]] = ()) -> None:
    """Hand SIGTERM and SIGINT to the server a moment late: what was sent before them, read or not yet, is then answered.

    `stopping` are called at once: what would never end by itself. Blocked here, before any other thread begins, so that every thread inherits it and one alone waits for them.
    """
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    inherited: dict[int, object] = {number: signal.getsignal(number) for number in STOPS}

    def hand_over() -> None:
        while True:
            number = signal.sigwait(STOPS)
            for stop in stopping:
                stop()
            time.sleep(LINGER_SECONDS)
            while (handler := signal.getsignal(number)) is inherited[number] or not callable(handler):
                time.sleep(0.05)  # the server, still starting, has not put its own yet
            handler(number, None)

    threading.Thread(target=hand_over, name="linger", daemon=True).start()
