"""How much of a worker's channels was in use over a stretch of time: steps, from the spans of its timeline."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from projector.read.happening import Window
from projector.read.worker import TAKES_CAPACITY


class Step(NamedTuple):
    """From `started_ms` to `ended_ms` the load was `load`: pending, accepted and wrapping reservations that take capacity."""

    started_ms: int
    ended_ms: int
    load: int


def steps(timeline: Iterable[Mapping[str, Any]], window: Window) -> dict[str, list[Step]]:
    """By TaskChannelSid, the steps with any load, cut to the window; `timeline`: of a worker, see `timeline.timeline`."""
    changes: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in timeline:
        if row["kind"] != "reservation" or row["status"] not in TAKES_CAPACITY or row["ignore_capacity"]:
            continue
        started_ms = max(row["started_at"], window.start_ms)
        ended_ms = window.end_ms if row["ended_at"] is None else min(row["ended_at"], window.end_ms)
        if row["task_channel_sid"] and started_ms < ended_ms:
            changes[row["task_channel_sid"]][started_ms] += 1
            changes[row["task_channel_sid"]][ended_ms] -= 1
    return {sid: _summed(of) for sid, of in sorted(changes.items())}


def _summed(changes: Mapping[int, int]) -> list[Step]:
    found, load, before = [], 0, 0
    for ms in sorted(ms for ms, change in changes.items() if change):  # an offer that is accepted changes nothing
        if load:
            found.append(Step(before, ms, load))
        load, before = load + changes[ms], ms
    return found
