"""Every order of arrival of named lives: page by page, each comes to what the orderly fold says, current rows and history."""

from itertools import permutations
from math import factorial

import pytest

from projector import project as projecting
from projector.log import Entry
from projector.project import project
from projector.sink import MemorySink
from tests.given import (
    MemoryLog,
    Parameters,
    callback,
    ms,
    reservation,
    sid,
    task,
    task_canceled,
    task_completed,
    task_created,
    worker,
)
from tests.naive import facts, naive_rows

VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
ELSEWHERE = {"TaskQueueSid": sid("WQ", "sales"), "TaskQueueName": "Sales"}


def entered(at: float, **parameters: str) -> Parameters:
    return task("task-queue.entered", at, **{"TaskAssignmentStatus": "pending"} | parameters)


def moved(what: str, at: float, activity: str, previous: str, spent_ms: int) -> Parameters:
    """An activity update that says what it ends."""
    said = {"WorkerPreviousActivitySid": sid("WA", previous), "WorkerTimeInPreviousActivityMs": str(spent_ms)}
    return worker(what, at, activity=activity, **said)


def queue(what: str, at: float, name: str) -> Parameters:
    return callback(f"task-queue.{what}", at, TaskQueueSid=sid("WQ", "support"), TaskQueueName=name)


def activity(what: str, at: float, name: str, **parameters: str) -> Parameters:
    return callback(f"activity.{what}", at, ActivitySid=sid("WA", "Idle"), ActivityName=name, **parameters)


LIVES: dict[str, list[Parameters]] = {
    "a task from creation to completion": [
        task_created(0), entered(0.001), reservation("created", 1), reservation("accepted", 4), reservation("wrapup", 60), task_completed(70),
    ],
    "a creation set that shares its millisecond": [
        task("workflow.target-matched", 0, TaskAssignmentStatus="pending"), task_created(0), entered(0), task("task.updated", 0),
        reservation("created", 0, TaskAssignmentStatus="pending"),
    ],
    "rejected, then accepted": [
        entered(0), reservation("created", 1, "first"), reservation("rejected", 2, "first"), reservation("created", 3, "second", worker="bob"),
        reservation("accepted", 5, "second", worker="bob"),
    ],
    "an offer times out, and so does the queue": [
        entered(0), reservation("created", 1), reservation("timeout", 2), task("task-queue.timeout", 3), task("task-queue.moved", 3),
        entered(3, **ELSEWHERE),
    ],
    "canceled while it waits": [task_created(0), entered(0), task("workflow.timeout", 8), task_canceled(8.001)],
    "a wrap-up that never came": [
        task_created(0), reservation("created", 1), reservation("accepted", 2), reservation("completed", 9), task_completed(9.2),
    ],
    "a transfer with two live reservations": [
        reservation("accepted", 2, "first"), task("task.transfer-initiated", 10, TaskAssignmentStatus="reserved", **ELSEWHERE),
        reservation("created", 12, "second", worker="bob", **ELSEWHERE), reservation("accepted", 14, "second", worker="bob", **ELSEWHERE),
        task("task.transfer-completed", 14.1, TaskAssignmentStatus="assigned"), task_completed(20),
    ],
    "a transfer that fails": [
        entered(0), reservation("accepted", 2, "first"), task("task.transfer-initiated", 10, TaskAssignmentStatus="reserved", **ELSEWHERE),
        reservation("created", 12, "second", worker="bob"), reservation("timeout", 14, "second", worker="bob", TaskAssignmentStatus="assigned"),
        task("task.transfer-failed", 14, TaskAssignmentStatus="assigned"),
    ],
    "several offers, all but one rescinded": [
        entered(0), reservation("created", 1, "first"), reservation("created", 1, "second", worker="bob"), reservation("accepted", 3, "second", worker="bob"),
        reservation("rescinded", 3, "first", TaskAssignmentStatus="assigned"),
    ],
    "deleted with an offer open": [
        task_created(0), entered(0.5), reservation("created", 1), task("task.deleted", 0.2), task("task.updated", 2, TaskAttributes="{}"),
    ],
    "updated after its completion": [
        task_created(0), reservation("accepted", 1), task_completed(5), task("task.updated", 5, TaskAttributes='{"csat":5}', TaskAssignmentStatus="assigned"),
        task("task.updated", 6, TaskPriority="9"),
    ],
    "queued again": [
        entered(0), task("task-queue.moved", 2), entered(2), reservation("created", 3), reservation("rejected", 4), entered(5, **ELSEWHERE),
    ],
    "snapshots that show another queue": [
        task_created(0), task("task.updated", 3, TaskAssignmentStatus="pending", TaskQueueEnteredDate=str(ms(2)), **ELSEWHERE), entered(4, **ELSEWHERE),
        task("task.updated", 5, TaskAssignmentStatus="pending"), task_canceled(9),
    ],
    "a worker whose deletion lies": [
        worker("created", 0, activity="Offline"), worker("activity.update", 10), worker("activity.update", 20, activity="Busy"),
        worker("attributes.update", 20, WorkerAttributes='{"x":1}'), worker("deleted", 0),
    ],
    "a worker of whom an update is missing": [
        worker("created", 0, activity="Offline"), moved("activity.update", 10, "Idle", "Offline", 10_000), moved("activity.update", 50, "Busy", "Lunch", 15_000),
        moved("activity.update", 60, "Idle", "Busy", 4_000), moved("activity.update", 70, "Offline", "Idle", 99_000),
    ],
    "a worker with attributes": [
        worker("created", 0), worker("attributes.update", 1, WorkerAttributes='{"a":1}'), worker("attributes.update", 2, WorkerAttributes='{"a": 1}'),
        worker("attributes.update", 3, WorkerAttributes="{broken"), worker("activity.update", 4, WorkerAttributes='{"a":2}'), worker("deleted", 9),
    ],
    "a worker's capacity and availability": [
        worker("capacity.update", 1, WorkerChannelAvailableCapacity="3", **VOICE), worker("channel.availability.update", 2, WorkerChannelAvailable="false", **VOICE),
        worker("capacity.update", 3, WorkerChannelAvailableCapacity="3", **VOICE), worker("capacity.update", 4, WorkerChannelAvailableCapacity="1", **VOICE),
        reservation("created", 5, WorkerChannelCapacity="2"), worker("deleted", 2.5),
    ],
    "a queue made, renamed and deleted": [
        queue("created", 0, "Support"), queue("expression.updated", 1, "Help"), queue("expression.updated", 1, "Aid"), queue("deleted", 2, "Aid"), entered(3),
    ],
    "an activity deleted before it was told": [
        activity("created", 5, "Idle", ActivityAvailable="true"), activity("updated", 6, "Ready"), activity("deleted", 1, "Ready"), worker("created", 7),
    ],
    "workflow, channel and workspace": [
        callback("workflow.created", 0, WorkflowSid=sid("WW", "main"), WorkflowName="Main"), callback("workflow.deleted", 3, WorkflowSid=sid("WW", "main")),
        callback("task-channel.created", 0, TaskChannelOptimizedRouting="true", **VOICE), callback("task-channel.deleted", 0, **VOICE),
        callback("workspace.updated", 1, WorkspaceName="Other floor"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("life", LIVES)
def test_every_order_comes_to_the_same(monkeypatch: pytest.MonkeyPatch, life: str) -> None:
    """Law 3, without exception: of at most six callbacks every permutation, one callback a page."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 2)
    entries = [Entry.of(body, "callback") for body in LIVES[life]]
    orderly = MemoryLog(ms(100))
    orderly.append(entries)
    right, orders = naive_rows(facts(orderly)), 0
    for arrived in permutations(entries):
        log, sink = MemoryLog(ms(100)), MemorySink()
        log.append(arrived)
        project(log, sink, page=1)
        assert sink.rows() == right, [entry.topic for entry in arrived]
        orders += 1
    assert orders == factorial(len(entries)) <= 720


def test_the_lives_leave_history() -> None:
    """What the orders are tried on has spans of every kind, gaps and visits: an empty history would prove little."""
    log, sink = MemoryLog(ms(100)), MemorySink()
    log.append(
        [
            Entry.of(body | {"WorkspaceSid": f"WS{number:032x}"}, "callback")
            for number, life in enumerate(LIVES)
            for body in LIVES[life]
        ]
    )
    project(log, sink)
    assert [table for table, rows in sink.rows().items() if not rows] == []
