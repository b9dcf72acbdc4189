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

import logging
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import Forbidden, RequestEntityTooLarge, UnsupportedMediaType

from projector.config import ANY_ACCOUNT
from projector.errors import ProjectorError
from projector.feeds.shape import CLOUD_TYPE, Unreadable, from_event_streams
from projector.log import Entry, Log, Rejected
from projector.log.admit import admit
from webhook.metrics import DROPPED, STREAMED
from webhook.signature import Signatures

SOURCE = "event-streams"
BODY_MAX_BYTES = 8 * 1024 * 1024
JSON = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")

event_streams = Blueprint("event_streams", __name__)
logger = logging.getLogger(__name__)


@event_streams.post("/event-streams")
def receive() -> Response:
    """One batch."""
    if request.mimetype not in JSON:
        raise UnsupportedMediaType("Send application/json.")
    request.max_content_length = BODY_MAX_BYTES
    body = request.get_data(cache=False)
    if len(body) >= BODY_MAX_BYTES and len(body) != request.content_length:  # Werkzeug cuts a body of unsaid length off
        raise RequestEntityTooLarge
    arrivals = _arrivals(body, _signers(body))
    log: Log = current_app.extensions["log"]
    try:
        outcomes = log.append(arrivals) if arrivals else []
    except ProjectorError as error:
        logger.warning("store_unavailable", extra={"reason": type(error.__cause__ or error).__name__})
        return Response("Not stored. Try again.\n", 503, {"Retry-After": "2"}, mimetype="text/plain")
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Rejected("the body is not a JSON array", body, SOURCE)]
    found = (_arrival(bytes(element), signers) for element in elements)
    return [arrival for arrival in found if arrival is not None]


def _arrival(element: bytes, signers: frozenset[str]) -> Entry | Rejected | None:
    """What one element comes to; None: it is none of ours."""
    try:
        event = msgspec.json.decode(element)
        if _is_others(event):
            DROPPED.labels("another product").inc()
            return None
        parameters = from_event_streams(event)
    except Unreadable as error:
        return Rejected(str(error), element, SOURCE)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Rejected("the element is not JSON", element, SOURCE)
    allowed: frozenset[str] = current_app.extensions["workspaces"]
    if allowed and parameters.get("WorkspaceSid", "") not in allowed:
        DROPPED.labels("workspace not allowed").inc()
        return None
    if ANY_ACCOUNT not in signers and parameters.get("AccountSid", "") not in signers:
        return Rejected("its account is not the one that signed", element, SOURCE)
    return admit(parameters, SOURCE)


def _is_others(event: Any) -> bool:
    """A sink may be subscribed to more than TaskRouter."""
    kind = event.get("type") if isinstance(event, dict) else None
    return isinstance(kind, str) and not kind.startswith(CLOUD_TYPE)
