"""Why a row is as it is: the callbacks behind it, in the order they happened, and what each of them changed."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy.engine import URL

from projector.read.shown import page, readable
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


@pytest.fixture
def floor(url: URL) -> Iterator[Floor]:
    with looking_at(url) as looked_at:
        yield looked_at


def changed(step: dict[str, Any], row: str) -> dict[str, Any]:
    return step["changed"].get(row, {})


def test_each_callback_in_the_order_it_happened(floor: Floor) -> None:
    """A late one stands where it belongs; its position and receipt say that it came later. Deletions are last."""
    created, late, busy, deleted = (
        worker("created", 0),
        worker("activity.update", 10, activity="Away"),
        worker("activity.update", 20, activity="Busy"),
        worker("deleted", 0),
    )
    floor.told(created, busy, received_at=21).told(deleted, received_at=60).told(late, received_at=100)
    found = floor.explain(sid("WK", "ann"))
    assert (found["kind"], found["sid"], found["position"]) == ("worker", sid("WK", "ann"), 4)
    told = [
        (step["event_sid"], step["event_type"], step["position"], step["at"], step["recorded_at"], step["source"])
        for step in found["callbacks"]
    ]
    assert told == [
        (created["Sid"], "worker.created", 1, ms(0), ms(21), "callback"),
        (late["Sid"], "worker.activity.update", 4, ms(10), ms(100), "callback"),
        (busy["Sid"], "worker.activity.update", 2, ms(20), ms(21), "callback"),
        (deleted["Sid"], "worker.deleted", 3, ms(0), ms(60), "callback"),
    ]


def test_what_a_callback_of_a_worker_changed(floor: Floor) -> None:
    """Columns as they were and as they are, bookkeeping apart; the span it closed and the one it opened."""
    created, busy = worker("created", 0, WorkerVersion="0"), worker("activity.update", 20, activity="Busy", WorkerVersion="1")
    floor.told(created, busy, worker("deleted", 30))
    first, second, third = floor.explain(sid("WK", "ann"))["callbacks"]
    assert changed(first, "worker")["created_at"] == [None, ms(0)]
    assert changed(second, "worker") == {
        "activity_sid": [sid("WA", "Idle"), sid("WA", "Busy")],
        "activity_name": ["Idle", "Busy"],
        "activity_since": [ms(0), ms(20)],
        "version": [0, 1],
    }
    assert [(span["table"], span["activity_name"], span["ended_at"]) for span in second["closed"]] == [
        ("worker_activity_span", "Idle", ms(20))
    ]
    assert [(span["table"], span["activity_name"], span["event_sid"]) for span in second["opened"]] == [
        ("worker_activity_span", "Busy", busy["Sid"])
    ]
    assert changed(third, "worker") == {"deleted_at": [None, ms(30)], "deleted_at_basis": [None, "stamp"]}
    assert sorted((span["table"], span["ended_at"]) for span in third["closed"]) == [
        ("worker_activity_span", ms(30)),
        ("worker_attributes_span", ms(30)),
    ]


def test_the_gap_a_callback_revealed(floor: Floor) -> None:
    """An update that ends an activity nobody told: the gap, and the span filled in."""
    floor.told(
        worker("created", 0),
        worker(
            "activity.update", 20, activity="Busy",
            WorkerPreviousActivitySid=sid("WA", "Away"), WorkerTimeInPreviousActivityMs="5000",
        ),
    )  # fmt: skip
    step = floor.explain(sid("WK", "ann"))["callbacks"][1]
    (gap,) = step["gaps"]
    assert (gap["reason"], gap["missing_at"], gap["activity_sid"]) == ("previous_activity_differs", ms(15), sid("WA", "Away"))
    assert [(span["activity_sid"], span["started_at"], span["inferred"]) for span in step["opened"]] == [
        (sid("WA", "Away"), ms(15), True),
        (sid("WA", "Busy"), ms(20), False),
    ]


def test_a_channel_is_explained_with_its_worker(floor: Floor) -> None:
    """Its row is named by its Sid; a capacity stated by a reservation is traced to that callback."""
    stated = reservation("created", 5, WorkerChannelCapacity="4")
    floor.told(worker("capacity.update", 1, WorkerChannelAvailableCapacity="3", **VOICE), stated)
    found = floor.explain(sid("WK", "ann"))
    (step,) = found["callbacks"]
    channel = f"worker_channel {sid('TC', 'voice')}"
    assert changed(step, channel) == {"updated_capacity": [None, 3], "reported_available_capacity": [None, "3"]}
    (named,) = (each for each in found["named"] if each["column"] == "stated_capacity")
    assert named == {
        "row": channel, "column": "stated_capacity", "value": 4,
        "event_sid": stated["Sid"], "event_type": "reservation.created", "at": ms(5), "position": 2,
    }  # fmt: skip


def test_a_callback_that_changed_nothing_says_so(floor: Floor) -> None:
    """It is listed all the same; the books that it moved are nobody's business."""
    floor.told(task_created(0), task("workflow.entered", 1, TaskAssignmentStatus="pending"))
    step = floor.explain(sid("WT", "t"))["callbacks"][1]
    assert step["changed"] == {}
    assert step["opened"] == step["closed"] == step["gaps"] == []


def test_who_renamed_it_and_from_what(floor: Floor) -> None:
    """Names come by mention; what its own callbacks call an activity or a queue is a change like any other."""
    told = {"ActivitySid": sid("WA", "x"), "ActivityAvailable": "true"}
    floor.told(
        callback("activity.created", 0, ActivityName="Ready", **told),
        callback("activity.updated", 5, ActivityName="Prêt", **told),
    )
    steps = floor.explain(sid("WA", "x"))["callbacks"]
    assert changed(steps[0], "activity") == {"friendly_name": [None, "Ready"], "available": [None, True]}
    assert changed(steps[1], "activity") == {"friendly_name": ["Ready", "Prêt"]}


def test_a_task_with_its_reservations(floor: Floor) -> None:
    """A reservation callback changes both rows; the task's end ends a reservation whose own end never came."""
    floor.told(task_created(0), reservation("created", 1), reservation("accepted", 2), task_completed(9, Reason="done"))
    steps = floor.explain(sid("WT", "t"))["callbacks"]
    offer = f"reservation {sid('WR', 'r')}"
    assert changed(steps[2], "task") == {"status": ["reserved", "assigned"], "first_accepted_at": [None, ms(2)]}
    assert changed(steps[2], offer) == {"status": ["pending", "accepted"], "accepted_at": [None, ms(2)]}
    assert changed(steps[3], "task") == {
        "status": ["assigned", "completed"],
        "reason": [None, "done"],
        "completed_at": [None, ms(9)],
    }
    assert changed(steps[3], offer) == {
        "status": ["accepted", "completed"],
        "completed_at": [None, ms(9)],
        "inferred": [False, True],
    }


def test_a_reservation_shows_only_what_changed_it(floor: Floor) -> None:
    """Of its task's callbacks those that changed it, the one that ended it with the task included."""
    offered, canceled = reservation("created", 1), task_canceled(9)
    floor.told(
        task_created(0), offered, reservation("created", 2, "other"), task("task.updated", 3, TaskPriority="5"),
        reservation("rejected", 4, "other"), canceled, task("task.updated", 10, TaskAttributes='{"csat":1}'),
    )  # fmt: skip
    steps = floor.explain(sid("WR", "r"))["callbacks"]
    assert [step["event_sid"] for step in steps] == [offered["Sid"], canceled["Sid"]]
    assert [list(step["changed"]) for step in steps] == [[f"reservation {sid('WR', 'r')}"]] * 2
    (span,) = steps[1]["closed"]
    assert (span["table"], span["status"], span["ended_at"]) == ("reservation_status_span", "pending", ms(9))


@pytest.mark.parametrize(
    ("prefix", "name", "said", "column"),
    [
        ("WA", "Idle", {"ActivitySid": sid("WA", "Idle"), "ActivityName": "Idle"}, "friendly_name"),
        ("WQ", "support", {"TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Idle"}, "friendly_name"),
        ("WW", "main", {"WorkflowSid": sid("WW", "main"), "WorkflowName": "Idle"}, "friendly_name"),
        ("TC", "voice", {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "Idle"}, "unique_name"),
        ("WS", "", {"WorkspaceName": "Idle"}, "friendly_name"),
    ],
)
def test_a_thing_known_by_mention_only(floor: Floor, prefix: str, name: str, said: Parameters, column: str) -> None:
    """No callback of its own: nothing is folded, and the name is traced to the callback that gave it last."""
    early, late = (callback("task.updated", at, TaskSid=sid("WT", "t"), **said) for at in (1, 2))
    floor.told(late, early)
    found = floor.explain(sid(prefix, name) if name else WORKSPACE)
    assert found["callbacks"] == []
    (named,) = (each for each in found["named"] if each["column"] == column)
    assert (named["value"], named["event_sid"], named["event_type"], named["position"]) == (
        "Idle",
        late["Sid"],
        "task.updated",
        1,
    )


@pytest.mark.parametrize(
    ("entity", "kind", "told"),
    [
        (sid("WA", "Idle"), "activity", callback("activity.created", 1, ActivitySid=sid("WA", "Idle"), ActivityAvailable="true")),
        (sid("WQ", "vip"), "task_queue", callback("task-queue.deleted", 1, TaskQueueSid=sid("WQ", "vip"))),
        (sid("WW", "main"), "workflow", callback("workflow.deleted", 1, WorkflowSid=sid("WW", "main"))),
        (
            sid("TC", "chat"), "task_channel",
            callback("task-channel.created", 1, TaskChannelSid=sid("TC", "chat"), TaskChannelOptimizedRouting="true"),
        ),
        (WORKSPACE, "workspace", callback("workspace.deleted", 1)),
    ],
)  # fmt: skip
def test_every_kind_can_be_explained(floor: Floor, entity: str, kind: str, told: Parameters) -> None:
    """Its own callbacks change its row."""
    floor.told(told)
    found = floor.explain(entity)
    (step,) = found["callbacks"]
    assert (found["kind"], step["event_sid"]) == (kind, told["Sid"])
    assert changed(step, kind)


def test_a_page_for_a_person_cuts_no_sid(floor: Floor) -> None:
    """On a narrow terminal what is nested wraps between words: every Sid can be selected whole; what is not known is left out."""
    floor.told(worker("created", 0), task_created(0), reservation("created", 1), worker("activity.update", 20, activity="Busy"))
    console = Console(width=100, record=True, file=StringIO())
    for answer in (floor.explain(sid("WK", "ann")), floor.at(sid("WK", "ann"), 5)):
        console.print(page(readable(answer)))
    text = console.export_text()
    assert {sid("WA", "Idle"), sid("WK", "ann"), sid("WR", "r"), sid("WT", "t")} <= set(
        re.findall(r"\b[A-Z]{2}[0-9a-f]{32}\b", text)
    )
    assert "activity_name   Idle → Busy" in text
    assert "2026-02-02T02:40:20.000Z" in text
    assert "None" not in text


def test_the_command_explains(url: URL) -> None:
    """JSON on a pipe, moments as text; an unknown Sid is a sentence and exit status 2."""
    with looking_at(url) as floor:
        floor.told(worker("created", 0), worker("activity.update", 20, activity="Busy"))
    done = run("explain", sid("WK", "ann"), PROJECTOR_DATABASE_URL=text_url(url))
    assert done.returncode == 0, done.stderr
    step = json.loads(done.stdout)["callbacks"][1]
    assert step["at"] == "2026-02-02T02:40:20.000Z"
    assert step["changed"]["worker"]["activity_since"] == ["2026-02-02T02:40:00.000Z", "2026-02-02T02:40:20.000Z"]
    assert step["opened"][0]["started_at"] == "2026-02-02T02:40:20.000Z"
    refused = run("explain", sid("WK", "bob"), PROJECTOR_DATABASE_URL=text_url(url))
    assert (refused.returncode, sid("WK", "bob") in refused.stderr) == (2, True)
