"""Group commit: many requests, one transaction.

Requests hand their arrival over and wait. One writer thread takes all that are waiting, appends them in one transaction
and wakes every waiter with its outcome. Nobody is answered before the commit; a request that waited too long gives up
(503) and, if the writer has not taken its arrival yet, takes it back.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as WaitedTooLong

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
        self._waiting: deque[tuple[Entry | Rejected, Future[Outcome]]] = deque()
        self._arrived = threading.Condition()
        self._closing = False
        self._answers = True  # the store did, the last time it was asked
        self._thread: threading.Thread | None = None

    def append(self, arrival: Entry | Rejected, patience_seconds: float = PATIENCE_SECONDS) -> Outcome:
        """Store one arrival durably and say what became of it. Raises `StoreUnavailable` when that cannot be promised."""
        future: Future[Outcome] = Future()
        with self._arrived:
            if self._closing or len(self._waiting) >= WAITING_MAX:
                raise StoreUnavailable(f"{len(self._waiting)} callbacks are waiting to be stored already. Try again.")
            self._waiting.append((arrival, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
                self._thread.start()
            self._arrived.notify()
        if not self._answers:
            patience_seconds = min(patience_seconds, SHORT_PATIENCE_SECONDS)
        try:
            return future.result(timeout=patience_seconds)
        except (WaitedTooLong, CancelledError) as error:
            future.cancel()
            self._answers = False
            raise StoreUnavailable(f"The store did not commit within {patience_seconds} s. Try again.") from error

    def close(self) -> None:
        """Store what is waiting, then end the thread."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _write(self) -> None:
        while True:
            with self._arrived:
                while not self._waiting and not self._closing:
                    self._arrived.wait()
                if not self._waiting:
                    return
                taken = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            batch = [(arrival, future) for arrival, future in taken if future.set_running_or_notify_cancel()]
            if batch:
                self._commit(batch)

    def _commit(self, batch: Sequence[tuple[Entry | Rejected, Future[Outcome]]]) -> None:
        """One transaction for the batch. Should it fail for what it holds, each alone: one must not refuse its neighbours."""
        try:
            outcomes = self._patiently([arrival for arrival, _ in batch])
        except ProjectorError as error:
            self._answers = False
            for _, future in batch:
                future.set_exception(error)
        except Exception as error:  # noqa: BLE001 (every waiter gets it: none is swallowed)
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for alone in batch:
                self._commit([alone])
        else:
            self._answers = True
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                future.set_result(outcome)

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
