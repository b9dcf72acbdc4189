"""What was so at a moment: workers, tasks, reservations, queues, and who was where. Law 4, on both databases."""

import json
import re
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import URL

from projector.errors import NotFound, Unanswerable
from projector.read.when import moment
from projector.read.worker import available_percentage
from projector.taskrouter.span import LONGEST_MS
from tests.given import (
    WORKSPACE,
    Parameters,
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
from tests.looking import Floor, looking_at
from tests.test_cli import run

VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
VIP = {"TaskQueueSid": sid("WQ", "vip"), "TaskQueueName": "VIP"}
DAY = 86_400


@pytest.fixture
def floor(url: URL) -> Iterator[Floor]:
    with looking_at(url) as looked_at:
        yield looked_at


def capacity(at: float, count: int, name: str = "ann") -> Parameters:
    return worker("capacity.update", at, name, WorkerChannelAvailableCapacity=str(count), **VOICE)


def entered(at: float, name: str = "t", **parameters: str) -> Parameters:
    return task("task-queue.entered", at, name, TaskAssignmentStatus="pending", **parameters)


def test_a_worker_around_a_change_of_activity(floor: Floor) -> None:
    """The millisecond before it is in the old activity, from that millisecond on in the new one; each with its callback."""
    created, busy = worker("created", at=10, activity="Idle"), worker("activity.update", at=20, activity="Busy")
    floor.told(created, busy, worker("activity.update", at=30, activity="Away"))
    assert floor.worker(9.999) is None
    seen = []
    for at in (10, 19.999, 20, 29.999, 30, 9_000):
        found = floor.worker(at)
        assert found is not None
        seen.append((at, found["activity"]["activity_name"], found["activity"]["since"], found["activity"]["until"]))
    assert seen == [
        (10, "Idle", ms(10), ms(20)),
        (19.999, "Idle", ms(10), ms(20)),
        (20, "Busy", ms(20), ms(30)),
        (29.999, "Busy", ms(20), ms(30)),
        (30, "Away", ms(30), None),
        (9_000, "Away", ms(30), None),
    ]
    at_25 = floor.worker(25)
    assert at_25 is not None
    assert at_25["activity"]["event_sid"] == busy["Sid"]


def test_two_changes_in_one_millisecond(floor: Floor) -> None:
    """The later one in order stands; the spell without length between them is never seen."""
    floor.told(
        worker("created", at=0, activity="Idle"),
        worker("activity.update", at=5, activity="Busy", WorkerVersion="1"),
        worker("activity.update", at=5, activity="Away", WorkerVersion="2"),
        worker("activity.update", at=8, activity="Idle", WorkerVersion="3"),
    )
    assert [floor.worker(at)["activity"]["activity_name"] for at in (4.999, 5, 7.999, 8)] == ["Idle", "Away", "Away", "Idle"]


def test_attributes_and_version_are_those_last_told_by_then(floor: Floor) -> None:
    """Attributes from their span, the version from the last callback stamped by then."""
    first, second = ('{"skills":["a"]}', '{"skills":["a","b"]}')
    floor.told(
        worker("created", at=0, WorkerVersion="0"),
        worker("attributes.update", at=5, WorkerVersion="3", WorkerAttributes=second),
        worker("activity.update", at=9, activity="Busy", WorkerVersion="4", WorkerAttributes=second),
    )
    seen = [(floor.worker(at)["attributes"]["attributes"], floor.worker(at)["version"]) for at in (4.999, 5, 8.999, 9)]
    assert seen == [(first, 0), (second, 3), (second, 3), (second, 4)]


def test_a_late_callback_changes_what_was(floor: Floor) -> None:
    """Everything known is folded first: what arrives today about yesterday is in yesterday's answer."""
    floor.told(worker("created", at=0), worker("activity.update", at=20, activity="Busy"))
    assert floor.worker(15)["activity"]["activity_name"] == "Idle"
    floor.told(worker("activity.update", at=10, activity="Away"))
    assert [floor.worker(at)["activity"]["activity_name"] for at in (9.999, 10, 15, 20)] == ["Idle", "Away", "Away", "Busy"]


def test_an_activity_as_named_then_and_as_named_now(floor: Floor) -> None:
    """The span keeps the name that was sent; the activity's row has the one of today."""
    floor.told(
        callback("activity.created", at=0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
        worker("created", at=1, activity="Idle"),
        worker("activity.update", at=5, activity="Busy"),
        callback("activity.updated", at=9, ActivitySid=sid("WA", "Idle"), ActivityName="Ready", ActivityAvailable="true"),
    )
    activity = floor.worker(3)["activity"]
    assert (activity["activity_name"], activity["activity_name_now"], activity["available"]) == ("Idle", "Ready", True)
    assert floor.worker(6)["activity"]["available"] is None


def test_a_worker_as_named_then_and_as_named_now(floor: Floor) -> None:
    """A renamed worker keeps its old name in old spans."""
    floor.told(
        worker("created", at=0),
        worker("activity.update", at=5, activity="Busy", WorkerName="Ann B."),
    )
    assert (floor.worker(3)["worker_name"], floor.worker(3)["worker_name_now"]) == ("ann", "Ann B.")


def test_a_lying_delete_takes_effect_when_it_was_received(floor: Floor) -> None:
    """worker.deleted is stamped with the creation: the worker was there until the receipt, and says why."""
    floor.told(
        worker("created", at=0), worker("activity.update", at=50, activity="Busy"), worker("deleted", at=0), received_at=100
    )
    assert floor.worker(99.999)["activity"]["activity_name"] == "Busy"
    assert floor.worker(100) is None
    gone = floor.at(sid("WK", "ann"), 100)
    assert (gone["exists"], gone["why"], gone["deleted_at"], gone["deleted_at_basis"]) == (False, "deleted", ms(100), "receipt")


def test_a_channel_at_a_moment(floor: Floor) -> None:
    """Availability and configured capacity as told by then; before anything was told of it the channel is not there."""
    updated, unavailable = (
        capacity(at=5, count=3),
        worker("channel.availability.update", at=8, WorkerChannelAvailable="0", **VOICE),
    )
    floor.told(worker("created", at=0), updated, unavailable, capacity(at=12, count=4))
    assert floor.worker(4.999)["channels"] == []
    seen = []
    for at in (5, 7.999, 8, 12):
        row = floor.channel(at)
        seen.append((row["available"], row["configured_capacity"], row["configured_capacity_basis"], row["event_sid"]))
    assert seen[:3] == [
        (None, 3, "updated", updated["Sid"]),
        (None, 3, "updated", updated["Sid"]),
        (False, 3, "updated", unavailable["Sid"]),
    ]
    assert seen[3][:2] == (False, 4)


def test_a_stated_capacity_stands_before_a_reported_one(floor: Floor) -> None:
    """WorkerChannelCapacity with a reservation, from its moment on, with its callback."""
    stated = reservation("created", at=6, WorkerChannelCapacity="5")
    floor.told(worker("created", at=0), capacity(at=1, count=3), stated)
    before, then = floor.channel(5.999), floor.channel(6)
    assert (before["configured_capacity"], before["configured_capacity_basis"]) == (3, "updated")
    assert (then["configured_capacity"], then["configured_capacity_basis"]) == (5, "stated")
    assert then["configured_capacity_event_sid"] == stated["Sid"]


def test_load_and_available_percentage(floor: Floor) -> None:
    """Pending, accepted and wrapping all take capacity: floor((1 − load / 3) × 100)."""
    floor.told(
        worker("created", at=0), capacity(at=0.5, count=3),
        *(task_created(at=0.9, task_=name) for name in "abc"),
        reservation("created", 1, "ra", "a"), reservation("accepted", 2, "ra", "a"),
        reservation("created", 3, "rb", "b"), reservation("created", 4, "rc", "c"),
        reservation("wrapup", 5, "ra", "a"), reservation("completed", 6, "ra", "a"), reservation("rejected", 7, "rb", "b"),
    )  # fmt: skip
    seen = []
    for at in (0.999, 1, 2, 3, 4, 5, 6, 7):
        row = floor.channel(at)
        seen.append((row["pending"], row["accepted"], row["wrapping"], row["available_percentage"]))
    assert seen == [
        (0, 0, 0, 100), (1, 0, 0, 66), (0, 1, 0, 66), (1, 1, 0, 33), (2, 1, 0, 0), (2, 0, 1, 0), (2, 0, 0, 33), (1, 0, 0, 66),
    ]  # fmt: skip


def test_a_task_that_ignores_capacity_is_open_and_takes_none(floor: Floor) -> None:
    """TaskIgnoreCapacity: among the reservations, not in the load."""
    floor.told(
        worker("created", at=0), capacity(at=0.5, count=1),
        reservation("created", 1, "ra", "a"), reservation("created", 2, "rb", "b", TaskIgnoreCapacity="true"),
        reservation("accepted", 3, "rb", "b", TaskIgnoreCapacity="true"),
    )  # fmt: skip
    for at, status in ((2, "pending"), (3, "accepted")):
        found, row = floor.worker(at), floor.channel(at)
        assert {offer["reservation_sid"]: offer["status"] for offer in found["reservations"]} == {
            sid("WR", "ra"): "pending",
            sid("WR", "rb"): status,
        }
        assert (row["load"], row["available_percentage"]) == (1, 0)


@pytest.mark.parametrize(
    ("configured", "load", "percentage"),
    [(None, 0, None), (0, 0, 0), (0, 2, 0), (1, 0, 100), (1, 1, 0), (1, 3, 0), (3, 1, 66), (3, 2, 33), (100, 1, 99), (7, 6, 14)],
)
def test_available_percentage(configured: int | None, load: int, percentage: int | None) -> None:
    """Unknown capacity: unknown. A capacity of 0 has room for nothing. Never below 0; rounded down, without a float's error."""
    assert available_percentage(configured, load) == percentage


def test_a_worker_known_by_its_reservations_alone(floor: Floor) -> None:
    """A projector that joined late: nothing of its own was told, but its load is known."""
    floor.told(task_created(at=0), reservation("created", at=1), reservation("accepted", at=2), reservation("completed", at=9))
    found = floor.worker(5)
    assert (found["activity"], found["version"], found["worker_name"]) == (None, None, "ann")
    assert floor.channel(5)["accepted"] == 1
    assert floor.worker(9) is None
    assert floor.at(sid("WK", "ann"), 9)["why"] == "only_mentioned"


def test_a_task_at_each_step(floor: Floor) -> None:
    """Status, reason and the callback that told it; attributes and priority as last told by then."""
    created, accepted = task_created(at=1, TaskPriority="1"), reservation("accepted", at=4, TaskPriority="1")
    completed = task_completed(at=70, Reason="done", TaskPriority="7", TaskAttributes='{"csat":5}')
    floor.told(
        created, entered(at=1.5, TaskPriority="1"), reservation("created", at=2, TaskPriority="1"), accepted,
        task("task.updated", at=9, TaskAssignmentStatus="assigned", TaskPriority="7", TaskAttributes='{"a":1}'),
        reservation("completed", at=69, TaskAssignmentStatus="assigned", TaskPriority="7"), completed,
    )  # fmt: skip
    assert floor.task(0.999) is None
    assert floor.at(sid("WT", "t"), 0.999)["why"] == "not_yet"
    seen = []
    for at in (1, 2, 4, 8.999, 9, 69.999, 70, 10_000):
        found = floor.task(at)
        seen.append((found["status"], found["priority"], found["reason"], found["since"]))
    assert seen == [
        ("pending", 1, None, ms(1)),
        ("reserved", 1, None, ms(2)),
        ("assigned", 1, None, ms(4)),
        ("assigned", 1, None, ms(4)),
        ("assigned", 7, None, ms(4)),
        ("assigned", 7, None, ms(4)),
        ("completed", 7, "done", ms(70)),
        ("completed", 7, "done", ms(70)),
    ]
    assert [floor.task(at)["attributes"] for at in (8.999, 9, 70)] == ['{"type":"call"}', '{"a":1}', '{"csat":5}']
    assert [floor.task(at)["event_sid"] for at in (1, 5, 70)] == [created["Sid"], accepted["Sid"], completed["Sid"]]


def test_a_transfer_has_two_live_reservations(floor: Floor) -> None:
    """Warm: both talk. Each with the worker it is with, and the status it had then."""
    floor.told(
        task_created(at=0),
        reservation("created", 1, "first", worker="ann"), reservation("accepted", 2, "first", worker="ann"),
        task("task.transfer-initiated", at=10, TaskAssignmentStatus="reserved"),
        reservation("created", 11, "second", worker="bob"), reservation("accepted", 12, "second", worker="bob"),
        task("task.transfer-completed", at=12.1, TaskAssignmentStatus="assigned"),
        reservation("wrapup", 13, "first", worker="ann", TaskAssignmentStatus="assigned"),
        reservation("completed", 15, "first", worker="ann", TaskAssignmentStatus="assigned"),
    )  # fmt: skip
    seen = {
        at: [(offer["worker_name"], offer["status"]) for offer in floor.task(at)["reservations"]]
        for at in (0.5, 1, 5, 11, 12, 14, 15)
    }
    assert seen == {
        0.5: [],
        1: [("ann", "pending")],
        5: [("ann", "accepted")],
        11: [("ann", "accepted"), ("bob", "pending")],
        12: [("ann", "accepted"), ("bob", "accepted")],
        14: [("bob", "accepted"), ("ann", "wrapping")],
        15: [("bob", "accepted")],
    }


def test_a_task_deleted_with_an_early_stamp_was_gone_from_then_on(floor: Floor) -> None:
    """deleted_at wins: over the task's status, its reservations, its worker's load and its queue's backlog."""
    deleted = task("task.deleted", at=3)
    floor.told(
        worker("created", at=0), task_created(at=1), entered(at=1.5),
        reservation("created", at=4), reservation("accepted", at=6), deleted,
    )  # fmt: skip
    assert floor.task(2.999)["status"] == "pending"
    assert floor.queue(2.999)["tasks_waiting"] == 1
    for at in (3, 4, 5, 7):
        assert floor.task(at) is None
        assert floor.at(sid("WT", "t"), at)["deleted_at"] == ms(3)
        assert floor.worker(at)["reservations"] == []
        assert floor.queue(at)["tasks_waiting"] == 0
    found = floor.reservation(5)
    assert (found["status"], found["inferred"], found["event_sid"]) == ("canceled", True, deleted["Sid"])


def test_a_reservation_at_each_step(floor: Floor) -> None:
    """Its status then, since when, and who told it."""
    offered, accepted, ended = (reservation(what, at) for what, at in (("created", 1), ("accepted", 4), ("completed", 9)))
    floor.told(task_created(at=0), offered, accepted, ended)
    assert floor.reservation(0.999) is None
    seen = [tuple(floor.reservation(at)[name] for name in ("status", "since", "event_sid")) for at in (1, 3.999, 4, 8.999, 9)]
    assert seen == [
        ("pending", ms(1), offered["Sid"]),
        ("pending", ms(1), offered["Sid"]),
        ("accepted", ms(4), accepted["Sid"]),
        ("accepted", ms(4), accepted["Sid"]),
        ("completed", ms(9), ended["Sid"]),
    ]


def test_a_reservation_that_ended_with_its_task_names_the_tasks_end(floor: Floor) -> None:
    """Its own end never came: inferred, and the callback behind it is the task's."""
    canceled = task_canceled(at=9)
    floor.told(task_created(at=0), reservation("created", at=1), canceled)
    found = floor.reservation(9)
    assert (found["status"], found["inferred"], found["event_sid"]) == ("canceled", True, canceled["Sid"])
    assert (floor.reservation(8.999)["status"], floor.reservation(8.999)["inferred"]) == ("pending", False)


def test_a_queue_at_a_moment(floor: Floor) -> None:
    """Waiting from the entry to the acceptance, rejected offers included; in progress until the end; the longest wait and its task."""
    first = entered(0, "a")
    floor.told(
        task_created(0, "a"), first, task_created(5, "b"), entered(5, "b"),
        reservation("created", 6, "ra", "a"), reservation("rejected", 8, "ra", "a"), reservation("created", 10, "rb", "a"),
        reservation("accepted", 12, "rb", "a"), reservation("completed", 20, "rb", "a", TaskAssignmentStatus="completed"),
        task_completed(20, "a"), task_canceled(30, "b"),
    )  # fmt: skip
    seen = {}
    for at in (0, 5, 7, 9, 11.999, 12, 19.999, 20, 29.999, 30):
        found = floor.queue(at)
        seen[at] = (found["tasks_waiting"], found["longest_wait_ms"], found["tasks_in_progress"], found["tasks_by_status"])
    assert seen == {
        0: (1, 0, 0, {"pending": 1}),
        5: (2, 5_000, 0, {"pending": 2}),
        7: (2, 7_000, 0, {"pending": 1, "reserved": 1}),
        9: (2, 9_000, 0, {"pending": 2}),
        11.999: (2, 11_999, 0, {"pending": 1, "reserved": 1}),
        12: (1, 7_000, 1, {"assigned": 1, "pending": 1}),
        19.999: (1, 14_999, 1, {"assigned": 1, "pending": 1}),
        20: (1, 15_000, 0, {"pending": 1}),
        29.999: (1, 24_999, 0, {"pending": 1}),
        30: (0, None, 0, {}),
    }
    oldest = floor.queue(9)["oldest_task"]
    assert (oldest["task_sid"], oldest["since"], oldest["event_sid"]) == (sid("WT", "a"), ms(0), first["Sid"])


def test_a_task_moved_between_queues_waits_in_one_at_a_time(floor: Floor) -> None:
    """Timed out of one, in the other from its entry on; each queue's wait begins anew. Given up for a transfer it is in progress nowhere."""
    floor.told(
        task_created(0), entered(0), task("task-queue.timeout", 10, TaskAssignmentStatus="pending"), entered(10, **VIP),
        reservation("created", 12, **VIP), reservation("accepted", 13, **VIP),
        task("task.transfer-initiated", at=20, TaskAssignmentStatus="pending", **VIP), entered(20.001),
    )  # fmt: skip
    names = ("support", "vip")
    seen = {
        at: [(floor.queue(at, name) or {}).get(figure) for name in names for figure in ("tasks_waiting", "tasks_in_progress")]
        for at in (9.999, 10, 12.999, 13, 19.999, 20, 20.001)
    }
    assert seen == {
        9.999: [1, 0, None, None],
        10: [0, 0, 1, 0],
        12.999: [0, 0, 1, 0],
        13: [0, 0, 0, 1],
        19.999: [0, 0, 0, 1],
        20: [0, 0, 0, 0],
        20.001: [1, 0, 0, 0],
    }
    assert floor.queue(12, "vip")["longest_wait_ms"] == 2_000


def test_a_queue_as_named_then_and_as_named_now(floor: Floor) -> None:
    """The name of the visits of then beside the name of today."""
    floor.told(task_created(0), entered(0, TaskQueueName="Old"), task("task.updated", at=5, TaskQueueName="New"))
    found = floor.queue(2)
    assert (found["task_queue_name"], found["task_queue_name_now"]) == ("Old", "New")
    visit = floor.task(2)["queue"]
    assert (visit["task_queue_name"], visit["task_queue_name_now"], visit["waiting"]) == ("Old", "New", True)


def test_what_lasts_longer_than_anything_can_is_not_counted(floor: Floor) -> None:
    """A task whose end never came does not wait for ever: no task lives longer than two weeks."""
    floor.told(task_created(0), entered(0), reservation("created", 1), worker("created", at=0))
    days = LONGEST_MS / 1000
    assert (floor.queue(days - 1)["tasks_waiting"], len(floor.worker(days - 1)["reservations"])) == (1, 1)
    assert (floor.queue(days)["tasks_waiting"], len(floor.worker(days + 1)["reservations"])) == (0, 0)


def test_who_was_in_which_activity(floor: Floor) -> None:
    """One row a worker: those not there yet, and those deleted by then, are left out."""
    floor.told(
        worker("created", 0, "ann"), worker("activity.update", 10, "ann", "Busy"), worker("activity.update", 20, "ann", "Away"),
        worker("created", 5, "bob", "Away"), worker("deleted", 15, "bob"),
        worker("created", 8, "eve", "Busy"), task_created(0), reservation("created", 1, worker="only mentioned"),
    )  # fmt: skip
    assert {at: floor.activities(at) for at in (-1, 0, 5, 9.999, 10, 14.999, 15, 20, DAY)} == {
        -1: {},
        0: {"ann": "Idle"},
        5: {"ann": "Idle", "bob": "Away"},
        9.999: {"ann": "Idle", "bob": "Away", "eve": "Busy"},
        10: {"ann": "Busy", "bob": "Away", "eve": "Busy"},
        14.999: {"ann": "Busy", "bob": "Away", "eve": "Busy"},
        15: {"ann": "Busy", "eve": "Busy"},
        20: {"ann": "Away", "eve": "Busy"},
        DAY: {"ann": "Away", "eve": "Busy"},
    }
    assert floor.at(WORKSPACE, 10)["activities"] == {"Away": 1, "Busy": 2}
    assert (floor.at(WORKSPACE, -1)["exists"], floor.at(WORKSPACE, -1)["why"]) == (False, "not_yet")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-02T02:40:00Z", ms(0)), ("2026-02-02T02:40:00", ms(0)), ("2026-02-02 03:40:00.250+01:00", ms(0.25)),
        ("2026-02-02", ms(-9_600)), (str(ms(7)), ms(7)), (f" {ms(7)} ", ms(7)),
    ],
)  # fmt: skip
def test_a_moment_as_people_write_it(text: str, expected: int) -> None:
    """ISO 8601, without a zone UTC, or epoch milliseconds."""
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1770000000", "20260202", "2026-13-01", "-5", "99999-01-01", "9" * 400, "२०२६"]
)
def test_no_moment_is_a_sentence(text: str) -> None:
    """Seconds, for one, lie in 1970: refused, with how to write it."""
    with pytest.raises(Unanswerable, match=r"Write it as 2026-03-01T10:42:00Z"):
        moment(text)


def test_a_sid_nobody_knows_is_a_sentence(floor: Floor) -> None:
    """The Sid is in it, and what to look at."""
    floor.told(task_created(0))
    with pytest.raises(NotFound, match=rf"{sid('WK', 'nobody')}.*projector status"):
        floor.at(sid("WK", "nobody"), 1)
    with pytest.raises(NotFound, match="those begin with WS, WA"):
        floor.at("EV1", 1)


def test_a_sid_in_two_workspaces_is_asked_about(floor: Floor) -> None:
    """Nobody guesses: the refusal names both."""
    other = "WS" + "c" * 32
    floor.told(worker("created", 0), worker("created", 5, activity="Away") | {"WorkspaceSid": other})
    with pytest.raises(Unanswerable, match=r"--workspace") as refusal:
        floor.at(sid("WK", "ann"), 9)
    assert {WORKSPACE, other} <= set(re.findall(r"WS\w{32}", str(refusal.value)))
    assert floor.worker(9, workspace=other)["activity"]["activity_name"] == "Away"


def test_the_command_prints_what_was_so(url: URL) -> None:
    """JSON on a pipe with moments as text; 1 when it did not exist then; 2 and a sentence when it cannot be answered."""
    with looking_at(url) as floor:
        floor.told(worker("created", 0), capacity(1, 2), reservation("created", 2), entered(2))
    database = {"PROJECTOR_DATABASE_URL": text_url(url)}
    done = run("at", sid("WK", "ann"), "2026-02-02T02:40:03Z", **database)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["exists"], found["at"]) == (True, "2026-02-02T02:40:03.000Z")
    assert found["activity"]["since"] == "2026-02-02T02:40:00.000Z"
    assert (found["channels"][0]["pending"], found["channels"][0]["available_percentage"]) == (1, 50)
    early = run("at", sid("WK", "ann"), str(ms(-1)), **database)
    assert (early.returncode, json.loads(early.stdout)["why"]) == (1, "not_yet")
    for arguments, sentence in (
        ((sid("WK", "bob"), "2026-02-02"), "is in any workspace"), ((sid("WK", "ann"), "noon"), "Write it as"),
        ((sid("WQ", "support"), str(ms(3)), "--known-at", str(ms(3))), "Ask for one worker"),
        ((sid("WW", "main"), str(ms(3))), "projector explain"),
    ):  # fmt: skip
        refused = run("at", *arguments, **database)
        assert refused.returncode == 2
        assert sentence in refused.stderr
        assert "Traceback" not in refused.stderr
