"""The board's stream: says when to look again, resumes, beats while nothing happens, says what is wrong, and never takes all threads."""

import http.client
import itertools
import signal
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from sqlalchemy.engine import URL

from projector.board import stream as streaming
from projector.board.shared import Shared
from projector.board.stream import MOST, Pulse
from projector.errors import ProjectorError, StoreUnavailable
from tests.board import board_over
from tests.given import worker
from tests.harness import Process, ending, wait_until

AUTHORIZATION = {"Authorization": f"Basic {b64encode(b'reader:secret').decode()}"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits waits a hundredth."""
    for name in ("LOOK_SECONDS", "CALM_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(streaming, name, getattr(streaming, name) / 100)


def names(events: Iterator[str], many: int) -> list[str]:
    """What the next events are called."""
    return [each.partition("event: ")[2].partition("\n")[0] for each in itertools.islice(events, many)]


class Tables:
    """Where the tables are, or what is wrong with them."""

    def __init__(self) -> None:
        self.position, self.wrong = 7, ""

    def look(self) -> int:
        if self.wrong:
            raise StoreUnavailable(self.wrong)
        return self.position


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def pulse(tables: Tables) -> Iterator[Pulse]:
    pulse = Pulse(tables.look)
    yield pulse
    pulse.close()
    wait_until(lambda: watching() == 0)


def watching() -> int:
    """How many threads look at tables."""
    return sum(thread.name == "pulse" for thread in threading.enumerate())


def test_a_stream_begins_with_where_the_tables_are_and_goes_on_as_they_move(tables: Tables, pulse: Pulse) -> None:
    """The position is the event's id; nothing new is a tick."""
    assert pulse.enter()
    events = pulse.events(None)
    assert next(events) == "retry: 1000\n\n"
    assert next(events) == 'id: 7\nevent: moved\ndata: {"position": 7}\n\n'
    assert names(events, 2) == ["tick", "tick"]
    tables.position = 9
    assert 'id: 9\nevent: moved\ndata: {"position": 9}\n\n' in itertools.islice(events, 3)


def test_a_browser_that_comes_back_resumes(tables: Tables, pulse: Pulse) -> None:
    """Nothing moved since what it saw last: no event but the tick; something did: at once."""
    assert pulse.enter()
    assert names(pulse.events(7), 2) == ["", "tick"]
    assert names(pulse.events(6), 2) == ["", "moved"]


def test_trouble_is_told_and_its_end_too(tables: Tables, pulse: Pulse) -> None:
    """The sentence is the error's; afterwards the stream goes on from where it was."""
    assert pulse.enter()
    events = pulse.events(7)
    assert names(events, 2) == ["", "tick"]
    tables.wrong = "The database does not answer: away"
    wait_until(lambda: "The database does not answer: away" in next(events))
    tables.wrong, tables.position = "", 8
    wait_until(lambda: next(events).startswith("id: 8\nevent: moved"))


def test_trouble_that_nobody_foresaw_is_told_too(tables: Tables, pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that looks goes on: what it tells is never just old."""
    assert pulse.enter()
    events = pulse.events(7)
    assert names(events, 2) == ["", "tick"]

    def broken() -> int:
        raise TimeoutError("the pool is exhausted")

    monkeypatch.setattr(pulse, "_look", broken)
    wait_until(lambda: "nobody foresaw" in next(events))
    monkeypatch.setattr(pulse, "_look", lambda: 9)
    wait_until(lambda: next(events).startswith("id: 9"))


@pytest.mark.parametrize("told", ["9" * 5000, "²", "-1", "x"])
def test_a_last_event_that_is_none_takes_no_stream_for_good(url: URL, told: str) -> None:
    """Whatever a browser says it saw last: it is answered, and leaves its place when it goes."""
    with board_over(url) as board:
        for _ in range(MOST + 5):
            answer = board.web.get("/stream", headers={"Last-Event-ID": told})
            assert answer.status_code == 200
            answer.close()
        board.pulse.close()
        wait_until(lambda: watching() == 0)


def test_there_are_so_many_streams_and_no_more(pulse: Pulse) -> None:
    """Whoever comes beyond is refused until one leaves."""
    assert [pulse.enter() for _ in range(MOST + 1)] == [True] * MOST + [False]
    pulse.leave()
    assert pulse.enter()


def test_nobody_looks_while_nobody_listens(tables: Tables, pulse: Pulse) -> None:
    """One thread looks for all of them; it ends with the last one."""
    assert pulse.enter()
    assert pulse.enter()
    wait_until(lambda: watching() == 1)
    pulse.leave()
    pulse.leave()
    wait_until(lambda: watching() == 0)
    assert pulse.enter()
    wait_until(lambda: watching() == 1)


def test_closing_ends_every_stream(pulse: Pulse) -> None:
    """A server that stops does not wait for viewers, and takes no more."""
    assert pulse.enter()
    events = pulse.events(None)
    next(events)
    pulse.close()
    assert list(itertools.islice(events, 3)) == []
    assert not pulse.enter()


def test_what_many_ask_at_once_is_worked_out_once() -> None:
    """Whoever asks the same meanwhile, or within the second, has the same answer; then it is made anew."""
    now, made = [0.0], itertools.count(1)
    shared = Shared(lambda: now[0])
    begun = threading.Event()

    def slow() -> str:
        begun.set()
        time.sleep(0.05)
        return f"made {next(made)}"

    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(shared.get("a", slow))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["made 1"] * 8
    assert shared.get("b", slow) == "made 2"
    now[0] = 1.0
    assert shared.get("a", slow) == "made 3"


def test_what_takes_longer_than_a_second_is_not_begun_again() -> None:
    """Whoever asks while it is being made waits for it, however long that is."""
    now, made = [0.0], itertools.count(1)
    shared, begun, go_on = Shared(lambda: now[0]), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go_on.wait(30)
        return f"made {next(made)}"

    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(shared.get("a", slow))) for _ in range(2)]
    threads[0].start()
    begun.wait(30)
    now[0] = 5.0
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == ["made 1"] * 2


def test_an_error_is_everybody_s_who_waits_and_is_not_kept() -> None:
    """It is raised to each, and a second later somebody tries again."""
    now, shared = [0.0], Shared(lambda: now[0])

    def fail() -> str:
        raise StoreUnavailable("away")

    for _ in range(2):
        with pytest.raises(ProjectorError, match="away"):
            shared.get("a", fail)
    now[0] = 1.0
    assert shared.get("a", lambda: "there") == "there"


def listening(port: int) -> http.client.HTTPConnection:
    """A connection with an open stream; reading it waits at most 30 s."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/stream", headers=AUTHORIZATION)
    return connection


def test_the_server_streams_takes_callbacks_meanwhile_and_stops_at_once(
    new_url: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All streams taken: one more is told to come by the clock, callbacks are stored, a stream says so; SIGTERM ends it all, cleanly."""
    monkeypatch.setenv("PROJECTOR_WEB_PROCESSES", "1")
    process = Process.serving(new_url("sqlite"))
    with ending(process), ExitStack() as open_:
        process.start().wait_alive()
        connections = [open_.enter_context(closing(listening(process.port))) for _ in range(MOST)]
        answers = [connection.getresponse() for connection in connections]
        assert {answer.status for answer in answers} == {200}
        assert answers[0].getheader("Content-Type") == "text/event-stream; charset=utf-8"
        with closing(listening(process.port)) as beyond:
            assert beyond.getresponse().status == 503
        first = answers[0]
        assert first.readline() == b"retry: 1000\n"
        assert process.post(worker("created", 1)) == [204]
        wait_until(lambda: first.readline() == b"event: moved\n")
        connections[1].sock.shutdown(socket.SHUT_RDWR)
        answers[1].close()
        wait_until(lambda: _is_taken(process.port), every=0.5)
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert time.monotonic() - began < 8  # granian would kill after that: nothing waited for a viewer


def _is_taken(port: int) -> bool:
    """Whether a stream that was given up has made room for another."""
    with closing(listening(port)) as another:
        return another.getresponse().status == 200
