"""Is this request signed by the account it names? Twilio's own validator decides; this file chooses the token.

The URL is the configured one, never the request's `Host`: whoever posts chooses that.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlparse

from twilio.request_validator import RequestValidator, add_port, remove_port

from projector.config import ANY_ACCOUNT

SIGNATURE_LENGTH = 28  # base64 of HMAC-SHA1


class Signatures:
    """The tokens that may sign, by account."""

    def __init__(self, public_url: str, tokens: Mapping[str, Sequence[str]]) -> None:
        self._url = public_url
        self._spellings = [
            spelling(urlparse(public_url)).encode() for spelling in (remove_port, add_port)
        ]  # as Twilio's validator
        self._tokens = tokens
        self._validators = {account: [RequestValidator(token) for token in of] for account, of in tokens.items()}

    def accept(self, account_sid: str, form: Any, signature: str) -> bool:
        """True when one of the account's tokens signed this form (name → value, or a MultiDict)."""
        if len(signature) != SIGNATURE_LENGTH or not signature.isascii():
            return False
        validators = self._validators.get(account_sid) or self._validators.get(ANY_ACCOUNT, [])
        return any(validator.validate(self._url, form, signature) for validator in validators)

    def accept_bytes(self, account_sid: str, pairs: Iterable[tuple[bytes, bytes]], signature: str) -> bool:
        """The same for a form that is not UTF-8, which Twilio's validator cannot take: the signature over its bytes."""
        signed = b"".join(name + value for name, value in sorted(set(pairs)))
        tokens = self._tokens.get(account_sid) or self._tokens.get(ANY_ACCOUNT, ())
        return _is_signed(tokens, [url + signed for url in self._spellings], signature)

    def signers(self, query: bytes, body: bytes, signature: str) -> frozenset[str]:
        """The accounts (`ANY_ACCOUNT` for a bare token) whose token signed this address with this query, which has to hold the body's hash."""
        hashes = parse_qs(query.decode("latin-1")).get("bodySHA256", [])
        if len(hashes) != 1 or not hmac.compare_digest(hashes[0].encode(), hashlib.sha256(body).hexdigest().encode()):
            return frozenset()
        signed = [spelling.partition(b"?")[0] + b"?" + query for spelling in self._spellings]
        return frozenset(account for account, tokens in self._tokens.items() if _is_signed(tokens, signed, signature))


def _is_signed(tokens: Iterable[str], texts: Sequence[bytes], signature: str) -> bool:
    """Whether one of the tokens signed one of these texts, which are one text in its spellings."""
    given = signature.encode("utf-8", "replace")
    digests = (hmac.digest(token.encode(), text, "sha1") for token in tokens for text in texts)
    return any(hmac.compare_digest(base64.b64encode(digest), given) for digest in digests)
