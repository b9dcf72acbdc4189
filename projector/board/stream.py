"""`/stream`: server-sent events that say when to look again. What is to be seen is asked for by the page itself.

    event: moved     the tables have reached another position: its `id`, from which a browser that comes back resumes
    event: tick      nothing new for a while: the stream is alive, and waits have grown older
    event: trouble   the store does not answer; the sentence says why

One thread of a process looks at the tables, however many listen, and only while somebody does. A stream takes a thread of the server:
so there are `MOST` of them in a process at once, and whoever comes beyond looks again by the clock.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from flask import Blueprint, Response, request

from projector.errors import ProjectorError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between two looks at the tables
CALM_SECONDS = 1.0  # between two events of a stream: a page takes no more
TICK_SECONDS = 5.0
LONGEST_SECONDS = 900.0  # of a stream; the browser comes back by itself
RETRY_MS = 1_000
MOST = 32
POSITION_DIGITS = 19


class Pulse:
    """How far the tables are, as it changes. `look`: their position now; raises `ProjectorError`."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look
        self._changed = threading.Condition()
        self._listeners = 0
        self._closed = self._watching = False
        self._position: int | None = None
        self._trouble: str | None = None

    def close(self) -> None:
        """End every stream: the server is about to stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def enter(self) -> bool:
        """One more listens; False when there are too many, or it is closed."""
        with self._changed:
            if self._listeners >= MOST or self._closed:
                return False
            self._listeners += 1
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="pulse", daemon=True).start()
            return True

    def leave(self) -> None:
        """One of those who entered listens no more."""
        with self._changed:
            self._listeners -= 1
            self._changed.notify_all()

    def events(self, seen: int | None) -> Iterator[str]:
        """What happens from a position on that was seen before (None: nothing was), for whoever entered."""
        began = time.monotonic()
        yield f"retry: {RETRY_MS}\n\n"
        while time.monotonic() - began < LONGEST_SECONDS:
            position, trouble = self._after(seen)
            if self._closed:
                return
            if trouble is not None:
                yield _event("trouble", {"problem": trouble})
            elif position is not None and position != seen:
                seen = position
                yield _event("moved", {"position": position}, position)
            else:
                yield _event("tick", {"position": position})
            time.sleep(CALM_SECONDS)

    def _after(self, seen: int | None) -> tuple[int | None, str | None]:
        """The position once it is another one, at the latest when it is time for a tick; or what is wrong."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._trouble is not None or self._position not in (None, seen), TICK_SECONDS
            )
            return self._position, self._trouble

    def _watch(self) -> None:
        position: int | None
        trouble: str | None
        while True:
            try:
                position, trouble = self._look(), None
            except ProjectorError as error:
                position, trouble = self._position, str(error)
            except Exception:
                logger.exception("pulse_failed")
                position, trouble = self._position, "The server cannot look at its tables, for a reason nobody foresaw."
            with self._changed:
                if self._position != position or self._trouble != trouble:
                    self._position, self._trouble = position, trouble
                    self._changed.notify_all()
                if self._closed or not self._listeners:
                    self._watching = False
                    return
            time.sleep(LOOK_SECONDS)


def _event(name: str, told: Mapping[str, object], number: int | None = None) -> str:
    numbered = "" if number is None else f"id: {number}\n"
    return f"{numbered}event: {name}\ndata: {json.dumps(told)}\n\n"


def serve_stream(board: Blueprint, pulse: Pulse) -> None:
    """The URL."""

    @board.get("/stream")
    def stream() -> Response:
        told = request.headers.get("Last-Event-ID", "")
        seen = int(told) if told.isascii() and told.isdecimal() and len(told) <= POSITION_DIGITS else None
        if not pulse.enter():
            return Response(
                "Too many look at once. Look again by the clock.\n", 503, {"Retry-After": "10"}, mimetype="text/plain"
            )
        answer = Response(pulse.events(seen), mimetype="text/event-stream")
        answer.call_on_close(pulse.leave)
        answer.headers["X-Accel-Buffering"] = "no"  # a proxy shall not keep them back
        return answer
