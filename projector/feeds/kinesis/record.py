"""What one Kinesis record holds, on its way into the log.

Twilio writes one CloudEvent a record. Whatever stands between it and the stream may have put several together: an array of them, or
one a line. What cannot be read is quarantined alone. Who may write into a stream is said by AWS, not by a signature in the record: the
stream is trusted as the webhook trusts a signature, and like there its events have to be of an account that is ours, where
TWILIO_AUTH_TOKEN names accounts.
"""

from collections import Counter
from typing import NamedTuple

import msgspec
from msgspec import Raw

from projector.config import ANY_ACCOUNT, Config
from projector.feeds.door import NOT_JSON, Door
from projector.log import Entry, Rejected

SOURCE = "kinesis"

_whole = msgspec.json.Decoder(Raw).decode
_each = msgspec.json.Decoder(list[Raw]).decode


def door_of(config: Config) -> Door:
    """As PROJECTOR_WORKSPACES and TWILIO_AUTH_TOKEN say."""
    return Door(SOURCE, config.workspaces, frozenset(config.tokens) - {ANY_ACCOUNT})


class Held(NamedTuple):
    """What a record held: what is to be stored, and how much was passed over, by why."""

    arrivals: list[Entry | Rejected]
    passed_over: Counter[str]


def opened(data: bytes, door: Door) -> Held:
    """The events inside one record's data."""
    held = Held([], Counter())
    for element in _elements(data):
        arrival = door.let_in(element)
        if isinstance(arrival, str):
            held.passed_over[arrival] += 1
        else:
            held.arrivals.append(arrival)
    return held


def _elements(data: bytes) -> list[bytes]:
    """The texts of the values in it; what is no JSON stays whole, or a line of it."""
    try:
        return _values(data)
    except NOT_JSON:
        lines = [line for line in data.split(b"\n") if line.strip()]
    found = []
    for line in lines or [data]:
        try:
            found += _values(line)
        except NOT_JSON:
            found.append(line)
    return found


def _values(text: bytes) -> list[bytes]:
    """The elements of an array, or the one value."""
    return [bytes(raw) for raw in (_each(text) if text.lstrip()[:1] == b"[" else [_whole(text)])]
