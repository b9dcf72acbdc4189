"""The gap ledger: what is lost of each type of event, whether it shows, and that it is gone when it comes."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.access import reading
from projector.database import disposing, open_engine
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.log import Log, open_log
from projector.project import project
from projector.read.gaps import gaps, ledger
from projector.rebuild import rebuild
from projector.table_sink import TableSink
from projector.tables.gaps import REASONS
from projector.tables.views import view
from tests.given import (
    START_MS,
    WORKSPACE,
    Parameters,
    arrived,
    callback,
    ms,
    reservation,
    sid,
    task,
    task_canceled,
    task_completed,
    task_created,
    text_url,
    worker,
)
from tests.harness import ROOT, measured

CALLBACKS = int(os.environ.get("PROJECTOR_GAPS_CALLBACKS", "4000"))
Q2 = {"TaskQueueSid": sid("WQ", "sales"), "TaskQueueName": "Sales"}


class Ledger:
    """A log, its tables, and what they say is missing."""

    def __init__(self, url: URL, log: Log) -> None:
        self.url, self.log = url, log

    def after(self, *told: Parameters) -> "Ledger":
        arrived(self.log, *told)
        with disposing(open_engine(self.url)) as engine:
            project(self.log, TableSink(engine))
        return self

    def rows(self, since_ms: int = 0, *, hints: bool = False) -> list[dict[str, Any]]:
        with disposing(open_engine(self.url)) as engine, reading(engine) as connection:
            return ledger(connection, None, since_ms, 10**6)["hints" if hints else "gaps"]

    def says(self) -> set[tuple[str, str, str]]:
        """Whose callback is missing, and why."""
        return {(row["kind"], row["sid"], row["reason"]) for row in self.rows()}


@pytest.fixture
def told(url: URL) -> Iterator[Ledger]:
    with closing(open_log(url)) as log:
        yield Ledger(url, log)


def day() -> list[Parameters]:
    """A worker's day with a task that is moved to another queue, and one that is canceled: whole."""
    entered = {"TaskAssignmentStatus": "pending"}
    return [
        worker("created", 0, activity="Offline"),
        worker("activity.update", 5, activity="Idle", WorkerPreviousActivitySid=sid("WA", "Offline"), WorkerTimeInPreviousActivityMs="5000"),
        task("workflow.target-matched", 10, **entered), task_created(10.001), task("task-queue.entered", 10.002, **entered),
        task("workflow.entered", 10.003, **entered),
        task("task-queue.moved", 20, **entered), task("task-queue.entered", 20.001, **entered | Q2),
        reservation("created", 30, **Q2), reservation("rejected", 31, **Q2),
        reservation("created", 40, "s", **Q2), reservation("accepted", 42, "s", **Q2),
        reservation("wrapup", 50, "s", **Q2), task("task.wrapup", 50, TaskAssignmentStatus="wrapping", **Q2),
        reservation("completed", 60, "s", TaskAssignmentStatus="completed", **Q2), task_completed(60.001, **Q2),
        task_created(70, "u"), task("task-queue.entered", 70.001, "u", **entered), task_canceled(80, "u"),
        worker("activity.update", 90, activity="Break", WorkerPreviousActivitySid=sid("WA", "Idle"), WorkerTimeInPreviousActivityMs="85000"),
    ]  # fmt: skip


T, U, ANN = ("task", sid("WT", "t")), ("task", sid("WT", "u")), ("worker", sid("WK", "ann"))
R, S = ("reservation", sid("WR", "r")), ("reservation", sid("WR", "s"))
LOST = {  # place in the day → what the ledger says then
    0: {(*ANN, "previous_activity_unseen")},
    1: {(*ANN, "previous_activity_differs")},
    3: {(*T, "task_never_created")},
    4: {(*T, "queue_never_entered")},
    6: {(*T, "queue_never_entered")},
    7: {(*T, "queue_never_entered")},
    8: {(*R, "reservation_never_created")},
    9: {(*R, "reservation_never_ended")},
    10: {(*S, "reservation_never_created")},
    11: {(*S, "reservation_never_accepted"), (*T, "task_never_accepted"), (*T, "queue_never_entered")},
    14: {(*S, "reservation_never_ended")},
    16: {(*U, "task_never_created")},
    17: {(*U, "queue_never_entered")},
}
UNSEEN = {  # place in the day → why nobody can tell
    2: "a snapshot among others", 5: "a snapshot among others",
    12: "an acceptance may be followed by the end", 13: "the reservation tells it as well",
    15: "the task is shown completed by its reservation", 18: "a task may wait for long",
    19: "nothing comes after it",
}  # fmt: skip


def test_a_whole_day_has_no_gaps(told: Ledger) -> None:
    """Nor hints but for what no callback of its own told of."""
    assert told.after(*day()).says() == set()
    assert {(row["kind"], row["reason"]) for row in told.rows(hints=True)} == {
        (kind, "only_mentioned") for kind in ("activity", "task_queue", "workflow", "task_channel")
    }


@pytest.mark.parametrize("place", range(len(day())), ids=lambda place: f"{place} {day()[place]['EventType']}")
def test_what_is_lost_shows_and_is_gone_when_it_comes(told: Ledger, place: int) -> None:
    """Each callback of the day by itself: named with the right entity and reason, or not to be told; never anything else."""
    lost = day()[place]
    told.after(*(each for n, each in enumerate(day()) if n != place))
    if place == 15:
        assert told.says() == {(*T, "task_never_ended")}
    else:
        assert told.says() == LOST.get(place, set())
        assert (place in LOST) != (place in UNSEEN)
    assert told.after(lost).says() == set()


def test_the_ledger_is_a_function_of_the_set(told: Ledger) -> None:
    """In any order of arrival, by page or at once, live or rebuilt."""
    some = [each for n, each in enumerate(day()) if n not in (3, 8, 11)]
    random.Random(3).shuffle(some)
    for each in some:
        told.after(each)
    live = told.says()
    assert live == LOST[3] | LOST[8] | LOST[11]
    rebuild(told.url)
    assert told.says() == live


def test_what_rest_has_shown_is_no_gap(told: Ledger) -> None:
    """A task and its offer that were there before the projector was."""
    told.after(
        task("task.observed", 10, TaskAssignmentStatus="assigned"),
        callback("reservation.observed", 10, TaskSid=sid("WT", "t"), ReservationSid=sid("WR", "r"), ReservationStatus="accepted", DateCreated=str(ms(5))),
        reservation("completed", 20, TaskAssignmentStatus="completed"), task_completed(20.1),
    )  # fmt: skip
    assert told.says() == set()


def test_a_reason_is_documented_and_no_other_given() -> None:
    """In docs/feeds.md, for who reads the table."""
    page = (ROOT / "docs" / "feeds.md").read_text()
    assert all(f"`{reason}`" in page for reason in (*REASONS, "mentions_another_activity"))


def floor(seed: int) -> list[tuple[int, Parameters]]:
    """So many callbacks, without the tasks that were being created when it was looked at: what says so is on its way."""
    sent = list(islice(Floor(seed, workers=12, start_ms=START_MS).callbacks(), CALLBACKS))
    new = {each["TaskSid"] for at_ms, each in sent if at_ms > sent[-1][0] - 1000 and "TaskSid" in each}
    old = {each["TaskSid"] for at_ms, each in sent if at_ms <= sent[-1][0] - 1000 and "TaskSid" in each}
    return [(at_ms, each) for at_ms, each in sent if each.get("TaskSid") not in new - old]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_whole_floor_has_no_gaps(told: Ledger, seed: int) -> None:
    """Transfers, timeouts, rescinded offers, late and twice: no false alarm."""
    sent = floor(seed)
    told.after(*(each for _, each in deliveries(sent, seed, duplicates=0.05, late=0.2, late_ms_max=5000)))
    assert told.rows() == []


def test_of_a_floor_that_loses_some_only_what_was_lost_is_named(told: Ledger) -> None:
    """5 % lost: every gap names an entity that lost something of that type; how many losses show is measured."""
    sent = floor(3)
    kept = {each["Sid"] for _, each in deliveries(sent, 3, duplicates=0.05, late=0.2, late_ms_max=5000, lost=0.05)}
    told.after(*(each for _, each in sent if each["Sid"] in kept))
    lost = [each for _, each in sent if each["Sid"] not in kept]
    of = {(name, each[name]) for each in lost for name in ("TaskSid", "ReservationSid", "WorkerSid") if name in each}
    named = {("TaskSid", "task"): 0, ("ReservationSid", "reservation"): 0, ("WorkerSid", "worker"): 0}
    for row in told.rows():
        name = {kind: name for name, kind in named}[row["kind"]]
        assert (name, row["sid"]) in of, row
        named[name, row["kind"]] += 1
    types = Counter(each["EventType"] for each in lost)
    reasons = Counter(row["reason"] for row in told.rows())
    measured(f"{told.url.get_backend_name()}: {len(lost)} lost of {len(sent)}: {dict(types)}; gaps by reason: {dict(reasons)}")
    assert told.after(*lost).rows() == []


def test_the_command_says_what_is_missing(told: Ledger) -> None:
    """Counts, the latest first, what to do next; hints apart."""
    told.after(*(each for n, each in enumerate(day()) if n not in (3, 8)))
    command = [sys.executable, "-m", "projector"]
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(told.url)}
    said = json.loads(subprocess.run([*command, "gaps"], cwd=ROOT, env=environment, capture_output=True, check=True).stdout)
    assert said["missing"] == {"reservation_never_created": 1, "task_never_created": 1}
    assert [row["reason"] for row in said["gaps"]] == ["task_never_created", "reservation_never_created"]
    assert said["gaps"][0]["workspace_sid"] == WORKSPACE
    assert said["next"] == "projector backfill"
    standing = json.loads(
        subprocess.run([*command, "status", "--json"], cwd=ROOT, env=environment, capture_output=True, check=True).stdout
    )
    assert standing["gaps"] == said["missing"]


def test_a_workspace_can_be_asked_for_alone(told: Ledger) -> None:
    """Of two, one."""
    other = "WS" + "2" * 32
    told.after(task_completed(9), task_completed(9) | {"WorkspaceSid": other, "Sid": sid("EV", "theirs")})
    with disposing(open_engine(told.url)) as engine, reading(engine) as connection:
        assert {row["workspace_sid"] for row in gaps(connection, other, 10)} == {other}
        assert {row["workspace_sid"] for row in gaps(connection, None, 10)} == {other, WORKSPACE}
    assert view("gap").c.keys()[:3] == ["workspace_sid", "kind", "sid"]
