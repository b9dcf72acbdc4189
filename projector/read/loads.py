"""What several workers have and can take at a moment: each as `worker` has it, looked up for all of them at once.

A wallboard shows a screenful of them every second. Of what has not changed since the moment today's rows tell everything; only what has is
looked up one by one.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from projector import tables
from projector.read.present import Present
from projector.read.source import after, last_of, span_at
from projector.read.worker import channel, offer_row
from projector.rows import Row, state_of
from projector.taskrouter.callback import order_ms
from projector.taskrouter.mention import Stated
from projector.taskrouter.reservation import ReservationStatusSpan
from projector.taskrouter.worker_channel import ChannelSpan, WorkerChannel, last_spans


def loads(present: Present, workspace_sid: str, worker_sids: Sequence[str], at_ms: int) -> dict[str, Row]:
    """Of each worker (none of them deleted by then) its `channels` and open `reservations`, without what a channel reported."""
    c = tables.worker_channel.c
    rows = sa.select(tables.worker_channel).where(c.workspace_sid == workspace_sid, c.worker_sid.in_(worker_sids))
    known: dict[str, dict[str, Any]] = {sid: {} for sid in worker_sids}
    for row in present.today.execute(rows).mappings():
        known[row["worker_sid"]][row["task_channel_sid"]] = row
    offers: dict[str, list[ReservationStatusSpan]] = defaultdict(list)
    for offer in present.offers_of_all(workspace_sid, worker_sids, at_ms):
        offers[offer.worker_sid or ""].append(offer)
    return {
        sid: {
            "channels": _channels(present, known[sid], offers[sid], at_ms),
            "reservations": [offer_row(present, offer) for offer in offers[sid]],
        }
        for sid in worker_sids
    }


def _channels(present: Present, known: dict[str, Any], offers: list[ReservationStatusSpan], at_ms: int) -> list[Row]:
    """See `worker.channel`: those of which anything is known at the moment, by Sid."""
    found = []
    for sid in sorted({*known} | {offer.task_channel_sid for offer in offers if offer.task_channel_sid}):
        row = known.get(sid)
        own = _own(present, row, at_ms) if row is not None else None
        stated = _stated(present, row, at_ms) if row is not None else None
        on_it = [offer for offer in offers if offer.task_channel_sid == sid]
        if own or stated or on_it:
            name = row["unique_name"] if row is not None else None
            found.append({"task_channel_sid": sid, "unique_name_now": name} | channel(own, WorkerChannel(), stated, on_it))
    return found


def _own(present: Present, row: Any, at_ms: int) -> ChannelSpan | None:
    """What the worker's own callbacks told of it."""
    return span_at(present, last_of(last_spans(cast("WorkerChannel", state_of(WorkerChannel, row))), ChannelSpan), at_ms)


def _stated(present: Present, row: Any, at_ms: int) -> Stated | None:
    """The capacity that was stated last by then: the row has the last one of all."""
    order = row["stated_capacity_order"]
    if order is None:
        return None
    if order < after(at_ms):
        whose = (row["workspace_sid"], row["worker_sid"], row["task_channel_sid"])
        return Stated(*whose, order, order_ms(order), row["stated_capacity"])
    return present.stated(row["workspace_sid"], row["worker_sid"], row["task_channel_sid"], at_ms)
