"""Backfill over a floor: after it the tables are those of a projector that lost nothing."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.config import Config
from projector.database import disposing, open_engine
from projector.feeds.backfill import backfill
from projector.feeds.twilio import Twilio, open_twilio
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.log import Entry, open_log
from projector.project import project
from projector.sink import MemorySink
from projector.table_sink import TableSink
from tests.backfilling import CALLBACKS, HOUR, SEED, STORMY, at_three_hours, filling, sids, sids_of, told
from tests.fake_twilio import SECRET, FakeTwilio, Quirks
from tests.given import START_MS, MemoryLog, Parameters
from tests.harness import assert_tables_are_the_folded_log, measured
from tests.reshaping import as_events_api
from tests.test_twilio_client import QUICK


@pytest.fixture
def fake() -> Iterator[FakeTwilio]:
    with at_three_hours() as fake:
        yield fake


Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


def folded(entries: list[Entry]) -> Rows:
    log, sink = MemoryLog(), MemorySink()
    log.append(entries)
    project(log, sink, page=2000)
    return sink.rows()


def without_receipts(rows: Rows) -> Rows:
    """Without the one column that is itself a receipt: when a deletion came, if it came live. It differs as deliveries do."""
    return {
        table: {key: {name: value for name, value in row.items() if name != "deletion_received_at"} for key, row in found.items()}
        for table, found in rows.items()
    }


def floor(count: int, seed: int, *without: str) -> list[tuple[int, Parameters]]:
    sent = (each for each in Floor(seed, start_ms=START_MS).callbacks() if each[1]["EventType"] not in without)
    return list(islice(sent, count))


def asked_by(fake: FakeTwilio) -> Twilio:
    return open_twilio(
        Config(database_url=URL.create("sqlite"), twilio_url=fake.url, twilio_keys=fake.keys), threading.Event(), QUICK
    )[0]


def test_after_a_backfill_the_tables_are_those_of_an_undropped_run(url: URL) -> None:
    """5 % of a floor's callbacks lost, 5 % twice, 20 % late; Twilio stormy. Every row of every table is as if nothing had been lost.

    But for receipts themselves; and without `worker.deleted`, whose effective time is its receipt when it comes live: the next test
    is about it.
    """
    sent = floor(CALLBACKS, SEED, "worker.deleted")
    account, workspace = sent[0][1]["AccountSid"], sent[0][1]["WorkspaceSid"]
    delivered = list(deliveries(sent, SEED, duplicates=0.05, late=0.2, late_ms_max=5000, lost=0.05))
    lost = {each["Sid"] for _, each in sent} - {each["Sid"] for _, each in delivered}
    now_ms = sent[-1][0] + HOUR * 1000
    keys = {account: ("SK" + "1" * 32, SECRET)}
    with FakeTwilio(Quirks(SEED, **STORMY), keys, lambda: now_ms) as fake, closing(open_log(url)) as log:
        fake.offer(*(parameters for _, parameters in sent))
        for start in range(0, len(delivered), 1000):
            log.append([Entry.of(each, "callback", at_ms) for at_ms, each in delivered[start : start + 1000]])
        with disposing(open_engine(url)) as engine:
            sink = TableSink(engine)
            project(log, sink)
            expected = without_receipts(folded([Entry.of(each, "callback", at_ms) for at_ms, each in sent]))
            assert without_receipts(sink.rows()) != expected
            twilio, began = asked_by(fake), time.monotonic()
            since_ms = sent[0][0] - 60_000
            found = backfill(log, twilio, workspace, since_ms, now_ms, now_ms=fake.now_ms)
            seconds = time.monotonic() - began
            measured(
                f"{url.get_backend_name()}: {found.read} events read, {found.appended} of {len(lost)} lost appended by {twilio.asked.requests} "
                f"requests ({twilio.asked.too_many} answered 429) in {seconds:.1f} s"
            )
            assert (found.appended, found.duplicates, found.conflicts, found.quarantined) == (
                len(lost),
                len(sent) - len(lost),
                0,
                0,
            )
            assert found.missing.total() == len(lost)
            project(log, sink)
            assert without_receipts(sink.rows()) == expected
            assert backfill(log, twilio, workspace, since_ms, now_ms, now_ms=fake.now_ms).appended == 0
    assert_tables_are_the_folded_log(url)


def test_a_deletion_that_was_lost_rests_on_the_last_fact(url: URL) -> None:
    """`worker.deleted` carries the worker's creation; when it happened is its receipt, if it came live. One that was read later has
    none: the worker's row says so, and the ends of its spans follow. Nothing else differs.
    """
    sent = floor(30_000, 3)
    deleted = [(at_ms, each) for at_ms, each in sent if each["EventType"] == "worker.deleted"]
    assert len(deleted) >= 2
    workers = {each["WorkerSid"] for _, each in deleted}
    sent = [
        (at_ms, each)
        for at_ms, each in sent
        if each.get("WorkerSid") in workers and not each["EventType"].startswith("reservation")
    ]
    lost = deleted[0][1]
    now_ms = sent[-1][0] + HOUR * 1000
    with FakeTwilio(keys={lost["AccountSid"]: ("SK1", SECRET)}, now_ms=lambda: now_ms) as fake, closing(open_log(url)) as log:
        for at_ms, each in sent:  # at the time it happened, whatever its stamp says
            fake.offer_event(each["WorkspaceSid"], as_events_api(each), at_ms, account=each["AccountSid"])
        log.append([Entry.of(each, "callback", at_ms) for at_ms, each in sent if each is not lost])
        found = backfill(log, asked_by(fake), lost["WorkspaceSid"], sent[0][0], now_ms, now_ms=fake.now_ms)
        assert found.appended == 1
        with disposing(open_engine(url)) as engine:
            sink = TableSink(engine)
            project(log, sink)
            rows = sink.rows()
    undropped = folded([Entry.of(each, "callback", at_ms) for at_ms, each in sent])
    key = (lost["WorkspaceSid"], lost["WorkerSid"])
    assert (undropped["worker"][key]["deleted_at_basis"], rows["worker"][key]["deleted_at_basis"]) == ("receipt", "last_fact")
    assert rows["worker"][key]["deleted_at"] <= undropped["worker"][key]["deleted_at"]
    for table, expected in undropped.items():
        differing = [each for each in expected.keys() | rows[table].keys() if rows[table].get(each) != expected.get(each)]
        assert all(each[:2] == key for each in differing), (table, differing)
    assert all(rows["worker"][each] == row for each, row in undropped["worker"].items() if each != key)
    assert folded([Entry.of(each, "events-api" if each is lost else "callback", at_ms) for at_ms, each in sent]) == rows


def test_callbacks_come_while_it_reads(url: URL, fake: FakeTwilio) -> None:
    """`serve` stores the same events at the same time: each is in the log once, whoever was first."""
    events = told(3000, over=HOUR)
    fake.offer(*events)

    def serve() -> None:
        with closing(open_log(url)) as server:
            for start in range(0, len(events), 10):
                server.append([Entry.of(each, "callback") for each in events[start : start + 10]])

    serving = threading.Thread(target=serve)
    with closing(open_log(url)) as log:
        serving.start()
        found = filling(log, fake)
        serving.join(timeout=60)
        assert sids(log) == sids_of(events)
        assert found.appended + found.duplicates == 3000
        assert found.conflicts == 0
