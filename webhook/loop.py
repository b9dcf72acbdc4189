"""The application on the server's event loop (RSGI, Granian's own protocol): a callback that waits for its commit holds no thread.

`POST /callbacks` runs in a greenlet on the loop: Flask's plain code, which steps aside where it waits for the store, as
SQLAlchemy's asyncio does. Other routes may take their time and run in threads. A body is here in full before Flask begins.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, ClassVar

from flask import Flask
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]
from greenlet import getcurrent, greenlet

from projector.log import Entry, Outcome, Rejected, Waiter
from webhook.callbacks import BODY_MAX_BYTES, PATH

THREADS = 8  # for all routes but the callbacks'
BODY_SECONDS = 10.0  # for a body to arrive
TOO_SLOW = 408, [("content-type", "text/plain"), ("connection", "close")], "The body took too long.\n"

Answer = tuple[int, list[tuple[str, str]], bytes]


class OnLoop:
    """A Flask application (from `create_app`, its writer's waiters being `LoopWaiter`) as an RSGI application."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(THREADS, "request")

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """One request."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(scope, protocol)
        except ProtocolClosed:
            return  # whoever sent it is gone
        except TimeoutError:
            protocol.response_str(*TOO_SLOW)
            return
        environ = _environ(scope, body)
        if scope.path == PATH:
            answer = await stepping_aside(self._answer, environ)
        else:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, environ)
        protocol.response_bytes(*answer)

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """The end: what is waiting is stored."""
        self._app.extensions["writer"].close()

    def _answer(self, environ: dict[str, Any]) -> Answer:
        """What the application answers, by WSGI."""
        begun: list[tuple[int, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], object]:
            begun.append((int(status[:3]), [(name.lower(), value) for name, value in headers]))
            return lambda _content: None  # the old way to write, which nothing here does

        content: Any = self._app.wsgi_app(environ, start_response)
        try:
            return *begun[-1], b"".join(content)
        finally:
            content.close()


async def stepping_aside(function: Callable[[dict[str, Any]], Answer], environ: dict[str, Any]) -> Answer:
    """Call this function in a greenlet of its own; while it waits for the store, the loop goes on with others."""
    running = greenlet(function)
    found = running.switch(environ)
    while not running.dead:
        found = running.switch(await found)
    return found  # type: ignore[no-any-return]


class LoopWaiter(Waiter):
    """Waits by stepping aside; the writer's thread wakes the loop once for all whom it tells at once."""

    gather_seconds = 0.001  # the loop checks one request after another: fewer commits, each for more, as by commit_delay
    _told: ClassVar[deque["LoopWaiter"]] = deque()  # and not woken yet; one loop a process

    def __init__(self, arrival: Entry | Rejected) -> None:
        super().__init__(arrival)
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[bool] = self._loop.create_future()

    def wait(self, patience_seconds: float) -> bool:
        """See `Waiter.wait`. Called within `stepping_aside`."""
        patience = self._loop.call_later(patience_seconds, self._wake, False)
        try:
            return getcurrent().parent.switch(self._woken)  # type: ignore[no-any-return]
        finally:
            patience.cancel()

    def tell(self, outcome: Outcome | Exception) -> None:
        """See `Waiter.tell`."""
        self.outcome = outcome
        self._told.append(self)
        if len(self._told) == 1:  # otherwise the loop has been called, and will find this one too
            self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        while self._told:
            self._told.popleft()._wake(True)

    def _wake(self, is_told: bool) -> None:
        if not self._woken.done():
            self._woken.set_result(is_told)


async def _body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    """The body. Of one that is too large only so much that the application sees it and refuses it."""
    length = scope.headers.get("content-length")
    if length is not None:
        return await protocol() if int(length) <= BODY_MAX_BYTES else b""
    body = b""
    if "transfer-encoding" in scope.headers:
        async for piece in protocol:
            body += piece
            if len(body) > BODY_MAX_BYTES:
                break
    return body


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """The request as WSGI tells it (PEP 3333)."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
