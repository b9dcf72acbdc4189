"""Reconciling: what was missed is found by itself, by one process, and a restart does not ask for everything again."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice

import pytest
from sqlalchemy.engine import URL

from projector.config import read_config
from projector.feeds.reconcile import DAILY, DAY_SECONDS, FEED, LATELY, look, reconciling, seconds_since
from projector.floor.center import Floor
from projector.log import Log, Mark, open_log
from tests.given import MemoryLog, Parameters, arrived
from tests.harness import Process, ending, wait_until
from tests.mirror import KEY, served, twilio_at
from tests.reading import Api, reading_from

NOW = time.time()
EVERY_SECONDS = 600


class Workspace:
    """A floor of the last minutes, at a Twilio that knows all of it."""

    def __init__(self, api: Api, url: str, sid: str, told: list[Parameters]) -> None:
        self.api, self.url, self.sid, self.told = api, url, sid, told

    def look(self, log: Log | MemoryLog, at: float = NOW) -> None:
        look(log, [(twilio_at(self.url), self.sid)], EVERY_SECONDS, threading.Event(), lambda: at)


@pytest.fixture
def workspace(new_url: Callable[[str], URL]) -> Iterator[Workspace]:
    center = Floor(4, workers=4, start_ms=round((NOW - 300) * 1000))
    told = [parameters for _, parameters in islice(center.callbacks(), 400)]
    with reading_from(new_url("sqlite"), KEY) as api, served(api.told(*told)) as url:
        yield Workspace(api, url, center.workspace_sid, told)


def events_of(log: Log | MemoryLog) -> set[str]:
    return {sid for row in log.read(0, 10**6) if (sid := row.originator_id.partition("/")[2]).startswith("EV")}


def test_what_was_missed_is_found_once(workspace: Workspace) -> None:
    """All that Twilio still has; the next look appends nothing."""
    log = MemoryLog(round(NOW * 1000))
    arrived(log, *workspace.told[::2])
    workspace.look(log)
    assert events_of(log) == {each["Sid"] for each in workspace.told}
    end = log.end()
    workspace.look(log, NOW + EVERY_SECONDS)
    assert log.end() == end


def test_the_last_day_is_asked_for_once_a_day(workspace: Workspace) -> None:
    """With all that REST shows: at the first look, and when a day has passed; a restart in between asks for the last while alone."""
    log = MemoryLog(round(NOW * 1000))
    workspace.look(log)
    marks = log.marks(FEED)
    lately, daily = (f"{part} {workspace.sid}" for part in (LATELY, DAILY))
    assert marks.keys() == {lately, daily}
    assert {row.originator_id.partition("/")[2][:2] for row in log.read(0, 10**6)} == {"EV", "OB"}
    workspace.look(log, NOW + EVERY_SECONDS)
    assert (log.marks(FEED)[daily], log.marks(FEED)[lately] > marks[lately]) == (marks[daily], True)
    workspace.look(log, NOW + DAY_SECONDS + EVERY_SECONDS)
    assert log.marks(FEED)[daily] > marks[daily]


def test_what_came_while_nobody_looked_is_asked_for(workspace: Workspace) -> None:
    """However long that was, up to what Twilio keeps: an outage of a night is healed by the first look after it."""
    log = MemoryLog(round(NOW * 1000))
    before = datetime.fromtimestamp(NOW - 400, UTC).isoformat()
    log.append([], [Mark(FEED, f"{part} {workspace.sid}", before) for part in (LATELY, DAILY)])
    workspace.look(log, NOW + 8 * 3_600)
    assert events_of(log) == {each["Sid"] for each in workspace.told}


def test_a_workspace_that_is_refused_keeps_nothing_from_the_others(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and has no mark: it is asked for all of it when it is there again."""
    log, gone, twilio = MemoryLog(round(NOW * 1000)), "WS" + "0" * 32, twilio_at(workspace.url)
    with caplog.at_level("WARNING", "projector.feeds.reconcile"):
        look(log, [(twilio, gone), (twilio, workspace.sid)], EVERY_SECONDS, threading.Event(), lambda: NOW)
    assert events_of(log) == {each["Sid"] for each in workspace.told}
    assert {part.partition(" ")[2] for part in log.marks(FEED)} == {workspace.sid}
    assert [record.message for record in caplog.records] == ["not_reconciled"]


def test_what_is_stopped_is_not_marked_as_done(workspace: Workspace) -> None:
    """The next process begins with the day that this one did not finish."""
    log, stop = MemoryLog(round(NOW * 1000)), threading.Event()
    stop.set()
    look(log, [(twilio_at(workspace.url), workspace.sid)], EVERY_SECONDS, stop, lambda: NOW)
    assert log.marks(FEED) == {}


@pytest.mark.parametrize(
    ("mark", "passed"),
    [
        ("", None),
        ("yesterday", None),
        ("2026-02-02T00:00:00+00:00", 86_400),
        ("2026-02-02T12:00:00+00:00", 43_200),
        ("2026-02-04T00:00:00+00:00", None),
    ],
)
def test_how_long_nobody_looked(mark: str, passed: float | None) -> None:
    """A mark that cannot be read, or lies in the future, counts for nothing."""
    assert seconds_since(mark, 1_770_076_800) == passed  # 2026-02-03T00:00:00Z


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "TWILIO_API_KEYS is not set"),
        ({"TWILIO_API_KEYS": f"{KEY.name}:{KEY.secret}", "PROJECTOR_RECONCILE_MINUTES": "0"}, "PROJECTOR_RECONCILE_MINUTES is 0"),
    ],
)
def test_without_credentials_it_is_off_and_says_so(
    environment: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, with the setting that is missing."""
    threads = threading.active_count()
    with caplog.at_level("INFO", "projector.feeds.reconcile"), reconciling(read_config(environment)):
        assert threading.active_count() == threads
    assert [(record.message, record.reason) for record in caplog.records] == [("reconcile_off", reason)]  # type: ignore[attr-defined]


def test_of_two_loops_one_reconciles(
    workspace: Workspace, new_url: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that projects; the other takes over with the lease, and does not ask for the day again."""
    url = new_url("postgresql")
    monkeypatch.setenv("TWILIO_API_KEYS", f"{KEY.name}:{KEY.secret}")
    monkeypatch.setenv("PROJECTOR_TWILIO_URL", workspace.url)
    one, other = Process(url, "run"), Process(url, "run")
    with closing(open_log(url)) as log, ending(one), ending(other):
        one.start()
        wait_until(lambda: looks(one) == [DAY_SECONDS], 60)
        other.start()
        wait_until(lambda: bool(other.said("standing_by")), 60)
        assert events_of(log) == {each["Sid"] for each in workspace.told}
        assert looks(other) == []
        one.kill()
        wait_until(lambda: looks(other) == [3 * EVERY_SECONDS], 60)
        assert KEY.secret not in one.stderr + other.stderr


def looks(process: Process) -> list[int]:
    """How far back each of its looks went."""
    return [line["back_seconds"] for line in process.said("reconciled")]
