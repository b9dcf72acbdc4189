"""Twilio's read API from our tables, asked by Twilio's own SDK."""

import base64
import json
import signal
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from projector.api import routes, wanted
from projector.api.keys import FREE_FAILURES, Key, Patience
from projector.log import open_log
from projector.log.entry import recorded_ms
from tests.databases import Databases
from tests.given import ACCOUNT, WORKSPACE, arrived, callback, ms, reservation, sid, task_canceled, task_created, worker
from tests.harness import Process, Workload, caught_up, ending, wait_until
from tests.reading import KEY, Api, Listed, reading_from


@pytest.fixture
def api(url: URL) -> Iterator[Api]:
    """A floor of two workers and three tasks, one of which ended long ago."""
    with reading_from(url) as api:
        yield api.told(
            callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
            worker("created", 1, WorkerAttributes='{"skills":["support"]}'),
            worker("created", 2, "bob", "Break"),
            task_created(3, "a"),
            task_created(4, "b", TaskPriority="7"),
            task_created(5, "c"),
            reservation("created", 6, task_="a"),
            task_canceled(7, "c"),
        )


def test_the_sdk_reads_every_resource(api: Api) -> None:
    """Lists it, fetches each, and finds what the callbacks told."""
    workspace = api.sdk()
    assert workspace.fetch().friendly_name == "Test floor"
    for name in ("activities", "workers", "tasks", "task_queues", "task_channels", "workflows"):
        many = getattr(workspace, name)
        shown = many.list()
        assert shown, name
        for each in shown:
            fetched = getattr(workspace, name)(each.sid).fetch()
            assert fetched.sid == each.sid
            assert (fetched.workspace_sid, fetched.account_sid) == (WORKSPACE, ACCOUNT)
    ann = workspace.workers(sid("WK", "ann")).fetch()
    assert (ann.attributes, ann.activity_name, ann.available) == ('{"skills":["support"]}', "Idle", True)
    assert ann.date_created.isoformat() == "2026-02-02T02:40:01+00:00"
    offers = workspace.tasks(sid("WT", "a")).reservations.list()
    assert [offer.reservation_status for offer in offers] == ["pending"]
    assert workspace.workers(offers[0].worker_sid).reservations.list()[0].task_sid == sid("WT", "a")
    assert workspace.tasks(sid("WT", "a")).reservations(offers[0].sid).fetch().worker_sid == offers[0].worker_sid


def test_the_sdk_pages(api: Api) -> None:
    """Row by row it comes to the same as at once."""
    workspace = api.sdk()
    at_once = [task.sid for task in workspace.tasks.list()]
    assert [task.sid for task in workspace.tasks.list(page_size=1)] == at_once
    assert len(at_once) == 2


def test_pages_go_back_the_way_they_came(api: Api) -> None:
    """Each page knows its neighbours, and a row that comes meanwhile moves none."""
    first = api.json("/Tasks", PageSize="1", Ended="true")
    second = api.json(first["meta"]["next_page_url"])
    third = api.json(second["meta"]["next_page_url"])
    assert third["meta"]["next_page_url"] is None
    assert (first["meta"]["page"], second["meta"]["page"], third["meta"]["page"]) == (0, 1, 2)
    assert first["meta"]["previous_page_url"] is None
    back = api.json(third["meta"]["previous_page_url"])
    assert [each["sid"] for each in back["tasks"]] == [each["sid"] for each in second["tasks"]]
    again = api.json(back["meta"]["previous_page_url"])
    assert again["tasks"][0]["sid"] == first["tasks"][0]["sid"]
    assert again["meta"]["previous_page_url"] is None
    assert first["meta"]["key"] == "tasks"


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("/Tasks", {}, ["a", "b"]), ("/Tasks", {"Ended": "true"}, ["a", "b", "c"]), ("/Tasks", {"Priority": "7"}, ["b"]),
        ("/Tasks", {"AssignmentStatus": "reserved"}, ["a"]), ("/Tasks", {"AssignmentStatus": "pending,reserved"}, ["a", "b"]),
        ("/Tasks", {"AssignmentStatus": "canceled"}, []), ("/Tasks", {"AssignmentStatus": "canceled", "Ended": "true"}, ["c"]),
        ("/Tasks", {"TaskQueueName": "Support"}, ["a", "b"]), ("/Tasks", {"TaskQueueSid": sid("WQ", "other")}, []),
        ("/Tasks", {"WorkflowName": "Main", "WorkflowSid": sid("WW", "main")}, ["a", "b"]),
        ("/Workers", {"ActivityName": "Break"}, ["bob"]), ("/Workers", {"ActivitySid": sid("WA", "Idle")}, ["ann"]),
        ("/Workers", {"Available": "1"}, ["ann"]), ("/Workers", {"Available": "false"}, ["bob"]), ("/Workers", {"FriendlyName": "ann"}, ["ann"]),
    ],
)  # fmt: skip
def test_lists_are_filtered(api: Api, path: str, query: dict[str, str], names: list[str]) -> None:
    """By Twilio's parameters, and what ended is shown when asked for."""
    prefix, key = ("WT", "tasks") if path == "/Tasks" else ("WK", "workers")
    assert api.sids(path, key, **query) == sorted(sid(prefix, name) for name in names)


def test_what_was_deleted_is_gone_unless_asked_for(api: Api) -> None:
    """As at Twilio; here it can still be read."""
    bob = f"/Workers/{sid('WK', 'bob')}"
    api.told(worker("deleted", 8, "bob"))
    assert api.sids("/Workers", "workers") == [sid("WK", "ann")]
    assert api.get(bob).status_code == 404
    assert api.json(bob, Deleted="true")["sid"] == sid("WK", "bob")
    assert len(api.sids("/Workers", "workers", Deleted="true")) == 2


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/Tasks", {"PageSize": "none"}, "Invalid PageSize: 'none'. Give it a whole number from 1 to 1000."),
        ("/Tasks", {"PageSize": "0"}, "Invalid PageSize: '0'. Give it a whole number from 1 to 1000."),
        ("/Tasks", {"Priority": "high"}, "Invalid Priority: 'high'. Give it a whole number."),
        ("/Workers", {"TargetWorkersExpression": "a ="}, "Invalid TargetWorkersExpression: 'a ='. Give it an expression that TaskRouter can read (At character 4 there should be a value or a key.)."),
        ("/TaskQueues", {"EvaluateWorkerAttributes": "[]"}, "Invalid EvaluateWorkerAttributes: '[]'. Give it a JSON object."),
        ("/Tasks", {"PageToken": "x"}, "Invalid PageToken: 'x'. Give it one that a page's `meta` holds."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_twilio_s_shape(api: Api, path: str, query: dict[str, str], told: str) -> None:
    """400, with the value in it and what would be right."""
    answer = api.get(path, **query)
    assert answer.status_code == 400
    assert answer.get_json() == {
        "code": 20001, "message": told, "more_info": "https://www.twilio.com/docs/errors/20001", "status": 400,
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/Tasks/WT%00", "/Tasks/WT%ff", "/Tasks/%F0%9F%98%80", f"/Tasks/{'W' * 5000}", "/Tasks/WT'--", "/Tasks/../..", "/Tasks//"],
)
def test_a_sid_that_is_none_is_not_found(api: Api, path: str) -> None:
    """Whatever bytes stand there."""
    answer = api.get(path)
    assert (answer.status_code, answer.get_json()["code"]) == (404, 20404)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ufffd", "x" * 5000, "' OR 1=1 --", "%", "\\"])
@pytest.mark.parametrize("name", ["FriendlyName", "ActivityName", "TaskQueueSid", "TargetWorkersExpression", "PageToken", "AsOf"])
def test_no_text_of_a_filter_is_too_much(api: Api, name: str, text: str) -> None:
    """It filters, or is refused in words."""
    answer = api.get("/Workers", **{name: text})
    assert answer.status_code == 400 or answer.get_json()["workers"] in ([], api.json("/Workers")["workers"])


def test_nothing_can_be_changed(api: Api) -> None:
    """The SDK is told so as Twilio would tell it."""
    with pytest.raises(TwilioRestException) as error:
        api.sdk().tasks.create(attributes="{}")
    assert (error.value.status, error.value.code) == (405, 20004)
    for method in ("put", "patch", "delete"):
        answer = getattr(api.web, method)(f"/v1/Workspaces/{WORKSPACE}", auth=(KEY.name, KEY.secret))
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    "path", ["/Tasks/WTnone", "/Nothing", "/Tasks/WTnone/Reservations", "/Workers/WKnone/Reservations/WR1", ""]
)
def test_another_workspace_looks_like_one_that_is_not_there(url: URL, path: str) -> None:
    """Whether it exists is nobody's business who has no key for it."""
    mine, other = Key("mine", "secret", frozenset({"WS" + "1" * 32})), f"/v1/Workspaces/WS{'2' * 32}{path}"
    with reading_from(url, KEY, mine) as api:
        api.told(task_created(1))
        there = api.get(path, mine)
        nowhere = api.get(other, mine)
        assert there.status_code == nowhere.status_code == 404
        assert there.get_json()["code"] == 20404
        assert there.text.replace(WORKSPACE, "WS") == nowhere.text.replace("WS" + "2" * 32, "WS")
        assert api.get("/v1/Workspaces", mine).get_json()["workspaces"] == []
        assert [each["sid"] for each in api.json("/v1/Workspaces")["workspaces"]] == [WORKSPACE]


@pytest.mark.parametrize("key", [None, Key("reader", "wrong"), Key("nobody", "secret"), Key("", ""), Key("reader", "")])
def test_without_the_right_key_nothing_is_told(url: URL, key: Key | None) -> None:
    """401 for every path, there or not."""
    with reading_from(url) as api:
        for path in ("", "/Tasks", "/Nothing"):
            answer = api.get(path, key)
            assert (answer.status_code, answer.get_json()["code"]) == (401, 20003)
            assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_wrong_keys_are_slowed(url: URL) -> None:
    """After some they are not looked at for a while, the right one of that name included; others go on."""
    other = Key("other", "also secret")
    with reading_from(url, KEY, other) as api:
        answers = [api.get("/Tasks", Key("reader", f"guess {n}")).status_code for n in range(FREE_FAILURES + 3)]
        assert answers == [401] * (FREE_FAILURES + 1) + [429] * 2
        slowed = api.get("/Tasks")
        assert (slowed.status_code, slowed.get_json()["code"], slowed.headers["Retry-After"]) == (429, 20429, "1")
        assert api.get("/v1/Workspaces", other).status_code == 200


def test_patience_doubles_and_is_given_back() -> None:
    """A second, two, four, up to a minute; a right key ends it; only so many places are remembered."""
    now = [100.0]
    patience = Patience(lambda: now[0])
    waits = []
    for _ in range(FREE_FAILURES + 9):
        patience.failed("here")
        waits.append(patience.wait_seconds("here"))
        now[0] += waits[-1]
    assert waits == [0.0] * FREE_FAILURES + [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert patience.wait_seconds("here") == patience.wait_seconds("there") == 0
    patience.succeeded("here")
    patience.failed("here")
    assert patience.wait_seconds("here") == 0


def test_a_moment_after_everything_is_now(url: URL) -> None:
    """Every worker, task, reservation and thing of a busy floor, field by field; but for a task's age, which goes on."""
    with reading_from(url) as api:
        workload = Workload(11)
        bodies = [workload.next() for _ in range(400)]
        api.told(*bodies)
        workspace = f"/v1/Workspaces/{bodies[0]['WorkspaceSid']}"
        last_ms = max(int(body["TimestampMs"]) for body in bodies)
        seen = 0
        for path, key in (("Workers", "workers"), ("Tasks", "tasks"), ("Activities", "activities"), ("TaskQueues", "task_queues"), ("Workflows", "workflows"), ("TaskChannels", "channels")):  # fmt: skip
            for now in api.json(f"{workspace}/{path}", PageSize="1000", Ended="true")[key]:
                then = api.json(f"{workspace}/{path}/{now['sid']}", AsOf=str(last_ms))
                assert {**then, "age": None} == {**now, "age": None}
                seen += 1
                if path == "Tasks":
                    for offer in api.json(f"{workspace}/Tasks/{now['sid']}/Reservations")["reservations"]:
                        url_then = f"{workspace}/Tasks/{now['sid']}/Reservations/{offer['sid']}"
                        assert api.json(url_then, AsOf=str(last_ms)) == offer
        assert seen > 50


def test_a_resource_is_read_as_it_was(api: Api) -> None:
    """And as it was known: what had not arrived by then is not in it."""
    task, offer = f"/Tasks/{sid('WT', 'a')}", sid("WR", "r")
    assert api.get(task, AsOf=str(ms(2))).status_code == 404
    pending = api.json(task, AsOf=str(ms(5)))
    assert (pending["assignment_status"], pending["age"], pending["date_updated"]) == ("pending", 2, "2026-02-02T02:40:03Z")
    assert api.json(task, AsOf="2026-02-02T02:40:06Z")["assignment_status"] == "reserved"
    assert api.get(f"{task}/Reservations/{offer}", AsOf=str(ms(5))).status_code == 404
    assert api.json(f"{task}/Reservations/{offer}", AsOf=str(ms(6)))["reservation_status"] == "pending"
    assert api.json(f"/Workers/{sid('WK', 'ann')}/Reservations/{offer}", AsOf=str(ms(6)))["task_sid"] == sid("WT", "a")
    assert api.get(f"/Activities/{sid('WA', 'Break')}", AsOf=str(ms(1))).status_code == 404
    assert api.json(f"/Activities/{sid('WA', 'Break')}", AsOf=str(ms(2)))["friendly_name"] == "Break"
    assert api.get(task, KnownAt=str(ms(0)), AsOf=str(ms(6))).status_code == 404
    received_ms = recorded_ms(api.log.read(0, 100)[-1].state)
    assert api.json(task, KnownAt=str(received_ms))["assignment_status"] == "reserved"
    answer = api.get(task, AsOf="yesterday")
    assert (answer.status_code, answer.get_json()["message"]) == (
        400, "Invalid AsOf: 'yesterday'. Give it a moment since 2000: ISO 8601 (2026-03-01T10:42:00Z) or epoch milliseconds.",
    )  # fmt: skip


def test_a_worker_s_channels(api: Api) -> None:
    """What it can take and what it has, by the TaskChannel's Sid or unique name, now and then."""
    ann, voice, chat = f"/Workers/{sid('WK', 'ann')}/Channels", sid("TC", "voice"), sid("TC", "chat")
    for at, channel in ((8, "voice"), (9, "chat")):
        names = {"TaskChannelSid": sid("TC", channel), "TaskChannelUniqueName": channel}
        api.told(worker("capacity.update", at, **names, WorkerChannelAvailableCapacity="2", WorkerChannelPreviousCapacity="1"))
    shown = api.json(ann)["channels"]
    assert [each["task_channel_sid"] for each in shown] == sorted((voice, chat))
    busy = api.json(f"{ann}/voice", AsOf=str(ms(10)))
    assert busy == api.json(f"{ann}/{voice}", AsOf=str(ms(10)))
    assert (busy["assigned_tasks"], busy["configured_capacity"], busy["available_capacity_percentage"]) == (1, 2, 50)
    before = api.json(f"{ann}/voice", AsOf=str(ms(7)))
    assert (before["assigned_tasks"], before["configured_capacity"]) == (1, None)
    assert api.get(f"{ann}/chat", AsOf=str(ms(7))).status_code == 404
    assert api.get(f"{ann}/email").status_code == 404
    assert api.get(f"/Workers/{sid('WK', 'nobody')}/Channels").status_code == 404
    pages = [api.json(ann, PageSize="1")]
    pages.append(api.json(pages[0]["meta"]["next_page_url"]))
    assert [page["channels"][0] for page in pages] == shown
    back = api.json(pages[1]["meta"]["previous_page_url"])
    assert back["channels"] == pages[0]["channels"]
    sdk = api.sdk()
    assert [each.task_channel_unique_name for each in sdk.workers(sid("WK", "ann")).worker_channels.list()]
    assert sdk.workers(sid("WK", "ann")).worker_channels("voice").fetch().configured_capacity == 2
    assert sdk.task_channels("voice").fetch().sid == voice


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("/Workers", {"TargetWorkersExpression": "skills HAS 'support'"}, ["ann"]),
        ("/Workers", {"TargetWorkersExpression": "1==1"}, ["ann", "bob"]),
        ("/Workers", {"TargetWorkersExpression": "1==1", "ActivityName": "Break"}, ["bob"]),
        ("/Workers", {"TaskQueueName": "Helpers"}, ["ann"]), ("/Workers", {"TaskQueueSid": sid("WQ", "all")}, ["ann", "bob"]),
        ("/Workers", {"TaskQueueName": "Odd"}, []), ("/Workers", {"TaskQueueSid": sid("WQ", "none")}, []),
        ("/TaskQueues", {"WorkerSid": sid("WK", "ann")}, ["all", "helpers"]), ("/TaskQueues", {"WorkerSid": sid("WK", "bob")}, ["all"]),
        ("/TaskQueues", {"WorkerSid": sid("WK", "none")}, []), ("/TaskQueues", {"EvaluateWorkerAttributes": '{"skills":["support"]}'}, ["all", "helpers"]),
        ("/TaskQueues", {"EvaluateWorkerAttributes": "{}"}, ["all"]),
        ("/Tasks", {"EvaluateTaskAttributes": "type == 'call'"}, ["a", "b"]), ("/Tasks", {"EvaluateTaskAttributes": "type != 'call'"}, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", ["1", "50"])
def test_expressions_filter_lists(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str], names: list[str], size: str
) -> None:
    """Over attributes, in pages of any size; a queue whose expression cannot be read wants nobody."""
    monkeypatch.setattr(wanted, "LOOK", 1)
    queues = {"all": ("Everyone", "1==1"), "helpers": ("Helpers", "skills HAS 'support'"), "odd": ("Odd", "skills LIKE 'x'")}
    for name, (friendly_name, expression) in queues.items():
        told = {"TaskQueueSid": sid("WQ", name), "TaskQueueName": friendly_name, "TaskQueueTargetExpression": expression}
        api.told(callback("task-queue.created", 0, **told))
    prefix, key = {"/Workers": ("WK", "workers"), "/TaskQueues": ("WQ", "task_queues"), "/Tasks": ("WT", "tasks")}[path]
    assert api.sids(path, key, PageSize=size, **query) == sorted(sid(prefix, name) for name in names)


def test_an_answer_of_many_looks_is_given_up_too(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them quick, all together too long."""
    with reading_from(url) as api:
        api.told(task_created(1), worker("created", 1))
        assert api.get("/Tasks", AsOf=str(ms(5))).status_code == 200
        monkeypatch.setattr("projector.api.store.LOOK_SECONDS", -1)
        for path in ("/Tasks", "/RealTimeStatistics", f"/Workers/{sid('WK', 'ann')}"):
            answer = api.get(path, AsOf=str(ms(5)))
            assert (answer.status_code, answer.get_json()["code"], answer.headers["Retry-After"]) == (503, 20503, "1")


def test_a_look_that_takes_too_long_is_given_up(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After instead of waiting for ever; the next one is answered."""
    n = sa.select(sa.literal(1).label("n")).cte("n", recursive=True)
    endless = sa.select(sa.func.count()).select_from(n.union_all(sa.select(n.c.n + 1)))
    with reading_from(url, limit_seconds=0.5) as api:
        api.told(task_created(1))
        with monkeypatch.context() as patch:
            patch.setattr(routes, "some", lambda connection, *_: connection.execute(endless).all())
            answer = api.get("/Tasks")
        assert (answer.status_code, answer.get_json()["code"], answer.headers["Retry-After"]) == (503, 20503, "1")
        assert len(api.json("/Tasks")["tasks"]) == 1


class ElsewhereClient(TwilioHttpClient):
    """Twilio's own HTTP client, sent elsewhere: the one thing that whoever moves here changes."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def request(self, method: str, url: str, *arguments: Any, **named: Any) -> Any:
        return super().request(method, url.replace("https://taskrouter.twilio.com", self._base), *arguments, **named)


def test_the_sdk_reads_a_running_server(url: URL) -> None:
    """`projector serve`, asked over HTTP for every resource and statistic: in pages, one by one, and what a wrong key is told."""
    voice = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
    queue = {"TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Support", "TaskQueueTargetExpression": "1==1"}
    with closing(open_log(url)) as log:
        arrived(
            log, callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
            callback("task-queue.created", 0, **queue), worker("created", 1), worker("created", 1, "bob"),
            worker("capacity.update", 2, WorkerChannelAvailableCapacity="2", **voice), *(task_created(n, f"task {n}") for n in range(5)),
            reservation("created", 9, task_="task 1"), reservation("accepted", 12, task_="task 1"),
        )  # fmt: skip
    server = Process.serving(url)
    with ending(server):
        server.start().wait_alive()
        wait_until(lambda: caught_up(server))
        elsewhere = ElsewhereClient(f"http://127.0.0.1:{server.port}")
        client = Client(KEY.name, KEY.secret, http_client=elsewhere).taskrouter.v1
        workspace = client.workspaces(WORKSPACE)
        assert [each.sid for each in client.workspaces.list()] == [WORKSPACE]
        _read_resources(workspace)
        _read_statistics(workspace)
        task = workspace.tasks(sid("WT", "task 1")).fetch()
        assert (task.assignment_status, task.account_sid) == ("assigned", ACCOUNT)
        assert str(task.url).startswith(f"http://127.0.0.1:{server.port}/v1/Workspaces/")
        with pytest.raises(TwilioRestException) as refused:
            Client("reader", "wrong", http_client=elsewhere).taskrouter.v1.workspaces(WORKSPACE).fetch()
        assert (refused.value.status, refused.value.code) == (401, 20003)
        assert server.get("/openapi.json")[1]["openapi"] == "3.0.3"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_refused_change_leaves_the_connection_usable(databases: Databases) -> None:
    """Small or large, what was sent is read: the next request on the connection is answered."""
    server = Process.serving(databases.new("sqlite"))
    authorization = {"Authorization": "Basic " + base64.b64encode(f"{KEY.name}:{KEY.secret}".encode()).decode()}
    with ending(server):
        server.start().wait_alive()
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            for size in (10, 100_000) * 10:
                connection.request("POST", f"/v1/Workspaces/{WORKSPACE}/Tasks", body=b"x" * size, headers=authorization)
                with connection.getresponse() as refused:
                    assert (refused.status, refused.read()[:8]) == (405, b'{"code":')
                connection.request("GET", "/v1/Workspaces", headers=authorization)
                with connection.getresponse() as answer:
                    assert (answer.status, json.loads(answer.read())["workspaces"]) == (200, [])


def _read_resources(workspace: Any) -> None:
    """Each list in pages of one, and each row by itself."""
    many = ("activities", "workers", "tasks", "task_queues", "task_channels", "workflows")
    ann, task = workspace.workers(sid("WK", "ann")), workspace.tasks(sid("WT", "task 1"))
    lists = [(workspace, name) for name in many] + [(ann, "reservations"), (task, "reservations")]
    for owner, name in lists:
        shown = getattr(owner, name).list(page_size=1)
        assert shown, name
        assert [getattr(owner, name)(each.sid).fetch().sid for each in shown] == [each.sid for each in shown]
    assert len(workspace.tasks.list(page_size=2)) == 5
    channels = ann.worker_channels.list()
    assert [each.task_channel_unique_name for each in channels] == ["voice"]
    assert ann.worker_channels("voice").fetch().configured_capacity == 2
    events = workspace.events.list(minutes=5_000_000, page_size=3)
    assert len(events) == 12
    assert workspace.events(events[0].sid).fetch().event_type == events[0].event_type == "reservation.accepted"


def _read_statistics(workspace: Any) -> None:
    """Each of them, by the names the SDK gives them; these happened in the window."""
    window = {"minutes": 5_000_000}
    queue, flow = workspace.task_queues(sid("WQ", "support")), workspace.workflows(sid("WW", "main"))
    for each in (workspace, queue, flow):
        assert each.cumulative_statistics().fetch(split_by_wait_time="5", **window).reservations_accepted == 1
        assert each.real_time_statistics().fetch().tasks_by_status["pending"] == 4
        assert each.statistics().fetch(**window).realtime["total_tasks"] == 5
    assert queue.real_time_statistics().fetch().total_available_workers == 2
    assert workspace.task_queues.statistics.list(**window)[0].cumulative["tasks_entered"] == 5
    assert workspace.workers.cumulative_statistics().fetch(**window).activity_durations[0]["total"] > 0
    assert workspace.workers.real_time_statistics().fetch().total_workers == 2
    assert workspace.workers.statistics().fetch(**window).cumulative["reservations_accepted"] == 1
    assert workspace.workers(sid("WK", "ann")).statistics().fetch(**window).cumulative["tasks_assigned"] == 1
    bulk = workspace.task_queues.bulk_real_time_statistics.create(body=Listed(sid("WQ", "support")))
    assert [each["total_eligible_workers"] for each in bulk.task_queue_data] == [2]
