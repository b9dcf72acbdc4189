"""`projector backfill`: what it says, what it refuses, and that it may be killed at any moment."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.feeds import backfill as feed
from projector.feeds.backfill import Backfilled
from projector.feeds.losses import HOURS_SHOWN, readable, report
from projector.log import Entry, open_log
from tests.backfilling import CALLBACKS, HOUR, NOW_MS, SEED, at_three_hours, filling, sids, sids_of, told
from tests.fake_twilio import SECRET, FakeTwilio, Quirks
from tests.given import ACCOUNT, WORKSPACE, MemoryLog, Parameters, ms, task_created, text_url
from tests.harness import measured, wait_until
from tests.reshaping import as_events_api
from tests.test_twilio_client import OTHER_ACCOUNT, OTHER_WORKSPACE

KILLS = int(os.environ.get("PROJECTOR_BACKFILL_KILLS", "4"))


@pytest.fixture
def fake() -> Iterator[FakeTwilio]:
    with at_three_hours() as fake:
        yield fake


def command(url: URL, fake: FakeTwilio, *arguments: str, **environment: str) -> list[Any]:
    settings = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url), **fake.settings(), **environment}
    return [[sys.executable, "-m", "projector", "backfill", *arguments], settings]


def run(url: URL, fake: FakeTwilio, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given, settings = command(url, fake, *arguments, **environment)
    return subprocess.run(given, env=settings, capture_output=True, text=True, timeout=300, check=False)


def recently(events: list[Parameters]) -> list[Parameters]:
    """The same, of these last hours: the command looks at the clock."""
    ahead_ms = time.time_ns() // 1_000_000 - NOW_MS
    stamps = [int(each["TimestampMs"]) + ahead_ms for each in events]
    return [
        each | {"TimestampMs": str(stamp), "Timestamp": str(stamp // 1000)} for each, stamp in zip(events, stamps, strict=True)
    ]


def test_the_command_says_what_was_missing(url: URL) -> None:
    """All accounts' workspaces, or one; by hour and type; JSON on a pipe; a second run finds nothing."""
    keys = {ACCOUNT: (ACCOUNT, SECRET), OTHER_ACCOUNT: ("SK" + "1" * 32, "another")}
    with FakeTwilio(keys=keys) as fake:
        mine = recently(told(300, over=2.5 * HOUR))
        theirs = [
            each | {"WorkspaceSid": OTHER_WORKSPACE, "AccountSid": OTHER_ACCOUNT} for each in recently(told(40, over=600, seed=2))
        ]
        fake.offer(*mine, *theirs)
        foreseen = json.loads(run(url, fake, "--dry-run", "--workspace", OTHER_WORKSPACE).stdout)
        assert (foreseen["workspaces"], foreseen["missing"], foreseen["appended"]) == ([OTHER_WORKSPACE], 40, 0)
        done = run(url, fake)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["read"], said["missing"], said["appended"], said["finished"]) == (340, 340, 340, True)
        assert said["missing_by_type"] == {"task.created": 340}
        assert sum(hour["task.created"] for hour in said["missing_by_hour"].values()) == 340
        assert said["workspaces"] == [WORKSPACE, OTHER_WORKSPACE]
        again = json.loads(run(url, fake).stdout)
        assert (again["read"], again["missing"], again["duplicates"]) == (340, 0, 340)
        assert said["requests"] + again["requests"] + foreseen["requests"] == len(fake.asked)
        for secret in (SECRET, "another"):
            assert secret not in done.stdout + done.stderr
    with closing(open_log(url)) as log:
        assert sids(log) == sids_of(mine + theirs)


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        ([], {"TWILIO_API_KEYS": ""}, "Set TWILIO_API_KEYS"),
        (["--since", "yesterday"], {}, "is no moment"),
        (["--since", "2026-03-02", "--until", "2026-03-01"], {}, "Turn them round"),
        (["--since", "2199-01-01"], {}, "--since 2199-01-01 is in the future"),
        (["--since", "2026-03-01", "--until", "2026-03-02"], {}, "--until 2026-03-02 is more than 30 days ago"),
        (["--workspace", "WS" + "0" * 32], {}, "has the workspace"),
        (["--workspace", WORKSPACE], {"PROJECTOR_WORKSPACES": OTHER_WORKSPACE}, "not in PROJECTOR_WORKSPACES"),
        ([], {"TWILIO_API_KEYS": f"{ACCOUNT}:canary7f3a"}, "answers 401"),
        ([], {"PROJECTOR_TWILIO_URL": "http://localhost:1@evil.example"}, "is not `https://<host>`"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_with_the_next_step(
    new_url: Any, fake: FakeTwilio, arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    """Exit status 2, no traceback, no secret."""
    done = run(new_url("sqlite"), fake, *arguments, **environment)
    assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "canary7f3a" not in done.stderr


@pytest.mark.crash
def test_killed_at_any_moment_it_goes_on_and_nothing_is_lost_or_doubled(url: URL) -> None:
    """SIGKILL to the real command when it has asked so many times, then again, and then it ends."""
    moments = random.Random(SEED)
    with FakeTwilio(Quirks(SEED, slow_seconds=0.02)) as fake:
        events = recently(told(CALLBACKS, over=2 * HOUR))
        fake.offer(*events)
        ends, marks, since = [0], [], str(min(int(each["TimestampMs"]) for each in events) - 60_000)
        with closing(open_log(url)) as log:
            log.append([Entry.of(each, "callback") for each in events[::3]])
            for _ in range(KILLS):
                asked = len(fake.asked)
                given, settings = command(url, fake, "--since", since)
                process = subprocess.Popen(given, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    moment = asked + moments.randrange(2, 7)
                    wait_until(lambda at=moment: len(fake.asked) >= at, every=0.001)
                    time.sleep(moments.uniform(0, 0.08))
                finally:
                    process.kill()
                    process.wait(timeout=30)
                ends.append(log.end())
                marks.append(log.marks(feed.FEED).get(WORKSPACE, ""))
            fake.asked.clear()
            done = run(url, fake, "--since", since)
            assert done.returncode == 0, done.stderr
            said = json.loads(done.stdout)
            measured(
                f"{url.get_backend_name()}: killed at {ends[1:]} of {CALLBACKS}, marks {marks}, then {said['read']} read, {len(fake.asked)} asked"
            )
            assert ends == sorted(ends)
            assert len(set(ends)) > 2, "killed before it had done anything"
            assert sids(log) == sids_of(events)
            assert bool(said["resumed_at"]) == bool(marks[-1])
            assert log.marks(feed.FEED) == {WORKSPACE: ""}
            assert json.loads(run(url, fake).stdout)["missing"] == 0


def test_on_a_terminal_an_hour_is_a_line() -> None:
    """The latest of them; JSON has all. However many hours and types there are, both have an end."""
    found = Backfilled(finished=True)
    for hour in range(100):
        found.missing[(ms(0) // 3_600_000 + hour, "task.created")] = hour + 1
    for n in range(6):
        found.missing[(ms(0) // 3_600_000 + 98, f"type.{n}")] = n + 1
    found.missing[feed.ELSEWHERE] = 7
    said = report({WORKSPACE: found}, [], dry_run=False)
    assert dict(list(said["missing_by_type"].items())[:2]) == {"task.created": 5050, "elsewhere": 7}
    assert len(said["missing_by_hour"]) == 101
    shown = readable(said)["missing_by_hour"]
    assert len(shown) == HOURS_SHOWN + 1
    assert list(shown.values())[-2:] == [
        "120: task.created 99, type.5 6, type.4 5, type.3 4, type.2 3, …",
        "100: task.created 100",
    ]


def test_what_was_missing_is_counted_within_bounds(fake: FakeTwilio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types and stamps are whatever was sent."""
    monkeypatch.setattr(feed, "CELLS_MAX", 10)
    for n in range(50):
        fake.offer_event(WORKSPACE, as_events_api(task_created(n, str(n))) | {"event_type": f"new.{n}"}, ms(n))
    found = filling(MemoryLog(), fake)
    assert (len(found.missing), found.missing.total(), found.missing[feed.ELSEWHERE]) == (11, 50, 40)
