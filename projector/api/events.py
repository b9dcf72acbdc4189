"""Twilio's Events, from the log: every callback of a workspace, those of unknown types too, the latest first by (event time, position).

An event's time is the log's: its stamp, or its receipt where that cannot be believed. Whoever pages from one place to the next sees each
callback once, whatever arrives meanwhile: what is stamped after where they are is not shown to them, what is stamped before it is.

The log has its callbacks by event time, and by the unit they are folded into: a search by task or reservation goes through the task's, any
other one through all callbacks of its window, some thousand a look, until it has a page or its time is up.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request
from msgspec import Struct
from msgspec.structs import replace

from projector import tables
from projector.api import paging
from projector.api.asked import MINUTES, MINUTES_MAX, missing, moment_asked, now_ms, paged, readable_workspace, root_url, when
from projector.api.paging import Asked
from projector.api.problems import Problem, invalid
from projector.api.shapes import Json, Row, instant
from projector.api.store import Store
from projector.log import Log, Place, Timed
from projector.taskrouter.callback import EVENT_SID, Callback, Unit, parameters_of, read
from projector.taskrouter.event_types import TASK, canonical
from projector.taskrouter.text import LATEST_MS

LOOK = 2_000  # callbacks looked at at once, after a first look at as many as are wanted
SEARCH_SECONDS = 10.0  # for a page
POSITION_MAX = 2**62

OF = {  # filter → the parameters it looks at; one of them has to be equal
    "TaskSid": ("task_sid",), "ReservationSid": ("reservation_sid",), "WorkerSid": ("worker_sid",), "TaskQueueSid": ("task_queue_sid",),
    "WorkflowSid": ("workflow_sid",), "TaskChannel": ("task_channel_sid", "task_channel_unique_name"),
}  # fmt: skip
OWN = {  # parameters that have a field of their own in the resource; the rest is `event_data`
    "EventType", "Sid", "AccountSid", "Timestamp", "TimestampMs", "EventDescription", "ResourceType", "ResourceSid",
}  # fmt: skip
RESOURCES = {"WT": "Tasks", "WK": "Workers", "WQ": "TaskQueues", "WW": "Workflows", "WA": "Activities", "TC": "TaskChannels"}
_PLACE = re.compile(r"([0-9]{1,15})-([0-9]{1,18})")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Search(Struct, frozen=True):
    """Which callbacks of a workspace are asked for: a window of event time, both ends in it, and what else has to hold."""

    workspace_sid: str
    since_ms: int
    until_ms: int
    sid: str | None = None
    event_type: str | None = None  # in canonical spelling
    unit: str | None = None  # the only one in which they can be, if that is known
    of: Mapping[str, str] = {}

    def wants(self, row: Timed) -> bool:
        """Whether a callback of the window is one of them. What tells without reading it is asked first."""
        if not row.originator_id.startswith(f"{self.workspace_sid}/{self.sid or ''}"):
            return False
        if self.event_type is not None and canonical(row.topic) != self.event_type:
            return False
        fields = read(row.state, row.originator_id).fields if self.of else None
        return all(text in (getattr(fields, name) for name in OF[filter_]) for filter_, text in self.of.items())


def serve_events(api: Blueprint, store: Store, log: Log) -> None:
    """The list, and each one by its Sid."""

    @api.get("/Workspaces/<workspace_sid>/Events", endpoint="Events")
    def many(workspace_sid: str) -> Response:
        asked, search = paging.asked(request.args), _search(store, log, readable_workspace(workspace_sid))
        page = paging.page(asked, lambda asked, limit: _found(log, search, asked, limit))
        return paged("events", "place", asked, page, [_shown(row["callback"], row["state"]) for row in page.rows])

    @api.get("/Workspaces/<workspace_sid>/Events/<sid>", endpoint="Events/one")
    def single(workspace_sid: str, sid: str) -> Response:
        at_ms, known_ms = when()
        callback, state = _stored(log, readable_workspace(workspace_sid), sid) or (None, b"")
        if callback is None or callback.at_ms > (at_ms or LATEST_MS) or callback.recorded_ms > (known_ms or LATEST_MS):
            raise missing()
        return jsonify(_shown(callback, state))


def _stored(log: Log, workspace_sid: str, sid: str) -> tuple[Callback, bytes] | None:
    """The callback with this Sid and its document. One that came without a Sid has none to be asked for by."""
    stored = log.find(f"{workspace_sid}/{sid}") if EVENT_SID.fullmatch(sid) else None
    return None if stored is None else (read(stored.state, stored.originator_id), stored.state)
