"""What each feed delivered of what is known to have happened; and one event that two feeds tell under two Sids."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy.engine import URL

from projector.delivered import HOUR_MS, Delivered, carries, delivered, feeds_lately, told_twice
from projector.log import Entry, Log, open_log
from tests.given import WORKSPACE, Parameters, callback, ms, reservation, sid, task_completed, task_created, text_url, worker
from tests.harness import ROOT
from tests.posting import posting_to

HOUR = ms(0) // HOUR_MS
DAY = (HOUR * HOUR_MS - 20 * HOUR_MS, (HOUR + 4) * HOUR_MS)
SECONDS_TO_NEXT = (HOUR + 1) * 3600 - ms(0) // 1000


@pytest.fixture
def log(url: URL) -> Iterator[Log]:
    with closing(open_log(url)) as log:
        yield log


def came(log: Log, source: str, *told: Parameters) -> None:
    log.append([Entry.of(each, source) for each in told])


def test_a_feed_missed_what_another_brought(log: Log) -> None:
    """Whichever came first; what only Twilio's Events API knew was missed by both."""
    told = [task_created(n, f"t{n}") for n in range(10)]
    came(log, "callback", *told[:7])
    came(log, "event-streams", *told[4:9])
    came(log, "events-api", *told)
    came(log, "callback", *told[7:8])
    assert delivered(log, *DAY) == [Delivered("callback", HOUR, 8, 10), Delivered("event-streams", HOUR, 5, 10)]
    assert [(each.missed, each.missed_share) for each in delivered(log, *DAY)] == [(2, 0.2), (5, 0.5)]


def test_hours_are_of_what_happened_then(log: Log) -> None:
    """By event time, however late it came; only hours in which there was something."""
    came(log, "callback", task_created(1), task_completed(SECONDS_TO_NEXT + 1))
    came(log, "events-api", task_created(SECONDS_TO_NEXT + 2, "u"))
    assert delivered(log, *DAY) == [Delivered("callback", HOUR, 1, 1), Delivered("callback", HOUR + 1, 1, 2)]
    assert delivered(log, DAY[0], (HOUR + 1) * HOUR_MS) == [Delivered("callback", HOUR, 1, 1)]


def test_what_a_feed_does_not_carry_it_did_not_miss(log: Log) -> None:
    """Event Streams has no types of activities, task channels and workspaces; observations are nobody's."""
    came(log, "callback", callback("activity.created", 1, ActivitySid=sid("WA", "Idle")), task_created(2))
    came(log, "kinesis", task_created(2))
    came(log, "rest", callback("task.observed", 3, TaskSid=sid("WT", "t"), Sid="OB" + "0" * 32))
    assert delivered(log, *DAY) == [Delivered("callback", HOUR, 2, 2), Delivered("kinesis", HOUR, 1, 1)]
    assert [carries(feed, "workspace.updated") for feed in ("callback", "event-streams", "kinesis")] == [True, False, False]


def test_it_is_not_blamed_for_what_was_before_it(log: Log) -> None:
    """A feed that was set up this hour missed nothing in the one before."""
    came(log, "callback", task_created(1), task_created(SECONDS_TO_NEXT + 1, "u"))
    came(log, "kinesis", task_created(SECONDS_TO_NEXT + 1, "u"))
    assert [each for each in delivered(log, *DAY) if each.feed == "kinesis"] == [Delivered("kinesis", HOUR + 1, 1, 1)]


def test_what_it_brings_beyond_what_it_carries_makes_up_for_nothing(log: Log) -> None:
    """Should Twilio add a type to its streams, a miss is still one: never less than none."""
    came(
        log, "event-streams", *(callback("activity.updated", n, ActivitySid=sid("WA", "Idle")) for n in range(3)), task_created(4)
    )
    came(log, "callback", task_created(5, "u"))
    (of,) = [each for each in delivered(log, *DAY) if each.feed == "event-streams"]
    assert (of.seen, of.known, of.missed) == (1, 2, 1)


def test_a_feed_that_is_not_there_missed_nothing(log: Log) -> None:
    """Nobody is told of what was never set up."""
    came(log, "events-api", task_created(1))
    assert delivered(log, *DAY) == []


def test_the_last_hour_is_looked_up_once_a_minute(log: Log) -> None:
    """Of the hour that is over; what comes within the minute is seen in the next."""
    now_ms = (HOUR + 1) * HOUR_MS + 5 * 60_000
    came(log, "callback", task_created(1))
    last_hour = feeds_lately(log)
    assert last_hour(now_ms) == [Delivered("callback", HOUR, 1, 1)]
    came(log, "events-api", task_created(2, "u"))
    assert last_hour(now_ms + 59_000) == [Delivered("callback", HOUR, 1, 1)]
    assert last_hour(now_ms + 60_000) == [Delivered("callback", HOUR, 1, 2)]


def test_one_event_under_two_sids_is_told_twice(log: Log) -> None:
    """The same type, resource and millisecond from two feeds. One feed alone may well tell two: they are two."""
    here = reservation("rescinded", 5, "r", "t")
    came(log, "callback", here, reservation("rescinded", 5, "s", "t"), worker("activity.update", 5))
    came(log, "event-streams", here | {"Sid": sid("EV", "again")}, reservation("rescinded", 5, "q", "t"))
    came(log, "callback", worker("activity.update", 5, activity="Busy"))
    assert told_twice(log, *DAY) == [(here["Sid"], sid("EV", "again"))]
    assert told_twice(log, DAY[0], ms(5)) == []


def test_two_events_of_one_millisecond_are_not_one(log: Log) -> None:
    """What says something else is another event; and so is what one feed has told of both."""
    first, changed = worker("attributes.update", 5), worker("attributes.update", 5, WorkerAttributes="{}")
    came(log, "callback", first)
    came(log, "kinesis", changed)
    again = first | {"Sid": sid("EV", "again")}
    came(log, "event-streams", again)
    assert told_twice(log, *DAY) == [(first["Sid"], again["Sid"])]
    came(log, "event-streams", first)
    assert told_twice(log, *DAY) == []


def test_an_event_under_one_sid_is_not(log: Log) -> None:
    """However many feeds bring it."""
    for source in ("callback", "event-streams", "kinesis", "events-api"):
        came(log, source, task_created(1))
    assert told_twice(log, *DAY) == []


def test_status_and_metrics_say_so(url: URL) -> None:
    """By feed and hour; the last hour that is over as gauges."""
    now = time.time()
    stamp = round((now // 3600 - 0.5) * 3600 * 1000)
    told = [task_created(1, f"t{n}", Timestamp=str(stamp // 1000), TimestampMs=str(stamp + n)) for n in range(4)]
    with posting_to(url) as webhook:
        came(webhook.log, "callback", *told[:3])
        came(webhook.log, "events-api", *told)
        came(webhook.log, "event-streams", told[0] | {"Sid": sid("EV", "again")})
        webhook.tables(WORKSPACE)
        shown = webhook.client.get("/metrics").text
    assert 'projector_feed_known{feed="callback"} 5.0' in shown
    assert 'projector_feed_seen{feed="callback"} 3.0' in shown
    command = [sys.executable, "-m", "projector", "status", "--json"]
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)}
    said = json.loads(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout)
    assert (said["feeds_seen"], said["feeds_known"]) == ({"callback": 3, "event-streams": 1}, {"callback": 5, "event-streams": 5})
    assert sorted(said["missed_share_by_hour"].values()) == [0.4, 0.8]
    assert (said["told_twice"], said["told_twice_sids"]) == (1, [f"{told[0]['Sid']} = {sid('EV', 'again')}"])
