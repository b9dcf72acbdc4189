"""What POST /callbacks answers, and what is kept when it has answered."""

import inspect
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from granian.server import mp
from granian.server.mp import MPServer
from sqlalchemy.engine import URL
from werkzeug.test import EnvironBuilder

from projector import tables
from projector.errors import NotMigrated, StoreUnavailable
from projector.log import Outcome, writer
from projector.taskrouter.event_types import EVENT_TYPES
from tests.given import ACCOUNT, TOKEN, WORKSPACE, MemoryLog, Parameters, sid, signed, task_created
from tests.posting import FORM, KeepingLog, Webhook, in_full, is_accepted, posting_to, signed_bytes, until
from webhook.acknowledgement import ANSWER, LATER

OTHER_ACCOUNT, OTHER_WORKSPACE, OTHER_TOKEN = "AC" + "e" * 32, "WS" + "f" * 32, "another-auth-token"


@pytest.fixture
def webhook(url: URL) -> Iterator[Webhook]:
    with posting_to(url) as made:
        yield made


@pytest.fixture
def anywhere() -> Iterator[Webhook]:
    """An application over a log in memory, where the database makes no difference."""
    with posting_to(log=KeepingLog()) as made:
        yield made


def nothing_kept(webhook: Webhook) -> bool:
    return webhook.stored() == [] and webhook.log.rejected == []


# 204


def test_a_callback_is_stored_as_received_and_answered_204(webhook: Webhook) -> None:
    """204, `application/json`, no body; the log holds the parameters as they came."""
    said = task_created(at=1, TaskAttributes='{"name":"Zoë \\/ 😀"}', Newer="parameter")
    assert is_accepted(webhook.post(said))
    (row,) = webhook.stored()
    assert row.originator_id == f"{WORKSPACE}/{said['Sid']}"
    assert json.loads(row.state)["parameters"] == said


def test_a_duplicate_is_answered_204_and_counted(webhook: Webhook) -> None:
    """The same callback again changes nothing in the log."""
    said = task_created(at=1)
    assert is_accepted(webhook.post(said))
    before = webhook.stored()
    assert is_accepted(webhook.post(said))
    assert is_accepted(webhook.post(dict(reversed(said.items()))))
    assert (webhook.stored(), webhook.log.intake(), webhook.quarantined()) == (before, {"duplicate": 2}, [])


def test_the_same_sid_with_other_content_is_answered_204_and_quarantined(webhook: Webhook) -> None:
    """The first stands; the other is beside the log, once, with the times it came."""
    said = task_created(at=1)
    other = said | {"TaskPriority": "99"}
    for body in (said, other, other):
        assert is_accepted(webhook.post(body))
    ((reason, body, times),) = webhook.quarantined()
    assert (len(webhook.stored()), json.loads(body), times) == (1, other, 2)
    assert reason.startswith("conflict")
    assert webhook.tables().the("task", "t")["priority"] == 0


def test_attributes_spelled_otherwise_are_no_conflict(webhook: Webhook) -> None:
    """Equal JSON values are the same content."""
    webhook.post(task_created(at=1, TaskAttributes='{"a": 1, "b": "x\\/y"}', Sid=sid("EV", "one")))
    assert is_accepted(webhook.post(task_created(at=1, TaskAttributes='{"b":"x/y","a":1}', Sid=sid("EV", "one"))))
    assert webhook.log.intake() == {"duplicate": 1}


def test_a_signed_callback_that_cannot_be_trusted_is_answered_204_and_quarantined(webhook: Webhook) -> None:
    """Refusing it would lose it; storing it would let it be what it is not."""
    said = task_created(at=1, WorkspaceSid="WS1")
    assert is_accepted(webhook.post(said))
    ((reason, body, times),) = webhook.quarantined()
    assert (webhook.stored(), reason, json.loads(body), times) == ([], "WorkspaceSid is missing or malformed", said, 1)
    assert webhook.log.intake() == {"quarantined": 1}


def test_every_event_type_is_stored_and_projected(webhook: Webhook) -> None:
    """One callback of every EventType there is, each saying all that such a callback says."""
    bodies = [in_full(event_type, at) for at, event_type in enumerate(EVENT_TYPES)]
    assert all(is_accepted(webhook.post(body)) for body in bodies)
    assert [json.loads(row.state)["parameters"] for row in webhook.stored()] == bodies
    told = webhook.tables()
    assert all(told.rows[table.name] for table in tables.CURRENT)
    assert told.the("task", "t")["attributes"] == '{"from":"+15550100","path":"a/b"}'
    assert told.the("worker_channel", "ann", "voice")["updated_capacity"] == 3


def test_an_unknown_event_type_is_stored(webhook: Webhook) -> None:
    """TaskRouter may invent tomorrow what this release has never heard of."""
    assert is_accepted(webhook.post(in_full("task.created", at=1) | {"EventType": "task.invented"}))
    assert len(webhook.stored()) == 1
    assert webhook.tables().rows["task"] == {}


def test_a_callback_without_a_sid_is_stored_once(webhook: Webhook) -> None:
    """Without a Sid, what it says is its identity."""
    said = task_created(at=1)
    del said["Sid"]
    for _ in range(2):
        assert is_accepted(webhook.post(said))
    assert is_accepted(webhook.post(said | {"TaskPriority": "1"}))
    assert (len(webhook.stored()), webhook.log.intake()) == (2, {"duplicate": 1})


def test_a_thousand_copies_at_once_are_one_callback(webhook: Webhook) -> None:
    """1,000 copies of one request over eight connections: 1,000 × 204, one row."""
    body, headers = signed(task_created(at=1))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: webhook.send(body, **headers), range(1_000)))
    assert all(is_accepted(answer) for answer in answers)
    assert (len(webhook.stored()), webhook.log.intake()) == (1, {"duplicate": 999})


def test_many_different_callbacks_at_once_are_all_stored(webhook: Webhook) -> None:
    """400 requests over eight connections: each 204 is one row."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: webhook.post(task_created(at=n, task_=str(n))), range(400)))
    assert all(is_accepted(answer) for answer in answers)
    assert len({row.originator_id for row in webhook.stored()}) == len(webhook.stored()) == 400


def test_a_large_callback_does_not_trouble_the_next_one(webhook: Webhook) -> None:
    """Each append reads the newest stored document for its receipt stamp, whatever its size."""
    for at in range(20):
        assert is_accepted(webhook.post(task_created(2 * at, TaskAttributes="[" + "1," * 20_000 + "1]")))
        assert is_accepted(webhook.post(task_created(2 * at + 1)))
    assert len(webhook.stored()) == 40


# 403


def test_a_signature_that_does_not_match_is_refused(anywhere: Webhook) -> None:
    """Wrong token, other content, other URL, none: 403, nothing kept, nothing echoed."""
    said = task_created(at=1)
    body, headers = signed(said)
    elsewhere = signed(said, url="https://elsewhere.test/callbacks")[1]["X-Twilio-Signature"]
    answers = [
        anywhere.post(said, token="wrong"),
        anywhere.send(signed(said | {"TaskPriority": "9"})[0], **headers),
        anywhere.send(body, **headers | {"X-Twilio-Signature": elsewhere}),
        anywhere.send(body, **headers | {"X-Twilio-Signature": ""}),
        anywhere.send(body, **{"Content-Type": FORM}),
        anywhere.send(b"", **{"Content-Type": FORM}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 6
    assert all(answer.content_type.startswith("text/plain") and said["Sid"].encode() not in answer.data for answer in answers)
    assert nothing_kept(anywhere)


def test_the_public_url_is_what_is_signed_whatever_host_says(anywhere: Webhook) -> None:
    """Whoever posts chooses the Host header, so it proves nothing and breaks nothing."""
    body, headers = signed(task_created(at=1))
    for host in ("x:99999999", "evil.test", "", "[::1", "example.test:443"):
        assert is_accepted(anywhere.send(body, **headers, Host=host))
    wrong = signed(task_created(at=2), url="https://evil.test/callbacks")
    assert anywhere.send(wrong[0], **wrong[1], Host="evil.test").status_code == 403


def two_accounts() -> dict[str, Any]:
    return {"tokens": {ACCOUNT: (TOKEN,), OTHER_ACCOUNT: (OTHER_TOKEN,)}}


@pytest.mark.parametrize("names", [ACCOUNT, "", None, "AC" + "0" * 32, ACCOUNT.upper(), ACCOUNT + " ", ACCOUNT + "\0"])
def test_the_token_of_one_account_never_admits_a_callback_of_another(names: str | None) -> None:
    """Signed by the other account's token, naming this one, nobody, or a stranger: 403."""
    said = task_created(at=1)
    if names is None:
        del said["AccountSid"]
    else:
        said["AccountSid"] = names
    with posting_to(log=KeepingLog(), **two_accounts()) as webhook:
        assert webhook.post(said, token=OTHER_TOKEN).status_code == 403
        assert nothing_kept(webhook)


def test_naming_two_accounts_stores_nothing_under_either() -> None:
    """The token must be the one of the account that is read, and a field that came twice is quarantined anyway."""
    pairs = list(task_created(at=1).items())
    with posting_to(log=KeepingLog(), **two_accounts()) as webhook:
        both = [[*pairs, ("AccountSid", OTHER_ACCOUNT)], [("AccountSid", OTHER_ACCOUNT), *pairs]]
        answers = [webhook.post_pairs(each, token).status_code for each in both for token in (TOKEN, OTHER_TOKEN)]
        assert sorted(answers) == [204, 204, 403, 403]
        assert (webhook.stored(), len(webhook.log.rejected)) == ([], 2)


def test_each_account_posts_with_its_own_token() -> None:
    """Two accounts, one webhook."""
    with posting_to(log=KeepingLog(), **two_accounts()) as webhook:
        assert is_accepted(webhook.post(task_created(at=1)))
        assert is_accepted(webhook.post(task_created(at=2, AccountSid=OTHER_ACCOUNT), token=OTHER_TOKEN))
        assert len(webhook.stored()) == 2


def test_during_a_rotation_both_tokens_sign() -> None:
    """Two tokens of one account; a third signs nothing."""
    for account in (ACCOUNT, ""):
        with posting_to(log=KeepingLog(), tokens={account: (TOKEN, "the-new-token")}) as webhook:
            answers = [
                webhook.post(task_created(at), token).status_code for at, token in enumerate([TOKEN, "the-new-token", "old"])
            ]
            assert answers == [204, 204, 403]


@pytest.mark.parametrize("names", [OTHER_WORKSPACE, "", None, WORKSPACE.upper()])
def test_a_workspace_outside_the_allow_list_is_refused(names: str | None) -> None:
    """Signed or not, UTF-8 or not: a workspace that may not post is answered 403 and leaves nothing."""
    said = task_created(at=1) | {"WorkspaceSid": names or ""}
    if names is None:
        del said["WorkspaceSid"]
    with posting_to(log=KeepingLog(), workspaces=frozenset({WORKSPACE})) as webhook:
        assert webhook.post(said).status_code == 403
        raw, headers = signed_bytes([*((name.encode(), value.encode()) for name, value in said.items()), (b"Reason", b"\xff")])
        assert webhook.send(raw, **headers).status_code == 403
        assert nothing_kept(webhook)
        assert is_accepted(webhook.post(task_created(at=1)))


# 400, 404, 405, 413, 415


@pytest.mark.parametrize("empty", [True, False])
def test_an_assignment_callback_is_refused(anywhere: Webhook, empty: bool) -> None:
    """No EventType: whoever mixed up the two addresses is told so."""
    said: Parameters = {name: value for name, value in task_created(at=1).items() if name != "EventType"}
    answer = anywhere.post(said | ({"EventType": ""} if empty else {}))
    assert (answer.status_code, b"EventCallbackUrl" in answer.data) == (400, True)
    assert nothing_kept(anywhere)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "multipart/form-data; boundary=x", f"{FORM}; charset=utf-16", f"{FORM}; charset=latin1", "", None],
)  # fmt: skip
def test_another_content_type_is_refused(anywhere: Webhook, content_type: str | None) -> None:
    """Only a form in UTF-8 is read: anything else would be read as an empty one."""
    body, headers = signed(task_created(at=1))
    headers |= {"Content-Type": content_type} if content_type is not None else {}
    if content_type is None:
        del headers["Content-Type"]
    assert anywhere.send(body, **headers).status_code == 415
    assert nothing_kept(anywhere)


@pytest.mark.parametrize(
    "content_type", [FORM, f"{FORM};charset=UTF-8", f'{FORM}; charset="utf-8"', f"{FORM}; charset=", FORM.upper()]
)
def test_a_form_in_utf_8_is_read_however_it_is_announced(anywhere: Webhook, content_type: str) -> None:
    """With or without a charset, in any case."""
    body, headers = signed(task_created(at=1))
    assert is_accepted(anywhere.send(body, **headers | {"Content-Type": content_type}))


def test_a_body_above_256_kib_is_refused(anywhere: Webhook) -> None:
    """One byte more is 413, announced or not; up to it all is well."""
    just = task_created(at=1, Reason="")
    just["Reason"] = "x" * (256 * 1024 - len(signed(just)[0]))
    body, headers = signed(just)
    assert len(body) == 256 * 1024
    assert is_accepted(anywhere.send(body, **headers))
    more, headers = signed(just | {"Reason": just["Reason"] + "x"})
    assert anywhere.send(more, **headers).status_code == 413
    unannounced = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    assert (
        anywhere.client.post("/callbacks", input_stream=BytesIO(more), headers=headers, environ_overrides=unannounced).status_code
        == 413
    )
    assert len(anywhere.stored()) == 1


@pytest.mark.parametrize("raw", [b"", b"&%FF=%FF"])
def test_more_than_500_fields_are_refused(anywhere: Webhook, raw: bytes) -> None:
    """No callback has so many; a body of nothing but separators is as costly. In UTF-8 or not."""
    fields = [(f"Field{n}".encode(), b"1") for n in range(600)]
    body, headers = signed_bytes(fields)
    assert anywhere.send(body + raw, **headers).status_code == 413
    assert anywhere.send(b"&" * 200_000 + raw, **headers).status_code == 413
    assert nothing_kept(anywhere)


def test_other_paths_and_methods_are_refused_in_one_line(anywhere: Webhook) -> None:
    """405 with Allow, 404; never a redirect, never a page."""
    looked = anywhere.client.get("/callbacks")
    assert (looked.status_code, set(looked.headers["Allow"].split(", ")) >= {"POST"}) == (405, True)
    for path in ("/callbacks/", "/", "/<script>"):
        answer = anywhere.client.post(path)
        assert (answer.status_code, answer.content_type.startswith("text/plain"), b"script" in answer.data) == (404, True, False)


# 503, and what is promised about the commit


class Broken(MemoryLog):
    """A log that cannot be written, for a while."""

    def __init__(self, error: Exception, times: int = 1_000_000) -> None:
        super().__init__()
        self.error, self.times = error, times

    def append(self, arrivals: Any) -> list[Outcome]:
        if self.times:
            self.times -= 1
            raise self.error
        return super().append(arrivals)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), NotMigrated("no tables")])
def test_a_store_that_cannot_commit_is_answered_503_with_retry_after(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Twilio may try again, and soon."""
    monkeypatch.setattr(writer, "PATIENCE_SECONDS", 0.1)
    with posting_to(log=Broken(error)) as webhook:
        answer = webhook.post(task_created(at=1))
        assert (answer.status_code, 1 <= int(answer.headers["Retry-After"]) <= 10, webhook.stored()) == (503, True, [])


def test_a_connection_that_broke_once_is_not_the_callers_trouble() -> None:
    """The writer tries again; a commit whose answer was lost would show as a duplicate."""
    with posting_to(log=Broken(StoreUnavailable("reset"), times=1)) as webhook:
        assert is_accepted(webhook.post(task_created(at=1)))
        assert len(webhook.stored()) == 1


def test_an_error_nobody_foresaw_is_500_and_no_204() -> None:
    """Whatever went wrong, what is not stored is not acknowledged; the next one is."""
    with posting_to(log=Broken(RuntimeError("surprise"), times=1)) as webhook:
        answer = webhook.post(task_created(at=1))
        assert (answer.status_code, b"surprise" in answer.data) == (500, False)
        assert is_accepted(webhook.post(task_created(at=1)))


class Gate(MemoryLog):
    """A log whose append waits to be let through, and fails for a task of the name `bad`."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.release = threading.Event(), threading.Event()

    def append(self, arrivals: Any) -> list[Outcome]:
        self.entered.set()
        assert self.release.wait(60)
        if any(sid("WT", "bad") in entry.unit for entry in arrivals):
            raise ValueError("a bad one")
        return super().append(arrivals)


def test_nothing_is_answered_before_the_commit() -> None:
    """While the commit is under way there is no answer; after it there is."""
    gate = Gate()
    with posting_to(log=gate) as webhook, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(webhook.post, task_created(at=1))
        try:
            assert gate.entered.wait(30)
            assert not threading.Event().wait(0.2)
            assert not answer.done()
        finally:
            gate.release.set()
        assert is_accepted(answer.result(30))


def test_a_server_that_can_be_answered_later_gets_its_thread_back_before_the_commit() -> None:
    """The application returns at once; the answer comes when the commit is done, and once."""
    gate = Gate()
    with posting_to(log=gate) as webhook:
        body, headers = signed(task_created(at=1), webhook.config.public_url, TOKEN)
        answers: list[tuple[int, list[tuple[str, str]], bytes]] = []
        environ = EnvironBuilder("/callbacks", method="POST", data=body, headers=headers).get_environ()
        environ[ANSWER] = lambda *answer: answers.append(answer)
        assert webhook.app(environ, lambda *_: pytest.fail("a response was started")) is LATER
        assert gate.entered.wait(30)
        assert answers == []
        gate.release.set()
        until(lambda: answers)
        assert answers == [(204, [("content-type", "application/json")], b"")]
        assert len(webhook.stored()) == 1


def test_the_shipped_server_can_be_answered_later() -> None:
    """Granian still looks for the function that `projector.web.answer_later` puts in the place of its own."""
    spawn = inspect.unwrap(MPServer._spawn_wsgi_worker)
    assert "_wsgi_call_wrap" in spawn.__code__.co_names
    assert list(inspect.signature(mp._wsgi_call_wrap).parameters) == ["callback", "scope_opts", "access_log_fmt"]


def test_a_request_that_waited_too_long_is_answered_503() -> None:
    """A commit that hangs is not waited for beyond the promise; what was not begun is taken back."""
    gate = Gate()
    with posting_to(log=gate, patience_seconds=0.1) as webhook:
        try:
            first, second = webhook.post(task_created(at=1)), webhook.post(task_created(at=2))
            assert [first.status_code, second.status_code] == [503, 503]
            assert first.headers["Retry-After"]
        finally:
            gate.release.set()
        webhook.app.extensions["writer"].close()
        assert len(webhook.stored()) == 1  # the first was under way: its retry will be a duplicate


def test_one_bad_entry_does_not_refuse_its_neighbours() -> None:
    """Four requests in one batch, one of which the log cannot take: three 204, one 500."""
    gate = Gate()
    with posting_to(log=gate) as webhook, ThreadPoolExecutor(5) as threads:
        waiting = webhook.app.extensions["writer"]._waiting  # how many the next batch will have
        try:
            first = threads.submit(webhook.post, task_created(at=1))
            assert gate.entered.wait(30)
            others = [threads.submit(webhook.post, task_created(2, name)) for name in ("a", "b", "bad", "c")]
            until(lambda: waiting.qsize() == 4)
        finally:
            gate.release.set()
        assert is_accepted(first.result(30))
        assert [other.result(30).status_code for other in others] == [204, 204, 500, 204]
        assert len(webhook.stored()) == 4


def test_a_closed_writer_stores_what_waits_and_refuses_the_rest() -> None:
    """The end of a server process loses nothing that it answered for."""
    with posting_to(log=KeepingLog()) as webhook:
        assert is_accepted(webhook.post(task_created(at=1)))
        webhook.app.extensions["writer"].close()
        assert webhook.post(task_created(at=2)).status_code == 503
        assert len(webhook.stored()) == 1


def test_who_comes_while_it_closes_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer was open when it was looked at, and had ended when the arrival was given to it."""
    with posting_to(log=KeepingLog()) as webhook:
        assert is_accepted(webhook.post(task_created(at=1)))
        writer = webhook.app.extensions["writer"]
        writer.close()
        monkeypatch.setattr(writer, "_refuse_beyond", lambda _: None)
        assert webhook.post(task_created(at=2)).status_code == 503
        assert len(webhook.stored()) == 1


def test_health_tells_alive_ready_and_behind(webhook: Webhook) -> None:
    """/healthz is always 200; /readyz and /metrics tell the log's position and the tables'."""
    webhook.post(task_created(at=1))
    assert webhook.client.get("/healthz").json == {"status": "alive"}
    said = webhook.client.get("/readyz").json
    assert (said["log_position"], said["projected_position"], said["lag_events"]) == (1, 0, 1)
    webhook.tables()
    answer = webhook.client.get("/readyz")
    assert (answer.status_code, answer.json["ready"], answer.json["lag_events"]) == (200, True, 0)
    figures = webhook.client.get("/metrics").text
    assert "projector_log_position 1.0" in figures
    assert "projector_store_up 1.0" in figures
