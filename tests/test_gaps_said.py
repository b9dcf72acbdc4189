"""How the gap ledger is told: by the command, in the order of what reveals it, then and now, on the board and in the metrics."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector import status
from projector.access import reading
from projector.errors import StoreUnavailable
from projector.log import Entry
from projector.read.gaps import gaps
from projector.read.shown import headline
from projector.status import gaps_lately
from projector.tables.gaps import REASONS
from tests.board import board_over, text
from tests.given import WORKSPACE, ms, reservation, sid, task, task_canceled, task_completed, text_url
from tests.harness import ROOT
from tests.ledger import Ledger, in_workspace
from tests.lives import SALES, born, through_two_queues
from tests.looking import looking_at
from tests.posting import posting_to
from tests.reshaping import iso


def test_the_command_says_what_is_missing(ledger: Ledger, url: URL) -> None:
    """Counts by reason first, the latest first, what to do next; hints last. Of one kind, or since a moment, where asked."""
    ledger.hears(each for each in through_two_queues() if each["EventType"] not in ("task.created", "task.wrapup"))
    ledger.hears([reservation("accepted", 900, "late", "elsewhere")])
    said = run(url, "gaps")
    assert list(said) == ["missing", "gaps", "hints", "next"]
    assert said["missing"] == {
        "reservation_never_created": 1,
        "task_never_created": 2,
        "task_never_wrapped": 1,
        "queue_never_entered": 1,
    }
    assert said["gaps"][0]["kind"] == "reservation"
    assert all(row["revealed_at"].endswith("Z") for row in said["gaps"])
    assert said["next"] == "projector backfill"
    assert run(url, "gaps", "--kind", "reservation")["missing"] == {"reservation_never_created": 1}
    later = run(url, "gaps", "--since", said["gaps"][0]["revealed_at"])
    assert sum(later["missing"].values()) == len(later["gaps"]) == 3
    assert run(url, "status", "--json")["gaps"] == said["missing"]


def test_an_answer_that_is_missing_is_revealed_by_the_end_of_its_task(ledger: Ledger) -> None:
    """Not by the last callback of its own: whoever asks for what was revealed since then is told of it."""
    end = task_completed(3600)
    ledger.hears([*born(), reservation("created", 1, "r1"), reservation("accepted", 2, "r1"), end])
    (row,) = [row for row in ledger.view() if row["reason"] == "reservation_never_ended"]
    assert (row["event_sid"], row["revealed_at"], row["missing_at"]) == (end["Sid"], ms(3600), ms(3600))


@pytest.mark.parametrize("command", ["gaps", "stuck"])
def test_a_workspace_that_is_not_here_is_not_told_to_be_well(ledger: Ledger, url: URL, command: str) -> None:
    """Nothing would be said of it, as of one where nothing is missing: the Sids that are here are named instead."""
    ledger.hears(born())
    asked = [sys.executable, "-m", "projector", command, "--workspace", "WS" + "0" * 32]
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)}
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, env=environment, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"They hold {WORKSPACE}." in done.stderr


@pytest.mark.parametrize("command", ["gaps", "stuck"])
def test_what_is_not_projected_is_not_told_to_be_well(ledger: Ledger, url: URL, command: str) -> None:
    """The tables do not know of it yet, so neither does the answer, and it says so."""
    ledger.hears(born())
    assert "lag_events" not in run(url, command)
    ledger.log.append([Entry.of(task_canceled(9, "u"), "callback")])
    assert run(url, command)["lag_events"] == 1
    assert headline({"lag_events": 1234, "gaps": [], "missing": {}}) == (
        "Nothing is believed missing, but for callbacks that are not projected yet: 1,234."
    )


def test_a_task_s_gap_is_revealed_by_what_shows_it(ledger: Ledger) -> None:
    """By the first that shows its status, or that it is in a queue (an offer; others may show where it is to go): what is told later reveals nothing new."""
    shows = reservation("wrapup", 10, "r1", TaskAssignmentStatus="wrapping")
    moved = task("task.updated", 1.5, TaskAssignmentStatus="pending", **SALES)
    held = [reservation("created", 3, "r1", **SALES), reservation("accepted", 4, "r1", **SALES)]
    later = [task("task.updated", 12, TaskAssignmentStatus="wrapping", **SALES), task_completed(20, **SALES)]
    ledger.hears([*born(), moved, *held, shows | SALES, *later])
    revealed = {
        row["reason"]: (row["event_sid"], row["revealed_at"])
        for row in ledger.view()
        if row["kind"] == "task" and not row["is_hint"]
    }
    assert revealed["task_never_wrapped"] == (shows["Sid"], ms(10))
    assert revealed["queue_never_entered"] == (held[0]["Sid"], ms(1.5))


def test_a_workspace_can_be_asked_for_alone(ledger: Ledger) -> None:
    """Of two, one."""
    other = "WS" + "2" * 32
    ledger.hears([task_completed(9), task_completed(9) | {"WorkspaceSid": other, "Sid": sid("EV", "theirs")}])
    with reading(ledger.engine) as connection:
        assert {row["workspace_sid"] for row in gaps(connection, limit=10, workspace_sid=other)} == {other}
        assert {row["workspace_sid"] for row in gaps(connection, limit=10)} == {other, WORKSPACE}


def test_a_gap_is_there_as_it_was_known_then(url: URL) -> None:
    """`projector at --known-at`: before it was revealed, while the callback was missing, and when it had come."""
    told = born()
    lost = told.pop(1)
    with looking_at(url) as floor:
        floor.told(told[0], received_at=10).told(*told[1:], received_at=20).told(lost, received_at=30)
        floor.told(reservation("wrapup", 40, "r1"), received_at=50)
        found = {at: floor.at(sid("WT", "t"), 1, at) for at in (9, 10, 20, 30, 50)}
        offer = floor.at(sid("WR", "r1"), 45, 50)
    reasons = {at: [gap["reason"] for gap in each.get("gaps", ())] for at, each in found.items()}
    assert reasons == {
        9: [], 10: ["task_never_created"], 20: ["task_never_created"], 30: [], 50: ["task_never_wrapped"],
    }  # fmt: skip
    assert found[20]["gaps"][0] == {
        "reason": "task_never_created", "missing_event_type": "task.created", "event_sid": told[-1]["Sid"], "revealed_at": ms(0.002),
    }  # fmt: skip
    assert [gap["reason"] for gap in offer["gaps"]] == ["reservation_never_accepted", "reservation_never_created"]


def test_the_board_and_the_metrics_count_by_reason(url: URL) -> None:
    """The board of its own workspace, in words, while it shows now; `/metrics` of all, their sum even where there are none."""
    with board_over(url) as board:
        board.told(*born())
        with posting_to(url) as webhook:
            assert "projector_gaps_count 0.0" in webhook.client.get("/metrics").text
        board.told(task_canceled(9, "u"), *in_workspace("WS" + "2" * 32, [task_canceled(9)]))
        page = text(board.page())
        assert f"Believed missing: 1 callback. 1 × {REASONS['task_never_created']}" in page
        assert "Counted once a minute. projector gaps names them; projector backfill asks Twilio for them" in page
        assert "Believed missing" not in board.page(at=iso(ms(10)))
    with posting_to(url) as webhook:
        told = webhook.client.get("/metrics").text
    assert 'projector_gaps{reason="task_never_created"} 2.0' in told
    assert "projector_gaps_count 2.0" in told


def test_gaps_are_counted_once_a_minute(ledger: Ledger) -> None:
    """By each process, however often it is asked: where much was lost it takes a while."""
    minute_ms, lately = 60_000, gaps_lately(ledger.engine)
    ledger.hears([task_canceled(9)])
    assert lately(10 * minute_ms) == {WORKSPACE: {"task_never_created": 1}}
    ledger.hears([task_canceled(9, "u")])
    assert lately(11 * minute_ms - 1) == {WORKSPACE: {"task_never_created": 1}}
    assert lately(11 * minute_ms) == {WORKSPACE: {"task_never_created": 2}}


def test_a_count_that_cannot_be_made_keeps_nobody(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The last one stands, and it is said once a minute; who asks while another counts does not wait."""
    minute_ms, lately = 60_000, gaps_lately(ledger.engine)
    ledger.hears([task_canceled(9)])
    before = lately(0)
    meanwhile = []

    def fails(_connection: Any) -> Any:
        meanwhile.append(lately(minute_ms))
        raise StoreUnavailable("it takes too long")

    monkeypatch.setattr(status, "missing", fails)
    assert [lately(minute_ms), lately(minute_ms)] == [before, before]
    assert meanwhile == [before]
    assert [record.message for record in caplog.records] == ["gaps_not_counted"]


def run(url: URL, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "projector", *arguments], cwd=ROOT, capture_output=True, check=True,
        env={**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)},
    )  # fmt: skip
    return json.loads(done.stdout)
