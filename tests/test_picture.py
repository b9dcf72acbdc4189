"""Figures in words, the load of channels, and the picture of a timeline."""

import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from projector.board.picture import LANE, WIDTH, of_task, of_worker
from projector.board.seen import Seen, is_told_here, moment_in
from projector.board.words import clock, duration, percent, short
from projector.read.happening import Window
from projector.read.steps import steps
from tests.given import START_MS, sid

NOW = START_MS + 10_000_000
SEEN = Seen(NOW, ZoneInfo("UTC"), "WS1", START_MS + 1_000_000)
WINDOW = Window(START_MS, START_MS + 1_000_000)


def offer(name: str, started: int, ended: int | None, status: str = "accepted", **more: Any) -> dict[str, Any]:
    """A reservation's span of a worker's timeline, seconds into the window."""
    row = {"kind": "reservation", "reservation_sid": sid("WR", name), "task_sid": sid("WT", name), "status": status, "inferred": False,
           "task_channel_sid": "TC1", "ignore_capacity": None, "event_sid": sid("EV", name), "started_at": START_MS + started * 1000,
           "ended_at": None if ended is None else START_MS + ended * 1000}  # fmt: skip
    return row | more


def activity(name: str, started: int, ended: int | None) -> dict[str, Any]:
    return offer(name, started, ended) | {
        "kind": "activity",
        "activity_sid": name,
        "activity_name": name,
        "activity_name_now": None,
        "status": None,
    }


@pytest.mark.parametrize(
    ("ms", "told"),
    [(None, "–"), (0, "0:00"), (999, "0:00"), (7_000, "0:07"), (185_000, "3:05"), (3_599_999, "59:59"), (3_725_000, "1:02:05"), (183_845_000, "2 d 3:04:05"), (-1, "0:00")],
)  # fmt: skip
def test_a_duration_is_told_as_people_do(ms: int | None, told: str) -> None:
    """185 seconds are 3:05."""
    assert duration(ms) == told


@pytest.mark.parametrize(
    ("ratio", "told"),
    [(None, "–"), (0.0, "0 %"), (0.125, "13 %"), (0.8333, "83 %"), (0.9999, "99 %"), (0.0001, "1 %"), (1.0, "100 %")],
)
def test_a_share_is_told_in_percent(ratio: float | None, told: str) -> None:
    """A half counts up; nothing of nothing is a dash."""
    assert percent(ratio) == told


def test_a_time_has_its_date_where_that_is_another() -> None:
    """On the viewer's clocks, which decide the day."""
    midnight = START_MS + 76_800_000  # 00:00 UTC
    assert clock(midnight - 1, ZoneInfo("UTC"), midnight) == "2026-02-02 23:59:59"
    assert clock(midnight - 1, ZoneInfo("Europe/Berlin"), midnight) == "00:59:59"
    assert short(sid("WT", "t")) == f"{sid('WT', 't')[:8]}…{sid('WT', 't')[-4:]}"
    assert short("WTshort") == "WTshort"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29T12:00", 23), ("2026-10-25T12:00", 25), ("2026-06-01T12:00", 24)])
def test_a_day_is_as_long_as_it_is_on_the_viewer_s_clocks(day: str, hours: int) -> None:
    """23 and 25 hours where they are changed; its hours tile it up to the moment."""
    zone = ZoneInfo("Europe/Berlin")
    seen = Seen(NOW + 10**12, zone, "WS1", moment_in(day, zone))
    start_ms, end_ms = seen.day()
    assert (end_ms - start_ms) / 3_600_000 == hours
    all_ = seen.hours()
    assert (all_[0].start_ms, all_[-1].end_ms) == (start_ms, seen.at_ms)
    assert all(one.end_ms == other.start_ms for one, other in itertools.pairwise(all_))


@pytest.mark.parametrize("hour", [0, 1])
def test_a_day_begins_once_where_midnight_comes_twice(hour: int) -> None:
    """In the Azores the clocks go back over midnight: both of the repeated hours are of the day that began before them."""
    zone = ZoneInfo("Atlantic/Azores")
    first = moment_in("2026-10-25T00:30:00+00:00", zone) + hour * 3_600_000
    assert (
        Seen(NOW + 10**12, zone, "WS1", first).day() == Seen(NOW + 10**12, zone, "WS1", moment_in("2026-10-25T12:00", zone)).day()
    )


@pytest.mark.parametrize("text", ["1712010112345", "1801010112345"])
def test_milliseconds_are_milliseconds(text: str) -> None:
    """Not a date in the year 1712 written without dashes."""
    assert moment_in(text, ZoneInfo("UTC")) == int(text)
    assert not is_told_here(text)


def test_a_step_is_cut_where_the_capacity_changes() -> None:
    """Each part is of the capacity there was; of none before any was told."""
    channels = [
        offer("c1", 5, 15) | {"kind": "channel", "configured_capacity": 2},
        offer("c2", 15, None) | {"kind": "channel", "configured_capacity": 5},
    ]
    found = steps([offer("a", 0, 20), *channels], Window(START_MS, START_MS + 25_000))["TC1"]
    assert [((s.started_ms - START_MS) // 1000, (s.ended_ms - START_MS) // 1000, s.load, s.capacity) for s in found] == [
        (0, 5, 1, None), (5, 15, 1, 2), (15, 20, 1, 5),
    ]  # fmt: skip


def test_load_is_what_takes_capacity_at_once() -> None:
    """Pending, accepted and wrapping, by channel; not what is ignored, cut to the window; what lasts goes to its end."""
    rows = [offer("a", -5, 10), offer("b", 5, 20, "pending"), offer("c", 15, None, "wrapping"), offer("d", 0, 30, ignore_capacity=True),
            offer("e", 3, 4, task_channel_sid="TC2")]  # fmt: skip
    found = steps(rows, Window(START_MS, START_MS + 25_000))
    told = {
        sid_: [((s.started_ms - START_MS) // 1000, (s.ended_ms - START_MS) // 1000, s.load) for s in of]
        for sid_, of in found.items()
    }
    assert told == {"TC1": [(0, 5, 1), (5, 10, 2), (10, 15, 1), (15, 20, 2), (20, 25, 1)], "TC2": [(3, 4, 1)]}


@whatever(st.lists(st.tuples(st.integers(-50, 150), st.integers(0, 80), st.booleans()), max_size=12))
def test_load_adds_up_to_what_the_reservations_took(stretches: list[tuple[int, int, bool]]) -> None:
    """Load × time is the reservations' time within the window, however they overlap; steps never overlap, and none is empty."""
    rows = [
        offer(str(number), start, None if lasts else start + length) for number, (start, length, lasts) in enumerate(stretches)
    ]
    window = Window(START_MS, START_MS + 100_000)
    within = sum(max(0, min(100, 100 if lasts else start + length) - max(0, start)) for start, length, lasts in stretches)
    found = steps(rows, window).get("TC1", [])
    assert sum((step.ended_ms - step.started_ms) * step.load for step in found) == within * 1000
    assert all(one.ended_ms <= other.started_ms for one, other in itertools.pairwise(found))
    assert all(step.load > 0 and step.started_ms < step.ended_ms for step in found)


def test_a_worker_s_picture() -> None:
    """Lanes: activities, load by channel, reservations, those at once under each other; bars lie where their time is."""
    rows = [activity("Idle", 0, 500), activity("Busy", 500, None), offer("a", 100, 300), offer("b", 200, 400), offer("c", 450, None),
            {"kind": "channel", "task_channel_sid": "TC1", "configured_capacity": 2}]  # fmt: skip
    drawn = of_worker(
        [row | {"started_at": START_MS, "ended_at": None} if row["kind"] == "channel" else row for row in rows],
        {"TC1": "voice"},
        {"Idle": "tone0", "Busy": "tone1"},
        WINDOW,
        SEEN,
    )
    assert [lane.name for lane in drawn.lanes] == ["Activity", "voice load", "Reservations", ""]
    idle, busy = drawn.lanes[0].bars
    assert (idle.x, idle.width, busy.x, busy.width) == (0, WIDTH / 2, WIDTH / 2, WIDTH / 2)
    assert idle.tone != busy.tone
    assert [bar.height for bar in drawn.lanes[1].bars] == [LANE / 2, LANE, LANE / 2, LANE / 2]
    assert [bar.title.split(",")[0] for lane in drawn.lanes[2:] for bar in lane.bars] == ["accepted"] * 3
    assert f"told by {sid('EV', 'a')}" in drawn.lanes[2].bars[0].title
    assert drawn.lanes[2].bars[0].link == SEEN.of(sid("WT", "a"))


@whatever(st.lists(st.tuples(st.integers(-500, 1500), st.integers(0, 900)), max_size=20))
def test_no_bar_leaves_the_picture_and_none_in_a_lane_overlap(stretches: list[tuple[int, int]]) -> None:
    """Whatever lasted: within the picture's width; reservations at once are in lanes of their own."""
    rows = [offer(str(number), start, start + length) for number, (start, length) in enumerate(stretches)]
    drawn = of_worker(rows, {}, {}, WINDOW, SEEN)
    for lane in drawn.lanes:
        bars = sorted(lane.bars, key=lambda bar: bar.x)
        assert all(0 <= bar.x <= WIDTH and bar.x + bar.width <= WIDTH + 1 for bar in bars)
        assert all(one.x + one.width <= other.x + 1.7 for one, other in itertools.pairwise(bars))  # a bar is 0.8 wide at least


def test_a_bar_s_tone_is_its_status_s_or_its_name_s() -> None:
    """Offered, busy, wrapping up; an activity's is the one its name has; load above the capacity has its own."""
    rows = [offer("a", 0, 10, "pending"), offer("a", 10, 20), offer("a", 20, 30, "wrapping"), activity("Idle", 0, 50), activity("Odd", 50, None),
            offer("b", 5, 8), offer("cap", 0, None) | {"kind": "channel", "configured_capacity": 1}]  # fmt: skip
    lanes = of_worker(rows, {}, {"Idle": "tone3"}, WINDOW, SEEN).lanes
    assert [bar.tone for bar in lanes[0].bars] == ["tone3", "plain"]
    assert [bar.tone for bar in lanes[1].bars] == ["load", "over", "load"]
    assert [bar.tone for bar in lanes[2].bars] == ["offered", "busy", "wrapping"]


def test_a_task_s_picture_says_how_visits_ended() -> None:
    """The outcome and whether it was told stand in the bar's words."""
    visit = offer("q", 10, 50) | {"kind": "queue", "task_queue_sid": "WQ1", "task_queue_name": "Support", "task_queue_name_now": None, "outcome": "accepted",
                                  "status": None, "inferred": True, "event_sid": None}  # fmt: skip
    (lane,) = [lane for lane in of_task([visit], WINDOW, SEEN).lanes if lane.bars]
    assert lane.bars[0].title == "Support, accepted, 02:40:10 to 02:40:50 (0:40), inferred, told by no callback"
