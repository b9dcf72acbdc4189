"""`POST /event-streams`: the webhook sink of Twilio's Event Streams, a JSON array of CloudEvents. Check, append, 200.

Twilio sends again, for up to four hours, what is answered 429 or 5xx; what is answered with another 4xx it throws away. So nothing that is signed
gets one, whatever it holds. It waits five seconds for the answer.

| answer | when |
|---|---|
| 200 | every element is stored, a duplicate, in the quarantine (alone, its neighbours are stored) or none of ours: durable in all cases |
| 403 | signature bad or missing, or that of another body; no address to check it against |
| 413, 415 | larger than 8 MiB; its Content-Type is not JSON's |
| 503 | the store cannot commit now, or has not in time, or too much is waiting for it: Retry-After |

A body that cannot be taken apart is kept whole, in the quarantine, and so is one of more elements than the writer would have room for. After a 503 some
elements may be stored: they are duplicates when Twilio sends the batch again.

Twilio signs the address with its query, which holds the body's SHA-256 (`bodySHA256`): both are checked, or any body would do. Who signed is known
by the token; an element of another account is quarantined. Other products' events in the same sink are dropped, and counted.
"""

from collections.abc import Sequence

import msgspec
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import Forbidden, UnsupportedMediaType

from projector.config import ANY_ACCOUNT
from projector.feeds.door import NOT_JSON, Door
from projector.log import Entry, Outcome, Rejected
from webhook.acknowledgement import Acknowledgement, WhenStored
from webhook.body import read_body
from webhook.metrics import DROPPED, STREAMED
from webhook.signature import Signatures

PATH = "/event-streams"
SOURCE = "event-streams"
BODY_MAX_BYTES = 8 * 1024 * 1024
ELEMENTS_MAX = 4_000  # of a batch; 5,000 may wait for the writer at once. Elements of the usual size fill 8 MiB with fewer
JSON = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")

event_streams = Blueprint("event_streams", __name__)


@event_streams.post(PATH)
def receive() -> Response:
    """One batch."""
    if request.mimetype not in JSON:
        raise UnsupportedMediaType("Send application/json.")
    body = read_body(BODY_MAX_BYTES)
    signers = _signers(body)
    accounts = frozenset() if ANY_ACCOUNT in signers else signers
    arrivals, dropped = _let_in(body, Door(SOURCE, current_app.extensions["workspaces"], accounts))
    return Acknowledgement(
        current_app.extensions["writer"], arrivals, WhenStored(PATH, 200, lambda outcomes: _count(outcomes, dropped))
    )


def _count(outcomes: Sequence[Outcome], dropped: Sequence[str]) -> None:
    for outcome in outcomes:
        STREAMED.labels(outcome.value).inc()
    for reason in dropped:
        DROPPED.labels(reason).inc()


def _signers(body: bytes) -> frozenset[str]:
    """The accounts whose token signed this body."""
    signatures: Signatures | None = current_app.extensions["event_streams_signatures"]
    if signatures is None:
        raise Forbidden("The address of this sink is not known here. Set PROJECTOR_EVENT_STREAMS_URL.")
    signers = signatures.signers(request.query_string, body, request.headers.get("X-Twilio-Signature", ""))
    if not signers:
        raise Forbidden("The signature does not match. Check PROJECTOR_EVENT_STREAMS_URL and TWILIO_AUTH_TOKEN.")
    return signers


def _let_in(body: bytes, door: Door) -> tuple[list[Entry | Rejected], list[str]]:
    """What is to be stored, and why the rest is none of ours."""
    try:
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
    except NOT_JSON:
        return [Rejected("the body is not a JSON array", body, SOURCE)], []
    if len(elements) > ELEMENTS_MAX:
        return [Rejected(f"more than {ELEMENTS_MAX} elements", body, SOURCE)], []
    found = [door.let_in(bytes(element)) for element in elements]
    return [each for each in found if not isinstance(each, str)], [each for each in found if isinstance(each, str)]
