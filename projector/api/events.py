"""Twilio's Events, from the log: every callback of a workspace, those of unknown types too, the latest first by (event time, position).

An event's time is the log's: its stamp, or its receipt where the stamp cannot be believed. Whoever goes from page to page is shown each
callback once at most, whatever arrives meanwhile, and none is left out that was there before.

The log has its callbacks by event time, and by the unit they are folded into. A search by task or reservation goes through that task's;
any other one through all callbacks of its window, some thousand a look, until it has a page or its time is up.
"""

import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request
from msgspec import Struct

from projector import tables
from projector.api import paging
from projector.api.asked import (
    MINUTES,
    MINUTES_MAX,
    missing,
    moment_asked,
    now_ms,
    paged,
    readable_workspace,
    refuse_known_at,
    refuse_unheard,
    root_url,
    when,
)
from projector.api.problems import Problem, invalid
from projector.api.shapes import Json, Row, instant
from projector.api.store import LOOK_SECONDS, Store
from projector.log import Log, Place, Timed
from projector.log.entry import recorded_ms
from projector.taskrouter.callback import EVENT_SID, Unit, parameters_of, read
from projector.taskrouter.event_types import TASK, canonical
from projector.taskrouter.text import LATEST_MS, clean

LOOK = 2_000  # callbacks looked at at once, after a first look at as many as are wanted

FILTERS = {  # by which parameters of a callback; one of them has to be equal
    "TaskSid": ("task_sid",), "ReservationSid": ("reservation_sid",), "WorkerSid": ("worker_sid",), "TaskQueueSid": ("task_queue_sid",),
    "WorkflowSid": ("workflow_sid",), "TaskChannel": ("task_channel_sid", "task_channel_unique_name"),
}  # fmt: skip
OWN = {  # parameters that have a field of their own; the others are `event_data`
    "EventType", "Sid", "AccountSid", "Timestamp", "TimestampMs", "EventDescription", "ResourceType", "ResourceSid",
}  # fmt: skip
PATHS = {"WT": "Tasks", "WK": "Workers", "WQ": "TaskQueues", "WW": "Workflows", "WA": "Activities", "TC": "TaskChannels"}
_PLACE = re.compile(r"([0-9]{1,15})-([0-9]{1,18})")
_SID = re.compile(r"[A-Z]{2}[0-9A-Za-z]+")  # recorded ones are not all of the documented form
_NEXT_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


OBSERVED = "/OB"  # in an originator: an observation of ours is no event of Twilio's


class Search(Struct, frozen=True):
    """Which callbacks are asked for: of whom, stamped from when to when (both included), and what else has to hold."""

    origin: str  # the workspace's, or the one callback's
    since_ms: int
    until_ms: int
    unit: str | None  # they are in it, or have none; None: anywhere
    event_type: str | None  # in canonical spelling
    of: Mapping[str, str]  # filter → its text
    spelled: Sequence[bytes]  # of these texts, those that every JSON spells alike: a document without them need not be read

    def wants(self, row: Timed) -> bool:
        """Whether a callback of the window is one of them; what can be told without reading it is asked first."""
        if not row.originator_id.startswith(self.origin) or OBSERVED in row.originator_id:
            return False
        if self.event_type is not None and canonical(row.topic) != self.event_type:
            return False
        if not all(text in row.state for text in self.spelled):
            return False
        fields = read(row.state, row.originator_id).fields if self.of else None
        return all(text in [getattr(fields, name) for name in FILTERS[by]] for by, text in self.of.items())


def serve_events(api: Blueprint, store: Store, log: Log) -> None:
    """The list, and each one by its Sid."""

    @api.get("/Workspaces/<workspace_sid>/Events", endpoint="Events")
    def many(workspace_sid: str) -> Response:
        refuse_known_at()
        asked, search = paging.asked(request.args), _search(store, log, readable_workspace(workspace_sid))
        page = paging.page(asked, lambda asked, limit: _found(log, search, asked, limit))
        with store.looking() as connection:  # whose first callbacks are not projected yet is there all the same
            if not page.rows:
                refuse_unheard(connection, workspace_sid)
        return paged("events", "place", asked, page, [event(row["callback"], root_url()) for row in page.rows])

    @api.get("/Workspaces/<workspace_sid>/Events/<sid>", endpoint="Events/one")
    def single(workspace_sid: str, sid: str) -> Response:
        at_ms, known_ms = when()
        row = _named(log, readable_workspace(workspace_sid), sid)
        if row is None or row.at_ms > (at_ms or LATEST_MS) or recorded_ms(row.state) > (known_ms or LATEST_MS):
            raise missing()
        return jsonify(event(row, root_url()))


def _named(log: Log, workspace_sid: str, sid: str) -> Timed | None:
    """The callback with this Sid. One that came without a Sid is known by a digest, and by that nobody can ask for it."""
    stored = log.find(f"{workspace_sid}/{sid}") if EVENT_SID.fullmatch(sid) else None
    if stored is None:
        return None
    callback = read(stored.state, stored.originator_id)
    return Timed(callback.at_ms, stored.position, stored.originator_id, callback.fields.event_type, stored.state)


def _search(store: Store, log: Log, workspace_sid: str) -> Search:
    """What the query asks for. Raises `Problem`."""
    of = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    event_type, sid = request.args.get("EventType"), request.args.get("Sid", "")
    since_ms, until_ms = _window()
    if sid:  # its moment alone has to be looked at
        named = _named(log, workspace_sid, sid)
        since_ms, until_ms = (
            (max(since_ms, named.at_ms), min(until_ms, named.at_ms)) if named is not None else (until_ms + 1, until_ms)
        )
    return Search(
        origin=f"{workspace_sid}/{sid}",
        since_ms=since_ms,
        until_ms=until_ms,
        unit=_unit(store, workspace_sid, of),
        event_type=canonical(clean(event_type)) if event_type else None,
        of={name: clean(text) for name, text in of.items()},
        spelled=[text.encode() for text in of.values() if text.isascii() and text.isalnum()],
    )


def _window() -> tuple[int, int]:
    """From when to when: `StartDate`, `EndDate`, `Minutes`, seen from `AsOf`. Without an end what is stamped ahead of now is shown. Raises `Problem`."""
    start_ms, end_ms, as_of_ms = moment_asked("StartDate"), moment_asked("EndDate"), moment_asked("AsOf")
    until_ms, minutes = min(end_ms or LATEST_MS, as_of_ms or LATEST_MS), request.args.get("Minutes")
    if start_ms is not None and minutes:
        raise invalid("Minutes", minutes, "without StartDate: both say where the window begins")
    if start_ms is not None and start_ms > until_ms:
        raise invalid("StartDate", request.args["StartDate"], f"a moment before the window's end, {instant(until_ms)}")
    if not minutes and (start_ms or end_ms or request.args.get("Sid")):
        return start_ms or 0, until_ms
    seen_from_ms = now_ms() if until_ms == LATEST_MS else until_ms
    return max(0, seen_from_ms - 60_000 * paging.number_asked(request.args, "Minutes", MINUTES, 1, MINUTES_MAX)), until_ms


def _unit(store: Store, workspace_sid: str, of: Mapping[str, str]) -> str | None:
    """The task that what is asked for is folded into; None where that is not known: for a reservation nobody, or more than one task, has."""
    task_sid = of.get("TaskSid")
    if task_sid is None and "ReservationSid" in of:
        c = tables.reservation.c
        claimed = sa.select(c.task_sid).where(c.workspace_sid == workspace_sid, c.reservation_sid == of["ReservationSid"])
        with store.looking() as connection:
            tasks = connection.execute(claimed.limit(2)).scalars().all()
        task_sid = tasks[0] if len(tasks) == 1 else None
    return None if task_sid is None else str(Unit(workspace_sid, TASK, task_sid))


def _found(log: Log, search: Search, asked: paging.Asked, limit: int) -> list[Row]:
    """What `paging.page` wants: each with its `place`, the key of this list. Raises `Problem` when it takes too long."""
    deadline = time.monotonic() + LOOK_SECONDS
    found: list[Timed] = []
    place, look = _place(search, asked), limit
    while True:
        if asked.before is not None:
            rows = log.earliest(place, search.until_ms, look, search.unit)
        else:
            rows = log.latest(place, search.since_ms, look, search.unit)
        found += filter(search.wants, rows)
        if len(found) >= limit or len(rows) < look:
            return [{"place": f"{row.at_ms}-{row.position}", "callback": row} for row in found[:limit]]
        if time.monotonic() >= deadline:
            raise _too_long()
        place, look = (rows[-1].at_ms, rows[-1].position), LOOK


def _place(search: Search, asked: paging.Asked) -> Place:
    """Where a page begins, within the window. Raises `Problem`."""
    key = asked.after or asked.before
    if key is None:
        return search.until_ms + 1, 0
    told = _PLACE.fullmatch(key)
    if told is None:
        raise invalid("PageToken", request.args["PageToken"], "one that a page's `meta` holds")
    place = int(told[1]), int(told[2])
    return min(place, (search.until_ms + 1, 0)) if asked.before is None else max(place, (search.since_ms, -1))


def _too_long() -> Problem:
    told = (
        f"No page of events was found within {LOOK_SECONDS:g} seconds. Give a narrower window (StartDate, EndDate), or a TaskSid."
    )
    return Problem(503, 20503, told, Retry_After="1")


def event(row: Timed, root_url: str) -> Json:
    """An Event. Who caused it and from where no callback carries."""
    workspace_sid, _, identity = row.originator_id.partition("/")
    url, told = f"{root_url}v1/Workspaces/{workspace_sid}", parameters_of(row.state)
    sid = identity if EVENT_SID.fullmatch(identity) else None
    return dict.fromkeys(("actor_sid", "actor_type", "actor_url", "source", "source_ip_address")) | {
        "account_sid": told.get("AccountSid"),
        "description": told.get("EventDescription"),
        "event_data": {_snake_case(name): value for name, value in told.items() if name not in OWN},
        "event_date": instant(row.at_ms),
        "event_date_ms": row.at_ms,
        "event_type": told.get("EventType"),
        "resource_sid": told.get("ResourceSid"),
        "resource_type": told.get("ResourceType"),
        "resource_url": _resource_url(url, told),
        "sid": sid,
        "url": f"{url}/Events/{sid}" if sid else None,
        "workspace_sid": workspace_sid,
    }


def _resource_url(url: str, told: Mapping[str, str]) -> str | None:
    """Where we serve what it is about. What that is its Sid says: of ResourceType not all spellings are known."""
    sid, task_sid = told.get("ResourceSid", ""), told.get("TaskSid", "")
    if not _SID.fullmatch(sid):
        return None
    if sid.startswith("WR"):
        return f"{url}/Tasks/{task_sid}/Reservations/{sid}" if _SID.fullmatch(task_sid) else None
    if sid.startswith("WS"):
        return url if url.endswith(f"/{sid}") else None
    return f"{url}/{PATHS[sid[:2]]}/{sid}" if sid[:2] in PATHS else None


@lru_cache(maxsize=1024)
def _snake_case(name: str) -> str:
    """A parameter's name as `event_data` has it: mechanically, but for one that the Events API calls otherwise."""
    return "task_add_on_attributes" if name == "TaskAddons" else _NEXT_WORD.sub("_", name).lower()
