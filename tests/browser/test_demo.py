"""The board on a running demo: it lives, it travels in time, and every number on it is the one the read functions give."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from projector.board.words import duration, percent
from projector.read import callbacks, wallboard
from projector.read.happening import Scope, Window
from projector.read.performance import left, service_level
from projector.read.present import Present
from projector.read.queue import queue as queue_at
from projector.read.queue import tasks_in_queues
from projector.read.task import task as task_at
from projector.read.when import moment
from projector.read.worker import worker as worker_at
from tests.browser.conftest import Demo, Looking

AGO_MS = 8_000  # late callbacks of the demo have come by then

Look = Callable[..., Looking]


def test_the_board_lives(demo: Demo, look: Look) -> None:
    """It shows a floor at once and changes by itself, without being loaded again, what stays the same staying where it is."""
    board = look(demo.url)
    assert int(board.text('[data-figure="in_progress"]')) >= 0
    board.says("Live.")
    board.page.evaluate("document.querySelector('tbody tr').mine = true; window.mine = true")
    before = board.text(".fresh")
    latest = board.text("section[aria-labelledby=latest] tbody tr td:last-child")
    board.until(lambda: board.text(".fresh") != before)
    board.until(lambda: board.text("section[aria-labelledby=latest] tbody tr td:last-child") != latest)
    assert board.page.evaluate("document.querySelector('tbody tr').mine && window.mine")
    assert board.wrongs() == []


def travelled(demo: Demo, look: Look) -> tuple[Looking, int]:
    """A board on which the slider was dragged a little back, and the moment it shows."""
    board = look(demo.url)
    board.says("Live.")
    board.page.evaluate(
        """(ago) => { const slider = document.querySelector('[data-slider]'); slider.value = Date.now() - ago;
        slider.dispatchEvent(new Event('input', {bubbles: true})); }""",
        AGO_MS,
    )
    board.page.wait_for_url("**at=**")
    board.until(lambda: "As at" in board.text(".fresh"))
    (at,) = parse_qs(urlsplit(board.page.url).query)["at"]
    board.page.wait_for_timeout(1500)  # the last look of the drag
    board.page.reload()
    return board, moment(at)


def test_dragged_to_a_moment_every_number_is_that_moment_s(demo: Demo, look: Look) -> None:
    """Queues, workers on every page, tasks that wait, last callbacks: each as the read functions have it at the moment in the URL."""
    board, at_ms = travelled(demo, look)
    with demo.known() as now:
        workspace = workspace_of(board)
        compared = same_queues(board, now, workspace, at_ms) + same_waiting(board, now, workspace, at_ms)
        latest = callbacks.latest(now.log, workspace, at_ms, 12)
        shown = [row.get_attribute("id") for row in board.page.locator("section[aria-labelledby=latest] tbody tr").all()]
        assert shown == [row["event_sid"] for row in latest]
        compared += same_workers(board, now, workspace, at_ms)
    assert compared > 100
    assert board.wrongs() == []


def workspace_of(board: Looking) -> str:
    link = board.page.locator("header nav a[aria-current=page]").get_attribute("href") or ""
    return link.rpartition("/")[2]


def same_queues(board: Looking, now: Present, workspace: str, at_ms: int) -> int:
    """Each queue's figures, and the tiles above them; how many were compared."""
    figures, together = 0, {"waiting": 0, "in_progress": 0}
    for row in board.page.locator("tr[data-queue]").all():
        sid = row.get_attribute("data-queue") or ""
        then = queue_at(now, workspace, sid, at_ms)
        assert then is not None
        waits = left(now.today, Window(at_ms - 30 * 60_000, at_ms), Scope(workspace, task_queue_sid=sid))
        level = service_level(waits, 20, 5)
        expected = {
            "tasks_waiting": str(then["tasks_waiting"]), "longest_wait_ms": duration(then["longest_wait_ms"]),
            "tasks_in_progress": str(then["tasks_in_progress"]), "service_level": percent(level["offered"]),
            "answered": str(level["answered"]), "abandoned": str(level["abandoned"]),
        }  # fmt: skip
        shown = {
            name: " ".join((row.locator(f"[data-figure={name}]").text_content() or "").split()).removesuffix(", late")
            for name in expected
        }
        assert shown == expected
        figures += len(expected)
        together["waiting"] += then["tasks_waiting"]
        together["in_progress"] += then["tasks_in_progress"]
    assert {name: int(board.text(f".tiles [data-figure={name}]")) for name in together} == together
    return figures


def same_waiting(board: Looking, now: Present, workspace: str, at_ms: int) -> int:
    """The tasks that wait, the longest first, and for how long."""
    rows = [row for row in tasks_in_queues(now, workspace, at_ms) if row["waiting"]][:20]
    shown = [
        (row.get_attribute("id"), (row.locator("td").nth(2).text_content() or "").strip())
        for row in board.page.locator("section[aria-labelledby=waiting] tbody tr[id]").all()
    ]
    assert shown == [(row["task_sid"], duration(at_ms - row["since"])) for row in rows]
    return len(rows)


def same_workers(board: Looking, now: Present, workspace: str, at_ms: int) -> int:
    """Every worker, on all pages: activity, since when, load of each channel, current tasks; and how many are in each activity."""
    counts = {
        row.get_attribute("data-activity"): int(row.locator("b").text_content() or "")
        for row in board.page.locator("[data-activity]").all()
    }
    crew = wallboard.crew(now, workspace, at_ms)
    assert counts == wallboard.by_activity(crew)
    figures, seen = len(counts), set()
    while True:
        for row in board.page.locator("tr[data-worker]").all():
            sid = row.get_attribute("data-worker") or ""
            seen.add(sid)
            figures += same_worker(row, worker_at(now, workspace, sid, at_ms), at_ms)
        following = board.page.locator("a[rel=next]")
        if not following.count():
            break
        following.click()
        board.page.wait_for_load_state()
    assert seen == {row["worker_sid"] for row in crew}
    return figures


def same_worker(row: Any, then: Any, at_ms: int) -> int:
    def text(selector: str) -> str:
        return " ".join((row.locator(selector).text_content() or "").split())

    assert then is not None
    activity = then["activity"]
    assert text("[data-figure=activity]") == (activity["activity_name_now"] if activity else "unknown")
    assert text("[data-figure=since]") == duration(at_ms - activity["since"] if activity else None)
    offers = [f"{offer['status']} {duration(at_ms - offer['since'])}" for offer in then["reservations"]]
    assert text("[data-figure=reservations]") == (" ".join(offers) or "–")
    loads = {each.get_attribute("data-channel"): each.text_content() for each in row.locator("[data-channel]").all()}
    assert loads == {
        channel[
            "task_channel_sid"
        ]: f"{channel['load']} of {'unknown' if channel['configured_capacity'] is None else channel['configured_capacity']}"
        for channel in then["channels"]
    }
    return 3 + len(loads)


def test_a_worker_and_a_task_are_opened_from_the_board_at_its_moment(demo: Demo, look: Look) -> None:
    """A click on each leads to its page at the same moment: its state as `projector at` has it, its picture, its callbacks."""
    board, at_ms = travelled(demo, look)
    workspace = workspace_of(board)
    busy = board.page.locator("tr[data-worker]:has(.offer)").first
    sid = busy.get_attribute("data-worker") or ""
    busy.locator("th a").click()
    board.page.wait_for_url(f"**/workers/{sid}?at=**")
    with demo.known() as now:
        then: Any = worker_at(now, workspace, sid, at_ms)
        assert board.text("[data-figure=activity]").startswith(then["activity"]["activity_name"])
        for channel in then["channels"]:
            assert board.text(f"[data-channel={channel['task_channel_sid']}]").startswith(f"{channel['load']} of ")
        titles = [each.text_content() or "" for each in board.page.locator("[data-picture] title").all()]
        for told in (then["activity"], *then["reservations"]):
            assert any(told["event_sid"] in title for title in titles)
        board.page.locator("[data-figure=reservations] a").first.click()
        board.page.wait_for_url("**/tasks/**")
        task_sid = urlsplit(board.page.url).path.rpartition("/")[2]
        task: Any = task_at(now, workspace, task_sid, at_ms)
        assert board.text("[data-figure=status]").startswith(task["status"])
        assert board.text("[data-figure=queue]").startswith(task["queue"]["task_queue_name"])
    board.page.locator("#callbacks ~ .wide tbody tr td:last-child a").first.click()
    board.page.wait_for_url("**/callbacks/**")
    assert task_sid in (board.page.locator("tbody").text_content() or "")
    assert board.wrongs() == []


def test_played_it_goes_on_and_live_is_one_click_back(demo: Demo, look: Look) -> None:
    """At 10× the moment in the URL goes on ten times as fast as the clock, up to now; pressed again it stands; "Live" leaves the past."""
    board, at_ms = travelled(demo, look)
    board.page.locator("[data-play='10']").click()
    board.until(lambda: "at=" not in board.page.url or moment(parse_qs(urlsplit(board.page.url).query)["at"][0]) >= at_ms + 8_000)
    board.page.keyboard.press("ArrowLeft")
    board.page.wait_for_url("**at=**")
    assert board.page.locator("[data-play='10']").get_attribute("aria-pressed") == "false"
    stands = board.page.url
    board.page.wait_for_timeout(1500)
    assert board.page.url == stands
    board.page.locator("[data-live-link]").click()
    board.says("Live.")
    assert "at=" not in board.page.url
    assert board.wrongs() == []


def test_what_a_reader_opened_stays_open_and_pause_holds_it_still(demo: Demo, look: Look) -> None:
    """A table of spans stays open while the page lives on; "Pause" stops at this moment, and Back leaves it again."""
    board = look(demo.url)
    board.page.locator("tr[data-worker]:has(.offer) th a").first.click()
    board.says("Live.")
    board.page.locator("#spans summary").click()
    before = board.text(".fresh")
    board.until(lambda: board.text(".fresh") != before)
    assert board.page.evaluate("document.getElementById('spans').open")
    board.page.locator("[data-pause]").click()
    board.says("Shown as at")
    board.page.wait_for_timeout(1500)
    paused = board.text("[data-figure=reservations]")
    board.page.wait_for_timeout(2500)
    assert board.text("[data-figure=reservations]") == paused
    board.page.go_back()
    board.says("Live.")
    assert board.wrongs() == []


def test_a_worker_is_found_while_it_is_typed_and_the_cursor_stays(demo: Demo, look: Look) -> None:
    """`/` goes to the search; what is typed is asked for, is in the URL, and stays while the board goes on living."""
    board = look(demo.url)
    board.says("Live.")
    board.page.keyboard.press("/")
    name = board.text("tr[data-worker] th")
    board.page.keyboard.type(name)
    board.until(lambda: board.page.locator("tr[data-worker]").count() == 1)
    before = board.text(".fresh")
    board.until(lambda: board.text(".fresh") != before)
    assert board.page.evaluate("document.activeElement.id") == "find"
    assert board.page.locator("#find").input_value() == name
    assert f"worker={name}" in board.page.url
    board.page.reload()
    assert board.page.locator("tr[data-worker]").count() == 1
    assert board.wrongs() == []


def test_the_time_zone_is_the_viewer_s_and_utc_one_click_away(demo: Demo, look: Look) -> None:
    """Berlin's clocks at first, UTC after a click, Berlin's after another; the moment is the same."""
    board = look(demo.url, timezone_id="Europe/Berlin")
    board.until(lambda: board.text("[data-zone]") == "Europe/Berlin")
    board.page.locator("[data-zone]").click()
    board.until(lambda: board.text("[data-zone]") == "UTC")
    board.page.locator("[data-zone]").click()
    board.until(lambda: board.text("[data-zone]") == "Europe/Berlin")


def test_without_a_script_the_board_is_whole(demo: Demo, look: Look) -> None:
    """Figures, links and forms: the first paint is the board, a search and a moment are forms."""
    board = look(demo.url, java_script_enabled=False)
    assert board.page.locator("tr[data-queue]").count() >= 4
    assert not board.page.locator("[data-slider]").is_visible()
    board.page.locator("#find").fill("a")
    board.page.get_by_role("button", name="Find").click()
    assert "worker=a" in board.page.url
    board.page.locator("[data-at]").fill("2026-02-02T10:42:00")
    board.page.get_by_role("button", name="Show").click()
    assert "at=2026-02-02T10%3A42%3A00.000Z" in board.page.url
    assert "As at 2026-02-02 10:42:00 UTC" in board.text(".fresh")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["board", "worker", "task", "queue", "callback"])
def test_every_page_is_accessible(demo: Demo, look: Look, scheme: str, page: str) -> None:
    """No violation of WCAG 2.1 A and AA that axe can find: names, roles, contrast, in light and dark."""
    board = look(demo.url, color_scheme=scheme)
    to = {
        "worker": "tr[data-worker] th a",
        "task": ".offer a",
        "queue": "tr[data-queue] th a",
        "callback": "section[aria-labelledby=latest] td:last-child a",
    }
    if page in to:
        board.page.goto(f"{demo.url}{board.page.locator(to[page]).first.get_attribute('href')}")
    found = Axe().run(board.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()


def test_a_narrow_screen_is_no_wider_than_itself(demo: Demo, look: Look) -> None:
    """At 360 pixels the page does not scroll sideways; its tables do, each in itself."""
    board = look(demo.url, viewport={"width": 360, "height": 800})
    assert board.page.evaluate("document.documentElement.scrollWidth") <= 360
