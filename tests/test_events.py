"""Twilio's Events from the log: every callback once, by the time it happened, asked by hand and by Twilio's own SDK."""

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.engine import URL
from twilio.base.exceptions import TwilioRestException

from projector.api import events
from projector.api.keys import Key
from projector.log import Entry, open_log
from projector.log.entry import recorded_ms
from projector.taskrouter.text import LATEST_MS
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import (
    ACCOUNT,
    WORKSPACE,
    MemoryLog,
    Parameters,
    arrived,
    callback,
    ms,
    reservation,
    sid,
    task,
    task_completed,
    task_created,
    worker,
)
from tests.harness import Workload
from tests.reading import KEY, Api, reading_from

ALL = {"StartDate": "2000-01-01T00:00:00Z"}
URL_HERE = f"http://localhost/v1/Workspaces/{WORKSPACE}"
OTHER = "WS" + "2" * 32


@pytest.fixture
def api(url: URL) -> Iterator[Api]:
    """A database without callbacks."""
    with reading_from(url) as api:
        yield api


@pytest.fixture(scope="module", params=BACKENDS)
def told(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Api]:
    """The story, and the same in another workspace; to be looked at only."""
    others = [body | {"Sid": sid("EV", f"other {n}"), "WorkspaceSid": OTHER} for n, body in enumerate(story())]
    with reading_from(databases.new(request.param)) as api:
        yield api.told(*story(), *others)


def named(*names: str) -> list[str]:
    """The events' Sids by the names that `story` gives them."""
    return [sid("EV", name) for name in names]


def story() -> list[Parameters]:
    """Two tasks and two workers, an activity; `a` to `i` a second apart."""
    email = {"TaskChannelSid": sid("TC", "email"), "TaskChannelUniqueName": "email"}
    told = [
        callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle"),
        worker("created", 1),
        task_created(2, "t"),
        task_created(3, "u", TaskQueueSid=sid("WQ", "sales"), WorkflowSid=sid("WW", "other"), **email),
        reservation("created", 4, "r", "t"),
        reservation("created", 5, "s", "t", "bob"),
        reservation("accepted", 6, "r", "t"),
        task("task.cancelled", 7, "u"),
        callback("task.praised", 8, TaskSid=sid("WT", "t"), ReservationSid=sid("WR", "r")),
    ]
    return [body | {"Sid": sid("EV", name)} for name, body in zip("abcdefghi", told, strict=True)]


def pages(api: Api, url: str = "/Events", **query: str) -> list[list[str]]:
    """The Sids of every page from this one on."""
    answer, found = api.json(url, **query), []
    while True:
        found.append([row["sid"] for row in answer["events"]])
        if answer["meta"]["next_page_url"] is None:
            return found
        answer = api.json(answer["meta"]["next_page_url"])


def test_an_event_is_its_callback(api: Api) -> None:
    """Every field of the resource; every other parameter as received, under Twilio's names."""
    told = {
        "EventDescription": "Reservation created", "ResourceType": "reservation", "ResourceSid": sid("WR", "r"), "TaskAddons": "{}",
        "TaskAttributes": r'{"url":"a\/b"}', "WorkerTimeInPreviousActivityMs": "26123", "some_new_name": "", "TimestampMs": str(ms(7) + 123),
    }  # fmt: skip
    body = reservation("created", 7, **told)
    api.told(body)
    expected = {
        "account_sid": ACCOUNT, "workspace_sid": WORKSPACE, "sid": body["Sid"], "url": f"{URL_HERE}/Events/{body['Sid']}",
        "event_type": "reservation.created", "event_date": "2026-02-02T02:40:07Z", "event_date_ms": ms(7) + 123, "description": "Reservation created",
        "resource_type": "reservation", "resource_sid": sid("WR", "r"), "resource_url": f"{URL_HERE}/Tasks/{sid('WT', 't')}/Reservations/{sid('WR', 'r')}",
        "actor_sid": None, "actor_type": None, "actor_url": None, "source": None, "source_ip_address": None,
        "event_data": {
            "workspace_sid": WORKSPACE, "workspace_name": "Test floor", "task_sid": sid("WT", "t"), "task_attributes": r'{"url":"a\/b"}', "task_priority": "0",
            "task_channel_sid": sid("TC", "voice"), "task_channel_unique_name": "voice", "task_queue_sid": sid("WQ", "support"), "task_queue_name": "Support",
            "workflow_sid": sid("WW", "main"), "workflow_name": "Main", "task_assignment_status": "reserved", "reservation_sid": sid("WR", "r"),
            "worker_sid": sid("WK", "ann"), "worker_name": "ann", "worker_activity_sid": sid("WA", "Idle"), "worker_activity_name": "Idle", "worker_attributes": "{}",
            "task_add_on_attributes": "{}", "worker_time_in_previous_activity_ms": "26123", "some_new_name": "",
        },
    }  # fmt: skip
    assert api.json("/Events", **ALL)["events"] == [expected]
    assert api.json(f"/Events/{body['Sid']}") == expected
    assert api.get(expected["resource_url"]).status_code == 200


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("WT", "Tasks/"), ("WK", "Workers/"), ("WQ", "TaskQueues/"), ("WW", "Workflows/"), ("WA", "Activities/"), ("TC", "TaskChannels/"),
        ("CA", None), ("WS", None), ("WR", None), ("", None), ("WT/../", None), ("WT?", None), ("WT\n", None),
    ],
)  # fmt: skip
def test_a_resource_is_pointed_to_where_we_serve_it(api: Api, prefix: str, path: str | None) -> None:
    """What it is its Sid says; a reservation without its task, another workspace and what is no Sid are nowhere."""
    about = sid(prefix, "x") if prefix else ""
    api.told(callback("some.thing", 0, ResourceSid=about), callback("some.thing", 1, ResourceSid=WORKSPACE))
    workspace, other = api.json("/Events", **ALL)["events"]
    assert workspace["resource_url"] == URL_HERE
    assert (other["resource_sid"], other["resource_url"]) == (about, path and f"{URL_HERE}/{path}{about}")


def test_the_sdk_lists_and_fetches(told: Api) -> None:
    """With its own types: moments, a map of texts, and pages that it walks by itself."""
    start = datetime.fromtimestamp(ms(0) / 1000, UTC)
    listed = told.sdk().events.list(start_date=start, page_size=2)
    assert [each.sid for each in listed] == named(*"ihgfedcba")
    one = told.sdk().events(listed[2].sid).fetch()
    assert (one.sid, one.event_type, one.event_date_ms, one.event_date) == (
        listed[2].sid, "reservation.accepted", ms(6), datetime.fromtimestamp(ms(6) / 1000, UTC),
    )  # fmt: skip
    assert one.event_data["reservation_sid"] == sid("WR", "r")
    found = told.sdk().events.list(end_date=start.replace(second=5), task_sid=sid("WT", "t"), event_type="reservation.created")
    assert [each.sid for each in found] == named("f", "e")
    with pytest.raises(TwilioRestException) as error:
        told.sdk().events(sid("EV", "none")).fetch()
    assert (error.value.status, error.value.code) == (404, 20404)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, "ihgfedcba"), ({"EventType": "reservation.created"}, "fe"), ({"EventType": "task.canceled"}, "h"), ({"EventType": "task.cancelled"}, "h"),
        ({"EventType": "task.praised"}, "i"), ({"EventType": "task"}, ""), ({"Sid": sid("EV", "c")}, "c"), ({"Sid": sid("EV", "none")}, ""),
        ({"Sid": sid("EV", "c"), "EventType": "task.created"}, "c"), ({"Sid": sid("EV", "c"), "EventType": "task.updated"}, ""),
        ({"TaskSid": sid("WT", "t")}, "igfec"), ({"TaskSid": sid("WT", "u")}, "hd"), ({"TaskSid": sid("WT", "none")}, ""),
        ({"ReservationSid": sid("WR", "r")}, "ige"), ({"ReservationSid": sid("WR", "s")}, "f"), ({"ReservationSid": sid("WR", "none")}, ""),
        ({"ReservationSid": sid("WR", "r"), "TaskSid": sid("WT", "t")}, "ige"), ({"ReservationSid": sid("WR", "r"), "TaskSid": sid("WT", "u")}, ""),
        ({"WorkerSid": sid("WK", "ann")}, "geb"), ({"WorkerSid": sid("WK", "bob"), "TaskSid": sid("WT", "t")}, "f"),
        ({"TaskQueueSid": sid("WQ", "sales")}, "d"), ({"WorkflowSid": sid("WW", "main")}, "hgfec"), ({"WorkflowSid": sid("WW", "other")}, "d"),
        ({"TaskChannel": "email"}, "d"), ({"TaskChannel": sid("TC", "email")}, "d"), ({"TaskChannel": "voice"}, "hgfec"), ({"TaskChannel": "Voice"}, ""),
        ({"TaskChannel": "voice", "EventType": "reservation.accepted", "WorkerSid": sid("WK", "ann")}, "g"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", ["1", "4", "50"])
def test_events_are_filtered(told: Api, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], names: str, size: str) -> None:
    """By each of Twilio's parameters and several at once, in pages of any size and looks of few."""
    monkeypatch.setattr(events, "LOOK", 2)
    found = pages(told, PageSize=size, **ALL, **query)
    assert [each for page in found for each in page] == named(*names)
    assert all(len(page) == int(size) for page in found[:-1])


def test_they_come_in_the_order_in_which_they_happened(api: Api) -> None:
    """Whatever the order of arrival; of one moment the one that arrived last comes first; what came twice is there once."""
    first, second, third = (task_created(5, name, Sid=sid("EV", name)) for name in "abc")
    late = task_created(1, "late", Sid=sid("EV", "late"))
    receipts = callback("some.thing", 0, Sid=sid("EV", "r"), Timestamp="x", TimestampMs="x")
    api.told(second, first, third, second, late, first, receipts)
    assert pages(api, **ALL) == [named("r", "c", "a", "b", "late")]
    received = api.json(f"/Events/{sid('EV', 'r')}")
    assert received["event_date_ms"] == recorded_ms(api.log.find(f"{WORKSPACE}/{sid('EV', 'r')}").state)


def test_pages_go_both_ways_while_callbacks_arrive(api: Api) -> None:
    """Newer ones move nothing; a late one is seen where it belongs, if that is still to come."""
    api.told(*story()[:6])
    first = api.json("/Events", PageSize="2", **ALL)
    assert (first["meta"]["previous_page_url"], first["meta"]["key"], first["meta"]["page"]) == (None, "events", 0)
    api.told(*story()[6:], task_created(4.5, "seen", Sid=sid("EV", "seen")), task_created(2.5, "ahead", Sid=sid("EV", "ahead")))
    second = api.json(first["meta"]["next_page_url"])
    third = api.json(second["meta"]["next_page_url"])
    fourth = api.json(third["meta"]["next_page_url"])
    shown = [[row["sid"] for row in page["events"]] for page in (first, second, third, fourth)]
    assert shown == [named("f", "e"), named("d", "ahead"), named("c", "b"), named("a")]
    assert fourth["meta"]["next_page_url"] is None
    back = api.json(fourth["meta"]["previous_page_url"])
    assert back["events"] == third["events"]
    back = api.json(api.json(back["meta"]["previous_page_url"])["meta"]["previous_page_url"])
    assert [row["sid"] for row in back["events"]] == named("seen", "e")
    back = api.json(api.json(back["meta"]["previous_page_url"])["meta"]["previous_page_url"])
    assert [row["sid"] for row in back["events"]] == named("i", "h")
    assert back["meta"]["previous_page_url"] is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"StartDate": str(ms(7))}, "ih"), ({"StartDate": str(ms(7) + 1)}, "i"), ({"StartDate": "2026-02-02T02:40:08Z"}, "i"),
        ({"StartDate": "2026-02-02T03:40:08+01:00"}, "i"), ({"EndDate": str(ms(1))}, "ba"), ({"EndDate": str(ms(1) - 1)}, "a"), ({"EndDate": "2026-02-02"}, ""),
        ({"StartDate": str(ms(3)), "EndDate": str(ms(5))}, "fed"), ({"StartDate": str(ms(3)), "EndDate": str(ms(3))}, "d"),
        ({}, "ihgfedcb"), ({"Minutes": "15"}, "ihgfedcb"), ({"Minutes": "16"}, "ihgfedcba"), ({"Minutes": "99999999999"}, "ihgfedcba"), ({"Minutes": "x"}, None), ({"Minutes": "9999999999"}, "ihgfedcba"),
        ({"AsOf": str(ms(5))}, "fedcba"), ({"AsOf": str(ms(905))}, "ihgf"), ({"AsOf": str(ms(64)), "Minutes": "1"}, "ihgfe"), ({"AsOf": str(ms(4)), **ALL}, "edcba"),
        ({"EndDate": str(ms(62)), "Minutes": "1"}, "ihgfedc"), ({"AsOf": str(ms(4)), "EndDate": str(ms(2))}, "cba"), ({"Sid": sid("EV", "a")}, "a"),
        ({"Sid": sid("EV", "a"), "Minutes": "15"}, ""), ({"Sid": sid("EV", "a"), "EndDate": str(ms(0))}, "a"), ({"Sid": sid("EV", "b"), "EndDate": str(ms(0))}, ""),
        ({"TaskSid": sid("WT", "t"), "EndDate": str(ms(5)), "StartDate": str(ms(4))}, "fe"),
    ],
)  # fmt: skip
def test_a_window_has_both_its_ends(told: Api, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], names: str | None) -> None:
    """To the millisecond; fifteen minutes when none is given, reaching back from now, or from `AsOf`, after which nothing is shown."""
    monkeypatch.setattr(events, "now_ms", lambda: ms(900.5))
    answer = told.get("/Events", **query)
    if names is None:
        assert answer.status_code == 400
    else:
        assert [row["sid"] for row in answer.get_json()["events"]] == named(*names)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"Minutes": "5", **ALL}, "Invalid Minutes: '5'. Give it without StartDate: both say where the window begins."),
        ({"Minutes": "0"}, "Invalid Minutes: '0'. Give it a whole number from 1 to 5270400."),
        ({"Minutes": "-1"}, "Invalid Minutes: '-1'. Give it a whole number from 1 to 5270400."),
        ({"StartDate": "soon"}, "Invalid StartDate: 'soon'. Give it a moment since 2000: ISO 8601 (2026-03-01T10:42:00Z) or epoch milliseconds."),
        ({"EndDate": "0"}, "Invalid EndDate: '0'. Give it a moment since 2000: ISO 8601 (2026-03-01T10:42:00Z) or epoch milliseconds."),
        ({"StartDate": "2026-02-02", "EndDate": "2026-02-01"}, "Invalid StartDate: '2026-02-02'. Give it a moment before the window's end, 2026-02-01T00:00:00Z."),
        ({"PageToken": "PAx"}, "Invalid PageToken: 'PAx'. Give it one that a page's `meta` holds."),
        ({"PageToken": "PB1-2-3"}, "Invalid PageToken: 'PB1-2-3'. Give it one that a page's `meta` holds."),
        ({"PageToken": f"PA{'9' * 16}-1"}, f"Invalid PageToken: 'PA{'9' * 16}-1'. Give it one that a page's `meta` holds."),
        ({"PageToken": f"PA1-{'9' * 19}"}, f"Invalid PageToken: 'PA1-{'9' * 19}'. Give it one that a page's `meta` holds."),
        ({"PageToken": "PA１-２"}, "Invalid PageToken: 'PA１-２'. Give it one that a page's `meta` holds."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(told: Api, query: dict[str, str], message: str) -> None:
    """In Twilio's shape, with the value in it and what would be right."""
    answer = told.get("/Events", **query)
    assert (answer.status_code, answer.get_json()["code"], answer.get_json()["message"]) == (400, 20001, message)


@pytest.mark.parametrize(
    "token", ["PA0-0", "PB0-0", f"PA{'9' * 15}-{'9' * 18}", f"PB{'9' * 15}-{'9' * 18}", f"PA{ms(4)}-0", f"PB{ms(4)}-{'9' * 18}"]
)
def test_a_place_outside_the_window_is_at_its_end(told: Api, token: str) -> None:
    """A page never shows what the window does not hold."""
    shown = [row["sid"] for row in told.json("/Events", StartDate=str(ms(2)), EndDate=str(ms(5)), PageToken=token)["events"]]
    inside = named(*"fedc")
    assert shown in ([], inside, inside[2:], inside[:1])


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ufffd", "x" * 5000, "' OR 1=1 --", "%", "\\", "WT/../", "\U0001f600", "-1"])
@pytest.mark.parametrize("name", [*events.FILTERS, "Sid", "EventType", "StartDate", "EndDate", "Minutes", "AsOf", "PageToken"])
def test_no_text_of_a_filter_is_too_much(told: Api, name: str, text: str) -> None:
    """It finds nothing, or is refused in words."""
    answer = told.get("/Events", **({} if name in ("StartDate", "Minutes") else ALL), **{name: text})
    assert answer.status_code == 400 or answer.get_json()["events"] == []


@pytest.mark.parametrize("text", ["\0", "\ufffd", "x" * 5000, "' OR 1=1 --", "%", "EV", "EV\n", "EV" + "g" * 32, "WS" + "2" * 32])
def test_a_sid_that_is_none_is_not_found(told: Api, text: str) -> None:
    """Whatever stands there."""
    answer = told.get(f"/Events/{text}")
    assert (answer.status_code, answer.get_json()["code"]) == (404, 20404)


def test_one_event_is_there_from_its_moment_and_its_receipt_on(told: Api) -> None:
    """`AsOf` and `KnownAt`, as with any other resource."""
    path, received_ms = f"/Events/{sid('EV', 'c')}", recorded_ms(told.log.read(0, 100)[2].state)
    assert [told.get(path, AsOf=str(at)).status_code for at in (ms(2) - 1, ms(2), ms(9))] == [404, 200, 200]
    assert [told.get(path, KnownAt=str(at)).status_code for at in (received_ms - 1, received_ms)] == [404, 200]


def test_another_workspace_s_events_are_not_there(url: URL) -> None:
    """Neither in a list, nor by their Sid, nor by a task's or reservation's; and a key for others is told 404."""
    mine = Key("mine", "secret", frozenset({OTHER}))
    with reading_from(url, KEY, mine) as api:
        api.told(*story(), callback("workspace.created", 0, WorkspaceSid=OTHER, Sid=sid("EV", "other")))
        assert [row["sid"] for row in api.json(f"/v1/Workspaces/{OTHER}/Events", **ALL)["events"]] == [sid("EV", "other")]
        for query in ({"TaskSid": sid("WT", "t")}, {"ReservationSid": sid("WR", "r")}, {"Sid": sid("EV", "c")}):
            assert api.json(f"/v1/Workspaces/{OTHER}/Events", **ALL, **query)["events"] == []
        assert api.get(f"/v1/Workspaces/{OTHER}/Events/{sid('EV', 'c')}").status_code == 404
        for path in ("/Events", f"/Events/{sid('EV', 'c')}", f"/Events/{sid('EV', 'none')}"):
            refused = api.get(path, mine)
            assert (refused.status_code, refused.get_json()["code"]) == (404, 20404)
            assert api.get(path, None).status_code == 401
        assert api.get(f"/v1/Workspaces/{OTHER}/Events", mine).status_code == 200
        assert api.web.post(f"/v1/Workspaces/{WORKSPACE}/Events", auth=(KEY.name, KEY.secret)).status_code == 405


def test_a_callback_without_a_sid_is_listed_and_has_none(api: Api) -> None:
    """It is known by a digest of its parameters, by which nobody can ask for it."""
    body = task_created(0) | {"EventType": "task.hailed"}
    del body["Sid"]
    api.told(body)
    identity = api.log.read(0, 1)[0].originator_id.partition("/")[2]
    assert len(identity) == 64
    shown = api.json("/Events", **ALL)["events"]
    assert [(row["sid"], row["url"], row["event_type"]) for row in shown] == [(None, None, "task.hailed")]
    assert api.get(f"/Events/{identity}").status_code == 404
    assert api.json("/Events", Sid=identity, **ALL)["events"] == []


def test_a_reservation_is_found_before_it_is_projected_and_in_every_task_that_claims_it(api: Api) -> None:
    """The tables only say where to look: while they do not know its task, or know several, all callbacks of the window are looked at."""
    arrived(api.log, *story())
    query = {"ReservationSid": sid("WR", "r")} | ALL
    assert pages(api, **query) == [named("i", "g", "e")]
    api.told(reservation("accepted", 9, "r", "u", Sid=sid("EV", "j")))
    assert pages(api, **query) == [named("j", "i", "g", "e")]


def test_a_search_comes_to_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is told; when the time is up before there is a page, whoever asks is told to ask for less."""
    monkeypatch.setattr(events, "LOOK_SECONDS", 0)
    monkeypatch.setattr(events, "LOOK", 3)
    api.told(*story())
    assert pages(api, PageSize="2", **ALL)[0] == named("i", "h")
    answer = api.get("/Events", PageSize="2", EventType="activity.created", **ALL)
    assert (answer.status_code, answer.get_json()["code"], answer.headers["Retry-After"]) == (503, 20503, "1")
    assert answer.get_json()["message"] == (
        "No page of events was found within 0 seconds. Give a narrower window (StartDate, EndDate), or a TaskSid."
    )
    assert pages(api, PageSize="2", EventType="activity.created", EndDate=str(ms(1))) == [named("a")]


def expected(bodies: list[Parameters]) -> list[Parameters]:
    """What was stored of these, the latest first: by stamp, then by the place of its first arrival."""
    stored = list({body["Sid"]: body for body in bodies}.values())  # the first place of each
    return sorted(stored, key=lambda body: (int(body["TimestampMs"]), stored.index(body)), reverse=True)


def test_all_pages_together_are_all_callbacks_each_once_in_order(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a busy floor with late and repeated deliveries, unknown types and another workspace in between; whatever is asked for."""
    monkeypatch.setattr(events, "LOOK", 7)
    workload, chance = Workload(5), random.Random(5)
    bodies = [workload.next() for _ in range(300)]
    bodies += [task("task.praised", chance.randrange(20), f"task {n}") for n in range(9)]
    chance.shuffle(bodies)
    others = [body | {"WorkspaceSid": OTHER, "Sid": sid("EV", f"other {n}")} for n, body in enumerate(bodies[::3])]
    api.told(*(body for pair in zip(bodies, others, strict=False) for body in pair), *bodies[len(others) :])
    stored, of = (
        expected(bodies),
        {name: name for name in (*events.FILTERS, "EventType")} | {"TaskChannel": "TaskChannelUniqueName"},
    )
    assert len(stored) > 200
    assert [each for page in pages(api, PageSize="30", **ALL) for each in page] == [body["Sid"] for body in stored]
    for name, parameter in of.items():
        told = sorted({body[parameter] for body in stored if parameter in body})
        for text in chance.sample(told, min(3, len(told))):
            wanted = [body["Sid"] for body in stored if body.get(parameter) == text]
            found = pages(api, PageSize=str(chance.choice((3, 50, 1000))), **{name: text}, **ALL)
            assert [each for page in found for each in page] == wanted, (name, text)
    back, shown = api.json("/Events", **ALL, PageSize="40", PageToken="PB0-0"), []
    while True:
        shown = [row["sid"] for row in back["events"]] + shown
        if back["meta"]["previous_page_url"] is None:
            break
        back = api.json(back["meta"]["previous_page_url"])
    assert shown == [body["Sid"] for body in stored]


def test_every_log_goes_by_time_alike(url: URL) -> None:
    """Both ways, from every place, with a unit and without, as the log in memory does."""
    bodies = [*story(), task_created(4, "tied", Sid=sid("EV", "tied")), task_completed(4, "t", Sid=sid("EV", "late"))]
    memory, unit = MemoryLog(ms(100)), f"{WORKSPACE}/task/{sid('WT', 't')}"
    with closing(open_log(url)) as log:
        for each in (memory, log):
            each.append([Entry.of(body, "import", ms(100)) for body in bodies])
        places = [(row.at_ms, row.position) for row in memory.earliest((0, 0), LATEST_MS, 99)]
        assert len(places) == len(bodies)
        for place in [(0, 0), *places, (LATEST_MS, 0)]:
            for whose in (None, unit, "nobody"):
                for bound, limit in ((0, 99), (ms(4), 99), (ms(4), 2), (LATEST_MS, 2)):
                    assert log.latest(place, bound, limit, whose) == memory.latest(place, bound, limit, whose)
                    assert log.earliest(place, bound, limit, whose) == memory.earliest(place, bound, limit, whose)


def test_counts_of_looks_stay_small(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without filters reads as many callbacks as it shows and one; a search within a task no other task's."""
    api.told(*(task_created(n, f"task {n}") for n in range(40)), *story())
    looked: list[Any] = []
    latest = api.log.latest
    monkeypatch.setattr(api.log, "latest", lambda *asked: looked.append(latest(*asked)) or looked[-1])
    assert len(api.json("/Events", PageSize="5", **ALL)["events"]) == 5
    assert [len(rows) for rows in looked] == [6]
    looked.clear()
    assert len(api.json("/Events", ReservationSid=sid("WR", "r"), **ALL)["events"]) == 3
    assert [len(rows) for rows in looked] == [5]
