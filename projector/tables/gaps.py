"""The gap ledger: what must have happened and is not here, as a view over the rows. A function of the set of callbacks, like they.

`gap_told` holds what the fold of a worker sees: its updates say which activity they end, and how long that lasted. All else follows
from a row as it stands: a task completed that was never created, an offer accepted that was never made. A row that REST has shown
(`observed`) is left out: what came before may never have been told to anybody. The callback that was missing closes its gap by what it
changes in the row.

A *hint* is no gap for sure: who was there before the projector was has never been created for it.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables.current import activity, reservation, task, task_channel, task_queue, worker, workflow
from projector.tables.history import gap_told, task_queue_span_past

REASONS = {  # reason → what it means
    "previous_activity_unseen": "an update ends an activity, and none was known",
    "previous_activity_differs": "an update ends another activity than the one that was known",
    "previous_activity_shorter": "an update ends an activity that lasted shorter than what was known",
    "previous_activity_longer": "an update ends an activity that lasted longer than what was known",
    "observed_otherwise": "REST shows another activity than the one that was known",
    "task_never_created": "a task is known, its task.created is not",
    "task_never_ended": "a snapshot shows a task ended, its task.completed or task.canceled is not known",
    "task_never_accepted": "a task was assigned, and no reservation of it accepted",
    "task_never_offered": "a task was reserved, and no reservation of it created",
    "queue_never_entered": "a snapshot shows a task in a queue that it never entered, or out of one that it never left",
    "reservation_never_created": "a reservation is known, its reservation.created is not",
    "reservation_never_accepted": "a reservation was wrapped up or completed, and never accepted",
    "reservation_never_ended": "a task ended, and its reservation did not",
    "worker_never_created": "hint: a worker is known, its worker.created is not",
    "only_mentioned": "hint: a thing was mentioned, and never told of by a callback of its own",
}

_T, _R, _P, _W = task.c, reservation.c, task_queue_span_past.c, worker.c
_NULL = sa.null()
_SEEN = sa.and_(_T.callback_count > 0, ~_T.observed)
_TOLD = ~_R.observed
TASK_CREATED = sa.and_(_SEEN, ~_T.created_told)
TASK_ENDED = sa.and_(_SEEN, ~_T.ended_told, _T.status.in_(("completed", "canceled")))
TASK_ACCEPTED = sa.and_(_SEEN, _T.live_status.in_(("assigned", "wrapping")), _T.first_accepted_at.is_(None))
TASK_OFFERED = sa.and_(_SEEN, _T.live_status == "reserved", _T.first_reserved_at.is_(None), _T.first_accepted_at.is_(None))
TASK_QUEUED = sa.and_(_SEEN, _T.visit_inferred)
OFFER_CREATED = sa.and_(_TOLD, _R.created_at.is_(None), _R.status != "failed")
OFFER_ACCEPTED = sa.and_(
    _TOLD, _R.accepted_at.is_(None), sa.or_(_R.wrapup_at.is_not(None), sa.and_(_R.status == "completed", ~_R.inferred))
)
# A task that is deleted or purged takes its offers with it, and nobody tells of them; one that ends tells the end of each.
OFFER_ENDED = sa.and_(
    _TOLD,
    _R.inferred,
    sa.exists().where(_T.workspace_sid == _R.workspace_sid, _T.task_sid == _R.task_sid, _T.status.in_(("completed", "canceled"))),
)


def gap() -> sa.CompoundSelect[Any]:
    """Every gap, and every hint."""
    g = gap_told.c
    told = sa.select(
        g.workspace_sid, g.kind, g.sid, g.n, g.reason, g.event_sid, g.revealed_at, g.missing_event_type, g.missing_at, g.activity_sid,
        sa.false().label("is_hint"),
    )  # fmt: skip
    ended = sa.case((_T.status == "completed", "task.completed"), else_="task.canceled")
    tasks = (
        _task("task_never_created", TASK_CREATED, "task.created", _T.created_at),
        _task("task_never_ended", TASK_ENDED, ended, sa.func.coalesce(_T.completed_at, _T.canceled_at)),
        _task("task_never_accepted", TASK_ACCEPTED, "reservation.accepted", _T.live_since),
        _task("task_never_offered", TASK_OFFERED, "reservation.created", _T.live_since),
        _task("queue_never_entered", TASK_QUEUED, "task-queue.entered", _T.visit_since),
        _row(
            sa.literal("task"), _P.task_sid, "queue_never_entered", _P.event_sid, _P.started_at, "task-queue.entered", _P.started_at, _P.workspace_sid
        ).where(_P.inferred),
    )  # fmt: skip
    offers = (
        _offer("reservation_never_created", OFFER_CREATED, "reservation.created", _R.first_seen_at),
        _offer("reservation_never_accepted", OFFER_ACCEPTED, "reservation.accepted", _R.live_since),
        _offer("reservation_never_ended", OFFER_ENDED, "reservation.completed or its other end", _R.live_since),
    )
    hints = [
        _row(sa.literal("worker"), _W.worker_sid, "worker_never_created", _W.last_event_sid, _W.first_seen_at, "worker.created", _NULL, _W.workspace_sid, hint=True)
        .where(_W.folded_to != "", _W.created_at.is_(None))
    ]  # fmt: skip
    hints += [_mentioned(table) for table in (worker, activity, task_queue, workflow, task_channel)]
    return sa.union_all(told, *tasks, *offers, *hints)


def _row(
    kind: Any,
    sid: Any,
    reason: str,
    event_sid: Any,
    revealed_at: Any,
    missing: Any,
    missing_at: Any,
    workspace: Any,
    *,
    hint: bool = False,
) -> sa.Select[Any]:
    return sa.select(
        workspace.label("workspace_sid"), kind.label("kind"), sid.label("sid"), sa.literal(0).label("n"), sa.literal(reason).label("reason"),
        event_sid.label("event_sid"), revealed_at.label("revealed_at"),
        (sa.literal(missing) if isinstance(missing, str) else missing).label("missing_event_type"), missing_at.label("missing_at"),
        _NULL.label("activity_sid"), (sa.true() if hint else sa.false()).label("is_hint"),
    )  # fmt: skip


def _task(reason: str, holds: Any, missing: Any, missing_at: Any) -> sa.Select[Any]:
    return _row(
        sa.literal("task"), _T.task_sid, reason, _T.last_event_sid, _T.updated_at, missing, missing_at, _T.workspace_sid
    ).where(holds)


def _offer(reason: str, holds: Any, missing: str, missing_at: Any) -> sa.Select[Any]:
    return _row(
        sa.literal("reservation"),
        _R.reservation_sid,
        reason,
        _R.last_event_sid,
        _R.updated_at,
        missing,
        missing_at,
        _R.workspace_sid,
    ).where(holds)


def _mentioned(table: sa.Table) -> sa.Select[Any]:
    c = table.c
    missing = f"{table.name.replace('_', '-')}.created"
    return _row(
        sa.literal(str(table.name)), c[f"{table.name}_sid"], "only_mentioned", _NULL, c.first_seen_at, missing, _NULL, c.workspace_sid, hint=True
    ).where(c.folded_to == "", c.deletion_order.is_(None))  # fmt: skip
