"""The laws of the README, over random histories.

Each law is a function that raises AssertionError, so that it can also be shown to fail: a planted bug must break it.
"""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from projector import project as projecting
from projector.database import disposing, open_engine
from projector.log import Entry, open_log
from projector.project import project
from projector.sink import MemorySink
from projector.table_sink import TableSink
from projector.taskrouter import callback as callback_module
from projector.taskrouter import fold as folding
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import WORKSPACE, MemoryLog, Parameters, ms
from tests.histories import arrivals, histories

HISTORIES = int(os.environ.get("PROJECTOR_HISTORIES", "300"))
RECEIVED_MS = ms(3600)
PAGES = (1, 7, 500)

Rows = dict[str, dict[tuple[str, ...], dict[str, Any]]]

many = settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@pytest.fixture(autouse=True)
def short_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every 3 callbacks, so that short histories have some."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 3)


def entries(bodies: list[Parameters], workspace: str = WORKSPACE) -> list[Entry]:
    """Entries with one receipt stamp: the tables are a function of the set of callbacks, receipts included."""
    return [Entry.of(body | {"WorkspaceSid": workspace}, "callback", RECEIVED_MS) for body in bodies]


def folded_at_once(history: list[Parameters], workspace: str = WORKSPACE) -> Rows:
    """The history in the order it happened, in one page, from nothing: what every other way must equal."""
    log, sink = MemoryLog(RECEIVED_MS), MemorySink()
    log.append(sorted(entries(history, workspace), key=lambda entry: (entry.at_ms(RECEIVED_MS), entry.originator_id)))
    project(log, sink)
    return sink.rows()


def law_of_arrival(history: list[Parameters], arrived: list[list[Parameters]], page: int) -> None:
    """Order of arrival does not matter, nor delivery n times."""
    log, sink = MemoryLog(RECEIVED_MS), MemorySink()
    for batch in arrived:
        log.append(entries(batch))
        project(log, sink, page=page)
    assert sink.rows() == folded_at_once(history)


@many
@given(st.data())
def test_order_of_arrival_does_not_matter_nor_delivery_n_times(data: st.DataObject) -> None:
    """Law 3: shuffled, duplicated, in any batches and pages: the same rows as the orderly stream."""
    history = data.draw(histories())
    law_of_arrival(history, data.draw(arrivals(history)), data.draw(st.sampled_from(PAGES)))


@pytest.fixture
def store(request: pytest.FixtureRequest, databases: Databases) -> Iterator["Store"]:
    """Log and tables on a real database."""
    url = databases.new(request.param)
    log = open_log(url)
    with disposing(open_engine(url)) as engine:
        yield Store(log, engine)
    log.close()


class Store:
    """A log and its tables; every history lives in a workspace of its own, so that one database serves them all."""

    def __init__(self, log: Any, engine: sa.Engine) -> None:
        self.log, self.sink = log, TableSink(engine)
        self._workspaces = 0

    def rows_of(self, arrived: list[list[Parameters]], page: int) -> tuple[str, Rows]:
        """Append and project batch by batch; the workspace used, and its rows."""
        self._workspaces += 1
        workspace = f"WS{self._workspaces:032x}"
        for batch in arrived:
            self.log.append(entries(batch, workspace))
            project(self.log, self.sink, page=page)
        return workspace, self.sink.rows(workspace)


@pytest.mark.parametrize("store", BACKENDS, indirect=True)
@many
@given(data=st.data())
def test_same_rows_whoever_asks(store: Store, data: st.DataObject) -> None:
    """Law 2: SQLite and PostgreSQL give the rows of memory, for batches and pages of any size."""
    history = data.draw(histories())
    workspace, rows = store.rows_of(data.draw(arrivals(history)), data.draw(st.sampled_from(PAGES)))
    assert rows == folded_at_once(history, workspace)


def late_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late callback is folded on top instead of into its place."""

    def on_top(log: Any, sink: Any, unit: Any, arrived: Any, known: Any, upto: int, anew: bool) -> Any:
        return projecting._in_steps(unit, sorted(arrived, key=lambda each: each.order), known, known, None)

    monkeypatch.setattr(projecting, "_folded", on_top)


def sort_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks are folded as they arrived."""
    monkeypatch.setattr(projecting, "_order", lambda _: "")


def rank_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties in a millisecond fall by arrival."""
    monkeypatch.setattr(callback_module, "order_key", lambda at_ms, *_: f"{at_ms:015d}/{0:012d}/00/same")


def beyond_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A re-fold keeps a checkpoint that it should have voided."""
    in_steps = projecting._in_steps

    def forgetful(unit: Any, callbacks: Any, start: Any, before: Any, late: str | None) -> Any:
        return in_steps(unit, callbacks, start, before, None if late else late)

    monkeypatch.setattr(projecting, "_in_steps", forgetful)


def inferred_end_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inferred end is taken for a real one by the next callback."""
    monkeypatch.setattr(folding, "_unsettled", lambda state: state)


@pytest.mark.parametrize("planted", [late_off, sort_off, rank_off, beyond_the_page, inferred_end_kept])
def test_the_law_of_arrival_fails_on_a_planted_bug(
    monkeypatch: pytest.MonkeyPatch, planted: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """A law that cannot fail proves nothing: each planted bug is found within two thousand histories."""
    planted(monkeypatch)
    generator = random.Random(1)

    @settings(many, max_examples=2000, database=None, print_blob=False, derandomize=True, phases=[Phase.generate])
    @given(st.data())
    def law(data: st.DataObject) -> None:
        history = data.draw(histories(max_size=25))
        law_of_arrival(history, data.draw(arrivals(history)), generator.choice(PAGES))

    with pytest.raises((AssertionError, ExceptionGroup)):
        law()
