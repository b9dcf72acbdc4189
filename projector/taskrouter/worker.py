"""A Worker: the activity it is in and since when, its attributes, its deletion.

The activity comes from `worker.created`, `worker.activity.update` and an observation of it alone: what other callbacks say of it is a snapshot
that may be older than the newest change (a `reservation.accepted` still says Idle, the move to Busy is stamped 288 ms
later: recorded 2018).

An activity update also says which activity it ends and how long that lasted. Where this contradicts what is known, a callback is
missing: the spell it would have opened is filled in, marked inferred, and a `Gap` names it.
"""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback, order_ms
from projector.taskrouter.gap import Gap
from projector.taskrouter.head import Head
from projector.taskrouter.span import Line, Span
from projector.taskrouter.text import canonical_json, integer, moment_ms

AGREE_MS = 1_000  # `worker.created` is stamped in whole seconds (recorded: 97,308 ms told, 97,393 ms by the stamps)


class Worker(Head, frozen=True, kw_only=True):
    """A worker's row. `deleted_at_basis`: `stamp`, `receipt` or `last_fact` (see `deletion`)."""

    worker_sid: str = ""
    attributes: str | None = None
    attributes_readable: bool = True
    attributes_since_ms: int | None = None
    attributes_n: int = 0
    attributes_event_sid: str | None = None
    attributes_worker_name: str | None = None
    activity_sid: str | None = None
    activity_name: str | None = None
    activity_since_ms: int | None = None
    activity_n: int = 0
    activity_event_sid: str | None = None
    activity_worker_name: str | None = None
    gap_n: int = 0
    version: int | None = None
    operating_unit_sid: str | None = None
    created_ms: int | None = None
    deleted_at_basis: str | None = None


class ActivitySpan(Span, frozen=True, kw_only=True):
    """A spell in one activity, with its names as sent. `reported_ms`: how long it was by the update that ended it."""

    worker_sid: str = ""
    worker_name: str | None = None
    activity_sid: str = ""
    activity_name: str | None = None
    reported_ms: int | None = None
    agrees: bool | None = None


class AttributesSpan(Span, frozen=True, kw_only=True):
    """A time with the same attributes, compared as JSON values."""

    worker_sid: str = ""
    worker_name: str | None = None
    attributes: str | None = None


initial = Worker()
LINES = {
    ActivitySpan: Line("activity_n", "activity_since_ms"),
    AttributesSpan: Line("attributes_n", "attributes_since_ms"),
    Gap: Line("gap_n", None),
}


def evolve(worker: Worker, callback: Callback) -> Worker:
    """The worker after one of its callbacks, a deletion apart."""
    worker = _described(worker, callback)
    match callback.event_type:
        case "worker.created":
            return _enters(replace(worker, created_ms=callback.at_ms), callback)
        case "worker.activity.update":
            return _enters(worker, callback)
        case "worker.activity.observed" if callback.fields.worker_activity_sid != worker.activity_sid:
            return _enters(worker, callback)
        case "worker.observed" if worker.created_ms is None:
            return replace(worker, created_ms=moment_ms(callback.fields.date_created))
        case _:
            return worker


def deletion(worker: Worker) -> tuple[int | None, str | None]:
    """When the worker's deletion took effect, and on what that rests.

    `worker.deleted` is recorded with the worker's creation time (2 of 2 in 2018). So: its stamp if that is later than
    every other callback of the worker; else its receipt if it came live and not before that; else the time of the worker's
    last fact. Never before the last fact, so that no span ends before it began.
    """
    if worker.deletion_order is None:
        return None, None
    stamp = order_ms(worker.deletion_order)
    last_fact = order_ms(worker.folded_to) if worker.folded_to else None
    if last_fact is None or stamp > last_fact:
        return stamp, "stamp"
    if worker.deletion_received_ms is not None and worker.deletion_received_ms >= last_fact:
        return worker.deletion_received_ms, "receipt"
    return last_fact, "last_fact"


def last_spans(worker: Worker) -> tuple[Span, ...]:
    """The last span of each line, as the row holds it."""
    activity, attributes = _activity_span(worker, worker.deleted_ms), _attributes_span(worker, worker.deleted_ms)
    return tuple(span for span in (activity, attributes) if span is not None)


def _described(worker: Worker, callback: Callback) -> Worker:
    fields = callback.fields
    version = callback.version
    return replace(
        _attributed(worker, callback),
        version=worker.version if version is None else version,
        operating_unit_sid=fields.operating_unit_sid or worker.operating_unit_sid,
    )


def _attributed(worker: Worker, callback: Callback) -> Worker:
    told = callback.fields.worker_attributes
    attributes = canonical_json(told)
    if attributes is None:
        return worker if told is None else replace(worker, attributes_readable=False)
    if attributes == worker.attributes and callback.event_type != "worker.created":
        return worker if worker.attributes_readable else replace(worker, attributes_readable=True)
    ended = _attributes_span(worker, callback.at_ms)
    return replace(
        worker,
        attributes=attributes,
        attributes_readable=True,
        attributes_since_ms=callback.at_ms,
        attributes_n=worker.attributes_n + (ended is not None),
        attributes_event_sid=callback.identity,
        attributes_worker_name=callback.fields.worker_name,
        closed=worker.closed if ended is None else (*worker.closed, ended),
    )


def _attributes_span(worker: Worker, ended_ms: int | None) -> AttributesSpan | None:
    if worker.attributes_since_ms is None:
        return None
    return AttributesSpan(
        workspace_sid=worker.workspace_sid,
        worker_sid=worker.worker_sid,
        started_ms=worker.attributes_since_ms,
        n=worker.attributes_n,
        ended_ms=ended_ms,
        event_sid=worker.attributes_event_sid,
        worker_name=worker.attributes_worker_name,
        attributes=worker.attributes,
    )


def _activity_span(worker: Worker, ended_ms: int | None) -> ActivitySpan | None:
    if worker.activity_since_ms is None or worker.activity_sid is None:
        return None
    return ActivitySpan(
        workspace_sid=worker.workspace_sid,
        worker_sid=worker.worker_sid,
        started_ms=worker.activity_since_ms,
        n=worker.activity_n,
        ended_ms=ended_ms,
        event_sid=worker.activity_event_sid,
        worker_name=worker.activity_worker_name,
        activity_sid=worker.activity_sid,
        activity_name=worker.activity_name,
    )


def _enters(worker: Worker, callback: Callback) -> Worker:
    fields = callback.fields
    if fields.worker_activity_sid is None:
        return worker
    worker, spells = _ended(worker, callback)
    return replace(
        worker,
        activity_sid=fields.worker_activity_sid,
        activity_name=fields.worker_activity_name,  # recorded 2018: worker.created without a name
        activity_since_ms=callback.at_ms,
        activity_n=worker.activity_n + len(spells),
        activity_event_sid=callback.identity,
        activity_worker_name=fields.worker_name,
        closed=(*worker.closed, *spells),
    )


def _ended(worker: Worker, callback: Callback) -> tuple[Worker, list[ActivitySpan]]:
    """The spells this callback ends: the one known, and one that was missed if it shows that; then the worker has a gap more."""
    fields, at_ms = callback.fields, callback.at_ms
    known = _activity_span(worker, at_ms)
    previous, spent_ms = fields.worker_previous_activity_sid, integer(fields.worker_time_in_previous_activity_ms)
    if spent_ms is not None and not 0 <= spent_ms <= at_ms:
        spent_ms = None
    reason = _reason(callback, known, previous, spent_ms)
    if reason in (None, "previous_activity_longer", "observed_otherwise"):
        if known is not None and known.activity_sid == previous and spent_ms is not None:
            agrees = abs(at_ms - known.started_ms - spent_ms) <= AGREE_MS
            known = replace(known, reported_ms=spent_ms, agrees=agrees)
        spells = [] if known is None else [known]
    else:
        spells = _filled(worker, callback, known, spent_ms)
    if reason is None:
        return worker, spells
    gap = Gap(
        workspace_sid=worker.workspace_sid,
        kind="worker",
        sid=worker.worker_sid,
        n=worker.gap_n,
        reason=reason,
        event_sid=callback.identity,
        revealed_ms=at_ms,
        missing_event_type="worker.activity.update" if known else "worker.created or worker.activity.update",
        missing_ms=None if spent_ms is None else at_ms - spent_ms,
        activity_sid=previous or fields.worker_activity_sid,
    )
    return replace(worker, gap_n=worker.gap_n + 1, closed=(*worker.closed, gap)), spells


def _reason(callback: Callback, known: ActivitySpan | None, previous: str | None, spent_ms: int | None) -> str | None:
    """Why a callback must be missing before this one; None when all agrees."""
    if callback.event_type == "worker.activity.observed":
        return None if known is None else "observed_otherwise"
    if callback.event_type != "worker.activity.update" or previous is None:
        return None
    if known is None:
        return "previous_activity_unseen"
    if known.activity_sid != previous:
        return "previous_activity_differs"
    if spent_ms is None or known.ended_ms is None or abs(known.ended_ms - known.started_ms - spent_ms) <= AGREE_MS:
        return None
    return "previous_activity_shorter" if spent_ms < known.ended_ms - known.started_ms else "previous_activity_longer"


def _filled(worker: Worker, callback: Callback, known: ActivitySpan | None, spent_ms: int | None) -> list[ActivitySpan]:
    """The known spell up to where the missed one began, and the missed one; only the known one when nobody says how long it was."""
    fields, at_ms = callback.fields, callback.at_ms
    if spent_ms is None:
        return [] if known is None else [known]
    began_ms = at_ms - spent_ms if known is None else max(at_ms - spent_ms, known.started_ms)
    missed = ActivitySpan(
        workspace_sid=worker.workspace_sid,
        worker_sid=worker.worker_sid,
        started_ms=began_ms,
        n=worker.activity_n + (known is not None),
        ended_ms=at_ms,
        event_sid=callback.identity,
        inferred=True,
        worker_name=fields.worker_name,
        activity_sid=fields.worker_previous_activity_sid or "",
        activity_name=fields.worker_previous_activity_name,
        reported_ms=spent_ms,
        agrees=abs(at_ms - began_ms - spent_ms) <= AGREE_MS,
    )
    return [missed] if known is None else [replace(known, ended_ms=began_ms), missed]
