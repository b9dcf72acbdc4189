"""Late callbacks: right whatever they cost, and they cost little however old the unit is."""

import pytest

from projector import project as projecting
from projector.project import CHECKPOINT_EVERY, project
from projector.sink import MemorySink
from tests.given import MemoryLog, Parameters, arrived, given, ms, worker


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
