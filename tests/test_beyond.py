"""What the read API has beyond Twilio's: timelines, percentiles, service levels, occupancy, the callbacks behind a figure, CSV."""

import csv
import io
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from projector.api.tabular import FORMULA
from projector.read.occupancy import Stretch, length, overlap, union
from projector.read.performance import Left, service_level, spread
from tests.given import callback, ms, reservation, sid, task, task_canceled, task_created, worker
from tests.reading import KEY, Api, reading_from
from tests.test_statistics import DAY, IN_VIP, SUPPORT, handled

HOUR = {"StartDate": str(ms(0)), "EndDate": str(ms(3600))}
VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}


@pytest.fixture
def api(url: URL) -> Iterator[Api]:
    with reading_from(url) as api:
        yield api


# Timelines


def test_a_worker_s_timeline_is_all_that_lasted(api: Api) -> None:
    """Activities, attributes, channels and reservations that touch the window, whole, with the callback that opened each."""
    story = [
        worker("created", 0),
        worker("activity.update", 100, activity="Busy"),
        worker("capacity.update", 120, WorkerChannelAvailableCapacity="2", **VOICE),
        *handled(200, wait=10),
        worker("activity.update", 900),
    ]
    api.told(*story)
    told = api.json(f"/Workers/{sid('WK', 'ann')}/Timeline", StartDate=str(ms(150)), EndDate=str(ms(300)))
    shown = [(row["kind"], row["status"] or row["activity_name"]) for row in told["spans"]]
    assert shown == [
        ("attributes", None), ("activity", "Busy"), ("channel", None), ("reservation", "pending"), ("reservation", "accepted"),
    ]  # fmt: skip
    busy = told["spans"][1]
    assert (busy["started_at"], busy["ended_at"]) == ("2026-02-02T02:41:40.000Z", "2026-02-02T02:55:00.000Z")
    assert busy["event_sid"] == story[1]["Sid"]
    assert (told["worker_sid"], told["start_time"]) == (sid("WK", "ann"), "2026-02-02T02:42:30Z")
    lasts = api.json(f"/Workers/{sid('WK', 'ann')}/Timeline", AsOf=str(ms(1000)))["spans"][-1]
    assert (lasts["kind"], lasts["activity_name"], lasts["ended_at"]) == ("activity", "Idle", None)


def test_a_task_s_timeline_shows_its_way(api: Api) -> None:
    """Statuses, queues with what ended each visit, and who it was offered to."""
    api.told(*handled(0, wait=10))
    told = api.json(f"/Tasks/{sid('WT', 't')}/Timeline")
    shown = [(row["kind"], row["status"], row["outcome"], row["worker_name"]) for row in told["spans"]]
    assert shown == [
        ("queue", None, "accepted", None), ("status", "pending", None, None), ("reservation", "pending", None, "ann"),
        ("status", "reserved", None, None), ("reservation", "accepted", None, "ann"), ("status", "assigned", None, None),
        ("reservation", "wrapping", None, "ann"), ("status", "wrapping", None, None),
    ]  # fmt: skip
    assert api.get(f"/Tasks/{sid('WT', 'none')}/Timeline").status_code == 404
    assert api.get(f"/Workers/{sid('WK', 'none')}/Timeline").status_code == 404


@pytest.mark.parametrize(
    ("window", "kinds"),
    [
        ((10, 20), ["queue", "status"]), ((9.999, 10), ["status"]), ((30, 40), []), ((29.999, 40), ["queue", "status"]), ((5, 10.001), ["queue", "status", "status"]),
    ],
)  # fmt: skip
def test_a_timeline_has_what_touches_its_window(api: Api, window: tuple[float, float], kinds: list[str]) -> None:
    """Half-open at both ends, to the millisecond."""
    api.told(
        task_created(5),
        task("task-queue.entered", 10),
        task("task.updated", 10, TaskAssignmentStatus="reserved"),
        task_canceled(30),
    )
    start, end = (str(ms(at)) for at in window)
    told = api.json(f"/Tasks/{sid('WT', 't')}/Timeline", StartDate=start, EndDate=end)["spans"]
    begun = [row["kind"] for row in told]
    assert sorted(begun) == sorted(kinds) or (window == (9.999, 10) and set(begun) <= {"status", "queue"})


def test_a_span_of_no_length_is_shown_where_it_lies(api: Api) -> None:
    """Within the window, its start included."""
    api.told(task_created(5), task("task.updated", 5, TaskAssignmentStatus="reserved", TaskVersion="1"), task_canceled(30))
    told = api.json(f"/Tasks/{sid('WT', 't')}/Timeline", StartDate=str(ms(5)), EndDate=str(ms(6)))["spans"]
    assert ("pending", "2026-02-02T02:40:05.000Z") in [(row["status"], row["ended_at"]) for row in told]


def test_a_timeline_of_then_does_not_know_what_came_later(api: Api) -> None:
    """What ended since lasts."""
    api.told(*handled(0, wait=10))
    told = api.json(f"/Tasks/{sid('WT', 't')}/Timeline", AsOf=str(ms(9)))["spans"]
    assert [(row["kind"], row["status"], row["ended_at"], row["outcome"]) for row in told if row["ended_at"] is None] == [
        ("queue", None, None, None), ("reservation", "pending", None, None), ("status", "reserved", None, None),
    ]  # fmt: skip


# Percentiles


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, (0, 0, 0, 0)), (2, (0, 1, 1, 1)), (10, (4, 8, 9, 9)), (100, (49, 89, 94, 98)), (101, (50, 90, 95, 99))],
)
def test_a_percentile_is_a_wait_that_somebody_had(count: int, told: tuple[int, ...]) -> None:
    """By nearest rank: of a hundred, the 95th is the 95th."""
    found = spread(range(count))
    assert tuple(found[name] for name in ("p50", "p90", "p95", "p99")) == told


def test_the_spread_of_nothing_is_nothing() -> None:
    """Null, not 0: nobody waited 0 seconds."""
    told = spread([])
    assert (told["count"], told["total"]) == (0, 0)
    assert [told[name] for name in ("avg", "min", "max", "p50", "p99")] == [None] * 5


def test_waits_and_handling_are_told_with_their_percentiles(api: Api) -> None:
    """Each counted where it ended; without a wrap-up all of it was talk."""
    waits = random.Random(3).sample(range(3, 100), 20)
    for number, wait in enumerate(waits):
        api.told(*handled(number * 10, f"t{number}", wait))
    api.told(
        task_created(0, "quick"), reservation("created", 1, "quick", "quick"), reservation("accepted", 2, "quick", "quick"),
        reservation("completed", 32, "quick", "quick"), task_created(0, "gone"), task_canceled(44, "gone"),
    )  # fmt: skip
    told = api.json(f"/TaskQueues/{SUPPORT}/Performance", **DAY)["durations"]
    ordered = sorted([*waits, 2])
    until = told["wait_duration_until_accepted"]
    assert (until["count"], until["p50"], until["p95"]) == (21, ordered[10], ordered[19])
    assert (told["ring"]["p50"], told["ring"]["min"]) == (2, 1)
    assert (told["talk"]["max"], told["talk"]["min"], told["wrap_up"]["min"], told["handle"]["max"]) == (100, 30, 0, 120)
    assert told["wait_duration_until_canceled"]["p99"] == 44
    assert told["wait_duration_in_queue_until_accepted"]["count"] == 21


# Service levels


LEFT = Left([5_000, 20_000, 20_001, 70_000], [2_000, 5_000, 30_000], [10_000, 90_000])


def test_every_service_level_has_its_name() -> None:
    """Four answered, two of them in time; three abandoned, two of them at once; two went on to another queue, one of them in time."""
    told = service_level(LEFT, 20, 5)
    counted = ("answered", "answered_in_time", "abandoned", "abandoned_short", "flowed_out")
    assert tuple(told[name] for name in counted) == (4, 2, 3, 2, 2)
    levels = {
        "offered": 2 / 5, "handled": 2 / 4, "removed": 5 / 9, "with_flow_outs": 2 / 7, "with_short_abandons": 2 / 7, "with_all": 2 / 9,
        "global": 3 / 7, "abandon_rate": 3 / 7, "abandon_rate_without_short": 1 / 5,
    }  # fmt: skip
    assert {name: told[name] for name in levels} == {name: round(level, 4) for name, level in levels.items()}
    assert service_level(Left([], [], []), 20, 5)["offered"] is None


def test_who_left_a_queue_is_answered_abandoned_or_gone_on(api: Api) -> None:
    """A transfer that was taken back is none of these; nor is going on in the same queue."""
    api.told(*handled(0, "a", 10), *handled(0, "b", 30))
    api.told(task_created(0, "c"), task("task-queue.entered", 0, "c"), task_canceled(3, "c"))
    api.told(task_created(0, "d"), task("task-queue.entered", 0, "d"), task("task-queue.moved", 8, "d"))
    api.told(task("task-queue.entered", 8, "d", **IN_VIP), task_created(0, "e"), task("task-queue.entered", 0, "e"))
    api.told(task("task-queue.timeout", 5, "e"), task("task-queue.entered", 5, "e"))
    told = api.json(f"/TaskQueues/{SUPPORT}/Performance", Threshold="20,60", ShortAbandon="4", **DAY)["service_levels"]
    assert [each["threshold"] for each in told] == [20, 60]
    counted = ("answered", "answered_in_time", "abandoned", "abandoned_short", "flowed_out", "handled")
    assert [tuple(each[name] for name in counted) for each in told] == [(2, 1, 1, 1, 1, 0.5), (2, 2, 1, 1, 1, 1.0)]
    everywhere = api.json("/Performance", **DAY)["service_levels"][0]
    assert (everywhere["answered"], everywhere["threshold"]) == (2, 20)
    assert api.get("/Performance", Threshold="soon").status_code == 400


def test_who_gave_up_or_was_dropped_abandoned_and_nobody_else(api: Api) -> None:
    """A deletion, and a timeout that led nowhere; not a transfer that was taken back, and not what another queue lost."""
    api.told(task_created(0, "deleted"), task("task-queue.entered", 0, "deleted"), task("task.deleted", 9, "deleted"))
    api.told(
        task_created(0, "dropped"),
        task("task-queue.entered", 0, "dropped"),
        task("task-queue.timeout", 7, "dropped"),
        task_canceled(8, "dropped"),
    )
    api.told(task_created(0, "vip", **IN_VIP), task("task-queue.entered", 0, "vip", **IN_VIP), task_canceled(6, "vip", **IN_VIP))
    api.told(
        *handled(0, "kept", 10)[:4], task("task.transfer-initiated", 20, "kept", TaskAssignmentStatus="pending"),
        task("task-queue.entered", 21, "kept", TaskAssignmentStatus="pending"), task("task.transfer-canceled", 30, "kept", TaskAssignmentStatus="assigned"),
    )  # fmt: skip
    told = api.json(f"/TaskQueues/{SUPPORT}/Performance", **DAY)["service_levels"][0]
    assert (told["answered"], told["abandoned"], told["flowed_out"]) == (1, 2, 0)


def test_what_was_never_accepted_was_not_handled(api: Api) -> None:
    """A completion without an acceptance has no talk and no wrap-up; another channel's tasks are left out where one is asked for."""
    api.told(task_created(0), reservation("created", 1), reservation("wrapup", 5), reservation("completed", 9))
    api.told(*handled(0, "chat", TaskChannelSid=sid("TC", "chat"), TaskChannelUniqueName="chat"))
    told = api.json("/Performance", **DAY)["durations"]
    assert [told[name]["count"] for name in ("talk", "wrap_up", "handle")] == [1, 1, 1]
    assert api.json("/Performance", TaskChannel="voice", **DAY)["durations"]["handle"]["count"] == 0


def test_a_deletion_stamped_before_all_else_makes_no_negative_wait(api: Api) -> None:
    """The visit ended where it began."""
    api.told(task_created(10), task("task-queue.entered", 10), task("task.deleted", 5))
    levels = api.json("/Performance", **DAY)["service_levels"][0]
    assert (levels["abandoned"], levels["abandoned_short"]) == (1, 1)


# Occupancy


MOMENTS = st.integers(0, 40)
STRETCHES = st.lists(st.tuples(MOMENTS, MOMENTS).map(lambda ends: Stretch(min(ends), max(ends))), max_size=6)


@given(STRETCHES, STRETCHES)
def test_stretches_are_sets_of_moments(some: list[Stretch], others: list[Stretch]) -> None:
    """Their union and overlap hold the moments that either or both hold, each once."""

    def moments(stretches: list[Stretch]) -> set[int]:
        return {ms for each in stretches for ms in range(*each)}

    assert length(union(some)) == len(moments(some))
    assert moments(union(some)) == moments(some)
    assert length(overlap(union(some), union(others))) == len(moments(some) & moments(others))


def test_a_worker_is_as_busy_as_their_capacity_says(api: Api) -> None:
    """One chat of two: wholly occupied, half by capacity. On duty is available, or handling whatever the activity."""
    api.told(
        callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
        callback("activity.created", 0, ActivitySid=sid("WA", "Break"), ActivityName="Break", ActivityAvailable="false"),
        worker("created", 0), worker("capacity.update", 0, WorkerChannelAvailableCapacity="2", **VOICE),
        reservation("created", 590), reservation("accepted", 600), worker("activity.update", 1000, activity="Break"),
        reservation("wrapup", 1100), reservation("completed", 1200),
    )  # fmt: skip
    told = api.json(f"/Workers/{sid('WK', 'ann')}/Performance", **HOUR)
    assert told["occupancy"] == {
        "handling": 600, "on_duty": 1200, "used": 600, "offered": 2400, "occupancy": 0.5, "weighted_occupancy": 0.25,
    }  # fmt: skip
    assert api.json("/Workers/Performance", **HOUR)["occupancy"] == told["occupancy"]
    assert told["durations"]["handle"]["count"] == 1
    nobody = api.json("/Workers/Performance", StartDate=str(ms(1201)), EndDate=str(ms(1300)))["occupancy"]
    assert (nobody["occupancy"], nobody["weighted_occupancy"]) == (None, None)


def test_each_worker_is_as_busy_as_they_are(api: Api) -> None:
    """Not as their colleagues; from the window's start, if they were handling before; a task without capacity occupies and uses none,
    and a channel that is closed or of unknown capacity counts for neither."""
    of_bob = {"worker": "bob"}
    chat = {"TaskChannelSid": sid("TC", "chat"), "TaskChannelUniqueName": "chat"}
    api.told(
        callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
        worker("created", 0, activity="Break"), worker("capacity.update", 0, activity="Break", WorkerChannelAvailableCapacity="1", **VOICE),
        worker("created", 0, "bob"), worker("capacity.update", 0, "bob", WorkerChannelAvailableCapacity="1", **VOICE),
        reservation("created", 0, "a", "a"), reservation("accepted", 100, "a", "a"), reservation("completed", 300, "a", "a"),
        reservation("created", 0, "b", "b", **of_bob), reservation("accepted", 200, "b", "b", TaskIgnoreCapacity="true", **of_bob),
        reservation("completed", 300, "b", "b", TaskIgnoreCapacity="true", **of_bob),
        reservation("accepted", 300, "c", "c", **of_bob, **chat), reservation("completed", 340, "c", "c", **of_bob, **chat),
    )  # fmt: skip
    window = {"StartDate": str(ms(200)), "EndDate": str(ms(400))}
    ann, bob = (api.json(f"/Workers/{sid('WK', name)}/Performance", **window)["occupancy"] for name in ("ann", "bob"))
    figures = ("handling", "on_duty", "used", "offered")
    assert [ann[name] for name in figures] == [100, 100, 100, 100]
    assert [bob[name] for name in figures] == [140, 200, 0, 200]
    closed = worker("channel.availability.update", 150, WorkerChannelAvailable="false", activity="Break", **VOICE)
    api.told(closed)
    again = api.json(f"/Workers/{sid('WK', 'ann')}/Performance", **window)["occupancy"]
    assert [again[name] for name in figures] == [100, 100, 0, 0]


def test_what_has_not_happened_yet_is_not_counted(api: Api) -> None:
    """A window up to midnight tonight ends now: nobody was idle in the future."""
    api.told(
        callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
        worker("created", 0),
    )
    query = {"AsOf": str(ms(100)), "StartDate": str(ms(0)), "EndDate": str(ms(86_400))}
    told = api.json("/Workers/CumulativeStatistics", **query)
    assert [each["total"] for each in told["activity_durations"]] == [100]
    assert told["end_time"] == "2026-02-02T02:41:40Z"
    assert api.json("/Workers/Performance", **query)["occupancy"]["on_duty"] == 100


# The callbacks behind a figure


def test_a_figure_names_its_callbacks(api: Api) -> None:
    """As many as it counts, by their Sids; what no callback told has none."""
    story = handled(0, "a", 10)
    api.told(*story, *handled(5, "b", 10)[:-2], worker("created", 0))
    told = api.json(f"/TaskQueues/{SUPPORT}/CumulativeStatistics", Explain="true", **DAY)
    behind = told["explain"]
    assert {name: len(rows) for name, rows in behind.items() if name.startswith(("reservations", "tasks_c", "tasks_e"))} == {
        name: told[name] for name in ("reservations_created", "reservations_accepted", "tasks_completed", "tasks_entered")
    }
    completed = {
        "at": "2026-02-02T02:42:10.000Z",
        "event_sid": story[-1]["Sid"],
        "task_sid": sid("WT", "a"),
        "reservation_sid": None,
    }
    assert behind["tasks_completed"] == [completed]
    accepted = behind["wait_duration_until_accepted"][0]
    assert (accepted["event_sid"], accepted["reservation_sid"]) == (story[3]["Sid"], sid("WR", "a"))
    of_workers = api.json("/Workers/CumulativeStatistics", Explain="true", **DAY)["explain"]["activity_durations"]
    assert [row["worker_sid"] for row in of_workers] == [sid("WK", "ann")]
    now = api.json("/RealTimeStatistics", Explain="true", AsOf=str(ms(20)))["explain"]
    assert [row["status"] for row in now["tasks"]] == ["assigned", "assigned"]
    assert now["workers"][0]["event_sid"] == of_workers[0]["event_sid"]
    assert "explain" in api.json("/Performance", Explain="true", **DAY)
    assert "explain" not in api.json("/Performance", **DAY)


def test_what_no_callback_told_has_no_sid(api: Api) -> None:
    """An offer that ended with its task is counted, and explained by nothing."""
    api.told(task_created(0), reservation("created", 1), task_canceled(5))
    told = api.json("/CumulativeStatistics", Explain="true", **DAY)
    assert told["reservations_canceled"] == 1
    assert [row["event_sid"] for row in told["explain"]["reservations_canceled"]] == [None]


def test_a_worker_s_figures_name_their_own_callbacks(api: Api) -> None:
    """Of two that accepted in one millisecond, each its own; of a workflow's entries the creations."""
    other = reservation("accepted", 10, "r2", "b", worker="bob")
    api.told(
        task_created(0, "a"),
        task_created(0, "b"),
        reservation("accepted", 10, "r1", "a"),
        other,
        reservation("accepted", 10, "r3", "b"),
    )
    told = api.json(f"/Workers/{sid('WK', 'bob')}/Statistics", Explain="true", **DAY)["cumulative"]
    assert [row["event_sid"] for row in told["explain"]["reservations_accepted"]] == [other["Sid"]]
    flow = api.json(f"/Workflows/{sid('WW', 'main')}/CumulativeStatistics", Explain="true", **DAY)
    assert len(flow["explain"]["tasks_entered"]) == flow["tasks_entered"] == 2
    assert set(flow["explain"]) <= set(flow)


def test_too_many_callbacks_behind_a_figure_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand are looked up, not a million."""
    monkeypatch.setattr("projector.read.explained.MOST", 1)
    api.told(*handled(0, "a"), *handled(0, "b"))
    answer = api.get("/CumulativeStatistics", Explain="true", **DAY)
    assert (answer.status_code, answer.get_json()["code"]) == (400, 20001)


# CSV


def table(api: Api, path: str, **query: str) -> tuple[list[dict[str, str]], Any]:
    url = f"/v1/Workspaces/{'WS' + 'b' * 32}{path}"
    answer = api.web.get(url, query_string=query, auth=(KEY.name, KEY.secret), headers={"Accept": "text/csv"})
    assert answer.mimetype == "text/csv", answer.text
    return list(csv.DictReader(io.StringIO(answer.text))), answer


def test_a_list_is_a_table_for_whoever_wants_one(api: Api) -> None:
    """The same rows; the next page in a header; what is nested has columns of its own."""
    api.told(task_created(0, "a"), task_created(1, "b"))
    rows, answer = table(api, "/Tasks", PageSize="1")
    told = api.json("/Tasks", PageSize="1")
    assert [row["sid"] for row in rows] == [sid("WT", "a")]
    assert rows[0]["links.task_queue"].endswith(SUPPORT)
    assert rows[0]["addons"] == ""
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Link"] == f'<{told["meta"]["next_page_url"]}>; rel="next"'
    figures, _ = table(api, f"/TaskQueues/{SUPPORT}/CumulativeStatistics", **DAY)
    assert (figures[0]["tasks_entered"], figures[0]["wait_duration_until_accepted.avg"]) == ("2", "")
    spans, _ = table(api, f"/Tasks/{sid('WT', 'a')}/Timeline", **DAY)
    assert {row["kind"] for row in spans} == {"status", "queue"}


@pytest.mark.parametrize("begins", FORMULA)
def test_no_cell_is_a_formula(api: Api, begins: str) -> None:
    """Whoever opens the file runs nothing that a stranger wrote."""
    name = f"{begins}HYPERLINK(1)"
    api.told(worker("created", 0, WorkerName=name))
    rows, _ = table(api, "/Workers")
    assert rows[0]["friendly_name"] == f"'{name}"


def test_what_is_a_list_in_a_row_is_json_in_a_cell(api: Api) -> None:
    """Every cell in quotes: a semicolon ends none, wherever it is opened."""
    api.told(worker("created", 0, WorkerName="a;=1+1"))
    rows, answer = table(api, "/RealTimeStatistics")
    assert json.loads(rows[0]["activity_statistics"])[0]["workers"] == 1
    assert '"a;=1+1"' in table(api, "/Workers")[1].text
    assert answer.text.startswith('"')


def test_refusals_are_json_whatever_is_accepted(api: Api) -> None:
    """And who does not ask for a table gets none."""
    headers = {"Accept": "text/csv"}
    missing = api.web.get("/v1/Nothing", auth=(KEY.name, KEY.secret), headers=headers)
    assert (missing.status_code, missing.mimetype) == (404, "application/json")
    for accept in ("*/*", "application/json", "text/html", ""):
        answer = api.web.get("/v1/Workspaces", auth=(KEY.name, KEY.secret), headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (200, "application/json")
