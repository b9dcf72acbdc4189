"""The board on a server of one's own: hostile texts, a stream that breaks, ten thousand workers, an empty log."""

import time
from collections.abc import Callable
from contextlib import closing

from projector.log import Entry, open_log
from tests.browser.conftest import Looking
from tests.given import WORKSPACE, callback, reservation, sid, task, task_created, worker
from tests.harness import Process, wait_until
from tests.hostile import HOSTILE

Look = Callable[..., Looking]


def test_hostile_texts_run_nothing(server: Process, address: str, look: Look) -> None:
    """All of the corpus as names and attributes, posted and signed: no script runs, no policy is breached, nothing is asked for elsewhere."""
    told = [callback("workspace.created", 0, ResourceSid=WORKSPACE, WorkspaceName="<script>window.pwned=1</script>")]
    for number, evil in enumerate(HOSTILE):
        name, at = f"evil {number}", number / 100
        told.append(worker("created", at, name, WorkerName=evil, WorkerAttributes=evil, WorkerActivityName=evil))
        of_task = {
            "TaskAttributes": evil,
            "WorkflowName": evil,
            "Reason": evil,
            "TaskQueueSid": sid("WQ", name),
            "TaskQueueName": evil,
            "TaskChannelUniqueName": evil,
        }
        told.append(task_created(at, name, **of_task))
        told.append(task("task-queue.entered", at, name, TaskAssignmentStatus="pending", **of_task))
        told.append(reservation("created", at, name, name, name, WorkerName=evil, **of_task))
    assert set(server.post(*told)) == {204}
    wait_until(lambda: server.get("/readyz")[1].get("lag_events") == 0, 120)
    board = look(address)
    board.says("Live.")
    pages = -(-len(HOSTILE) // 25)
    paths = [f"/workspaces/{WORKSPACE}?page={page}" for page in range(1, pages + 1)]
    for number in range(0, len(HOSTILE), 12):
        paths += [
            f"/workspaces/{WORKSPACE}/{of}/{sid(prefix, f'evil {number}')}"
            for of, prefix in (("workers", "WK"), ("tasks", "WT"), ("queues", "WQ"))
        ]
    for path in paths:
        assert board.page.goto(f"{address}{path}").status == 200
        board.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert board.page.evaluate("typeof window.pwned") == "undefined"
        assert "pwned" not in board.page.title() or "pwned" in board.text("h1")
        assert board.wrongs() == []
    board.page.goto(address)
    board.page.locator("#find").fill("<img src=x onerror=window.pwned=1>")
    board.until(lambda: board.page.locator("tr[data-worker]").count() >= 1)
    assert board.wrongs() == []
    assert all(url.startswith((address, "data:image")) for url in board.asked)
    assert not any("pwned" in url.partition("?")[0] for url in board.asked)


def test_when_the_stream_breaks_the_page_says_so_and_recovers(server: Process, address: str, look: Look) -> None:
    """The server is killed: words, and what was last known stays. It comes back: live again, with what came meanwhile."""
    server.post(worker("created", 1, "ann"))
    board = look(address)
    board.until(lambda: board.page.locator("tr[data-worker]").count() == 1)  # the empty page looks again by itself
    board.says("Live.")
    server.kill()
    board.says("trying again")
    assert board.page.locator("tr[data-worker]").count() == 1
    server.start().wait_alive()
    assert server.post(worker("created", 2, "bob")) == [204]
    board.says("Live.")
    board.until(lambda: board.page.locator("tr[data-worker]").count() == 2)


def test_ten_thousand_workers_are_a_page_at_a_time(server: Process, address: str, look: Look) -> None:
    """The page holds twenty-five, finds one of all, and a change touches its own row and no other."""
    with closing(open_log(server.database)) as log:
        told = [worker("created", number / 1000, f"worker {number:05}", activity="Idle") for number in range(10_000)]
        log.append([Entry.of(each, "callback") for each in told])
    wait_until(lambda: server.get("/readyz")[1].get("lag_events") == 0, 120)
    board = look(f"{address}/workspaces/{WORKSPACE}?worker=worker 0412")
    board.says("Live.")
    assert board.page.locator("tr[data-worker]").count() == 10
    assert "10 of 10000 workers" in (board.page.locator("main").text_content() or "")
    board.page.evaluate(
        """() => { window.touched = new Set();
        new MutationObserver((all) => all.forEach((each) => { const row = (each.target.closest ?? each.target.parentElement.closest).call(each.target.closest ? each.target : each.target.parentElement, 'tr[data-worker]');
          if (row) touched.add(row.dataset.worker); })).observe(document.querySelector('main'), {subtree: true, childList: true}); }"""
    )
    server.post(worker("activity.update", 3600, "worker 04125", activity="Break"))
    board.until(lambda: "Break" in board.text(f"tr[data-worker={sid('WK', 'worker 04125')}]"))
    touched = board.page.evaluate("[...touched]")
    assert set(touched) <= {sid("WK", "worker 04125")}
    assert board.wrongs() == []


def test_an_empty_log_says_what_to_do_and_shows_the_first_callback(server: Process, address: str, look: Look) -> None:
    """The address to give to Twilio; then the board, by itself."""
    board = look(address)
    assert f"{address}/callbacks#rc=5&rp=all" in board.text("main")
    began = time.monotonic()
    server.post(worker("created", 1, "ann"))
    board.until(lambda: board.page.locator("tr[data-worker]").count() == 1)
    assert time.monotonic() - began < 30
