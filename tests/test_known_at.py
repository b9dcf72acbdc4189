"""What was known by a time: the log up to a position says what the tables said then. One code reads both, and this holds them together."""

import json
import os
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from projector import project as projecting
from projector.log import Entry
from projector.project import project
from projector.read.activities import activities as activities_at
from projector.read.present import Present, present
from projector.read.queue import queue as queue_at
from projector.read.refolded import Refolded
from projector.read.task import reservation as reservation_at
from projector.read.task import task as task_at
from projector.read.when import position_at
from projector.read.worker import worker as worker_at
from projector.table_sink import TableSink
from projector.taskrouter.callback import Unit
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import MemoryLog, Parameters, arrived, ms, reservation, sid, task, task_created, text_url, worker
from tests.histories import OFFERS, QUEUES, TASKS, WORKERS, histories
from tests.looking import Floor, looking_at
from tests.test_cli import run

HISTORIES = int(os.environ.get("PROJECTOR_HISTORIES", "300"))
SHARE = {"sqlite": 3, "postgresql": 9}  # each history is projected twice: of the laws' histories a third, and of that a third
RECEIVED_MS = ms(3600)
MOMENTS_MS = [ms(at) for at in (-3, 0, 1, 1.001, 2, 2.5, 3, 5, 8, 8.5, 9, 30, 30.5, 60, 3599.999, 3600, 4000)]
VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}


@pytest.fixture
def floor(url: URL) -> Iterator[Floor]:
    with looking_at(url) as looked_at:
        yield looked_at


def test_what_had_not_arrived_was_not_known(floor: Floor) -> None:
    """The move to Away at 10 arrived at 100: asked at 15 as known at 99, the worker was Idle; as known at 100, Away."""
    floor.told(worker("created", 0), received_at=1)
    floor.told(worker("activity.update", 20, activity="Busy"), received_at=21)
    floor.told(worker("activity.update", 10, activity="Away"), received_at=100)
    seen = {
        known_at: floor.at(sid("WK", "ann"), 15, known_at)["activity"]["activity_name"] for known_at in (1, 99.999, 100, 3600)
    }
    assert seen == {1: "Idle", 99.999: "Idle", 100: "Away", 3600: "Away"}
    assert floor.at(sid("WK", "ann"), 15)["activity"]["activity_name"] == "Away"


def test_nothing_was_known_before_the_first_callback_arrived(floor: Floor) -> None:
    """It existed at that moment, as we know today; then nobody knew."""
    floor.told(worker("created", 0), task_created(0), reservation("created", 1), received_at=50)
    for entity in (sid("WK", "ann"), sid("WT", "t"), sid("WR", "r")):
        found = floor.at(entity, 5, known_at=49.999)
        assert (found["exists"], found["why"], found["position"]) == (False, "not_known_then", 0)
        assert floor.at(entity, 5, known_at=50)["exists"]


def test_a_workers_load_as_it_was_known(floor: Floor) -> None:
    """Reservations and stated capacities count from the arrival of their callbacks on."""
    floor.told(worker("created", 0), task_created(0), reservation("created", 1, WorkerChannelCapacity="2"), received_at=10)
    floor.told(reservation("accepted", 2, WorkerChannelCapacity="4"), received_at=20)
    floor.told(task_created(0, "b"), reservation("created", 3, "rb", "b"), received_at=30)
    floor.told(reservation("completed", 4), received_at=40)
    seen = {}
    for known_at in (10, 20, 30, 40):
        (row,) = floor.at(sid("WK", "ann"), 5, known_at)["channels"]
        seen[known_at] = (row["pending"], row["accepted"], row["configured_capacity"], row["available_percentage"])
    assert seen == {10: (1, 0, 2, 50), 20: (0, 1, 4, 75), 30: (1, 1, 4, 50), 40: (1, 0, 4, 75)}


def test_a_task_and_its_reservation_as_they_were_known(floor: Floor) -> None:
    """Each as the callbacks received by then tell it."""
    floor.told(task_created(0, TaskPriority="1"), reservation("created", 1, TaskPriority="1"), received_at=10)
    floor.told(reservation("rejected", 2, TaskPriority="1"), received_at=20)
    floor.told(task("task.updated", 0.5, TaskPriority="9"), received_at=30)
    seen = {}
    for known_at in (10, 20, 30):
        one, other = floor.at(sid("WT", "t"), 3, known_at), floor.at(sid("WR", "r"), 3, known_at)
        seen[known_at] = (one["status"], floor.at(sid("WT", "t"), 0.7, known_at)["priority"], other["status"])
    assert seen == {10: ("reserved", 1, "pending"), 20: ("pending", 1, "rejected"), 30: ("pending", 9, "rejected")}


def test_a_lying_delete_before_it_was_known(floor: Floor) -> None:
    """Until worker.deleted arrived the worker was there; its stamp says nothing."""
    floor.told(worker("created", 0), worker("activity.update", 5, activity="Busy"), received_at=10)
    floor.told(worker("deleted", 0), received_at=60)
    assert floor.at(sid("WK", "ann"), 100, known_at=59.999)["activity"]["activity_name"] == "Busy"
    gone = floor.at(sid("WK", "ann"), 100, known_at=60)
    assert (gone["why"], gone["deleted_at"]) == ("deleted", ms(60))


def test_the_position_at_a_time() -> None:
    """The last one received by then, found by halving; many may share a millisecond."""
    log, expected = MemoryLog(), {ms(0): 0}
    for received_at, count in ((10, 1), (20, 3), (20, 2), (50, 1), (90, 4)):
        log.now_ms = ms(received_at)
        arrived(log, *(worker("activity.update", 1, f"{received_at} {log.end() + n}") for n in range(count)))
        expected |= {ms(received_at): log.end(), ms(received_at) + 1: log.end()}
    assert {known_ms: position_at(log, known_ms) for known_ms in expected} == expected
    assert position_at(MemoryLog(), ms(5)) == 0


def test_the_position_at_a_time_where_positions_have_gaps() -> None:
    """PostgreSQL's do, after an aborted append."""

    class Gapped(MemoryLog):
        def read(self, after: int, limit: int, upto: int | None = None) -> list[Any]:
            rows = [row._replace(position=row.position * 7) for row in self._stored]
            return [row for row in rows if after < row.position <= (upto or row.position)][:limit]

        def end(self) -> int:
            return 7 * super().end()

    log, expected = Gapped(), {}
    for number in range(1, 12):
        log.now_ms = ms(number)
        arrived(log, worker("activity.update", 1, f"w{number}"))
        expected[ms(number + 0.5)] = 7 * number
    assert {known_ms: position_at(log, known_ms) for known_ms in expected} == expected


def test_the_command_takes_a_known_at(url: URL) -> None:
    """Both times on the command line; the position it came to in the answer."""
    with looking_at(url) as floor:
        floor.told(worker("created", 0), received_at=1)
        floor.told(worker("activity.update", 10, activity="Away"), received_at=100)
    done = run("at", sid("WK", "ann"), str(ms(15)), "--known-at", str(ms(50)), PROJECTOR_DATABASE_URL=text_url(url))
    found = json.loads(done.stdout)
    assert (found["activity"]["activity_name"], found["position"], found["known_at"]) == ("Idle", 1, "2026-02-02T02:40:50.000Z")


class Twice:
    """One database for whole histories, one for their beginnings alone; every history in a workspace of its own."""

    def __init__(self, whole: Floor, beginning: Floor) -> None:
        self.whole, self.beginning = whole, beginning
        self._workspaces = 0

    def told(self, history: list[Parameters], known: int) -> tuple[str, int]:
        """The history arrives in one, its first `known` callbacks in the other; its workspace, and the position it was at then."""
        self._workspaces += 1
        workspace = f"WS{self._workspaces:032x}"
        position = self.whole.log.end() + known
        for floor, bodies in ((self.whole, history), (self.beginning, history[:known])):
            floor.log.append([Entry.of(body | {"WorkspaceSid": workspace}, "callback", RECEIVED_MS) for body in bodies])
            project(floor.log, TableSink(floor.engine), page=7)
        return workspace, position


@pytest.fixture
def twice(request: pytest.FixtureRequest, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twice]:
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 3)
    with looking_at(databases.new(request.param)) as whole, looking_at(databases.new(request.param)) as beginning:
        yield Twice(whole, beginning)


def many(backend: str) -> settings:
    examples = max(20, HISTORIES // SHARE[backend])
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def with_one_worker_each(history: list[Parameters]) -> list[Parameters]:
    """A reservation is of one worker for life, as TaskRouter's are: a reservation told with two cannot be looked for by worker."""
    of = dict(zip(OFFERS, (WORKERS[0], WORKERS[1], WORKERS[0]), strict=True))
    offered = {body["Sid"]: body.get("ReservationSid") for body in history if "WorkerSid" in body}
    return [body | ({"WorkerSid": of[offer]} if (offer := offered.get(body["Sid"])) in of else {}) for body in history]


def all_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrived later is read as well."""
    monkeypatch.setattr(Refolded, "__init__", _with_everything)


_init = Refolded.__init__


def _with_everything(self: Refolded, now: Present, position: int) -> None:
    _init(self, now, max(position, now.position))


def checkpoints_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values begin at a checkpoint that the tables made of everything."""
    monkeypatch.setattr(Refolded, "checkpoint", lambda self, unit, before: self._present.checkpoint(unit, before))


def offers_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's reservations are those the tables show."""
    monkeypatch.setattr(Refolded, "offers", lambda self, *of: self._present.offers(*of))


@pytest.mark.parametrize("planted", [all_that_is_known, checkpoints_of_today, offers_of_today])
@pytest.mark.parametrize("twice", ["sqlite"], indirect=True)
def test_the_law_fails_on_a_planted_bug(twice: Twice, monkeypatch: pytest.MonkeyPatch, planted: Any) -> None:
    """A law that cannot fail proves nothing: each is found within a few hundred histories."""
    planted(monkeypatch)

    @settings(
        max_examples=600,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
        derandomize=True,
    )
    @given(st.data())
    def law(data: st.DataObject) -> None:
        _known_then_is_what_the_tables_said(twice, data)

    with pytest.raises((AssertionError, ExceptionGroup)):
        law()


def as_then(answer: Any) -> Any:
    """An answer without the names of today: those are of whatever tables are asked."""
    match answer:
        case dict():
            return {key: as_then(value) for key, value in answer.items() if not key.endswith("_now")}
        case list():
            return [as_then(value) for value in answer]
        case _:
            return answer


def every_answer(source: Any, workspace: str, at_ms: int) -> dict[str, Any]:
    """Every worker, task and reservation of the random histories at a moment."""
    answers: dict[str, Any] = {}
    for each in WORKERS:
        answers[each] = worker_at(source, workspace, each, at_ms)
    for each in TASKS:
        answers[each] = task_at(source, workspace, each, at_ms)
    for each, offer in product(TASKS, OFFERS):
        answers[each + offer] = reservation_at(source, workspace, each, offer, at_ms)
    return answers


def _known_then_is_what_the_tables_said(twice: Twice, data: st.DataObject) -> None:
    history = data.draw(st.permutations(with_one_worker_each(data.draw(histories()))))
    known = data.draw(st.integers(0, len(history)))
    workspace, position = twice.told(history, known)
    at_ms = data.draw(st.sampled_from(MOMENTS_MS))
    with (
        present(twice.whole.engine, twice.whole.log) as now,
        present(twice.beginning.engine, twice.beginning.log) as then,
    ):
        assert as_then(every_answer(Refolded(now, position), workspace, at_ms)) == as_then(every_answer(then, workspace, at_ms))


def _many_are_the_sum_of_each(twice: Twice, data: st.DataObject) -> None:
    history = data.draw(st.permutations(data.draw(histories())))
    workspace, _ = twice.told(history, 0)
    at_ms = data.draw(st.sampled_from(MOMENTS_MS))
    with present(twice.whole.engine, twice.whole.log) as now:
        answers = every_answer(now, workspace, at_ms)
        in_activity = {who: answers[who] for who in WORKERS}
        expected = {
            who: found["activity"] | {"worker_sid": who, "worker_name": None, "worker_name_now": found["worker_name_now"]}
            for who, found in in_activity.items()
            if found is not None and found["activity"] is not None
        }
        rows = {row["worker_sid"]: row | {"worker_name": None} for row in activities_at(now, workspace, at_ms)}
        assert rows == expected
        for queue in QUEUES:
            visits = [answers[each] for each in TASKS if answers[each] is not None]
            here = [found for found in visits if found["queue"] is not None and found["queue"]["task_queue_sid"] == queue]
            waiting = [found for found in here if found["queue"]["waiting"]]
            # Reserved again, with its visit over: being transferred, and still with the worker it comes from.
            held = [found for found in here if found["status"] in ("reserved", "assigned", "wrapping")]
            busy = [found for found in held if not found["queue"]["waiting"]]
            found = queue_at(now, workspace, queue, at_ms)
            if found is None:
                state = now.state(Unit(workspace, "task_queue", queue))
                assert not (waiting or busy) or (state is not None and state.head.deleted_ms is not None)
            else:
                wait_ms = max((at_ms - each["queue"]["since"] for each in waiting), default=None)
                figures = (found["tasks_waiting"], found["tasks_in_progress"], found["longest_wait_ms"])
                assert figures == (len(waiting), len(busy), wait_ms)


def _after_the_last_callback_it_is_the_tables(twice: Twice, data: st.DataObject) -> None:
    history = data.draw(st.permutations(data.draw(histories())))
    workspace, _ = twice.told(history, 0)
    rows = TableSink(twice.whole.engine).rows(workspace)
    with present(twice.whole.engine, twice.whole.log) as now:
        answers = every_answer(now, workspace, ms(4000))
    for (_, who), row in rows["worker"].items():
        found = answers[who]
        if found is None:
            assert row["deleted_at"] is not None or not row["folded_to"]
            continue
        activity, attributes = found["activity"] or {}, found["attributes"] or {}
        told = (activity.get("activity_sid"), activity.get("since"), attributes.get("attributes"), found["version"])
        assert told == (row["activity_sid"], row["activity_since"], row["attributes"], row["version"])
    for (_, name), row in rows["task"].items():
        found = answers[name]
        assert (found is None) == (row["deleted_at"] is not None)
        for column in ("status", "priority", "attributes", "reason", "version", "transfer_status") if found else ():
            assert found[column] == row[column], column
    for (_, name, offer), row in rows["reservation"].items():
        found = answers[name + offer]
        assert found is not None
        for column in ("status", "reason", "worker_sid", "inferred"):
            assert found[column] == row[column], column


LAWS = [_known_then_is_what_the_tables_said, _many_are_the_sum_of_each, _after_the_last_callback_it_is_the_tables]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__.strip("_"))
@pytest.mark.parametrize("twice", BACKENDS, indirect=True)
def test_over_random_histories(twice: Twice, law: Any) -> None:
    """Known up to a position, read at a moment: what the tables said that were projected from those callbacks alone. What is asked
    of many (queues, activities) is the sum of what is asked of each. After the last callback it is what the tables say."""

    @many(twice.whole.url.get_backend_name())
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        law(twice, data)

    holds()
