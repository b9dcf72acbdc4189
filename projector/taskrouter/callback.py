"""One callback: what it says, when it happened, whose unit it belongs to, and its place in that unit's order.

A callback is kept as received, all text. `Fields` lists the *core*: the parameters that `evolve` may read, and by which
two deliveries of one Sid are compared. Everything else a feed sends is kept in the log and read by nobody.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from projector.taskrouter.event_types import EVENT_TYPES, EventType, canonical
from projector.taskrouter.text import SID_MAX_LENGTH, canonical_json, clean, integer, moment_ms

FUTURE_TOLERANCE_MS = 5 * 60 * 1000  # our decision (DESIGN 6): a stamp further ahead of its receipt is not believed

EVENT_SID = re.compile(r"EV[0-9a-fA-F]{32}")
WORKSPACE_SID = re.compile(r"WS[0-9a-fA-F]{32}")


class Fields(Struct, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    """The core parameters, under TaskRouter's names in snake_case. A missing one is None: keep what is known."""

    event_type: str = ""
    sid: str | None = None
    account_sid: str | None = None
    workspace_sid: str = ""
    workspace_name: str | None = None
    resource_sid: str | None = None
    timestamp: str | None = None
    timestamp_ms: str | None = None
    operating_unit_sid: str | None = None

    task_sid: str | None = None
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
    task_channel_sid: str | None = None
    task_channel_name: str | None = None
    task_channel_unique_name: str | None = None
    task_channel_optimized_routing: str | None = None
    task_queue_sid: str | None = None
    task_queue_name: str | None = None
    task_queue_target_expression: str | None = None
    workflow_sid: str | None = None
    workflow_name: str | None = None

    reservation_sid: str | None = None
    reservation_version: str | None = None
    canceled_reason_code: str | None = None

    worker_sid: str | None = None
    worker_name: str | None = None
    worker_attributes: str | None = None
    worker_activity_sid: str | None = None
    worker_activity_name: str | None = None
    worker_previous_activity_sid: str | None = None
    worker_previous_activity_name: str | None = None
    worker_time_in_previous_activity_ms: str | None = None
    worker_version: str | None = None
    worker_channel_available: str | None = None
    worker_channel_available_capacity: str | None = None
    worker_channel_previous_capacity: str | None = None
    worker_channel_task_count: str | None = None
    worker_channel_capacity: str | None = None

    activity_sid: str | None = None
    activity_name: str | None = None
    activity_available: str | None = None


class Document(Struct, frozen=True):
    """What the log stores for one callback: when and by which feed it came, and its parameters as received."""

    recorded_at: int
    source: str
    parameters: Fields


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


class Callback(Struct, frozen=True, dict=True):
    """One callback as the fold sees it. `recorded_ms` is its receipt, `live` whether it came by the webhook."""

    fields: Fields
    identity: str
    recorded_ms: int = 0
    live: bool = True

    @cached_property
    def event_type(self) -> str:
        """The EventType in the reference page's spelling."""
        return canonical(self.fields.event_type)

    @cached_property
    def known(self) -> EventType | None:
        """What is known of its EventType; None for a type this release has never heard of."""
        return EVENT_TYPES.get(self.event_type)

    @cached_property
    def at_ms(self) -> int:
        """When it happened, epoch milliseconds: its own stamp where it can be believed, else its receipt."""
        return event_time_ms(stamp_ms(self.fields), self.recorded_ms)

    @cached_property
    def timed_by_receipt(self) -> bool:
        """True when it carries no stamp that can be read and believed."""
        stamp = stamp_ms(self.fields)
        return stamp is None or stamp != self.at_ms

    @cached_property
    def order(self) -> str:
        """Its place among the callbacks of its unit, as text that sorts: milliseconds, version, rank, Sid."""
        known = self.known
        version = unit_version(self.fields, known.kind) if known else None
        rank = known.rank if known else DEFAULT_RANK
        return order_key(self.at_ms, version, rank, self.identity)


DEFAULT_RANK = 50
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
    shifted = 0 if version is None else min(max(version, 0), 10**12 - 2) + 1
    return f"{at_ms:015d}/{shifted:012d}/{rank:02d}/{identity}"


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
    match kind:
        case "task":
            return integer(fields.task_version)
        case "worker":
            return integer(fields.worker_version)
        case _:
            return None


def unit_of(fields: Fields) -> Unit | None:
    """The one unit this callback is folded into; None when its type is unknown or names no such unit."""
    known = EVENT_TYPES.get(canonical(fields.event_type))
    if known is None:
        return None
    sid = getattr(fields, _UNIT_SID[known.kind][0])
    return Unit(fields.workspace_sid, known.kind, sid) if sid else None


_decode = msgspec.json.Decoder(Document).decode
_SID_FIELDS = tuple(name for name in Fields.__struct_fields__ if name.endswith("_sid"))


def read(state: bytes, originator_id: str) -> Callback:
    """The callback stored under `originator_id` (`<WorkspaceSid>/<identity>`) as the document `state`."""
    document = _decode(state)
    return Callback(
        fields=_tidy(document.parameters, b"u0000" in state),
        identity=originator_id.partition("/")[2],
        recorded_ms=document.recorded_at,
        live=document.source == "callback",
    )


def fields_of(parameters: Mapping[str, str]) -> Fields:
    """The core of a callback's parameters, each a text."""
    fields = msgspec.convert(parameters, Fields)
    return _tidy(fields, any("\0" in value for value in parameters.values()))


def _tidy(fields: Fields, has_nul: bool) -> Fields:
    """No NUL in any value; no Sid that is empty or too long to be one; the unit's own Sid, if only ResourceSid tells it.

    (In place: nobody else holds it yet.)
    """
    if has_nul:
        for name in Fields.__struct_fields__:
            value = getattr(fields, name)
            if value is not None:
                force_setattr(fields, name, clean(value))
    for name in _SID_FIELDS:
        value = getattr(fields, name)
        if value is not None and not 0 < len(value) <= SID_MAX_LENGTH:
            force_setattr(fields, name, None if name != "workspace_sid" else "")
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


_JSON_FIELDS = ("task_attributes", "worker_attributes")


def same_core(one: Fields, other: Fields) -> bool:
    """True when two deliveries of one Sid say the same: the core equal, attributes compared as JSON values."""
    return one == other or _normalised(one) == _normalised(other)


def _normalised(fields: Fields) -> tuple[object, ...]:
    values: list[object] = [canonical(fields.event_type), stamp_ms(fields)]
    for name in Fields.__struct_fields__:
        if name in ("event_type", "timestamp", "timestamp_ms"):
            continue
        value = getattr(fields, name)
        values.append((canonical_json(value) or value) if name in _JSON_FIELDS else value)
    return tuple(values)
