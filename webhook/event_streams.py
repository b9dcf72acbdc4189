"""`POST /event-streams`: the webhook sink of Twilio's Event Streams, a JSON array of CloudEvents. Check, append, 200.

Twilio sends again, for up to four hours, what is answered 429 or 5xx; what is answered with another 4xx it throws away. So nothing that is signed
gets one, whatever it holds. It waits five seconds for the answer.

| answer | when |
|---|---|
| 200 | every element is stored, a duplicate, in the quarantine (alone, its neighbours are stored) or none of ours: durable in all cases |
| 403 | signature bad or missing, or that of another body; no address to check it against |
| 413, 415 | larger than 8 MiB; not JSON |
| 503 | the store cannot commit now: Retry-After |

Twilio signs the address with its query, which holds the body's SHA-256 (`bodySHA256`): both are checked, or any body would do. Who signed is known
by the token; an element of another account is quarantined. Other products' events in the same sink are dropped, and counted.
"""

import msgspec
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import Forbidden, UnsupportedMediaType

from projector.config import ANY_ACCOUNT
from projector.errors import ProjectorError
from projector.feeds.door import NOT_JSON, Door
from projector.log import Entry, Log, Rejected
from webhook.acknowledgement import unavailable
from webhook.body import read_body
from webhook.metrics import DROPPED, STREAMED
from webhook.signature import Signatures

SOURCE = "event-streams"
BODY_MAX_BYTES = 8 * 1024 * 1024
JSON = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")

event_streams = Blueprint("event_streams", __name__)


@event_streams.post("/event-streams")
def receive() -> Response:
    """One batch."""
    if request.mimetype not in JSON:
        raise UnsupportedMediaType("Send application/json.")
    body = read_body(BODY_MAX_BYTES)
    arrivals = _arrivals(body, _signers(body))
    log: Log = current_app.extensions["log"]
    try:
        outcomes = log.append(arrivals) if arrivals else []
    except ProjectorError as error:
        status, headers, words = unavailable(error)
        return Response(words, status, headers)
    for outcome in outcomes:
        STREAMED.labels(outcome.value).inc()
    return Response(status=200, mimetype="application/json")


def _signers(body: bytes) -> frozenset[str]:
    """The accounts whose token signed this body."""
    signatures: Signatures | None = current_app.extensions["event_streams_signatures"]
    if signatures is None:
        raise Forbidden("The address of this sink is not known here. Set PROJECTOR_EVENT_STREAMS_URL.")
    signers = signatures.signers(request.query_string, body, request.headers.get("X-Twilio-Signature", ""))
    if not signers:
        raise Forbidden("The signature does not match. Check PROJECTOR_EVENT_STREAMS_URL and TWILIO_AUTH_TOKEN.")
    return signers


def _arrivals(body: bytes, signers: frozenset[str]) -> list[Entry | Rejected]:
    try:
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
    except NOT_JSON:
        return [Rejected("the body is not a JSON array", body, SOURCE)]
    door = Door(SOURCE, current_app.extensions["workspaces"], frozenset() if ANY_ACCOUNT in signers else signers)
    found = [door.let_in(bytes(element)) for element in elements]
    for reason in found:
        if isinstance(reason, str):
            DROPPED.labels(reason).inc()
    return [arrival for arrival in found if not isinstance(arrival, str)]
