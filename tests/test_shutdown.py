"""SIGTERM under load: what was fully sent before it is answered, what is acknowledged is stored, the end comes soon and clean."""

import os
import random
import signal
import time

import pytest
from sqlalchemy.engine import URL

from tests.harness import Clients, Process, Workload, ending, inspect, wait_until

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
    print(f"{url.get_backend_name()}: {ROUNDS} rounds, {answered} requests in flight at the signal, {len(unanswered)} not answered, slowest end {slowest:.2f} s")  # noqa: T201
    assert unanswered == []
    assert slowest < EXIT_SECONDS
