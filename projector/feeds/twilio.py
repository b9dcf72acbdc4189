"""Twilio, asked by its official SDK over one HTTP client of our own, which goes to one host and no other.

The SDK builds its own addresses, and follows whatever `meta.next_page_url` an answer names, with our credentials. So everything
passes `OneHost`: an address of taskrouter.twilio.com or of PROJECTOR_TWILIO_URL goes to PROJECTOR_TWILIO_URL, any other
is refused; a redirect is an error; what is worth a second try is tried again, for so long and no longer. Credentials and contents are
never logged; that a question is asked again is, once, so that who waits for a command knows for what.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from json import JSONDecodeError
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests
from requests.auth import HTTPBasicAuth
from twilio.base.exceptions import TwilioException
from twilio.base.page import Page
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import HTTPError

from projector.config import Config
from projector.errors import Misconfigured, TwilioNotFound, TwilioRefused, TwilioUnavailable

SDK_HOST = "https://taskrouter.twilio.com"
PAGE_SIZE = 1_000  # the largest there is
PAGES_MAX = 1_000  # of one list: an answer may name next pages without end
BODY_MAX_BYTES = 64 * 1024 * 1024

logger = logging.getLogger(__name__)

_NO_ENVIRONMENT = {"TWILIO_EDGE": ""}  # else the SDK takes a region, and so a host, from the process's; {} it would not hear
_AGAIN = frozenset({429, 500, 502, 503, 504})
_WORDS = {
    401: "the key is not known to Twilio. Check its entry in TWILIO_API_KEYS",
    403: "the key may not read TaskRouter. Check its entry in TWILIO_API_KEYS and the key's permissions at Twilio",
    404: "that account has no such workspace, or it is gone. Check --workspace, PROJECTOR_WORKSPACES, TWILIO_API_KEYS and PROJECTOR_TWILIO_URL",
}


class Patience(NamedTuple):
    """How long one question to Twilio may take, in seconds."""

    connect: float = 5.0
    read: float = 30.0  # between two bytes of an answer
    answer: float = 120.0  # for all of one answer
    total: float = 300.0  # for all attempts, pauses included
    first_pause: float = 1.0
    longest_pause: float = 30.0


class Asked(msgspec.Struct):
    """What asking came to: requests sent, how many were answered 429, the seconds waited before asking again."""

    requests: int = 0
    too_many: int = 0
    waited_seconds: float = 0.0
    asked_seconds: int = 0  # when the last answer was asked for, by Twilio's clock and in whole seconds, or shortly before that


class _Answer(NamedTuple):
    status: int  # 0: none came
    text: str
    retry_after: str | None = None
    date: str | None = None


class OneHost(HttpClient):  # type: ignore[misc]  # twilio ships no types
    """The SDK's requests, all to one host. Raises `TwilioUnavailable` and `TwilioRefused`; never answers anything but 200."""

    def __init__(
        self,
        url: str,
        account: str,
        stop: Event,
        patience: Patience = Patience(),  # noqa: B008 (a constant)
        wait: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url`: scheme and host. `stop` ends a pause; `wait` is how pauses are made: true when it was stopped meanwhile."""
        super().__init__(None, is_async=False)  # no logger: the SDK's own client writes addresses and answers to it
        self.asked = Asked()
        self._url, self._account, self._patience = url, account, patience
        self._wait, self._clock = stop.wait if wait is None else wait, clock
        self._session = requests.Session()

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: object = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """The answer, which is 200. The SDK's wish for a timeout or redirects is not heard."""
        del data, timeout, allow_redirects
        if method.upper() != "GET":
            raise TwilioRefused(f"Twilio is only ever read, and this is a {method.upper()}.")
        address = self._address(uri)
        deadline, is_said = self._clock() + self._patience.total, False
        for attempt in count():
            began = time.monotonic()
            answer = self._ask(address, params or {}, headers or {}, auth)
            if answer.status == 200:
                self.asked.asked_seconds = _asked_seconds(answer.date, time.monotonic() - began)
                return Response(200, answer.text)
            if answer.status and answer.status not in _AGAIN:
                raise self._refusal(answer)
            pause = self._pause(attempt, answer.retry_after)
            if self._clock() + pause > deadline:
                raise TwilioUnavailable(
                    f"{self._trouble(answer)}, and waiting {pause:.0f} s more is too long. Run it again later."
                )
            if not is_said and (attempt or pause > self._patience.longest_pause):  # one trouble alone passes, as a rule
                is_said, seconds_left = True, round(deadline - self._clock())
                logger.info("twilio_asked_again", extra={"reason": self._trouble(answer), "for_seconds_at_most": seconds_left})
            self.asked.waited_seconds += pause
            if self._wait(pause):
                break
        raise TwilioUnavailable("It was stopped while it waited for Twilio. The next run goes on from there.")

    def _address(self, uri: str) -> str:
        """The same path at the one host."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            parts = urlsplit("")
        if f"{parts.scheme}://{parts.netloc}" not in (SDK_HOST, self._url):
            raise TwilioRefused(
                f"An answer for account {self._account} leads to another host than {self._url}, and no other is asked. "
                "Check PROJECTOR_TWILIO_URL."
            )
        return f"{self._url}{parts.path}" + (f"?{parts.query}" if parts.query else "")

    def _ask(
        self, address: str, params: Mapping[str, object], headers: Mapping[str, str], auth: tuple[str, str] | None
    ) -> _Answer:
        """One attempt."""
        self.asked.requests += 1
        try:
            with self._session.get(
                address,
                params={name: str(value) for name, value in params.items()},
                headers=dict(headers),
                auth=HTTPBasicAuth(auth[0].encode(), auth[1].encode()) if auth else None,
                timeout=(self._patience.connect, self._patience.read),
                allow_redirects=False,
                stream=True,
            ) as response:
                text = self._body(response)
                self.asked.too_many += response.status_code == 429
                return _Answer(response.status_code, text, response.headers.get("Retry-After"), response.headers.get("Date"))
        except (requests.RequestException, HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):  # any other trouble of TLS may pass
                raise TwilioRefused(f"The certificate of {self._url} is not trusted here. Check PROJECTOR_TWILIO_URL.") from error
            return _Answer(0, "")  # told in words when there is no time left: its own message may quote a proxy's password

    def _body(self, response: requests.Response) -> str:
        """All of it, in time: a timeout between two bytes alone would wait for a drip for ever."""
        until, body = self._clock() + self._patience.answer, bytearray()
        while chunk := response.raw.read1(65_536, decode_content=True):
            body += chunk
            if len(body) > BODY_MAX_BYTES or self._clock() > until:
                raise HTTPError
        return body.decode("utf-8", "replace")

    def _pause(self, attempt: int, retry_after: str | None) -> float:
        """Seconds until the next attempt: doubling, at random so that many do not come at once, and not sooner than Twilio asks."""
        longest = min(self._patience.longest_pause, self._patience.first_pause * 2.0 ** min(attempt, 16))
        return max(longest * (0.5 + secrets.randbelow(500) / 1000), _seconds(retry_after))

    def _trouble(self, answer: _Answer) -> str:
        said = f"answers {answer.status}" if answer.status else "cannot be reached, or does not answer in time"
        return f"Twilio ({self._url}) {said}"

    def _refusal(self, answer: _Answer) -> TwilioRefused:
        if answer.status < 400:
            words = "leads elsewhere, and is never followed. Check PROJECTOR_TWILIO_URL"
        else:
            words = _WORDS.get(answer.status, f"it does not take the question{_code(answer.text)}. Check what was asked for")
        kind = TwilioNotFound if answer.status == 404 else TwilioRefused
        return kind(f"{self._trouble(answer)} for account {self._account}: {words}.")


class _Raw(Page):  # type: ignore[misc]  # likewise
    """The SDK's page, its records as they came."""

    def get_instance(self, payload: Any) -> Any:
        return payload


class Twilio:
    """One account at Twilio. `client` is the SDK's, for whoever wants its resources; `asked` counts what went over it."""

    def __init__(self, account: str, key: tuple[str, str], http: OneHost) -> None:
        self.account, self.asked = account, http.asked
        self.client = Client(*key, account_sid=account, http_client=http, environment=_NO_ENVIRONMENT)

    def pages(self, path: str, **params: object) -> Iterator[list[Any]]:
        """A list at `/v1`, page by page, records as they came. Raises `TwilioUnavailable` when an answer is no page of one.

        The next page is asked for when the one before was looked at and more are wanted.
        """
        v1 = self.client.taskrouter.v1
        response, seen = v1.page("GET", path, params={"PageSize": PAGE_SIZE} | params), set[str]()
        while True:
            try:
                page = _Raw(v1, response)
                records, further = list(page), page.next_page_url
            except (TwilioException, JSONDecodeError, RecursionError, TypeError, AttributeError, KeyError, ValueError) as error:
                raise TwilioUnavailable("Twilio's answer is no page of a list. Run it again later.") from error
            yield records
            if not further:
                return
            if not isinstance(further, str) or further in seen or len(seen) > PAGES_MAX:
                raise TwilioUnavailable("Twilio's pages do not end. Run it again later.")
            seen.add(further)
            response = self.client.request("GET", further)

    def record(self, path: str) -> dict[str, Any]:
        """One resource at `/v1`, as it came. Raises `TwilioRefused` when there is none, `TwilioUnavailable` when the answer is none."""
        v1 = self.client.taskrouter.v1
        try:
            record = v1.fetch("GET", path)
        except (TwilioException, JSONDecodeError, RecursionError) as error:
            raise TwilioUnavailable("Twilio's answer is no resource. Run it again later.") from error
        if not isinstance(record, dict):
            raise TwilioUnavailable("Twilio's answer is no resource. Run it again later.")
        return record

    def workspaces(self) -> list[str]:
        """The Sids of the account's workspaces."""
        records = [record for page in self.pages("/Workspaces") for record in page]
        sids = [record.get("sid") for record in records if isinstance(record, dict)]
        return [sid for sid in sids if isinstance(sid, str)]

    def events(self, workspace: str, start_seconds: int, end_seconds: int) -> Iterator[list[Any]]:
        """What happened in a workspace, newest first, page by page: from one whole second to another.

        The OpenAPI document says "on or after" and "on or before"; whether an event within the last second is on it, it does not say.
        """
        return self.pages(f"/Workspaces/{workspace}/Events", StartDate=_iso(start_seconds), EndDate=_iso(end_seconds))


def open_twilio(config: Config, stop: Event, patience: Patience = Patience()) -> list[Twilio]:  # noqa: B008 (a constant)
    """Every account there is a key for. Raises `Misconfigured` when there is none."""
    if not config.twilio_keys:
        raise Misconfigured(
            "Without credentials Twilio cannot be asked. Set TWILIO_API_KEYS to `ACsid:SKsid:secret` of an API key."
        )
    return [
        Twilio(account, key, OneHost(config.twilio_url, account, stop, patience)) for account, key in config.twilio_keys.items()
    ]


def workspaces_of(
    accounts: list[Twilio],
    allowed: frozenset[str],
    only: str | None = None,
    tell: Callable[[TwilioRefused], object] | None = None,
) -> list[tuple[Twilio, str]]:
    """Each workspace that is to be asked for, with its account: the one named, else those allowed, else all there are.

    An account whose key is refused is left out where none of its is needed. Raises `TwilioRefused` when one may be needed, and when a
    workspace that is named, or allowed, is in no account; with `tell` that is told instead, and the others are there.
    """
    if only is not None and allowed and only not in allowed:
        raise Misconfigured(f"Workspace {only} is not in PROJECTOR_WORKSPACES. Add it there, or name another one.")
    found: dict[str, Twilio] = {}
    troubles: list[TwilioRefused] = []
    for account in accounts:
        try:
            found |= dict.fromkeys(account.workspaces(), account)
        except TwilioRefused as error:
            troubles.append(error)
    named = frozenset({only}) if only is not None else allowed
    if missing := sorted(named - found.keys()):
        troubles.append(
            TwilioRefused(
                f"No account of TWILIO_API_KEYS has the workspace {missing[0]}. Give a key of its account, or name one of {', '.join(sorted(found)) or 'another account'}."
            )
        )
    if not (found or named or troubles):
        troubles.append(
            TwilioRefused("The accounts of TWILIO_API_KEYS have no workspace. Give a key of the account that has one.")
        )
    for trouble in troubles if missing or not named else ():
        if tell is None:
            raise trouble
        tell(trouble)
    return [(found[workspace], workspace) for workspace in sorted(found.keys() & named if named else found)]


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _asked_seconds(date: str | None, took_seconds: float) -> int:
    """Twilio's clock when it answered, less how long that took; without a clock of its, long ago: nothing is believed to be settled."""
    try:
        answered = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0
    return int(answered) - math.ceil(took_seconds)


def _seconds(retry_after: str | None) -> float:
    """What `Retry-After` asks for: seconds, or a date."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _code(text: str) -> str:
    """The number of Twilio's error, for who looks it up; nothing else of an answer is shown."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any]).get("code")
    except (msgspec.DecodeError, RecursionError):
        found = None
    return f" (error {found})" if isinstance(found, int) else ""
