"""follow: project for ever. Takes the lease, catches up, polls; waits out a database that is away; stands by for another loop.

Polling is the truth: a notification may be lost, a poll may not. An idle loop asks the log every 20 ms at first, every
200 ms after a while.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import sqlalchemy as sa

from projector.access import projected, reading, writing
from projector.behind import table_sink
from projector.config import Config
from projector.database import open_engine
from projector.errors import NotMigrated, StandingBy, StoreUnavailable
from projector.lease import LEASE_MS, Lease
from projector.log import Log, open_log
from projector.project import advance, refold
from projector.sink import Sink
from projector.status import check_position, rebuild_due
from projector.taskrouter.fold import FOLD_VERSION

POLL_SECONDS = (0.02, 0.2)  # after a callback, after a quiet while
BACKOFF_SECONDS = (0.2, 5.0)
STANDBY_SECONDS = 1.0

logger = logging.getLogger(__name__)


def follow(config: Config, stop: threading.Event, beside: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
    """Project until told to stop; `beside` lasts while this loop is the one that does. Raises `LogMismatch` and `NotMigrated`: those
    need a person."""
    wait_seconds = BACKOFF_SECONDS[0]
    while not stop.is_set():
        log, engine = open_log(config.database_url), open_engine(config.database_url)
        try:
            began = time.monotonic()
            _work(log, engine, stop, beside)
        except StandingBy as error:
            logger.info("standing_by", extra={"reason": str(error)})
            stop.wait(STANDBY_SECONDS)
        except StoreUnavailable as error:
            if time.monotonic() - began > BACKOFF_SECONDS[1]:
                wait_seconds = BACKOFF_SECONDS[0]
            logger.warning(
                "database_away", extra={"retry_in_seconds": round(wait_seconds, 2), "reason": type(error.__cause__).__name__}
            )
            stop.wait(wait_seconds * random.uniform(0.8, 1.2))  # noqa: S311 (jitter, not a secret)
            wait_seconds = min(2 * wait_seconds, BACKOFF_SECONDS[1])
        finally:
            log.close()
            engine.dispose()


def _work(log: Log, engine: sa.Engine, stop: threading.Event, beside: Callable[[], AbstractContextManager[None]]) -> None:
    """Hold the lease and project, until told to stop or something is in the way."""
    lease = Lease()
    _take(engine, lease)
    try:
        with reading(engine) as connection:
            row = projected(connection)
        check_position(log, row)
        if row.fold_version > FOLD_VERSION:
            raise NotMigrated(
                f"The tables were folded by a newer release (fold {row.fold_version}, this one is {FOLD_VERSION}). Run that release."
            )
        if rebuild_due(row):
            logger.warning(
                "rebuild_due",
                extra={"tables_fold_version": row.fold_version, "fold_version": FOLD_VERSION, "next": "projector rebuild"},
            )
        with table_sink(engine, lease) as sink, beside():
            _project(log, sink, engine, lease, stop)
    finally:
        _give_back(engine, lease)


def _project(log: Log, sink: Sink, engine: sa.Engine, lease: Lease, stop: threading.Event) -> None:
    position = _heal(log, sink)
    logger.info("projecting", extra={"position": position})
    poll, renewed, is_written = POLL_SECONDS[0], time.monotonic(), True
    while not stop.is_set():
        reached = advance(log, sink, position)
        if reached > position:
            position, poll, renewed, is_written = reached, POLL_SECONDS[0], time.monotonic(), False
            continue
        if not is_written:
            sink.position()  # or a batch that was refused would be noticed when the next callback comes, which may be long
            is_written = True
        if time.monotonic() - renewed > LEASE_MS / 5000:
            _take(engine, lease)
            renewed = time.monotonic()
        stop.wait(poll)
        poll = min(poll * 1.1, POLL_SECONDS[1])


def _take(engine: sa.Engine, lease: Lease) -> None:
    with writing(engine) as connection:
        taken = lease.take(connection)
    if not taken:
        with reading(engine) as connection:
            holder = projected(connection).holder
        raise StandingBy(f"The loop {holder} holds the lease." if holder else "Another loop held the lease just now.")


def _give_back(engine: sa.Engine, lease: Lease) -> None:
    try:
        with writing(engine) as connection:
            lease.give_back(connection)
    except (StoreUnavailable, NotMigrated) as error:
        logger.info("lease_not_given_back", extra={"reason": type(error).__name__})  # it runs out by itself


def _heal(log: Log, sink: Sink) -> int:
    """Fold anew what failed before: a new release may have mended it. Returns the position."""
    position = sink.position()
    broken = sink.incomplete()
    batch = refold(log, sink, broken, position) if broken else None
    if batch is not None:
        sink.save(batch)
    return position
