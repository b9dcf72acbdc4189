"""Group commit: many requests, one transaction.

Requests hand their arrival over and wait. One writer thread takes all that are waiting, appends them in one transaction
and wakes every waiter with its outcome. Nobody is answered before the commit; a request that waited too long gives up
(503) and, if the writer has not taken its arrival yet, takes it back.
"""

import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from projector.errors import ProjectorError, StoreUnavailable
from projector.log.entry import Entry, Log, Outcome, Rejected

BATCH_MAX = 500
WAITING_MAX = 5_000
PATIENCE_SECONDS = 1.5  # the webhook promises an answer within 2 s
SHORT_PATIENCE_SECONDS = 0.2  # while the store is known not to answer: requests must not queue for the server's threads


class GroupCommit:
    """The one writer of this process, over a log. Its thread starts with the first append and ends with `close`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: SimpleQueue[_Waiter | None] = SimpleQueue()  # None: there will be no more
        self._closing = False
        self._answers = True  # the store did, the last time it was asked
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def append(self, arrival: Entry | Rejected, patience_seconds: float = PATIENCE_SECONDS) -> Outcome:
        """Store one arrival durably and say what became of it. Raises `StoreUnavailable` when that cannot be promised."""
        if self._closing or self._waiting.qsize() >= WAITING_MAX:
            raise StoreUnavailable(f"{self._waiting.qsize()} callbacks are waiting to be stored already. Try again.")
        if self._thread is None:
            self._start()
        waiter = _Waiter(arrival)
        self._waiting.put(waiter)
        if not self._answers:
            patience_seconds = min(patience_seconds, SHORT_PATIENCE_SECONDS)
        if not waiter.told.acquire(timeout=patience_seconds):
            waiter.claimed.acquire(blocking=False)  # unless the writer has it, it is taken back
            self._answers = False
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

    def _take(self) -> "list[_Waiter | None]":
        """Those who are waiting, at least one."""
        taken = [self._waiting.get()]
        try:
            while len(taken) < BATCH_MAX:
                taken.append(self._waiting.get_nowait())
        except Empty:
            pass
        return taken

    def _commit(self, batch: "Sequence[_Waiter]") -> None:
        """One transaction for the batch. Should it fail for what it holds, each alone: one must not refuse its neighbours."""
        try:
            outcomes = self._patiently([waiter.arrival for waiter in batch])
        except ProjectorError as error:
            self._answers = False
            for waiter in batch:
                waiter.tell(error)
        except Exception as error:  # noqa: BLE001 (every waiter gets it: none is swallowed)
            if len(batch) == 1:
                batch[0].tell(error)
                return
            for alone in batch:
                self._commit([alone])
        else:
            self._answers = True
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


class _Waiter:
    """One arrival, and who waits for it. (Bare locks: a Future is a condition each, and half the cost of an append.)"""

    def __init__(self, arrival: Entry | Rejected) -> None:
        self.arrival = arrival
        self.claimed = threading.Lock()  # by the writer, who then stores it, or by who gave up waiting: whoever is first
        self.told = threading.Lock()
        self.told.acquire()
        self.outcome: Outcome | Exception

    def tell(self, outcome: Outcome | Exception) -> None:
        """Wake who waits."""
        self.outcome = outcome
        self.told.release()
