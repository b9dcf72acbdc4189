"""Everything is killed at random moments under load: what was acknowledged is there, once, and the tables are its fold."""

import os
import random
import signal

import pytest
from sqlalchemy.engine import URL

from tests.harness import (
    Clients,
    Process,
    Workload,
    assert_tables_are_the_folded_log,
    caught_up,
    crash_again_and_again,
    ending,
    free_port,
    inspect,
    measured,
    wait_until,
)

CYCLES = int(os.environ.get("PROJECTOR_CRASH_CYCLES", "20"))
ACKS_PER_CYCLE = 100


@pytest.fixture
def seed() -> int:
    """Of the callbacks and of the moments; printed with a failure. PROJECTOR_CRASH_SEED gives it again."""
    seed = int(os.environ.get("PROJECTOR_CRASH_SEED") or random.SystemRandom().randrange(2**32))
    measured(f"PROJECTOR_CRASH_SEED={seed}")
    return seed


@pytest.mark.crash
def test_nothing_acknowledged_is_lost_or_stored_twice_when_all_is_killed(url: URL, seed: int) -> None:
    """Web and loop are killed together at random moments under load; afterwards the log is whole and the tables are its fold."""
    process = Process.serving(url)
    with ending(process), Clients(process.port, Workload(seed)) as clients:
        crash_again_and_again(url, process, clients, CYCLES, seed)
        process.start()
        wait_until(lambda: clients.acks() >= ACKS_PER_CYCLE * CYCLES, seconds=300)
        clients.finish()
        took = wait_until(lambda: caught_up(process))
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    verdict = inspect(url, clients.acknowledged)
    measured(
        f"{url.get_backend_name()}: {CYCLES} kills, {clients.acks()} acks, {verdict.acknowledged} Sids, {verdict.stored} stored, caught up in {took:.1f} s"
    )
    assert clients.troubles == []
    assert verdict.lost == []
    assert verdict.doubled == []
    assert_tables_are_the_folded_log(url)


@pytest.mark.parametrize(("bug", "seen"), [("acknowledge-before-commit", "lost"), ("random-event-id", "doubled")])
def test_the_crash_test_sees_a_planted_bug(url: URL, seed: int, bug: str, seen: str) -> None:
    """A server that answers before its commit loses callbacks, one that makes Sids up stores them twice: both are seen."""
    port = free_port()
    process = Process(url, bug, str(port), module="tests.planted", port=port)
    with ending(process), Clients(port, Workload(seed)) as clients:
        for _ in range(3):
            process.start().wait_alive()
            acked = clients.acks()
            wait_until(lambda before=acked: clients.acks() > before + 150)
            process.kill()
    verdict = inspect(url, clients.acknowledged)
    measured(
        f"{url.get_backend_name()}, {bug}: {verdict.acknowledged} Sids acknowledged, {len(verdict.lost)} lost, {len(verdict.doubled)} doubled"
    )
    assert getattr(verdict, seen)
