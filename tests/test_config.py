"""Every setting of the environment, and what is refused before anything starts, in a sentence that says what to change."""

import os
from contextlib import closing

import pytest
import sqlalchemy as sa
from eventsourcing.sqlite import SQLiteDatastore
from sqlalchemy.engine import URL

from projector.config import ANY_ACCOUNT, SETTINGS, Config, read_config
from projector.database import database_url, disposing, open_engine
from projector.errors import Misconfigured, StoreUnavailable
from projector.log import open_log
from projector.log.open import log_path
from projector.log.postgres import PostgresLog
from projector.log.sqlite import SQLiteLog
from projector.safety import check_store, check_web
from tests.databases import Databases

ACCOUNT, OTHER_ACCOUNT, KEY = "AC" + "1" * 32, "AC" + "2" * 32, "SK" + "3" * 32
SQLITE = database_url("sqlite:///somewhere.db")


def test_an_empty_environment_is_the_defaults() -> None:
    """Nothing set: SQLite in the current folder, no token, everything else as documented."""
    config = read_config({})
    assert config == Config(database_url=database_url("sqlite:///projector.db"), web_processes=min(4, os.cpu_count() or 1))
    assert (config.tokens, config.workspaces, config.ready_lag_seconds) == ({}, frozenset(), 60.0)


def test_every_setting_is_read() -> None:
    """Each name in SETTINGS, and no other, changes the configuration."""
    environment = {
        "PROJECTOR_DATABASE_URL": "postgresql://someone:secret@db.test:5433/name?sslmode=require",
        "PROJECTOR_PUBLIC_URL": "https://example.test/callbacks?x=1#rc=5&rp=all",
        "TWILIO_AUTH_TOKEN": f"{ACCOUNT}:one,{OTHER_ACCOUNT}:other, {ACCOUNT}:two",
        "PROJECTOR_EVENT_STREAMS_URL": "https://example.test/sink#rc=5",
        "TWILIO_API_KEYS": f"{ACCOUNT}:{KEY}:four, {OTHER_ACCOUNT}:five",
        "PROJECTOR_TWILIO_URL": "https://taskrouter.ie1.twilio.com/",
        "PROJECTOR_RECONCILE_MINUTES": "0",
        "PROJECTOR_WORKSPACES": " WS1, WS2,,",
        "PROJECTOR_API_KEYS": "reader:three:WS1",
        "PROJECTOR_BOARD": "open",
        "PROJECTOR_READY_LAG_SECONDS": "2.5",
        "PROJECTOR_WEB_PROCESSES": "3",
        "PROJECTOR_ALLOW_UNSAFE": "url,durability",
    }
    assert set(environment) == set(SETTINGS)
    config = read_config(environment | {"PROJECTOR_SOMETHING": "else"})
    assert (
        config.database_url.render_as_string(hide_password=False)
        == "postgresql+psycopg://someone:secret@db.test:5433/name?sslmode=require"
    )
    assert config.public_url == "https://example.test/callbacks?x=1"
    assert config.tokens == {ACCOUNT: ("one", "two"), OTHER_ACCOUNT: ("other",)}
    assert config.event_streams_url == "https://example.test/sink"
    assert config.twilio_keys == {ACCOUNT: (KEY, "four"), OTHER_ACCOUNT: (OTHER_ACCOUNT, "five")}
    assert config.twilio_url == "https://taskrouter.ie1.twilio.com"
    assert config.workspaces == {"WS1", "WS2"}
    assert config.api_keys == {"reader": ("three", frozenset({"WS1"}))}
    assert config.board_is_open
    assert config.reconcile_minutes == 0
    assert (config.ready_lag_seconds, config.web_processes) == (2.5, 3)
    assert config.allow_unsafe == {"url", "durability"}
    for name in environment:
        assert read_config({name: environment[name]}) != read_config({}), name
    assert read_config(dict.fromkeys(SETTINGS, "  ")) == read_config({})


def test_the_board_is_open_only_when_it_is_said_so() -> None:
    """Anything but the two words is refused: a typing error must not open it, or close it."""
    assert not read_config({"PROJECTOR_BOARD": "keys"}).board_is_open
    with pytest.raises(Misconfigured, match="PROJECTOR_BOARD is 'Open'"):
        read_config({"PROJECTOR_BOARD": "Open"})


def test_event_streams_come_beside_the_callbacks() -> None:
    """Unless their address is told; nothing is guessed from an address of another kind."""
    assert read_config({"PROJECTOR_PUBLIC_URL": "https://a.test/callbacks"}).event_streams_url == "https://a.test/event-streams"
    assert read_config({"PROJECTOR_PUBLIC_URL": "https://a.test/x"}).event_streams_url == ""


def test_every_setting_says_what_it_means() -> None:
    """The list is the documentation."""
    assert all(meaning.endswith(".") for _, meaning in SETTINGS.values())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", {}),
        ("one", {ANY_ACCOUNT: ("one",)}),
        ("one, two", {ANY_ACCOUNT: ("one", "two")}),
        (f"{ACCOUNT}:one", {ACCOUNT: ("one",)}),
        (f" {ACCOUNT}:one , {ACCOUNT}:two ,", {ACCOUNT: ("one", "two")}),
        (f"{ACCOUNT} : one", {ACCOUNT: ("one",)}),
    ],
)
def test_tokens_are_for_any_account_or_by_account(text: str, tokens: dict[str, tuple[str, ...]]) -> None:
    """One bare token, a rotation of two, or each with its account; blanks do not matter."""
    assert read_config({"TWILIO_AUTH_TOKEN": text}).tokens == tokens


def test_api_keys_are_for_all_workspaces_or_for_some() -> None:
    """Name, password, and the workspaces it may read."""
    text = "all:one, some:two:WS1+WS2,"
    expected = {"all": ("one", frozenset()), "some": ("two", frozenset({"WS1", "WS2"}))}
    assert read_config({"PROJECTOR_API_KEYS": text}).api_keys == expected


REFUSED = {
    "token forms mixed": ("TWILIO_AUTH_TOKEN", f"secret-one,{ACCOUNT}:secret-two", "Name the account"),
    "an account that is none": ("TWILIO_AUTH_TOKEN", "SK1:secret-one", "ACsid:token"),
    "an account without a token": ("TWILIO_AUTH_TOKEN", f"{ACCOUNT}:", "ACsid:token"),
    "an API key without a password": ("PROJECTOR_API_KEYS", "one:secret-one,two:", "Entry 2 of PROJECTOR_API_KEYS"),
    "an API key without a name": ("PROJECTOR_API_KEYS", ":secret-one", "Entry 1 of PROJECTOR_API_KEYS"),
    "an API key for no workspace": ("PROJECTOR_API_KEYS", "one:secret-one:", "name:password"),
    "an API key for what is no workspace": ("PROJECTOR_API_KEYS", f"one:secret-one:{ACCOUNT}", "name:password"),
    "two API keys of one name": ("PROJECTOR_API_KEYS", "one:secret-one,one:secret-two", "Give each key its own"),
    "no URL": ("PROJECTOR_DATABASE_URL", "secret-one", "Write sqlite:///projector.db"),
    "SQLite in memory": ("PROJECTOR_DATABASE_URL", "sqlite://", "Name a file"),
    "SQLite in memory by name": ("PROJECTOR_DATABASE_URL", "sqlite:///:memory:", "Name a file"),
    "an unknown database": ("PROJECTOR_DATABASE_URL", "mysql://someone:secret-one@h/x", "sqlite and postgresql"),
    "credentials of no account": ("TWILIO_API_KEYS", "SK1:secret-one", "Entry 1 of TWILIO_API_KEYS"),
    "credentials without a secret": ("TWILIO_API_KEYS", f"{ACCOUNT}:{KEY}:", "ACsid:SKsid:secret"),
    "a key whose secret was forgotten": ("TWILIO_API_KEYS", f"{ACCOUNT}:{KEY}", "ACsid:SKsid:secret"),
    "a key that was cut short": ("TWILIO_API_KEYS", f"{ACCOUNT}:{KEY[:-1]}:secret-one", "32 hexadecimal digits"),
    "an account that was cut short": ("TWILIO_API_KEYS", f"{ACCOUNT[:-1]}:secret-one", "32 hexadecimal digits"),
    "credentials of another kind": ("TWILIO_API_KEYS", f"{ACCOUNT}:XX1:secret-one", "ACsid:SKsid:secret"),
    "two credentials of an account": ("TWILIO_API_KEYS", f"{ACCOUNT}:secret-one,{ACCOUNT}:secret-two", "one for each account"),
    "credentials in clear": ("PROJECTOR_TWILIO_URL", "http://taskrouter.twilio.com", "https://<host>"),
    "a host with a path": ("PROJECTOR_TWILIO_URL", "https://taskrouter.twilio.com/v1", "https://<host>"),
    "a host with a user": ("PROJECTOR_TWILIO_URL", "https://secret-one@taskrouter.twilio.com", "https://<host>"),
    "minutes below one": ("PROJECTOR_RECONCILE_MINUTES", "0.5", "1 or more"),
    "no host": ("PROJECTOR_TWILIO_URL", "https://", "https://<host>"),
    "half an IPv6 address": ("PROJECTOR_TWILIO_URL", "https://[::1", "https://<host>"),
    "a port that is none": ("PROJECTOR_TWILIO_URL", "http://127.0.0.1:99999", "https://<host>"),
    "lag in words": ("PROJECTOR_READY_LAG_SECONDS", "soon", "a number"),
    "lag zero": ("PROJECTOR_READY_LAG_SECONDS", "0", "1 or more"),
    "lag that is no number": ("PROJECTOR_READY_LAG_SECONDS", "nan", "a number"),
    "endless lag": ("PROJECTOR_READY_LAG_SECONDS", "inf", "a number"),
    "negative processes": ("PROJECTOR_WEB_PROCESSES", "-1", "1 or more"),
    "processes in words": ("PROJECTOR_WEB_PROCESSES", "two", "a number"),
    "endless processes": ("PROJECTOR_WEB_PROCESSES", "1e400", "a number"),
    "half a process": ("PROJECTOR_WEB_PROCESSES", "1.5", "whole number"),
}


@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(name: str, text: str, sentence: str) -> None:
    """The sentence says what to write; it quotes no token and no password."""
    with pytest.raises(Misconfigured, match=sentence) as refusal:
        read_config({name: text})
    said = str(refusal.value)
    assert said.endswith(".")
    assert "secret-" not in said


def test_no_secret_shows_in_a_configuration() -> None:
    """Its repr may end up in a log: no password, no token, wherever they stand."""
    config = read_config(
        {
            "PROJECTOR_DATABASE_URL": "postgresql://someone:secret-1@db.test/name?password=secret-2&sslpassword=secret-3",
            "PROJECTOR_PUBLIC_URL": "https://someone:secret-4@example.test:444/callbacks?token=secret-5",
            "TWILIO_AUTH_TOKEN": f"{ACCOUNT}:secret-6,{OTHER_ACCOUNT}:secret-7",
            "PROJECTOR_API_KEYS": "reader:secret-8",
        }
    )
    for shown in (repr(config), str(config), f"{config}", f"{[config]}"):
        assert "secret" not in shown
        assert all(word in shown for word in ("db.test/name", "example.test:444/callbacks", "accounts=2"))


# check_web


def web(**settings: object) -> Config:
    return Config(
        **{"database_url": SQLITE, "public_url": "https://example.test/callbacks", "tokens": {ANY_ACCOUNT: ("one",)}} | settings
    )


def test_a_safe_web_server_may_start() -> None:
    """A token and an https address; on this machine alone http will do."""
    check_web(web())
    for host in ("127.0.0.1", "localhost:8080", "[::1]:8080"):
        check_web(web(public_url=f"http://{host}/callbacks"))
    check_web(web(public_url="http://example.test/callbacks", tokens={}, allow_unsafe=frozenset({"url", "token"})))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tokens": {}}, "TWILIO_AUTH_TOKEN is empty"),
        ({"public_url": ""}, "PROJECTOR_PUBLIC_URL"),
        ({"public_url": "example.test/callbacks"}, "PROJECTOR_PUBLIC_URL"),
        ({"public_url": "https:///callbacks"}, "PROJECTOR_PUBLIC_URL"),
        ({"public_url": "https://[broken/callbacks"}, "PROJECTOR_PUBLIC_URL"),
        ({"public_url": "https://example.test:99999999/callbacks"}, "PROJECTOR_PUBLIC_URL"),
        ({"public_url": "https://example.test:port/callbacks"}, "PROJECTOR_PUBLIC_URL"),
        ({"public_url": "http://example.test/callbacks"}, "Use https"),
        ({"public_url": "http://localhost.evil.test/callbacks"}, "Use https"),
        ({"public_url": "ftp://example.test/callbacks"}, "Use https"),
        ({"public_url": "http://example.test/callbacks", "allow_unsafe": frozenset({"token"})}, "Use https"),
        ({"tokens": {}, "allow_unsafe": frozenset({"url"})}, "TWILIO_AUTH_TOKEN is empty"),
    ],
)
def test_an_unsafe_web_server_is_refused(settings: dict[str, object], sentence: str) -> None:
    """No token, no address, an address in clear, one that no request could ever be checked against."""
    with pytest.raises(Misconfigured, match=sentence):
        check_web(web(**settings))


# check_store


def test_a_durable_store_may_start(url: URL) -> None:
    """Both databases as they come."""
    with closing(open_log(url)) as log:
        check_store(Config(database_url=url), log)


@pytest.mark.parametrize("value", ["y", "Yes", "TRUE", "1", "on", "t"])
def test_the_librarys_lockless_inserts_are_refused(new_url, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """POSTGRES_ENABLE_DB_FUNCTIONS loses callbacks between writer and reader; nothing allows it."""
    url = new_url("sqlite")
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", value)
    with closing(open_log(url)) as log:
        for allowed in (frozenset(), frozenset({"durability"})):
            with pytest.raises(Misconfigured, match="Unset it"):
                check_store(Config(database_url=url, allow_unsafe=allowed), log)
        monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "n")
        check_store(Config(database_url=url), log)


@pytest.mark.parametrize("setting", ["synchronous_commit"])
def test_a_postgresql_that_answers_before_the_disk_does_is_refused(new_url, setting: str) -> None:
    """Set for the database, as an administrator in a hurry does; said out loud, it is allowed."""
    url = new_url("postgresql")
    with disposing(open_engine(url)) as engine, engine.begin() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{url.database}" SET {setting} = off'))
    with closing(open_log(url)) as log:
        with pytest.raises(Misconfigured, match=f"{setting}=off"):
            check_store(Config(database_url=url), log)
        check_store(Config(database_url=url, allow_unsafe=frozenset({"durability"})), log)


def test_a_sqlite_that_answers_before_the_disk_does_is_refused(new_url) -> None:
    """synchronous=NORMAL may lose the last commits with the power."""
    url = new_url("sqlite")

    class Hasty(SQLiteLog):
        def synchronous(self) -> int:
            return 1

    log = Hasty(SQLiteDatastore(str(log_path(url)), originator_id_type="text"))
    try:
        with pytest.raises(Misconfigured, match="synchronous=1"):
            check_store(Config(database_url=url), log)
        check_store(Config(database_url=url, allow_unsafe=frozenset({"durability"})), log)
    finally:
        log.close()


def test_a_database_that_is_away_is_not_called_unsafe() -> None:
    """Whoever asks it later is told then; nothing is wrong with the settings."""
    url = database_url("postgresql://nobody@127.0.0.1:1/nothing")
    with closing(open_log(url)) as log, pytest.raises(StoreUnavailable):
        check_store(Config(database_url=url), log)


def test_options_in_the_url_are_added_to_ours_and_checked(databases: Databases) -> None:
    """`?options=` reaches the connections that append, beside our timeouts, and an unsafe one is refused."""
    url = databases.new("postgresql").update_query_dict({"options": "-c synchronous_commit=off"})
    log = open_log(url)
    try:
        assert isinstance(log, PostgresLog)
        assert log.setting("lock_timeout") == "1500ms"
        with pytest.raises(Misconfigured, match="synchronous_commit=off"):
            check_store(Config(database_url=url), log)
    finally:
        log.close()


def test_a_url_with_a_port_that_is_none_is_a_sentence() -> None:
    """SQLAlchemy raises a bare ValueError there."""
    with pytest.raises(Misconfigured, match="is not a URL"):
        database_url("postgresql://host:port/name")
