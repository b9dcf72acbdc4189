"""The wallboard's pages without a browser: what they show, to whom, at which moment, and what they say when something is wrong."""

import json
import re
import time
from collections.abc import Iterator
from html import unescape
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from sqlalchemy.engine import URL

from projector import tables
from projector.access import writing
from projector.api.keys import Key
from projector.board.pages import POLICY
from projector.read.moment import at as entity_at
from tests.board import Board, board_over, figures, rows, tags, text
from tests.given import (
    WORKSPACE,
    Parameters,
    arrived,
    callback,
    ms,
    reservation,
    sid,
    task,
    task_canceled,
    task_created,
    worker,
)
from tests.hostile import HOSTILE

ANN, TASK, QUEUE = sid("WK", "ann"), sid("WT", "t"), sid("WQ", "support")
VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
OTHER = "WS" + "c" * 32


def iso(at: float) -> str:
    return tables.iso(ms(at))


def floor() -> list[Parameters]:
    """Ann takes a call that came out of Support; another one waits."""
    return [
        worker("created", 1), worker("capacity.update", 2, WorkerChannelAvailableCapacity="2", **VOICE), worker("activity.update", 10, activity="Idle"),
        callback("activity.created", 0, ActivitySid=sid("WA", "Idle"), ActivityName="Idle", ActivityAvailable="true"),
        task_created(100), task("task-queue.entered", 100, TaskAssignmentStatus="pending"),
        reservation("created", 105), reservation("accepted", 110), task_created(130, "w"), task("task-queue.entered", 130, "w", TaskAssignmentStatus="pending"),
        worker("activity.update", 600, activity="Break"),
    ]  # fmt: skip


@pytest.fixture
def board(url: URL) -> Iterator[Board]:
    """An open board over a small floor."""
    with board_over(url) as board:
        yield board.told(*floor())


def test_the_board_shows_a_moment(board: Board) -> None:
    """What was at 2:10 into the story: who waited, who worked, what was free; nothing of what came later."""
    page = board.page(at=iso(130))
    assert rows(page, "queue")[QUEUE] == {
        "tasks_waiting": "1", "longest_wait_ms": "0:00", "tasks_in_progress": "1", "service_level_now": "100 %", "service_level": "100 %",
        "answered": "1", "abandoned": "0",
    }  # fmt: skip
    ann = rows(page, "worker")[ANN]
    assert (ann["activity"], ann["since"], ann["reservations"]) == ("Idle", "2:00", "accepted 0:20")
    assert "1 of 2" in text(page.partition(f'id="worker-{ANN}"')[2].partition("</tr>")[0])
    assert "Break" not in page
    assert "No worker yet at this moment" in board.page(at=iso(-60))


def test_what_happened_in_the_very_moment_is_on_the_board(board: Board) -> None:
    """Its callback is among the last ones; a worker of whom nobody told whether they get tasks is not counted as available."""
    page = board.page(at=iso(600))
    assert floor()[-1]["Sid"] in page.partition('id="latest"')[2]
    assert floor()[-1]["Sid"] not in board.page(at=iso(599.999))
    tiles = [
        figures(board.page(at=iso(at)).partition('class="tiles"')[2].partition("</dl>")[0])["available"] for at in (130, 600)
    ]
    assert tiles == ["1 of 1", "0 of 1"]


def test_the_moment_goes_with_every_link(board: Board) -> None:
    """A link of the board of a moment leads to that moment; the one to live does not."""
    page = board.page(at=iso(130))
    links = [unescape(link) for link in re.findall(r'href="(/workspaces/[^"]*)"', page)]
    inside = [link for link in links if link.count("/") > 2]
    assert len(inside) > 10
    assert all("at=2026-02-02T02%3A42%3A10.000Z" in link for link in inside)
    assert f'href="/workspaces/{WORKSPACE}" data-live-link' in page


def test_every_figure_leads_somewhere(board: Board) -> None:
    """Each figure of the board is a link or nothing's dash, and every link of every page is answered."""
    page = board.page(at=iso(130))
    for name, cell in re.findall(r'data-figure="([a-z_]+)"[^>]*>(.*?)</(?:td|dd)>', page, re.DOTALL):
        assert "<a href" in cell or text(cell) in ("–", "2:00") or name == "since", (name, cell)
    reached: set[str] = set()
    waiting = [f"/workspaces/{WORKSPACE}?at={iso(130)}"]
    while waiting:
        path = waiting.pop()
        answer = board.web.get(path)
        assert answer.status_code in (200, 302), (path, answer.status_code, answer.text[-300:])
        found = {unescape(link).partition("#")[0] for link in re.findall(r'href="(/workspaces/[^"]*)"', answer.text)}
        new = {link for link in found if "from=" not in link} - reached
        reached |= new
        waiting += sorted(new)
    kinds = {link.split("/")[3] for link in reached if link.count("/") > 3}
    assert kinds == {"workers", "tasks", "queues", "callbacks", "reservations"}


def test_a_link_typed_on_the_viewer_s_clocks_becomes_one_for_everybody(board: Board) -> None:
    """The date field has no zone: it is the viewer's, and the URL it leads to names the moment itself."""
    board.web.set_cookie("zone", "Europe/Berlin")
    asked = board.get(at="2026-02-02T03:42:10")
    assert asked.status_code == 302
    assert "at=2026-02-02T02%3A42%3A10.000Z" in asked.headers["Location"]
    assert "03:42:10" in board.page(at=iso(130))
    board.web.set_cookie("zone", "../../etc/passwd")
    assert "02:42:10" in board.page(at=iso(130))


def test_what_is_to_come_is_looked_at_now(board: Board) -> None:
    """A moment in the future is no moment yet, nor is a form's empty field: the live board, under its own URL, filters kept."""
    assert 'data-live="no"' in board.page(at=iso(1))
    for query in ({"at": "2199-01-01T00:00:00Z"}, {"at": ""}, {"at": "", "known": "2199-01-01T00:00:00"}):
        answer = board.get(worker="ann", **query)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/workspaces/{WORKSPACE}?worker=ann")
    assert 'data-live="yes"' in board.page()


@pytest.mark.parametrize("query", [{"at": "yesterday"}, {"at": "1"}, {"known": "x"}, {"at": "2026-13-01T00:00:00Z"}])
def test_a_moment_that_cannot_be_read_is_told_in_words(board: Board, query: dict[str, str]) -> None:
    """400, and how to write one."""
    answer = board.get(**query)
    assert answer.status_code == 400
    assert "Write it as 2026-03-01T10:42:00Z" in unescape(answer.text)


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999", "2"])
def test_a_page_of_workers_that_is_not_there_is_the_nearest(board: Board, page: str) -> None:
    """A number is the list's last page at most, anything else the first."""
    assert ANN in rows(board.page(page=page), "worker")


def test_many_workers_are_paged_and_found(url: URL) -> None:
    """Sixty workers are three pages by name; a search finds across them."""
    with board_over(url) as board:
        board.told(*(worker("created", 1, f"worker {number:02}", activity="Idle") for number in range(60)))
        pages = [list(rows(board.page(page=str(page)), "worker")) for page in (1, 2, 3)]
        assert [len(each) for each in pages] == [25, 25, 10]
        assert len({each for page in pages for each in page}) == 60
        assert list(rows(board.page(worker="ER 41"), "worker")) == [sid("WK", "worker 41")]
        assert "No worker is called so" in board.page(worker="nobody")
        assert "No worker is called so" in board.page(activity="Lunch")


def test_a_worker_s_page_is_its_moment_its_picture_and_its_callbacks(board: Board) -> None:
    """The state as `projector at` has it; bars for activity, load and reservation with the Sids behind them; totals of the stretch."""
    page = board.page(f"/workers/{ANN}", at=iso(700))
    then = entity_at(board.engine, board.log, ANN, ms(700))
    told = figures(page)
    assert told["activity"] == "Break for 1:40"
    assert told["reservations"] == "accepted for 9:50"
    for behind in (then["activity"]["event_sid"], then["reservations"][0]["event_sid"]):
        assert f"told by {behind}" in unescape(page)
    assert 'aria-label="Activities, channel load and reservations of ann"' in page
    assert "voice load" in page
    assert "voice: 1 of 2" in unescape(page)
    assert re.search(r'data-total="Break">1:40<', page)
    closer = board.page(f"/workers/{ANN}", at=iso(700), **{"from": iso(600), "until": iso(660)})
    assert re.search(r'data-total="Break">1:00<', closer)
    assert 'data-total="Idle"' not in closer


def test_a_worker_s_page_does_not_know_what_comes_later(board: Board) -> None:
    """At a moment within an activity it lasts, in the picture and in the table; so does an offer's status."""
    page = board.page(f"/workers/{ANN}", at=iso(200))
    assert "Break" not in page
    assert re.search(r"<title>Idle, since 02:40:10, told by", unescape(page))
    assert "lasts" in text(page.partition('id="spans"')[2])


def test_a_queue_s_page_has_the_target_workers_of_then(board: Board) -> None:
    """Not those that were set since."""
    told = {"TaskQueueSid": QUEUE, "TaskQueueName": "Support"}
    board.told(
        callback("task-queue.created", 5, TaskQueueTargetExpression="1==1", **told),
        callback("task-queue.expression.updated", 400, TaskQueueTargetExpression="2==2", **told),
    )
    assert "1==1" in board.page(f"/queues/{QUEUE}", at=iso(200))
    assert "2==2" in board.page(f"/queues/{QUEUE}", at=iso(500))


def test_a_queue_whose_sid_is_not_one_breaks_no_page(board: Board) -> None:
    """What Twilio never sends stands on the board all the same, and so does everything else."""
    odd = {"TaskQueueSid": "XX1/?#", "TaskQueueName": "Odd"}
    board.told(task_created(140, "o", **odd), task("task-queue.entered", 140, "o", TaskAssignmentStatus="pending", **odd))
    assert rows(board.page(at=iso(150)), "queue")["XX1/?#"]["tasks_waiting"] == "1"


def test_a_deleted_queue_s_tasks_are_counted_with_the_others(board: Board) -> None:
    """The tile counts what the list of waiting tasks shows, though the queue itself is there no more."""
    board.told(callback("task-queue.deleted", 140, TaskQueueSid=QUEUE, TaskQueueName="Support"))
    page = board.page(at=iso(150))
    assert QUEUE not in rows(page, "queue")
    assert figures(page.partition('class="tiles"')[2].partition("</dl>")[0])["waiting"] == "1"
    assert "Tasks waiting: 1" in text(page)


def test_another_workspace_with_the_same_sids_changes_no_page(url: URL) -> None:
    """Sids are unique at Twilio, and nothing here relies on it: all of another workspace arrives, and each page is what it was."""
    paths = (
        "",
        f"/workers/{ANN}",
        f"/tasks/{TASK}",
        f"/queues/{QUEUE}",
        f"/reservations/{sid('WR', 'r')}",
        f"/callbacks/{floor()[0]['Sid']}",
    )
    known = {"known": iso(10**6)}
    with board_over(url) as board:
        board.told(*floor())

        def pages() -> list[str]:
            found = [board.page(path, at=iso(at), **more) for path in paths for at in (130, 700) for more in ({}, known)]
            return [
                re.sub(r"position \d+|\([^()]* ago\)|<nav aria-label=.Workspaces.*?</nav>", "", page, flags=re.DOTALL)
                for page in found
            ]

        before = pages()
        theirs = [each | {"WorkspaceSid": OTHER, "WorkspaceName": "Other", "WorkerName": "zoe", "TaskQueueName": "Theirs", "TaskPriority": "9",
                          "WorkerChannelAvailableCapacity": "7"} for each in floor()]  # fmt: skip
        late = [reservation("created", 120, "r9", "t9", WorkspaceSid=OTHER), task_created(120, "t9", WorkspaceSid=OTHER),
                task("task-queue.entered", 125, "t9", TaskAssignmentStatus="pending", WorkspaceSid=OTHER)]  # fmt: skip
        board.told(*theirs, *late)
        time.sleep(1.1)  # what was worked out a moment ago is not asked for again
        assert pages() == before


def test_an_address_with_a_secret_is_not_shown(url: URL) -> None:
    """A password before the host, or a query, is for Twilio alone."""
    with board_over(url) as board:
        shown = Board(board.log, board.engine, (), "https://user:s3cret@example.test/callbacks?token=abc")
        page = shown.page("//")
    assert "https://example.test/callbacks#rc=5" in unescape(page)
    assert "s3cret" not in page
    assert "token=abc" not in page


def test_a_path_is_sent_back_as_it_came(board: Board) -> None:
    """A redirect to the moment for everybody never leads to another page."""
    answer = board.get("/workers/a%3Fb%23c", at="2026-02-02T02:45:00")
    assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (
        302,
        f"/workspaces/{WORKSPACE}/workers/a%3Fb%23c",
    )


def test_a_task_s_page_is_its_way(board: Board) -> None:
    """Queue, offer and status with waits, up to the moment and no further."""
    page = board.page(f"/tasks/{TASK}", at=iso(700))
    assert figures(page)["status"] == "assigned for 9:50"
    assert figures(page)["queue"] == "Support, accepted after 0:10"
    early = board.page(f"/tasks/{TASK}", at=iso(106))
    assert figures(early)["queue"] == "Support, waiting for 0:06"
    assert "accepted" not in text(early.partition("Its way")[2].partition("Callbacks behind it")[0])
    asked = board.page(f"/reservations/{sid('WR', 'r')}", at=iso(700))
    assert 'class="asked"' in asked


def test_a_queue_s_page_names_who_is_behind_each_figure(board: Board) -> None:
    """Those that wait, those in progress, and those that left in the stretch."""
    page = board.page(f"/queues/{QUEUE}", at=iso(200))
    assert (figures(page)["tasks_waiting"], figures(page)["tasks_in_progress"]) == ("1", "1")
    waiting, _, rest = page.partition('id="working"')
    working, _, left = rest.partition('id="left"')
    assert sid("WT", "w") in waiting
    assert TASK in working
    assert TASK in left
    assert "answered" in text(left)
    assert "Nobody left in this stretch" in board.page(f"/queues/{QUEUE}", at=iso(200), **{"from": iso(120), "until": iso(180)})


@pytest.mark.parametrize("path", [f"/workers/{ANN}", f"/tasks/{TASK}"])
def test_what_had_not_arrived_then_is_not_known_then(board: Board, path: str) -> None:
    """Before anything had arrived nothing was known: no state, no bar, no callback."""
    known = board.page(path, at=iso(700), known="2026-02-03T00:00:00Z")
    assert "was known then" in known
    assert "No callback by this moment" in known
    assert "rect" in {tag for tag, _ in tags(board.page(path, at=iso(700)))}
    assert "rect" not in {tag for tag, _ in tags(known)}


def test_what_was_known_then_is_looked_at_then(board: Board) -> None:
    """Without another moment the page is of that one, and says so; the board of it shows all that is known, and does not say otherwise."""
    page = board.page(f"/workers/{ANN}", known=iso(700))
    assert "As at 2026-02-02 02:51:40 UTC" in text(page)
    assert "as it was known at 2026-02-02 02:51:40 UTC" in text(page)
    assert 'data-live="no"' in page
    links = [
        unescape(link)
        for link in re.findall(r'href="(/workspaces/[^"]*)"', board.page(f"/tasks/{TASK}", at=iso(700), known=iso(800)))
    ]
    assert {link.split("/")[3] for link in links if "known=" in link} <= {"workers", "tasks", "reservations"}
    assert "known" not in text(board.page(at=iso(700), known=iso(800)).partition("<main")[2])


def _passed_ms() -> int:
    """A moment after all that is stored, already past: the page of a moment that is not past yet is that of now, and of the live board."""
    stored_ms = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 < stored_ms + 2:
        time.sleep(0.001)
    return stored_ms + 1


def test_known_then_is_the_same_as_now_when_nothing_came_since(board: Board) -> None:
    """The picture made from the log is the one made from the tables: bar for bar, total for total."""
    known_ms = _passed_ms()
    for path in (f"/workers/{ANN}", f"/tasks/{TASK}"):
        now = board.page(path, at=iso(700))
        known = board.page(path, at=iso(700), known=tables.iso(known_ms))
        bars = [re.findall(r"<title>(.*?)</title>", page) for page in (now, known)]
        assert [bar for bar in bars[0] if " of " not in bar] == [bar for bar in bars[1] if " of " not in bar]
        assert figures(now) == figures(known)
        assert re.findall(r'data-total="(.*?)">(.*?)<', now) == re.findall(r'data-total="(.*?)">(.*?)<', known)


def test_a_callback_is_shown_as_it_came(board: Board) -> None:
    """All its parameters, its position and its two times."""
    told = floor()[0]
    page = text(board.page(f"/callbacks/{told['Sid']}").partition("<tbody>")[2].partition("</tbody>")[0])
    assert [f"{name}{value}" in page for name, value in told.items()] == [True] * len(told)


@pytest.mark.parametrize(
    "path",
    [
        "/workers/WKnone",
        "/tasks/WTnone",
        "/queues/WQnone",
        "/reservations/WRnone",
        "/callbacks/EVnone",
        f"/callbacks/{'EV' + 'e' * 32}",
        "/workers/%00",
    ],
)
def test_what_is_not_here_is_said_so(board: Board, path: str) -> None:
    """404, with the Sid that was asked for and a way back."""
    answer = board.get(path)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


@pytest.mark.parametrize(
    "stretch", [("2026-02-02T02:50:00Z", "2026-02-02T02:45:00Z"), ("2010-01-01T00:00:00Z", "2026-02-02T02:45:00Z")]
)
def test_a_stretch_that_cannot_be_shown_is_told_in_words(board: Board, stretch: tuple[str, str]) -> None:
    """One that ends before it begins, or is longer than a month."""
    answer = board.get(f"/workers/{ANN}", at=iso(700), **dict(zip(("from", "until"), stretch, strict=True)))
    assert answer.status_code == 400
    assert "no stretch that can be shown" in answer.text


def test_who_gave_up_is_told_apart_latest_first(url: URL) -> None:
    """The figure of the abandoned leads to the abandoned; those of all who left are paged."""
    with board_over(url) as board:
        for number in range(120):
            name, at = f"t{number:03}", 10.0 * number
            told = [task_created(at, name), task("task-queue.entered", at, name, TaskAssignmentStatus="pending")]
            ends = task_canceled(at + 8, name) if number % 40 == 0 else reservation("accepted", at + 5, name, name)
            arrived(board.log, *told, ends)
        board.told()
        page = board.page(at=iso(1300))
        link = unescape(re.search(r'data-figure="abandoned"><a href="([^"]*)#left"', page)[1])
        gone = board.web.get(link).text.partition('id="left"')[2]
        assert [sid("WT", f"t{number:03}") in gone for number in (0, 40, 80, 41)] == [True, True, True, False]
        assert gone.index(sid("WT", "t080")) < gone.index(sid("WT", "t040"))
        everybody = unescape(re.search(r'data-figure="service_level"><a href="([^"]*)#left"', page)[1])
        first, second = (board.web.get(f"{everybody}&page={number}").text.partition('id="left"')[2] for number in (1, 2))
        assert (first.count("answered</td>") + first.count("abandoned</td>"), second.count("answered</td>")) == (100, 19)


def test_tables_that_are_behind_are_said_to_be(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that has waited for ten seconds: in words, with what to look after; one that has just come is no reason."""
    arrived(board.log, worker("activity.update", 700))
    assert 'role="alert"' not in board.page()
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("projector.board.pages.time", SimpleNamespace(time_ns=lambda: later))
    page = text(board.page(f"/workers/{ANN}").partition('role="alert"')[2])
    assert "behind the log" in page
    assert "Is projector run running?" in page


def test_nobody_looks_where_no_key_is_set(url: URL) -> None:
    """The browser asks for no password that cannot exist: the page says which setting is missing."""
    with board_over(url) as board:
        closed = Board(board.log, board.engine, None)
        answer = closed.get("//")
        assert answer.status_code == 403
        assert "PROJECTOR_API_KEYS" in answer.text
        assert "WWW-Authenticate" not in answer.headers


def test_asking_without_a_password_locks_nobody_out(url: URL) -> None:
    """A browser's first request has none: however often it comes, the right password is let in."""
    with board_over(url, Key("ours", "s")) as board:
        board.told(*floor())
        assert {board.get("//").status_code for _ in range(50)} == {401}
        assert board.get("//", key=Key("ours", "s")).status_code == 200


def test_an_empty_log_says_how_to_point_twilio_here(url: URL) -> None:
    """With the address of this server's settings, and it looks again by itself."""
    with board_over(url) as board:
        page = board.page("//")
    assert "https://example.test/callbacks#rc=5&rp=all" in unescape(page)
    assert 'http-equiv="refresh"' in page


def test_only_a_key_opens_the_board_and_only_to_its_workspaces(url: URL) -> None:
    """Without one: 401 in words. With one of another workspace nothing of this one is there, by no address."""
    ours, theirs = Key("ours", "s", frozenset({WORKSPACE})), Key("theirs", "s", frozenset({OTHER}))
    with board_over(url, ours, theirs) as board:
        board.told(*floor(), worker("created", 1, "zoe", WorkspaceSid=OTHER, WorkspaceName="Other floor"))
        for path in ("//", "", f"/workers/{ANN}", "//stream"):
            assert board.get(path).status_code == 401
        assert board.get(key=Key("ours", "wrong")).headers["WWW-Authenticate"] == 'Basic realm="projector"'
        assert "Test floor" in board.get("//", key=ours).text
        assert "Other floor" not in board.get("//", key=ours).text
        assert "Other floor" in board.get("//", key=theirs).text
        for path in ("", f"/workers/{ANN}", f"/tasks/{TASK}", f"/queues/{QUEUE}", f"/callbacks/{floor()[0]['Sid']}"):
            answer = board.get(path, key=theirs)
            assert answer.status_code == 404
            assert board.get(path, key=ours).status_code == 200
            assert board.get(path, key=theirs, workspace=OTHER).status_code == (404 if path else 200)


def test_the_last_callbacks_are_of_this_workspace(url: URL) -> None:
    """Another one's, later and more, are not among them."""
    with board_over(url) as board:
        board.told(*floor(), *(worker("created", 700 + at, f"zoe {at}", WorkspaceSid=OTHER) for at in range(40)))
        latest = board.page().partition('id="latest"')[2]
        assert "worker.activity.update" in latest
        assert "zoe" not in latest


def test_every_page_forbids_scripts_that_are_not_ours(board: Board) -> None:
    """The policy stands on pages, fragments, refusals and files; and no page has a script, style or handler in its HTML."""
    for answer in (
        board.get(),
        board.get(f"/workers/{ANN}"),
        board.get("/tasks/none"),
        board.get("//"),
        board.web.get("/board/static/board.js"),
    ):
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        answer.close()
    assert "unsafe" not in POLICY
    for path in ("", f"/workers/{ANN}", f"/tasks/{TASK}", f"/queues/{QUEUE}"):
        page = board.page(path)
        for tag, attributes in tags(page):
            assert not any(name.startswith("on") or name == "style" for name in attributes)
            assert tag != "script" or attributes["src"].startswith("/board/static/")
        assert board.get(path).headers["Cache-Control"] == "private, no-store"


def test_the_script_is_answered_with_the_content_alone(board: Board) -> None:
    """What htmx asks for is what stands in `main`, to the letter, at a moment."""
    whole = board.page(at=iso(130))
    content = board.web.get(f"/workspaces/{WORKSPACE}", query_string={"at": iso(130)}, headers={"HX-Request": "true"}).text
    assert "<html" not in content
    ago = re.compile(r"\([^()]* ago\)")
    assert ago.sub("", content.strip()) in ago.sub("", whole)


def test_hostile_texts_are_shown_as_texts(url: URL) -> None:
    """Each of the corpus as a name, attributes and a reason: no element, handler or address on any page comes from them."""
    assert len(HOSTILE) >= 500
    sids: list[str] = []
    with board_over(url) as board:
        for number, evil in enumerate(HOSTILE):
            told = {"TaskAttributes": json.dumps({"said": evil}), "TaskQueueName": evil, "WorkflowName": evil, "Reason": evil,
                    "TaskChannelSid": sid("TC", f"evil {number}"), "TaskChannelUniqueName": evil, "TaskQueueTargetExpression": evil}  # fmt: skip
            name, at = f"evil {number}", number / 10
            evil_worker = worker("created", at, name, WorkerName=evil, WorkerAttributes=evil, WorkerActivityName=evil)
            offer = reservation("created", at, name, name, name, WorkerName=evil, **told | {"TaskQueueSid": sid("WQ", name)})
            arrived(board.log, evil_worker, task_created(at, name, TaskQueueSid=sid("WQ", name), **told), offer)
            sids.append(evil_worker["Sid"])
        board.told()
        paths = ["", *(f"?{urlencode({'worker': evil, 'activity': evil})}" for evil in HOSTILE[:176:16])]
        for number in (*range(0, 176, 7), *range(176, len(HOSTILE), 40)):  # those that are markup are the first
            paths.append(f"/callbacks/{sids[number]}")
            paths += [
                f"/{of}/{sid(prefix, f'evil {number}')}" for of, prefix in (("workers", "WK"), ("tasks", "WT"), ("queues", "WQ"))
            ]
        known = {
            tag
            for path in (f"/workers/{sid('WK', 'evil 0')}", f"/queues/{sid('WQ', 'evil 0')}", "")
            for tag, _ in tags(board.page(path))
        }
        assert not known & {"img", "iframe", "object", "video", "template", "style", "base", "embed"}
        for path in paths:
            for tag, attributes in tags(board.page(f"{path}{'&' if '?' in path else '?'}at={iso(60)}")):
                assert tag in known | {"details", "summary", "pre", "g", "meter"}, (path, tag)
                assert not any(name.startswith("on") or name == "style" for name in attributes), (path, tag, attributes)
                for name in ("href", "src", "action"):
                    assert attributes.get(name, "/").startswith(("/", "#", "?")), (path, tag, attributes)


def test_tables_due_for_a_rebuild_are_said_to_be(board: Board) -> None:
    """503, with the command that mends it; never figures of another release's fold."""
    with writing(board.engine) as connection:
        connection.execute(tables.projection.update().values(fold_version=1))
    answer = board.get()
    assert answer.status_code == 503
    assert "projector rebuild" in answer.text
