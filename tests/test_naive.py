"""The projection equals its naive model: every row and column, current and history, in memory and on both databases.

`tests/naive.py` says the rules a second time, over the whole list of callbacks. The laws (`tests/test_laws.py`) say that all ways of
projecting agree with each other; here they agree with what is right.
"""

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector import project as projecting
from projector.floor import center, delivery
from projector.log import Entry
from projector.project import advance, project
from projector.sink import MemorySink
from tests.conftest import BACKENDS
from tests.given import MemoryLog, ms
from tests.naive import Rows, facts, naive_rows
from tests.test_laws import Store, Telling, many, some, tellings

FLOOR_CALLBACKS = 6_000


@pytest.fixture(autouse=True)
def short_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every 3 callbacks, so that short histories have some."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 3)


def assert_same(rows: Rows, right: Rows) -> None:
    """Equal, said of the first row that is not."""
    assert set(rows) == set(right)
    for table, keyed in rows.items():
        assert set(keyed) == set(right[table]), table
        for key, row in keyed.items():
            assert row == right[table][key], (table, key)


@many
@given(tellings(), st.sampled_from([1, 4, 31, 3600]), st.integers(0, 5))
def test_memory_is_as_the_naive_model_says(telling: Telling, received_at: float, apart: int) -> None:
    """Whatever order things come in, in pages of any size; receipts before, between and long after the stamps, each as it was stored."""
    log, sink = MemoryLog(ms(received_at)), MemorySink()
    for batch in telling.arrived:
        log.append([Entry.of(body, source_of(body)) for body in batch])
        project(log, sink, page=telling.page)
        log.now_ms += 1000 * apart
    assert_same(sink.rows(), naive_rows(facts(log)))


def source_of(body: dict[str, str]) -> str:
    """Some callbacks are imported."""
    return "import" if body["Sid"][-1] in "0123" else "callback"


@pytest.mark.parametrize("store", BACKENDS, indirect=True)
@some
@given(telling=tellings())
def test_tables_are_as_the_naive_model_says(store: Store, telling: Telling) -> None:
    """The same on SQLite and on PostgreSQL, with the log's bytes read back from the database."""
    before = store.log.end()
    _, rows = store.takes(telling.arrived, telling.page)
    assert_same(rows, naive_rows(facts(store.log, before)))


@pytest.mark.parametrize("page", [1, 97, 2000])
def test_a_simulated_floor_is_as_the_naive_model_says(monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """Thousands of real-shaped callbacks of a busy center, late, twice and lost: gaps are filled, visits told, nobody's row differs."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 20)
    callbacks = islice(center.Floor(7, workers=12).callbacks(), FLOOR_CALLBACKS)
    log, sink = MemoryLog(0), MemorySink()
    arriving: list[Any] = list(delivery.deliveries(callbacks, 7, duplicates=0.05, late=0.2, late_ms_max=60_000, lost=0.03))
    for start in range(0, len(arriving), 500):
        log.append([Entry.of(body, "callback", at_ms) for at_ms, body in arriving[start : start + 500]])
        while (position := advance(log, sink, sink.position(), page=page)) < log.end():
            assert position == sink.position()
    rows = sink.rows()
    assert_same(rows, naive_rows(facts(log)))
    assert len(rows["task_queue_span_past"]) > 0
    assert len(rows["gap_told"]) > 0
