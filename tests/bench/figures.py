"""Figures of several rounds or many calls, in few words."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The smallest, the middle and the greatest."""

    min: float
    median: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """What these come to."""
    return Spread(min(values), statistics.median(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them does not exceed: `percentile(latencies, 0.99)`."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def shown(value: float) -> str:
    """A figure with about three digits that matter: 12,345, 98.7, 1.52, 0.0514."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3g}"
