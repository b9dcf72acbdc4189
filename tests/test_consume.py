"""`projector consume kinesis` as the command it is: refused, stopped, killed, its database gone."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy.engine import URL

from projector.database import database_url
from projector.errors import StoreUnavailable
from projector.importing import export_lines
from projector.log import open_log
from projector.migrate import migrate
from tests.databases import Databases
from tests.given import task_created, text_url
from tests.harness import ROOT, Process, Workload, ending, measured, wait_until
from tests.kinesis import REGION, Kinesis, Put
from tests.postgres import Server

KILLS = int(os.environ.get("PROJECTOR_CRASH_CYCLES", "5"))
EXIT_SECONDS = 10.0


@pytest.fixture
def seed() -> int:
    """Of the callbacks and of the moments; printed with a failure. PROJECTOR_CRASH_SEED gives it again."""
    seed = int(os.environ.get("PROJECTOR_CRASH_SEED") or random.SystemRandom().randrange(2**32))
    measured(f"PROJECTOR_CRASH_SEED={seed}")
    return seed


def run(url: URL, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "projector", "consume", "kinesis", *arguments]
    env = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)} | environment
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def consuming(url: URL, kinesis: Kinesis, stream: str) -> Process:
    return Process(url, "consume", "kinesis", stream, "--region", REGION, "--endpoint-url", kinesis.url)


def stored(url: URL) -> Counter[str]:
    with closing(open_log(url)) as log:
        return Counter(json.loads(line)["parameters"]["Sid"] for line in export_lines(log))


def marks(url: URL, stream: str) -> dict[str, str]:
    with closing(open_log(url)) as log:
        return log.marks(f"kinesis:{stream}")


class Writer:
    """Writes callbacks into a stream, without a rest, until told to stop."""

    def __init__(self, kinesis: Kinesis, stream: str, workload: Workload, pause: float = 0.05) -> None:
        self._put: list[tuple[str, Put]] = []
        self._writing = threading.Lock()
        self._kinesis, self._stream, self._workload, self._pause = kinesis, stream, workload, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def put(self) -> list[tuple[str, Put]]:
        """All that can have been read so far, each with the Sid it holds."""
        with self._writing:
            return self._put.copy()

    def _write(self) -> None:
        while not self._stop.is_set():
            told = [self._workload.next() for _ in range(20)]
            with self._writing:
                written = self._kinesis.put(self._stream, *told)
                self._put += [(each["Sid"], record) for each, record in zip(told, written, strict=True)]
            self._stop.wait(self._pause)


def test_once_reads_to_the_end_and_says_what_became_of_it(kinesis: Kinesis, url: URL) -> None:
    """For a job that catches up: JSON, exit status 0; the next one goes on where it stopped."""
    stream = kinesis.stream(2)
    kinesis.put(stream, *(task_created(at, f"t{at}") for at in range(30)))
    for appended in (30, 0):
        done = run(url, stream, "--region", REGION, "--endpoint-url", kinesis.url, "--once")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "appended": appended, "duplicate": 0, "quarantined": 0, "of_other_workspaces": 0, "of_other_products": 0,
        }  # fmt: skip
    assert len(stored(url)) == 30


def test_once_ends_while_others_go_on_writing(kinesis: Kinesis, new_url: Callable[[str], URL]) -> None:
    """With all that was there when it began."""
    url, stream = new_url("sqlite"), kinesis.stream(2)
    with Writer(kinesis, stream, Workload(2), pause=0.0) as writer:
        wait_until(lambda: len(writer.put()) > 200)
        before = {sid for sid, _ in writer.put()}
        done = run(url, stream, "--region", REGION, "--endpoint-url", kinesis.url, "--once")
    assert done.returncode == 0, done.stderr
    assert set(stored(url)) >= before


def test_only_those_workspaces_come_in(kinesis: Kinesis, new_url: Callable[[str], URL]) -> None:
    """PROJECTOR_WORKSPACES holds here too; an account that TWILIO_AUTH_TOKEN does not name is quarantined."""
    url, stream = new_url("sqlite"), kinesis.stream(1)
    kinesis.put(
        stream,
        task_created(1),
        task_created(2, "t2", AccountSid="AC" + "f" * 32),
        task_created(3, "t3", WorkspaceSid="WS" + "c" * 32),
    )
    told = {
        "PROJECTOR_WORKSPACES": task_created(1)["WorkspaceSid"],
        "TWILIO_AUTH_TOKEN": f"{task_created(1)['AccountSid']}:token",
    }
    said = json.loads(run(url, stream, "--region", REGION, "--endpoint-url", kinesis.url, "--once", **told).stdout)
    assert (said["appended"], said["quarantined"], said["of_other_workspaces"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["there-is-none", "--region", REGION], {}, "There is no stream there-is-none in this account and region."),
        (["s"], {}, "Give --region, or set AWS_REGION."),
        (["arn:aws:kinesis:us-east-1:1:stream/s", "--region", REGION], {}, "Give the name alone"),
        (["s", "--region", REGION, "--endpoint-url", "no endpoint"], {}, "Give --endpoint-url as `https://host`."),
        (["s", "--region", REGION], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "There are no usable AWS credentials."),
        (["s", "--region", REGION], {"AWS_PROFILE": "nobody"}, "AWS_PROFILE names a profile that is not there."),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_with_the_next_step(
    kinesis: Kinesis, new_url: Callable[[str], URL], arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    """Exit status 2, no traceback."""
    if "--endpoint-url" not in arguments:
        arguments = [*arguments, "--endpoint-url", kinesis.url]
    done = run(new_url("sqlite"), *arguments, **environment)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_it_refuses_tables_that_are_not_there(kinesis: Kinesis, databases: Databases) -> None:
    """Before anything is read."""
    done = run(databases.new("sqlite", migrated=False), "s", "--region", REGION, "--endpoint-url", kinesis.url)
    assert (done.returncode, "projector migrate" in done.stderr) == (2, True)


def test_without_the_extra_it_says_what_to_install(new_url: Callable[[str], URL]) -> None:
    """And every other command goes on without it."""
    without = "import sys; sys.modules['boto3'] = None; from projector.cli import main; main()"
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(new_url("sqlite"))}
    done = [
        subprocess.run([sys.executable, "-c", without, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        for arguments in (["consume", "kinesis", "s"], ["consume", "kinesis", "--help"], ["status", "--json"])
    ]  # fmt: skip
    assert [each.returncode for each in done] == [2, 0, 0]
    assert "pip install 'taskrouter-projector[kinesis]'" in done[0].stderr
    assert "Traceback" not in done[0].stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_batch(kinesis: Kinesis, new_url: Callable[[str], URL], number: int) -> None:
    """Soon, with exit status 0, and with a mark that is not behind what is stored either."""
    url, stream = new_url("sqlite"), kinesis.stream(2)
    process = consuming(url, kinesis, stream)
    with ending(process), Writer(kinesis, stream, Workload(4)) as writer:
        process.start()
        wait_until(lambda: sum(stored(url).values()) > 100)
        process.signal(number)
        assert process.wait(EXIT_SECONDS) == 0
    assert "Traceback" not in process.stderr
    (said,) = process.said("consumed")
    assert said["appended"] == sum(stored(url).values())
    assert_marks_are_where_the_log_is(url, stream, writer.put())
    assert "testing" not in process.stderr  # the credentials


def assert_marks_are_where_the_log_is(url: URL, stream: str, put: list[tuple[str, Put]]) -> None:
    """Up to its mark everything of a shard is stored, and nothing after it."""
    found, marked = stored(url), marks(url, stream)
    read = {sid for sid, record in put if record.number <= int(marked.get(record.shard, "0"))}
    assert set(found) == read
    assert set(found.values()) <= {1}


@pytest.mark.crash
def test_killed_at_random_moments_it_loses_nothing_and_stores_nothing_twice(kinesis: Kinesis, url: URL, seed: int) -> None:
    """While records are being written: at each death the marks are exactly where the log is; in the end everything is there, once."""
    stream, moments = kinesis.stream(3), random.Random(seed)
    process = consuming(url, kinesis, stream)
    with ending(process):
        with Writer(kinesis, stream, Workload(seed)) as writer:
            for _ in range(KILLS):
                before = sum(stored(url).values())
                process.start()
                wait_until(lambda before=before: sum(stored(url).values()) > before)
                threading.Event().wait(moments.uniform(0.0, 0.6))
                process.kill()
                assert_marks_are_where_the_log_is(url, stream, writer.put())
        process.start()
        wanted = {sid for sid, _ in writer.put()}
        wait_until(lambda: set(stored(url)) == wanted)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    measured(f"{url.get_backend_name()}: {KILLS} kills, {len(writer.put())} records, {len(wanted)} Sids, all stored once")
    assert_marks_are_where_the_log_is(url, stream, writer.put())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_a_transaction_it_loses_nothing_and_stores_nothing_twice(kinesis: Kinesis, url: URL, moment: str) -> None:
    """Right before it begins, or right after it is durable: the marks are exactly where the log is."""
    stream, workload = kinesis.stream(2), Workload(9)
    told = [workload.next() for _ in range(60)]
    put = list(zip((each["Sid"] for each in told), kinesis.put(stream, *told), strict=True))
    arguments = ("consume", "kinesis", stream, "--region", REGION, "--endpoint-url", kinesis.url, "--once")
    for number in (1, 2):
        process = Process(url, str(number), moment, *arguments, module="tests.dying")
        with ending(process):
            assert process.start().wait() == -signal.SIGKILL
        assert_marks_are_where_the_log_is(url, stream, put)
        told = [workload.next() for _ in range(60)]
        put += zip((each["Sid"] for each in told), kinesis.put(stream, *told), strict=True)
    assert run(url, *arguments[2:]).returncode == 0
    assert_marks_are_where_the_log_is(url, stream, put)
    assert set(stored(url)) == {sid for sid, _ in put}


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL that this test may stop."""
    with TemporaryDirectory(prefix="projector-consume-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def test_a_database_that_is_away_is_waited_for(kinesis: Kinesis, server: Server) -> None:
    """PostgreSQL stops and comes back under it: it goes on by itself, and nothing is missing."""
    url = database_url(server.url)
    migrate(url)
    stream = kinesis.stream(2)
    process = consuming(url, kinesis, stream)
    with ending(process):
        with Writer(kinesis, stream, Workload(6)) as writer:
            process.start()
            wait_until(lambda: sum(stored(url).values()) > 50)
            server.stop("immediate")
            wait_until(lambda: len(process.said("database_away")) > 2)
            with pytest.raises(StoreUnavailable):
                stored(url)
            server.start()
        wait_until(lambda: set(stored(url)) == {sid for sid, _ in writer.put()})
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert_marks_are_where_the_log_is(url, stream, writer.put())


def test_no_redirect_is_followed(new_url: Callable[[str], URL]) -> None:
    """Whatever answers at the endpoint sends nobody elsewhere; it is asked again later."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = Process(
            new_url("sqlite"), "consume", "kinesis", "s", "--region", REGION, "--endpoint-url", f"http://127.0.0.1:{server.server_port}"
        )  # fmt: skip
        with ending(process):
            process.start()
            wait_until(lambda: len(process.said("kinesis_away")) > 1)
        server.shutdown()
    assert set(asked) == {"/"}
