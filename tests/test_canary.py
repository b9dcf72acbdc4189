"""What callers send and what operators keep secret shows up nowhere: not in a log line, not in an answer, not in a figure."""

import logging
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector import logs
from projector.config import ANY_ACCOUNT
from projector.database import database_url
from projector.errors import StoreUnavailable
from projector.follow import follow
from projector.log import Outcome, writer
from projector.taskrouter import task as task_module
from projector.taskrouter import worker as worker_module
from tests.given import WORKSPACE, MemoryLog, Parameters, reservation, signed, worker
from tests.posting import FORM, Webhook, is_accepted, posting_to, signed_bytes, until

CANARY = "canary7f3a"  # in everything below: names, attributes, reasons, tokens, passwords, errors
TOKEN = f"{CANARY}-token"


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """All that this process says on its standard streams, logging configured as in production at its most talkative."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    ours = {name: logging.getLogger(name).level for name in ("projector", "webhook")}
    lines = StringIO()  # pytest changes the standard streams between a fixture and its test
    with redirect_stderr(lines):
        logs.configure(logging.DEBUG)
    try:
        yield lambda: lines.getvalue() + "".join(capfd.readouterr())
    finally:
        root.handlers[:], root.level = handlers, level
        for name, each in ours.items():
            logging.getLogger(name).setLevel(each)


def spoken(at: float, **parameters: str) -> Parameters:
    """A callback with the canary wherever a person can write something."""
    said = {
        name: f"{CANARY} in {name}" for name in ("WorkerName", "TaskQueueName", "WorkflowName", "WorkspaceName", "Reason",
                                                 "EventDescription", "TaskQueueTargetExpression", "WorkerActivityName", CANARY)
    }  # fmt: skip
    attributes = {"TaskAttributes": f'{{"{CANARY}":"{CANARY}"}}', "WorkerAttributes": f'{{"name":"{CANARY}"}}'}
    return reservation("created", at, **said | attributes | parameters)


def unspoken(webhook: Webhook, logged: Any, *answers: Any, expecting: str = "") -> None:
    """The canary is in no answer, no log line, no figure; and the log does say what is expected of it."""
    asked = [webhook.client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
    for answer in (*answers, *asked):
        assert CANARY not in answer.text
        assert CANARY not in str(answer.headers)
    said = logged()
    assert CANARY not in said
    assert expecting in said


def test_callbacks_that_are_kept_say_nothing(url: URL, logged: Any) -> None:
    """Stored, duplicate, conflict, quarantined, unreadable; then projected."""
    with posting_to(url, tokens={ANY_ACCOUNT: (TOKEN,)}) as webhook:
        stored = spoken(at=1)
        raw, headers = signed_bytes([(b"AccountSid", b"AC"), (b"Reason", CANARY.encode() + b"\xff")], TOKEN)
        answers = [
            webhook.post(stored, TOKEN),
            webhook.post(stored, TOKEN),
            webhook.post(stored | {"WorkerName": f"{CANARY} 2"}, TOKEN),
            webhook.post(spoken(at=2, WorkspaceSid=CANARY), TOKEN),
            webhook.post(spoken(at=3, EventType=f"{CANARY}.created"), TOKEN),
            webhook.post(spoken(at=4, TaskAttributes=f"{{{CANARY}"), TOKEN),
            webhook.send(raw, **headers),
        ]
        assert all(is_accepted(answer) for answer in answers)
        assert webhook.log.intake() == {"duplicate": 1, "conflict": 1, "quarantined": 2}
        webhook.tables()
        unspoken(webhook, logged, *answers)


def test_requests_that_are_refused_say_nothing(url: URL, logged: Any) -> None:
    """Every refusal there is: 400, 403, 404, 405, 413, 415."""
    with posting_to(url, tokens={ANY_ACCOUNT: (TOKEN,)}, workspaces=frozenset({WORKSPACE})) as webhook:
        said = spoken(at=1)
        body, headers = signed(said, token=TOKEN)
        large, large_headers = signed(said | {"Reason": CANARY * 30_000}, token=TOKEN)
        many, many_headers = signed(said | {f"{CANARY}{n}": "" for n in range(600)}, token=TOKEN)
        answers = {
            400: [webhook.post({name: value for name, value in said.items() if name != "EventType"}, TOKEN)],
            403: [
                webhook.post(said, CANARY),
                webhook.send(body, **headers | {"X-Twilio-Signature": CANARY}),
                webhook.post(spoken(at=1, WorkspaceSid=CANARY), TOKEN),
                webhook.send(body + b"&Reason=%FF", **headers),
            ],
            404: [webhook.client.post(f"/{CANARY}?{CANARY}={CANARY}", headers={CANARY: CANARY})],
            405: [webhook.client.get(f"/callbacks?{CANARY}")],
            413: [webhook.send(large, **large_headers), webhook.send(many, **many_headers)],
            415: [
                webhook.send(body, **headers | {"Content-Type": f"application/{CANARY}"}),
                webhook.send(body, **headers | {"Content-Type": f"{FORM}; charset={CANARY}"}),
            ],
        }
        for status, each in answers.items():
            assert [answer.status_code for answer in each] == [status] * len(each)
        unspoken(webhook, logged, *(answer for each in answers.values() for answer in each))
        assert webhook.stored() == []


class Failing(MemoryLog):
    """A log that fails as drivers do: quoting what it was given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def append(self, _arrivals: Any) -> list[Outcome]:
        raise self.error from ValueError(f"DETAIL: Key (name)=({CANARY}) password={TOKEN}")


@pytest.mark.parametrize(
    ("error", "status", "expecting"),
    [(StoreUnavailable(CANARY), 503, '"store_unavailable"'), (RuntimeError(CANARY), 500, "RuntimeError")],
)
def test_a_failing_store_says_nothing_of_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch, logged: Any, error: Exception, status: int, expecting: str
) -> None:
    """503 and 500, in the log by the error's class alone."""
    monkeypatch.setattr(writer, "PATIENCE_SECONDS", 0.1)
    with posting_to(log=Failing(error), tokens={ANY_ACCOUNT: (TOKEN,)}) as webhook:
        answer = webhook.post(spoken(at=1), TOKEN)
        assert answer.status_code == status
        said = logged()
        assert expecting in said
        assert CANARY not in said + answer.text + str(answer.headers)


def test_a_fold_that_raises_says_nothing_of_what_it_folded(url: URL, logged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on, the unit is marked; the log and the table name the error's class and place, never its message."""

    def broken(state: Any, callback: Any) -> Any:
        raise KeyError(f"{callback.fields.worker_name} {state}")

    with posting_to(url, tokens={ANY_ACCOUNT: (TOKEN,)}) as webhook:
        webhook.post(spoken(at=1), TOKEN)
        webhook.post(worker("created", at=1, WorkerName=CANARY, worker="bob"), TOKEN)
        monkeypatch.setattr(task_module, "evolve", broken)
        monkeypatch.setattr(worker_module, "evolve", broken)
        stop = threading.Event()
        loop = threading.Thread(target=follow, args=(webhook.config, stop))
        loop.start()
        try:
            until(lambda: webhook.client.get("/readyz").json.get("projected_position") == 2)
        finally:
            stop.set()
            loop.join(30)
        assert not loop.is_alive()
        answer = webhook.client.get("/readyz")
        assert (answer.status_code, answer.json["incomplete_units"]) == (503, 2)
        unspoken(webhook, logged, answer, expecting='"fold_failed"')


def test_a_database_that_is_away_says_no_password(logged: Any) -> None:
    """/readyz and /metrics tell that it is away; the log why; nobody tells how to get in."""
    url = database_url(f"postgresql://projector:{TOKEN}@127.0.0.1:1/nothing?password={TOKEN}")
    with posting_to(url, tokens={ANY_ACCOUNT: (TOKEN,)}) as webhook:
        answer = webhook.client.get("/readyz")
        assert (answer.status_code, answer.json["ready"]) == (503, False)
        unspoken(webhook, logged, answer, webhook.post(spoken(at=1), TOKEN))


def test_the_canary_would_be_seen(logged: Any) -> None:
    """A guard for this file: what is said on purpose is found."""
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("projector.test").exception("failed")
    assert '"error": "ValueError"' in (said := logged())
    assert CANARY not in said
    logging.getLogger("projector.test").debug("said", extra={"what": CANARY})
    assert CANARY in logged()
