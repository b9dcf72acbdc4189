"""`POST /callbacks`: check, append, 204. Nothing is projected here, and nothing is answered before the commit.

| answer | when |
|---|---|
| 204 | stored, a duplicate, or quarantined: durable in all three cases |
| 400 | signed, but without EventType: the assignment callback's address was mixed up with this one |
| 403 | signature bad or missing, account unknown, workspace not allowed |
| 413, 415 | larger than 256 KiB or 500 fields; not form-urlencoded |
| 503 | the store cannot commit now: Retry-After |
"""

from collections.abc import Sequence

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import BadRequest, Forbidden, RequestEntityTooLarge, UnsupportedMediaType

from projector.log import Entry, Outcome, Rejected
from projector.log.admit import admit
from webhook.acknowledgement import Acknowledgement, WhenStored
from webhook.body import read_body
from webhook.form import Form, TooManyFields, read_bytes, read_form
from webhook.metrics import ANSWERS, OUTCOMES
from webhook.signature import Signatures

PATH = "/callbacks"
BODY_MAX_BYTES = 256 * 1024
FORM = "application/x-www-form-urlencoded"

callbacks = Blueprint("callbacks", __name__)


@callbacks.post(PATH)
def receive() -> Response:
    """One callback."""
    if request.mimetype != FORM or request.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType(f"Send {FORM} in UTF-8.")
    return Acknowledgement(current_app.extensions["writer"], [_checked(read_body(BODY_MAX_BYTES))], STORED)


@callbacks.after_app_request
def count(response: Response) -> Response:
    """Every answer, by route and status; an acknowledgement counts itself when it is known."""
    if isinstance(response, Acknowledgement):
        return response
    ANSWERS.labels(request.url_rule.rule if request.url_rule else "none", str(response.status_code)).inc()
    return response


def _count(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        OUTCOMES.labels(outcome.value).inc()


STORED = WhenStored(PATH, 204, _count)


def _checked(body: bytes) -> Entry | Rejected:
    try:
        form = read_form(body)
        return _checked_bytes(body) if form is None else _checked_form(form)
    except TooManyFields as error:
        raise RequestEntityTooLarge(str(error)) from error


def _checked_form(form: Form) -> Entry | Rejected:
    signatures: Signatures = current_app.extensions["signatures"]
    account = form.parameters.get("AccountSid", "")
    if not signatures.accept(account, form.pairs, request.headers.get("X-Twilio-Signature", "")):
        raise Forbidden("The signature does not match. Check PROJECTOR_PUBLIC_URL and TWILIO_AUTH_TOKEN.")
    allowed: frozenset[str] = current_app.extensions["workspaces"]
    if allowed and form.parameters.get("WorkspaceSid", "") not in allowed:
        raise Forbidden("This workspace is not in PROJECTOR_WORKSPACES.")
    if not form.parameters.get("EventType"):
        raise BadRequest("No EventType: this is not an event callback. Give this URL as EventCallbackUrl only.")
    return admit(form.parameters, "callback", form.repeated)


def _checked_bytes(body: bytes) -> Rejected:
    """A body that is not UTF-8 but signed is kept beside the log: only the account can be read from it safely."""
    signatures: Signatures = current_app.extensions["signatures"]
    allowed: frozenset[str] = current_app.extensions["workspaces"]
    pairs = read_bytes(body)
    said = {name: value.decode("utf-8", "replace") for name, value in pairs}
    if not signatures.accept_bytes(said.get(b"AccountSid", ""), pairs, request.headers.get("X-Twilio-Signature", "")):
        raise Forbidden("The signature does not match. Check PROJECTOR_PUBLIC_URL and TWILIO_AUTH_TOKEN.")
    if allowed and said.get(b"WorkspaceSid", "") not in allowed:
        raise Forbidden("This workspace is not in PROJECTOR_WORKSPACES.")
    return Rejected("the body is not UTF-8", body, "callback")
