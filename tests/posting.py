"""Posting callbacks at the real application, and looking at what it kept: for specifications of the webhook.

`with posting_to(url) as webhook:` is an application over that database; `webhook.post(task_created(at=1))` signs and posts;
`webhook.stored()`, `webhook.quarantined()` and `webhook.tables()` say what became of it.
"""

import base64
import hmac
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import URL
from werkzeug.test import TestResponse

from projector.config import ANY_ACCOUNT, Config
from projector.database import database_url, disposing, open_engine
from projector.delivered import feeds_lately
from projector.log import GroupCommit, Log, Outcome, Rejected, Stored, open_log
from projector.log.schema import intake_quarantine
from projector.migrate import migration_engine
from projector.project import project
from projector.status import gaps_lately, in_all, progress
from projector.table_sink import TableSink
from tests.given import (
    PUBLIC_URL,
    TOKEN,
    WORKSPACE,
    MemoryLog,
    Parameters,
    Told,
    callback,
    reservation,
    sid,
    signed,
    task,
    worker,
)
from webhook import create_app

UNHURRIED = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
FORM = "application/x-www-form-urlencoded"
NOWHERE = database_url("sqlite:///nowhere.db")  # for an application whose log is given; never opened


class KeepingLog(MemoryLog):
    """A log in memory that keeps what was rejected, too."""

    def __init__(self) -> None:
        super().__init__()
        self.rejected: list[Rejected] = []

    def clear(self) -> None:
        self.__init__()

    def append(self, arrivals: Any) -> list[Outcome]:
        self.rejected += [arrival for arrival in arrivals if isinstance(arrival, Rejected)]
        return super().append(arrivals)


class Webhook:
    """The application over one log, and its client."""

    def __init__(self, config: Config, log: Any, engine: sa.Engine | None) -> None:
        self.config, self.log, self.engine = config, log, engine
        missing = gaps_lately(engine) if engine is not None else lambda _now_ms: {}
        self.app = create_app(config, log, self._progress, lambda now_ms: in_all(missing(now_ms)), feeds_lately(log))
        self.client = self.app.test_client()

    def post(self, parameters: Parameters, token: str = TOKEN, **headers: str) -> TestResponse:
        """Post a callback as Twilio would: signed with `token` over the public URL."""
        body, signing = signed(parameters, self.config.public_url, token)
        return self.send(body, **signing | headers)

    def post_pairs(self, pairs: Iterable[tuple[str, str]], token: str = TOKEN) -> TestResponse:
        """Post these fields in this order, signed."""
        body, headers = signed_bytes([(name.encode(), value.encode()) for name, value in pairs], token)
        return self.send(body, **headers)

    def send(self, body: bytes, **headers: str) -> TestResponse:
        """Post a body with just these headers."""
        return self.app.test_client().post("/callbacks", data=body, headers=headers)

    def stored(self) -> list[Stored]:
        """All that is in the log."""
        return self.log.read(0, 1_000_000)

    def quarantined(self) -> list[tuple[str, bytes, int]]:
        """All that is beside the log: reason, body, how often it came."""
        c = intake_quarantine.c
        with disposing(migration_engine(self.config.database_url)) as engine, engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.select(c.reason, c.body, c.times).order_by(c.reason, c.body))]

    def tables(self, workspace: str = WORKSPACE) -> Told:
        """The rows after projecting all that is stored."""
        assert self.engine is not None
        sink = TableSink(self.engine)
        project(self.log, sink)
        assert sink.incomplete() == set()
        return Told(sink.rows(), workspace)

    def _progress(self, now_ms: int) -> dict[str, object]:
        return progress(self.log, self.engine, now_ms) if self.engine is not None else {}


@contextmanager
def posting_to(url: URL = NOWHERE, log: Any = None, patience_seconds: float = 60.0, **settings: Any) -> Iterator[Webhook]:
    """The application over this database, or over a log given; settings are `Config`'s."""
    config = Config(**{"database_url": url, "public_url": PUBLIC_URL, "tokens": {ANY_ACCOUNT: (TOKEN,)}} | settings)
    with disposing(open_engine(url)) as engine:
        used: Log = log if log is not None else open_log(url)
        webhook = Webhook(config, used, None if url is NOWHERE else engine)
        webhook.app.extensions["writer"] = GroupCommit(used, patience_seconds)  # as patient as a busy test machine needs
        try:
            yield webhook
        finally:
            webhook.app.extensions["writer"].close()
            used.close()


def signed_bytes(
    pairs: Iterable[tuple[bytes, bytes]], token: str = TOKEN, url: str = PUBLIC_URL, body: bytes | None = None
) -> tuple[bytes, dict[str, str]]:
    """Body and headers for fields that are bytes, signed over those bytes. `body`: another spelling of the same fields."""
    pairs = list(pairs)
    text = url.encode() + b"".join(name + value for name, value in sorted(set(pairs)))
    signature = base64.b64encode(hmac.digest(token.encode(), text, "sha1")).decode()
    if body is None:
        body = b"&".join(quote_plus(name).encode() + b"=" + quote_plus(value).encode() for name, value in pairs)
    return body, {"Content-Type": FORM, "X-Twilio-Signature": signature}


def is_accepted(answer: TestResponse) -> bool:
    """What Twilio asks for: 204, JSON by its type, no body, no redirect."""
    return (answer.status_code, answer.content_type, answer.data) == (204, "application/json", b"")


def until(condition: Any, seconds: float = 30) -> None:
    """Wait for a condition that will come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


_ATTRIBUTES = r'{"from":"+15550100","path":"a\/b"}'
_VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
_CHANNEL = _VOICE | {
    "WorkerChannelAvailable": "true", "WorkerChannelAvailableCapacity": "3", "WorkerChannelPreviousCapacity": "1",
    "WorkerChannelTaskCount": "0",
}  # fmt: skip
_THINGS: Mapping[str, Parameters] = {
    "activity": {"ActivitySid": sid("WA", "Idle"), "ActivityName": "Idle", "ActivityAvailable": "true"},
    "task-queue": {
        "TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Support", "TaskQueueTargetExpression": "skills HAS 'a'",
        "OperatingUnitSid": sid("OU", "one"),
    },
    "workflow": {"WorkflowSid": sid("WW", "main"), "WorkflowName": "Main"},
    "task-channel": _VOICE | {"TaskChannelName": "Voice", "TaskChannelOptimizedRouting": "true"},
    "workspace": {},
}  # fmt: skip
_OF_A_TASK = ("task-queue.entered", "task-queue.timeout", "task-queue.moved", "workflow.target-matched", "workflow.entered",
              "workflow.timeout", "workflow.skipped", "workflow.rejected")  # fmt: skip


def in_full(event_type: str, at: float) -> Parameters:
    """A callback of this type with everything such a callback is known to say."""
    thing, _, what = event_type.partition(".")
    if thing == "reservation":
        return reservation(what, at, ReservationVersion="0", TaskVersion="1", WorkerVersion="2", TaskAge="3", TaskIgnoreCapacity="false",
                           TaskAttributes=_ATTRIBUTES)  # fmt: skip
    if thing == "task" or event_type in _OF_A_TASK:
        return task(event_type, at, TaskAge="3", TaskAddons="{}", TaskAttributes=_ATTRIBUTES,
                    TaskAssignmentStatus="pending", Reason="", ResourceType="task", ResourceSid=sid("WT", "t"),
                    EventDescription=f"Task {sid('WT', 't')} {what}", WorkflowFilterName="Default",
                    WorkflowFilterExpression="[\"language=='english'\"]", TaskDateCreated="1770000000")  # fmt: skip
    if thing == "worker":
        return worker(what, at, WorkerVersion="4", OperatingUnitSid=sid("OU", "one"), WorkerPreviousActivitySid=sid("WA", "Offline"),
                      WorkerPreviousActivityName="Offline", WorkerTimeInPreviousActivity="0", WorkerTimeInPreviousActivityMs="901",
                      **(_CHANNEL if "channel" in what or "capacity" in what else {}))  # fmt: skip
    return callback(event_type, at, ResourceType=thing.replace("-", ""), **_THINGS[thing])
