"""Callbacks in TaskRouter's words, for specifications.

`task_created(at=1)` is the parameters of a `task.created` stamped one second into the story; `given(a, b, …)` folds callbacks
from nothing through the real loop into memory and gives back the rows. Every builder takes more parameters by their
TaskRouter names (`TaskPriority="5"`).
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL
from twilio.request_validator import RequestValidator

from projector.log import EVERY_UNIT, Entry, Log, Mark, Outcome, Place, Stored, Tally, Timed, Units
from projector.log.entry import decide, rows
from projector.project import project
from projector.rows import HISTORY_OF, LINE_KEY
from projector.sink import MemorySink
from projector.taskrouter.callback import read
from projector.taskrouter.span import Span
from projector.taskrouter.text import LATEST_MS

START_MS = 1_770_000_000_000  # 2026-02-02T02:40:00Z
ACCOUNT, WORKSPACE = "AC" + "a" * 32, "WS" + "b" * 32
TOKEN, PUBLIC_URL = "test-auth-token", "https://example.test/callbacks"

Parameters = dict[str, str]


def sid(prefix: str, name: str) -> str:
    """A well-formed Sid for a name: `sid("WT", "first task")`."""
    return prefix + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def ms(at: float) -> int:
    """Seconds into the story as epoch milliseconds."""
    return START_MS + round(at * 1000)


def callback(event_type: str, at: float, **parameters: str) -> Parameters:
    """A callback of any type. Its Sid follows from what it says, unless `Sid` is given."""
    stamp = ms(at)
    body = {
        "EventType": event_type, "AccountSid": ACCOUNT, "WorkspaceSid": WORKSPACE, "WorkspaceName": "Test floor",
        "Timestamp": str(stamp // 1000), "TimestampMs": str(stamp),
    } | parameters  # fmt: skip
    return {"Sid": sid("EV", repr(sorted(body.items())))} | body


def task(event_type: str, at: float, task: str = "t", **parameters: str) -> Parameters:
    """A callback with a task's snapshot."""
    return callback(
        event_type, at,
        **{
            "TaskSid": sid("WT", task), "TaskAttributes": '{"type":"call"}', "TaskPriority": "0",
            "TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice",
            "TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Support",
            "WorkflowSid": sid("WW", "main"), "WorkflowName": "Main",
        } | parameters,
    )  # fmt: skip


def task_created(at: float, task_: str = "t", **parameters: str) -> Parameters:
    return task("task.created", at, task_, **{"TaskAssignmentStatus": "pending"} | parameters)


def task_completed(at: float, task_: str = "t", **parameters: str) -> Parameters:
    return task("task.completed", at, task_, **{"TaskAssignmentStatus": "completed"} | parameters)


def task_canceled(at: float, task_: str = "t", **parameters: str) -> Parameters:
    return task("task.canceled", at, task_, **{"TaskAssignmentStatus": "canceled", "Reason": "hangup"} | parameters)


_STATUS_AFTER = {"created": "reserved", "accepted": "assigned", "wrapup": "wrapping", "rejected": "pending", "timeout": "pending"}


def reservation(
    what: str, at: float, reservation: str = "r", task_: str = "t", worker: str = "ann", **parameters: str
) -> Parameters:
    """`reservation("accepted", at=3)`: a reservation callback with task and worker."""
    said = {"TaskAssignmentStatus": _STATUS_AFTER[what]} if what in _STATUS_AFTER else {}
    said |= {
        "ReservationSid": sid("WR", reservation), "WorkerSid": sid("WK", worker), "WorkerName": worker,
        "WorkerActivitySid": sid("WA", "Idle"), "WorkerActivityName": "Idle", "WorkerAttributes": "{}",
    }  # fmt: skip
    return task(f"reservation.{what}", at, task_, **said | parameters)


def worker(what: str, at: float, worker: str = "ann", activity: str = "Idle", **parameters: str) -> Parameters:
    """`worker("activity.update", at=5, activity="Busy")`."""
    said = {
        "WorkerSid": sid("WK", worker), "WorkerName": worker, "WorkerAttributes": '{"skills":["a"]}',
        "WorkerActivitySid": sid("WA", activity), "WorkerActivityName": activity,
    }  # fmt: skip
    return callback(f"worker.{what}", at, **said | parameters)


class MemoryLog:
    """A log in a list, deciding by the same rules as the real ones. `now_ms` is its clock."""

    def __init__(self, now_ms: int = START_MS + 3_600_000) -> None:
        self.now_ms = now_ms
        self._stored: list[Stored] = []
        self._units: list[tuple[str | None, int]] = []
        self._marks: dict[str, dict[str, str]] = {}

    def append(self, arrivals: Any, marks: Sequence[Mark] = ()) -> list[Outcome]:
        for mark in marks:
            self._marks.setdefault(mark.feed, {})[mark.part] = mark.place
        decision = decide(arrivals, {row.originator_id: row.state for row in self._stored})
        last = self._stored[-1].state if self._stored else None
        for originator_id, _, state, unit, at_ms in rows(decision.new, self.now_ms, last):
            self._stored.append(Stored(len(self._stored) + 1, originator_id, state, unit))
            self._units.append((unit, at_ms))
        return decision.outcomes

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        return self._stored[after : min(after + limit, len(self._stored) if upto is None else upto)]

    def history(self, unit: str, since_ms: int, upto: int, until_ms: int = LATEST_MS) -> list[Stored]:
        found = zip(self._stored[:upto], self._units, strict=False)
        return [row for row, (of, at_ms) in found if of in (unit, None) and since_ms <= at_ms <= until_ms]

    def by_unit(self, upto: int, units: Units = EVERY_UNIT) -> Iterator[Stored]:
        found = sorted(zip(self._stored[:upto], self._units, strict=False), key=lambda each: (each[1][0] or "", each[1][1]))
        return iter([row for row, (of, _) in found if of is None or units.has(of)])

    def latest(self, before: Place, since_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        found = [each for each in self._timed(unit) if each[:2] < before and each.at_ms >= since_ms]
        return found[::-1][:limit]

    def earliest(self, after: Place, until_ms: int, limit: int, unit: str | None = None) -> list[Timed]:
        return [each for each in self._timed(unit) if each[:2] > after and each.at_ms <= until_ms][:limit]

    def _timed(self, unit: str | None) -> list[Timed]:
        told = [
            (at_ms, row) for row, (of, at_ms) in zip(self._stored, self._units, strict=True) if unit is None or of in (unit, None)
        ]
        return sorted(
            Timed(at_ms, row.position, row.originator_id, read(row.state, row.originator_id).fields.event_type, row.state)
            for at_ms, row in told
        )

    def units_at(self, positions: Sequence[int]) -> list[str]:
        return [unit for position in positions if (unit := self._units[position - 1][0]) is not None]

    def end(self) -> int:
        return len(self._stored)

    def originator_at(self, position: int) -> str | None:
        return self._stored[position - 1].originator_id if 0 < position <= len(self._stored) else None

    def find(self, originator_id: str) -> Stored | None:
        return next((row for row in self._stored if row.originator_id == originator_id), None)

    def holds(self, originator_ids: Sequence[str]) -> set[str]:
        return {row.originator_id for row in self._stored} & set(originator_ids)

    def marks(self, feed: str) -> dict[str, str]:
        return dict(self._marks.get(feed, {}))

    def heard(self, since_ms: int, until_ms: int) -> list[Tally]:
        raise NotImplementedError

    def told_twice(self, since_ms: int, until_ms: int, limit: int) -> list[list[int]]:
        raise NotImplementedError

    def seen_via(self, originator_ids: Sequence[str]) -> dict[str, set[str]]:
        raise NotImplementedError

    def intake(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass


def arrived(log: Log | MemoryLog, *callbacks: Parameters, source: str = "callback") -> None:
    """Append these, in this order."""
    log.append([Entry.of(parameters, source) for parameters in callbacks])


_LINES = {  # a history's public name → its spans, and the columns by which `Told.spans` names a line of it
    table.name.removesuffix("_past"): (kind, [name for name in LINE_KEY[kind] if name != "workspace_sid"][-2:])
    for kind, table in HISTORY_OF.items()
    if issubclass(kind, Span)
}
_PREFIXES = {"worker_sid": "WK", "task_sid": "WT", "reservation_sid": "WR", "task_channel_sid": "TC"}


class Told:
    """The rows and spans that callbacks come to, by table and Sid."""

    def __init__(
        self,
        rows: dict[str, dict[tuple[str, ...], dict[str, Any]]],
        workspace: str = WORKSPACE,
        history: list[Span] | None = None,
    ) -> None:
        self.rows, self.workspace, self.history = rows, workspace, history or []

    def spans(self, history: str, *names: str) -> list[Any]:
        """One line's spans: `spans("worker_activity_span", "ann")`, `spans("worker_channel_span", "ann", "voice")`.

        A reservation is named by itself: `spans("reservation_status_span", "r")`.
        """
        kind, columns = _LINES[history]
        of = {column: sid(_PREFIXES[column], name) for column, name in zip(columns[-len(names) :], names, strict=True)}
        return [
            span
            for span in self.history
            if type(span) is kind and all(getattr(span, name) == value for name, value in of.items())
        ]

    def gaps(self, worker: str) -> list[dict[str, Any]]:
        """What is missing of a worker, in order."""
        return sorted(
            (row for row in self.rows["gap_told"].values() if row["sid"] == sid("WK", worker)), key=lambda row: row["n"]
        )

    def the(self, table: str, *names: str) -> dict[str, Any]:
        """One row: `the("task", "t")`, `the("worker_channel", "ann", "voice")`."""
        prefixes = {"task": ("WT",), "reservation": ("WR",), "worker": ("WK",), "activity": ("WA",), "task_queue": ("WQ",),
                    "workflow": ("WW",), "task_channel": ("TC",), "worker_channel": ("WK", "TC"), "workspace": ()}[table]  # fmt: skip
        key = (self.workspace, *(sid(prefix, name) for prefix, name in zip(prefixes, names, strict=True)))
        if table == "reservation":  # its key names its task too
            return next(
                row for (workspace, _, reservation_sid), row in self.rows[table].items() if (workspace, reservation_sid) == key
            )
        return self.rows[table][key]


def given(*callbacks: Parameters, source: str = "callback", received_at: float = 3600, page: int = 500) -> Told:
    """What these callbacks, arriving in this order, come to; received `received_at` seconds into the story."""
    log, sink = MemoryLog(ms(received_at)), MemorySink()
    arrived(log, *callbacks, source=source)
    project(log, sink, page=page)
    return Told(sink.rows(), history=sorted(sink.spans(), key=lambda span: span.n))


def given_in_any_order(*callbacks: Parameters, source: str = "callback", received_at: float = 3600) -> Told:
    """What these callbacks come to in this order, having made sure that it is the same in others, some delivered twice."""
    told = given(*callbacks, source=source, received_at=received_at)
    for seed in range(6):
        shuffler = random.Random(seed)
        arrivals = [*callbacks, *shuffler.choices(callbacks, k=3)]
        shuffler.shuffle(arrivals)
        again = given(*arrivals, source=source, received_at=received_at, page=(1, 2, 500)[seed % 3])
        assert again.rows == told.rows
        assert sorted(again.history, key=repr) == sorted(told.history, key=repr)
    return told


def signed(parameters: Parameters, url: str = PUBLIC_URL, token: str = TOKEN) -> tuple[bytes, dict[str, str]]:
    """A callback as Twilio posts it: body and headers."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "X-Twilio-Signature": RequestValidator(token).compute_signature(url, parameters),
    }
    return urlencode(parameters).encode(), headers


def text_url(url: URL) -> str:
    """A URL for PROJECTOR_DATABASE_URL."""
    return url.render_as_string(hide_password=False).replace("+psycopg", "")
