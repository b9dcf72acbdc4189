"""reconcile: what `backfill` and `adopt` do, for ever, beside the projecting loop.

Every so many minutes the last three times as many are asked for, once a day the last day, with all that REST shows. It runs while its process
holds the lease on the tables, so of several processes one does it; should two for a moment, they append the same events once.
When the last day was asked for is a mark in the log: a restart does not ask again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from projector.config import Config
from projector.errors import ProjectorError, StoreUnavailable, TwilioUnavailable
from projector.feeds.adopt import adopt
from projector.feeds.backfill import SKEW_SECONDS, backfill
from projector.feeds.twilio import Twilio, open_twilio, workspaces_of
from projector.log import Log, Mark, open_log

FEED = "reconcile"
LATELY, DAILY = "lately", "daily"  # the parts of its mark: when each was done last
TIMES = 3  # an event is asked for so often before the daily look: it may appear late
DAY_SECONDS = 86_400
END_SECONDS = 30.0

logger = logging.getLogger(__name__)


@contextmanager
def reconciling(config: Config) -> Iterator[None]:
    """Reconcile in a thread of its own, as long as this lasts; without credentials, or switched off, say so."""
    if not config.twilio_keys or not config.reconcile_minutes:
        why = "PROJECTOR_RECONCILE_MINUTES is 0" if config.twilio_keys else "TWILIO_API_KEYS is not set"
        logger.info("reconcile_off", extra={"reason": why, "missed": "what Twilio does not deliver stays missing"})
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_reconcile, args=(config, stop), name="reconcile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)


def _reconcile(config: Config, stop: threading.Event) -> None:
    every_seconds = config.reconcile_minutes * 60
    with closing(open_log(config.database_url)) as log:
        while not stop.is_set():
            try:
                accounts = open_twilio(config, stop)
                look(log, workspaces_of(accounts, config.workspaces), every_seconds, stop)
            except ProjectorError as error:
                level = logging.INFO if isinstance(error, StoreUnavailable | TwilioUnavailable) else logging.WARNING
                logger.log(level, "not_reconciled", extra={"reason": str(error), "retry_in_seconds": every_seconds})
            except Exception:
                logger.exception("reconcile_failed")  # and the next look may not
            stop.wait(every_seconds)


def look(
    log: Log,
    workspaces: list[tuple[Twilio, str]],
    every_seconds: float,
    stop: threading.Event,
    now_seconds: Callable[[], float] = time.time,
) -> None:
    """Append what is missing of the last while; and once a day of the last day, with what REST shows now."""
    began = now_seconds()
    is_daily = is_due(log.marks(FEED).get(DAILY, ""), began)
    seconds = max(DAY_SECONDS if is_daily else 0, TIMES * every_seconds)
    missing = observed = 0
    for twilio, workspace in workspaces:
        since_ms, until_ms = round((began - seconds) * 1000), round((began + SKEW_SECONDS) * 1000)
        found = backfill(log, twilio, workspace, since_ms, until_ms, stop=stop, resumes=False)
        missing += found.appended
        if is_daily and not stop.is_set():
            observed += adopt(log, twilio, workspace, stop).outcomes["stored"]
    if stop.is_set():
        return
    at = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
    log.append([], [Mark(FEED, part, at) for part in ((LATELY, DAILY) if is_daily else (LATELY,))])
    logger.info("reconciled", extra={"back_seconds": round(seconds), "missing": missing, "observed": observed})


def is_due(last: str, now_seconds: float) -> bool:
    """Whether a day has passed since a mark; so it has where there is none, or one of the future."""
    try:
        passed = now_seconds - datetime.fromisoformat(last).timestamp()
    except ValueError:
        return True
    return not 0 <= passed < DAY_SECONDS
