"""The laws of the README, over random histories.

Each law is a function that raises AssertionError, so that it can also be shown to fail: `tests/test_laws_fail.py`. Law 1 is held by `tests/test_crash.py`. `tests/test_naive.py` says what rows are right, `tests/test_orders.py` takes every order
of named lives. `make test-long` tries many more histories.
"""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projector import table_sink, tables
from projector.access import reading
from projector.behind import Behind
from projector.log import Entry
from projector.project import advance, project
from projector.rebuild import shared_out
from projector.rows import LINE_KEY, STORED, named_rows, row_of
from projector.sink import MemorySink, Sink
from projector.sweep import Kept, Sweep
from projector.table_sink import TableSink
from projector.taskrouter.mention import Mentions, merge_all
from projector.taskrouter.task import TaskQueueSpan
from tests.conftest import BACKENDS
from tests.given import WORKSPACE, MemoryLog, Parameters, ms
from tests.histories import arrivals, histories

HISTORIES = int(os.environ.get("PROJECTOR_HISTORIES", "2000"))
HISTORIES_DB = int(os.environ.get("PROJECTOR_HISTORIES_DB", "100"))
RECEIVED_MS = ms(3600)
PAGES = (1, 7, 500)
ENVELOPE = ("EventType", "AccountSid", "WorkspaceSid", "Timestamp", "TimestampMs")

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
Batches = list[list[Parameters]]

pytestmark = pytest.mark.usefixtures("short_checkpoints")

many = settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
some = settings(many, max_examples=HISTORIES_DB)


class Telling(NamedTuple):
    """A history, how it arrives, and in pages of what size it is read."""

    history: list[Parameters]
    arrived: Batches
    page: int

    def __repr__(self) -> str:
        """Short enough to be read: what each callback says, and the numbers in which they arrive."""
        numbers = {body["Sid"]: number for number, body in enumerate(self.history)}
        lines = [f"{number}: {spoken(body)}" for number, body in enumerate(self.history)]
        return "\n".join(
            [*lines, f"arrived {[[numbers[body['Sid']] for body in batch] for batch in self.arrived]}, {self.page} a page"]
        )


def spoken(body: Parameters) -> str:
    """A callback in a line: its type, its moment, and what else it says, Sids cut short."""
    said = [f"{name}={text[:6] if name.endswith('Sid') else text}" for name, text in body.items() if name not in ENVELOPE]
    return f"{body['EventType']} {body.get('TimestampMs', body['Timestamp'])} {' '.join(said)}"


@st.composite
def tellings(draw: Any, min_size: int = 1, max_size: int = 16) -> Telling:
    """A history as it arrives: late, twice, in batches; and read in pages of one size."""
    history = draw(histories(min_size, max_size))
    return Telling(history, draw(arrivals(history)), draw(st.sampled_from(PAGES)))


def entries(bodies: list[Parameters], workspace: str = WORKSPACE) -> list[Entry]:
    """Entries with one receipt stamp: the tables are a function of the set of callbacks, receipts included. Some are imported."""
    source = {True: "import", False: "callback"}
    return [Entry.of(body | {"WorkspaceSid": workspace}, source[body["Sid"][-1] in "0123"], RECEIVED_MS) for body in bodies]


def folded_at_once(history: list[Parameters], workspace: str = WORKSPACE) -> Rows:
    """The history in the order it happened, in one page, from nothing: what every other way must equal."""
    log, sink = MemoryLog(RECEIVED_MS), MemorySink()
    log.append(sorted(entries(history, workspace), key=lambda entry: (entry.at_ms(RECEIVED_MS), entry.originator_id)))
    project(log, sink)
    return sink.rows()


def after_each_page(arrived: Batches, page: int) -> Iterator[MemorySink]:
    """A sink into which all this goes, batch by batch, page by page, as it is after each page."""
    log, sink = MemoryLog(RECEIVED_MS), MemorySink()
    for batch in arrived:
        log.append(entries(batch))
        while sink.position() < log.end():
            advance(log, sink, sink.position(), page=page)
            yield sink


def after_all(arrived: Batches, page: int) -> MemorySink:
    """The sink after the last page."""
    *_, sink = after_each_page(arrived, page)
    return sink


class Late(Executor):
    """Does what it is given when somebody waits for it, and not before: as late as any thread could be."""

    def submit(self, do: Any, /, *arguments: Any, **named: Any) -> Any:
        return Waiting(partial(do, *arguments, **named))


class Waiting(Future[Any]):
    """What is done when it is waited for."""

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__()
        self._do = do

    def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002 (as a future is asked)
        return self._do()


class Store:
    """A log and its tables; every history lives in a workspace of its own, so that one database serves them all."""

    def __init__(self, log: Any, engine: sa.Engine) -> None:
        self.log, self.engine, self.tables = log, engine, TableSink(engine)
        self.sink: Sink = self.tables
        self._workspaces = 0

    def takes(self, arrived: Batches, page: int) -> tuple[str, Rows]:
        """Append and project batch by batch; the workspace used, and its rows."""
        self._workspaces += 1
        workspace = f"WS{self._workspaces:032x}"
        for batch in arrived:
            self.log.append(entries(batch, workspace))
            project(self.log, self.sink, page=page)
        self.sink.position()  # all of it is written
        return workspace, self.tables.rows(workspace)

    def counts(self) -> Counter[str]:
        """How many callbacks of each EventType were projected."""
        with reading(self.engine) as connection:
            counted = connection.execute(sa.select(tables.event_type_count))
            return Counter({row.event_type: row.times for row in counted})


# 2. Same rows, whoever asks.


def law_of_sinks(store: Store, telling: Telling) -> None:
    """Live, any batch size, SQLite and PostgreSQL give the rows of memory."""
    history, arrived, page = telling
    workspace, rows = store.takes(arrived, page)
    assert rows == folded_at_once(history, workspace)


@pytest.mark.parametrize("store", BACKENDS, indirect=True)
@some
@given(telling=tellings())
def test_same_rows_whoever_asks(store: Store, telling: Telling) -> None:
    """Law 2."""
    law_of_sinks(store, telling)


@pytest.mark.parametrize("store", BACKENDS, indirect=True)
@some
@given(telling=tellings())
def test_same_rows_when_written_behind(store: Store, telling: Telling) -> None:
    """Law 2, each batch still on its way while the next is folded."""
    store.sink = Behind(store.tables, Late())
    law_of_sinks(store, telling)


# 3. Order of arrival does not matter, nor delivery n times.


def law_of_arrival(telling: Telling) -> None:
    """Shuffled, duplicated, in any batches and pages: the same rows as the orderly stream, and each callback counted once."""
    history, arrived, page = telling
    sink = after_all(arrived, page)
    assert sink.rows() == folded_at_once(history)
    assert sink.counts == Counter(body["EventType"] for body in history)


@many
@given(tellings())
def test_order_of_arrival_does_not_matter_nor_delivery_n_times(telling: Telling) -> None:
    """Law 3."""
    law_of_arrival(telling)


class Crash(Exception):
    """The loop ends here and now."""


STEPS = ("_advance", "_save_states", "_save_history", "_save_names", "_save_operating")
Crashes = list[tuple[str, int]]  # at which step, the how manieth time


def law_of_delivery(store: Store, telling: Telling, crashes: Crashes, kind: type[TableSink] = TableSink) -> None:
    """Wherever a loop ends while it saves, the next one goes on as if nothing had been: no page is lost, none is projected twice."""
    history, arrived, page = telling
    counted, times = store.counts(), Counter[str]()

    def interrupted(name: str, step: Callable[..., None]) -> Callable[..., None]:
        def until_it_crashes(*arguments: Any) -> None:
            times[name] += 1
            if (name, times[name]) in crashes:
                raise Crash
            step(*arguments)

        return until_it_crashes

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            owner: Any = kind if name == "_advance" else table_sink
            patch.setattr(owner, name, interrupted(name, getattr(owner, name)))
        for _ in range(len(crashes) + 1):
            store.sink = kind(store.engine)
            try:
                workspace, rows = store.takes(arrived, page)
                break
            except Crash:
                store._workspaces -= 1  # once more the same history, whatever of it is in the log
    assert rows == folded_at_once(history, workspace)
    assert store.counts() - counted == Counter(body["EventType"] for body in history)


any_crashes = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4)), min_size=1, max_size=3, unique=True)


@pytest.mark.parametrize("store", BACKENDS, indirect=True)
@some
@given(telling=tellings(), crashes=any_crashes)
def test_a_page_is_taken_whole_or_not_at_all(store: Store, telling: Telling, crashes: Crashes) -> None:
    """Law 3, for pages: a crash anywhere in a save neither loses one nor delivers it twice."""
    law_of_delivery(store, telling, crashes)


# 4. A moment is a look at the history.


def law_of_slices(telling: Telling) -> None:
    """What was known up to a position is the fold of what had come by then, whatever the log holds beyond it."""
    _, arrived, page = telling
    log = MemoryLog(RECEIVED_MS)
    for batch in arrived:
        log.append(entries(batch))
    for upto in {log.end() // 3, log.end() // 2, log.end() - 1} - {0}:
        begun, known, sink = MemoryLog(RECEIVED_MS), MemorySink(), MemorySink()
        begun._stored, begun._units = log._stored[:upto], log._units[:upto]
        project(begun, known)
        project(log, sink, upto=upto, page=page)
        assert sink.rows() == known.rows()


@many
@given(tellings())
def test_what_was_known_up_to_a_position(telling: Telling) -> None:
    """Law 4, its first half; reading it at a time is for the tests of what is read."""
    law_of_slices(telling)


# 5. Spans tile.


def law_of_tiles(telling: Telling) -> None:
    """After every page, spans of one line never overlap and never have negative length, and each ends where the next begins or the
    entity ended; visits may leave time between them. `n` counts them from 0, and so it counts gaps."""
    _, arrived, page = telling
    for sink in after_each_page(arrived, page):
        rows = sink.rows()
        lines = defaultdict(list)
        for span in sink.spans():
            lines[type(span), *(getattr(span, name) for name in LINE_KEY[type(span)])].append(span)
        for (kind, *key), spans in lines.items():
            assert [span.n for span in spans] == list(range(len(spans)))
            for span, following in pairwise(spans):
                assert span.started_ms <= span.ended_ms <= following.started_ms
                assert kind is TaskQueueSpan or span.ended_ms == following.started_ms
            _assert_ends(spans[-1], _end_of_entity(rows, kind, tuple(key)))
        gaps = Counter((row["workspace_sid"], row["sid"]) for row in rows["gap_told"].values())
        assert {key: row["gap_n"] for key, row in rows["worker"].items() if row["gap_n"]} == gaps
        assert set(rows["gap_told"]) == {
            (workspace, "worker", sid, n) for (workspace, sid), many in gaps.items() for n in range(many)
        }


def _assert_ends(last: Any, entity_ended: int | None) -> None:
    if isinstance(last, TaskQueueSpan):
        assert (last.ended_ms is None) == (last.outcome is None)
        assert last.ended_ms is not None or entity_ended is None
    else:
        assert last.ended_ms == entity_ended
    assert last.ended_ms is None or last.started_ms <= last.ended_ms


def _end_of_entity(rows: Rows, kind: type, key: tuple[str, ...]) -> int | None:
    """When what the line tells of ended: a worker by its deletion, an offer by its end, a task by its end or else its deletion."""
    match kind.__name__:
        case "ReservationStatusSpan":
            ends = ("rejected", "timed_out", "canceled", "rescinded", "completed", "failed")
            return next((ms for end in ends if (ms := rows["reservation"][key][f"{end}_at"]) is not None), None)
        case "TaskStatusSpan" | "TaskQueueSpan":
            row = rows["task"][key]
            ended = [row[f"{end}_at"] for end in ("completed", "canceled", "deleted") if row[f"{end}_at"] is not None]
            return max(ended[0], row["live_since"] or 0) if ended else None  # a deletion's stamp may lie before its last status
        case _:
            ended_at: int | None = rows["worker"][key[:2]]["deleted_at"]
            return ended_at


@many
@given(tellings())
def test_spans_tile(telling: Telling) -> None:
    """Law 5."""
    law_of_tiles(telling)


# 6. The fold has no clock.


def law_of_no_clock(telling: Telling) -> None:
    """Nothing in a table depends on when it was projected: years later it comes to the same."""
    _, arrived, page = telling
    rows = []
    for now in (1_000_000_000, 4_000_000_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda now=now: float(now))
            patch.setattr(time, "time_ns", lambda now=now: now * 10**9)
            rows.append(after_all(arrived, page).rows())
    assert rows[0] == rows[1]


@many
@given(tellings())
def test_the_fold_has_no_clock(telling: Telling) -> None:
    """Law 6. That the core imports no clock is for the linter of imports."""
    law_of_no_clock(telling)


# 7. A unit reads only its own callbacks.


def law_of_parts(telling: Telling, parts: int) -> None:
    """However the units are shared out, the parts put together are the whole, and no row is written by two of them."""
    _, arrived, page = telling
    log, whole = MemoryLog(RECEIVED_MS), after_all(arrived, page)
    for batch in arrived:
        log.append(entries(batch))
    together: Rows = {table: {} for table in whole.rows()}
    mentions: Mentions = {}
    counts = Counter[str]()
    for units in shared_out(log, log.end(), parts):
        sweep = Sweep(log, log.end(), units)
        for line in sweep.lines():
            if not isinstance(line, Kept):
                table = STORED[type(line)]
                row = row_of(line)
                key = tuple(row[column.name] for column in table.primary_key)
                assert together[table.name].setdefault(key, row) is row
        merge_all(mentions, sweep.heard.mentions())
        counts += sweep.heard.event_types
    for table, row in named_rows(mentions):
        key = tuple(row[column.name] for column in table.primary_key)
        together[table.name][key] = row | together[table.name].get(key, {})
    assert {name: {key: blank(name) | row for key, row in rows.items()} for name, rows in together.items()} == whole.rows()
    assert counts == whole.counts


def blank(table: str) -> dict[str, Any]:
    """Every column that is stored, NULL."""
    return {column.name: None for column in tables.metadata.tables[table].c if column.computed is None}


@many
@given(tellings(), st.integers(1, 4))
def test_a_unit_reads_only_its_own_callbacks(telling: Telling, parts: int) -> None:
    """Law 7."""
    law_of_parts(telling, parts)
