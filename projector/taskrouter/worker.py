"""A Worker: the activity it is in and since when, its attributes, its deletion.

The activity comes from `worker.created` and `worker.activity.update` alone: what other callbacks say of it is a snapshot
that may be older than the newest change (a `reservation.accepted` still says Idle, the move to Busy is stamped 288 ms
later: recorded 2018).
"""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback, order_ms
from projector.taskrouter.head import Head
from projector.taskrouter.text import canonical_json, integer


class Worker(Head, frozen=True, kw_only=True):
    """A worker's row. `deleted_at_basis`: `stamp`, `receipt` or `last_fact` (see `deletion`)."""

    worker_sid: str = ""
    attributes: str | None = None
    attributes_readable: bool = True
    activity_sid: str | None = None
    activity_name: str | None = None
    activity_since_ms: int | None = None
    version: int | None = None
    operating_unit_sid: str | None = None
    created_ms: int | None = None
    deleted_at_basis: str | None = None


initial = Worker()


def evolve(worker: Worker, callback: Callback) -> Worker:
    """The worker after one of its callbacks, a deletion apart."""
    worker = _described(worker, callback)
    match callback.event_type:
        case "worker.created":
            return _enters(replace(worker, created_ms=callback.at_ms), callback)
        case "worker.activity.update":
            return _enters(worker, callback)
        case _:
            return worker


def deletion(worker: Worker) -> tuple[int | None, str | None]:
    """When the worker's deletion took effect, and on what that rests.

    `worker.deleted` is recorded with the worker's creation time (2 of 2 in 2018). So: its stamp if that is later than
    every other callback of the worker; else its receipt if it came live; else the time of the worker's last fact.
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


def _described(worker: Worker, callback: Callback) -> Worker:
    fields = callback.fields
    attributes = canonical_json(fields.worker_attributes)
    version = integer(fields.worker_version)
    return replace(
        worker,
        attributes=worker.attributes if attributes is None else attributes,
        attributes_readable=worker.attributes_readable if fields.worker_attributes is None else attributes is not None,
        version=worker.version if version is None else version,
        operating_unit_sid=fields.operating_unit_sid or worker.operating_unit_sid,
    )


def _enters(worker: Worker, callback: Callback) -> Worker:
    sid = callback.fields.worker_activity_sid
    if sid is None:
        return worker
    name = callback.fields.worker_activity_name  # recorded 2018: worker.created without a name
    return replace(worker, activity_sid=sid, activity_name=name, activity_since_ms=callback.at_ms)
