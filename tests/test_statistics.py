"""Twilio's statistics by the definitions of pages/statistics.md, one story at a time; asked by hand and by Twilio's own SDK."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.status import progress
from tests.given import (
    ACCOUNT,
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
    worker,
)
from tests.reading import KEY, Api, Listed, reading_from

SUPPORT, VIP, MAIN = sid("WQ", "support"), sid("WQ", "vip"), sid("WW", "main")
IN_VIP = {"TaskQueueSid": VIP, "TaskQueueName": "VIP"}
DAY = {"StartDate": str(ms(0)), "EndDate": str(ms(86_400))}


@pytest.fixture
def api(url: URL) -> Iterator[Api]:
    with reading_from(url) as api:
        yield api


def entered(at: float, task_: str, **told: str) -> Parameters:
    return task("task-queue.entered", at, task_, TaskAssignmentStatus="pending", **told)


def handled(at: float, name: str = "t", wait: float = 10, **told: str) -> list[Parameters]:
    """A task that waits, is talked about for 100 s, wrapped up for 20, and completed."""
    answered = at + wait
    return [
        task_created(at, name, **told),
        entered(at, name, **told),
        reservation("created", answered - 2, name, name, **told),
        reservation("accepted", answered, name, name, **told),
        reservation("wrapup", answered + 100, name, name, **told),
        reservation("completed", answered + 120, name, name, **told),
        task_completed(answered + 120, name, **told),
    ]


def queue_created(name: str, friendly_name: str, expression: str | None = "1==1") -> Parameters:
    target = {"TaskQueueTargetExpression": expression} if expression is not None else {}
    return callback("task-queue.created", 0, TaskQueueSid=sid("WQ", name), TaskQueueName=friendly_name, **target)


def cumulative(api: Api, path: str = f"/TaskQueues/{SUPPORT}", **query: str) -> Any:
    return api.json(f"{path}/CumulativeStatistics", **DAY | query)


def real_time(api: Api, at: float, path: str = f"/TaskQueues/{SUPPORT}", **query: str) -> Any:
    return api.json(f"{path}/RealTimeStatistics", AsOf=str(ms(at)), **query)


def test_a_handled_task_is_counted_at_each_step(api: Api) -> None:
    """Twilio's fields, whole seconds, whose they are."""
    api.told(*handled(100, wait=10))
    told = cumulative(api)
    assert told == {
        "account_sid": ACCOUNT, "workspace_sid": WORKSPACE, "task_queue_sid": SUPPORT,
        "url": f"http://localhost/v1/Workspaces/{WORKSPACE}/TaskQueues/{SUPPORT}/CumulativeStatistics",
        "start_time": "2026-02-02T02:40:00Z", "end_time": "2026-02-03T02:40:00Z",
        "reservations_created": 1, "reservations_accepted": 1, "reservations_rejected": 0, "reservations_timed_out": 0,
        "reservations_canceled": 0, "reservations_rescinded": 0, "tasks_entered": 1, "tasks_completed": 1, "tasks_canceled": 0,
        "tasks_deleted": 0, "tasks_moved": 0, "avg_task_acceptance_time": 10, "split_by_wait_time": None,
        "wait_duration_until_accepted": {"avg": 10, "min": 10, "max": 10, "total": 10},
        "wait_duration_in_queue_until_accepted": {"avg": 10, "min": 10, "max": 10, "total": 10},
        "wait_duration_until_canceled": {"avg": None, "min": None, "max": None, "total": 0},
    }  # fmt: skip
    both = api.json(f"/TaskQueues/{SUPPORT}/Statistics", **DAY)["cumulative"]
    assert (both["reservations_wrapup"], both["reservations_completed"], both["tasks_assigned"]) == (1, 1, 1)
    assert cumulative(api, "")["tasks_created"] == cumulative(api, f"/Workflows/{MAIN}")["tasks_entered"] == 1


@pytest.mark.parametrize(
    ("window", "counted"), [((109, 110), 0), ((110, 111), 1), ((110, 110.001), 1), ((109.999, 110), 0), ((110, 110), 0)]
)
def test_a_window_has_its_start_and_not_its_end(api: Api, window: tuple[float, float], counted: int) -> None:
    """To the millisecond."""
    api.told(*handled(100, wait=10))
    start, end = (str(ms(at)) for at in window)
    assert cumulative(api, StartDate=start, EndDate=end)["reservations_accepted"] == counted


def test_minutes_reach_back_from_the_end_of_the_window(api: Api) -> None:
    """EndDate, else AsOf, else now; fifteen of them if nothing is asked for."""
    api.told(*handled(1000, wait=10))
    asked = [{"Minutes": "1", "EndDate": str(ms(1020))}, {"AsOf": str(ms(1000 + 890))}, {"AsOf": str(ms(1000 + 1000))}, {}]
    found = [api.json(f"/TaskQueues/{SUPPORT}/CumulativeStatistics", **each)["reservations_accepted"] for each in asked]
    assert found == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"Minutes": "5", "StartDate": "2026-03-01T10:00:00Z"}, "Invalid Minutes: '5'. Give it without StartDate: both say where the window begins."),
        ({"Minutes": "0"}, "Invalid Minutes: '0'. Give it a whole number from 1 to 5270400."),
        ({"StartDate": "2026-03-01T10:00:00Z", "EndDate": "2026-03-01T09:00:00Z"}, "Invalid StartDate: '2026-03-01T10:00:00Z'. Give it a moment before the window's end, 2026-03-01T09:00:00Z."),
        ({"SplitByWaitTime": "5,x"}, "Invalid SplitByWaitTime: '5,x'. Give it up to 100 whole numbers of seconds with commas between: 5,20,60."),
        ({"AsOf": "yesterday"}, "Invalid AsOf: 'yesterday'. Give it a moment since 2000: ISO 8601 (2026-03-01T10:42:00Z) or epoch milliseconds."),
    ],
)  # fmt: skip
def test_a_window_that_cannot_be_read_is_refused(api: Api, query: dict[str, str], told: str) -> None:
    """In words, for every kind of statistics."""
    api.told(*handled(100))
    for path in ("/Statistics", "/Workers/CumulativeStatistics", f"/TaskQueues/{SUPPORT}/RealTimeStatistics"):
        answer = api.get(path, **query)
        assert (answer.status_code, answer.get_json()["message"]) == (400, told)


def test_waits_are_split_by_first_acceptances_and_cancellations(api: Api) -> None:
    """Exactly so many seconds is below."""
    api.told(*handled(0, "a", 20), *handled(0, "b", 20.001), *handled(0, "c", 60))
    api.told(task_created(0, "d"), task_canceled(20, "d"), task_created(0, "e"), task_canceled(61, "e"))
    split = cumulative(api, SplitByWaitTime="20, 60")["split_by_wait_time"]
    assert split == {
        "20": {"above": {"reservations_accepted": 2, "tasks_canceled": 1}, "below": {"reservations_accepted": 1, "tasks_canceled": 1}},
        "60": {"above": {"reservations_accepted": 0, "tasks_canceled": 1}, "below": {"reservations_accepted": 3, "tasks_canceled": 1}},
    }  # fmt: skip


def test_a_transfer_belongs_to_both_queues(api: Api) -> None:
    """Offers to the queue they came out of, the wait from the task's creation; one move, out of the first queue."""
    to_vip = IN_VIP | {"TaskAssignmentStatus": "pending"}
    api.told(
        task_created(0), entered(0, "t"), reservation("created", 5), reservation("accepted", 10),
        task("task.transfer-initiated", 100, TaskAssignmentStatus="pending"), task("task-queue.entered", 101, **to_vip),
        reservation("created", 105, "second", worker="bob", **IN_VIP), reservation("accepted", 111, "second", worker="bob", **IN_VIP),
        reservation("wrapup", 112, TaskAssignmentStatus="assigned", **IN_VIP), reservation("completed", 120, TaskAssignmentStatus="assigned", **IN_VIP),
    )  # fmt: skip
    first, second = cumulative(api, SplitByWaitTime="60"), cumulative(api, f"/TaskQueues/{VIP}", SplitByWaitTime="60")
    assert (first["reservations_accepted"], second["reservations_accepted"]) == (1, 1)
    assert (first["tasks_moved"], second["tasks_moved"], first["tasks_entered"], second["tasks_entered"]) == (1, 0, 1, 1)
    assert (first["wait_duration_until_accepted"]["total"], second["wait_duration_until_accepted"]["total"]) == (10, 111)
    assert second["wait_duration_in_queue_until_accepted"]["total"] == 10
    assert second["split_by_wait_time"]["60"]["above"]["reservations_accepted"] == 0
    both = api.json(f"/TaskQueues/{SUPPORT}/Statistics", **DAY)["cumulative"]
    assert (both["reservations_wrapup"], both["reservations_completed"]) == (1, 1)


def test_how_tasks_end_is_counted_once(api: Api) -> None:
    """Canceled, timed out of the workflow, deleted; a completed one that is purged afterwards is completed."""
    reason = "Task canceled on Workflow timeout"
    api.told(task_created(0, "a"), task_canceled(10, "a"), task_created(0, "b"), task_canceled(10, "b", Reason=reason))
    api.told(task_created(0, "c"), task("task.deleted", 12, "c"), *handled(0, "d"), task("task.system-deleted", 500, "d"))
    told = cumulative(api, "")
    counted = {name: told[f"tasks_{name}"] for name in ("canceled", "timed_out_in_workflow", "deleted", "completed", "created")}
    assert counted == {"canceled": 2, "timed_out_in_workflow": 1, "deleted": 1, "completed": 1, "created": 4}


def test_spells_in_activities_are_cut_to_the_window(api: Api) -> None:
    """The running one at its end; a worker who was deleted since was there all the same."""
    api.told(
        *(callback("activity.created", 0, ActivitySid=sid("WA", name), ActivityName=name, ActivityAvailable="true") for name in ("Idle", "Busy", "Lunch")),
        worker("created", 0), worker("activity.update", 100, activity="Busy"), worker("activity.update", 160),
        worker("created", 0, "bob", "Busy"), worker("deleted", 400, "bob", "Busy"),
    )  # fmt: skip
    window = {"StartDate": str(ms(90)), "EndDate": str(ms(190))}
    durations = api.json("/Workers/CumulativeStatistics", **window)["activity_durations"]
    told = {each["friendly_name"]: [each[name] for name in ("avg", "min", "max", "total")] for each in durations}
    assert told == {"Idle": [20, 10, 30, 40], "Busy": [80, 60, 100, 160], "Lunch": [None, None, None, 0]}
    of_ann = api.json(f"/Workers/{sid('WK', 'ann')}/Statistics", **window)
    assert of_ann["worker_sid"] == sid("WK", "ann")
    assert {each["friendly_name"]: each["total"] for each in of_ann["cumulative"]["activity_durations"]}["Busy"] == 60
    named = api.json("/Workers/CumulativeStatistics", FriendlyName="bob", **window)["activity_durations"]
    assert {each["friendly_name"]: each["total"] for each in named} == {"Idle": 0, "Busy": 100, "Lunch": 0}


def test_a_queue_at_a_moment(api: Api) -> None:
    """What is in it by status and priority, who has waited longest since creation and since entry, and who could take it."""
    skilled = '{"skills":["support"]}'
    api.told(
        queue_created("support", "Support", "skills HAS 'support'"),
        callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
        worker("created", 1, WorkerAttributes=skilled), worker("created", 1, "bob", "Break", WorkerAttributes=skilled),
        worker("created", 1, "eve"), *handled(10, "done"),
        task_created(200, "old", **IN_VIP), entered(200, "old", **IN_VIP), entered(260, "old"),
        task_created(210, "new", TaskPriority="7"), entered(210, "new", TaskPriority="7"),
        task_created(215, "offered"), entered(215, "offered"), reservation("created", 220, "offered", "offered"),
    )  # fmt: skip
    told = real_time(api, 300)
    assert told["tasks_by_status"] == {"pending": 2, "reserved": 1, "assigned": 0, "wrapping": 0, "completed": 1, "canceled": 0}
    assert (told["total_tasks"], told["tasks_by_priority"]) == (4, {"0": 3, "7": 1})
    assert (told["longest_task_waiting_age"], told["longest_task_waiting_sid"]) == (100, sid("WT", "old"))
    relative = (told["longest_relative_task_age_in_queue"], told["longest_relative_task_sid_in_queue"])
    assert relative == (90, sid("WT", "new"))
    assert (told["total_eligible_workers"], told["total_available_workers"]) == (2, 1)
    assert {each["friendly_name"]: each["workers"] for each in told["activity_statistics"]} == {"Idle": 1, "Break": 1}
    before = real_time(api, 230)
    assert (before["longest_task_waiting_sid"], before["tasks_by_status"]["pending"]) == (sid("WT", "new"), 1)
    assert real_time(api, 100)["total_tasks"] == 1
    assert real_time(api, 600)["tasks_by_status"]["completed"] == 0
    assert real_time(api, 300, "")["total_workers"] == 3
    assert real_time(api, 300, f"/Workflows/{MAIN}")["total_tasks"] == 4
    assert real_time(api, 300, "/Workers")["total_workers"] == 3


def test_eligibility_is_by_the_attributes_of_the_moment(api: Api) -> None:
    """Who could not take it then does not count then."""
    api.told(queue_created("support", "Support", "skills HAS 'support'"), worker("created", 1))
    api.told(worker("attributes.update", 50, WorkerAttributes='{"skills":["support"]}'))
    assert [real_time(api, at)["total_eligible_workers"] for at in (49, 50)] == [0, 1]
    among = [api.json("/Workers/Statistics", TaskQueueName="Support", AsOf=str(ms(at))) for at in (49, 50)]
    assert [told["realtime"]["total_workers"] for told in among] == [0, 1]


def test_a_queue_wants_whom_it_wanted_then(api: Api) -> None:
    """Its expression is that of the moment too, for statistics as for lists."""
    changed = {"TaskQueueTargetExpression": "skills HAS 'b'", "TaskQueueSid": SUPPORT, "TaskQueueName": "Support"}
    api.told(queue_created("support", "Support", "skills HAS 'a'"), worker("created", 1))
    api.told(callback("task-queue.expression.updated", 100, **changed))
    assert [real_time(api, at)["total_eligible_workers"] for at in (50, 150)] == [1, 0]
    wanted = [api.sids("/Workers", "workers", TaskQueueSid=SUPPORT, AsOf=str(ms(at))) for at in (50, 150)]
    assert wanted == [[sid("WK", "ann")], []]
    wanting = [api.sids("/TaskQueues", "task_queues", WorkerSid=sid("WK", "ann"), AsOf=str(ms(at))) for at in (50, 150)]
    assert wanting == [[SUPPORT], []]


@pytest.mark.parametrize("expression", ["skills LIKE 'x'", None])
def test_a_queue_whose_workers_cannot_be_told_has_none_that_are_known(api: Api, expression: str | None) -> None:
    """Null, not 0 and not an error."""
    api.told(queue_created("support", "Support", expression), worker("created", 1), task_created(1))
    told = real_time(api, 10)
    assert [told[name] for name in ("total_eligible_workers", "total_available_workers", "activity_statistics")] == [None] * 3
    assert told["total_tasks"] == 1
    named = [SUPPORT] if expression is not None else []
    assert progress(api.log, api.engine, ms(20))["unreadable_target_workers"] == named


def test_a_channel_leaves_its_own_tasks(api: Api) -> None:
    """By Sid or unique name, in every figure of tasks."""
    chat = {"TaskChannelSid": sid("TC", "chat"), "TaskChannelUniqueName": "chat"}
    api.told(*handled(0, "call"), *handled(0, "chat", **chat), task_created(200, "waits", **chat))
    for channel in ("chat", sid("TC", "chat")):
        told = cumulative(api, TaskChannel=channel)
        assert (told["reservations_accepted"], told["tasks_completed"], told["tasks_entered"]) == (1, 1, 2)
        assert real_time(api, 300, TaskChannel=channel)["total_tasks"] == 2
    assert cumulative(api, TaskChannel="sms")["tasks_entered"] == 0


def test_queues_are_read_in_one_look(api: Api) -> None:
    """As a list, in pages, and as a request lists them: one that nobody knows is all zeros, as at Twilio."""
    api.told(queue_created("support", "Support"), queue_created("vip", "VIP"), worker("created", 1), *handled(0))
    pages = [api.json("/TaskQueues/Statistics", PageSize="1", **DAY)]
    pages.append(api.json(pages[0]["meta"]["next_page_url"]))
    assert [page["task_queues_statistics"][0]["task_queue_sid"] for page in pages] == sorted([SUPPORT, VIP])
    named = api.json("/TaskQueues/Statistics", FriendlyName="Support", **DAY)["task_queues_statistics"]
    assert [each["cumulative"]["tasks_completed"] for each in named] == [1]
    unknown = "WQ" + "0" * 32
    url = f"/v1/Workspaces/{WORKSPACE}/TaskQueues/RealTimeStatistics"
    for name in ("QueueSids", "queueSids"):
        answer = api.web.post(url, json={name: [SUPPORT, unknown, SUPPORT]}, auth=(KEY.name, KEY.secret)).get_json()
        assert [each["task_queue_sid"] for each in answer["task_queue_data"]] == [SUPPORT, unknown]
        assert answer["task_queue_response_count"] == 2
        assert (answer["task_queue_data"][0]["total_eligible_workers"], answer["task_queue_data"][1]["total_tasks"]) == (1, 0)


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", "[" * 100_000, '{"QueueSids": []}', '{"QueueSids": ["WQ1"]}', '{"QueueSids": "WQ"}', "\x00"]
)
def test_a_list_of_queues_that_is_none_is_refused(api: Api, body: str) -> None:
    """400, in Twilio's shape; whatever else is posted changes nothing."""
    api.told(task_created(0))
    url = f"/v1/Workspaces/{WORKSPACE}/TaskQueues/RealTimeStatistics"
    answer = api.web.post(url, data=body, auth=(KEY.name, KEY.secret))
    assert (answer.status_code, answer.get_json()["code"]) == (400, 20001)
    assert api.web.post(url, data=body).status_code == 401


def test_each_queue_of_a_list_has_its_own_workers(api: Api) -> None:
    """And workers' statistics are of those with the name, in the queue that is named or was within the window."""
    api.told(
        queue_created("support", "Support", "1==1"),
        queue_created("vip", "VIP", "skills HAS 'none'"),
        worker("created", 1),
        worker("created", 1, "bob"),
    )
    url = f"/v1/Workspaces/{WORKSPACE}/TaskQueues/RealTimeStatistics"
    answer = api.web.post(url, json={"QueueSids": [SUPPORT, VIP]}, auth=(KEY.name, KEY.secret)).get_json()
    assert [each["total_eligible_workers"] for each in answer["task_queue_data"]] == [2, 0]
    assert api.json("/Workers/Statistics", FriendlyName="bob", TaskQueueName="Support")["realtime"]["total_workers"] == 1
    api.told(callback("task-queue.deleted", 500, TaskQueueSid=SUPPORT, TaskQueueName="Support"))
    for named in ({"TaskQueueSid": SUPPORT}, {"TaskQueueName": "Support"}):
        assert api.get("/Workers/CumulativeStatistics", StartDate=str(ms(0)), EndDate=str(ms(400)), **named).status_code == 200


def test_of_two_first_acceptances_one_is_counted(api: Api) -> None:
    """Stamped in one millisecond: the task was accepted first once."""
    api.told(task_created(0), reservation("accepted", 5, "a"), reservation("accepted", 5, "b", worker="bob"))
    split = cumulative(api, SplitByWaitTime="20")["split_by_wait_time"]["20"]
    assert split["below"]["reservations_accepted"] == 1


def test_what_was_deleted_since_has_its_past(api: Api) -> None:
    """A queue's and a worker's figures of a window in which they were there; nothing is waiting for them now."""
    api.told(queue_created("support", "Support"), *handled(0), worker("created", 0))
    api.told(callback("task-queue.deleted", 500, TaskQueueSid=SUPPORT, TaskQueueName="Support"), worker("deleted", 500))
    assert cumulative(api)["tasks_completed"] == 1
    assert api.get(f"/TaskQueues/{SUPPORT}/RealTimeStatistics").status_code == 404
    assert real_time(api, 400)["total_eligible_workers"] == 1
    assert api.get(f"/Workers/{sid('WK', 'ann')}/Statistics", **DAY).status_code == 200
    assert api.get(f"/Workers/{sid('WK', 'nobody')}/Statistics", **DAY).status_code == 404


def test_the_sdk_reads_all_statistics(api: Api) -> None:
    """Each of them, by the names the SDK gives them."""
    api.told(queue_created("support", "Support"), worker("created", 0), *handled(100))
    sdk, of_day = api.sdk(), {"minutes": 5_000_000}
    queue, flow = sdk.task_queues(SUPPORT), sdk.workflows(MAIN)
    for each in (sdk, queue, flow):
        assert each.cumulative_statistics().fetch(**of_day).reservations_accepted == 1
        assert each.real_time_statistics().fetch().total_tasks == 0
        assert each.statistics().fetch(**of_day).cumulative["tasks_completed"] == 1
    workers = sdk.workers(sid("WK", "ann"))
    assert sdk.workers.statistics().fetch(**of_day).realtime["total_workers"] == 1
    assert sdk.workers.cumulative_statistics().fetch(**of_day).reservations_accepted == 1
    assert sdk.workers.real_time_statistics().fetch().total_workers == 1
    assert workers.statistics().fetch(**of_day).cumulative["reservations_completed"] == 1
    assert [each.task_queue_sid for each in sdk.task_queues.statistics.list(**of_day)] == [SUPPORT]
    bulk = sdk.task_queues.bulk_real_time_statistics.create(body=Listed(SUPPORT))
    assert [each["total_eligible_workers"] for each in bulk.task_queue_data] == [1]
