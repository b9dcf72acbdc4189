"""What a callback says in passing: that something exists, and a name it has.

A mention never folds the unit it speaks of: it makes sure that a row is there and names it. Each named field is a register
that keeps the value with the greatest order key, so mentions merge in any order, in any partition, without a re-fold.
A unit's own callbacks name it the same way: a row's names come from here and from nowhere else.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from projector.taskrouter.callback import Callback
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


def mentions(callbacks: Iterable[Callback], known: Mentions | None = None) -> Mentions:
    """All that these callbacks mention, merged (into what is known, in place): `(table, key)` → Mention."""
    merged: Mentions = {} if known is None else known
    for callback in callbacks:
        for table, key, values in spoken_of(callback):
            mention = merged.get((table, key))
            if mention is None:
                mention = merged[table, key] = Mention(callback.at_ms, {})
            merge(mention, callback.at_ms, callback.order, values)
    return merged


class Stated(Struct, frozen=True):
    """One capacity that a callback states for a worker's channel: the history of `stated_capacity`, never merged away."""

    workspace_sid: str
    worker_sid: str
    task_channel_sid: str
    stated_order: str
    stated_ms: int
    capacity: int


def stated(callbacks: Iterable[Callback]) -> list[Stated]:
    """Every `WorkerChannelCapacity` in these callbacks."""
    found = []
    for callback in callbacks:
        fields = callback.fields
        capacity = _capacity(fields.worker_channel_capacity)
        if capacity is not None and fields.worker_sid and fields.task_channel_sid:
            place = (fields.workspace_sid, fields.worker_sid, fields.task_channel_sid)
            found.append(Stated(*place, callback.order, callback.at_ms, capacity))
    return found


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


def merge(mention: Mention, at_ms: int, order: str, values: Mapping[str, Name | None]) -> None:
    """Take these values where they are later than what is known."""
    mention.first_seen_ms = min(mention.first_seen_ms, at_ms)
    for field, value in values.items():
        if value is not None and (field not in mention.names or mention.names[field][0] < order):
            mention.names[field] = (order, value)


def spoken_of(callback: Callback) -> Iterator[tuple[str, Key, Mapping[str, Name | None]]]:
    """Each row this callback speaks of: table, key, and the names it gives.

    A previous activity (`WorkerPreviousActivitySid`) is spoken of too: it may be the only trace of an Activity.
    """
    fields = callback.fields
    workspace = fields.workspace_sid
    yield "workspace", (workspace,), {"friendly_name": fields.workspace_name}
    for sid, name in (
        (fields.activity_sid, fields.activity_name),
        (fields.worker_activity_sid, fields.worker_activity_name),
        (fields.worker_previous_activity_sid, fields.worker_previous_activity_name),
    ):
        if sid:
            yield "activity", (workspace, sid), {"friendly_name": name}
    if fields.worker_sid:
        yield "worker", (workspace, fields.worker_sid), {"friendly_name": fields.worker_name}
    if fields.task_queue_sid:
        queue = {"friendly_name": fields.task_queue_name, "target_workers": fields.task_queue_target_expression}
        yield "task_queue", (workspace, fields.task_queue_sid), queue
    if fields.workflow_sid:
        yield "workflow", (workspace, fields.workflow_sid), {"friendly_name": fields.workflow_name}
    if fields.task_channel_sid:
        unique_name = fields.task_channel_unique_name
        channel = {"unique_name": unique_name, "friendly_name": fields.task_channel_name}
        yield "task_channel", (workspace, fields.task_channel_sid), channel
        if fields.worker_sid:
            stated = {"unique_name": unique_name, "stated_capacity": _capacity(fields.worker_channel_capacity)}
            yield "worker_channel", (workspace, fields.worker_sid, fields.task_channel_sid), stated


def _capacity(text: str | None) -> int | None:
    capacity = integer(text)
    return capacity if capacity is None or capacity >= 0 else None
