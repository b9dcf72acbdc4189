"""A Twilio of our own on loopback, with the quirks of the real one: its TaskRouter API, as far as a feed asks for it.

`with FakeTwilio() as twilio:` serves at `twilio.url`; `twilio.offer(parameters, …)` puts events into its Events API. Where Twilio's
documents are silent (does EndDate include its second?) a quirk says which way it is. Another resource is one more line in `ROUTES`.
For a process of its own: `python -m tests.fake_twilio --port 8099 --events log.jsonl` (callbacks' parameters, one object a line).
"""

import base64
import json
import random
import re
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.given import ACCOUNT, Parameters
from tests.reshaping import as_events_api

SECRET = "fake-twilio-secret"
DAY_MS = 86_400_000
KEPT_DAYS = 30


@dataclass
class Quirks:
    """How it answers. Shares are of requests, at random by `seed`."""

    seed: int = 1
    too_many: float = 0.0  # answered 429
    retry_after: str | None = None  # what a 429 asks for
    failures: float = 0.0  # answered 500
    slow_seconds: float = 0.0
    drip: bool = False  # a byte at a time
    dates: str = "second"  # StartDate and EndDate: `second`, the last one whole; `instant`, its beginning alone; `apart`, neither
    shuffled: bool = False  # lists are in no order
    wall: str = "nothing"  # beyond 30 days: `nothing`; `refused`: 400 for a StartDate beyond; `redacted`: without attributes
    page_max: int = 1000
    pages: bool = True  # False: no next_page_url ever
    next_host: str | None = None  # next_page_url names this scheme and host
    next_again: bool = False  # next_page_url is the page itself
    redirect: str | None = None  # everything is answered 307 to this
    body: bytes | None = None  # the answer, whatever is asked


@dataclass
class Offered:
    """One event, and from when on it is in the list."""

    at_ms: int
    visible_ms: int
    event: Any


@dataclass
class Question:
    """One request: its path's groups, its query, the account that asks."""

    account: str
    path: str
    groups: dict[str, str]
    query: dict[str, str]


@dataclass
class FakeTwilio:
    """One fake, on a port of its own. `asked` are the requests answered, `statuses` with what."""

    quirks: Quirks = field(default_factory=Quirks)
    keys: dict[str, tuple[str, str]] = field(default_factory=lambda: {ACCOUNT: (ACCOUNT, SECRET)})
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    port: int = 0
    workspaces: dict[str, str] = field(default_factory=dict)  # Sid → its account
    events: dict[str, list[Offered]] = field(default_factory=dict)
    resources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # a list's path → its records, newest first
    before: Callable[[Question], None] = lambda _question: None  # called before each answer: something happens while one pages
    asked: list[Question] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def __enter__(self) -> "FakeTwilio":
        self._random, self._lock = random.Random(f"fake twilio {self.quirks.seed}"), threading.Lock()
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def over_tls(self, context: ssl.SSLContext) -> str:
        """From now on over TLS alone: its address then."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        return self.url.replace("http://127.0.0.1", "https://localhost")

    def settings(self) -> dict[str, str]:
        """The environment of a command that is to ask this one."""
        keys = ",".join(f"{account}:{user}:{secret}" for account, (user, secret) in self.keys.items())
        return {"PROJECTOR_TWILIO_URL": self.url, "TWILIO_API_KEYS": keys}

    def offer(self, *told: Parameters, visible_after_ms: int = 0) -> None:
        """Events that happened, in the lists of their workspaces from `visible_after_ms` after they happened."""
        for parameters in told:
            at_ms = int(parameters["TimestampMs"])
            self.offer_event(
                parameters["WorkspaceSid"], as_events_api(parameters), at_ms, visible_after_ms, parameters["AccountSid"]
            )

    def offer_event(self, workspace: str, event: Any, at_ms: int, visible_after_ms: int = 0, account: str = ACCOUNT) -> None:
        """Whatever it is, as an event of that moment."""
        self.workspaces.setdefault(workspace, account)
        self.events.setdefault(workspace, []).append(Offered(at_ms, at_ms + visible_after_ms, event))

    def answer(self, path_and_query: str, authorization: str) -> tuple[int, Any, dict[str, str]]:
        """Status, body, headers."""
        parts = urlsplit(path_and_query)
        account = next((each for each, key in self.keys.items() if authorization == _basic(*key)), None)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        question = Question(account or "", parts.path, {}, query)
        with self._lock:
            self.asked.append(question)
            fate = self._random.random()
        if self.quirks.redirect:
            return 307, {}, {"Location": self.quirks.redirect + path_and_query}
        if account is None:
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}, {}
        if fate < self.quirks.too_many:
            asks = {"Retry-After": self.quirks.retry_after} if self.quirks.retry_after is not None else {}
            return 429, {"code": 20429, "message": "Too many requests", "status": 429}, asks
        if fate < self.quirks.too_many + self.quirks.failures:
            return 500, {"code": 20500, "message": "An internal server error has occurred", "status": 500}, {}
        self.before(question)
        if self.quirks.body is not None:
            return 200, {}, {}
        for pattern, route in ROUTES.items():
            if found := re.fullmatch(pattern, parts.path):
                question.groups = found.groupdict()
                return *route(self, question), {}
        return NOT_FOUND, {"code": 20404, "message": "The requested resource was not found", "status": NOT_FOUND}, {}

    def page(self, key: str, records: list[Any], question: Question, after: Callable[[Any], str] | None = None) -> dict[str, Any]:
        """A page of a list in Twilio's shape. `after`: what a record is called in a page token; by default its place in the list."""
        size = max(1, min(int(question.query.get("PageSize", "50")), self.quirks.page_max))
        token, start = question.query.get("PageToken"), 0
        if token is not None:
            start = next((n for n, each in enumerate(records) if after(each) == token), -1) + 1 if after else int(token)
        shown = records[start : start + size]
        further = None
        if self.quirks.next_again:
            further = self._page_url(question, token or "0")
        elif self.quirks.pages and start + size < len(records):
            further = self._page_url(question, after(shown[-1]) if after else str(start + size))
        meta = {
            "page": int(question.query.get("Page", "0")), "page_size": size, "key": key, "next_page_url": further,
            "previous_page_url": None, "first_page_url": self._page_url(question, None), "url": self._page_url(question, token),
        }  # fmt: skip
        return {key: shown, "meta": meta}

    def _page_url(self, question: Question, token: str | None) -> str:
        query = question.query | ({"PageToken": token, "Page": "1"} if token is not None else {})
        host = self.url if self.quirks.next_host is None else self.quirks.next_host
        return f"{host}{question.path}?{urlencode(query)}"


def _workspaces(fake: FakeTwilio, question: Question) -> tuple[int, Any]:
    mine = [
        {"sid": sid, "account_sid": account, "friendly_name": "Test floor"}
        for sid, account in fake.workspaces.items()
        if account == question.account
    ]
    return 200, fake.page("workspaces", mine, question)


def _events(fake: FakeTwilio, question: Question) -> tuple[int, Any]:
    """Newest first; of the last 15 minutes unless dates say otherwise; nothing from before 30 days ago."""
    workspace, query, now_ms = question.groups["workspace"], question.query, fake.now_ms()
    if fake.workspaces.get(workspace) != question.account:
        return NOT_FOUND, {"code": 20404, "message": "not found", "status": NOT_FOUND}
    if "Minutes" in query and ("StartDate" in query or "EndDate" in query):
        return 400, {"code": 20001, "message": "Minutes goes with no date", "status": 400}
    start_ms = _date_ms(query["StartDate"]) if "StartDate" in query else now_ms - int(query.get("Minutes", "15")) * 60_000
    end_ms = _date_ms(query["EndDate"]) if "EndDate" in query else now_ms
    start_ms += fake.quirks.dates == "apart"
    end_ms += {"second": 999, "instant": 0, "apart": -1}[fake.quirks.dates] if "EndDate" in query else 0
    wall_ms = now_ms - KEPT_DAYS * DAY_MS
    if fake.quirks.wall == "refused" and start_ms < wall_ms:
        return 400, {"code": 14241, "message": "older than 30 days", "status": 400}
    found = []
    for each in list(fake.events.get(workspace, [])):
        if start_ms <= each.at_ms <= end_ms and each.visible_ms <= now_ms:
            if each.at_ms >= wall_ms:
                found.append(each)
            elif fake.quirks.wall == "redacted":
                data = {name: value for name, value in each.event["event_data"].items() if "attributes" not in name}
                found.append(Offered(each.at_ms, each.visible_ms, each.event | {"event_data": data}))
    found.sort(key=lambda each: (0 if fake.quirks.shuffled else each.at_ms, _name(each.event)), reverse=True)
    page = fake.page("events", found, question, lambda each: f"{each.at_ms}-{_name(each.event)}")
    return 200, page | {"events": [each.event for each in page["events"]]}


def _listed(fake: FakeTwilio, question: Question) -> tuple[int, Any]:
    """Any other list: what `resources` holds at its path. The key is the path's last part, as Twilio spells it."""
    if question.path not in fake.resources:
        return NOT_FOUND, {"code": 20404, "message": "not found", "status": NOT_FOUND}
    key = re.sub(r"(?<!^)(?=[A-Z])", "_", question.path.rpartition("/")[2]).lower()
    return 200, fake.page(key, fake.resources[question.path], question)


Route = Callable[[FakeTwilio, Question], tuple[int, Any]]
NOT_FOUND = 404
ROUTES: dict[str, Route] = {
    r"/v1/Workspaces": _workspaces,
    r"/v1/Workspaces/(?P<workspace>WS[0-9a-fA-F]{32})/Events": _events,
    r"/v1/Workspaces/(?P<workspace>WS[0-9a-fA-F]{32})/.+": _listed,
}


def _name(event: Any) -> str:
    return str(event.get("sid")) if isinstance(event, dict) else str(event)[:40]


def _date_ms(text: str) -> int:
    return round(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() * 1000)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeTwilio

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is what the tests are about."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    server: _Server

    def do_GET(self) -> None:
        fake = self.server.fake
        status, body, headers = fake.answer(self.path, self.headers.get("Authorization", ""))
        if fake.quirks.slow_seconds:
            time.sleep(fake.quirks.slow_seconds)
        content = fake.quirks.body if fake.quirks.body is not None and status == 200 else json.dumps(body).encode()
        fake.statuses[status] += 1
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in [content[n : n + 1] for n in range(len(content))] if fake.quirks.drip else [content]:
            self.wfile.write(piece)
            if fake.quirks.drip:
                self.wfile.flush()
                time.sleep(0.02)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (its name)
        pass


def read_lines(lines: Iterable[str]) -> list[Parameters]:
    """Callbacks' parameters, one JSON object a line."""
    return [json.loads(line) for line in lines if line.strip()]


def main() -> None:
    import click

    @click.command()
    @click.option("--port", default=8099, show_default=True)
    @click.option(
        "--events", type=click.Path(exists=True, path_type=Path), required=True, help="Parameters, one JSON object a line."
    )
    @click.option("--too-many", default=0.0, help="Share of requests that are answered 429.")
    @click.option("--slow", default=0.0, help="Seconds before each answer.")
    def serve(port: int, events: Path, too_many: float, slow: float) -> None:
        told = read_lines(events.read_text().splitlines())
        keys = {each["AccountSid"]: (each["AccountSid"], SECRET) for each in told}
        with FakeTwilio(Quirks(too_many=too_many, slow_seconds=slow), keys, port=port) as twilio:
            twilio.offer(*told)
            print(json.dumps(twilio.settings()), flush=True)  # noqa: T201 (for whoever starts it)
            threading.Event().wait()

    serve()


if __name__ == "__main__":
    main()
