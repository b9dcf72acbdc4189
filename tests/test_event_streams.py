"""`POST /event-streams`: signed over its body, stored before it is answered, each element for itself; the same events as the callbacks."""

import hashlib
import http.client
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy.engine import URL
from twilio.request_validator import RequestValidator
from werkzeug.test import EnvironBuilder, TestResponse

from projector.errors import StoreUnavailable
from projector.floor.delivery import sign
from projector.log import Entry, Outcome, open_log, writer
from projector.project import project
from projector.sink import MemorySink
from projector.taskrouter.event_types import EVENT_TYPES
from tests.given import (
    ACCOUNT,
    TOKEN,
    WORKSPACE,
    MemoryLog,
    Parameters,
    arrived,
    reservation,
    sid,
    task_completed,
    task_created,
    worker,
)  # fmt: skip
from tests.harness import Process, ending
from tests.histories import histories
from tests.posting import UNHURRIED, KeepingLog, Webhook, in_full, posting_to, until
from tests.reshaping import NOT_STREAMED, as_cloud_event
from tests.test_outage import locked
from tests.test_webhook import Gate
from webhook.acknowledgement import ANSWER, LATER
from webhook.event_streams import BODY_MAX_BYTES, ELEMENTS_MAX

SINK = "https://example.test/event-streams"
OTHER_ACCOUNT, OTHER_WORKSPACE = "AC" + "d" * 32, "WS" + "d" * 32
STORY = [
    worker("created", 0), task_created(1), reservation("created", 2), reservation("accepted", 3), reservation("completed", 8), task_completed(9),
]  # fmt: skip


def batch(*told: Parameters) -> bytes:
    return json.dumps([as_cloud_event(each) for each in told]).encode()


def post(
    webhook: Webhook,
    body: bytes,
    *,
    token: str = TOKEN,
    url: str = SINK,
    hashed: bytes | None = None,
    query: str | None = None,
    **headers: str,
) -> TestResponse:
    """Post a batch as Twilio does: signed with the token over the address and the body's hash."""
    query = query_for(body if hashed is None else hashed) if query is None else query
    said = signed_headers(query, token, url) | headers
    return webhook.app.test_client().post(f"/event-streams?{query}", data=body, headers=said)


def query_for(body: bytes) -> str:
    return f"bodySHA256={hashlib.sha256(body).hexdigest()}"


def signed_headers(query: str, token: str = TOKEN, url: str = SINK) -> dict[str, str]:
    signature = RequestValidator(token).compute_signature(f"{url}?{query}", {})
    return {"Content-Type": "application/json", "X-Twilio-Signature": signature}


@pytest.fixture
def sink(url: URL) -> Iterator[Webhook]:
    with posting_to(url, event_streams_url=SINK) as webhook:
        yield webhook


@pytest.fixture
def quick() -> Iterator[Webhook]:
    """Over a log in memory, that keeps what was rejected."""
    with posting_to(log=KeepingLog(), event_streams_url=SINK) as webhook:
        yield webhook


def test_a_batch_is_stored_and_answered_200(sink: Webhook) -> None:
    """Every element under its own Sid; the same batch again is nothing new, and the callbacks are duplicates of it."""
    answer = post(sink, batch(*STORY))
    assert (answer.status_code, answer.data, answer.mimetype) == (200, b"", "application/json")
    assert post(sink, batch(*STORY)).status_code == 200
    assert all(sink.post(each).status_code == 204 for each in STORY)
    assert [row.originator_id for row in sink.stored()] == [f"{WORKSPACE}/{each['Sid']}" for each in STORY]
    assert sink.log.intake() == {"duplicate": 2 * len(STORY)}


def test_every_type_comes_to_the_same_tables_as_its_callback(url: URL) -> None:
    """Those that Event Streams has; all its typed values read back."""
    told = [
        in_full(name, at)
        for at, name in enumerate(EVENT_TYPES)
        if not name.startswith(NOT_STREAMED) and not name.endswith(".observed")
    ]
    with posting_to(url, event_streams_url=SINK) as streamed:
        assert post(streamed, batch(*told)).status_code == 200
        rows, heard = MemorySink(), MemorySink()
        project(streamed.log, rows)
    log = MemoryLog(_received(streamed))
    arrived(log, *told)
    project(log, heard)
    assert _told(rows) == _told(heard)


def _received(webhook: Webhook) -> int:
    log = open_log(webhook.config.database_url)
    try:
        return int(json.loads(log.read(0, 1)[0].state)["recorded_at"])
    finally:
        log.close()


def _told(sink: MemorySink) -> dict[str, Any]:
    """The rows; when a deletion was received says only how it came (a worker's lies, and is dated by that: left out)."""
    return {
        name: {key: {**row, "deletion_received_at": None} for key, row in rows.items()}
        for name, rows in sink.rows().items()
        if name not in ("worker", "worker_channel")
    }


SIGNATURES: dict[str, dict[str, Any]] = {
    "another token": {"token": "guessed"},
    "the hash of another body": {"hashed": b"[]"},
    "no hash": {"query": "x=1"},
    "no query": {"query": ""},
    "two hashes": {"query": f"bodySHA256={hashlib.sha256(batch(*STORY)).hexdigest()}&bodySHA256=0"},
    "a hash in capitals": {"query": f"bodySHA256={hashlib.sha256(batch(*STORY)).hexdigest().upper()}"},
    "another address": {"url": "https://example.test/callbacks"},
    "no signature": {"X-Twilio-Signature": ""},
    "a signature of letters that are none": {"X-Twilio-Signature": "é" * 28},
    "a form's signature": {"X-Twilio-Signature": sign(SINK, {}, TOKEN)},
}


@pytest.mark.parametrize("how", SIGNATURES.values(), ids=SIGNATURES)
def test_what_is_not_signed_is_refused(quick: Webhook, how: dict[str, Any]) -> None:
    """The published example checks the address alone, and takes any body under it: not here."""
    answer = post(quick, batch(*STORY), **how)
    assert (answer.status_code, quick.stored(), quick.log.rejected) == (403, [], [])
    assert "PROJECTOR_EVENT_STREAMS_URL" in answer.text


@pytest.mark.parametrize("more", ["", "&x=2", "&bodySHA256="])
def test_the_whole_query_is_signed(quick: Webhook, more: str) -> None:
    """What is changed behind the hash, or left out, shows as well."""
    query = query_for(batch(*STORY))
    said = signed_headers(query + "&x=1")
    answer = quick.app.test_client().post(f"/event-streams?{query}{more}", data=batch(*STORY), headers=said)
    assert (answer.status_code, quick.stored()) == (403, [])
    assert post(quick, batch(*STORY), query=query + "&x=1").status_code == 200


def test_the_port_may_be_in_what_was_signed(quick: Webhook) -> None:
    """As Twilio's own validator has it."""
    assert post(quick, batch(*STORY), url="https://example.test:443/event-streams").status_code == 200


def test_without_an_address_nothing_can_be_checked() -> None:
    """The answer names the setting."""
    with posting_to(log=KeepingLog()) as webhook:
        answer = post(webhook, batch(*STORY))
        assert (answer.status_code, webhook.stored()) == (403, [])
        assert "Set PROJECTOR_EVENT_STREAMS_URL" in answer.text


def test_one_bad_element_is_in_the_quarantine_alone(sink: Webhook) -> None:
    """With what is wrong with it; its neighbours are stored."""
    told = [as_cloud_event(each) for each in STORY]
    no_sid, no_type, no_workspace = (json.loads(json.dumps(told[n])) for n in (0, 1, 2))
    del no_sid["data"]["sid"], no_sid["data"]["payload"]["sid"]
    del no_type["type"], no_type["data"]["payload"]["eventtype"]
    del no_workspace["data"]["payload"]["workspace_sid"]
    body = json.dumps([no_sid, told[3], no_type, 5, no_workspace, told[4]]).encode()
    assert [post(sink, body).status_code for _ in range(2)] == [200, 200]
    assert [row.originator_id for row in sink.stored()] == [f"{WORKSPACE}/{STORY[n]['Sid']}" for n in (3, 4)]
    unlike = "not an event of Event Streams: "
    assert {(reason, times) for reason, _, times in sink.quarantined()} == {
        (unlike + "it has no Sid", 2), (unlike + "it names no type of a TaskRouter event", 2), (unlike + "the element is not a JSON object", 2),
        ("WorkspaceSid is missing or malformed", 2),
    }  # fmt: skip
    assert json.dumps(no_sid).encode() in [kept for _, kept, _ in sink.quarantined()]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[", b"\xff[]", b'"text"', b"[" * 200_000, b'[{"data":' * 50_000])
def test_a_signed_body_that_is_no_array_is_kept(quick: Webhook, body: bytes) -> None:
    """Twilio would throw it away after a 4xx, and with it whatever it was meant to say."""
    assert post(quick, body).status_code == 200
    assert [(each.reason, each.body) for each in quick.log.rejected] == [("the body is not a JSON array", body)]


def test_depth_beyond_reason_is_kept_whole(quick: Webhook) -> None:
    """What no reader can take apart (Twilio's elements are three deep) is kept as it came, with its neighbours."""
    deep = b'{"type":"com.twilio.taskrouter.x","data":{"payload":{"sid":"EV1","a":' + b"[" * 3000 + b"]" * 3000 + b"}}}"
    body = b"[" + deep + b"," + batch(STORY[0])[1:]
    assert post(quick, body).status_code == 200
    assert [each.body for each in quick.log.rejected] == [body]


def test_more_elements_than_the_writer_has_room_for_are_kept_whole(quick: Webhook) -> None:
    """A 503 would be the answer for ever, and a 4xx the end of them."""
    body = b"[" + b",".join([b"1"] * (ELEMENTS_MAX + 1)) + b"]"
    assert post(quick, body).status_code == 200
    assert [(each.reason, each.body) for each in quick.log.rejected] == [(f"more than {ELEMENTS_MAX} elements", body)]


def test_an_empty_batch_is_nothing(quick: Webhook) -> None:
    """As Twilio may send to try an address."""
    assert (post(quick, b"[]").status_code, quick.stored(), quick.log.rejected) == (200, [], [])


def test_other_products_and_workspaces_are_dropped() -> None:
    """A sink may carry more than what is wanted here; neither stored nor kept beside."""
    other = as_cloud_event(STORY[0]) | {"type": "com.twilio.messaging.message.sent"}
    limits = as_cloud_event(STORY[0]) | {"type": "com.twilio.apiusage.taskrouter.ratelimits"}
    elsewhere = as_cloud_event(STORY[1] | {"WorkspaceSid": OTHER_WORKSPACE})
    with posting_to(log=KeepingLog(), event_streams_url=SINK, workspaces=frozenset({WORKSPACE})) as webhook:
        body = json.dumps([other, limits, elsewhere, as_cloud_event(STORY[2])]).encode()
        assert post(webhook, body).status_code == 200
        assert [row.originator_id for row in webhook.stored()] == [f"{WORKSPACE}/{STORY[2]['Sid']}"]
        assert webhook.log.rejected == []


def test_who_signs_speaks_for_its_own_account_alone() -> None:
    """Each token is known to belong to an account; a rotation has two. Another account's element is kept beside."""
    tokens = {ACCOUNT: ("one", "two"), OTHER_ACCOUNT: ("other",)}
    theirs = STORY[1] | {"AccountSid": OTHER_ACCOUNT}
    with posting_to(log=KeepingLog(), event_streams_url=SINK, tokens=tokens) as webhook:
        assert post(webhook, batch(STORY[0]), token="one").status_code == 200
        assert post(webhook, batch(STORY[2]), token="two").status_code == 200
        assert post(webhook, batch(theirs), token="other").status_code == 200
        assert len(webhook.stored()) == 3
        assert post(webhook, batch(theirs | {"Sid": sid("EV", "forged")}, STORY[3]), token="one").status_code == 200
        assert (len(webhook.stored()), [each.reason for each in webhook.log.rejected]) == (
            4,
            ["its account is none of ours, or not the one that signed"],
        )


def test_what_contradicts_a_callback_is_in_the_quarantine(sink: Webhook) -> None:
    """The first stands, whichever feed it came by."""
    sink.post(STORY[1])
    assert post(sink, batch(STORY[1] | {"TaskPriority": "9"})).status_code == 200
    assert len(sink.stored()) == 1
    assert [reason for reason, _, _ in sink.quarantined()] == ["conflict: this Sid is stored with other content"]


@pytest.mark.parametrize(
    ("kind", "status"), [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/cloudevents+json", 200)]
)
def test_only_json_is_taken(quick: Webhook, kind: str, status: int) -> None:
    """With or without CloudEvents' own name for it."""
    assert post(quick, batch(STORY[0]), **{"Content-Type": kind}).status_code == status


def test_a_batch_may_be_larger_than_a_callback_but_not_endless(quick: Webhook) -> None:
    """8 MiB; a callback is held to its own limit still."""
    large = b"[" + b",".join(batch(task_created(n, f"t{n}"))[1:-1] for n in range(600)) + b"]"
    assert len(large) > 400_000
    assert post(quick, large).status_code == 200
    assert len(quick.stored()) == 600
    assert post(quick, b" " * (BODY_MAX_BYTES + 1)).status_code == 413
    assert quick.send(large, **{"Content-Type": "application/x-www-form-urlencoded"}).status_code == 413


class Away(MemoryLog):
    """A store that cannot commit until it is told to be back."""

    is_back = False

    def append(self, arrivals: Any, marks: Any = ()) -> list[Outcome]:
        if not self.is_back:
            raise StoreUnavailable("The store is away.")
        return super().append(arrivals, marks)


def test_a_store_that_is_away_is_said_and_the_next_try_is_stored() -> None:
    """503, which Twilio answers with another try."""
    log = Away()
    with posting_to(log=log, event_streams_url=SINK) as webhook:
        answer = post(webhook, batch(*STORY))
        assert (answer.status_code, answer.headers["Retry-After"], log.end()) == (503, "2", 0)
        log.is_back = True
        assert post(webhook, batch(*STORY)).status_code == 200
        assert log.end() == len(STORY)


def test_a_log_that_somebody_holds_is_said_and_the_next_try_is_stored(url: URL) -> None:
    """A real one, of either kind: 503 while it lasts, and every element once when it is over."""
    with posting_to(url, event_streams_url=SINK, patience_seconds=0.5) as webhook:
        with locked(url):
            assert post(webhook, batch(*STORY)).status_code == 503
        webhook.app.extensions["writer"] = writer.GroupCommit(webhook.log, 60)
        assert post(webhook, batch(*STORY)).status_code == 200
        assert [row.originator_id for row in webhook.stored()] == [f"{WORKSPACE}/{each['Sid']}" for each in STORY]


def test_a_commit_that_hangs_is_not_waited_for() -> None:
    """Twilio's five seconds are longer than the writer's patience, whatever the store does."""
    gate = Gate()
    with posting_to(log=gate, event_streams_url=SINK, patience_seconds=0.1) as webhook:
        try:
            assert post(webhook, batch(*STORY)).status_code == 503
        finally:
            gate.release.set()


def test_an_element_that_the_log_cannot_take_does_not_refuse_its_neighbours() -> None:
    """Nobody foresaw it, so it is not acknowledged; the others are stored, and duplicates when the batch comes again."""
    gate = Gate()
    gate.release.set()
    with posting_to(log=gate, event_streams_url=SINK) as webhook:
        told = [task_created(n, name) for n, name in enumerate(("a", "bad", "c"))]
        assert [post(webhook, batch(*told)).status_code for _ in range(2)] == [500, 500]
        assert len(webhook.stored()) == 2
        assert post(webhook, batch(told[0], told[2])).status_code == 200


def test_a_batch_that_there_is_no_room_for_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of it waits; there is room for it later."""
    monkeypatch.setattr(writer, "WAITING_MAX", len(STORY))
    gate = Gate()
    with posting_to(log=gate, event_streams_url=SINK) as webhook, ThreadPoolExecutor(2) as threads:
        waiting = webhook.app.extensions["writer"]._waiting
        try:
            first = threads.submit(webhook.post, task_created(20, "first"))
            assert gate.entered.wait(30)
            second = threads.submit(webhook.post, task_created(21, "second"))
            until(lambda: waiting.qsize() == 1)
            assert (post(webhook, batch(*STORY)).status_code, waiting.qsize()) == (503, 1)
        finally:
            gate.release.set()
        assert [first.result(30).status_code, second.result(30).status_code] == [204, 204]
        assert post(webhook, batch(*STORY)).status_code == 200
        assert len(webhook.stored()) == 2 + len(STORY)


class SecondGate(Gate):
    """A gate that the first append passes."""

    def append(self, arrivals: Any) -> list[Outcome]:
        return super().append(arrivals) if self.end() else MemoryLog.append(self, arrivals)


def test_no_thread_is_held_while_a_batch_waits_for_its_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application returns at once; one answer comes, when the last of its transactions is done."""
    monkeypatch.setattr(writer, "BATCH_MAX", 4)
    gate = SecondGate()
    with posting_to(log=gate, event_streams_url=SINK) as webhook:
        body, answers = batch(*STORY), []
        assert called(webhook, body, answers) is LATER
        assert gate.entered.wait(30)
        assert (answers, gate.end() > 0) == ([], True)
        gate.release.set()
        until(lambda: answers)
        assert (answers, len(webhook.stored())) == ([(200, [("content-type", "application/json")], b"")], len(STORY))


def called(webhook: Webhook, body: bytes, answers: list[Any]) -> Any:
    """What the application returns to a server that can be answered later; the answers come into the list."""
    query = query_for(body)
    environ = EnvironBuilder("/event-streams", query_string=query, method="POST", data=body, headers=signed_headers(query))
    hear = {ANSWER: lambda *answer: answers.append(answer)}
    return webhook.app(environ.get_environ() | hear, lambda *_: pytest.fail("a response was started"))


def test_a_batch_with_nothing_for_us_is_answered_at_once(quick: Webhook) -> None:
    """There is no commit to wait for."""
    answers: list[Any] = []
    assert called(quick, b"[]", answers) is LATER
    assert [status for status, _, _ in answers] == [200]


@pytest.mark.parametrize("troubles", [1, 2, 3])
def test_one_trouble_among_many_is_the_answer(troubles: int) -> None:
    """Whoever is heard last, and in whichever thread: 200 stands for every element."""

    class Some(MemoryLog):
        left = troubles

        def append(self, arrivals: Any, marks: Any = ()) -> list[Outcome]:
            if len(arrivals) > 1:
                raise ValueError("each alone")
            self.left -= 1
            if self.left >= 0:
                raise ValueError("a bad one")
            return super().append(arrivals, marks)

    with posting_to(log=Some(), event_streams_url=SINK) as webhook:
        assert post(webhook, batch(*STORY[:3])).status_code == 500
        assert len(webhook.stored()) == 3 - troubles
        assert post(webhook, batch(*STORY[:3])).status_code == 200


def test_elements_whose_room_was_taken_meanwhile_are_told_of_too() -> None:
    """There was room for all when the batch came; others took it before the second went in. The rest is stored, and the batch is not answered 200."""

    class Crowded(writer.GroupCommit):
        taken = 0

        def submit(self, arrival: Any, hear: Any) -> None:
            self.taken += 1
            if self.taken == 2:
                raise StoreUnavailable("full")
            super().submit(arrival, hear)

    log, told = MemoryLog(), SimpleQueue[list[writer.Fate]]()
    crowded = Crowded(log, 60)
    try:
        crowded.submit_all([Entry.of(each, "event-streams") for each in STORY[:3]], told.put)
        heard = told.get(timeout=60)
    finally:
        crowded.close()
    assert sorted(type(each).__name__ for each in heard) == ["Outcome", "Outcome", "StoreUnavailable"]
    assert log.end() == 2


def test_what_became_of_elements_is_counted_when_it_is_answered_200() -> None:
    """And once: a batch that Twilio has to send again is not counted before it is stored."""

    def counted() -> list[float]:
        names = [("projector_event_streams_total", {"outcome": "stored"}), ("projector_event_streams_dropped_total", {"reason": "of_other_products"}),
                 ("projector_callbacks_total", {"outcome": "stored"})]  # fmt: skip
        return [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in names]

    other = as_cloud_event(STORY[0]) | {"type": "com.twilio.messaging.message.sent"}
    body = json.dumps([as_cloud_event(STORY[0]), other, as_cloud_event(STORY[1])]).encode()
    log, before = Away(), counted()
    with posting_to(log=log, event_streams_url=SINK) as webhook:
        assert post(webhook, body).status_code == 503
        assert counted() == before
        log.is_back = True
        assert post(webhook, body).status_code == 200
    assert counted() == [before[0] + 2, before[1] + 1, before[2]]


@settings(UNHURRIED, max_examples=60)
@given(told=histories(), seed=st.integers(0, 10**6))
def test_it_does_not_matter_which_feed_brings_an_event(told: list[Parameters], seed: int) -> None:
    """The same tables by callbacks alone, and when each event comes by either feed or both, in any order."""
    shuffler = random.Random(seed)
    told = [each for each in told if "TimestampMs" in each]
    one, mixed = MemoryLog(), KeepingLog()
    with posting_to(log=mixed, event_streams_url=SINK) as webhook:
        arrivals = [(each, feed) for each in told for feed in shuffler.choice((("form",), ("stream",), ("form", "stream")))]
        shuffler.shuffle(arrivals)
        for each, feed in arrivals:
            answer = webhook.post(each) if feed == "form" else post(webhook, batch(each))
            assert answer.status_code in (200, 204)
    stored = {row.originator_id.partition("/")[2] for row in mixed.read(0, 10**6)}
    one.append([Entry.of(each, "callback") for each in told if each["Sid"] in stored])
    rows, right = MemorySink(), MemorySink()
    project(mixed, rows)
    project(one, right)
    assert _told(rows) == _told(right)


def test_what_was_answered_200_survives_a_kill(url: URL) -> None:
    """The real server, ended by SIGKILL right after each answer: all of it is in the log."""
    process = Process.serving(url)
    address = f"http://127.0.0.1:{process.port}/event-streams"
    with ending(process):
        for n in range(3):
            process.start().wait_alive()
            body = batch(*(task_created(k, f"{n} {k}") for k in range(50)))
            assert [_posted(process, address, each) for each in (b"[]", body)] == [200, 200]
            process.kill()
        log = open_log(url)
        try:
            assert log.end() == 150
        finally:
            log.close()


def _posted(process: Process, address: str, body: bytes) -> int:
    query = query_for(body)
    connection = http.client.HTTPConnection("127.0.0.1", process.port or 0, timeout=30)
    try:
        connection.request("POST", f"/event-streams?{query}", body, signed_headers(query, url=address))
        return connection.getresponse().status
    finally:
        connection.close()
