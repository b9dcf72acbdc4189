"""The gap ledger over a simulated floor: no false alarm where nothing is lost, and how many losses are named where 5 of 100 are."""

import os
from collections import Counter
from itertools import islice

import pytest

from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from tests.given import START_MS, Parameters
from tests.harness import measured
from tests.ledger import Gap, Ledger, is_of, keys

WHOLE, AFTER = 4_000, 1_500
LOSSY = int(os.environ.get("PROJECTOR_GAPS_CALLBACKS", "4000"))  # 20,000 for the figures of CHANGELOG and closing notes
SEEDS = [1, 2, 3]


def day(seed: int, workers: int, callbacks: int) -> tuple[list[tuple[int, Parameters]], list[Parameters]]:
    """So many callbacks with when each was sent; and what came after them, for a floor is stopped in the middle of something."""
    floor = Floor(seed, workers, start_ms=START_MS).callbacks()
    return list(islice(floor, callbacks)), [told for _, told in islice(floor, AFTER)]


def unexplained(ledger: Ledger, *lost: Parameters) -> list[Gap]:
    """Gaps that are of none of these: false alarms."""
    of = keys(lost)
    return [gap for gap in ledger.gaps() if not is_of(gap, of)]


@pytest.mark.parametrize(("seed", "workers"), [(seed, 40 if seed == 2 else 12) for seed in SEEDS])
def test_nothing_is_missing_of_a_whole_floor(ledger: Ledger, seed: int, workers: int) -> None:
    """Transfers, timeouts, rescinded offers, however late and often they come: but what is told next, when it is stopped."""
    sent, rest = day(seed, workers, WHOLE)
    ledger.hears(told for _, told in deliveries(sent, seed, duplicates=0.1, late=0.3, late_ms_max=60_000))
    assert unexplained(ledger, *rest) == []
    half = len(rest) // 2
    assert unexplained(ledger.hears(rest[:half]), *rest[half:]) == []


@pytest.mark.parametrize("seed", [4])
def test_what_is_lost_of_a_floor_is_named_and_nothing_else(ledger: Ledger, seed: int) -> None:
    """Of every 100 callbacks 5 are lost: each gap is one of them; none is left when they come."""
    sent, rest = day(seed, 12, LOSSY)
    arriving = [told for _, told in deliveries(sent, seed, duplicates=0.05, late=0.2, late_ms_max=60_000, lost=0.05)]
    came = {told["Sid"] for told in arriving}
    lost = [told for _, told in sent if told["Sid"] not in came]
    ledger.hears(arriving)
    assert unexplained(ledger, *lost, *rest) == []
    gaps = list(ledger.gaps())
    named = {(gap.kind, gap.sid, event_type) for gap in gaps for event_type in gap.missing.split(" or ")}
    times = Counter(told["EventType"] for told in lost)
    seen = Counter(told["EventType"] for told in lost if keys([told]) & named)
    measured(
        f"{seen.total()} of {times.total()} named by {len(gaps)} gaps: "
        + ", ".join(f"{name} {seen[name]}/{times[name]}" for name in sorted(times))
    )
    assert seen["task.created"] == times["task.created"] > 10
    assert seen.total() > times.total() / 2
    assert unexplained(ledger.hears(lost), *rest) == []
