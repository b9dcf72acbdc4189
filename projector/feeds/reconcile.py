"""reconcile: what `backfill` and `adopt` do, for ever, beside the projecting loop.

Every so many minutes the last three times as many are asked for, and what nobody has asked for yet, up to 30 days; once a day the last day,
with all that REST shows. It runs while its process holds the lease on the tables, so of several processes one does it; should two for a
moment, they append the same events once. When each workspace was looked at is a mark in the log: a restart asks for what came since.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial

from projector.config import Config
from projector.errors import ProjectorError, StoreUnavailable, TwilioRefused, TwilioUnavailable
from projector.feeds.adopt import adopt
from projector.feeds.backfill import KEPT_SECONDS, SKEW_SECONDS, UNSETTLED_SECONDS, backfill
from projector.feeds.twilio import Twilio, open_twilio, workspaces_of
from projector.log import Log, Mark, open_log

FEED = "reconcile"
LATELY, DAILY = "lately", "daily"  # a part of its mark, with the workspace: when each was done last
TIMES = 3  # an event is asked for so often before the daily look: it may appear late
DAY_SECONDS = 86_400
END_SECONDS = 5.0  # one answer may be waited for; more than that would be killed, and keep the lease

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
                places = workspaces_of(accounts, config.workspaces, tell=partial(_say_refused, every_seconds=every_seconds))
                look(log, places, every_seconds, stop)
            except (StoreUnavailable, TwilioUnavailable) as error:
                logger.info("not_reconciled", extra={"reason": str(error), "retry_in_seconds": every_seconds})
            except ProjectorError as error:
                _say_refused(error, every_seconds)
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
    """Append what is missing of the last while, and of as long as nobody looked; once a day of the last day, with what REST shows now.

    A workspace that Twilio refuses keeps the others from nothing. Raises `TwilioUnavailable` and `StoreUnavailable`.
    """
    for twilio, workspace in workspaces:
        try:
            _look_at(log, twilio, workspace, every_seconds, stop, now_seconds)
        except TwilioRefused as error:
            _say_refused(error, every_seconds)


def _look_at(
    log: Log, twilio: Twilio, workspace: str, every_seconds: float, stop: threading.Event, now_seconds: Callable[[], float]
) -> None:
    began, marks = now_seconds(), log.marks(FEED)
    lately, daily = (seconds_since(marks.get(f"{part} {workspace}", ""), began) for part in (LATELY, DAILY))
    is_daily = daily is None or daily >= DAY_SECONDS
    unlooked_seconds = 0 if lately is None else lately + UNSETTLED_SECONDS
    seconds = min(KEPT_SECONDS, max(DAY_SECONDS if is_daily else 0, TIMES * every_seconds, unlooked_seconds))
    since_ms, until_ms = round((began - seconds) * 1000), round((began + SKEW_SECONDS) * 1000)
    found = backfill(
        log, twilio, workspace, since_ms, until_ms, stop=stop, resumes=False, now_ms=lambda: round(now_seconds() * 1000)
    )
    observed = adopt(log, twilio, workspace, stop).outcomes["stored"] if is_daily and not stop.is_set() else 0
    if stop.is_set():
        return
    at = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
    log.append([], [Mark(FEED, f"{part} {workspace}", at) for part in ((LATELY, DAILY) if is_daily else (LATELY,))])
    logger.info(
        "reconciled",
        extra={"workspace": workspace, "back_seconds": round(seconds), "missing": found.appended, "observed": observed},
    )


def _say_refused(error: ProjectorError, every_seconds: float) -> None:
    logger.warning("not_reconciled", extra={"reason": str(error), "retry_in_seconds": every_seconds})


def seconds_since(mark: str, now_seconds: float) -> float | None:
    """How long ago a mark was made; None where there is none, or one of the future."""
    try:
        passed = now_seconds - datetime.fromisoformat(mark).timestamp()
    except ValueError:
        return None
    return passed if passed >= 0 else None
