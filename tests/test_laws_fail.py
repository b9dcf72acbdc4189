"""Each law of `tests/test_laws.py` is shown to fail: here stand planted bugs, and the law that finds each.

A law that cannot fail proves nothing. Each bug is found within two thousand histories, the same ones at every run.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from projector import project as projecting
from projector import sink as sinking
from projector import table_sink
from projector.access import writing
from projector.behind import Behind
from projector.log import EVERY_UNIT
from projector.sink import MemorySink
from projector.table_sink import TableSink
from projector.taskrouter import callback as callback_module
from projector.taskrouter import fold as folding
from projector.taskrouter import task, worker
from projector.taskrouter.text import moment_ms
from tests.given import MemoryLog
from tests.test_laws import (
    STEPS,
    Late,
    Store,
    Telling,
    any_crashes,
    law_of_arrival,
    law_of_delivery,
    law_of_no_clock,
    law_of_parts,
    law_of_sinks,
    law_of_slices,
    law_of_tiles,
    many,
    tellings,
)

pytestmark = pytest.mark.usefixtures("short_checkpoints")

# Each planted bug is found within so many histories.
found = settings(many, max_examples=2000, database=None, print_blob=False, derandomize=True, phases=[Phase.generate])

# Planted bugs, and the law that finds each.


def late_off(patch: pytest.MonkeyPatch) -> None:
    """A late callback is folded on top instead of into its place."""

    def on_top(log: Any, sink: Any, unit: Any, arrived: Any, known: Any, upto: int, anew: bool) -> Any:
        return projecting._in_steps(unit, sorted(arrived, key=lambda each: each.order), known, known, None)

    patch.setattr(projecting, "_folded", on_top)


def sort_off(patch: pytest.MonkeyPatch) -> None:
    """Callbacks are folded as they arrived."""
    patch.setattr(projecting, "_order", lambda _: "")


def rank_off(patch: pytest.MonkeyPatch) -> None:
    """Ties in a millisecond fall by arrival."""
    patch.setattr(callback_module, "order_key", lambda at_ms, *_: f"{at_ms:015d}/{0:012d}/00/same")


def stale_checkpoints(patch: pytest.MonkeyPatch) -> None:
    """A re-fold keeps a checkpoint that it should have voided."""
    save = MemorySink.save

    def hoarding(sink: MemorySink, batch: Any) -> None:
        before = {unit: sink._checkpoints.get(unit, []) for unit in batch.folded}
        save(sink, batch)
        for unit, old in before.items():
            sink._checkpoints[unit] = list({point.folded_to: point for point in (*old, *sink._checkpoints[unit])}.values())

    patch.setattr(MemorySink, "save", hoarding)


def inferred_end_kept(patch: pytest.MonkeyPatch) -> None:
    """An inferred end is taken for a real one by the next callback."""
    patch.setattr(folding, "_unsettled", lambda state: state)


def after_the_millisecond(patch: pytest.MonkeyPatch) -> None:
    """`<` for `<=`: a history read from a checkpoint on leaves out what shares the checkpoint's millisecond."""
    history = MemoryLog.history
    patch.setattr(MemoryLog, "history", lambda log, unit, since_ms, *upto: history(log, unit, since_ms and since_ms + 1, *upto))


def checkpoint_again(patch: pytest.MonkeyPatch) -> None:
    """`>=` for `>`: the callback at which a checkpoint stands is folded once more."""
    history = projecting._history
    patch.setattr(projecting, "_history", lambda log, unit, after, upto: history(log, unit, after[:-1], upto))


def beyond_the_slice(patch: pytest.MonkeyPatch) -> None:
    """A re-fold reads what the log holds beyond the page."""
    history = MemoryLog.history

    def beyond(log: MemoryLog, unit: str, since_ms: int, _upto: int, until_ms: int) -> list[Any]:
        return history(log, unit, since_ms, log.end(), until_ms)

    patch.setattr(MemoryLog, "history", beyond)


def voids_off(patch: pytest.MonkeyPatch) -> None:
    """What a late callback made wrong stays: closed spans, gaps."""
    patch.setattr(sinking, "voids", lambda *_: ())


def void_one_late(patch: pytest.MonkeyPatch) -> None:
    """`<` for `<=`: the first of the spans that a late callback made wrong stays."""
    forget = MemorySink._forget
    patch.setattr(MemorySink, "_forget", lambda sink, void: forget(sink, void._replace(n=void.n + 1)))


def n_stands_still(patch: pytest.MonkeyPatch) -> None:
    """A status span is not counted."""
    span = task._status_span
    patch.setattr(task, "_status_span", lambda *given: (made := span(*given)) and replace(made, n=0))


def ends_a_millisecond_late(patch: pytest.MonkeyPatch) -> None:
    """A closed span ends after the callback that closes it."""
    span = worker._attributes_span
    patch.setattr(worker, "_attributes_span", lambda of, ended_ms: span(of, None if ended_ms is None else ended_ms + 1))


def visits_overlap(patch: pytest.MonkeyPatch) -> None:
    """A snapshot's TaskQueueEnteredDate is believed, whatever visit it falls into."""
    entered = task._entered

    def believed(before: Any, callback: Any) -> Any:
        after, stated_ms = entered(before, callback), moment_ms(callback.fields.task_queue_entered_date)
        opened = after.visit_n != before.visit_n and not after.visit_told
        return replace(after, visit_since_ms=stated_ms) if opened and stated_ms is not None else after

    patch.setattr(task, "_entered", believed)


def deletion_believed(patch: pytest.MonkeyPatch) -> None:
    """`worker.deleted` takes effect at its stamp, which is the worker's creation."""
    patch.setattr(worker, "deletion", lambda of: (of.deletion_order and callback_module.order_ms(of.deletion_order), "stamp"))


def gaps_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """Whatever a worker enters counts as a gap."""
    ended = worker._ended
    patch.setattr(worker, "_ended", lambda of, callback: ended(replace(of, gap_n=of.gap_n + 1), callback))


def by_the_clock(patch: pytest.MonkeyPatch) -> None:
    """What has no stamp happened when it is projected."""
    patch.setattr(callback_module, "event_time_ms", lambda stamp, _: time.time_ns() // 10**6 if stamp is None else stamp)


def reads_another_unit(patch: pytest.MonkeyPatch) -> None:
    """A task asks in what activity its worker is, a thing that only the worker's own callbacks tell."""
    activities: dict[str, str | None] = {}
    worker_evolve, task_evolve = worker.evolve, task.evolve

    def remembered(of: Any, callback: Any) -> Any:
        after = worker_evolve(of, callback)
        activities[after.worker_sid] = after.activity_sid
        return after

    def asked(of: Any, callback: Any) -> Any:
        return replace(task_evolve(of, callback), reason=activities.get(callback.fields.worker_sid))

    patch.setattr(worker, "evolve", remembered)
    patch.setattr(task, "evolve", asked)
    start = MemorySink.__init__
    patch.setattr(MemorySink, "__init__", lambda sink: activities.clear() or start(sink))


def shared_by_two(patch: pytest.MonkeyPatch) -> None:
    """The first part folds every unit, whosever it is."""
    by_unit = MemoryLog.by_unit
    patch.setattr(MemoryLog, "by_unit", lambda log, upto, units: by_unit(log, upto, units if units.first else EVERY_UNIT))


def law_of_three_parts(telling: Telling) -> None:
    """Law 7 for one number of parts."""
    law_of_parts(telling, 3)


PLANTED = [
    (late_off, law_of_arrival), (sort_off, law_of_arrival), (rank_off, law_of_arrival), (stale_checkpoints, law_of_arrival),
    (inferred_end_kept, law_of_arrival), (after_the_millisecond, law_of_arrival), (checkpoint_again, law_of_arrival),
    (voids_off, law_of_arrival), (beyond_the_slice, law_of_slices), (voids_off, law_of_tiles), (void_one_late, law_of_tiles),
    (n_stands_still, law_of_tiles), (ends_a_millisecond_late, law_of_tiles), (visits_overlap, law_of_tiles),
    (deletion_believed, law_of_tiles), (gaps_counted_twice, law_of_tiles), (by_the_clock, law_of_no_clock),
    (reads_another_unit, law_of_three_parts), (shared_by_two, law_of_three_parts),
]  # fmt: skip


@pytest.mark.parametrize(("planted", "law"), PLANTED, ids=[f"{planted.__name__}-{law.__name__}" for planted, law in PLANTED])
def test_a_law_finds_a_planted_bug(
    monkeypatch: pytest.MonkeyPatch, planted: Callable[[pytest.MonkeyPatch], None], law: Callable[[Telling], None]
) -> None:
    """Of the laws in memory, each finds every bug that is planted against it."""
    planted(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)):
        found(given(tellings(5, 25))(law))()


def voids_one_late_in_tables(patch: pytest.MonkeyPatch) -> None:
    """`<` for `<=`: the first of the wrong spans stays in the tables."""
    voids = table_sink.voids
    patch.setattr(table_sink, "voids", lambda *of: (void._replace(n=void.n + 1) for void in voids(*of)))


def spans_stay(patch: pytest.MonkeyPatch) -> None:
    """What a late callback made wrong stays in the tables."""
    patch.setattr(table_sink, "voids", lambda *_: ())


def voids_after_the_millisecond(patch: pytest.MonkeyPatch) -> None:
    """`<` for `<=`: a wrong span that began in the very millisecond stays in the tables."""
    delete = table_sink.delete_from

    def later(connection: Any, table: Any, columns: Any, rows: list[tuple[Any, ...]]) -> None:
        delete(connection, table, columns, [(*row[:-1], row[-1] + 1) if columns[-1] == "started_at" else row for row in rows])

    patch.setattr(table_sink, "delete_from", later)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("planted", [spans_stay, voids_one_late_in_tables, voids_after_the_millisecond])
def test_the_law_of_sinks_finds_a_planted_bug(
    store: Store, monkeypatch: pytest.MonkeyPatch, planted: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """What only the tables can get wrong."""
    planted(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup, IntegrityError)):  # the last: a span that is there is not written again
        found(given(tellings(5, 25))(lambda telling: law_of_sinks(store, telling._replace(page=500))))()


class Forgets(Behind):
    """Asks the tables for what is still on its way to them."""

    def load(self, units: Any) -> Any:
        return self._sink.load(units)


class Gathers(Behind):
    """Looks for a checkpoint among those written so far."""

    def checkpoint(self, unit: Any, before: str) -> Any:
        return self._sink.checkpoint(unit, before)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("planted", [Forgets, Gathers])
def test_the_law_of_sinks_finds_what_is_read_too_soon(store: Store, planted: type[Behind]) -> None:
    """What is on its way counts as written."""
    store.sink = planted(store.tables, Late())
    with pytest.raises((AssertionError, ExceptionGroup, IntegrityError)):
        found(given(tellings(5, 25))(lambda telling: law_of_sinks(store, telling)))()


class PositionFirst(TableSink):
    """Commits the position, then the rows: a crash between the two loses a page."""

    def save(self, batch: Any) -> None:
        with writing(self._engine) as connection:
            self._advance(connection, batch)
        with writing(self._engine) as connection:
            for step in STEPS[1:]:
                getattr(table_sink, step)(connection, batch)


class PositionLast(TableSink):
    """Commits the rows, then the position: a crash between the two projects a page twice."""

    def save(self, batch: Any) -> None:
        with writing(self._engine) as connection:
            for step in STEPS[1:]:
                getattr(table_sink, step)(connection, batch)
        with writing(self._engine) as connection:
            self._advance(connection, batch)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("planted", [PositionFirst, PositionLast])
def test_the_law_of_delivery_finds_a_position_apart_from_its_rows(store: Store, planted: type[TableSink]) -> None:
    """Rows and position are one transaction, or a page is lost or counted twice."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        found(given(tellings(), any_crashes)(lambda telling, crashes: law_of_delivery(store, telling, crashes, planted)))()
