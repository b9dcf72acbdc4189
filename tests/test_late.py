"""Late callbacks: right whatever they cost, and they cost little however old the unit is."""

from contextlib import closing

import pytest
from msgspec.structs import replace
from sqlalchemy.engine import URL

from projector import project as projecting
from projector.database import disposing, open_engine
from projector.log import Entry, open_log
from projector.project import CHECKPOINT_EVERY, project
from projector.rebuild import rebuild
from projector.sink import MemorySink
from projector.table_sink import TableSink
from projector.verify import verify
from tests.given import MemoryLog, Parameters, arrived, given, ms, reservation, task, task_created, worker


def activity(number: int, at: float) -> Parameters:
    return worker("activity.update", at=at, activity=f"a{number % 5}")


def test_a_late_callback_refolds_from_a_checkpoint_not_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with 5,000 callbacks and one that is 30 s late: a few hundred are folded again, whatever its age."""
    log, sink = MemoryLog(ms(20_000)), MemorySink()
    arrived(log, *(activity(number, at=2 * number) for number in range(5_000)))
    project(log, sink)
    folded: list[int] = []
    fold = projecting.fold
    monkeypatch.setattr(
        projecting, "fold", lambda unit, callbacks, state=None: folded.append(len(callbacks)) or fold(unit, callbacks, state)
    )
    arrived(log, worker("attributes.update", at=2 * 4_985 - 0.5, WorkerAttributes='{"late":1}'))
    project(log, sink)
    assert 0 < sum(folded) <= CHECKPOINT_EVERY + 20


def test_a_very_late_callback_is_right_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that precedes every checkpoint folds the unit anew; later ones find no stale checkpoint."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 10)
    story = [activity(number, at=number + 1) for number in range(95)]
    first = worker("created", at=0, WorkerVersion="0")
    late = [first, activity(7, at=50.5), activity(8, at=93.5)]
    log, sink = MemoryLog(ms(3600)), MemorySink()
    for body in (*story, *late):
        arrived(log, body)
        project(log, sink, page=1)
    assert sink.rows() == given(*sorted([*story, *late], key=lambda body: int(body["TimestampMs"]))).rows


def test_a_refold_reads_nothing_beyond_its_page() -> None:
    """What the log holds further on belongs to a later batch: positions and rows go together."""
    log, sink = MemoryLog(ms(3600)), MemorySink()
    arrived(log, activity(1, at=10), activity(2, at=5), activity(3, at=20))
    project(log, sink, upto=2, page=1)
    assert [state.head.callback_count for unit, state in sink.states.items() if unit.kind == "worker"] == [2]


def test_a_type_that_was_unknown_when_it_arrived_is_folded_by_the_release_that_knows_it(url: URL) -> None:
    """The log's index has no unit for it: all the same it is part of its unit's history, whatever arrives when."""
    offer = reservation("created", at=1)
    accepted = replace(Entry.of(reservation("accepted", at=2), "callback"), unit=None)  # as an older release stored it
    others = [task_created(at=0), offer, task("task.updated", at=1.5, TaskPriority="3")]
    right = given(*others, reservation("accepted", at=2)).the("task", "t")
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        log.append([Entry.of(others[0], "callback"), Entry.of(offer, "callback")])
        log.append([accepted])
        project(log, TableSink(engine), page=1)
        arrived(log, others[2])  # late: the task is folded anew
        project(log, TableSink(engine))
        row = next(iter(TableSink(engine).rows()["task"].values()))
        assert (row["status"], row["first_accepted_at"]) == (right["status"], right["first_accepted_at"]) == ("assigned", ms(2))
        before = TableSink(engine).rows()
        rebuild(url, 3)
        assert TableSink(engine).rows() == before
    assert verify(url).difference is None
