"""One callback: what it says, when it happened, whose unit it belongs to, and its place in that unit's order.

A callback is kept as received, all text. `Fields` lists the *core*: the parameters that `evolve` may read, and by which
two deliveries of one Sid are compared. Everything else a feed sends is kept in the log and read by nobody.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from projector.taskrouter.event_types import DELETION, EVENT_TYPES, OBSERVED, TASK, WORKER, EventType, canonical
from projector.taskrouter.text import SID_MAX_LENGTH, clean, integer, moment_ms

FUTURE_TOLERANCE_MS = 5 * 60 * 1000  # our decision (DESIGN 6): a stamp further ahead of its receipt is not believed

EVENT_SID = re.compile(r"EV[0-9a-fA-F]{32}")
OBSERVATION_SID = re.compile(r"OB[0-9a-f]{32}")  # ours: Twilio has no Sid for what its REST API shows
WORKSPACE_SID = re.compile(r"WS[0-9a-fA-F]{32}")

Sid: TypeAlias = Annotated[str, Meta(min_length=1, max_length=SID_MAX_LENGTH)]


class Fields(Struct, frozen=True, gc=False, rename="pascal", kw_only=True, omit_defaults=True):
    """The core parameters, under TaskRouter's names in snake_case. A missing one is None: keep what is known.

    What is empty or too long to be a Sid is none: see `_tidied`.
    """

    event_type: str = ""
    sid: Sid | None = None
    account_sid: Sid | None = None
    workspace_sid: Annotated[str, Meta(max_length=SID_MAX_LENGTH)] = ""
    workspace_name: str | None = None
    resource_sid: Sid | None = None
    timestamp: str | None = None
    timestamp_ms: str | None = None
    operating_unit_sid: Sid | None = None
    date_created: str | None = None  # of an observation: the resource's

    task_sid: Sid | None = None
    task_attributes: str | None = None
    task_priority: str | None = None
    task_assignment_status: str | None = None
    task_canceled_reason: str | None = None
    task_completed_reason: str | None = None
    reason: str | None = None
    task_version: str | None = None
    task_date_created: str | None = None
    task_queue_entered_date: str | None = None
    task_ignore_capacity: str | None = None
    task_channel_sid: Sid | None = None
    task_channel_name: str | None = None
    task_channel_unique_name: str | None = None
    task_channel_optimized_routing: str | None = None
    task_queue_sid: Sid | None = None
    task_queue_name: str | None = None
    task_queue_target_expression: str | None = None
    workflow_sid: Sid | None = None
    workflow_name: str | None = None

    reservation_sid: Sid | None = None
    reservation_version: str | None = None
    reservation_status: str | None = None  # read of an observation alone: callbacks have none
    canceled_reason_code: str | None = None

    worker_sid: Sid | None = None
    worker_name: str | None = None
    worker_attributes: str | None = None
    worker_activity_sid: Sid | None = None
    worker_activity_name: str | None = None
    worker_previous_activity_sid: Sid | None = None
    worker_previous_activity_name: str | None = None
    worker_time_in_previous_activity_ms: str | None = None
    worker_version: str | None = None
    worker_channel_available: str | None = None
    worker_channel_available_capacity: str | None = None
    worker_channel_previous_capacity: str | None = None
    worker_channel_task_count: str | None = None
    worker_channel_capacity: str | None = None
    worker_channel_configured_capacity: str | None = None  # of an observation

    activity_sid: Sid | None = None
    activity_name: str | None = None
    activity_available: str | None = None


class Document(Struct, frozen=True, gc=False):
    """What the log stores for one callback: when and by which feed it came, and its parameters as received."""

    recorded_at: int
    source: str
    parameters: Fields


class TextDocument(Struct, frozen=True):
    """The same with every parameter."""

    recorded_at: int
    source: str
    parameters: dict[str, str]


class Unit(NamedTuple):
    """What is folded together: `kind` (`task`, `worker`, …) and the Sid that names it, within a workspace."""

    workspace_sid: str
    kind: str
    sid: str

    def __str__(self) -> str:
        """As the log's `unit` column holds it; `Unit.parse` reads it back."""
        return "/".join(self)

    @classmethod
    def parse(cls, text: str) -> "Unit":
        """The unit written as `<WorkspaceSid>/<kind>/<Sid>`."""
        workspace_sid, kind, sid = text.split("/", 2)
        return cls(workspace_sid, kind, sid)


class Callback(Struct, frozen=True, gc=False):
    """One callback as the fold sees it; all that follows from its fields is worked out once, by `Callback.of`."""

    fields: Fields
    identity: str
    recorded_ms: int  # its receipt
    source: str  # the feed it was stored from
    event_type: str  # in the reference page's spelling
    known: EventType | None  # None for a type this release has never heard of
    is_deletion: bool  # of its unit
    at_ms: int  # when it happened, epoch milliseconds: its own stamp where it can be believed, else its receipt
    timed_by_receipt: bool  # it carries no stamp that can be read and believed
    version: int | None  # of its unit
    order: str  # its place among the callbacks of its unit, as text that sorts: milliseconds, version, rank, Sid

    @classmethod
    def of(cls, fields: Fields, identity: str, recorded_ms: int = 0, source: str = "callback") -> "Callback":
        """The callback with these fields."""
        event_type = canonical(fields.event_type)
        known = EVENT_TYPES.get(event_type)
        stamp = stamp_ms(fields)
        at_ms = event_time_ms(stamp, recorded_ms)
        version, rank = (None, DEFAULT_RANK) if known is None else (unit_version(fields, known.kind), known.rank)
        order = order_key(at_ms, VERSION_MAX if rank == OBSERVED else version, rank, identity)
        by_receipt = stamp != at_ms
        return cls(fields, identity, recorded_ms, source, event_type, known, rank == DELETION, at_ms, by_receipt, version, order)

    @property
    def live(self) -> bool:
        """Whether it came by the webhook, at once: then its receipt says something about when it happened."""
        return self.source == "callback"


DEFAULT_RANK = 50
VERSION_MAX = 10**12 - 2
_UNIT_SID = {  # kind → the field that names its unit, and the prefix by which ResourceSid may stand in for it
    "task": ("task_sid", "WT"),
    "worker": ("worker_sid", "WK"),
    "activity": ("activity_sid", "WA"),
    "task_queue": ("task_queue_sid", "WQ"),
    "workflow": ("workflow_sid", "WW"),
    "task_channel": ("task_channel_sid", "TC"),
    "workspace": ("workspace_sid", "WS"),
}


def order_key(at_ms: int, version: int | None, rank: int, identity: str) -> str:
    """The tuple (milliseconds, version or −1, rank, Sid) as text whose byte order is the tuple's order."""
    shifted = 0 if version is None else min(max(version, 0), VERSION_MAX) + 1
    return "%015d/%012d/%02d/%s" % (at_ms, shifted, rank, identity)  # noqa: UP031 (nearly twice as fast)


def order_ms(order: str) -> int:
    """The event time inside an order key, epoch milliseconds."""
    return int(order[:15])


def order_identity(order: str) -> str:
    """The event's Sid inside an order key."""
    return order[32:]


def event_time_ms(stamp: int | None, recorded_ms: int) -> int:
    """The stamp, unless it is missing or more than 5 minutes ahead of the receipt: then the receipt (DESIGN 6)."""
    return recorded_ms if stamp is None or stamp > recorded_ms + FUTURE_TOLERANCE_MS else stamp


def stamp_ms(fields: Fields) -> int | None:
    """`TimestampMs`, else `Timestamp` in seconds; None when neither can be read as a time since 2000."""
    stamp = moment_ms(fields.timestamp_ms)
    return stamp if stamp is not None else moment_ms(fields.timestamp)


def unit_version(fields: Fields, kind: str) -> int | None:
    """The version of the unit itself: versions of different things are never compared."""
    if kind == TASK:
        return integer(fields.task_version)
    return integer(fields.worker_version) if kind == WORKER else None


def unit_of(fields: Fields) -> Unit | None:
    """The one unit this callback is folded into; None when its type is unknown or names no such unit."""
    known = EVENT_TYPES.get(canonical(fields.event_type))
    if known is None:
        return None
    sid = getattr(fields, _UNIT_SID[known.kind][0])
    return Unit(fields.workspace_sid, known.kind, sid) if sid else None


_decode = msgspec.json.Decoder(Document).decode
_decode_text = msgspec.json.Decoder(TextDocument).decode
_CORE = {field.encode_name: field.name for field in msgspec.structs.fields(Fields)}
_SIDS = frozenset(name for name, field in _CORE.items() if field == "sid" or field.endswith("_sid"))


def read(state: bytes, originator_id: str) -> Callback:
    """The callback stored under `originator_id` (`<WorkspaceSid>/<identity>`) as the document `state`."""
    try:
        if b"u0000" in state:
            raise msgspec.ValidationError
        document = _decode(state)
        recorded_at, source, fields = document.recorded_at, document.source, document.parameters
    except msgspec.ValidationError:
        text = _decode_text(state)
        recorded_at, source, fields = text.recorded_at, text.source, _tidied(text.parameters)
    identity = originator_id[originator_id.index("/") + 1 :]
    return Callback.of(_with_unit(fields), identity, recorded_at, source)


def parameters_of(state: bytes) -> dict[str, str]:
    """Every parameter of a stored document, as received."""
    return _decode_text(state).parameters


def fields_of(parameters: Mapping[str, str]) -> Fields:
    """The core of a callback's parameters, each a text."""
    try:
        if "\0" in "".join(parameters.values()):
            raise msgspec.ValidationError
        fields = msgspec.convert(parameters, Fields)
    except msgspec.ValidationError:
        fields = _tidied(parameters)
    return _with_unit(fields)


def _tidied(parameters: Mapping[str, str]) -> Fields:
    """No NUL in any value; no Sid that is empty or too long to be one."""
    told = {}
    for name, value in parameters.items():
        if name in _CORE and (name not in _SIDS or 0 < len(value) <= SID_MAX_LENGTH):
            told[name] = clean(value)
    return msgspec.convert(told, Fields)


def _with_unit(fields: Fields) -> Fields:
    """With the unit's own Sid, if only ResourceSid tells it. (In place: nobody else holds it yet.)"""
    known = EVENT_TYPES.get(canonical(fields.event_type))
    if known is not None:
        name, prefix = _UNIT_SID[known.kind]
        if getattr(fields, name) is None and fields.resource_sid is not None and fields.resource_sid.startswith(prefix):
            force_setattr(fields, name, fields.resource_sid)
    return fields


def identity_of(parameters: Mapping[str, str]) -> str:
    """The event's `Sid`; without one, SHA-256 of the parameters sorted and run together, exactly what Twilio signs.

    Run together on purpose: a signature stays valid when the boundary between names and values is moved, so all such
    re-cuts of one request must share one identity, or each would be stored as another event.
    """
    sid = parameters.get("Sid")
    return sid if sid else hashlib.sha256(signed_text(parameters).encode("utf-8", "surrogatepass")).hexdigest()


def signed_text(parameters: Mapping[str, str]) -> str:
    """The parameters as Twilio's signature covers them: names and values, sorted by name, without separators."""
    return "".join(name + parameters[name] for name in sorted(parameters))
