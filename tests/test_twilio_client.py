"""Twilio is asked at one host, patiently but not for ever, and nothing of it is told to anybody."""

import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme

from projector.config import Config
from projector.errors import Misconfigured, ProjectorError, TwilioRefused, TwilioUnavailable
from projector.feeds.twilio import SDK_HOST, OneHost, Patience, Twilio, open_twilio, workspaces_of
from tests.fake_twilio import SECRET, FakeTwilio, Quirks
from tests.given import ACCOUNT, START_MS, WORKSPACE, sid, task_created
from tests.posting import NOWHERE

CANARY = "canary7f3a"
OTHER_ACCOUNT, OTHER_WORKSPACE = "AC" + "c" * 32, "WS" + "d" * 32
QUICK = Patience(connect=2, read=5, answer=5, total=20, first_pause=0.001, longest_pause=0.01)


@pytest.fixture
def fake() -> Iterator[FakeTwilio]:
    """A Twilio with one workspace, in which one task was created."""
    with FakeTwilio(now_ms=lambda: START_MS + 60_000) as fake:
        fake.offer(task_created(at=1))
        yield fake


def asking(fake: FakeTwilio, patience: Patience = QUICK, **settings: Any) -> Twilio:
    config = Config(database_url=NOWHERE, twilio_url=fake.url, twilio_keys=fake.keys)
    return open_twilio(
        Config(**{name: getattr(config, name) for name in config.__struct_fields__} | settings), Event(), patience
    )[0]


def listed(twilio: Twilio) -> list[Any]:
    return [event for page in twilio.events(WORKSPACE, START_MS // 1000, START_MS // 1000 + 60) for event in page]


class Time:
    """A clock that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, []  # type: ignore[var-annotated]

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return False

    def asking(self, fake: FakeTwilio, patience: Patience = Patience()) -> Twilio:  # noqa: B008 (a constant)
        return Twilio(ACCOUNT, fake.keys[ACCOUNT], OneHost(fake.url, ACCOUNT, Event(), patience, self.wait, lambda: self.now))


def test_the_sdk_reads_lists_at_the_configured_host(fake: FakeTwilio) -> None:
    """Its typed resources, too: whoever wants Workers has the SDK's own client."""
    twilio = asking(fake)
    assert twilio.workspaces() == [WORKSPACE]
    assert [event["sid"] for event in listed(twilio)] == [task_created(at=1)["Sid"]]
    fake.resources[f"/v1/Workspaces/{WORKSPACE}/Workers"] = [{"sid": sid("WK", "ann"), "friendly_name": "ann"}]
    assert [worker.friendly_name for worker in twilio.client.taskrouter.v1.workspaces(WORKSPACE).workers.stream()] == ["ann"]
    assert twilio.asked.requests == len(fake.asked) == 3


def test_next_pages_are_followed_at_the_configured_host(fake: FakeTwilio) -> None:
    """Twilio names its own host in `next_page_url`: the same path is asked for where PROJECTOR_TWILIO_URL says."""
    fake.quirks = Quirks(page_max=3, next_host=SDK_HOST)
    fake.offer(*(task_created(at=2, task_=str(n)) for n in range(9)))
    assert len(listed(asking(fake))) == 10
    assert len(fake.asked) == 4


def test_a_refused_account_keeps_nothing_from_another(fake: FakeTwilio) -> None:
    """Where its workspaces are not asked for; where they may be, it is said: raised, or told to who goes on without."""
    accounts = [asking(fake), asking(fake, twilio_keys={OTHER_ACCOUNT: ("SK" + "0" * 32, "revoked")})]
    assert [sid for _, sid in workspaces_of(accounts, frozenset({WORKSPACE}))] == [WORKSPACE]
    for allowed in (frozenset[str](), frozenset({WORKSPACE, OTHER_WORKSPACE})):
        with pytest.raises(TwilioRefused, match="answers 401"):
            workspaces_of(accounts, allowed)
        told: list[TwilioRefused] = []
        assert [sid for _, sid in workspaces_of(accounts, allowed, tell=told.append)] == [WORKSPACE]
        assert "answers 401" in str(told[0])


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example", "http://taskrouter.twilio.com", "https://taskrouter.twilio.com.evil.example",
        "https://taskrouter.twilio.com@evil.example", "https://taskrouter.twilio.com:8443", "https://api.twilio.com",
        "https://taskrouter.twilio.com\\@evil.example", "https://TASKROUTER.twilio.com.", "file://", "//evil.example", "", "https://[evil.example",
    ],
)  # fmt: skip
def test_an_answer_that_leads_to_another_host_is_refused(fake: FakeTwilio, host: str) -> None:
    """Nothing is asked there: our credentials would go with it. The sentence does not quote the address."""
    with FakeTwilio() as elsewhere:
        for named in (host, elsewhere.url):
            fake.quirks = Quirks(page_max=1, next_host=named)
            fake.offer(task_created(at=3))
            with pytest.raises(TwilioRefused, match="no other is asked") as refused:
                listed(asking(fake))
            assert "evil" not in str(refused.value)
        assert elsewhere.asked == []
        assert len(fake.asked) == 2


def test_a_redirect_is_never_followed(fake: FakeTwilio) -> None:
    """Neither to another host nor to the same."""
    with FakeTwilio() as elsewhere:
        for to in (elsewhere.url, fake.url):
            fake.quirks.redirect = to
            with pytest.raises(TwilioRefused, match=r"answers 307 .* is never followed"):
                listed(asking(fake))
        assert elsewhere.asked == []
        assert len(fake.asked) == 2


def test_the_environment_s_region_leads_nowhere_else(fake: FakeTwilio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would take its host from TWILIO_EDGE and TWILIO_REGION."""
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    assert len(listed(asking(fake))) == 1


def test_a_proxy_of_the_environment_is_used(fake: FakeTwilio, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere: HTTP_PROXY, HTTPS_PROXY, NO_PROXY."""
    monkeypatch.setenv("HTTP_PROXY", fake.url)
    monkeypatch.setenv("NO_PROXY", "")
    twilio = asking(fake, twilio_url="http://localhost:1")
    assert len(listed(twilio)) == 1


def test_nothing_but_reading(fake: FakeTwilio) -> None:
    """The SDK could change and delete; over this client it cannot."""
    resource = asking(fake).client.taskrouter.v1.workspaces(WORKSPACE)
    for change in (resource.delete, lambda: resource.update(friendly_name="x"), lambda: resource.workers.create("x")):
        with pytest.raises(TwilioRefused, match="only ever read"):
            change()
    assert fake.asked == []


def test_certificates_are_verified(fake: FakeTwilio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server with a certificate that nobody here trusts is told nothing, our credentials least of all; trusted, it is asked."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    url = fake.over_tls(context)
    with pytest.raises(TwilioRefused, match=f"The certificate of {url} is not trusted here"):
        asking(fake, twilio_url=url).workspaces()
    assert fake.asked == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    assert asking(fake, twilio_url=url).workspaces() == [WORKSPACE]


def test_that_twilio_is_away_is_told_once_for_each_question(fake: FakeTwilio, caplog: pytest.LogCaptureFixture) -> None:
    """At the second failure: whoever waits for a command would else not know for what, for minutes."""
    caplog.set_level(logging.INFO)
    fake.quirks.failures = 1.0
    for times in (1, 2):
        with pytest.raises(TwilioUnavailable):
            Time().asking(fake).workspaces()
        said = [record for record in caplog.records if record.message == "twilio_asked_again"]
        assert len(said) == times
    told = vars(said[0])  # what a record carries beside its message is typed by nobody
    assert told["reason"] == f"Twilio ({fake.url}) answers 500"
    assert 0 < told["for_seconds_at_most"] <= 300


def test_a_trouble_that_passes_is_not_told(fake: FakeTwilio, caplog: pytest.LogCaptureFixture) -> None:
    """One 429 among many questions is how Twilio says not so fast; unless it asks for minutes."""
    caplog.set_level(logging.INFO)
    fake.quirks.too_many, time = 1.0, Time()
    twilio = time.asking(fake)

    def mend(seconds: float) -> bool:
        fake.quirks.too_many = 0.0
        return time.wait(seconds)

    twilio.client.http_client._wait = mend
    assert twilio.workspaces() == [WORKSPACE]
    assert (twilio.asked.too_many, [record.message for record in caplog.records]) == (1, [])
    fake.quirks.too_many, fake.quirks.retry_after = 1.0, "240"
    assert twilio.workspaces() == [WORKSPACE]
    assert (twilio.asked.too_many, [record.message for record in caplog.records]) == (2, ["twilio_asked_again"])


def test_accounts_without_a_workspace_are_refused_in_words(fake: FakeTwilio) -> None:
    """Nothing would be asked and nothing said, as where nothing is missing."""
    fake.workspaces.clear()
    with pytest.raises(TwilioRefused, match="TWILIO_API_KEYS have no workspace"):
        workspaces_of([asking(fake)], frozenset())


@pytest.mark.parametrize("status", ["too_many", "failures"])
def test_what_passes_is_asked_again(fake: FakeTwilio, status: str) -> None:
    """429 and 5xx: the same question until it is answered, with pauses that double up to their longest."""
    setattr(fake.quirks, status, 1.0)
    time = Time()
    twilio = time.asking(fake)

    def mend(seconds: float) -> bool:
        if len(time.pauses) == 8:
            setattr(fake.quirks, status, 0.0)
        return time.wait(seconds)

    twilio.client.http_client._wait = mend
    assert len(listed(twilio)) == 1
    bounds = [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(time.pauses, bounds, strict=True)), time.pauses
    assert (twilio.asked.requests, twilio.asked.too_many) == (10, 9 if status == "too_many" else 0)
    assert twilio.asked.waited_seconds == sum(time.pauses)


def test_it_waits_as_long_as_it_is_asked_to(fake: FakeTwilio) -> None:
    """`Retry-After` in seconds or as a date; what is neither is not heard."""
    asks = {"45": 45, format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True): 90, "soon": 0, "-5": 0}
    for retry_after, least in asks.items():
        fake.quirks = Quirks(too_many=1.0, retry_after=retry_after)
        time = Time()
        with pytest.raises(TwilioUnavailable):
            listed(time.asking(fake))
        assert min(time.pauses) >= least
        assert max(time.pauses) <= max(30, least + 15)


@pytest.mark.parametrize("retry_after", ["301", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_it_does_not_wait_for_ever(fake: FakeTwilio, retry_after: str) -> None:
    """Asked to wait longer than it would, it says so at once; and all pauses together have an end."""
    fake.quirks = Quirks(too_many=1.0, retry_after=retry_after)
    time = Time()
    with pytest.raises(TwilioUnavailable, match=r"answers 429, and waiting .* more is too long. Run it again later."):
        listed(time.asking(fake))
    assert time.pauses == []
    fake.quirks.retry_after = None
    with pytest.raises(TwilioUnavailable, match="too long"):
        listed(time.asking(fake))
    assert 240 < sum(time.pauses) <= 300


def test_who_does_not_answer_is_asked_again_and_then_no_more(fake: FakeTwilio) -> None:
    """Nobody listens; an answer comes a byte at a time, or breaks off."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
        time = Time()
        twilio = Twilio(ACCOUNT, ("u", "p"), OneHost(nobody, ACCOUNT, Event(), Patience(), time.wait, lambda: time.now))
        with pytest.raises(TwilioUnavailable, match="cannot be reached"):
            twilio.workspaces()
        assert twilio.asked.requests > 5
    with pytest.raises(TwilioUnavailable, match="cannot be reached"):  # it does not speak TLS: a hiccup of that kind passes
        asking(fake, QUICK._replace(total=0.1), twilio_url=fake.url.replace("http:", "https:")).workspaces()
    fake.quirks.drip = True
    with pytest.raises(TwilioUnavailable, match="does not answer in time"):
        listed(asking(fake, QUICK._replace(answer=0.2, total=0.3)))


def test_a_pause_ends_when_it_is_told_to_stop(fake: FakeTwilio) -> None:
    """No matter how long it was to be."""
    fake.quirks = Quirks(too_many=1.0, retry_after="290")
    stop = Event()
    stop.set()
    twilio = Twilio(ACCOUNT, fake.keys[ACCOUNT], OneHost(fake.url, ACCOUNT, stop))
    with pytest.raises(TwilioUnavailable, match="stopped while it waited"):
        twilio.workspaces()


def test_a_refusal_says_which_setting_to_check(fake: FakeTwilio) -> None:
    """401, 404, 400 with Twilio's number; asked once, not again."""
    twilio = asking(fake)
    with pytest.raises(TwilioRefused, match=r"answers 404 for account AC.*PROJECTOR_WORKSPACES"):
        list(twilio.events(OTHER_WORKSPACE, 0, 1))
    with pytest.raises(TwilioRefused, match=r"answers 400 .*\(error 20001\)"):
        list(twilio.pages(f"/Workspaces/{WORKSPACE}/Events", Minutes=5, StartDate="2026-01-01T00:00:00Z"))
    fake.keys[ACCOUNT] = (ACCOUNT, "rotated")
    with pytest.raises(TwilioRefused, match=r"answers 401 .*TWILIO_API_KEYS"):
        listed(twilio)
    assert len(fake.asked) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"[]", b"1", b"{}", b'{"meta":null}', b'{"meta":{"key":"events"}}', b'{"meta":{"key":"events"},"events":5}',
        b'{"meta":{"key":[]}}', b"[" * 100_000, b'{"meta":{"key":"events","next_page_url":[1]},"events":[]}', b"\xff\xfe",
        b'{"meta":{"key":"events"},"events":' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_what_is_no_page_is_told_in_words(fake: FakeTwilio, body: bytes) -> None:
    """A gateway's page of its own, half an answer: to be tried again later."""
    fake.quirks.body = body
    with pytest.raises(TwilioUnavailable, match="Run it again later"):
        listed(asking(fake))


def test_pages_that_lead_in_a_circle_end(fake: FakeTwilio) -> None:
    """Each answer may name a next page; the same one twice is enough."""
    fake.quirks.next_again = True
    with pytest.raises(TwilioUnavailable, match="do not end"):
        listed(asking(fake))
    assert len(fake.asked) == 2


def test_which_workspaces_are_asked_for() -> None:
    """The one that is named, else the allowed ones, else all; each with the account that has it."""
    keys = {ACCOUNT: (ACCOUNT, SECRET), OTHER_ACCOUNT: ("SK" + "1" * 32, "another")}
    with FakeTwilio(keys=keys) as fake:
        fake.workspaces = {WORKSPACE: ACCOUNT, OTHER_WORKSPACE: OTHER_ACCOUNT}
        accounts = open_twilio(Config(database_url=NOWHERE, twilio_url=fake.url, twilio_keys=keys), Event(), QUICK)

        def asked_for(allowed: set[str] = frozenset(), only: str | None = None) -> list[tuple[str, str]]:  # type: ignore[assignment]
            return [(account.account, workspace) for account, workspace in workspaces_of(accounts, frozenset(allowed), only)]

        both = [(ACCOUNT, WORKSPACE), (OTHER_ACCOUNT, OTHER_WORKSPACE)]
        assert asked_for() == both
        assert asked_for({OTHER_WORKSPACE}) == both[1:]
        assert asked_for(only=WORKSPACE) == both[:1]
        assert asked_for({WORKSPACE, OTHER_WORKSPACE}, WORKSPACE) == both[:1]
        with pytest.raises(Misconfigured, match="not in PROJECTOR_WORKSPACES"):
            asked_for({WORKSPACE}, OTHER_WORKSPACE)
        for allowed, only in (({"WS" + "0" * 32}, None), (set[str](), "WS" + "0" * 32)):
            with pytest.raises(TwilioRefused, match="has the workspace WS000"):
                asked_for(allowed, only)


def test_without_credentials_nobody_is_asked() -> None:
    """One sentence, with the setting."""
    with pytest.raises(Misconfigured, match="Set TWILIO_API_KEYS"):
        open_twilio(Config(database_url=NOWHERE), Event())


def test_nothing_of_it_is_told(fake: FakeTwilio, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Credentials, a proxy's password, what answers hold: in no log line at any level, in no sentence."""
    caplog.set_level(logging.DEBUG)
    key = (f"SK{CANARY}", f"{CANARY}-secret-é")
    fake.offer(task_created(at=4, TaskAttributes=f'{{"name":"{CANARY}"}}', TaskQueueName=CANARY))
    told: list[str] = []
    for keys, quirks in (
        ({ACCOUNT: key}, Quirks(page_max=1)),
        ({ACCOUNT: key}, Quirks(too_many=0.5, failures=0.4)),
        ({ACCOUNT: (ACCOUNT, "other")}, Quirks()),
        ({ACCOUNT: key}, Quirks(next_host=f"https://{CANARY}:{CANARY}@evil.example", page_max=1)),
        ({ACCOUNT: key}, Quirks(redirect=f"https://{CANARY}.example")),
        ({ACCOUNT: key}, Quirks(body=CANARY.encode())),
        ({ACCOUNT: key}, Quirks(drip=True)),
    ):
        fake.keys, fake.quirks = keys, quirks
        twilio = Twilio(ACCOUNT, key, OneHost(fake.url, ACCOUNT, Event(), QUICK._replace(answer=0.1, total=0.2)))
        try:
            listed(twilio)
        except ProjectorError as error:
            told.append(str(error))
            logging.getLogger("projector.feeds").warning("asking_failed: %s", error)
    assert len(told) >= 5
    assert CANARY not in "".join(told) + caplog.text + "".join(capfd.readouterr())
    assert CANARY not in repr(Config(database_url=NOWHERE, twilio_keys={ACCOUNT: key}))


def test_pauses_are_not_the_same_for_all(fake: FakeTwilio) -> None:
    """Many that were turned away together do not come back together."""
    fake.quirks.failures = 1.0
    first = set()
    for _ in range(10):
        time = Time()
        with pytest.raises(TwilioUnavailable):
            listed(time.asking(fake, Patience(total=3)))
        first.add(time.pauses[0])
    assert len(first) > 3
