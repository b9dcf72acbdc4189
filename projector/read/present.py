"""The source that is the tables: every look by an index, so that no answer costs more because the history is long.

All of one answer comes from one snapshot, tables and position together; the log up to that position never changes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from projector import tables
from projector.access import projected, snapshot
from projector.errors import NotRebuilt
from projector.log import Log
from projector.project import history
from projector.read.names import Names
from projector.read.source import S, after
from projector.rows import COLUMNS, HISTORY_OF, LINE_KEY, PART_KEY, PARTS, TABLE_OF, is_only_mentioned, row_of, state_of
from projector.sink import Checkpoint
from projector.status import rebuild_due
from projector.table_sink import latest_checkpoint
from projector.taskrouter.callback import Callback, Unit
from projector.taskrouter.fold import ENTITIES, State
from projector.taskrouter.mention import Stated
from projector.taskrouter.reservation import Reservation, ReservationStatusSpan, last_spans
from projector.taskrouter.span import LONGEST_MS


@contextmanager
def present(engine: sa.Engine, log: Log) -> Iterator["Present"]:
    """What the tables know, in one snapshot of them."""
    with snapshot(engine) as connection:
        if rebuild_due(row := projected(connection)):
            raise NotRebuilt(
                f"The tables hold what fold {row.fold_version} made of the log; their history is not this release's. Run `projector rebuild`."
            )
        yield Present(connection, log)


class Present:
    """See `Source`."""

    def __init__(self, connection: sa.Connection, log: Log) -> None:
        self.today, self.log, self.names = connection, log, Names(connection)
        row = projected(connection)
        self.position, self.event_ms = int(row.position), row.event_at

    def callbacks(self, unit: Unit, since_ms: int, until_ms: int) -> list[Callback]:
        """See `Source.callbacks`."""
        return [each.callback for each in history(self.log, unit, self.position, since_ms, until_ms)]

    def state(self, unit: Unit) -> State | None:
        """See `Source.state`."""
        kind = type(ENTITIES[unit.kind].initial)
        owner = {"workspace_sid": unit.workspace_sid, f"{unit.kind}_sid": unit.sid}
        rows = self._rows(_of(TABLE_OF[kind], kind, owner))
        if not rows or is_only_mentioned(head := state_of(kind, rows[0])):
            return None
        part = PARTS.get(unit.kind)
        found = self._rows(_of(TABLE_OF[part], part, owner)) if part else []
        told = (row for row in found if row["last_event_sid"] is not None)  # else the channel was only mentioned
        return State(head, {row[PART_KEY[part]]: state_of(part, row) for row in told})  # type: ignore[index, arg-type]

    def begun(self, last: S, at_ms: int) -> S | None:
        """See `Source.begun`."""
        if last.n == 0:
            return None
        kind, table, row = type(last), HISTORY_OF[type(last)], row_of(last)
        line = _of(table, kind, {name: row[name] for name in LINE_KEY[kind]}).where(table.c.started_at <= at_ms)
        rows = self._rows(line.order_by(table.c.started_at.desc(), table.c.n.desc()).limit(1))
        span: S | None = state_of(kind, rows[0]) if rows else None
        return span

    def offers(self, workspace_sid: str, worker_sid: str, at_ms: int) -> list[ReservationStatusSpan]:
        """See `Source.offers`."""
        return self.offers_of_all(workspace_sid, [worker_sid], at_ms)

    def offers_of_all(self, workspace_sid: str, worker_sids: Sequence[str], at_ms: int) -> list[ReservationStatusSpan]:
        """The same of several workers, by task and Sid."""
        of, c, p = {"workspace_sid": workspace_sid}, tables.reservation.c, tables.reservation_status_span_past.c
        last = _of(tables.reservation, Reservation, of).where(c.worker_sid.in_(worker_sids))
        last = last.where(*lasting(c.live_since, tables.RESERVATION_ENDED, at_ms))
        past = _of(tables.reservation_status_span_past, ReservationStatusSpan, of).where(p.worker_sid.in_(worker_sids))
        past = past.where(*lasting(p.started_at, p.ended_at, at_ms))
        spans = [state_of(ReservationStatusSpan, row) for row in self._rows(past.where(_not_deleted(p, at_ms)))]
        for row in self._rows(last.where(_not_deleted(c, at_ms))):
            spans += last_spans(state_of(Reservation, row))
        return sorted(spans, key=lambda span: (span.task_sid, span.reservation_sid))

    def stated(self, workspace_sid: str, worker_sid: str, task_channel_sid: str, at_ms: int) -> Stated | None:
        """See `Source.stated`."""
        return self.stated_before((workspace_sid, worker_sid, task_channel_sid), after(at_ms))

    def stated_before(self, channel: tuple[str, str, str], order: str) -> Stated | None:
        """The capacity of a channel that was stated last before an order key."""
        names, c = ("workspace_sid", "worker_sid", "task_channel_sid"), tables.stated_capacity.c
        earlier = _of(tables.stated_capacity, Stated, dict(zip(names, channel, strict=True))).where(c.stated_order < order)
        rows = self._rows(earlier.order_by(c.stated_order.desc()).limit(1))
        return state_of(Stated, rows[0]) if rows else None

    def checkpoint(self, unit: Unit, before: str) -> Checkpoint | None:
        """See `Source.checkpoint`."""
        return latest_checkpoint(self.today, unit, before)

    def tasks_offered(self, workspace_sid: str, worker_sid: str, since_ms: int, until_ms: int) -> set[str]:
        """The tasks that were offered to a worker by spans begun between two moments, or by none (their beginning is lost)."""
        c, p = tables.reservation.c, tables.reservation_status_span_past.c
        begun = [
            sa.select(c.task_sid).where(c.live_since > since_ms, c.live_since <= until_ms),
            sa.select(c.task_sid).where(c.live_since.is_(None)),
        ]
        of = [select.where(c.workspace_sid == workspace_sid, c.worker_sid == worker_sid) for select in begun]
        past = sa.select(p.task_sid).where(p.workspace_sid == workspace_sid, p.worker_sid == worker_sid)
        of.append(past.where(p.started_at > since_ms, p.started_at <= until_ms))
        return {sid for select in of for sid in self.today.execute(select).scalars()}

    def _rows(self, select: sa.Select[Any]) -> Sequence[Any]:
        return self.today.execute(select).mappings().all()


def lasting(started: Any, ended: Any, at_ms: int) -> list[Any]:
    """That a span covers the moment. Nothing lasts longer than `LONGEST_MS`: an index on its beginning finds it among few."""
    return [started > at_ms - LONGEST_MS, started <= at_ms, sa.or_(ended.is_(None), ended > at_ms)]


def _of(table: sa.Table, kind: Any, key: dict[str, str]) -> sa.Select[Any]:
    """The columns of a head, part or span, of the rows with this (part of a) key."""
    return sa.select(*(table.c[name] for name in COLUMNS[kind])).where(*(table.c[name] == value for name, value in key.items()))


def _not_deleted(offer: Any, at_ms: int) -> Any:
    """Its task was not deleted by then: a deletion may be stamped before what else is known of the task.

    A scalar by key: from EXISTS PostgreSQL may make a join that reads all tasks.
    """
    c = tables.task.c
    gone = sa.select(c.deleted_at <= at_ms).where(c.workspace_sid == offer.workspace_sid, c.task_sid == offer.task_sid)
    return gone.scalar_subquery().is_not(sa.true())
