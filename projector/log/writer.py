"""Group commit: many requests, one transaction.

Requests hand their arrival over, and hear what became of it. One writer thread takes all that are waiting, appends them in
one transaction and tells each its outcome. Nobody hears before the commit; who waited too long is told so (503) and, if the
writer has not taken the arrival yet, it is taken back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

from projector.errors import ProjectorError, StoreUnavailable
from projector.log.entry import Entry, Log, Outcome, Rejected

BATCH_MAX = 500
WAITING_MAX = 5_000
PATIENCE_SECONDS = 1.5  # the webhook promises an answer within 2 s
LOOK_SECONDS = 0.1  # how often it is seen to that nobody waits longer

Fate: TypeAlias = Outcome | Exception  # what became of an arrival
Hear = Callable[[Fate], object]
HearAll = Callable[[list[Fate]], object]

logger = logging.getLogger(__name__)


class GroupCommit:
    """The one writer of this process, over a log. Its threads start with the first arrival and end with `close`."""

    def __init__(self, log: Log, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._log = log
        self._patience_seconds = patience_seconds
        self._waiting: SimpleQueue[_Waiter | None] = SimpleQueue()  # None: there will be no more
        self._untold: deque[_Waiter] = deque()  # and perhaps some who were told; the oldest first
        self._closing = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, arrival: Entry | Rejected, hear: Hear) -> None:
        """Store one arrival durably, soon. `hear` is called once, in another thread: with what became of it when that is
        committed, with a `StoreUnavailable` when that cannot be promised in time, with whatever else went wrong.

        Raises `StoreUnavailable` when too many are waiting already, or this writer is closed.
        """
        self._refuse_beyond(1)
        if self._thread is None:
            self._start()
        waiter = _Waiter(arrival, hear, time.monotonic() + self._patience_seconds)
        self._waiting.put(waiter)
        self._untold.append(waiter)
        if self._closing and waiter.claimed.acquire(blocking=False):  # the writer may have ended before it saw this one
            waiter.tell(StoreUnavailable("This server is stopping. Try again."))

    def submit_all(self, arrivals: Sequence[Entry | Rejected], hear: HearAll) -> None:
        """The same for several, each for itself: `hear` is called once, when it is known what became of every one, in any order.

        Raises `StoreUnavailable`, with none of them stored, when there is no room for all.
        """
        if not arrivals:
            hear([])
            return
        self._refuse_beyond(len(arrivals))
        together = _Together(len(arrivals), hear)
        for arrival in arrivals:
            try:
                self.submit(arrival, together.hear)
            except StoreUnavailable as error:  # others took the room meanwhile
                together.hear(error)

    def append(self, arrival: Entry | Rejected) -> Outcome:
        """As `submit`, for a thread that waits: what became of it. Raises what `submit` would tell."""
        heard = _waited_for(lambda hear: self.submit(arrival, hear))
        if isinstance(heard, Outcome):
            return heard
        raise heard

    def append_all(self, arrivals: Sequence[Entry | Rejected]) -> list[Fate]:
        """As `submit_all`, for a thread that waits."""
        return _waited_for(lambda hear: self.submit_all(arrivals, hear))

    def close(self) -> None:
        """Store what is waiting, then end the threads."""
        self._closing = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _refuse_beyond(self, more: int) -> None:
        if self._closing or self._waiting.qsize() + more > WAITING_MAX:
            raise StoreUnavailable(f"{self._waiting.qsize()} callbacks are waiting to be stored already. Try again.")

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
                self._thread.start()
                threading.Thread(target=self._look, name="log patience", daemon=True).start()

    def _write(self) -> None:
        is_ending = False
        while not (is_ending and self._waiting.empty()):
            taken = self._take()
            is_ending = is_ending or None in taken
            batch = [waiter for waiter in taken if waiter is not None and waiter.claimed.acquire(blocking=False)]
            if batch:
                self._commit(batch)

    def _look(self) -> None:
        """Tell those who have waited too long."""
        while self._untold or not self._closing:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            while self._untold and (self._untold[0].is_told or self._untold[0].until < now):
                late = self._untold.popleft()
                late.claimed.acquire(blocking=False)  # unless the writer has it, it is taken back
                late.tell(StoreUnavailable(f"The store did not commit within {self._patience_seconds} s. Try again."))

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


Known = TypeVar("Known", Fate, list[Fate])


def _waited_for(submit: Callable[[Callable[[Known], object]], object]) -> Known:
    """What is heard of what this submits."""
    known: list[Known] = []
    woken = threading.Lock()  # bare: a Future is a condition, and half the cost of an append
    woken.acquire()

    def hear(heard: Known) -> None:
        known.append(heard)
        woken.release()

    submit(hear)
    woken.acquire()
    return known[0]


class _Together:
    """What is heard of several, by the writer and by who looks after patience; told once, when it is all."""

    def __init__(self, count: int, hear: HearAll) -> None:
        self._count, self._hear = count, hear
        self._heard: list[Fate] = []
        self._hearing = threading.Lock()

    def hear(self, heard: Fate) -> None:
        """Of one of them."""
        with self._hearing:
            self._heard.append(heard)
            is_all = len(self._heard) == self._count
        if is_all:
            self._hear(self._heard)


class _Waiter:
    """One arrival, and who is to hear of it, until when."""

    def __init__(self, arrival: Entry | Rejected, hear: Hear, until: float) -> None:
        self.arrival, self._hear, self.until = arrival, hear, until
        self.claimed = threading.Lock()  # by the writer, who then stores it, or by who takes it back: whoever is first
        self._told = threading.Lock()

    @property
    def is_told(self) -> bool:
        """Whether it has heard."""
        return self._told.locked()

    def tell(self, outcome: Outcome | Exception) -> None:
        """Tell it, if it has not heard yet."""
        if self._told.acquire(blocking=False):
            try:
                self._hear(outcome)
            except Exception:
                logger.exception("answer_failed")  # and the others are still to be told
