"""What REST shows becomes an observation: the state at the end of a second, which says nothing new where callbacks have told it."""

from typing import Any

import pytest

from projector.feeds.observe import KINDS, observations, settled
from projector.feeds.shape import Unreadable
from projector.log import Entry, Rejected
from projector.log.admit import admit
from projector.taskrouter.event_types import EVENT_TYPES, OBSERVED
from tests.given import (
    ACCOUNT,
    START_MS,
    WORKSPACE,
    Parameters,
    given,
    given_in_any_order,
    ms,
    reservation,
    sid,
    task,
    task_created,
    worker,
)
from tests.reshaping import iso

SECOND = START_MS // 1000
TRACES = {"folded_to", "callback_count", "updated_at", "last_event_sid", "observed"}  # that something was told, whatever it said


def date(at: float) -> str:
    """A date of Twilio's: whole seconds."""
    return iso((ms(at) // 1000) * 1000).replace(".000Z", "Z")


def resource(kind: str, name: str, at: float, **more: Any) -> dict[str, Any]:
    """What every resource has."""
    prefix = {"worker": "WK", "task": "WT", "reservation": "WR", "activity": "WA", "worker channel": "WC"}.get(kind, "WQ")
    return {
        "sid": sid(prefix, name), "account_sid": ACCOUNT, "workspace_sid": WORKSPACE, "date_created": date(0), "date_updated": date(at),
        "friendly_name": name,
    } | more  # fmt: skip


def seen(kind: str, name: str, at: float, **more: Any) -> list[Parameters]:
    return list(observations(kind, resource(kind, name, at, **more)))


def ann(at: float, activity: str, since: float) -> list[Parameters]:
    """Worker ann as REST shows her."""
    return seen(
        "worker", "ann", at, attributes='{"skills":["a"]}', activity_sid=sid("WA", activity), activity_name=activity, date_status_changed=date(since),
    )  # fmt: skip


def without_traces(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TRACES and not name.endswith("_order")}


def test_a_worker_makes_two_observations() -> None:
    """Its activity since its own date, all else since the last change of anything; each at the end of its second."""
    whole, activity = ann(at=90.4, activity="Busy", since=70.2)
    assert whole["EventType"] == "worker.observed"
    assert whole["TimestampMs"] == str((SECOND + 90) * 1000 + 999)
    assert (activity["EventType"], activity["TimestampMs"]) == ("worker.activity.observed", str((SECOND + 70) * 1000 + 999))
    assert (activity["WorkerActivitySid"], activity["WorkerActivityName"]) == (sid("WA", "Busy"), "Busy")
    assert "WorkerActivitySid" not in whole


def test_the_same_thing_shown_twice_is_one_event() -> None:
    """Its Sid follows from what is shown and since when."""
    assert ann(90, "Busy", 70) == ann(90, "Busy", 70)
    sids = {told["Sid"] for told in (*ann(90, "Busy", 70), *ann(91, "Busy", 70), *ann(90, "Busy", 71), *ann(90, "Idle", 70))}
    assert len(sids) == 5  # the activity at 70 is the same one twice, and so is all else at 90


def test_every_kind_makes_events_that_are_known_and_let_in() -> None:
    """Under Sids that no feed of Twilio's may bring."""
    made = [
        told
        for kind in KINDS
        for told in seen(kind, "x", 1, worker_sid=sid("WK", "w"), task_sid=sid("WT", "t"), task_channel_sid=sid("TC", "c"))
    ]
    assert {told["EventType"] for told in made} == {name for name, known in EVENT_TYPES.items() if known.rank == OBSERVED}
    for told in made:
        entry = admit(told, "rest")
        assert isinstance(entry, Entry)
        assert entry.unit is not None
        assert isinstance(admit(told, "import"), Entry)
        assert isinstance(admit(told, "callback"), Rejected)
        assert isinstance(admit(told | {"Sid": sid("EV", "x")}, "rest"), Rejected)


def test_a_worker_is_right_from_the_first_moment() -> None:
    """Activity and since when, attributes, creation."""
    row = given(*ann(90, "Busy", 70), source="rest").the("worker", "ann")
    assert (row["activity_sid"], row["activity_since"]) == (sid("WA", "Busy"), (SECOND + 70) * 1000 + 999)
    assert (row["attributes"], row["created_at"], row["friendly_name"]) == ('{"skills":["a"]}', SECOND * 1000, "ann")


def test_what_callbacks_have_told_is_not_told_again() -> None:
    """Whether they come before the observation or long after it: the history is theirs."""
    story = [worker("created", 0), worker("activity.update", 70.2, activity="Busy", WorkerPreviousActivitySid=sid("WA", "Idle"), WorkerTimeInPreviousActivityMs="70200")]  # fmt: skip
    alone, both = given(*story), given_in_any_order(*story, *ann(70.2, "Busy", 70.2))
    assert both.spans("worker_activity_span", "ann") == alone.spans("worker_activity_span", "ann")
    assert both.spans("worker_attributes_span", "ann") == alone.spans("worker_attributes_span", "ann")
    assert without_traces(both.the("worker", "ann")) == without_traces(alone.the("worker", "ann"))


def test_two_changes_in_the_second_of_the_observation_are_both_kept() -> None:
    """The observation shows the last of them, and comes behind them."""
    story = [
        worker("created", 0),
        worker("activity.update", 70.2, activity="Busy"),
        worker("activity.update", 70.8, activity="Lunch"),
    ]
    told = given_in_any_order(*story, *ann(70.8, "Lunch", 70.8))
    assert told.the("worker", "ann")["activity_since"] == ms(70.8)
    assert [(span.started_ms, span.ended_ms) for span in told.spans("worker_activity_span", "ann")] == [
        (ms(0), ms(70.2)), (ms(70.2), ms(70.8)), (ms(70.8), None),
    ]  # fmt: skip


def test_a_version_does_not_put_a_callback_behind_an_observation() -> None:
    """Of the very millisecond: REST shows no version."""
    story = [worker("created", 0), worker("activity.update", 70.999, activity="Busy", WorkerVersion="7")]
    told = given_in_any_order(*story, *ann(70.999, "Busy", 70.999))
    assert len(told.spans("worker_activity_span", "ann")) == 2


def test_an_activity_that_no_callback_told_is_a_new_fact_and_a_gap() -> None:
    """Nothing is overwritten: what was known ends where the observation begins; and once the callback comes, the gap is gone."""
    created, missed = worker("created", 0), worker("activity.update", 70.2, activity="Busy")
    told = given_in_any_order(created, *ann(70.2, "Busy", 70.2))
    (gap,) = told.gaps("ann")
    assert (gap["reason"], gap["missing_event_type"]) == ("observed_otherwise", "worker.activity.update")
    assert [(span.started_ms, span.activity_name) for span in told.spans("worker_activity_span", "ann")] == [
        (ms(0), "Idle"), ((SECOND + 70) * 1000 + 999, "Busy"),
    ]  # fmt: skip
    assert given_in_any_order(created, missed, *ann(70.2, "Busy", 70.2)).gaps("ann") == []


def test_the_next_update_agrees_with_what_was_observed() -> None:
    """It says how long the activity lasted, to the millisecond; the observation is less than a second off."""
    update = worker("activity.update", 100, WorkerPreviousActivitySid=sid("WA", "Busy"), WorkerTimeInPreviousActivityMs="29800")
    assert given_in_any_order(*ann(70.2, "Busy", 70.2), update).gaps("ann") == []


VOICE = {"task_channel_sid": sid("TC", "voice"), "task_channel_unique_name": "voice"}


def channel(at: float, capacity: int, *, available: bool = True) -> list[Parameters]:
    return seen(
        "worker channel", "ann voice", at, worker_sid=sid("WK", "ann"), available=available, configured_capacity=capacity, **VOICE
    )


def test_a_channel_has_its_configured_capacity_until_it_changes() -> None:
    """`worker.capacity.update` says the next one."""
    update = worker(
        "capacity.update",
        50,
        TaskChannelSid=sid("TC", "voice"),
        WorkerChannelAvailable="true",
        WorkerChannelAvailableCapacity="5",
    )
    assert given(*channel(10, 3)).the("worker_channel", "ann", "voice")["updated_capacity"] == 3
    told = given_in_any_order(*channel(10, 3), update)
    assert told.the("worker_channel", "ann", "voice")["updated_capacity"] == 5
    assert [span.updated_capacity for span in told.spans("worker_channel_span", "ann", "voice")] == [3, 5]
    assert given_in_any_order(update, *channel(50, 5)).spans("worker_channel_span", "ann", "voice") == given(update).spans("worker_channel_span", "ann", "voice")  # fmt: skip


def queued(status: str, at: float, **more: Any) -> list[Parameters]:
    """Task t as REST shows it, in queue Support since second 1."""
    return seen(
        "task", "t", at, attributes='{"type":"call"}', priority=0, assignment_status=status, task_queue_sid=sid("WQ", "support"),
        task_queue_friendly_name="Support", workflow_sid=sid("WW", "main"), workflow_friendly_name="Main", reason="",
        task_queue_entered_date=date(1), ignore_capacity=False, **VOICE, **more,
    )  # fmt: skip


def offered(status: str, at: float) -> list[Parameters]:
    """Its offer to ann."""
    return seen(
        "reservation",
        "r",
        at,
        reservation_status=status,
        task_sid=sid("WT", "t"),
        worker_sid=sid("WK", "ann"),
        worker_name="ann",
        **VOICE,
    )


def test_a_task_waits_since_it_entered_its_queue() -> None:
    """Not since it was observed."""
    row = given(*queued("pending", 5)).the("task", "t")
    assert (row["status"], row["created_at"], row["queue_entered_at"], row["visit_since"]) == ("pending", ms(0), ms(1), ms(1))


def test_a_task_that_callbacks_told_of_stays_theirs() -> None:
    """Status, visit and offer: the same spans, the same row."""
    story = [
        task_created(0.2, TaskVersion="1"), task("task-queue.entered", 1.3, TaskAssignmentStatus="pending", TaskVersion="2"),
        reservation("created", 5.1, TaskVersion="3"), reservation("accepted", 6.7, TaskVersion="4"),
    ]  # fmt: skip
    alone, both = given(*story), given_in_any_order(*story, *queued("assigned", 6.7), *offered("accepted", 6.7))
    assert sorted(both.history, key=repr) == sorted(alone.history, key=repr)
    for table, name in (("task", "t"), ("reservation", "r")):
        assert without_traces(both.the(table, name)) == without_traces(alone.the(table, name)) | (
            {"ignore_capacity": False} if table == "task" else {}  # which no callback told
        )


def test_an_offer_is_its_workers_load_from_the_first_moment() -> None:
    """Its status, its channel, when it was made; and the rest of its life is told by callbacks."""
    row = given(*queued("assigned", 6), *offered("accepted", 6)).the("reservation", "r")
    assert (row["status"], row["worker_sid"], row["task_channel_sid"], row["created_at"]) == ("accepted", sid("WK", "ann"), sid("TC", "voice"), ms(0))  # fmt: skip
    ended = given_in_any_order(
        *queued("assigned", 6), *offered("accepted", 6), reservation("wrapup", 9), reservation("completed", 12)
    )
    assert ended.the("reservation", "r")["completed_at"] == ms(12)
    assert [span.status for span in ended.spans("reservation_status_span", "r")] == ["accepted", "wrapping"]


@pytest.mark.parametrize(
    ("status", "column"), [("completed", "completed_at"), ("timeout", "timed_out_at"), ("rejected", "rejected_at")]
)
def test_an_offer_whose_end_was_lost_is_ended_by_what_is_shown(status: str, column: str) -> None:
    """A new fact, at the second of its date; the first end stands."""
    story = [reservation("created", 5.1), *offered(status, 9)]
    assert given_in_any_order(*story).the("reservation", "r")[column] == (SECOND + 9) * 1000 + 999


def test_an_activity_is_available_or_not() -> None:
    """Which no other callback tells."""
    assert given(*seen("activity", "Busy", 1, available=False)).the("activity", "Busy")["available"] is False


def test_what_changed_in_the_second_it_was_asked_for_is_not_settled() -> None:
    """It may change once more before that second is over."""
    shown = resource("worker", "ann", 90, date_status_changed=date(70))
    assert settled("worker", shown, SECOND + 91)
    assert not settled("worker", shown, SECOND + 90)
    assert not settled("worker", resource("worker", "ann", 60, date_status_changed=date(90)), SECOND + 90)


@pytest.mark.parametrize(
    "shown",
    [{}, {"sid": 5}, {"sid": "WK1", "workspace_sid": "WS1"}, {"sid": "WK1", "workspace_sid": "WS1", "date_updated": "soon"}],
)
def test_what_has_no_sid_or_date_is_told_in_words(shown: dict[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises(Unreadable, match="has no sid or no date_"):
        list(observations("worker", shown))
