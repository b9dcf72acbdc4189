"""What several viewers ask for within a second is worked out once: a room of wallboards costs what one does."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future

SECONDS = 1.0
REMEMBERED = 200


class Shared:
    """Answers by what was asked, each for a second after it was made."""

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now = now_seconds
        self._lock = threading.Lock()
        self._made: dict[Hashable, tuple[float, Future[str]]] = {}

    def get(self, asked: Hashable, make: Callable[[], str]) -> str:
        """What `make` makes, or made a moment ago for somebody else. Whoever comes meanwhile waits for it; its error is everybody's."""
        with self._lock:
            made, answer = self._made.get(asked, (float("-inf"), None))
            mine = answer is None or (answer.done() and self._now() - made >= SECONDS)
            if mine:
                answer = Future()
                self._forget()
                self._made[asked] = (float("-inf"), answer)
        assert answer is not None  # noqa: S101 (for mypy: it was there, or was made just now)
        if mine:
            try:
                answer.set_result(make())
            except BaseException as error:  # noqa: BLE001 (it is raised again, by `result`)
                answer.set_exception(error)
            with self._lock:
                self._made[asked] = (self._now(), answer)
        return answer.result()

    def _forget(self) -> None:
        if len(self._made) >= REMEMBERED:
            now = self._now()
            self._made = {asked: kept for asked, kept in self._made.items() if not kept[1].done() or now - kept[0] < SECONDS}
