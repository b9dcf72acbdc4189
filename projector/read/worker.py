"""A worker at a moment: its activity, its attributes, and for each channel what it can take and what it has.

Load and capacity are two units' business, so they are read, never folded. Pending, accepted and wrapping reservations all take
capacity; those of tasks with TaskIgnoreCapacity take none. The available percentage is `floor((1 − load / configured) × 100)`,
never below 0: the formula of Twilio's reference. A channel configured to 0 has room for nothing and is 0 % available (the formula
divides by zero); None only where the configured capacity is not known.
"""

from typing import Any, cast

from projector import tables
from projector.read.names import channels_of
from projector.read.source import Source, deleted_by, last_of, span_at, state_at
from projector.rows import Row
from projector.taskrouter.activity import Activity
from projector.taskrouter.callback import Unit, order_identity
from projector.taskrouter.fold import State
from projector.taskrouter.reservation import ReservationStatusSpan
from projector.taskrouter.worker import ActivitySpan, AttributesSpan, Worker
from projector.taskrouter.worker import last_spans as worker_spans
from projector.taskrouter.worker_channel import ChannelSpan, WorkerChannel
from projector.taskrouter.worker_channel import last_spans as channel_spans

TAKES_CAPACITY = ("pending", "accepted", "wrapping")


def worker(source: Source, workspace_sid: str, worker_sid: str, at_ms: int) -> Row | None:
    """The worker at the moment; None when nothing of it was there yet, or it was deleted.

    `activity` and `attributes` are None where no callback told them by then. `channels`: see `channel`. `reservations`: the open
    ones, see `offer_row`.
    """
    unit = Unit(workspace_sid, "worker", worker_sid)
    state = source.state(unit)
    head = cast("Worker", state.head) if state else Worker()
    if deleted_by(head, at_ms):
        return None
    offers = source.offers(workspace_sid, worker_sid, at_ms)
    spans = worker_spans(head)
    activity = span_at(source, last_of(spans, ActivitySpan), at_ms)
    attributes = span_at(source, last_of(spans, AttributesSpan), at_ms)
    told = state_at(source, unit, at_ms)
    if told is None and activity is None and not offers:
        return None
    then = cast("Worker", told.head) if told else Worker()
    named = [span for span in (activity, attributes, *offers) if span is not None and span.worker_name]
    return {
        "workspace_sid": workspace_sid,
        "worker_sid": worker_sid,
        "worker_name": max(named, key=lambda span: span.started_ms).worker_name if named else None,
        "worker_name_now": source.names.now(tables.worker, workspace_sid, worker_sid),
        "activity": _activity(source, activity, at_ms),
        "attributes": attributes and {"attributes": attributes.attributes, **_stretch(attributes)},
        "version": then.version,
        "operating_unit_sid": then.operating_unit_sid,
        "created_at": head.created_ms,
        "last_event_sid": then.last_event_sid,
        "updated_at": then.updated_ms,
        "channels": _channels(source, workspace_sid, worker_sid, at_ms, (state, told), offers),
        "reservations": [offer_row(source, offer) for offer in offers],
    }


def offer_row(source: Source, offer: ReservationStatusSpan) -> Row:
    """An open reservation: its status since when, its worker with the activity its callback mentions."""
    return {
        "reservation_sid": offer.reservation_sid,
        "task_sid": offer.task_sid,
        "status": offer.status,
        **_stretch(offer),
        "worker_sid": offer.worker_sid,
        "worker_name": offer.worker_name,
        "worker_name_now": source.names.now(tables.worker, offer.workspace_sid, offer.worker_sid),
        "worker_activity_sid": offer.worker_activity_sid,
        "worker_activity_name": offer.worker_activity_name,
        "task_channel_sid": offer.task_channel_sid,
        "ignore_capacity": offer.ignore_capacity,
    }


def available_percentage(configured: int | None, load: int) -> int | None:
    """How much of a channel's configured capacity is free, in whole percent, rounded down."""
    if configured is None:
        return None
    return max(0, (configured - load) * 100 // configured) if configured > 0 else 0


def available(source: Source, workspace_sid: str, activity_sid: str, at_ms: int) -> bool | None:
    """Whether workers in an activity got tasks at the moment, as told by then; what was told later, where nothing was.

    (It is fixed when the activity is created, says Twilio's reference.)
    """
    unit = Unit(workspace_sid, "activity", activity_sid)
    for state in (state_at(source, unit, at_ms), source.state(unit)):
        told = cast("Activity", state.head).available if state else None
        if told is not None:
            return told
    return None


def _activity(source: Source, span: ActivitySpan | None, at_ms: int) -> Row | None:
    """The activity it is in; `available`: whether workers in that activity get tasks, None where no callback told."""
    if span is None:
        return None
    return {
        "activity_sid": span.activity_sid,
        "activity_name": span.activity_name,
        "activity_name_now": source.names.now(tables.activity, span.workspace_sid, span.activity_sid),
        "available": available(source, span.workspace_sid, span.activity_sid, at_ms),
        **_stretch(span),
    }


def _channels(
    source: Source, workspace_sid: str, worker_sid: str, at_ms: int, states: tuple[State | None, State | None], offers: Any
) -> list[Row]:
    """The channels of which anything is known at the moment."""
    last, told = (state.parts if state else {} for state in states)
    names = channels_of(source.today, workspace_sid, worker_sid)
    found = []
    for sid in sorted({*names, *last} | {offer.task_channel_sid for offer in offers if offer.task_channel_sid}):
        spans = channel_spans(cast("WorkerChannel", last[sid])) if sid in last else ()
        own = span_at(source, last_of(spans, ChannelSpan), at_ms)
        stated = source.stated(workspace_sid, worker_sid, sid, at_ms)
        on_it = [offer for offer in offers if offer.task_channel_sid == sid]
        if own or stated or on_it or sid in told:
            told_now = channel(own, cast("WorkerChannel", told.get(sid, WorkerChannel())), stated, on_it)
            found.append({"task_channel_sid": sid, "unique_name_now": names.get(sid)} | told_now)
    return found


def channel(own: ChannelSpan | None, told: WorkerChannel, stated: Any, offers: list[ReservationStatusSpan]) -> Row:
    """What a worker can take on a channel: as configured, as taken, as reported.

    `configured_capacity_basis`: `stated` (WorkerChannelCapacity, with any callback) stands before `updated`
    (WorkerChannelAvailableCapacity of worker.capacity.update). `load` counts pending, accepted and wrapping.
    """
    capacity, basis, event_sid = None, None, None
    if stated is not None:
        capacity, basis, event_sid = stated.capacity, "stated", order_identity(stated.stated_order)
    elif own is not None and own.updated_capacity is not None:
        capacity, basis, event_sid = own.updated_capacity, "updated", own.event_sid
    taken = dict.fromkeys(TAKES_CAPACITY, 0)
    for offer in offers:
        if not offer.ignore_capacity and offer.status in taken:
            taken[offer.status] += 1
    load = sum(taken.values())
    return {
        "available": own.available if own else None,
        "since": own.started_ms if own else None,
        "event_sid": own.event_sid if own else None,
        "configured_capacity": capacity,
        "configured_capacity_basis": basis,
        "configured_capacity_event_sid": event_sid,
        **taken,
        "load": load,
        "available_percentage": available_percentage(capacity, load),
        "reported_available_capacity": told.reported_available_capacity,
        "reported_previous_capacity": told.reported_previous_capacity,
        "reported_task_count": told.reported_task_count,
    }


def _stretch(span: Any) -> Row:
    return {"since": span.started_ms, "until": span.ended_ms, "inferred": span.inferred, "event_sid": span.event_sid}
