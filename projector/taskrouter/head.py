"""What every unit's first row carries beside its own facts: how far it is folded, when it was last heard of, its deletion.

A deletion is a register of its own, not a step in the order: its stamp may lie far in the past (`worker.deleted` is
recorded with the worker's *creation* time), so it neither makes later callbacks late nor is made late by them.
"""

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from projector.taskrouter.callback import Callback, order_identity, order_ms
from projector.taskrouter.span import Closed


class Head(Struct, frozen=True, kw_only=True):
    """The shared columns. Every field is a column of the entity's table: `_ms` here is `_at` there."""

    workspace_sid: str = ""
    folded_to: str = ""  # order key of the last callback folded, deletions apart
    callback_count: int = 0  # callbacks folded, deletions apart
    timed_by_receipt_count: int = 0  # of those, the ones without a stamp that can be read and believed
    updated_ms: int | None = None  # event time of the last callback of its own
    last_event_sid: str | None = None  # the Sid of that callback
    deletion_order: str | None = None  # order key of its deletion
    deletion_received_ms: int | None = None  # receipt of its deletion, when it came live
    deleted_ms: int | None = None  # when the deletion took effect
    closed: Closed = ()  # what its last callbacks closed or revealed, until the fold hands it out; never stored


H = TypeVar("H", bound=Head)


def counted(head: H, told: Sequence[Callback]) -> H:
    """The head after so many callbacks more, deletions apart, whatever they said; what they closed is handed out."""
    if not told:
        return head
    return replace(
        head,
        folded_to=told[-1].order,
        callback_count=head.callback_count + len(told),
        timed_by_receipt_count=head.timed_by_receipt_count + sum(callback.timed_by_receipt for callback in told),
        closed=(),
    )


def deleted(head: H, callback: Callback) -> H:
    """The head with this deletion, unless a later one is known already."""
    if head.deletion_order is not None and callback.order <= head.deletion_order:
        return head
    received_ms = callback.recorded_ms if callback.live else None
    return replace(head, deletion_order=callback.order, deletion_received_ms=received_ms)


def dated(head: H, deleted_ms: int | None) -> H:
    """The head with its effective deletion and its last callback settled."""
    last = head.deletion_order or head.folded_to
    return replace(
        head,
        deleted_ms=deleted_ms,
        updated_ms=deleted_ms if deleted_ms is not None else order_ms(last),
        last_event_sid=order_identity(last),
    )


def stamped_deletion_ms(head: Head) -> int | None:
    """A deletion's own stamp: right for everything but workers, whose deletion is dated in `worker.py`."""
    return order_ms(head.deletion_order) if head.deletion_order else None
