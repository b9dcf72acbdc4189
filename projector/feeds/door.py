"""One CloudEvent of Event Streams, by whichever transport it came, on its way into the log.

What cannot be read is quarantined alone. One sink may take the events of all of Twilio, and the test event of a new sink: those are passed over, not
kept beside the log.
"""

from typing import Any, NamedTuple

import msgspec

from projector.feeds.shape import CLOUD_TYPE, Unreadable, from_event_streams
from projector.log import Entry, Rejected
from projector.log.admit import admit

TWILIO_TYPE = "com.twilio."
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decode = msgspec.json.Decoder().decode


class Door(NamedTuple):
    """Whose events come in, by which feed: those of these workspaces and accounts; where none is named, all."""

    source: str
    workspaces: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()

    def let_in(self, element: bytes) -> Entry | Rejected | str:
        """What one element comes to; a text says why it is no business of ours: `of_other_products`, `of_other_workspaces`."""
        try:
            event = _decode(element)
            if _is_of_another_product(event):
                return "of_other_products"
            parameters = from_event_streams(event)
        except Unreadable as error:
            return Rejected(f"not an event of Event Streams: {error}", element, self.source)
        except NOT_JSON:
            return Rejected("not JSON", element, self.source)
        if self.workspaces and parameters.get("WorkspaceSid") not in self.workspaces:
            return "of_other_workspaces"
        if self.accounts and parameters.get("AccountSid") not in self.accounts:
            return Rejected("its account is none of ours, or not the one that signed", element, self.source)
        return admit(parameters, self.source)


def _is_of_another_product(event: Any) -> bool:
    named = event.get("type") if isinstance(event, dict) else None
    return isinstance(named, str) and named.startswith(TWILIO_TYPE) and not named.startswith(CLOUD_TYPE)
