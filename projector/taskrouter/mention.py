"""What a callback says in passing: that something exists, and a name it has.

A mention never folds the unit it speaks of: it makes sure that a row is there and names it. Each named field is a register
that keeps the value with the greatest order key, so mentions merge in any order, in any partition, without a re-fold.
A unit's own callbacks name it the same way: a row's names come from here and from nowhere else.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import TypeAlias

from msgspec import Struct

from projector.taskrouter.callback import Callback, Fields
from projector.taskrouter.text import integer

Name: TypeAlias = str | int
Key: TypeAlias = tuple[str, ...]  # a row's primary key, WorkspaceSid first
Named: TypeAlias = tuple[str, Name]  # order key, value

NAMES: dict[str, tuple[str, ...]] = {  # table → its columns that are named by mentions
    "workspace": ("friendly_name",),
    "activity": ("friendly_name",),
    "worker": ("friendly_name",),
    "worker_channel": ("unique_name", "stated_capacity"),
    "task_queue": ("friendly_name", "target_workers"),
    "workflow": ("friendly_name",),
    "task_channel": ("unique_name", "friendly_name"),
}


class Mention(Struct):
    """What is known of one row by mentions alone: when it was first spoken of, and for each field the latest value."""

    first_seen_ms: int
    names: dict[str, Named]


Mentions: TypeAlias = dict[tuple[str, Key], Mention]


class Stated(Struct, frozen=True):
    """One capacity that a callback states for a worker's channel: the history of `stated_capacity`, never merged away."""

    workspace_sid: str
    worker_sid: str
    task_channel_sid: str
    stated_order: str
    stated_ms: int
    capacity: int


class Heard:
    """What callbacks say beside their own unit, gathered as they come: mentions, stated capacities, counts by EventType.

    Most callbacks repeat what others said before: the same queue by the same name, the same worker on the same channel. So what
    one says is looked up whole, and only what is new is taken apart; of the rest the order key and the earliest moment are kept.
    """

    def __init__(self) -> None:
        self.event_types: Counter[str] = Counter()
        self.stated: list[Stated] = []  # every WorkerChannelCapacity; whoever writes them may clear it
        self._said = tuple((words, rows, dict[tuple[str | None, ...], _Said]()) for words, rows in _SPOKEN)

    def hear(self, callback: Callback) -> None:
        """Take in one more."""
        fields, at_ms, order = callback.fields, callback.at_ms, callback.order
        self.event_types[fields.event_type] += 1
        for words, rows, heard in self._said:
            what = words(fields)
            said = heard.get(what)
            if said is None:
                heard[what] = _Said(list(rows(fields)), at_ms, order)
                continue
            if said.order < order:
                said.order = order
            if said.at_ms > at_ms:
                said.at_ms = at_ms
        if fields.worker_channel_capacity is not None and fields.worker_sid and fields.task_channel_sid:
            capacity = _capacity(fields.worker_channel_capacity)
            if capacity is not None:
                place = (fields.workspace_sid, fields.worker_sid, fields.task_channel_sid)
                self.stated.append(Stated(*place, order, at_ms, capacity))

    def mentions(self) -> Mentions:
        """All that was mentioned: `(table, key)` → Mention."""
        merged: Mentions = {}
        for _, _, heard in self._said:
            for said in heard.values():
                for table, key, values in said.rows:
                    mention = merged.get((table, key))
                    if mention is None:
                        mention = merged[table, key] = Mention(said.at_ms, {})
                    _merge(mention, said.at_ms, said.order, values)
        return merged


class _Said(Struct):
    """What is said of some rows, the order key with which it was last said, and when it was first."""

    rows: list[tuple[str, Key, Mapping[str, Name | None]]]
    at_ms: int
    order: str


def mentioned(callback: Callback) -> Mentions:
    """What this one alone mentions."""
    heard = Heard()
    heard.hear(callback)
    return heard.mentions()


def merge_all(known: Mentions, more: Mentions) -> None:
    """Take what others mention into what is known, in place."""
    for key, mention in more.items():
        mine = known.get(key)
        if mine is None:
            known[key] = mention
            continue
        mine.first_seen_ms = min(mine.first_seen_ms, mention.first_seen_ms)
        for field, named in mention.names.items():
            if field not in mine.names or mine.names[field][0] < named[0]:
                mine.names[field] = named


def _merge(mention: Mention, at_ms: int, order: str, values: Mapping[str, Name | None]) -> None:
    """Take these values where they are later than what is known."""
    mention.first_seen_ms = min(mention.first_seen_ms, at_ms)
    for field, value in values.items():
        if value is not None and (field not in mention.names or mention.names[field][0] < order):
            mention.names[field] = (order, value)


# What a callback says, in three parts that repeat: each with the fields it consists of. Part → rows: table, key, the names given.
Rows: TypeAlias = Iterator[tuple[str, Key, Mapping[str, Name | None]]]


def _things(fields: Fields) -> Rows:
    workspace = fields.workspace_sid
    yield "workspace", (workspace,), {"friendly_name": fields.workspace_name}
    if fields.task_queue_sid:
        queue = {"friendly_name": fields.task_queue_name, "target_workers": fields.task_queue_target_expression}
        yield "task_queue", (workspace, fields.task_queue_sid), queue
    if fields.workflow_sid:
        yield "workflow", (workspace, fields.workflow_sid), {"friendly_name": fields.workflow_name}
    if fields.task_channel_sid:
        channel = {"unique_name": fields.task_channel_unique_name, "friendly_name": fields.task_channel_name}
        yield "task_channel", (workspace, fields.task_channel_sid), channel


def _workers(fields: Fields) -> Rows:
    if fields.worker_sid:
        workspace = fields.workspace_sid
        yield "worker", (workspace, fields.worker_sid), {"friendly_name": fields.worker_name}
        if fields.task_channel_sid:
            capacity = _capacity(fields.worker_channel_capacity)
            stated = {"unique_name": fields.task_channel_unique_name, "stated_capacity": capacity}
            yield "worker_channel", (workspace, fields.worker_sid, fields.task_channel_sid), stated


def _activities(fields: Fields) -> Rows:
    """A previous activity (`WorkerPreviousActivitySid`) is spoken of too: it may be the only trace of an Activity."""
    for sid, name in (
        (fields.activity_sid, fields.activity_name),
        (fields.worker_activity_sid, fields.worker_activity_name),
        (fields.worker_previous_activity_sid, fields.worker_previous_activity_name),
    ):
        if sid:
            yield "activity", (fields.workspace_sid, sid), {"friendly_name": name}


_SPOKEN: tuple[tuple[Callable[[Fields], tuple[str | None, ...]], Callable[[Fields], Rows]], ...] = (
    (
        attrgetter(
            "workspace_sid", "workspace_name", "task_queue_sid", "task_queue_name", "task_queue_target_expression",
            "workflow_sid", "workflow_name", "task_channel_sid", "task_channel_unique_name", "task_channel_name",
        ),
        _things,
    ),
    (
        attrgetter(
            "workspace_sid", "worker_sid", "worker_name", "task_channel_sid", "task_channel_unique_name", "worker_channel_capacity",
        ),
        _workers,
    ),
    (
        attrgetter(
            "workspace_sid", "activity_sid", "activity_name", "worker_activity_sid", "worker_activity_name",
            "worker_previous_activity_sid", "worker_previous_activity_name",
        ),
        _activities,
    ),
)  # fmt: skip


def _capacity(text: str | None) -> int | None:
    capacity = integer(text)
    return capacity if capacity is None or capacity >= 0 else None
