"""rebuild: fold the whole log into fresh tables while everything goes on, catch up, and swap them in at once.

The log is swept unit by unit (`sweep.py`), by several processes at once: each takes a share of all units. What the shares have in
common, the names of things that several units mention, each keeps to itself until the end, when they are merged and written once.

Killed at any moment it leaves the tables that serve as they were; what it made is removed by the next one. For its last step it
takes the lease from the live loop, which stands by meanwhile, folds what has arrived since, and swaps in one transaction.
"""

import logging
import multiprocessing
import os
import secrets
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from itertools import islice, pairwise
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import logs, tables
from projector.access import reading, writing
from projector.bulk import insert
from projector.database import database_url, disposing, open_engine
from projector.errors import NotRebuilt, StandingBy
from projector.fresh import Fresh, fresh_tables
from projector.lease import Lease
from projector.log import EVERY_UNIT, Log, Units, open_log
from projector.processes import collect_seldom, end_with_parent
from projector.project import project
from projector.rows import COLUMNS, STORED, VALUES_OF, Values
from projector.sink import Batch
from projector.sweep import Kept, Line, Sweep
from projector.table_sink import CHECKPOINT_COLUMNS, TableSink, checkpoint_values
from projector.taskrouter.callback import Unit
from projector.taskrouter.mention import Mentions, merge_all

ROWS_AT_ONCE = 10_000
SAMPLES = 1_000
TOP = EVERY_UNIT.below
CATCH_UPS = 3  # each has less left than the one before; the last is what the live loop has to stand by for
SWAP_PATIENCE_SECONDS = 120.0
SWAP_PAUSE_SECONDS = 0.5

Progress = Callable[[int, int], None]  # callbacks folded so far, of how many

logger = logging.getLogger(__name__)


class Share(NamedTuple):
    """What one part's fold leaves to be written with the others': names, counts, the greatest event time, units that failed."""

    mentions: Mentions
    event_types: Counter[str]
    event_ms: int
    incomplete: dict[Unit, str]


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
        shares = _fold_all(url, fresh, names, shared_out(log, upto, parts), upto, progress)
        fresh.join(parts)
        position = _finish(url, log, fresh, _merged(log, shares, upto))
    return Rebuilt(position, time.monotonic() - began, parts)


def shared_out(log: Log, upto: int, parts: int) -> list[Units]:
    """All units in so many shares with about as many callbacks each, judged by some callbacks evenly spread over the log."""
    step = max(1, upto // SAMPLES)
    found = sorted(log.units_at(range(1, upto + 1, step))) if parts > 1 else []
    bounds = [found[len(found) * part // parts] if found else TOP for part in range(1, parts)]
    return [Units(first, below) for first, below in pairwise(["", *bounds, TOP])]


def _fold_all(url: URL, fresh: Fresh, names: list[str], units: list[Units], upto: int, progress: Progress) -> list[Share]:
    """Every part folded up to a position, here or in a process each."""
    parts = len(names)
    texts = [(_text(url), _text(fresh.url(part)), name) for part, name in enumerate(names)]
    if parts == 1:
        return [_fold_part(*texts[0], units[0], upto, lambda done: progress(done, upto))]
    spawn = multiprocessing.get_context("spawn")
    done = spawn.RawArray("q", parts)
    with ProcessPoolExecutor(parts, spawn, initializer=_begin_part, initargs=(done, os.getpid())) as pool:
        with _without_interrupts():
            running = [pool.submit(_fold_told, *texts[part], units[part], upto, part) for part in range(parts)]
        try:
            while (state := wait(running, timeout=0.2, return_when=FIRST_EXCEPTION)).not_done:
                for future in state.done:
                    future.result()
                progress(sum(done), upto)
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


_done: Any = None


def _begin_part(done: Any, parent: int) -> None:
    """In a part's process: end with the rebuild, even when that is killed; say how far it is through shared memory."""
    global _done
    _done = done
    end_with_parent(parent)
    logs.configure()
    collect_seldom()


def _fold_told(log_url: str, fresh_url: str, name: str, units: Units, upto: int, part: int) -> Share:
    def tell(done: int) -> None:
        _done[part] = done

    return _fold_part(log_url, fresh_url, name, units, upto, tell)


def _fold_part(log_url: str, fresh_url: str, name: str, units: Units, upto: int, tell: Callable[[int], None]) -> Share:
    """One part of all units, from nothing to a position; what it shares with other parts is kept back."""
    with closing(open_log(database_url(log_url))) as log, disposing(open_engine(database_url(fresh_url), passing=True)) as engine:
        sweep = Sweep(log, upto, units, tell)
        fill(engine, name, sweep.lines())
        return Share(sweep.heard.mentions(), sweep.heard.event_types, sweep.event_ms, sweep.incomplete)


def fill(engine: sa.Engine, name: str, lines: Iterable[Line]) -> None:
    """Write into fresh tables what nobody has written yet. Raises `StandingBy` when they are no longer those of this projection."""
    rest = iter(lines)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        rows: dict[Any, list[Values]] = defaultdict(list)
        for line in some:
            kind = type(line)
            rows[kind].append(checkpoint_values(*line) if isinstance(line, Kept) else VALUES_OF[type(line)](line))
        c = tables.projection.c
        with writing(engine) as connection:
            counted = sa.update(tables.projection).where(c.name == name).values(position=c.position + len(some))
            if connection.execute(counted).rowcount != 1:
                raise StandingBy(f"The fresh tables are another rebuild's: there is no projection {name} in them.")
            for kind, values in rows.items():
                table, columns = (tables.checkpoint, CHECKPOINT_COLUMNS) if kind is Kept else (STORED[kind], COLUMNS[kind])
                insert(connection, table, columns, values)


def _merged(log: Log, shares: list[Share], upto: int) -> Batch | None:
    """One batch of what the parts kept back, which brings the whole to their position. None for an empty log."""
    originator_id = log.originator_at(upto)
    if originator_id is None:
        return None
    mentions: Mentions = {}
    counts: Counter[str] = Counter()
    incomplete: dict[Unit, str] = {}
    for share in shares:
        merge_all(mentions, share.mentions)
        counts.update(share.event_types)
        incomplete |= share.incomplete
    return Batch(0, upto, originator_id, max(share.event_ms for share in shares), {}, mentions, counts, incomplete)


def _finish(url: URL, log: Log, fresh: Fresh, merged: Batch | None) -> int:
    """Write what is common, catch up, and swap, the live loop standing by. The position the tables are at."""
    if merged is not None:
        with disposing(open_engine(fresh.url(), passing=True)) as engine:
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
    with disposing(open_engine(fresh.url(), passing=True)) as engine, disposing(open_engine(url)) as serving:
        sink = TableSink(engine)
        for _ in range(CATCH_UPS):
            project(log, sink, log.end())  # not to the very end: as long as callbacks arrive there is none
        with writing(serving) as connection:
            lease.seize(connection)
        try:
            project(log, sink, log.end())
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
