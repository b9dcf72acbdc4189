"""A backfill as tests make one: a Twilio of ours three hours into the story, many tasks, what the log has then."""

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from projector.feeds.backfill import Backfilled, backfill
from projector.log import Log
from tests.fake_twilio import FakeTwilio
from tests.given import ACCOUNT, START_MS, WORKSPACE, MemoryLog, Parameters, ms, task_created
from tests.test_twilio_client import asking

CALLBACKS = int(os.environ.get("PROJECTOR_BACKFILL_CALLBACKS", "4000"))
SEED = int(os.environ.get("PROJECTOR_BACKFILL_SEED", "1"))
STORMY = {"too_many": 0.2, "failures": 0.1}
HOUR = 3600
NOW_MS = START_MS + 3 * HOUR * 1000


@contextmanager
def at_three_hours() -> Iterator[FakeTwilio]:
    """A Twilio at three hours into the story, with one workspace."""
    with FakeTwilio(now_ms=lambda: NOW_MS) as fake:
        fake.workspaces[WORKSPACE] = ACCOUNT
        yield fake


def told(count: int, over: float, start: float = 0, seed: int = 1) -> list[Parameters]:
    """So many tasks, created at random moments of `over` seconds; many share a second, some a boundary."""
    at = random.Random(seed)
    return [
        task_created(start + at.choice((at.uniform(0, over), at.randrange(int(over) + 1))), f"{seed} {n}") for n in range(count)
    ]


def filling(log: Log | MemoryLog, fake: FakeTwilio, since: float = -60, until: float = 3 * HOUR, **more: Any) -> Backfilled:
    """A backfill of the story, by our clock being right."""
    more = {"now_ms": fake.now_ms} | more
    return backfill(log, asking(fake), WORKSPACE, ms(since), ms(until), **more)  # type: ignore[arg-type]  # a log in memory is as much of one as it asks


def sids(log: Log | MemoryLog) -> list[str]:
    return sorted(json.loads(row.state)["parameters"]["Sid"] for row in log.read(0, 1_000_000))


def sids_of(events: list[Parameters]) -> list[str]:
    return sorted(each["Sid"] for each in events)
