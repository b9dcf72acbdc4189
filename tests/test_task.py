"""What callbacks make of a Task and its Reservations."""

import itertools

import pytest

from tests.given import WORKSPACE, callback, given, ms, reservation, sid, task, task_canceled, task_completed, task_created


def test_a_task_from_creation_to_completion() -> None:
    """Each step of an ordinary task leaves its time, and the status is the one the callbacks state."""
    told = given(
        task("workflow.target-matched", at=0, TaskAssignmentStatus="pending"),
        task_created(at=0.001),
        task("task-queue.entered", at=0.002, TaskAssignmentStatus="pending"),
        reservation("created", at=1),
        reservation("accepted", at=4),
        reservation("wrapup", at=60),
        task("task.wrapup", at=60, TaskAssignmentStatus="wrapping"),
        reservation("completed", at=70, TaskAssignmentStatus="completed"),
        task_completed(at=70.005, Reason="done"),
    )
    row = told.the("task", "t")
    times = {name: row[name] for name in row if name.endswith("_at") and row[name] is not None}
    assert times == {
        "first_seen_at": ms(0), "created_at": ms(0.001), "queue_entered_at": ms(0.002), "first_reserved_at": ms(1),
        "first_accepted_at": ms(4), "wrapup_at": ms(60), "completed_at": ms(70.005), "updated_at": ms(70.005),
        "visit_ended_at": ms(4),
    }  # fmt: skip
    assert (row["status"], row["reason"], row["callback_count"]) == ("completed", "done", 9)
    offer = told.the("reservation", "r")
    assert (offer["status"], offer["inferred"]) == ("completed", False)
    assert (offer["created_at"], offer["accepted_at"], offer["wrapup_at"], offer["completed_at"]) == (
        ms(1),
        ms(4),
        ms(60),
        ms(70),
    )


def test_any_callback_may_be_the_first_one_seen() -> None:
    """A projector that joins late knows what the first snapshot says; no time is invented."""
    row = given(reservation("wrapup", at=9, TaskDateCreated=str(ms(-60) // 1000), TaskPriority="7")).the("task", "t")
    assert (row["status"], row["priority"], row["created_at"]) == ("wrapping", 7, ms(-60))
    assert (row["first_reserved_at"], row["first_accepted_at"]) == (None, None)


def test_a_task_updated_after_completion_changes_attributes_and_never_resurrects() -> None:
    """Observed live: task.updated in the same second after task.completed."""
    row = given(
        task_created(at=0),
        task_completed(at=5),
        task("task.updated", at=5.2, TaskAttributes='{"csat":5}', TaskAssignmentStatus="assigned"),
    ).the("task", "t")
    assert (row["status"], row["attributes"], row["completed_at"]) == ("completed", '{"csat":5}', ms(5))


def test_a_completed_reservation_is_not_a_completed_task() -> None:
    """Under transfer the transferor's reservation completes while the task goes on."""
    told = given(
        task_created(at=0),
        reservation("created", at=1, reservation="first", worker="ann"),
        reservation("accepted", at=2, reservation="first", worker="ann"),
        task("task.transfer-initiated", at=10, TaskAssignmentStatus="reserved"),
        reservation("wrapup", at=10, reservation="first", worker="ann", TaskAssignmentStatus="reserved"),
        reservation("completed", at=12, reservation="first", worker="ann", TaskAssignmentStatus="reserved"),
        reservation("created", at=12, reservation="second", worker="bob"),
        reservation("accepted", at=14, reservation="second", worker="bob"),
        task("task.transfer-completed", at=14.1, TaskAssignmentStatus="assigned"),
    )
    row = told.the("task", "t")
    assert (row["status"], row["transfer_status"], row["completed_at"]) == ("assigned", "complete", None)
    assert told.the("reservation", "first")["status"] == "completed"
    assert told.the("reservation", "second")["status"] == "accepted"
    assert row["first_accepted_at"] == ms(2)


def test_a_warm_transfer_leaves_two_live_reservations() -> None:
    """The transferor stays accepted while the transferee accepts."""
    told = given(
        task_created(at=0),
        reservation("created", at=1, reservation="first"),
        reservation("accepted", at=2, reservation="first"),
        task("task.transfer-initiated", at=10, TaskAssignmentStatus="pending"),
        reservation("created", at=11, reservation="second", worker="bob"),
        reservation("accepted", at=12, reservation="second", worker="bob"),
    )
    assert [told.the("reservation", name)["status"] for name in ("first", "second")] == ["accepted", "accepted"]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("task.transfer-initiated", "initiated"), ("task.transfer-attempt-failed", "initiated"),
        ("task.transfer-failed", "failed"), ("task.transfer-canceled", "canceled"), ("task.transfer-completed", "complete"),
    ],
)  # fmt: skip
def test_a_transfer_says_how_it_stands(event: str, status: str) -> None:
    """transfer_status uses the SDK's words; a failed attempt leaves the transfer initiated."""
    assert given(task_created(at=0), task(event, at=1)).the("task", "t")["transfer_status"] == status


def test_multi_reservation_accepts_one_and_rescinds_the_rest() -> None:
    """Two workers are offered one task; the one who is late is rescinded, and the task is reserved once."""
    told = given(
        task_created(at=0),
        reservation("created", at=1, reservation="a", worker="ann"),
        reservation("created", at=1, reservation="b", worker="bob"),
        reservation("accepted", at=3, reservation="b", worker="bob"),
        reservation("rescinded", at=3, reservation="a", worker="ann"),
    )
    assert told.the("reservation", "a")["rescinded_at"] == ms(3)
    assert told.the("reservation", "b")["status"] == "accepted"
    assert told.the("task", "t")["first_reserved_at"] == ms(1)


@pytest.mark.parametrize(
    ("what", "column", "status"),
    [
        ("rejected", "rejected_at", "rejected"), ("timeout", "timed_out_at", "timeout"), ("canceled", "canceled_at", "canceled"),
        ("rescinded", "rescinded_at", "rescinded"), ("failed", "failed_at", "failed"), ("completed", "completed_at", "completed"),
    ],
)  # fmt: skip
def test_a_reservation_ended_stays_ended(what: str, column: str, status: str) -> None:
    """The first terminal event stands; a later one changes neither status nor times."""
    ended = (task_created(at=0), reservation("created", at=1), reservation(what, at=2))
    row = given(*ended, reservation("accepted", at=3), reservation("canceled", at=4)).the("reservation", "r")
    assert (row["status"], row[column], row["accepted_at"]) == (status, ms(2), None)


@pytest.mark.parametrize(
    ("end", "status", "column"),
    [
        (task_completed(at=9), "completed", "completed_at"),
        (task_canceled(at=9), "canceled", "canceled_at"),
        (task("task.deleted", at=9), "canceled", "canceled_at"),
        (task("task.system-deleted", at=9), "canceled", "canceled_at"),
    ],
)
def test_a_reservation_whose_end_never_came_ends_with_its_task(end: dict[str, str], status: str, column: str) -> None:
    """Orphaned by its task's end, it is ended then and marked inferred."""
    row = given(task_created(at=0), reservation("created", at=1), reservation("accepted", at=2), end).the("reservation", "r")
    assert (row["status"], row[column], row["inferred"]) == (status, ms(9), True)


def test_an_inferred_end_gives_way_to_the_real_one() -> None:
    """task.completed may come before reservation.completed: the reservation's own end replaces the inferred one."""
    story = (task_created(at=0), reservation("created", at=1), reservation("accepted", at=2), task_completed(at=9))
    for page in (1, 100):
        row = given(*story, reservation("completed", at=9.3), page=page).the("reservation", "r")
        assert (row["status"], row["completed_at"], row["inferred"]) == ("completed", ms(9.3), False)


def test_a_reservation_without_a_sid_is_no_row() -> None:
    """reservation.failed may name no reservation: the task takes its snapshot, nothing else happens."""
    told = given(task_created(at=0), task("reservation.failed", at=1, TaskAssignmentStatus="canceled", Reason="SLA"))
    assert told.rows["reservation"] == {}
    assert (told.the("task", "t")["status"], told.the("task", "t")["reason"]) == ("canceled", "SLA")


def test_entering_another_queue_starts_another_wait() -> None:
    """task-queue.entered dates the entry; a snapshot in another queue dates it too, by TaskQueueEnteredDate if stated."""
    other = {"TaskQueueSid": sid("WQ", "vip"), "TaskQueueName": "VIP"}
    moved = (
        task_created(at=0),
        task("task-queue.entered", at=0.01),
        task("task-queue.moved", at=30),
        task("task-queue.entered", at=30.01, **other),
    )
    row = given(*moved).the("task", "t")
    assert (row["task_queue_name"], row["queue_entered_at"]) == ("VIP", ms(30.01))
    stated = given(*moved[:2], task("task.updated", at=40, TaskQueueEnteredDate=str(ms(35)), **other)).the("task", "t")
    assert stated["queue_entered_at"] == ms(35)


def test_the_end_itself_dates_better_than_a_snapshot_of_it() -> None:
    """A reservation callback may show the task completed some milliseconds before task.completed is stamped."""
    row = given(task_created(at=0), reservation("completed", at=9, TaskAssignmentStatus="completed"), task_completed(at=9.1)).the(
        "task", "t"
    )
    assert row["completed_at"] == ms(9.1)


def test_a_missing_parameter_is_not_a_cleared_value() -> None:
    """What a callback does not say stays as known."""
    row = given(task_created(at=0, TaskPriority="9", Reason="why"), callback("task.updated", at=1, TaskSid=sid("WT", "t"))).the(
        "task", "t"
    )
    assert (row["priority"], row["reason"], row["task_queue_name"], row["status"]) == (9, "why", "Support", "pending")


def test_attributes_are_values_not_text() -> None:
    """Escaped slashes, blanks and key order do not matter; what cannot be read leaves what was known, marked."""
    escaped = given(task_created(at=0, TaskAttributes='{"b": 1, "a": "x\\/y"}')).the("task", "t")
    assert escaped["attributes"] == '{"a":"x/y","b":1}'
    broken = given(task_created(at=0, TaskAttributes='{"a":1}'), task("task.updated", at=1, TaskAttributes="{oops")).the(
        "task", "t"
    )
    assert (broken["attributes"], broken["attributes_readable"]) == ('{"a":1}', False)


def test_a_deletion_is_last_whatever_its_stamp_and_changes_nothing_else() -> None:
    """task.deleted is terminal for the unit; callbacks stamped after it still count for everything but the deletion."""
    row = given(task_created(at=0), task("task.deleted", at=5), task("task.updated", at=6, TaskPriority="3")).the("task", "t")
    assert (row["deleted_at"], row["priority"], row["last_event_sid"]) == (ms(5), 3, task("task.deleted", at=5)["Sid"])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_deletion_may_be_the_first_that_speaks_of_a_task(order: tuple[int, ...]) -> None:
    """Whenever it arrives, and whatever else does."""
    story = (task("task.deleted", at=1), task_created(at=5), task("task.deleted", at=7))
    assert given(*(story[number] for number in order), page=1).the("task", "t")["first_seen_at"] == ms(1)
    assert given(task("task.deleted", at=5)).the("task", "t")["first_seen_at"] == ms(5)


def test_ties_in_one_millisecond_fall_by_rank_then_sid() -> None:
    """The creation set of a task shares milliseconds: every arrival order of one gives the same row."""
    tied = (
        task_created(at=1),
        task("task.updated", at=1, TaskAssignmentStatus="pending", TaskPriority="1"),
        task("task-queue.entered", at=1),
        reservation("created", at=1),
        reservation("accepted", at=1),
    )
    rows = [given(*order).rows for order in itertools.permutations(tied)]
    assert all(each == rows[0] for each in rows)
    assert rows[0]["task"][WORKSPACE, sid("WT", "t")]["status"] == "assigned"


def test_a_version_outranks_the_event_type_within_a_millisecond() -> None:
    """TaskVersion orders callbacks of the same millisecond where both carry it."""
    row = given(
        task("task.updated", at=1, TaskVersion="8", TaskPriority="8"),
        reservation("accepted", at=1, TaskVersion="7", TaskPriority="7"),
    ).the("task", "t")
    assert (row["priority"], row["version"]) == (8, 8)


def test_a_stamp_from_the_future_is_kept_marked_and_ordered_by_receipt() -> None:
    """More than 5 minutes ahead of its receipt a stamp is not believed; less is clock drift."""
    far = given(task_created(at=0), task("task.updated", at=7200, TaskPriority="9"), received_at=60).the("task", "t")
    assert (far["updated_at"], far["timed_by_receipt_count"], far["priority"]) == (ms(60), 1, 9)
    near = given(task_created(at=0), task("task.updated", at=300, TaskPriority="9"), received_at=60).the("task", "t")
    assert (near["updated_at"], near["timed_by_receipt_count"]) == (ms(300), 0)


@pytest.mark.parametrize("stamp", ["", "soon", "-5", "9" * 30, "0"])
def test_a_callback_without_a_readable_stamp_is_timed_by_its_receipt(stamp: str) -> None:
    """No TimestampMs, no Timestamp: the receipt, and marked."""
    row = given(task_created(at=0, TimestampMs=stamp, Timestamp=stamp), received_at=60).the("task", "t")
    assert (row["created_at"], row["timed_by_receipt_count"]) == (ms(60), 1)


def test_whole_seconds_do_when_milliseconds_are_missing() -> None:
    """Timestamp in seconds stands in for TimestampMs."""
    row = given(task_created(at=3.7, TimestampMs="")).the("task", "t")
    assert (row["created_at"], row["timed_by_receipt_count"]) == (ms(3), 0)


@pytest.mark.parametrize(
    "event", ["workflow.timeout", "workflow.skipped", "workflow.rejected", "reservation.updated", "workflow.entered"]
)
def test_events_that_only_show_a_snapshot(event: str) -> None:
    """Their status is what they state; none of them ends a task by itself."""
    row = given(task_created(at=0), task(event, at=1, TaskPriority="4")).the("task", "t")
    assert (row["status"], row["priority"]) == ("pending", 4)
