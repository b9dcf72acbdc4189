"""The same floor by every feed, and by all at once: the same tables, and each event once."""

import os
import random
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import islice

import pytest
from sqlalchemy.engine import URL

from projector.database import disposing, open_engine
from projector.delivered import HOUR_MS, delivered, told_twice
from projector.feeds.backfill import Backfilled, backfill
from projector.feeds.kinesis.consume import Consumer
from projector.feeds.kinesis.record import door_of
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.log import Entry, Log, open_log
from projector.project import project
from projector.sink import MemorySink
from projector.table_sink import TableSink
from tests.given import START_MS, MemoryLog, Parameters
from tests.harness import measured
from tests.kinesis import Kinesis
from tests.mirror import KEY, served, twilio_at
from tests.posting import Webhook, posting_to
from tests.reading import reading_from
from tests.reshaping import NOT_STREAMED
from tests.test_adopt import CURRENT, HISTORIES, Projector, current
from tests.test_backfill_floor import without_receipts
from tests.test_event_streams import SINK, batch, post

CALLBACKS = int(os.environ.get("PROJECTOR_FEEDS_CALLBACKS", "1500"))
SEED = int(os.environ.get("PROJECTOR_FEEDS_SEED", "1"))
ELEMENTS = 40  # of a batch of Event Streams


def floor(count: int = CALLBACKS, seed: int = SEED) -> tuple[Floor, list[tuple[int, Parameters]]]:
    """Without deletions of workers: when one took effect rests on how it was received."""
    center = Floor(seed, workers=12, start_ms=START_MS)
    sent = (each for each in center.callbacks() if each[1]["EventType"] != "worker.deleted")
    return center, list(islice(sent, count))


def delivered_to(webhook: Webhook, feed: str, told: list[Parameters], kinesis: Kinesis | None = None) -> None:
    """Bring these by a feed, through its door."""
    if feed == "callbacks":
        assert all(webhook.post(each).status_code == 204 for each in told)
    elif feed == "event streams":
        for first in range(0, len(told), ELEMENTS):
            assert post(webhook, batch(*told[first : first + ELEMENTS])).status_code == 200
    else:
        assert kinesis is not None
        stream = kinesis.stream(3)
        kinesis.put(stream, *told)
        with closing(kinesis.open(stream)) as opened:
            Consumer(opened, webhook.log, door_of(webhook.config)).run(threading.Event(), once=True)


def tables_of(url: URL) -> dict[str, object]:
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        sink = TableSink(engine)
        project(log, sink)
        return without_receipts(sink.rows())


def folded(told: list[Parameters]) -> dict[str, object]:
    log, sink = MemoryLog(START_MS + 10**9), MemorySink()
    log.append([Entry.of(each, "callback") for each in told])
    project(log, sink)
    return without_receipts(sink.rows())


def streamed(told: list[Parameters]) -> list[Parameters]:
    return [each for each in told if not each["EventType"].startswith(NOT_STREAMED)]


@pytest.mark.parametrize("feed", ["callbacks", "event streams", "kinesis", "all at once"])
def test_every_feed_comes_to_the_same_tables(url: URL, feed: str, kinesis: Kinesis) -> None:
    """In any order, each event twice; by one feed or by all, of which each brings most."""
    _, sent = floor()
    told, shuffler = [parameters for _, parameters in sent], random.Random(SEED)
    with posting_to(url, event_streams_url=SINK) as webhook:
        if feed == "all at once":
            for one in ("kinesis", "callbacks", "event streams"):
                some = [each for each in told if shuffler.random() < 0.7]
                delivered_to(webhook, one, some if one == "callbacks" else streamed(some), kinesis)
            delivered_to(webhook, "callbacks", told)
        else:
            told = told if feed == "callbacks" else streamed(told)
            twice = [*told, *told[: len(told) // 10]]
            shuffler.shuffle(twice)
            delivered_to(webhook, feed, twice, kinesis)
        assert webhook.log.end() == len(told)
        assert webhook.log.intake().get("conflict", 0) == webhook.log.intake().get("quarantined", 0) == 0
        assert told_twice(webhook.log, 0, 10**14) == []
    assert tables_of(url) == folded(told)


@pytest.mark.parametrize("feed", ["event streams", "kinesis"])
def test_what_event_streams_does_not_carry_is_adopted(
    url: URL, new_url: Callable[[str], URL], feed: str, kinesis: Kinesis
) -> None:
    """Activities, task channels and the workspace: with `adopt` all current tables are those of the callbacks, and all histories."""
    center, sent = floor()
    told = [parameters for _, parameters in sent]
    truth, streams = Projector(new_url("sqlite")), Projector(url)
    truth.hears(told)
    with posting_to(url, event_streams_url=SINK) as webhook:
        delivered_to(webhook, feed, streamed(told), kinesis)
    with reading_from(truth.url, KEY) as api, served(api) as twilio:
        streams.adopts(twilio_at(twilio), center.workspace_sid)
    for table in CURRENT:
        assert current(streams, table) == current(truth, table), table
    for history in HISTORIES:
        assert streams.rows(history).keys() == truth.rows(history).keys(), history


def test_what_every_feed_loses_is_counted_and_backfilled(url: URL, new_url: Callable[[str], URL], kinesis: Kinesis) -> None:
    """Two feeds that each lose 5 %, late and twice: loss is seen once Twilio was asked, and the tables are whole."""
    center, sent = floor()
    told = [parameters for _, parameters in sent]
    truth = Projector(new_url("sqlite"))
    truth.hears(told)
    posted = [each for _, each in deliveries(sent, SEED, duplicates=0.05, late=0.2, late_ms_max=5000, lost=0.05)]
    streams = streamed([each for _, each in deliveries(sent, SEED + 1, duplicates=0.05, late=0.2, late_ms_max=5000, lost=0.05)])
    with posting_to(url, event_streams_url=SINK) as webhook, reading_from(truth.url, KEY) as api, served(api) as twilio:
        delivered_to(webhook, "callbacks", posted)
        delivered_to(webhook, "kinesis", streams, kinesis)
        lost = {each["Sid"] for each in told} - {each["Sid"] for each in (*posted, *streams)}
        found = backfilled(webhook.log, twilio, center, sent)
        assert (found.appended, found.conflicts, found.quarantined) == (len(lost), 0, 0)
        assert backfilled(webhook.log, twilio, center, sent).appended == 0
        by_feed = {
            feed: (sum(each.missed for each in hours), sum(each.known for each in hours))
            for feed in ("callback", "kinesis")
            for hours in (
                [each for each in delivered(webhook.log, START_MS - HOUR_MS, sent[-1][0] + HOUR_MS) if each.feed == feed],
            )
        }
        assert by_feed["callback"] == (len(told) - len({each["Sid"] for each in posted}), len(told))
        assert by_feed["kinesis"] == (len(streamed(told)) - len({each["Sid"] for each in streams}), len(streamed(told)))
        measured(f"{url.get_backend_name()}: missed {by_feed}, by both {len(lost)}, appended {found.appended}")
    assert tables_of(url) == folded(told)


def backfilled(log: Log, twilio_url: str, center: Floor, sent: list[tuple[int, Parameters]]) -> Backfilled:
    until_ms = sent[-1][0] + 60_000
    return backfill(
        log, twilio_at(twilio_url), center.workspace_sid, START_MS - 60_000, until_ms, now_ms=lambda: until_ms + 86_400_000
    )
