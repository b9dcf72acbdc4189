"""What must hold before anything starts. Each check says which setting to change; PROJECTOR_ALLOW_UNSAFE names exceptions."""

import os
from urllib.parse import SplitResult

from projector.config import Config, parts_of
from projector.errors import Misconfigured
from projector.log import Log
from projector.log.postgres import PostgresLog
from projector.log.sqlite import SQLiteLog

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SQLITE_FULL = 2


def check_web(config: Config) -> None:
    """A token to check signatures with, and the URL they are made over."""
    if not config.tokens and "token" not in config.allow_unsafe:
        raise Misconfigured("TWILIO_AUTH_TOKEN is empty: every callback would be refused. Set it to the account's auth token.")
    url = _public_url(config)
    if url.scheme != "https" and url.hostname not in LOOPBACK and "url" not in config.allow_unsafe:
        raise Misconfigured(
            f"PROJECTOR_PUBLIC_URL begins with {url.scheme}://: callbacks would cross the network in clear. Use https."
        )


def _public_url(config: Config) -> SplitResult:
    url = parts_of(config.public_url)
    if not (url.scheme and url.hostname) or url.port == 0:
        raise Misconfigured(
            "PROJECTOR_PUBLIC_URL is not a whole URL. Set it to the EventCallbackUrl exactly as Twilio was given it."
        )
    return url


def check_store(config: Config, log: Log) -> None:
    """A commit that is durable when it returns. A database that cannot be asked now is asked again by whoever uses it."""
    if os.environ.get("POSTGRES_ENABLE_DB_FUNCTIONS", "").lower() in ("y", "yes", "t", "true", "on", "1"):
        raise Misconfigured("POSTGRES_ENABLE_DB_FUNCTIONS is set: its inserts take no lock and readers skip callbacks. Unset it.")
    if "durability" in config.allow_unsafe:
        return
    if isinstance(log, SQLiteLog) and (level := log.synchronous()) < SQLITE_FULL:
        raise Misconfigured(f"SQLite runs with synchronous={level}: an acknowledged callback could be lost. It must be FULL (2).")
    if isinstance(log, PostgresLog):
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            if log.setting(setting) == "off":
                raise Misconfigured(f"PostgreSQL runs with {setting}=off: an acknowledged callback could be lost. Turn it on.")
