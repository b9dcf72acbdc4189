"""SIGTERM under load: what was fully sent before it is answered, what is acknowledged is stored, the end comes soon and clean."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from sqlalchemy.engine import URL

from tests.harness import ROOT, Clients, Process, Workload, ending, inspect, measured, wait_until

ROUNDS = int(os.environ.get("PROJECTOR_SHUTDOWN_ROUNDS", "4"))
EXIT_SECONDS = 10.0


@pytest.mark.crash
@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new connections"])
def test_every_request_sent_before_sigterm_is_answered(url: URL, keep_alive: bool) -> None:
    """SIGTERM to `serve` alone, or to all its processes at once as service managers do: no request is left without an answer."""
    slowest, answered, unanswered = 0.0, 0, []
    for number in range(ROUNDS):
        process = Process.serving(url)
        clients = Clients(process.port, Workload(number + 1000 * keep_alive), threads=24, keep_alive=keep_alive)
        with ending(process), clients:
            process.start().wait_alive()
            wait_until(lambda clients=clients: clients.acks() > 50)
            time.sleep(random.Random(number).uniform(0.0, 0.1))
            signaled_at = time.monotonic()
            (process.signal_all if number % 2 else process.signal)(signal.SIGTERM)
            status = process.wait()
            slowest = max(slowest, time.monotonic() - signaled_at)
        assert clients.troubles == []
        assert status == 0
        sent = [answer for answer in clients.answers if answer.sent_at < signaled_at <= answer.answered_at]
        unanswered += [answer for answer in sent if answer.status == 0]
        answered += len(sent)
        assert inspect(url, clients.acknowledged).lost == []
    measured(
        f"{url.get_backend_name()}: {ROUNDS} rounds, {answered} requests in flight at the signal, {len(unanswered)} not answered, slowest end {slowest:.2f} s"
    )
    assert unanswered == []
    assert slowest < EXIT_SECONDS


@pytest.mark.parametrize("age", [0.0, 1.0], ids=["just started", "at work"])
def test_nothing_outlives_serve(new_url: Callable[[str], URL], age: float) -> None:
    """When `serve` alone is killed, its web server and loop end too: no port stays taken, no lease is renewed."""
    process = Process.serving(new_url("sqlite"))
    with ending(process):
        process.start()
        wait_until(lambda: len(process.pids()) > 2, every=0.002)
        time.sleep(age)
        process.signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: process.pids() == [], seconds=30)


def test_sigterm_while_starting_is_taken(new_url: Callable[[str], URL]) -> None:
    """Told to end at any moment of its start, it ends soon and clean."""
    url = new_url("sqlite")
    for number in range(4):
        process = Process.serving(url)
        with ending(process):
            process.start()
            wait_until(lambda process=process: len(process.pids()) > 2, every=0.002)
            time.sleep(number * 0.3)
            began = time.monotonic()
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
            assert time.monotonic() - began < EXIT_SECONDS


STOPPED_300_TIMES = """
import os
from projector.processes import stop_on_signals
stop = stop_on_signals()
print("ready", flush=True)
for _ in range(300):
    while not stop.wait(0.00001):
        pass
    stop.clear()
os._exit(0)
"""


def test_a_signal_at_any_moment_is_taken() -> None:
    """Signals hit a process that waits in every possible line, its event's lock held or not: it never stands still."""
    process = subprocess.Popen([sys.executable, "-c", STOPPED_300_TIMES], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 30
        while process.poll() is None:
            assert time.monotonic() < deadline, "it does not take signals any more"
            process.send_signal(random.choice([signal.SIGTERM, signal.SIGINT]))
            time.sleep(0.001)
        assert process.wait() == 0
    finally:
        process.kill()
        process.communicate()
