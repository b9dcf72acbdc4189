"""What one Kinesis record holds, on its way into the log.

Twilio writes one CloudEvent a record. Whatever stands between it and the stream may have put several together: an array of them, or
one a line. What cannot be read is quarantined alone. Who may write into a stream is said by AWS, not by a signature in the record: the
stream is trusted as the webhook trusts a signature, and like there its events have to be of an account that is ours, where
TWILIO_AUTH_TOKEN names accounts.
"""

from collections import Counter
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from projector.config import ANY_ACCOUNT, Config
from projector.feeds.shape import CLOUD_TYPE, Unreadable, from_event_streams
from projector.log import Entry, Rejected
from projector.log.admit import admit

SOURCE = "kinesis"
TWILIO_TYPE = "com.twilio."

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode
_whole = msgspec.json.Decoder(Raw).decode
_each = msgspec.json.Decoder(list[Raw]).decode


class Door(NamedTuple):
    """Whose events come in: those of these workspaces and accounts; where none is named, all."""

    workspaces: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Config) -> "Door":
        """As PROJECTOR_WORKSPACES and TWILIO_AUTH_TOKEN say."""
        return cls(config.workspaces, frozenset(config.tokens) - {ANY_ACCOUNT})


class Held(NamedTuple):
    """What a record held: what is to be stored, and how much was passed over, by why."""

    arrivals: list[Entry | Rejected]
    passed_over: Counter[str]


def opened(data: bytes, door: Door) -> Held:
    """The events inside one record's data."""
    held = Held([], Counter())
    for element in _elements(data):
        arrival = _arrival(element, door)
        if isinstance(arrival, str):
            held.passed_over[arrival] += 1
        else:
            held.arrivals.append(arrival)
    return held


def _arrival(element: bytes, door: Door) -> Entry | Rejected | str:
    """What one element comes to; a text says why it is no business of ours."""
    try:
        event = _decode(element)
        if _is_of_another_product(event):
            return "of_other_products"
        parameters = from_event_streams(event)
    except Unreadable as error:
        return Rejected(f"not an event of Event Streams: {error}", element, SOURCE)
    except _NOT_JSON:
        return Rejected("not JSON", element, SOURCE)
    if door.workspaces and parameters.get("WorkspaceSid") not in door.workspaces:
        return "of_other_workspaces"
    if door.accounts and parameters.get("AccountSid") not in door.accounts:
        return Rejected("its account is not in TWILIO_AUTH_TOKEN", element, SOURCE)
    return admit(parameters, SOURCE)


def _is_of_another_product(event: Any) -> bool:
    """One stream may take the events of all of Twilio, and the test event of a new sink: those are passed over, not kept beside the log."""
    named = event.get("type") if isinstance(event, dict) else None
    return isinstance(named, str) and named.startswith(TWILIO_TYPE) and not named.startswith(CLOUD_TYPE)


def _elements(data: bytes) -> list[bytes]:
    """The texts of the values in it; what is no JSON stays whole, or a line of it."""
    try:
        return _values(data)
    except _NOT_JSON:
        lines = [line for line in data.split(b"\n") if line.strip()]
    found = []
    for line in lines or [data]:
        try:
            found += _values(line)
        except _NOT_JSON:
            found.append(line)
    return found


def _values(text: bytes) -> list[bytes]:
    """The elements of an array, or the one value."""
    return [bytes(raw) for raw in (_each(text) if text.lstrip()[:1] == b"[" else [_whole(text)])]
