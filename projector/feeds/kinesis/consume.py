"""All shards of a stream, for ever: a few threads take the turns of many shards.

A child of a split or a merge is begun when its parents are read to their end, or trimmed away: not for the order, which does not
matter here, but so that closed shards hold no turns. A shard that was read whole is marked so and never read again.
"""

import logging
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from projector.errors import StoreUnavailable
from projector.feeds.door import Door
from projector.feeds.kinesis.shard import BACKOFF_SECONDS, READ_WHOLE, UNREAD, Intake, Patience, Reader
from projector.feeds.kinesis.stream import KinesisAway, Shard, Stream
from projector.log import Log

READERS = 16  # threads, and connections; an answer takes some milliseconds, so that this is enough for hundreds of shards
LIST_SECONDS = 30.0  # a new shard is noticed at once when its parent ends, and after this at the latest
REPORT_SECONDS = 60.0
LOOK_SECONDS = 0.2  # how often it is seen whether to stop

logger = logging.getLogger(__name__)


class Consumer:
    """Reads a stream into a log."""

    def __init__(self, stream: Stream, log: Log, door: Door, *, from_start: bool = False) -> None:
        """`from_start`: as if nothing had been read; marks stay where they are until reading has passed them."""
        self._stream, self._log, self._door = stream, log, door
        self._intake = Intake(log, stream.name)
        self._from_start = from_start
        self._readers: dict[str, Reader] = {}
        self._finished: set[str] = set()
        self._missed: set[str] = set()  # said to be gone already
        self._list_at, self._is_listed, self._patience = 0.0, False, Patience()
        self._report_at, self._reported = time.monotonic() + REPORT_SECONDS, self._intake.counts()

    def run(self, stop: threading.Event, *, once: bool = False) -> dict[str, int]:
        """Read until told to stop; with `once`, until all is read that the stream held at the beginning. What became of it, by outcome.

        Raises `Misconfigured` when only a person can help.
        """
        turns: dict[Future[None], Reader] = {}
        with ThreadPoolExecutor(READERS, "shard") as threads:
            try:
                while not stop.is_set() and not (once and self._is_done(turns)):
                    self._list_when_due()
                    now, taken = time.monotonic(), {reader.id for reader in turns.values()}
                    resting = [reader for reader in self._readers.values() if reader.id not in taken]
                    for reader in resting:
                        if reader.due_at <= now and not (once and reader.is_done):
                            turns[threads.submit(reader.turn, stop)] = reader
                    self._rest(turns, stop)
                    self._report()
            finally:
                threads.shutdown(cancel_futures=True)
        for turn in turns:
            if not turn.cancelled():
                turn.result()
        self._report(at_end=True)
        return self._intake.counts()

    def _rest(self, turns: dict[Future[None], Reader], stop: threading.Event) -> None:
        """Wait for the end of a turn, or until something is due."""
        busy = set(turns.values())
        due = [reader.due_at for reader in self._readers.values() if reader not in busy]
        seconds = min(LOOK_SECONDS, max(0.01, min([self._list_at, *due]) - time.monotonic()))
        if not turns:
            stop.wait(seconds)
            return
        ended, _ = wait(turns, seconds, FIRST_COMPLETED)
        for turn in ended:
            reader = turns.pop(turn)
            turn.result()
            if reader.is_finished or reader.is_gone:
                del self._readers[reader.id]
                soon = time.monotonic() + (BACKOFF_SECONDS[0] if reader.is_gone else 0.0)
                self._list_at, self._is_listed = min(self._list_at, soon), False  # its children are next
            if reader.is_finished:
                self._finished.add(reader.id)
                logger.info("shard_finished", extra={"shard": reader.id})

    def _list_when_due(self) -> None:
        if time.monotonic() < self._list_at:
            return
        try:
            self._list(self._stream.shards(), self._log.marks(self._intake.feed))
        except (KinesisAway, StoreUnavailable) as error:
            self._list_at = self._patience.try_again_at(error)
        else:
            self._patience.is_over()
            self._list_at, self._is_listed = time.monotonic() + LIST_SECONDS, True

    def _list(self, shards: list[Shard], marks: dict[str, str]) -> None:
        """Begin what may begin."""
        listed = {shard.id for shard in shards}
        if not self._from_start:
            self._say_missing(listed, marks)
        for shard in shards:
            if shard.id in self._readers:
                self._readers[shard.id].is_closed = shard.is_closed
            elif shard.id in self._finished or self._was_read_whole(shard, marks):
                self._finished.add(shard.id)
            elif all(parent not in listed or self._is_read(parent, marks) for parent in shard.parents):
                place = self._place_of(shard, marks)
                reader = Reader(self._stream, self._intake, self._door, shard.id, place)
                reader.is_closed = shard.is_closed
                self._readers[shard.id] = reader
                logger.info("shard_begun", extra={"shard": shard.id, "resumed": place is not None})

    def _place_of(self, shard: Shard, marks: dict[str, str]) -> str | None:
        """Where to go on; None: at the oldest record that is kept."""
        place = marks.get(shard.id)
        if place == READ_WHOLE and not shard.is_closed:  # see `_was_read_whole`: from here on its mark is this stream's
            self._intake.mark(shard.id, UNREAD)
        return None if self._from_start or place in (READ_WHOLE, UNREAD) else place

    def _is_read(self, shard_id: str, marks: dict[str, str]) -> bool:
        return shard_id in self._finished or (not self._from_start and marks.get(shard_id) == READ_WHOLE)

    def _was_read_whole(self, shard: Shard, marks: dict[str, str]) -> bool:
        """Whether an earlier run read it to its end. One that takes records all the same is of another stream, made anew under this name."""
        return shard.is_closed and self._is_read(shard.id, marks)

    def _say_missing(self, listed: set[str], marks: dict[str, str]) -> None:
        """Say once, over all runs, which shards were not read to their end and are gone, with what they held."""
        for shard_id, place in marks.items():
            if place != READ_WHOLE and shard_id not in listed and shard_id not in self._missed and shard_id not in self._readers:
                self._missed.add(shard_id)
                logger.warning("shard_gone", extra={"shard": shard_id, "place": place, "next": "projector backfill"})
                self._intake.mark(shard_id, READ_WHOLE)

    def _is_done(self, turns: dict[Future[None], Reader]) -> bool:
        """Whether all shards, children included, are read as far as `once` asks."""
        return self._is_listed and not turns and all(reader.is_done for reader in self._readers.values())

    def _report(self, *, at_end: bool = False) -> None:
        """A line with what came since the last one, now and then."""
        now = time.monotonic()
        if not at_end and now < self._report_at:
            return
        counts = self._intake.counts()
        since = {name: times - self._reported[name] for name, times in counts.items()}
        self._report_at, self._reported = now + REPORT_SECONDS, counts
        if at_end or any(since.values()):
            behind_ms = max((reader.behind_ms for reader in self._readers.values()), default=0)
            logger.info("consumed", extra={**since, "shards": len(self._readers), "behind_seconds": behind_ms // 1000})
