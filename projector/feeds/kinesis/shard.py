"""One shard, turn by turn: read what comes next, store it with its mark, rest.

A turn reads only when all that was read before is stored. It begins anew at the record that is marked, not after it: when that is the
first to come back, nothing lies between; when it is not, Kinesis has trimmed it, and perhaps others that were never read. That is
said loudly, and reading goes on from the oldest record that is kept.
"""

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from projector.errors import StoreUnavailable
from projector.feeds.door import Door
from projector.feeds.kinesis.record import opened
from projector.feeds.kinesis.stream import Answer, IteratorExpired, KinesisAway, PlaceGone, Record, ShardGone, Stream
from projector.log import Entry, Log, Mark, Outcome, Rejected

READ_WHOLE = ""  # as a place: the shard is closed and read to its end, or gone
UNREAD = "0"  # as a place: before every record
BATCH = 500
POLL_SECONDS = (0.25, 1.0)  # after records, after a quiet while; a shard answers five times a second, to all its readers together
BACKOFF_SECONDS = (0.5, 10.0)
EMPTY_MAX = 10  # answers without the marked record, while there are later ones, until it counts as trimmed

logger = logging.getLogger(__name__)


class Batch(NamedTuple):
    """What is stored in one transaction: the events of whole records, and the place after them."""

    arrivals: list[Entry | Rejected]
    passed_over: Counter[str]
    place: str


class Patience:
    """Growing pauses, each a little by chance, while Kinesis or the database is away."""

    def __init__(self) -> None:
        self._next = BACKOFF_SECONDS[0]

    def is_over(self) -> None:
        """It went well: begin with the short pause again."""
        self._next = BACKOFF_SECONDS[0]

    def try_again_at(self, error: KinesisAway | StoreUnavailable, **about: str) -> float:
        """When, in monotonic seconds. It is said, with the error's name and no text of it."""
        wait_seconds = self._next * random.uniform(0.8, 1.2)  # noqa: S311 (jitter, not a secret)
        self._next = min(2 * self._next, BACKOFF_SECONDS[1])
        is_database = isinstance(error, StoreUnavailable)
        reason = type(error.__cause__ or error).__name__ if is_database else str(error)
        said = {**about, "retry_in_seconds": round(wait_seconds, 2), "reason": reason}
        logger.warning("database_away" if is_database else "kinesis_away", extra=said)
        return time.monotonic() + wait_seconds


class Intake:
    """Stores what the shards of one stream bring, one batch at a time, and counts it."""

    def __init__(self, log: Log, stream: str) -> None:
        self._log, self.feed = log, f"kinesis:{stream}"
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def store(self, shard_id: str, batch: Batch) -> None:
        """Store a batch and its mark, durably. Another consumer of this stream may be further: its mark stays.

        Should that one write its mark between our look and our write, it is ours that stands, and a batch is read again one day.
        """
        with self._lock:
            marked = self._log.marks(self.feed).get(shard_id)
            marks = [Mark(self.feed, shard_id, batch.place)] if is_after(batch.place, marked) else []
            outcomes = self._log.append(batch.arrivals, marks) if batch.arrivals or marks else []
            self._counts.update(batch.passed_over)
            self._counts.update(outcome.value for outcome in outcomes)

    def mark(self, shard_id: str, place: str) -> None:
        """Set a mark, wherever it was."""
        with self._lock:
            self._log.append([], [Mark(self.feed, shard_id, place)])

    def counts(self) -> dict[str, int]:
        """What became of everything since the start, in the words of `projector import`."""
        with self._lock:
            counts = self._counts.copy()
        return {
            "appended": counts[Outcome.STORED.value],
            "duplicate": counts[Outcome.DUPLICATE.value],
            "quarantined": counts[Outcome.QUARANTINED.value] + counts[Outcome.CONFLICT.value],
            "of_other_workspaces": counts["of_other_workspaces"],
            "of_other_products": counts["of_other_products"],
        }


class Reader:
    """One shard being read. Its turns are taken by any thread, one at a time."""

    def __init__(self, stream: Stream, intake: Intake, door: Door, shard_id: str, place: str | None) -> None:
        """`place`: the number of the last record that was stored; None: read from the oldest that is kept."""
        self.id = shard_id
        self.due_at = 0.0  # monotonic seconds
        self.is_closed = False  # as it was listed; told by the consumer
        self.is_finished = self.is_gone = False
        self.behind_ms = 0
        self._began, self._is_caught_up = time.monotonic(), False
        self._stream, self._intake, self._door = stream, intake, door
        self._place = place
        self._iterator: str | None = None
        self._expected: str | None = None  # the number of the record that has to come back first
        self._empty = 0
        self._unstored: deque[Batch] = deque()
        self._pause, self._patience = POLL_SECONDS[0], Patience()

    @property
    def is_done(self) -> bool:
        """Whether all is stored that an open shard held when this reader began. A closed one is done when it is finished."""
        return self._is_caught_up and not self._unstored and not self.is_closed

    def turn(self, stop: threading.Event) -> None:
        """Read once, unless there is something to store; store it, until told to stop."""
        try:
            if not self._unstored:
                self._read()
            while self._unstored and not stop.is_set():
                self._store(self._unstored[0])
                self._unstored.popleft()
        except (KinesisAway, StoreUnavailable) as error:
            self.due_at = self._patience.try_again_at(error, shard=self.id)
        except ShardGone:
            self.is_gone = True
            logger.warning("shard_gone", extra={"shard": self.id, "next": "projector backfill"})
        else:
            self._patience.is_over()
            self.due_at = time.monotonic() + self._pause

    def _read(self) -> None:
        is_closed, age_ms = self.is_closed, (time.monotonic() - self._began) * 1000  # as of before the read
        if self._iterator is None and not self._begin():
            return
        assert self._iterator is not None  # noqa: S101 (for the type checker)
        try:
            answer = self._stream.read(self.id, self._iterator)
        except IteratorExpired:
            logger.info("iterator_expired", extra={"shard": self.id})
            self._iterator = None
            return
        self.behind_ms = answer.behind_ms
        at_end = not answer.records and answer.behind_ms == 0
        if self._expected is not None:
            if self._is_trimmed(answer, at_end=at_end):
                self._trimmed()
                return
            if not answer.records:
                self._iterator = answer.next
                return
            self._expected, answer = None, answer._replace(records=answer.records[1:])
        self._iterator, self._is_caught_up = answer.next, answer.behind_ms <= age_ms
        ends = answer.next is None or (is_closed and at_end)  # closed, nothing can come any more
        self._unstored.extend(batches(answer.records, self._door, ends=ends))
        self._pause = POLL_SECONDS[0] if answer.records else min(self._pause * 1.5, POLL_SECONDS[1])

    def _begin(self) -> bool:
        """Have an iterator; False when the place is gone."""
        self._expected, self._empty = self._place, 0
        try:
            self._iterator = self._stream.iterator(self.id, self._place)
        except PlaceGone:
            self._trimmed()
            return False
        return True

    def _is_trimmed(self, answer: Answer, *, at_end: bool) -> bool:
        """Whether the record that was read last does not come back."""
        if answer.records:
            return answer.records[0].number != self._expected
        self._empty += 1  # an answer may be empty where there is more to come
        return at_end or answer.next is None or self._empty >= EMPTY_MAX

    def _trimmed(self) -> None:
        """Go on from the oldest record. What was never read and is trimmed is lost to Kinesis; Twilio's Events API may have it."""
        logger.warning("checkpoint_trimmed", extra={"shard": self.id, "place": self._place, "next": "projector backfill"})
        self._place = self._expected = self._iterator = None

    def _store(self, batch: Batch) -> None:
        self._intake.store(self.id, batch)
        self.is_finished = batch.place == READ_WHOLE
        self._place = batch.place


def batches(records: list[Record], door: Door, *, ends: bool) -> Iterator[Batch]:
    """Records in batches of about `BATCH` events, each with the number of its last record; the last one's place is that the shard is read whole."""
    arrivals: list[Entry | Rejected] = []
    passed_over: Counter[str] = Counter()
    for place, record in enumerate(records, start=1):
        held = opened(record.data, door)
        arrivals += held.arrivals
        passed_over += held.passed_over
        is_last = place == len(records)
        if is_last or len(arrivals) >= BATCH:
            yield Batch(arrivals, passed_over, READ_WHOLE if is_last and ends else record.number)
            arrivals, passed_over = [], Counter()
    if ends and not records:
        yield Batch([], Counter(), READ_WHOLE)


def is_after(place: str, marked: str | None) -> bool:
    """Whether a place lies after the marked one. Numbers are compared as numbers; nothing comes after the end."""
    if marked is None or place == READ_WHOLE:
        return marked != READ_WHOLE
    return marked != READ_WHOLE and int(place) > int(marked)
