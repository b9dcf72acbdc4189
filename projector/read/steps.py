"""How much of a worker's channels was in use over a stretch of time: steps, from the spans of its timeline."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from projector.read.happening import Window
from projector.read.worker import TAKES_CAPACITY


class Step(NamedTuple):
    """From `started_ms` to `ended_ms` the load was `load`: pending, accepted and wrapping reservations that take capacity; of a
    `capacity`, None where nobody told it."""

    started_ms: int
    ended_ms: int
    load: int
    capacity: int | None


def steps(timeline: Iterable[Mapping[str, Any]], window: Window) -> dict[str, list[Step]]:
    """By TaskChannelSid, the steps with any load, cut to the window; `timeline`: of a worker, see `timeline.timeline`."""
    changes: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    capacities: dict[str, dict[int, int | None]] = defaultdict(dict)
    for row in timeline:
        if row["kind"] == "channel":
            capacities[row["task_channel_sid"]][row["started_at"]] = row["configured_capacity"]
        if row["kind"] != "reservation" or row["status"] not in TAKES_CAPACITY or row["ignore_capacity"]:
            continue
        started_ms = max(row["started_at"], window.start_ms)
        ended_ms = window.end_ms if row["ended_at"] is None else min(row["ended_at"], window.end_ms)
        if row["task_channel_sid"] and started_ms < ended_ms:
            changes[row["task_channel_sid"]][started_ms] += 1
            changes[row["task_channel_sid"]][ended_ms] -= 1
    return {sid: _summed(of, capacities[sid]) for sid, of in sorted(changes.items())}


def _summed(changes: Mapping[int, int], capacities: Mapping[int, int | None]) -> list[Step]:
    found, load, capacity, before = [], 0, None, 0
    told = {ms for ms, change in changes.items() if change}  # an offer that is accepted changes nothing
    for ms in sorted(told | capacities.keys()):
        if load and before < ms:
            found.append(Step(before, ms, load, capacity))
        load, capacity, before = load + changes.get(ms, 0), capacities.get(ms, capacity), ms
    return found
