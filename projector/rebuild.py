"""rebuild: fold the whole log into fresh tables while everything goes on, catch up, and swap them in at once.

It is the loop of `project.py` over other slices: each of several processes takes one part of all units. What parts have in common,
the names of things that several units mention, each keeps to itself until the end, when they are merged and written once.

Killed at any moment it leaves the tables that serve as they were; what it made is removed by the next one. For its last step it
takes the lease from the live loop, which stands by meanwhile, folds what has arrived since, and swaps in one transaction.
"""

import logging
import multiprocessing
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import logs, tables
from projector.database import database_url, disposing, open_engine
from projector.errors import NotRebuilt, StandingBy
from projector.fresh import Fresh, fresh_tables
from projector.lease import Lease
from projector.log import Log, open_log
from projector.processes import end_with_parent
from projector.project import Partition, folded_page, project
from projector.sink import Batch
from projector.table_sink import TableSink, reading, writing
from projector.taskrouter.mention import Mentions, merge_all

PAGE = 5_000
CATCH_UPS = 3  # each has less left than the one before; the last is what the live loop has to stand by for
SWAP_PATIENCE_SECONDS = 120.0
SWAP_PAUSE_SECONDS = 0.5

Progress = Callable[[int, int], None]  # callbacks folded so far, of how many

logger = logging.getLogger(__name__)


class Share(NamedTuple):
    """What one part's fold leaves to be written with the others': names, counts, the greatest event time."""

    mentions: Mentions
    event_types: Counter[str]
    event_ms: int


class Rebuilt(NamedTuple):
    """What a rebuild did."""

    position: int
    seconds: float
    parts: int


def rebuild(url: URL, parts: int = 1, progress: Progress = lambda _done, _of: None) -> Rebuilt:
    """Make all tables anew from the log and swap them in. Raises `NotRebuilt`; the tables are then as they were."""
    began = time.monotonic()
    fresh = fresh_tables(url)
    with fresh.alone(), closing(open_log(url)) as log, ExitStack() as ending:
        upto = log.end()
        ours = secrets.token_hex(4)  # a process that outlived another rebuild finds no projection of its name
        names = [f"{ours} part {part} of {parts}" for part in range(parts)]
        ending.callback(fresh.discard)
        fresh.begin(names)
        shares = _fold_all(url, fresh, names, upto, progress)
        fresh.join(parts)
        position = _finish(url, log, fresh, _merged(log, shares, upto))
    return Rebuilt(position, time.monotonic() - began, parts)


def _fold_all(url: URL, fresh: Fresh, names: list[str], upto: int, progress: Progress) -> list[Share]:
    """Every part folded up to a position, here or in a process each."""
    parts = len(names)
    texts = [(_text(url), _text(fresh.url(part)), name) for part, name in enumerate(names)]
    if parts == 1:
        return [_fold_part(*texts[0], Partition(0, 1), upto, lambda done: progress(done, upto))]
    spawn = multiprocessing.get_context("spawn")
    reached = spawn.RawArray("q", parts)
    with ProcessPoolExecutor(parts, spawn, initializer=_begin_part, initargs=(reached, os.getpid())) as pool:
        with _without_interrupts():
            running = [pool.submit(_fold_told, *texts[part], Partition(part, parts), upto) for part in range(parts)]
        try:
            while (state := wait(running, timeout=0.2, return_when=FIRST_EXCEPTION)).not_done:
                for future in state.done:
                    future.result()
                progress(sum(reached) // parts, upto)
            return [future.result() for future in running]
        except BrokenProcessPool as error:
            raise NotRebuilt("One of its processes was killed. The tables are as they were; run it again.") from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()  # or leaving the pool would wait for the end of their work
            raise


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes begun in here never see Ctrl-C, which a terminal sends to all: the rebuild ends them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


_reached: Any = None


def _begin_part(reached: Any, parent: int) -> None:
    """In a part's process: end with the rebuild, even when that is killed; say how far it is through shared memory."""
    global _reached
    _reached = reached
    end_with_parent(parent)
    logs.configure()


def _fold_told(log_url: str, fresh_url: str, name: str, part: Partition, upto: int) -> Share:
    def tell(done: int) -> None:
        _reached[part.number] = done

    return _fold_part(log_url, fresh_url, name, part, upto, tell)


def _fold_part(log_url: str, fresh_url: str, name: str, part: Partition, upto: int, tell: Callable[[int], None]) -> Share:
    """One part of all units, from nothing to a position; what it shares with other parts is kept back."""
    share = Share({}, Counter(), 0)
    position = 0
    with closing(open_log(database_url(log_url))) as log, disposing(open_engine(database_url(fresh_url))) as engine:
        sink = TableSink(engine, name=name)
        while position < upto:
            stored = log.read(position, PAGE, upto)
            batch = folded_page(log, sink, position, stored, part)
            merge_all(share.mentions, batch.mentions)
            share.event_types.update(batch.event_types)
            share = share._replace(event_ms=max(share.event_ms, batch.event_ms))
            sink.save(batch._replace(mentions={}, event_types={}))
            position = batch.position
            tell(position)
        return share


def _merged(log: Log, shares: list[Share], upto: int) -> Batch | None:
    """One batch of what the parts kept back, which brings the whole to their position. None for an empty log."""
    originator_id = log.originator_at(upto)
    if originator_id is None:
        return None
    mentions: Mentions = {}
    counts: Counter[str] = Counter()
    for share in shares:
        merge_all(mentions, share.mentions)
        counts.update(share.event_types)
    return Batch(0, upto, originator_id, max(share.event_ms for share in shares), {}, mentions, counts, {})


def _finish(url: URL, log: Log, fresh: Fresh, merged: Batch | None) -> int:
    """Write what is common, catch up, and swap, the live loop standing by. The position the tables are at."""
    if merged is not None:
        with disposing(open_engine(fresh.url())) as engine:
            TableSink(engine).save(merged)
    lease, deadline = Lease(), time.monotonic() + SWAP_PATIENCE_SECONDS
    while not _swapped(url, log, fresh, lease):
        if time.monotonic() > deadline:
            raise NotRebuilt(
                f"The tables could not be had for a moment in {SWAP_PATIENCE_SECONDS:.0f} s: somebody reads them for long (a query, "
                "`projector verify`). They are as they were. Run it again when that has ended."
            )
        logger.info("swap_refused", extra={"reason": "somebody reads the tables", "retry_in_seconds": SWAP_PAUSE_SECONDS})
        time.sleep(SWAP_PAUSE_SECONDS)
    with disposing(open_engine(url)) as engine:
        return TableSink(engine).position()


def _swapped(url: URL, log: Log, fresh: Fresh, lease: Lease) -> bool:
    """One try. The log's end is at or beyond whatever the live loop has projected, so nobody sees the tables go back."""
    with disposing(open_engine(fresh.url())) as engine, disposing(open_engine(url)) as serving:
        sink = TableSink(engine)
        for _ in range(CATCH_UPS):
            project(log, sink, log.end(), PAGE)  # not to the very end: as long as callbacks arrive there is none
        with writing(serving) as connection:
            lease.seize(connection)
        try:
            project(log, sink, log.end(), PAGE)
            _refuse_incomplete(engine)
            return fresh.swap(lease)
        except StandingBy:
            return False  # it took longer than a lease, and another loop took over
        finally:
            with writing(serving) as connection:
                lease.give_back(connection)


def _refuse_incomplete(engine: sa.Engine) -> None:
    """Rows of units whose fold failed would be missing: better the old tables, which have them."""
    c = tables.incomplete_unit.c
    with reading(engine) as connection:
        failed = connection.execute(sa.select(c.unit, c.error).order_by(c.unit)).all()
    if failed:
        some = "; ".join(f"{unit} ({error})" for unit, error in failed[:3])
        raise NotRebuilt(
            f"{len(failed)} units could not be folded, which is a bug of this release: {some}{'; …' if failed[3:] else ''}. "
            "The tables are as they were. Report it, and rebuild with a release that mends it."
        )


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
