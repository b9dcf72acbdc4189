"""lately: a figure that takes a while, made once a minute by whoever asks first."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from projector.errors import ProjectorError

MINUTE_MS = 60_000

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Lately(Generic[T]):
    """Whoever asks while another makes it is given the one before. One that cannot be made is logged, and the last one stands: better a board without it than none."""

    def __init__(self, trouble: str, make: Callable[[int], T], at_first: T) -> None:
        """`trouble` is what is logged; `make` is given the moment in epoch milliseconds; `at_first` is what there is before the first was made."""
        self._trouble, self._make, self._last = trouble, make, at_first
        self._minute, self._making = -1, threading.Lock()

    def __call__(self, now_ms: int) -> T:
        """As of this minute, or the last one that could be made."""
        if self._minute != now_ms // MINUTE_MS and self._making.acquire(blocking=False):
            try:
                self._minute = now_ms // MINUTE_MS
                self._last = self._make(now_ms)
            except ProjectorError as error:
                logger.warning(self._trouble, extra={"reason": type(error.__cause__ or error).__name__})
            finally:
                self._making.release()
        return self._last
