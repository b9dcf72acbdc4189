"""Processes under load, ended on purpose: what the crash, outage and shutdown tests are made of.

`Process` is a `projector` command in a session of its own, `Clients` post signed callbacks as Twilio would (again and again
until 204), `Workload` makes them up from a seed, and `inspect` compares what was acknowledged with what the log holds.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import writing
from projector.database import disposing, open_engine
from projector.importing import export_lines
from projector.log import open_log
from projector.project import project
from projector.sink import MemorySink
from projector.table_sink import TableSink
from tests.given import ACCOUNT, TOKEN, Parameters, reservation, signed, task_completed, task_created, text_url, worker

ROOT = Path(__file__).parent.parent
ANSWER_SECONDS = 30.0  # a client waits longer than any answer may take, so that a late one is seen and measured
EPHEMERAL_PORTS_BEGIN = 32_768  # below, no outgoing connection takes the port while its server is dead


def free_port() -> int:
    """A port nobody listens on, and none that an outgoing connection gets."""
    while True:
        port = random.SystemRandom().randrange(15_000, EPHEMERAL_PORTS_BEGIN)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(holds: Callable[[], bool], seconds: float = 60.0, every: float = 0.02) -> float:
    """Seconds until it holds; a failure when it does not within the deadline."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"did not happen within {seconds} s: {holds}"
        time.sleep(every)
    return time.monotonic() - began


def measured(figures: str) -> None:
    """Figures of a test, shown with `-s` or `-rP` and when it fails."""
    print(figures)  # noqa: T201 (a test's figures, for its reader)


class Process:
    """One command and all it starts, in a session of their own, so that they can be ended together."""

    def __init__(self, url: URL, *arguments: str, module: str = "projector", port: int | None = None) -> None:
        self.port, self.database = port, url
        self._arguments = [sys.executable, "-m", module, *arguments]
        self._environment = {
            **os.environ,
            "PROJECTOR_DATABASE_URL": text_url(url),
            "PROJECTOR_PUBLIC_URL": f"http://127.0.0.1:{port}/callbacks",
            "TWILIO_AUTH_TOKEN": f"{ACCOUNT}:{TOKEN}",
            "PROJECTOR_API_KEYS": "reader:secret",
            "PYTHONUNBUFFERED": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log = b""

    @classmethod
    def serving(cls, url: URL, *more: str, port: int | None = None) -> "Process":
        """`projector serve` on a free port."""
        port = port or free_port()
        return cls(url, "serve", "--port", str(port), *more, port=port)

    def start(self) -> "Process":
        """Start it; nothing is waited for."""
        self._process = subprocess.Popen(
            self._arguments,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True).start()
        return self

    def wait_alive(self, seconds: float = 60.0) -> "Process":
        """Wait until it answers."""
        wait_until(lambda: self.get("/healthz")[0] == 200, seconds)
        return self

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a GET; (0, {}) when nobody answers."""
        assert self.port is not None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()

    def post(self, *callbacks: Parameters) -> list[int]:
        """The answers to callbacks, posted in this order, signed."""
        assert self.port is not None
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with closing(connection):
            for parameters in callbacks:
                body, headers = signed(parameters, f"http://127.0.0.1:{self.port}/callbacks")
                connection.request("POST", "/callbacks", body, headers)
                answer = connection.getresponse()
                answer.read()
                found.append(answer.status)
        return found

    def signal(self, number: int) -> None:
        """A signal to the command itself, not to what it started."""
        self._running.send_signal(number)

    def signal_all(self, number: int) -> None:
        """A signal to every process of its session."""
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, number)

    def kill(self) -> None:
        """SIGKILL to all of them, at once."""
        if self._process is not None:
            self.signal_all(signal.SIGKILL)
            self._process.wait(timeout=30)

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit status."""
        return self._running.wait(timeout=seconds)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines with this event."""
        lines = [line for line in self._log.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
        return [line for line in map(json.loads, lines) if line["event"] == event]

    @property
    def stderr(self) -> str:
        """All it wrote to standard error so far."""
        return self._log.decode(errors="replace")

    def pids(self) -> list[int]:
        """The processes of its session."""
        return [pid for pid, group in _process_groups() if group == self._running.pid]

    def rss_kib(self) -> int:
        """Memory of all its processes together."""
        return sum(_rss_kib(pid) for pid in self.pids())

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def _drain(self, pipe: Any) -> None:
        with pipe:
            for line in pipe:
                self._log += line


@contextmanager
def ending(*processes: Process) -> Iterator[None]:
    """Whatever happens, none of them outlives this."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _process_groups() -> Iterator[tuple[int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[2])


def _rss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


class Workload:
    """Small lives of tasks and workers: a tenth delivered twice, some early or late. The same seed, the same callbacks."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._lives = 0
        self._ready: list[Parameters] = []
        self.made = 0

    def next(self) -> Parameters:
        """The next callback to deliver."""
        with self._lock:
            if not self._ready:
                self._ready = self._shuffled([callback for _ in range(20) for callback in self._life()])
            self.made += 1
            return self._ready.pop()

    def _shuffled(self, callbacks: list[Parameters]) -> list[Parameters]:
        callbacks += self._random.sample(callbacks, len(callbacks) // 10)
        places = [(place + self._random.uniform(0, 12), number) for number, place in enumerate(range(len(callbacks)))]
        return [callbacks[number] for _, number in sorted(places, reverse=True)]

    def _life(self) -> list[Parameters]:
        self._lives += 1
        at, task, offer = self._lives / 2, f"task {self._lives}", f"reservation {self._lives}"
        who = f"worker {self._lives % 25}"
        story = [
            task_created(at, task),
            reservation("created", at + 1, offer, task, who),
            reservation("accepted", at + 2, offer, task, who),
            worker("activity.update", at + 2.5, who, self._random.choice(["Idle", "Busy", "Away"])),
        ]
        if self._random.random() < 0.8:
            story += [
                reservation("wrapup", at + 3, offer, task, who),
                reservation("completed", at + 4, offer, task, who),
                task_completed(at + 5, task),
            ]
        return story


class Answer(NamedTuple):
    """One request and what came back; `status` 0: the connection ended without an answer."""

    sid: str
    sent_at: float  # monotonic, when the whole request had left; 0.0 when it had not
    answered_at: float
    status: int
    retry_after: str | None

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return self.answered_at - self.sent_at


class Clients:
    """Threads that post callbacks, each one again until it is acknowledged."""

    def __init__(self, port: int, workload: Workload, threads: int = 6, pause: float = 0.0, *, keep_alive: bool = True) -> None:
        self._port, self._workload, self._pause, self._keep_alive = port, workload, pause, keep_alive
        self._no_more, self._give_up = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: Counter[str] = Counter()
        self.answers: list[Answer] = []
        self.troubles: list[str] = []
        self._threads = [threading.Thread(target=self._post_all, daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up.set()
        self._no_more.set()
        for thread in self._threads:
            thread.join(timeout=ANSWER_SECONDS + 10)

    def finish(self, seconds: float = 60.0) -> None:
        """Take no new callback; every one begun is posted until it is acknowledged."""
        self._no_more.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.1, deadline - time.monotonic()))
            assert not thread.is_alive(), "a callback is still not acknowledged"

    def acks(self) -> int:
        """How many 204 came back."""
        return self.acknowledged.total()

    def _post_all(self) -> None:
        connection = self._connection()
        try:
            while not self._no_more.is_set():
                parameters = self._workload.next()
                body, headers = signed(parameters, f"http://127.0.0.1:{self._port}/callbacks")
                if not self._keep_alive:
                    headers["Connection"] = "close"
                while not self._post(connection, parameters["Sid"], body, headers):
                    if self._give_up.is_set():
                        return
                    time.sleep(max(0.02, self._pause))
                time.sleep(self._pause)
        except Exception as error:  # noqa: BLE001 (a thread's error must reach the test)
            self.troubles.append(repr(error))
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)

    def _post(self, connection: http.client.HTTPConnection, sid: str, body: bytes, headers: Mapping[str, str]) -> bool:
        sent_at, status, retry_after = 0.0, 0, None
        try:
            connection.request("POST", "/callbacks", body, dict(headers))
            sent_at = time.monotonic()
            answer = connection.getresponse()
            answer.read()
            status, retry_after = answer.status, answer.getheader("Retry-After")
        except (OSError, http.client.HTTPException):
            connection.close()
        if sent_at:
            with self._lock:
                self.answers.append(Answer(sid, sent_at, time.monotonic(), status, retry_after))
                if status == 204:
                    self.acknowledged[sid] += 1
                elif status not in (0, 503):
                    self.troubles.append(f"{sid} was answered {status}")
        return status == 204


class Verdict(NamedTuple):
    """What was promised against what is there."""

    acknowledged: int
    stored: int
    lost: list[str]
    doubled: list[str]


def inspect(url: URL, acknowledged: Mapping[str, int]) -> Verdict:
    """Acknowledged Sids against the log, as it is exported."""
    log = open_log(url)
    try:
        stored = Counter(json.loads(line)["parameters"]["Sid"] for line in export_lines(log))
    finally:
        log.close()
    lost = [sid for sid in acknowledged if sid not in stored]
    return Verdict(len(acknowledged), stored.total(), lost, [sid for sid, times in stored.items() if times > 1])


def assert_tables_are_the_folded_log(url: URL) -> None:
    """The tables hold, row by row, what the whole log comes to when it is folded in memory."""
    log, memory = open_log(url), MemorySink()
    try:
        project(log, memory)
    finally:
        log.close()
    with disposing(open_engine(url)) as engine:
        sink = TableSink(engine)
        assert sink.position() == memory.position()
        assert sink.rows() == memory.rows()


def end_lease(url: URL) -> None:
    """Let the lease of a loop that is known to be dead run out now, which spares the tests five seconds."""
    with disposing(open_engine(url)) as engine, writing(engine) as connection:
        connection.execute(sa.update(tables.projection).values(lease_expires_at=0))


def caught_up(process: Process) -> bool:
    """True when its tables hold all of its log, by its own account."""
    progress = process.get("/readyz")[1]
    return bool(progress.get("log_position")) and progress["lag_events"] == 0


def crash_again_and_again(url: URL, process: Process, clients: Clients, cycles: int, seed: int) -> None:
    """Under load: start, wait for life, SIGKILL everything at a random moment. It is dead at the end."""
    moments = random.Random(seed)
    for _ in range(cycles):
        process.start()
        if moments.random() < 0.9:
            process.wait_alive()
            time.sleep(moments.uniform(0.05, 0.9))
        else:
            time.sleep(moments.uniform(0.0, 1.5))  # while it starts
        process.kill()
        end_lease(url)
