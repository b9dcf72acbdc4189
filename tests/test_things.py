"""Activities, queues, workflows, channels, workspaces: what their own callbacks and mentions make of them."""

import itertools

import pytest

from projector.taskrouter.event_types import EVENT_TYPES, SPELLINGS
from tests.given import WORKSPACE, Parameters, callback, given, ms, reservation, sid, task, task_created, worker

NAMED = {
    "activity": ("ActivitySid", "WA", {"ActivityName": "Lunch", "ActivityAvailable": "false"}),
    "task-queue": ("TaskQueueSid", "WQ", {"TaskQueueName": "Support", "TaskQueueTargetExpression": "1==1"}),
    "workflow": ("WorkflowSid", "WW", {"WorkflowName": "Main"}),
    "task-channel": ("TaskChannelSid", "TC", {"TaskChannelName": "Voice", "TaskChannelUniqueName": "voice", "TaskChannelOptimizedRouting": "true"}),
}  # fmt: skip


def thing(event_type: str, at: float, name: str = "x", **parameters: str) -> Parameters:
    key, prefix, said = NAMED[event_type.partition(".")[0]]
    return callback(event_type, at, **{key: sid(prefix, name)} | said | parameters)


def test_an_activity_knows_whether_it_is_available() -> None:
    """Only activity.* callbacks tell; a mention names the activity and leaves availability unknown."""
    assert given(thing("activity.created", at=0)).the("activity", "x")["available"] is False
    assert given(worker("created", at=0, activity="x")).the("activity", "x")["available"] is None


@pytest.mark.parametrize("kind", list(NAMED))
def test_a_thing_is_created_renamed_and_deleted(kind: str) -> None:
    """created, updated, deleted: named as last told, deleted at its stamp, its name kept."""
    updated = "task-queue.expression.updated" if kind == "task-queue" else f"{kind}.updated"
    renamed = {f"{kind.title().replace('-', '')}Name": "New"}
    told = given(thing(f"{kind}.created", at=0), thing(updated, at=5, **renamed), thing(f"{kind}.deleted", at=9, **renamed))
    row = told.the(kind.replace("-", "_"), "x")
    assert (row["friendly_name"], row["first_seen_at"], row["deleted_at"]) == ("New", ms(0), ms(9))
    assert row["last_event_sid"] == thing(f"{kind}.deleted", at=9, **renamed)["Sid"]


def test_a_queue_is_renamed_by_any_callback_that_mentions_it() -> None:
    """A rename fires no callback of the queue's own: the latest mention names it, whatever arrives first."""
    story = (
        thing("task-queue.created", at=0, name="support"),
        task_created(at=1, TaskQueueName="Support", TaskQueueTargetExpression="1==1"),
        task("task.updated", at=3, TaskQueueName="Service", TaskQueueTargetExpression="a HAS 'b'"),
        task("task.updated", at=2, TaskQueueName="Support"),
    )
    for order in itertools.permutations(story):
        row = given(*order).the("task_queue", "support")
        assert (row["friendly_name"], row["target_workers"], row["callback_count"]) == ("Service", "a HAS 'b'", 1)


def test_what_is_only_mentioned_has_a_row() -> None:
    """A reservation makes sure that worker, queue, workflow, channel, activity and workspace exist and are named."""
    told = given(reservation("created", at=1))
    for table, names, column, value in (
        ("worker", ("ann",), "friendly_name", "ann"), ("task_queue", ("support",), "friendly_name", "Support"),
        ("workflow", ("main",), "friendly_name", "Main"), ("task_channel", ("voice",), "unique_name", "voice"),
        ("activity", ("Idle",), "friendly_name", "Idle"), ("workspace", (), "friendly_name", "Test floor"),
        ("worker_channel", ("ann", "voice"), "unique_name", "voice"),
    ):  # fmt: skip
        row = told.the(table, *names)
        assert (row[column], row["first_seen_at"], row["updated_at"]) == (value, ms(1), None), table


def test_a_previous_activity_is_a_mention_too() -> None:
    """It may be the only trace of an Activity."""
    previous = {"WorkerPreviousActivitySid": sid("WA", "Gone"), "WorkerPreviousActivityName": "Gone"}
    assert given(worker("activity.update", at=1, **previous)).the("activity", "Gone")["friendly_name"] == "Gone"


def test_a_channel_without_optimized_routing_says_nothing_of_it() -> None:
    """Known only from its own callbacks."""
    assert given(thing("task-channel.created", at=0)).the("task_channel", "x")["optimized_routing"] is True


def test_a_workspace_is_dated_by_its_own_callbacks() -> None:
    """workspace.* name and date it."""
    row = given(callback("workspace.created", at=0), callback("workspace.deleted", at=9)).rows["workspace"][(WORKSPACE,)]
    assert (row["friendly_name"], row["deleted_at"]) == ("Test floor", ms(9))


def test_unknown_types_change_nothing_but_what_they_mention() -> None:
    """A type from a later TaskRouter folds no unit; the workspace it names exists."""
    told = given(callback("worker.teleported", at=0, WorkerSid=sid("WK", "ann"), WorkerName="ann"))
    assert told.the("worker", "ann")["callback_count"] == 0
    assert told.the("worker", "ann")["friendly_name"] == "ann"


@pytest.mark.parametrize(("spelling", "canonical"), SPELLINGS.items())
def test_other_spellings_do_the_same(spelling: str, canonical: str) -> None:
    """Event Streams and third parties spell some types differently."""
    body = {"TaskSid": sid("WT", "t"), "TaskQueueSid": sid("WQ", "q"), "TaskAssignmentStatus": "canceled"}
    one, other = (
        given(callback(spelling, at=1, Sid=sid("EV", "1"), **body)),
        given(callback(canonical, at=1, Sid=sid("EV", "1"), **body)),
    )
    assert one.rows == other.rows


def test_every_type_of_the_reference_page_has_a_unit_and_an_effect() -> None:
    """49 types on the page, each with its effect in words; the rest are extra."""
    extra = ("workflow.rejected", "reservation.updated", "task-queue.updated")
    page = [name for name in EVENT_TYPES if name not in extra and not name.endswith(".observed")]
    assert len(page) == 49
    assert all(EVENT_TYPES[name].effect for name in page)


def test_a_resource_sid_stands_in_for_a_missing_one() -> None:
    """ResourceSid names the unit when the type's own parameter is absent."""
    row = given(callback("task.updated", at=1, ResourceSid=sid("WT", "t"), TaskPriority="2")).the("task", "t")
    assert row["priority"] == 2


def test_a_sid_too_long_to_be_one_is_none() -> None:
    """It would not fit an index; the callback is kept, its unit is not."""
    assert given(callback("task.updated", at=1, TaskSid="WT" + "f" * 5000)).rows["task"] == {}
