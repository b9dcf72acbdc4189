"""adopt: how things stand at Twilio now, as observations in the log, so that the first board is right before the first callback.

What is taken: the workspace, its activities, task channels, queues, workflows, workers with their channels, tasks that live with their
reservations. Nothing is overwritten: an observation that says what is known changes nothing, one that says something else is a new fact, and
a gap where a callback must have been. Adopting twice appends what has changed since.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any, NamedTuple

from msgspec import Struct, field

from projector.errors import TwilioNotFound
from projector.feeds.observe import Resource, observations, settled, sid_of
from projector.feeds.shape import Unreadable
from projector.feeds.twilio import Twilio
from projector.log import Entry, Log, Rejected
from projector.log.admit import admit
from projector.log.entry import foreseen

LIVE = "pending,reserved,assigned,wrapping"
BATCH = 500
SETTLING_SECONDS = 2.0  # until what changed just now has been left alone for a second
SETTLING_TIMES = 5


class Listed(NamedTuple):
    """One resource, where it can be read again, and since when what it shows holds at least: epoch seconds by Twilio's clock."""

    kind: str
    path: str
    resource: Resource
    asked_seconds: int
    more: Mapping[str, Any] = {}  # what the resource itself does not say

    @property
    def is_settled(self) -> bool:
        """Whether what it shows is what held at the end of its last second."""
        return settled(self.kind, self.resource, self.asked_seconds)


class Adopted(Struct):
    """What adopting came to: resources shown by kind; what became of their observations; what changed too often to be taken."""

    shown: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    restless: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)


def adopt(
    log: Log,
    twilio: Twilio,
    workspace: str,
    stop: Event,
    tell: Callable[[int], None] = lambda _: None,
    *,
    is_dry: bool = False,
    adopted: Adopted | None = None,
) -> Adopted:
    """Append what Twilio shows of a workspace; `tell` is told how many resources were looked at, `stop` ends it between two. With `is_dry` nothing is written.

    Raises `TwilioUnavailable`, `TwilioRefused` and `StoreUnavailable`; what was appended so far is right, and the rest comes with the next run.
    """
    adopted, batch = adopted or Adopted(), list[Entry | Rejected]()
    for listed in _settled(twilio, _listed(twilio, workspace), adopted, stop):
        if stop.is_set():
            break
        adopted.shown[listed.kind] += 1
        tell(adopted.shown.total())
        try:
            batch += [admit(told, "rest") for told in observations(listed.kind, {**listed.resource, **listed.more})]
        except (Unreadable, UnicodeEncodeError):  # half a surrogate pair: JSON can spell it, UTF-8 cannot
            adopted.unreadable[listed.kind] += 1
        if len(batch) >= BATCH:
            _take(log, batch, adopted, is_dry=is_dry)
            batch = []
    _take(log, batch, adopted, is_dry=is_dry)
    return adopted


def _listed(twilio: Twilio, workspace: str) -> Iterator[Listed]:
    """Everything that is taken. What is named before what names it."""
    root = f"/Workspaces/{workspace}"
    yield _read(twilio, "workspace", root)
    for kind, name in (
        ("activity", "Activities"),
        ("task channel", "TaskChannels"),
        ("task queue", "TaskQueues"),
        ("workflow", "Workflows"),
    ):
        yield from _list(twilio, kind, f"{root}/{name}")
    for worker in _list(twilio, "worker", f"{root}/Workers"):
        yield worker
        yield from _inside(_list(twilio, "worker channel", f"{worker.path}/Channels"))
    for task in _list(twilio, "task", f"{root}/Tasks", AssignmentStatus=LIVE):
        yield task
        offered = {name: task.resource.get(name) for name in ("task_channel_sid", "task_channel_unique_name", "ignore_capacity")}
        for reservation in _inside(_list(twilio, "reservation", f"{task.path}/Reservations")):
            yield reservation._replace(more=offered)


def _list(twilio: Twilio, kind: str, path: str, **params: object) -> Iterator[Listed]:
    for page in twilio.pages(path, **params):
        asked_seconds = twilio.asked.asked_seconds
        for resource in page:
            if isinstance(resource, dict):
                yield Listed(kind, f"{path}/{sid_of(resource)}", resource, asked_seconds)


def _inside(listed: Iterator[Listed]) -> Iterator[Listed]:
    """What is within a thing that was listed a moment ago; nothing, if it is gone since: its callbacks tell how."""
    try:
        yield from listed
    except TwilioNotFound:
        return


def _read(twilio: Twilio, kind: str, path: str) -> Listed:
    resource = twilio.record(path)
    return Listed(kind, path, resource, twilio.asked.asked_seconds)


def _settled(twilio: Twilio, listed: Iterator[Listed], adopted: Adopted, stop: Event) -> Iterator[Listed]:
    """Each as it was left alone for at least a second; what changed just now is read again, a few times, behind all others."""
    fresh: list[Listed] = []
    for each in listed:
        if each.is_settled:
            yield each
        else:
            fresh.append(each)
    for _ in range(SETTLING_TIMES):
        if not fresh or stop.wait(SETTLING_SECONDS):
            break
        again, fresh = fresh, []
        for each in again:
            try:
                read = _read(twilio, each.kind, each.path)._replace(more=each.more)
            except TwilioNotFound:  # it is gone by now: its callbacks tell how
                continue
            if read.is_settled:
                yield read
            else:
                fresh.append(read)
    adopted.restless += len(fresh)


def _take(log: Log, batch: list[Entry | Rejected], adopted: Adopted, *, is_dry: bool) -> None:
    if batch:
        adopted.outcomes.update(outcome.value for outcome in (foreseen(log, batch) if is_dry else log.append(batch)))
