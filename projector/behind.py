"""behind: a sink that is written behind. While one batch is on its way into the database, the next is read and folded.

On PostgreSQL, where much of a write is waiting for the server, a loop that has much to do is a quarter faster for it. SQLite works
in our own process: nothing waits there. The law stays the sink's: a batch is one transaction, and the position moves only from
where the batch before left it. So what a page needs of the batch on its way comes out of that batch, and a batch that fails is the
end of those after it.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager

import sqlalchemy as sa

from projector.lease import Lease
from projector.sink import Batch, Checkpoint, Sink
from projector.table_sink import TableSink
from projector.taskrouter.callback import Unit
from projector.taskrouter.fold import State


class Behind:
    """Another sink, one batch behind. What goes wrong with a batch is raised by the next call that needs it written."""

    def __init__(self, sink: Sink, writer: Executor) -> None:
        self._sink = sink
        self._writer = writer
        self._batch: Batch | None = None  # the one on its way
        self._written: Future[None] | None = None

    def position(self) -> int:
        """See `Sink.position`. The last batch is written then."""
        self._wait()
        return self._sink.position()

    def load(self, units: Iterable[Unit]) -> dict[Unit, State]:
        """See `Sink.load`."""
        asked = set(units)
        ahead = self._batch.folded if self._batch is not None else {}
        return self._sink.load(asked - ahead.keys()) | {unit: ahead[unit].state for unit in asked & ahead.keys()}

    def incomplete(self) -> set[Unit]:
        """See `Sink.incomplete`."""
        known = self._sink.incomplete()
        return known if self._batch is None else (known | self._batch.incomplete.keys()).difference(self._batch.healed)

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:
        """See `Sink.checkpoint`."""
        self._wait()
        return self._sink.checkpoint(unit, before)

    def save(self, batch: Batch) -> None:
        """See `Sink.save`, for the batch before this one: it is written when this returns."""
        self._wait()
        self._batch, self._written = batch, self._writer.submit(self._sink.save, batch)

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()
            self._batch = self._written = None


@contextmanager
def table_sink(engine: sa.Engine, lease: Lease | None = None) -> Iterator[Sink]:
    """The tables as a loop writes them, the quickest way for their database. All is written at the end, or raised why not."""
    sink = TableSink(engine, lease)
    if engine.dialect.name == "sqlite":
        yield sink
        return
    with ThreadPoolExecutor(1, "writing") as writer:
        behind = Behind(sink, writer)
        yield behind
        behind.position()
