"""Lists of a moment, and lists in order."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.database import database_url
from projector.migrate import migrate
from tests.given import START_MS, WORKSPACE, ms, sid, task, task_canceled, task_created, worker
from tests.harness import Workload
from tests.reading import KEY, Api, reading_from

LISTS = {
    "/Activities": "activities", "/TaskChannels": "channels", "/TaskQueues": "task_queues", "/Workflows": "workflows", "/Workers": "workers",
    "/Tasks": "tasks",
}  # fmt: skip
CALLBACKS = 250
LATER = str(START_MS + 3_000_000)


@pytest.fixture
def api(url: URL) -> Iterator[Api]:
    with reading_from(url) as api:
        yield api


def rows(api: Api, path: str, key: str, **query: str) -> list[Any]:
    """Every page's rows, without what depends on the moment of the look itself."""
    found: list[Any] = []
    answer = api.json(path, PageSize="7", **query)
    while True:
        found += [{name: value for name, value in row.items() if name != "age"} for row in answer[key]]
        if answer["meta"]["next_page_url"] is None:
            return found
        answer = api.json(answer["meta"]["next_page_url"])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_list_then_is_the_list_of_whoever_knew_no_more(api: Api, tmp_path: Any, share: float) -> None:
    """All rows, all fields: what came later shows in none of them."""
    workload = Workload(5)
    bodies = {body["Sid"]: body for body in (workload.next() for _ in range(CALLBACKS))}
    stamps = sorted(int(body["TimestampMs"]) for body in bodies.values())
    at_ms = stamps[int(len(stamps) * share)]
    api.told(*bodies.values())
    url = database_url(f"sqlite:///{tmp_path}/then.db")
    migrate(url)
    with reading_from(url) as then:
        then.told(*(body for body in bodies.values() if int(body["TimestampMs"]) <= at_ms))
        for path, key in LISTS.items():
            more = {"Ended": "true"} if path == "/Tasks" else {}
            assert rows(api, path, key, AsOf=str(at_ms), **more) == rows(then, path, key, AsOf=LATER, **more), path
        for each in then.json("/Workers", AsOf=LATER)["workers"]:
            path = f"/Workers/{each['sid']}/Reservations"
            found = rows(api, path, "reservations", AsOf=str(at_ms), Ended="true")
            assert found == rows(then, path, "reservations", AsOf=LATER, Ended="true")


def test_a_list_then_shows_what_had_just_ended(api: Api) -> None:
    """For five minutes, as Twilio keeps it; and nothing that had not begun or was deleted."""
    api.told(task_created(0, "a"), task_canceled(100, "a"), task_created(50, "b"), task_created(900, "c"), worker("created", 10))
    api.told(worker("deleted", 500))
    found = {at: api.sids("/Tasks", "tasks", AsOf=str(ms(at))) for at in (60, 100, 399, 400, 900)}
    a, b, c = (sid("WT", name) for name in "abc")
    assert found == {60: [a, b], 100: [a, b], 399: [a, b], 400: [b], 900: [b, c]}
    assert api.sids("/Tasks", "tasks", AsOf=str(ms(900)), Ended="true") == sorted([a, b, c])
    assert api.sids("/Tasks", "tasks", AsOf=str(ms(60)), AssignmentStatus="canceled") == []
    assert api.sids("/Tasks", "tasks", AsOf=str(ms(100)), AssignmentStatus="canceled") == [a]
    assert [len(api.sids("/Workers", "workers", AsOf=str(ms(at)))) for at in (9, 10)] == [0, 1]


def test_a_list_is_filtered_by_the_values_of_then(api: Api) -> None:
    """Not by today's."""
    api.told(task_created(0, "a"), task("task.updated", 100, "a", TaskPriority="9"), worker("created", 0, activity="Break"))
    api.told(worker("activity.update", 100, activity="Idle"))
    for at, priority, activity in ((50, "0", "Break"), (150, "9", "Idle")):
        for asked in ("0", "9"):
            shown = api.sids("/Tasks", "tasks", AsOf=str(ms(at)), Priority=asked)
            assert bool(shown) == (asked == priority)
        assert api.sids("/Workers", "workers", AsOf=str(ms(at)), ActivityName=activity) == [sid("WK", "ann")]


ORDERINGS = {
    "": "abcd", "DateCreated:asc": "abcd", "DateCreated:desc": "dcba", "Priority:desc,DateCreated:asc": "bdac",
    "Priority,DateCreated:desc": "cadb", "VirtualStartTime:desc": "dcba",
}  # fmt: skip


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_tasks_come_in_the_order_asked_for(api: Api, ordering: str) -> None:
    """Page by page, there and back."""
    for at, (name, priority) in enumerate([("a", "0"), ("b", "9"), ("c", "0"), ("d", "9")]):
        api.told(task_created(at * 10, name, TaskPriority=priority))
    query = {"Ordering": ordering} if ordering else {}
    order = [sid("WT", name) for name in ORDERINGS[ordering]]
    assert api.sids("/Tasks", "tasks", PageSize="1", **query) == order
    first = api.json("/Tasks", PageSize="2", **query)
    second = api.json(first["meta"]["next_page_url"])
    back = api.json(second["meta"]["previous_page_url"])
    assert [row["sid"] for row in back["tasks"]] == order[:2]


def test_a_list_of_statuses_is_told_as_the_sdk_tells_it(api: Api) -> None:
    """One parameter for each; anything else that is told twice is refused."""
    api.told(task_created(0, "a"), task_created(0, "b"), task("task.updated", 1, "b", TaskAssignmentStatus="assigned"))
    both = api.sdk().tasks.list(assignment_status=["pending", "assigned"])
    assert {each.sid for each in both} == {sid("WT", "a"), sid("WT", "b")}
    answer = api.web.get(f"/v1/Workspaces/{WORKSPACE}/Tasks?Priority=1&Priority=2", auth=(KEY.name, KEY.secret))
    assert (answer.status_code, answer.get_json()["message"]) == (400, "Invalid Priority: '1, 2'. Give it once.")


@pytest.mark.parametrize("path", ["/Tasks", "/Workers", "/Events", "/Tasks/WT1/Reservations", "/Statistics"])
def test_a_workspace_nobody_spoke_of_has_no_lists(api: Api, path: str) -> None:
    """A wrong Sid is no empty center."""
    api.told(task_created(0))
    assert api.get(f"/v1/Workspaces/WS{'e' * 32}{path}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/RealTimeStatistics",
        "/CumulativeStatistics",
        "/Performance",
        "/Workers/WK1/Timeline",
        "/Events",
        "/TaskQueues/Statistics",
    ],
)
def test_many_are_not_read_as_they_were_known(api: Api, path: str) -> None:
    """Refused, rather than answered with what is known today."""
    api.told(task_created(0))
    assert api.get(path, KnownAt=str(ms(5))).status_code == 400


@pytest.mark.parametrize(("text", "status"), [("true", 200), ("YES", 200), ("0", 200), ("no", 200), ("maybe", 400)])
@pytest.mark.parametrize("name", ["Ended", "Deleted", "Explain"])
def test_a_yes_or_no_is_one(api: Api, name: str, text: str, status: int) -> None:
    """Whatever else stands there is not taken for no."""
    api.told(task_created(0))
    path = "/CumulativeStatistics" if name == "Explain" else "/Tasks"
    assert api.get(path, **{name: text}).status_code == status


def test_a_zone_whose_plus_was_not_encoded_is_read(api: Api) -> None:
    """As it was meant."""
    api.told(task_created(0))
    assert api.get("/Tasks", AsOf="2026-02-02T03:41:00 01:00").get_json()["tasks"][0]["sid"] == sid("WT", "t")


def token(*values: Any) -> str:
    return "PA" + base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


TOKENS = [
    token(2**53 - 1, "WT"), token("", -(2**53), "WT1"), token("Priority", 2**60, "WT1"), token("Priority", 1, "\0"), token("Priority", 1, "\ud800"),
    token(), token("Priority", None, "WT1"), token("Priority", True, "WT1"), "PA" + "[" * 5_000, token("Priority:desc", 1, "WT1"), "PA\0", "PA'",
]  # fmt: skip


@pytest.mark.parametrize("text", TOKENS)
@pytest.mark.parametrize("query", [{}, {"Ordering": "Priority"}, {"Ended": "true"}])
def test_a_token_that_is_none_is_refused(api: Api, text: str, query: dict[str, str]) -> None:
    """Or that is another order's: it would leave out or repeat rows."""
    api.told(task_created(0))
    answer = api.get("/Tasks", PageToken=text, **query)
    assert (answer.status_code, answer.get_json()["code"]) == (400, 20001)


def test_a_sid_of_any_form_has_its_place(api: Api) -> None:
    """Recorded ones are not all as documented."""
    odd = ["WTXXXXXX", "WT-1/2", "wt 'ö\"", "WT%"]
    api.told(*(task_created(0, name, TaskSid=name) for name in odd))
    for query in ({}, {"Ended": "true"}, {"Ordering": "Priority:desc"}):
        assert api.sids("/Tasks", "tasks", PageSize="1", **query) == sorted(odd, key=str.encode)


def test_the_list_below_what_is_not_there_is_not_there(api: Api) -> None:
    """A task's reservations need the task."""
    api.told(task_created(0))
    assert api.get(f"/Tasks/{sid('WT', 'none')}/Reservations").status_code == 404
    assert api.get(f"/Workers/{sid('WK', 'none')}/Reservations").status_code == 404


def test_workers_and_queues_come_in_order_too(api: Api) -> None:
    """By what the parameter can name there."""
    api.told(worker("created", 10), worker("created", 5, "bob"), worker("activity.update", 20, "bob", "Busy"))
    ann, bob = sid("WK", "ann"), sid("WK", "bob")
    assert api.sids("/Workers", "workers", Ordering="DateStatusChanged:desc") == [bob, ann]
    assert api.sids("/Workers", "workers", Ordering="DateStatusChanged") == [ann, bob]
    assert api.get("/TaskQueues", Ordering="DateUpdated:desc").status_code == 200


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"Ordering": "Age"}, "Invalid Ordering: 'Age'. Give it DateCreated or Priority or VirtualStartTime, :asc or :desc, with commas between."),
        ({"Ordering": "Priority:up"}, "Invalid Ordering: 'Priority:up'. Give it DateCreated or Priority or VirtualStartTime, :asc or :desc, with commas between."),
        ({"Ordering": "Priority", "AsOf": "2026-03-01"}, "Invalid Ordering: 'Priority'. Give it an order by DateCreated, or leave it away: with AsOf there is no other."),
        ({"Ordering": "Priority", "PageToken": "PAWyJhIl0="}, "Invalid PageToken: 'WyJhIl0='. Give it one that a page's `meta` holds, for the same Ordering."),
        ({"PageToken": "PA\xff"}, "Invalid PageToken: 'ÿ'. Give it one that a page's `meta` holds, for the same Ordering."),
        ({"HasAddons": "true"}, "Invalid HasAddons: 'true'. Give it up: no table holds what it asks for."),
        ({"KnownAt": "2026-03-01"}, "Invalid KnownAt: '2026-03-01'. Give it for one resource: lists and figures are as all is known."),
    ],
)  # fmt: skip
def test_what_a_list_cannot_do_is_refused(api: Api, query: dict[str, str], told: str) -> None:
    """In words, instead of another list than was asked for."""
    api.told(task_created(0))
    answer = api.get("/Tasks", **query)
    assert (answer.status_code, answer.get_json()["message"]) == (400, told)
