"""The history of a Task: its statuses, its visits to queues, the statuses of its reservations, span by span.

Each story is folded in order, and shuffled with some callbacks delivered twice: the spans are the same.
"""

from itertools import islice, pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from projector import project as projecting
from projector.floor.center import Floor
from projector.taskrouter.reservation import ReservationStatusSpan
from projector.taskrouter.task import TaskQueueSpan, TaskStatusSpan
from tests.given import (
    WORKSPACE,
    Parameters,
    ms,
    reservation,
    sid,
    task,
    task_canceled,
    task_completed,
    task_created,
)
from tests.given import given as folded
from tests.given import given_in_any_order as given

VIP = {"TaskQueueSid": sid("WQ", "vip"), "TaskQueueName": "VIP"}
PENDING, RESERVED, ASSIGNED, WRAPPING = (
    {"TaskAssignmentStatus": status} for status in ("pending", "reserved", "assigned", "wrapping")
)


@pytest.fixture(autouse=True)
def short_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every 3 callbacks, so that short stories have some."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 3)


def line(*spans: Any) -> list[Any]:
    """The spans of one line, numbered."""
    return [replace(span, n=number) for number, span in enumerate(spans)]


def times(began: float, ended: float | None, by: Parameters) -> dict[str, Any]:
    """When a span began and ended, in seconds, and the callback that opened it."""
    ended_ms = None if ended is None else ms(ended)
    return {"workspace_sid": WORKSPACE, "started_ms": ms(began), "ended_ms": ended_ms, "event_sid": by["Sid"]}


def status(began: float, ended: float | None, value: str, by: Parameters) -> TaskStatusSpan:
    return TaskStatusSpan(task_sid=sid("WT", "t"), status=value, **times(began, ended, by))


def visit(
    began: float,
    ended: float | None,
    outcome: str | None,
    by: Parameters,
    queue: str = "Support",
    inferred: bool = False,
    told: bool | None = None,
) -> TaskQueueSpan:
    said = {"task_queue_sid": sid("WQ", queue.lower()), "task_queue_name": queue}
    told = by["EventType"] == "task-queue.entered" if told is None else told
    return TaskQueueSpan(
        task_sid=sid("WT", "t"), outcome=outcome, inferred=inferred, told=told, **said, **times(began, ended, by)
    )


def offer(
    began: float, ended: float | None, value: str, by: Parameters, name: str = "r", worker: str = "ann", inferred: bool = False
) -> ReservationStatusSpan:
    return ReservationStatusSpan(
        task_sid=sid("WT", "t"), reservation_sid=sid("WR", name), status=value, inferred=inferred,
        worker_sid=sid("WK", worker), worker_name=worker, worker_activity_sid=sid("WA", "Idle"), worker_activity_name="Idle",
        task_channel_sid=sid("TC", "voice"), **times(began, ended, by),
    )  # fmt: skip


MATCHED = task("workflow.target-matched", at=0, **PENDING)
CREATED = task_created(at=0.001)
ENTERED = task("task-queue.entered", at=0.002, **PENDING)
CREATION = (MATCHED, CREATED, ENTERED, task("workflow.entered", at=0.002, **PENDING))  # run 1 of 2018
OFFERED, ACCEPTED = reservation("created", at=1), reservation("accepted", at=4)
TALKING = (*CREATION, OFFERED, ACCEPTED)


def test_an_ordinary_task() -> None:
    """Created, offered, accepted, wrapped up, completed: every second is in one status, and one visit ends with the acceptance."""
    wrapup, task_wrapup = reservation("wrapup", at=60), task("task.wrapup", at=60.003, TaskAssignmentStatus="wrapping")
    completed = reservation("completed", at=70, TaskAssignmentStatus="completed")
    told = given(*TALKING, wrapup, task_wrapup, completed, task_completed(at=70.005))
    assert told.spans("task_status_span", "t") == line(
        status(0, 1, "pending", by=MATCHED),
        status(1, 4, "reserved", by=OFFERED),
        status(4, 60, "assigned", by=ACCEPTED),
        status(60, 70.005, "wrapping", by=wrapup),
    )
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 4, "accepted", by=ENTERED))
    assert told.spans("reservation_status_span", "r") == line(
        offer(1, 4, "pending", by=OFFERED),
        offer(4, 60, "accepted", by=ACCEPTED),
        offer(60, 70, "wrapping", by=wrapup),
    )


@pytest.mark.parametrize(("created", "entered"), [(0.001, 0.001), (0, 0.008), (0.001, 0.002)])
def test_a_visit_begins_when_the_queue_was_entered_however_the_creation_set_is_stamped(created: float, entered: float) -> None:
    """The recorded creation sets: the queue is seen in workflow.target-matched, 1 to 8 ms before it is entered."""
    task_was_created = task_created(at=created)
    task_queue_entered = task("task-queue.entered", at=entered, **PENDING)
    told = given(MATCHED, task_was_created, task_queue_entered, task("workflow.entered", at=entered, **PENDING))
    assert told.spans("task_queue_span", "t") == line(visit(entered, None, None, by=task_queue_entered))
    first = MATCHED if created else task_was_created  # of one millisecond, the creation comes first
    assert told.spans("task_status_span", "t") == line(status(0, None, "pending", by=first))


def test_a_rejection_does_not_end_the_visit() -> None:
    """Ann says no, Bob says yes: one visit up to Bob's yes, two reservations."""
    rejected = reservation("rejected", at=3)
    again = reservation("created", at=5, reservation="r2", worker="bob")
    accepted = reservation("accepted", at=9, reservation="r2", worker="bob")
    told = given(*CREATION, OFFERED, rejected, again, accepted)
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 9, "accepted", by=ENTERED))
    assert told.spans("task_status_span", "t") == line(
        status(0, 1, "pending", by=MATCHED),
        status(1, 3, "reserved", by=OFFERED),
        status(3, 5, "pending", by=rejected),
        status(5, 9, "reserved", by=again),
        status(9, None, "assigned", by=accepted),
    )
    assert told.spans("reservation_status_span", "r") == line(offer(1, 3, "pending", by=OFFERED))
    assert told.spans("reservation_status_span", "r2") == line(
        offer(5, 9, "pending", by=again, name="r2", worker="bob"),
        offer(9, None, "accepted", by=accepted, name="r2", worker="bob"),
    )


def test_an_offer_that_nobody_answers_does_not_end_the_visit_either() -> None:
    """A reservation's timeout is not a queue's: the task waits on where it is."""
    told = given(*CREATION, OFFERED, reservation("timeout", at=121), reservation("created", at=122, reservation="r2"))
    assert told.spans("task_queue_span", "t") == line(visit(0.002, None, None, by=ENTERED))
    assert told.spans("reservation_status_span", "r") == line(offer(1, 121, "pending", by=OFFERED))


def timed_out(at: float) -> tuple[Parameters, ...]:
    """A workflow's target times out: out of Support, into VIP."""
    return (
        task("task-queue.timeout", at=at, **PENDING),
        task("task-queue.moved", at=at, **PENDING),
        task("workflow.target-matched", at=at + 0.001, **PENDING, **VIP),
        task("task-queue.entered", at=at + 0.002, **PENDING, **VIP),
    )


def test_a_target_that_times_out_is_two_visits() -> None:
    """Both timeout and move are told in one millisecond: the visit ended because it timed out. The next begins when entered."""
    moves = timed_out(30)
    accepted = reservation("accepted", at=44, **VIP)
    told = given(*CREATION, *moves, reservation("created", at=40, **VIP), accepted)
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 30, "timeout", by=ENTERED), visit(30.002, 44, "accepted", by=moves[-1], queue="VIP")
    )
    assert [span.status for span in told.spans("task_status_span", "t")] == ["pending", "reserved", "assigned"]


@pytest.mark.parametrize("first", ["task-queue.timeout", "task-queue.moved"])
def test_timeout_and_move_of_one_millisecond_are_a_timeout_in_either_order(first: str) -> None:
    """Nothing but their Sids orders the two, and those are drawn by lot."""
    both = [task(what, at=30, **PENDING, Sid=sid("EV", what)) for what in ("task-queue.timeout", "task-queue.moved")]
    both = [body | {"Sid": ("EV0" if body["EventType"] == first else "EVf") + body["Sid"][3:]} for body in both]
    assert given(*CREATION, *both).spans("task_queue_span", "t") == line(visit(0.002, 30, "timeout", by=ENTERED))


def test_a_target_that_times_out_into_its_own_queue_is_two_visits() -> None:
    """The next target may name the same queue: entered again is another visit."""
    again = task("task-queue.entered", at=30.002, **PENDING)
    told = given(*CREATION, task("task-queue.timeout", at=30), task("task-queue.moved", at=30.001), again)
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 30, "timeout", by=ENTERED), visit(30.002, None, None, by=again)
    )


def test_a_task_moved_by_hand_is_two_visits() -> None:
    """task-queue.moved without a timeout is a move, whichever of the two queues its snapshot shows."""
    entered = task("task-queue.entered", at=30.01, **PENDING, **VIP)
    for shown in ({}, VIP):
        told = given(*CREATION, task("task-queue.moved", at=30, **PENDING, **shown), entered)
        assert told.spans("task_queue_span", "t") == line(
            visit(0.002, 30, "moved", by=ENTERED), visit(30.01, None, None, by=entered, queue="VIP")
        )


@pytest.mark.parametrize("rescinded_at", [4, 3.999, 4.002])
def test_several_offers_at_once(rescinded_at: float) -> None:
    """Ann and Bob are offered one task and Bob takes it: nothing about that is inferred, whenever Ann's offer is rescinded."""
    to_bob = reservation("created", at=1.001, reservation="b", worker="bob")
    accepted = reservation("accepted", at=4, reservation="b", worker="bob")
    rescinded = reservation("rescinded", at=rescinded_at, **ASSIGNED)
    told = given(*CREATION, OFFERED, to_bob, accepted, rescinded)
    first = min(4, rescinded_at)  # of one millisecond, the rescission comes before the acceptance
    assert told.spans("task_queue_span", "t") == line(visit(0.002, first, "accepted", by=ENTERED))
    assert told.spans("task_status_span", "t") == line(
        status(0, 1, "pending", by=MATCHED),
        status(1, first, "reserved", by=OFFERED),
        status(first, None, "assigned", by=rescinded if rescinded_at <= 4 else accepted),
    )
    assert told.spans("reservation_status_span", "r") == line(offer(1, rescinded_at, "pending", by=OFFERED))
    assert told.spans("reservation_status_span", "b") == line(
        offer(1.001, 4, "pending", by=to_bob, name="b", worker="bob"),
        offer(4, None, "accepted", by=accepted, name="b", worker="bob"),
    )


def test_one_of_several_offers_rejected_leaves_the_task_reserved() -> None:
    """The task's status is what the snapshot states, not what one reservation's event would imply."""
    to_bob = reservation("created", at=1, reservation="b", worker="bob")
    told = given(*CREATION, OFFERED, to_bob, reservation("rejected", at=2, **RESERVED))
    (pending, reserved) = told.spans("task_status_span", "t")
    assert (pending.status, reserved.status, reserved.ended_ms) == ("pending", "reserved", None)


def test_a_cold_transfer_to_a_worker() -> None:
    """Ann wraps up and is done while the task waits for Bob, in no queue; Bob's part ends with the task."""
    initiated = task("task.transfer-initiated", at=10, **PENDING)
    wrapup = reservation("wrapup", at=10.5, **PENDING)
    to_bob = reservation("created", at=11, reservation="b", worker="bob")
    accepted = reservation("accepted", at=14, reservation="b", worker="bob")
    told = given(
        *TALKING, initiated, wrapup, to_bob, reservation("completed", at=12, **RESERVED), accepted,
        task("task.transfer-completed", at=14.1, **ASSIGNED),
        reservation("completed", at=50, reservation="b", worker="bob", TaskAssignmentStatus="completed"),
        task_completed(at=50),
    )  # fmt: skip
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 4, "accepted", by=ENTERED))
    assert told.spans("task_status_span", "t") == line(
        status(0, 1, "pending", by=MATCHED),
        status(1, 4, "reserved", by=OFFERED),
        status(4, 10, "assigned", by=ACCEPTED),
        status(10, 11, "pending", by=initiated),
        status(11, 14, "reserved", by=to_bob),
        status(14, 50, "assigned", by=accepted),
    )
    assert told.spans("reservation_status_span", "r") == line(
        offer(1, 4, "pending", by=OFFERED), offer(4, 10.5, "accepted", by=ACCEPTED), offer(10.5, 12, "wrapping", by=wrapup)
    )
    assert told.spans("reservation_status_span", "b") == line(
        offer(11, 14, "pending", by=to_bob, name="b", worker="bob"),
        offer(14, 50, "accepted", by=accepted, name="b", worker="bob"),
    )


def test_a_warm_transfer_to_a_worker_is_two_live_reservations_at_once() -> None:
    """Ann stays accepted until after Bob has accepted: both work on the task for a while."""
    to_bob = reservation("created", at=11, reservation="b", worker="bob")
    accepted = reservation("accepted", at=14, reservation="b", worker="bob")
    wrapup = reservation("wrapup", at=20, **ASSIGNED)
    told = given(
        *TALKING, task("task.transfer-initiated", at=10, **RESERVED), to_bob, accepted,
        task("task.transfer-completed", at=14.1, **ASSIGNED), wrapup, reservation("completed", at=25, **ASSIGNED),
    )  # fmt: skip
    assert told.spans("reservation_status_span", "r") == line(
        offer(1, 4, "pending", by=OFFERED), offer(4, 20, "accepted", by=ACCEPTED), offer(20, 25, "wrapping", by=wrapup)
    )
    assert told.spans("reservation_status_span", "b") == line(
        offer(11, 14, "pending", by=to_bob, name="b", worker="bob"),
        offer(14, None, "accepted", by=accepted, name="b", worker="bob"),
    )
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 4, "accepted", by=ENTERED))
    assert [span.status for span in told.spans("task_status_span", "t")] == [
        "pending",
        "reserved",
        "assigned",
        "reserved",
        "assigned",
    ]


def test_a_transfer_that_fails_gives_the_task_back() -> None:
    """Bob rejects a warm transfer: the task is Ann's again, her reservation never noticed, and no queue was visited."""
    initiated = task("task.transfer-initiated", at=10, **RESERVED)
    rejected = reservation("rejected", at=13, reservation="b", worker="bob", **PENDING)
    failed = task("task.transfer-failed", at=13.1, **ASSIGNED)
    to_bob = reservation("created", at=11, reservation="b", worker="bob")
    told = given(*TALKING, initiated, to_bob, rejected, failed, task("task.updated", at=13.101, **ASSIGNED))
    assert told.spans("task_status_span", "t") == line(
        status(0, 1, "pending", by=MATCHED),
        status(1, 4, "reserved", by=OFFERED),
        status(4, 10, "assigned", by=ACCEPTED),
        status(10, 13, "reserved", by=initiated),
        status(13, 13.1, "pending", by=rejected),
        status(13.1, None, "assigned", by=failed),
    )
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 4, "accepted", by=ENTERED))
    assert told.spans("reservation_status_span", "r")[-1] == replace(offer(4, None, "accepted", by=ACCEPTED), n=1)


SHOWN = [pytest.param(VIP, id="shown by the transfer"), pytest.param({}, id="not shown by the transfer")]


@pytest.mark.parametrize("shown", SHOWN)
def test_a_transfer_to_a_queue_is_another_visit(shown: dict[str, str]) -> None:
    """The wait begins anew: with the transfer where its snapshot shows the queue, else with task-queue.entered."""
    initiated = task("task.transfer-initiated", at=10, **PENDING, **shown)
    entered = task("task-queue.entered", at=10.2, **PENDING, **VIP)
    to_bob = reservation("created", at=30, reservation="b", worker="bob", **VIP)
    accepted = reservation("accepted", at=33, reservation="b", worker="bob", **VIP)
    told = given(*TALKING, initiated, entered, to_bob, accepted, task("task.transfer-completed", at=33.1, **ASSIGNED, **VIP))
    began, by = (10, initiated) if shown else (10.2, entered)
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 4, "accepted", by=ENTERED), visit(began, 33, "accepted", by=by, queue="VIP", told=True)
    )


def test_a_transfer_that_still_shows_the_task_assigned_ends_no_visit() -> None:
    """Its snapshot may be older than what it tells: the wait in the new queue goes on until somebody accepts."""
    initiated = task("task.transfer-initiated", at=10, **ASSIGNED, **VIP)
    waiting = task("task.updated", at=10.5, **PENDING, **VIP)
    accepted = reservation("accepted", at=22, reservation="b", worker="bob", **VIP)
    told = given(*TALKING, initiated, waiting, accepted)
    assert told.spans("task_queue_span", "t")[-1] == replace(visit(10, 22, "accepted", by=initiated, queue="VIP"), n=1)


def test_a_transfer_and_the_queue_it_enters_in_one_millisecond() -> None:
    """The transfer's snapshot, of the old queue, sorts after task-queue.entered then: it does not take the task back."""
    initiated, entered = task("task.transfer-initiated", at=10, **PENDING), task("task-queue.entered", at=10, **PENDING, **VIP)
    told = given(*TALKING, initiated, entered, reservation("created", at=30, reservation="b", worker="bob", **VIP))
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 4, "accepted", by=ENTERED), visit(10, None, None, by=entered, queue="VIP")
    )


@pytest.mark.parametrize(
    "back",
    [
        (reservation("canceled", at=31, reservation="b", worker="bob", **ASSIGNED, **VIP),
         task("task.transfer-canceled", at=31.2, **ASSIGNED, **VIP)),
        (task("task.transfer-canceled", at=31, **ASSIGNED, **VIP),),
        (task("task.transfer-failed", at=31, **ASSIGNED, **VIP), task("task.updated", at=31.002, **ASSIGNED, **VIP)),
    ],
    ids=["the transferor cancels", "nobody was offered it yet", "it fails"],
)  # fmt: skip
def test_a_transfer_to_a_queue_that_comes_to_nothing_ends_its_visit_canceled(back: tuple[Parameters, ...]) -> None:
    """The task is assigned again, to whom it was: nobody accepted it out of that queue, and that is told, not inferred."""
    initiated = task("task.transfer-initiated", at=10, **PENDING, **VIP)
    entered = task("task-queue.entered", at=10.2, **PENDING, **VIP)
    told = given(
        *TALKING, initiated, entered, reservation("created", at=30, reservation="b", worker="bob", **VIP), *back,
        task_completed(at=90, **VIP),
    )  # fmt: skip
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 4, "accepted", by=ENTERED), visit(10, 31, "canceled", by=initiated, queue="VIP", told=True)
    )
    (*_, last) = told.spans("task_status_span", "t")
    assert (last.status, last.started_ms, last.ended_ms) == ("assigned", ms(31), ms(90))


@pytest.mark.parametrize("failed_at", [31, 31.04])
def test_an_update_that_comes_before_the_failure_it_belongs_to_is_no_acceptance(failed_at: float) -> None:
    """task.updated goes first in a millisecond, and shows the task assigned while its transfer goes on: given back."""
    initiated = task("task.transfer-initiated", at=10, **PENDING, **VIP)
    updated, failed = (
        task(f"task.{what}", at, **ASSIGNED, **VIP) for what, at in (("updated", 31), ("transfer-failed", failed_at))
    )
    told = given(*TALKING, initiated, updated, failed)
    assert told.spans("task_queue_span", "t")[1] == replace(visit(10, 31, "canceled", by=initiated, queue="VIP"), n=1)


def test_routing_alone_begins_no_visit() -> None:
    """It shows where a task is to go, at its creation as after a move; told or offered there, it is in that queue."""
    left = task("task-queue.moved", at=20, **PENDING)
    matched, entered = (
        task(what, at, **PENDING, **VIP) for what, at in (("workflow.target-matched", 22), ("task-queue.entered", 23))
    )
    assert given(MATCHED).spans("task_queue_span", "t") == []
    assert len(given(*CREATION, left, matched).spans("task_queue_span", "t")) == 1
    assert given(*CREATION, left, matched, entered).spans("task_queue_span", "t")[1:] == [
        replace(visit(23, None, None, by=entered, queue="VIP"), n=1)
    ]


def test_what_rest_shows_of_another_queue_is_a_visit_there() -> None:
    """How a task stands is how it stands, whoever told of the move or not."""
    shown = task("task.observed", at=29.999, **PENDING, **VIP)
    told = given(*CREATION, shown | {"Sid": "OB" + shown["Sid"][2:]})
    assert [(span.task_queue_name, span.ended_ms, span.inferred) for span in told.spans("task_queue_span", "t")] == [
        ("Support", ms(29.999), True), ("VIP", None, True),
    ]  # fmt: skip


def test_one_of_two_who_rejects_has_taken_nothing_back() -> None:
    """Offered to two: what shows the task assigned in the millisecond in which the other accepted is no transfer's end."""
    told = given(
        *CREATION, reservation("created", 20, "r1"), reservation("created", 20, "r2", worker="bob"), reservation("accepted", 31, "r1"),
        reservation("rejected", 31, "r2", worker="bob", **ASSIGNED),
    )  # fmt: skip
    (visit,) = told.spans("task_queue_span", "t")
    assert (visit.ended_ms, visit.outcome) == (ms(31), "accepted")


def test_who_wraps_up_beside_ends_no_visit() -> None:
    """A cold transfer: its giver's own callback may show the task as it was before, or wrapping; it waits until somebody takes it."""
    initiated, entered = (
        task("task.transfer-initiated", at=31, **PENDING),
        task("task-queue.entered", at=31.001, **PENDING, **VIP),
    )
    for shown in (ASSIGNED, WRAPPING, ASSIGNED | VIP, WRAPPING | VIP):
        told = given(
            *TALKING, initiated, entered, reservation("wrapup", 31.005, "r1", **shown), reservation("completed", 33, "r1", **shown),
            reservation("created", 32, "r2", worker="bob", **VIP), reservation("accepted", 35, "r2", worker="bob", **VIP),
        )  # fmt: skip
        assert [(span.ended_ms, span.outcome, span.inferred) for span in told.spans("task_queue_span", "t")][1:] == [
            (ms(35), "accepted", False)
        ]


def test_an_attempt_that_fails_leaves_a_transfer_in_its_queue() -> None:
    """Of a queue's workers one rejects: the visit goes on, perhaps back to the transferor."""
    entered = task("task-queue.entered", at=10.2, **PENDING, **VIP)
    told = given(
        *TALKING, task("task.transfer-initiated", at=10, **PENDING), entered,
        reservation("created", at=12, reservation="b", worker="bob", **VIP),
        reservation("rejected", at=13, reservation="b", worker="bob", **PENDING, **VIP),
        task("task.transfer-attempt-failed", at=13, **PENDING, **VIP),
        reservation("created", at=15, reservation="r2", **VIP), reservation("accepted", at=16, reservation="r2", **VIP),
    )  # fmt: skip
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 4, "accepted", by=ENTERED), visit(10.2, 16, "accepted", by=entered, queue="VIP")
    )
    assert told.spans("reservation_status_span", "r")[-1].ended_ms is None  # ann has it twice, for a while


def test_a_queue_entered_again_after_the_acceptance_is_a_second_visit() -> None:
    """Put back into the very queue it came from: its wait is counted twice, each time from the entry."""
    again = task("task-queue.entered", at=20, **PENDING)
    accepted = reservation("accepted", at=26, reservation="b", worker="bob")
    told = given(*TALKING, again, reservation("created", at=25, reservation="b", worker="bob"), accepted)
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 4, "accepted", by=ENTERED), visit(20, 26, "accepted", by=again)
    )


def test_an_update_after_completion_reopens_nothing() -> None:
    """Observed: task.updated in the same second. Attributes change, and not one span, whatever the update states."""
    story = (*TALKING, reservation("completed", at=50, TaskAssignmentStatus="completed"), task_completed(at=50))
    before = given(*story)
    after = given(*story, task("task.updated", at=50.4, TaskAttributes='{"csat":5}', **ASSIGNED, **VIP))
    assert after.history == before.history
    assert after.the("task", "t")["attributes"] == '{"csat":5}'
    assert before.spans("task_status_span", "t")[-1].ended_ms == ms(50)


def test_without_a_wrap_up_the_task_is_assigned_to_its_end() -> None:
    """Accepted, then completed: recorded in 2018, when nobody wrapped up."""
    told = given(*TALKING, reservation("completed", at=50, TaskAssignmentStatus="completed"), task_completed(at=50.002))
    assert told.spans("task_status_span", "t")[-1] == replace(status(4, 50.002, "assigned", by=ACCEPTED), n=2)
    assert told.spans("reservation_status_span", "r")[-1] == replace(offer(4, 50, "accepted", by=ACCEPTED), n=1)


def test_a_reservation_whose_end_never_came_ends_with_its_task_and_says_so() -> None:
    """Its last span is marked: that end is not what a callback of the reservation says."""
    told = given(*TALKING, task_completed(at=50))
    assert told.spans("reservation_status_span", "r") == line(
        offer(1, 4, "pending", by=OFFERED), offer(4, 50, "accepted", by=ACCEPTED, inferred=True)
    )
    told = given(*TALKING, task_completed(at=50), reservation("completed", at=50.3, TaskAssignmentStatus="completed"))
    assert told.spans("reservation_status_span", "r")[-1] == replace(offer(4, 50.3, "accepted", by=ACCEPTED), n=1)


def test_an_acceptance_that_was_never_delivered_leaves_an_inferred_end() -> None:
    """The next snapshot shows the task assigned: the visit ended before it, and nobody can say when."""
    wrapup = reservation("wrapup", at=60)
    told = given(*CREATION, OFFERED, wrapup)
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 60, "accepted", by=ENTERED, inferred=True))
    assert told.spans("reservation_status_span", "r") == line(
        offer(1, 60, "pending", by=OFFERED), offer(60, None, "wrapping", by=wrapup)
    )
    assert told.spans("task_status_span", "t")[-1] == replace(status(60, None, "wrapping", by=wrapup), n=2)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (task_canceled(at=40), "canceled"),
        (task("task.deleted", at=40), "deleted"),
        (task("task.system-deleted", at=40), "deleted"),
        (task_completed(at=40), "completed"),
    ],
    ids=["canceled", "deleted", "system-deleted", "completed"],
)
def test_a_task_that_ends_while_it_waits(end: Parameters, outcome: str) -> None:
    """The end of the task ends its visit, and says how."""
    told = given(*CREATION, end)
    missed = outcome == "completed"  # nobody completes what nobody accepted: the wait was shorter, and nobody told how long
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 40, outcome, by=ENTERED, inferred=missed))
    assert told.spans("task_status_span", "t") == line(status(0, 40, "pending", by=MATCHED))


def test_a_reservation_completed_without_having_been_accepted() -> None:
    """Its acceptance is missing: it was not pending for all that time, so that span is inferred."""
    completed = reservation("completed", at=60, TaskAssignmentStatus="completed")
    told = given(*CREATION, OFFERED, completed)
    assert told.spans("reservation_status_span", "r") == line(offer(1, 60, "pending", by=OFFERED, inferred=True))


def test_a_task_canceled_while_it_is_offered() -> None:
    """reservation.canceled shows it canceled some milliseconds before task.canceled says so; the latter dates the end."""
    canceled = reservation("canceled", at=39.9, TaskAssignmentStatus="canceled")
    told = given(*CREATION, OFFERED, canceled, task_canceled(at=40))
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 40, "canceled", by=ENTERED))
    assert told.spans("reservation_status_span", "r") == line(offer(1, 39.9, "pending", by=OFFERED))
    assert told.spans("task_status_span", "t")[-1] == replace(status(1, 40, "reserved", by=OFFERED), n=1)


def test_a_deletion_stamped_before_the_last_callback_makes_no_negative_span() -> None:
    """A deletion counts by its stamp. What began after it ends where it began."""
    told = given(*CREATION, OFFERED, task("task.deleted", at=0.5))
    assert told.spans("task_status_span", "t") == line(status(0, 1, "pending", by=MATCHED), status(1, 1, "reserved", by=OFFERED))
    assert told.spans("task_queue_span", "t") == line(visit(0.002, 0.5, "deleted", by=ENTERED))
    assert told.spans("reservation_status_span", "r") == line(offer(1, 1, "pending", by=OFFERED, inferred=True))


def test_a_queue_entered_after_the_deletion_is_a_visit_of_no_length() -> None:
    """It was told, so it is there; the task was deleted before it."""
    entered = task("task-queue.entered", at=9, **PENDING, **VIP)
    told = given(*CREATION, task("task-queue.moved", at=8, **PENDING), entered, task("task.deleted", at=5))
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 8, "moved", by=ENTERED), visit(9, 9, "deleted", by=entered, queue="VIP")
    )


def test_an_offer_stamped_after_its_acceptance_is_no_step_back() -> None:
    """A reservation goes on from accepted; its creation, told late by its own stamp, is not another wait."""
    late = reservation("created", at=4.001, **ASSIGNED)
    told = given(*CREATION, ACCEPTED, late, reservation("wrapup", at=60))
    assert [(span.status, span.started_ms) for span in told.spans("reservation_status_span", "r")] == [
        ("accepted", ms(4)), ("wrapping", ms(60)),
    ]  # fmt: skip


SECONDS, MILLISECONDS = str(ms(31) // 1000), str(ms(31.25))


@pytest.mark.parametrize(
    ("stated", "began"),
    [({}, 40), ({"TaskQueueEnteredDate": SECONDS}, 31), ({"TaskQueueEnteredDate": MILLISECONDS}, 31.25)],
    ids=["no date", "in seconds", "in milliseconds"],
)
def test_a_queue_that_only_a_snapshot_shows_is_an_inferred_visit(stated: dict[str, str], began: float) -> None:
    """task-queue.entered was lost: the next snapshot shows the queue, and TaskQueueEnteredDate since when, if it is there."""
    (timeout, moved, _, _) = timed_out(30)
    to_bob = reservation("created", at=40, **VIP, **stated)
    told = given(*CREATION, timeout, moved, to_bob, reservation("accepted", at=44, **VIP, **stated))
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 30, "timeout", by=ENTERED), visit(began, 44, "accepted", by=to_bob, queue="VIP", inferred=True)
    )


def test_a_move_of_which_nothing_was_delivered_ends_the_visit_before_inferred() -> None:
    """Neither timeout nor move nor entry: the visit before ends where the next one is said to have begun."""
    to_bob = reservation("created", at=40, TaskQueueEnteredDate=MILLISECONDS, **VIP)
    told = given(*CREATION, to_bob)
    assert told.spans("task_queue_span", "t") == line(
        visit(0.002, 31.25, "moved", by=ENTERED, inferred=True), visit(31.25, None, None, by=to_bob, queue="VIP", inferred=True)
    )


@pytest.mark.parametrize(
    ("stated", "began"),
    [(str(ms(29.9)), 30), (str(ms(-900)), 30), (str(ms(50)), 40), ("177000", 40)],
    ids=["within the visit before", "before it", "after the snapshot", "no date at all"],
)
def test_a_stated_date_never_makes_visits_overlap(stated: str, began: float) -> None:
    """Whatever TaskQueueEnteredDate says, the inferred visit begins after the one before and not after the snapshot."""
    told = given(*CREATION, task("task-queue.timeout", at=30), reservation("created", at=40, TaskQueueEnteredDate=stated, **VIP))
    (before, inferred) = told.spans("task_queue_span", "t")
    assert (before.ended_ms, before.outcome) == (ms(30), "timeout")
    assert inferred.started_ms == ms(began)


def test_an_entry_delivered_late_replaces_what_was_inferred() -> None:
    """What was inferred without it is gone once it is there: the spans are those of the orderly story."""
    (timeout, moved, matched, entered) = timed_out(30)
    to_bob = reservation("created", at=40, TaskQueueEnteredDate=SECONDS, **VIP)
    told = given(*CREATION, timeout, moved, matched, to_bob, entered)
    assert told.spans("task_queue_span", "t")[-1] == replace(visit(30.002, None, None, by=entered, queue="VIP"), n=1)


def test_a_projector_that_joins_late_while_a_task_waits() -> None:
    """The first callback seen is an offer: it waits since TaskQueueEnteredDate, and is reserved since now."""
    offered = reservation("created", at=40, TaskQueueEnteredDate=MILLISECONDS, TaskDateCreated=str(ms(30)))
    accepted = reservation("accepted", at=44)
    told = given(offered, accepted)
    assert told.spans("task_queue_span", "t") == line(visit(31.25, 44, "accepted", by=offered, inferred=True))
    assert told.spans("task_status_span", "t") == line(
        status(40, 44, "reserved", by=offered), status(44, None, "assigned", by=accepted)
    )


def test_a_projector_that_joins_late_while_a_task_is_handled() -> None:
    """The first callback seen is a wrap-up: the visit is over, when is not known; no status before it is invented."""
    wrapup = reservation("wrapup", at=60)
    told = given(wrapup, task_completed(at=70))
    assert told.spans("task_queue_span", "t") == line(visit(60, 60, "accepted", by=wrapup, inferred=True))
    assert told.spans("task_status_span", "t") == line(status(60, 70, "wrapping", by=wrapup))
    assert told.spans("reservation_status_span", "r") == line(offer(60, 70, "wrapping", by=wrapup, inferred=True))


def test_a_projector_that_joins_at_the_very_end_has_no_history() -> None:
    """task.completed alone: a row, no span."""
    assert given(task_completed(at=70)).history == []


def test_names_are_those_sent_then() -> None:
    """A queue and a worker renamed while a task waits: each span has the name its own callback carried."""
    renamed = {"TaskQueueName": "Support EU"}
    accepted = reservation("accepted", at=4, WorkerName="ann@example.com", **renamed)
    again = task("task-queue.entered", at=20, **PENDING, **renamed)
    told = given(*CREATION, OFFERED, accepted, again)
    assert [span.task_queue_name for span in told.spans("task_queue_span", "t")] == ["Support", "Support EU"]
    assert [span.worker_name for span in told.spans("reservation_status_span", "r")] == ["ann", "ann@example.com"]


def test_every_story_tiles() -> None:
    """A long story of everything: statuses and reservations leave no hole and no overlap, visits no overlap."""
    told = given(
        *CREATION, OFFERED, reservation("rejected", at=3), *timed_out(30), reservation("created", at=35, reservation="b", **VIP),
        reservation("accepted", at=36, reservation="b", **VIP), task("task.transfer-initiated", at=50, **PENDING, **VIP),
        task("task-queue.entered", at=50.1, **PENDING), reservation("created", at=55, reservation="c"),
        reservation("accepted", at=56, reservation="c"), reservation("wrapup", at=80, reservation="c"), task_completed(at=90),
    )  # fmt: skip
    statuses, visits = told.spans("task_status_span", "t"), told.spans("task_queue_span", "t")
    assert all(one.ended_ms == other.started_ms for one, other in pairwise(statuses))
    assert (statuses[0].started_ms, statuses[-1].ended_ms) == (ms(0), ms(90))
    assert [(span.outcome, span.ended_ms - span.started_ms) for span in visits] == [
        ("timeout", 29_998), ("accepted", 5_998), ("accepted", 5_900),
    ]  # fmt: skip
    assert all(one.ended_ms <= other.started_ms for one, other in pairwise(visits))


def test_over_a_simulated_floor_of_which_nothing_is_lost_nothing_is_inferred() -> None:
    """`inferred` means that something is missing: rejections, timeouts, transfers of all kinds and failures leave no such mark.

    A task that the system deletes is the exception: its reservation ends without a word. So are the tasks that the stream is cut in.
    """
    sent = [parameters for _, parameters in islice(Floor(1, workers=30, callbacks_per_second=30).callbacks(), 20_000)]
    told = folded(*sent)
    excepted = {body["TaskSid"] for body in sent if body["EventType"] == "task.system-deleted"}
    excepted |= {body.get("TaskSid") for body in sent[-10:]}
    assert {body["EventType"] for body in sent} > {"task.transfer-failed", "task.transfer-canceled", "reservation.rescinded"}
    assert told.rows["gap_told"] == {}
    assert [span for span in told.history if span.inferred and getattr(span, "task_sid", None) not in excepted] == []
