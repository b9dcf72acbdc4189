"""Group commit: many requests, one transaction.

Requests hand their arrival over and wait. One writer thread takes all that are waiting, appends them in one transaction
and wakes every waiter with its outcome. Nobody is answered before the commit; a request that waited too long gives up
(503) and, if the writer has not taken its arrival yet, takes it back.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from projector.errors import ProjectorError, StoreUnavailable
from projector.log.entry import Entry, Log, Outcome, Rejected

BATCH_MAX = 500
WAITING_MAX = 5_000
BUSY = 3  # from so many arrivals at once, a commit waits for others that are on their way (`Waiter.gather_seconds`)
PATIENCE_SECONDS = 1.5  # the webhook promises an answer within 2 s


class Waiter:
    """One arrival, and who waits for it: a thread. (Bare locks: a Future is a condition each, and half the cost of an append.)"""

    gather_seconds = 0.0  # threads that were told come back all at once: to wait for them would only make them slower
    outcome: Outcome | Exception

    def __init__(self, arrival: Entry | Rejected) -> None:
        self.arrival = arrival
        self.claimed = threading.Lock()  # by the writer, who then stores it, or by who gave up waiting: whoever is first
        self._hears = threading.Lock()
        self._hears.acquire()

    def wait(self, patience_seconds: float) -> bool:
        """Until the outcome was told: True. False when that took longer."""
        return self._hears.acquire(timeout=patience_seconds)

    def tell(self, outcome: Outcome | Exception) -> None:
        """Wake who waits. Called by the writer's thread."""
        self.outcome = outcome
        self._hears.release()


class GroupCommit:
    """The one writer of this process, over a log. Its thread starts with the first append and ends with `close`."""

    def __init__(self, log: Log, waiter: type[Waiter] = Waiter) -> None:
        self._log = log
        self._waiter = waiter
        self._waiting: SimpleQueue[Waiter | None] = SimpleQueue()  # None: there will be no more
        self._is_busy = False
        self._closing = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def append(self, arrival: Entry | Rejected, patience_seconds: float = PATIENCE_SECONDS) -> Outcome:
        """Store one arrival durably and say what became of it. Raises `StoreUnavailable` when that cannot be promised."""
        if self._closing or self._waiting.qsize() >= WAITING_MAX:
            raise StoreUnavailable(f"{self._waiting.qsize()} callbacks are waiting to be stored already. Try again.")
        if self._thread is None:
            self._start()
        waiter = self._waiter(arrival)
        self._waiting.put(waiter)
        if not waiter.wait(patience_seconds):
            waiter.claimed.acquire(blocking=False)  # unless the writer has it, it is taken back
            raise StoreUnavailable(f"The store did not commit within {patience_seconds} s. Try again.")
        if isinstance(waiter.outcome, Outcome):
            return waiter.outcome
        raise waiter.outcome

    def close(self) -> None:
        """Store what is waiting, then end the thread."""
        self._closing = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        is_ending = False
        while not (is_ending and self._waiting.empty()):
            taken = self._take()
            is_ending = is_ending or None in taken
            batch = [waiter for waiter in taken if waiter is not None and waiter.claimed.acquire(blocking=False)]
            if batch:
                self._commit(batch)

    def _take(self) -> list[Waiter | None]:
        """Those who are waiting, at least one."""
        taken = [self._waiting.get(), *self._more(BATCH_MAX - 1)]
        if self._waiter.gather_seconds and (self._is_busy or len(taken) >= BUSY):
            time.sleep(self._waiter.gather_seconds)
            taken += self._more(BATCH_MAX - len(taken))
            self._is_busy = len(taken) >= BUSY
        return taken

    def _more(self, limit: int) -> Iterator[Waiter | None]:
        """Those who are waiting already."""
        with suppress(Empty):
            for _ in range(limit):
                yield self._waiting.get_nowait()

    def _commit(self, batch: Sequence[Waiter]) -> None:
        """One transaction for the batch. Should it fail for what it holds, each alone: one must not refuse its neighbours."""
        try:
            outcomes = self._patiently([waiter.arrival for waiter in batch])
        except ProjectorError as error:
            for waiter in batch:
                waiter.tell(error)
        except Exception as error:  # noqa: BLE001 (every waiter gets it: none is swallowed)
            if len(batch) == 1:
                batch[0].tell(error)
                return
            for alone in batch:
                self._commit([alone])
        else:
            for waiter, outcome in zip(batch, outcomes, strict=True):
                waiter.tell(outcome)

    def _patiently(self, arrivals: list[Entry | Rejected]) -> list[Outcome]:
        """Append, and once more when the connection broke: a commit whose answer was lost then shows as duplicates."""
        deadline = time.monotonic() + PATIENCE_SECONDS / 2
        while True:
            try:
                return self._log.append(arrivals)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
