"""How much of everything: in full, as the targets are stated, and so little that a test can run it all."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Numbers of callbacks unless they say seconds."""

    post_seconds: float = 5.0  # each stretch of P1, after the warm-up
    probe_seconds: float = 2.0  # each server configuration tried
    warm_seconds: float = 1.0
    append_seconds: float = 3.0
    appends: int = 90_000  # at most so many in a stretch: each is stored once
    imported: int = 100_000
    caught_up: int = 200_000
    backlog: int = 4_000  # of the library's runner, which takes them one by one
    veteran: int = 200_000  # of one worker, before the measured stretch
    veteran_more: int = 5_000  # of that worker, within it
    rebuilt_few: int = 100_000
    rebuilt_many: int = 1_000_000
    looked_few: int = 10_000
    looked_many: int = 1_000_000
    looks: int = 2_000
    live_seconds: float = 20.0
    live_per_second: float = 200.0
    starts: int = 10


FULL = Sizes()
SMALL = Sizes(
    post_seconds=0.5,
    probe_seconds=0.3,
    warm_seconds=0.2,
    append_seconds=0.4,
    appends=4_000,
    imported=2_000,
    caught_up=2_000,
    backlog=200,
    veteran=1_000,
    veteran_more=50,
    rebuilt_few=1_000,
    rebuilt_many=5_000,
    looked_few=2_000,
    looked_many=5_000,
    looks=50,
    live_seconds=2.0,
    starts=2,
)
