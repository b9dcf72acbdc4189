"""Backfill: what Twilio's Events API has of a workspace and the log has not, appended.

It walks from the oldest second to the newest in windows. A list is newest first and a page holds 1,000, so a window whose page
is full is asked for again, half as wide, until its page is not full; only within one second are next pages relied upon. Few
events make the next window wider, many narrower. Every window is asked for a second wider at both ends: dates are whole seconds.

How far it came is a mark in the log, written with the events before it: an interrupted run goes on from there. Nothing
depends on it for truth: every event goes through the same append as a callback, where a Sid is stored once.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, TypeAlias

import msgspec

from projector.delivered import HOUR_MS
from projector.errors import StoreUnavailable
from projector.feeds.shape import Unreadable, from_events_api
from projector.feeds.twilio import PAGE_SIZE, Twilio
from projector.log import Entry, Log, Mark, Outcome, Rejected
from projector.log.admit import admit
from projector.log.entry import foreseen

FEED = "events-api"
KEPT_SECONDS = 30 * 86_400  # Twilio keeps events 30 days; what is older it may show with its attributes blacked out
SKEW_SECONDS = 300  # how wrong our clock may be
UNSETTLED_SECONDS = 600  # how long an event may take to appear (not documented), our clock's error included
NARROWEST, FIRST, WIDEST = 1, 900, 86_400  # seconds of a window
ENOUGH = PAGE_SIZE // 2  # events of a window that is as wide as it should be
OVERLAP_SECONDS = 1
STORE_PATIENCE_SECONDS = 60.0
CELLS_MAX = 10_000  # hours × types that are told apart; 30 days have 720 hours
ELSEWHERE = (-1, "")  # where the rest is counted

Key: TypeAlias = tuple[str, int]  # of an arrival: who it is, and what it says


class Backfilled(msgspec.Struct):
    """What a run read, and what became of it. `missing`: (hour since the epoch, EventType) → events that the log had not."""

    windows: int = 0
    pages: int = 0
    read: int = 0
    appended: int = 0
    duplicates: int = 0
    conflicts: int = 0
    quarantined: int = 0
    cut_off: int = 0  # seconds that may have held more than Twilio showed
    resumed_at: int | None = None  # seconds since the epoch, when an earlier run had come so far
    finished: bool = False
    missing: Counter[tuple[int, str]] = msgspec.field(default_factory=Counter)


def backfill(
    log: Log,
    twilio: Twilio,
    workspace: str,
    since_ms: int,
    until_ms: int,
    tell: Callable[[int, int], object] = lambda _done, _of: None,
    stop: Event | None = None,
    *,
    dry_run: bool = False,
    resumes: bool = True,
    found: Backfilled | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Backfilled:
    """Append what is missing between two moments. `tell` hears how many seconds are done, of how many; `stop` ends it between windows.

    With `dry_run` nothing is written, and Sids alone are compared. Without `resumes` no mark is read or written. It counts into
    `found`, if that is given: what was done before an error is then known.
    Raises `TwilioUnavailable`, `TwilioRefused` and `StoreUnavailable`; run again, it goes on from where it was.
    """
    found = found or Backfilled()
    walk = _Walk(log, twilio, workspace, found, stop or Event(), dry_run, now_ms)
    since, until = since_ms // 1000, -(-until_ms // 1000)
    place, width = since, FIRST
    if resumes and not dry_run:
        place = resumed(log.marks(FEED).get(workspace, ""), since, until)
        found.resumed_at = place if place > since else None
    while place < until and not walk.stop.is_set():
        tell(place - since, until - since)
        place = min(until, max(place, now_ms() // 1000 - KEPT_SECONDS + SKEW_SECONDS))
        if place == until:  # all of it is beyond what Twilio keeps
            break
        end = min(place + width, until)
        events = walk.read(place, end)
        if events is None:
            width = max(NARROWEST, (end - place) // 2)
            continue
        settled = min(end, now_ms() // 1000 - UNSETTLED_SECONDS)
        marks = [Mark(FEED, workspace, "" if end == until else f"{since}..{settled}")] if resumes else []
        walk.store(events, marks)
        place, width = end, fitting(end - place, len(events))
    found.finished = place >= until
    tell(max(0, place - since), max(0, until - since))
    return found


def resumed(mark: str, since: int, until: int) -> int:
    """Where a run over these seconds begins: where an earlier one ended that had come past its start, else at its start.

    A mark says `from..to`, in seconds: all between was read. Whoever reads which range next, that stays so.
    """
    begun, _, read_to = mark.partition("..")
    if not (begun.isdecimal() and read_to.isdecimal()):
        return since
    return min(int(read_to), until) if int(begun) <= since <= int(read_to) else since


def fitting(width: int, events: int) -> int:
    """The width after a window of this width and so many events: for `ENOUGH` of them, four times as wide at most."""
    wanted = 4 * width if 4 * events <= ENOUGH else width * ENOUGH // events
    return max(NARROWEST, min(WIDEST, wanted))


def arrival_of(event: Any, workspace: str) -> Entry | Rejected:
    """One event of a workspace's list, checked as a callback is."""
    try:
        parameters = {"WorkspaceSid": workspace} | from_events_api(event)
        if parameters["WorkspaceSid"] != workspace:
            return Rejected("it came with the events of another workspace", json.dumps(event).encode(), FEED)
        return admit(parameters, FEED)
    except Unreadable as error:
        return Rejected(f"no event of the Events API: {error}", json.dumps(event).encode(), FEED)
    except UnicodeEncodeError:  # half a surrogate pair: JSON can spell it, UTF-8 cannot
        return Rejected("it holds text that is no Unicode", json.dumps(event).encode(), FEED)


class _Walk:
    """One run over one workspace: what it reads, stores and counts."""

    def __init__(
        self, log: Log, twilio: Twilio, workspace: str, found: Backfilled, stop: Event, dry_run: bool, now_ms: Callable[[], int]
    ) -> None:
        self.found, self.stop = found, stop
        self._log, self._twilio, self._workspace, self._dry_run, self._now_ms = log, twilio, workspace, dry_run, now_ms
        self._before: set[Key] = set()  # what the last window held, some of which the next one reads again
        self._cut: set[int] = set()  # seconds that may have held more than Twilio showed; windows beside each other share some

    def read(self, start: int, end: int) -> list[Any] | None:
        """The events from one second up to another, and some around them, newest first; None: they need a narrower window.

        They do when a page is full and there is a narrower one. A page may be full and have no next one: then there may be more in
        the second of its last event, which is counted.
        """
        events, page = list[Any](), list[Any]()
        for page in self._twilio.events(self._workspace, start - OVERLAP_SECONDS, end + OVERLAP_SECONDS):
            self.found.pages += 1
            events += page
            if len(page) >= PAGE_SIZE and end - start > NARROWEST:
                return None
        self.found.windows += 1
        if len(page) == PAGE_SIZE:
            oldest = arrival_of(page[-1], self._workspace)
            stamp_ms = oldest.stamp_ms if isinstance(oldest, Entry) else None
            self._cut.add(start if stamp_ms is None else stamp_ms // 1000)
            self.found.cut_off = len(self._cut)
        return events

    def store(self, events: Sequence[Any], marks: Sequence[Mark]) -> None:
        """Append them, oldest first, and the marks with the last of them."""
        arrivals = self._new(events)
        self.found.read += len(arrivals)
        for start in range(0, max(1, len(arrivals)), PAGE_SIZE):
            some, is_last = arrivals[start : start + PAGE_SIZE], start + PAGE_SIZE >= len(arrivals)
            outcomes = foreseen(self._log, some) if self._dry_run else self._append(some, marks if is_last else ())
            for arrival, outcome in zip(some, outcomes, strict=True):
                self._count(arrival, outcome)

    def _new(self, events: Sequence[Any]) -> list[Entry | Rejected]:
        """Those that the window before did not hold, each once, oldest first."""
        arrivals: dict[Key, Entry | Rejected] = {}
        for event in reversed(events):
            arrival = arrival_of(event, self._workspace)
            arrivals.setdefault(_key(arrival), arrival)
        new = [arrival for key, arrival in arrivals.items() if key not in self._before]
        self._before = set(arrivals)
        return sorted(new, key=lambda arrival: (isinstance(arrival, Entry) and arrival.stamp_ms) or 0)

    def _append(self, arrivals: Sequence[Entry | Rejected], marks: Sequence[Mark]) -> list[Outcome]:
        """In one transaction, patiently: a server that is busy storing callbacks comes first."""
        deadline = time.monotonic() + STORE_PATIENCE_SECONDS
        while True:
            try:
                return self._log.append(arrivals, marks)
            except StoreUnavailable:
                if time.monotonic() > deadline or self.stop.wait(0.5):
                    raise

    def _count(self, arrival: Entry | Rejected, outcome: Outcome) -> None:
        found = self.found
        match outcome:
            case Outcome.DUPLICATE:
                found.duplicates += 1
            case Outcome.CONFLICT:
                found.conflicts += 1
            case Outcome.QUARANTINED:
                found.quarantined += 1
            case Outcome.STORED if isinstance(arrival, Entry):
                found.appended += 1
                cell = (arrival.at_ms(self._now_ms()) // HOUR_MS, arrival.topic)
                found.missing[cell if cell in found.missing or len(found.missing) < CELLS_MAX else ELSEWHERE] += 1


def _key(arrival: Entry | Rejected) -> Key:
    if isinstance(arrival, Entry):
        return arrival.originator_id, hash(arrival.parameters)
    return "", hash(arrival.body)
