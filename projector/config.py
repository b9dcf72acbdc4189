"""Every setting, read once from the environment. This file is the list; the README's table is checked against it."""

import math
import os
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct
from sqlalchemy.engine import URL

from projector.database import database_url
from projector.errors import Misconfigured

SETTINGS: dict[str, tuple[str, str]] = {  # name → default, meaning
    "PROJECTOR_DATABASE_URL": (
        "sqlite:///projector.db",
        "The tables. On SQLite the log is the file beside it (`projector-log.db`), on PostgreSQL the schema `log`.",
    ),
    "PROJECTOR_PUBLIC_URL": (
        "",
        "The EventCallbackUrl exactly as Twilio was given it, without the `#…` at its end. Signatures are checked against it.",
    ),
    "TWILIO_AUTH_TOKEN": (
        "",
        "`token` for one account, or `ACsid:token,…`: a callback is then checked only with the tokens of the account it names. "
        "Two tokens of one account are a rotation.",
    ),
    "PROJECTOR_EVENT_STREAMS_URL": (
        "",
        "The address of an Event Streams webhook sink exactly as Twilio was given it. Empty: PROJECTOR_PUBLIC_URL with "
        "`/event-streams` in place of `/callbacks`.",
    ),
    "TWILIO_API_KEYS": (
        "",
        "For `backfill`, `adopt` and what the loop does of both by itself: comma-separated `ACsid:SKsid:secret` of an API key, or `ACsid:token`. Empty: Twilio is never asked.",
    ),
    "PROJECTOR_TWILIO_URL": (
        "https://taskrouter.twilio.com",
        "The one host that is asked for what was missed; no other, whatever it answers.",
    ),
    "PROJECTOR_RECONCILE_MINUTES": (
        "10",
        "How often the loop asks Twilio for what it missed in the last three times as long, and once a day in the last day; 0: never.",
    ),
    "PROJECTOR_WORKSPACES": ("", "Comma-separated workspace Sids that may post; empty: all."),
    "PROJECTOR_API_KEYS": (
        "",
        "Who may read: comma-separated `name:password`, or `name:password:WS…+WS…` for some workspaces alone. Empty: nobody.",
    ),
    "PROJECTOR_BOARD": (
        "keys",
        "Who may look at the wallboard: `keys`, whoever has a key of PROJECTOR_API_KEYS; `open`, whoever reaches this server.",
    ),
    "PROJECTOR_READY_LAG_SECONDS": ("60", "`/readyz` answers 503 when the tables are further behind the log than this."),
    "PROJECTOR_WEB_PROCESSES": (
        "",
        "Web server processes of `projector serve`. Empty: one for each core, four at most.",
    ),
    "PROJECTOR_ALLOW_UNSAFE": (
        "",
        "Comma-separated checks to start without: `token`, `url`, `durability`. Never in production.",
    ),
}

ANY_ACCOUNT = ""
_ACCOUNT, _USER = re.compile("AC[0-9a-fA-F]{32}"), re.compile("(AC|SK)[0-9a-fA-F]{32}")


class Config(Struct, frozen=True, kw_only=True):
    """The settings as values. `tokens`: AccountSid (or `ANY_ACCOUNT`) → its auth tokens."""

    database_url: URL
    public_url: str = ""
    event_streams_url: str = ""
    twilio_url: str = "https://taskrouter.twilio.com"
    twilio_keys: Mapping[str, tuple[str, str]] = {}  # AccountSid → user name and password at Twilio
    reconcile_minutes: float = 10.0
    tokens: Mapping[str, tuple[str, ...]] = {}
    workspaces: frozenset[str] = frozenset()
    api_keys: Mapping[str, tuple[str, frozenset[str]]] = {}  # name → secret, the workspaces it may read (none: all)
    board_is_open: bool = False
    ready_lag_seconds: float = 60.0
    web_processes: int = 1
    allow_unsafe: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without passwords and tokens, which either URL may hold: in front of its host, or in its query."""
        public_url = self.public_url.partition("?")[0].rpartition("@")[2]
        return f"Config(database_url={self.database_url.set(query={})!r}, public_url={public_url!r}, accounts={len(self.tokens)}, api_keys={len(self.api_keys)})"


def read_config(environment: Mapping[str, str] = os.environ) -> Config:
    """The settings of this environment. Raises `Misconfigured` for what cannot be read."""

    def value(name: str) -> str:
        return environment.get(name, "").strip() or SETTINGS[name][0]

    url = database_url(value("PROJECTOR_DATABASE_URL"))
    public_url = value("PROJECTOR_PUBLIC_URL").partition("#")[0]
    usual_processes = min(4, os.cpu_count() or 1)
    return Config(
        database_url=url,
        public_url=public_url,
        event_streams_url=value("PROJECTOR_EVENT_STREAMS_URL").partition("#")[0] or _beside(public_url),
        twilio_url=_twilio_url(value("PROJECTOR_TWILIO_URL")),
        twilio_keys=_twilio_keys(value("TWILIO_API_KEYS")),
        reconcile_minutes=_number_or_never("PROJECTOR_RECONCILE_MINUTES", value("PROJECTOR_RECONCILE_MINUTES")),
        tokens=_tokens(value("TWILIO_AUTH_TOKEN")),
        workspaces=frozenset(_listed(value("PROJECTOR_WORKSPACES"))),
        api_keys=_api_keys(value("PROJECTOR_API_KEYS")),
        board_is_open=_board(value("PROJECTOR_BOARD")),
        ready_lag_seconds=_number("PROJECTOR_READY_LAG_SECONDS", value("PROJECTOR_READY_LAG_SECONDS")),
        web_processes=_whole_number("PROJECTOR_WEB_PROCESSES", value("PROJECTOR_WEB_PROCESSES") or str(usual_processes)),
        allow_unsafe=frozenset(_listed(value("PROJECTOR_ALLOW_UNSAFE"))),
    )


def _beside(public_url: str) -> str:
    """`https://example.com/callbacks` → `https://example.com/event-streams`."""
    return f"{public_url.removesuffix('/callbacks')}/event-streams" if public_url.endswith("/callbacks") else ""


def parts_of(text: str) -> SplitResult:
    """The parts of an address; of one that is none, or whose port is none, nothing."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _twilio_url(text: str) -> str:
    """Scheme and host. By http:// only this machine, where tests have a Twilio of their own: credentials go there."""
    parts = parts_of(text)
    is_here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not (is_here or parts.scheme == "https") or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise Misconfigured("PROJECTOR_TWILIO_URL is not `https://<host>`. Leave it empty for https://taskrouter.twilio.com.")
    return f"{parts.scheme}://{parts.netloc}"


def _twilio_keys(text: str) -> dict[str, tuple[str, str]]:
    """AccountSid → user name and password. What is wrong is told by its place: it may hold a secret."""
    keys: dict[str, tuple[str, str]] = {}
    for place, item in enumerate(_listed(text), start=1):
        account, _, rest = item.partition(":")
        name, has_name, secret = rest.partition(":")
        user, password = (name, secret) if has_name else (account, rest)
        if not (_ACCOUNT.fullmatch(account) and _USER.fullmatch(user)) or not password or _USER.fullmatch(password):
            raise Misconfigured(
                f"Entry {place} of TWILIO_API_KEYS is not `ACsid:SKsid:secret` or `ACsid:token`, each Sid two letters and 32 "
                "hexadecimal digits. Correct it."
            )
        if account in keys:
            raise Misconfigured(f"Entry {place} of TWILIO_API_KEYS is of an account before it. Give one for each account.")
        keys[account] = (user, password)
    return keys


def _board(text: str) -> bool:
    if text not in ("keys", "open"):
        raise Misconfigured(
            f"PROJECTOR_BOARD is {text!r}. Write keys (whoever has a key of PROJECTOR_API_KEYS) or open (everybody)."
        )
    return text == "open"


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise Misconfigured(f"{name} is {text!r}. Give it a number.") from error
    if not 1 <= number < math.inf:
        raise Misconfigured(f"{name} is {text}. Give it a number of 1 or more.")
    return number


def _number_or_never(name: str, text: str) -> float:
    """A number of 1 or more, or 0 for never."""
    return 0.0 if text == "0" else _number(name, text)


def _whole_number(name: str, text: str) -> int:
    number = _number(name, text)
    if number != int(number):
        raise Misconfigured(f"{name} is {text}. Give it a whole number.")
    return int(number)


def _tokens(text: str) -> dict[str, tuple[str, ...]]:
    """AccountSid → tokens; one bare token stands for any account. A comma in a bare token is not possible at Twilio."""
    items = _listed(text)
    named = [item for item in items if ":" in item]
    if named and len(named) != len(items):
        raise Misconfigured("TWILIO_AUTH_TOKEN mixes `token` and `ACsid:token`. Name the account of each token.")
    if not named:
        return {ANY_ACCOUNT: tuple(items)} if items else {}
    tokens: dict[str, tuple[str, ...]] = {}
    for item in named:
        account, token = (part.strip() for part in item.split(":", 1))
        if not account.startswith("AC") or not token:
            raise Misconfigured("An entry of TWILIO_AUTH_TOKEN is not `ACsid:token`. Correct it.")
        tokens[account] = (*tokens.get(account, ()), token)
    return tokens


def _api_keys(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Name → secret and workspaces. What is wrong is told by its place: it may hold a secret."""
    keys: dict[str, tuple[str, frozenset[str]]] = {}
    for place, item in enumerate(_listed(text), start=1):
        name, _, rest = item.partition(":")
        secret, has_workspaces, listed = rest.partition(":")
        workspaces = frozenset(listed.split("+")) if has_workspaces else frozenset()
        if not name or not secret or not all(each.startswith("WS") for each in workspaces):
            raise Misconfigured(
                f"Entry {place} of PROJECTOR_API_KEYS is not `name:password` or `name:password:WS…+WS…`. Correct it."
            )
        if name in keys:
            raise Misconfigured(f"Entry {place} of PROJECTOR_API_KEYS has the name of one before it. Give each key its own.")
        keys[name] = (secret, workspaces)
    return keys
