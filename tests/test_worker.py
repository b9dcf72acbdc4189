"""What callbacks make of a Worker and its channels."""

import itertools

import pytest

from tests.given import given, ms, reservation, sid, task_created, worker

VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}


def test_a_worker_is_in_the_activity_it_entered_last() -> None:
    """worker.created and worker.activity.update say which activity, and since when."""
    row = given(worker("created", at=0, activity="Offline"), worker("activity.update", at=10, activity="Idle")).the(
        "worker", "ann"
    )
    assert (row["activity_name"], row["activity_since"], row["created_at"]) == ("Idle", ms(10), ms(0))


def test_a_snapshot_never_moves_a_worker() -> None:
    """Recorded: reservation.accepted still says Idle; the attributes update may, too. Only activity events move a worker."""
    told = given(
        worker("created", at=0, activity="Idle"),
        worker("activity.update", at=10, activity="Busy"),
        worker("attributes.update", at=11, activity="Idle", WorkerAttributes='{"x":1}'),
        task_created(at=11),
        reservation("accepted", at=12),
    )
    row = told.the("worker", "ann")
    assert (row["activity_name"], row["activity_since"], row["attributes"]) == ("Busy", ms(10), '{"x":1}')
    assert told.the("reservation", "r")["worker_activity_name"] == "Idle"


def test_a_worker_created_without_an_activity_name() -> None:
    """Recorded in 2018: WorkerActivitySid without WorkerActivityName."""
    created = worker("created", at=0)
    del created["WorkerActivityName"]
    row = given(created).the("worker", "ann")
    assert (row["activity_sid"], row["activity_name"]) == (sid("WA", "Idle"), None)


def test_a_worker_named_by_its_resource_sid_alone_is_named_all_the_same() -> None:
    """ResourceSid stands in for WorkerSid: for the fold, for the name, for the channel."""
    created = worker("created", at=0)
    changed = worker("capacity.update", at=1, WorkerChannelAvailableCapacity="3", WorkerChannelCapacity="2", **VOICE)
    for body in (created, changed):
        body["ResourceSid"] = body.pop("WorkerSid")
    told = given(created, changed)
    assert (told.the("worker", "ann")["friendly_name"], told.the("worker", "ann")["first_seen_at"]) == ("ann", ms(0))
    assert told.the("worker_channel", "ann", "voice")["stated_capacity"] == 2


def test_a_lying_deletion_takes_effect_at_its_receipt() -> None:
    """Recorded: worker.deleted carries the creation's stamp. Live, its receipt is the best time there is."""
    story = (worker("created", at=0), worker("activity.update", at=50, activity="Busy"), worker("deleted", at=0))
    for order in itertools.permutations(story):
        row = given(*order, received_at=100).the("worker", "ann")
        assert (row["deleted_at"], row["deleted_at_basis"], row["activity_name"]) == (ms(100), "receipt", "Busy")


def test_an_imported_lying_deletion_takes_effect_at_the_last_fact() -> None:
    """The receipt of an import says nothing about when the worker was deleted."""
    story = (worker("created", at=0), worker("activity.update", at=50, activity="Busy"), worker("deleted", at=0))
    row = given(*story, source="import", received_at=100).the("worker", "ann")
    assert (row["deleted_at"], row["deleted_at_basis"]) == (ms(50), "last_fact")


def test_an_honest_deletion_takes_effect_at_its_stamp() -> None:
    """A stamp later than every other callback of the worker is believed."""
    row = given(worker("deleted", at=60), worker("created", at=0), received_at=100).the("worker", "ann")
    assert (row["deleted_at"], row["deleted_at_basis"], row["last_event_sid"]) == (
        ms(60),
        "stamp",
        worker("deleted", at=60)["Sid"],
    )


def test_a_deletion_makes_no_later_callback_late() -> None:
    """Callbacks that arrive after the deletion fold on, and move its effective time where it rests on them."""
    story = (worker("created", at=0), worker("deleted", at=0), worker("activity.update", at=50, activity="Busy"))
    row = given(*story, source="import", page=1).the("worker", "ann")
    assert (row["deleted_at"], row["activity_name"], row["callback_count"]) == (ms(50), "Busy", 2)


def test_capacity_and_availability_of_one_channel() -> None:
    """Channel events speak of their one channel: availability, capacity as updated, and every figure as reported."""
    told = given(
        worker("created", at=0),
        worker("capacity.update", at=1, WorkerChannelAvailableCapacity="3", WorkerChannelPreviousCapacity="1", **VOICE),
        worker("channel.availability.update", at=2, WorkerChannelAvailable="false", WorkerChannelTaskCount="2", **VOICE),
    )
    row = told.the("worker_channel", "ann", "voice")
    assert (row["available"], row["updated_capacity"], row["unique_name"]) == (False, 3, "voice")
    assert (row["reported_available_capacity"], row["reported_previous_capacity"], row["reported_task_count"]) == ("3", "1", "2")


def test_an_availability_update_is_no_capacity_update() -> None:
    """WorkerChannelAvailableCapacity of an availability update is kept as reported and configures nothing."""
    told = given(
        worker("channel.availability.update", at=2, WorkerChannelAvailable="1", WorkerChannelAvailableCapacity="66", **VOICE)
    )
    row = told.the("worker_channel", "ann", "voice")
    assert (row["available"], row["updated_capacity"], row["reported_available_capacity"]) == (True, None, "66")


def test_a_capacity_stated_by_a_reservation_is_known_without_folding_the_worker() -> None:
    """WorkerChannelCapacity reaches the channel by mention, the latest one standing, in any order of arrival."""
    story = (
        reservation("created", at=1, WorkerChannelCapacity="2"),
        reservation("accepted", at=2, WorkerChannelCapacity="4"),
        worker("capacity.update", at=1.5, WorkerChannelAvailableCapacity="3", **VOICE),
    )
    for order in itertools.permutations(story):
        row = given(*order).the("worker_channel", "ann", "voice")
        assert (row["stated_capacity"], row["updated_capacity"]) == (4, 3)


@pytest.mark.parametrize("capacity", ["-1", "many", "", "9" * 40])
def test_a_capacity_that_is_none_configures_nothing(capacity: str) -> None:
    """Negative and unreadable capacities stay raw."""
    row = given(worker("capacity.update", at=1, WorkerChannelAvailableCapacity=capacity, **VOICE)).the(
        "worker_channel", "ann", "voice"
    )
    assert row["updated_capacity"] is None
