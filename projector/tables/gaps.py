"""The gap ledger: what must have happened and is not here, as a view over the rows. A function of the set of callbacks, like they.

`gap_told` holds what the fold of a worker sees: its updates say which activity they end, and how long that lasted. All else follows
from a row as it stands: a task completed that was never created, an offer accepted that was never made. Of a row that REST has shown
(`observed`) what came before is left out: it may never have been told to anybody; its end is not. The callback that was missing closes its
gap by what it changes in the row.

Rows that lack something are few among all there ever were, and are found by a partial index of each table that grows.

A *hint* is no gap for sure: who was there before the projector was has never been created for it, and comes out of an activity that nobody told.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables.columns import Instant, epoch_ms
from projector.tables.current import activity, reservation, task, task_channel, task_queue, worker, workflow
from projector.tables.history import gap_told, task_queue_span_past
from projector.taskrouter.task import SETTLES_MS

REASONS = {  # reason → what it means
    "previous_activity_differs": "an update ends another activity than the one that was known",
    "previous_activity_shorter": "an update ends an activity that lasted shorter than what was known",
    "previous_activity_longer": "an update ends an activity that lasted longer than what was known",
    "observed_otherwise": "REST shows another activity than the one that was known",
    "task_never_created": "a task is known, its task.created is not",
    "task_never_wrapped": "a task is shown wrapping, its task.wrapup is not known",
    "task_never_ended": "a snapshot shows a task ended, its task.completed or task.canceled is not known",
    "task_never_accepted": "a task was assigned or completed, and no reservation of it accepted",
    "task_never_offered": "a task was reserved, and no reservation of it created",
    "queue_never_entered": "a snapshot shows a task in a queue that it never entered",
    "queue_never_left": "a snapshot shows a task in another queue, and it never left the one before",
    "reservation_never_created": "a reservation is known, its reservation.created is not",
    "reservation_never_accepted": "a reservation was wrapped up or completed, and never accepted",
    "reservation_never_ended": "a task ended, and its reservation did not",
    "previous_activity_unseen": "hint: an update ends an activity, and none was known",
    "worker_never_created": "hint: a worker is known, its worker.created is not",
    "only_mentioned": "hint: a thing was mentioned, and never told of by a callback of its own",
}

MENTIONED = (worker, activity, task_queue, workflow, task_channel)  # whose rows a mention alone may make

_T, _R, _P, _W = task.c, reservation.c, task_queue_span_past.c, worker.c
_NULL = sa.null()
_SEEN = sa.and_(_T.callback_count > 0, ~_T.observed)
_TOLD = ~_R.observed
TASK_CREATED = sa.and_(_SEEN, ~_T.created_told)
TASK_ENDED = sa.and_(~_T.ended_told, _T.status.in_(("completed", "canceled")))
TASK_ACCEPTED = sa.and_(  # nobody completes what nobody accepted
    _SEEN, sa.or_(_T.live_status.in_(("assigned", "wrapping")), _T.status == "completed"), _T.first_accepted_at.is_(None)
)
TASK_OFFERED = sa.and_(_SEEN, _T.live_status == "reserved", _T.first_reserved_at.is_(None), _T.first_accepted_at.is_(None))
TASK_WRAPPED = sa.and_(_T.live_status == "wrapping", _T.wrapup_at.is_(None), sa.func.substr(_T.live_event_sid, 1, 2) != "OB")
TASK_QUEUED = sa.and_(_SEEN, _T.visit_inferred, ~_T.visit_told)
OFFER_CREATED = sa.and_(_TOLD, ~_R.created_told, _R.failed_at.is_(None))
_SERVED = sa.or_(_R.wrapup_at.is_not(None), sa.and_(_R.status == "completed", ~_R.inferred))  # so it was accepted, told or not
OFFER_ACCEPTED = sa.and_(_TOLD, _R.accepted_at.is_(None), _SERVED)
OFFER_ENDED = _R.inferred.is_(True)
VISIT_LACKS = _P.inferred.is_(True)

# In just these words the partial indexes are made, and asked for: that is how both databases know that they serve.
TASK_LACKS = sa.or_(TASK_CREATED, TASK_ENDED, TASK_ACCEPTED, TASK_OFFERED, TASK_WRAPPED, TASK_QUEUED)
OFFER_LACKS = sa.or_(OFFER_CREATED, OFFER_ACCEPTED, OFFER_ENDED)
for _table, _lacks in ((task, TASK_LACKS), (reservation, OFFER_LACKS), (task_queue_span_past, VISIT_LACKS)):
    sa.Index(f"ix_{_table.name}_lacks", _table.c.workspace_sid, _table.c.task_sid, postgresql_where=_lacks, sqlite_where=_lacks)

# What may have become of an offer that is pending at its task's end.
_ANSWERED = " or ".join(f"reservation.{what}" for what in ("accepted", "rejected", "timeout", "canceled", "rescinded"))


def gap() -> sa.CompoundSelect[Any]:
    """Every gap, and every hint."""
    g = gap_told.c
    told = sa.select(
        g.workspace_sid, g.kind, g.sid, g.n, g.reason, g.event_sid, g.revealed_at, g.missing_event_type, g.missing_at, g.activity_sid,
        (g.reason == "previous_activity_unseen").label("is_hint"),
    )  # fmt: skip
    ended = sa.case((_T.status == "completed", "task.completed"), else_="task.canceled")
    accepted = sa.or_(_R.accepted_at.is_not(None), _SERVED)
    live = _T.live_event_sid, _T.live_since  # what shows its last status that is no end
    tasks = (
        _task("task_never_created", TASK_CREATED, "task.created", _T.created_at),
        _task("task_never_ended", TASK_ENDED, ended, sa.func.coalesce(_T.completed_at, _T.canceled_at)),
        _task("task_never_accepted", TASK_ACCEPTED, "reservation.accepted", _T.live_since).where(~_has_offer(_T, accepted)),
        _task("task_never_offered", TASK_OFFERED, "reservation.created", _T.live_since, *live).where(~_has_offer(_T, sa.true())),
        # A cold transfer that comes to nothing comes back to who wraps up since then, which no task.wrapup tells.
        _task("task_never_wrapped", TASK_WRAPPED, "task.wrapup", _T.live_since, *live).where(
            sa.or_(_T.transfer_status.is_(None), _T.transfer_status == "complete", _has_offer(_T, epoch_ms(_R.wrapup_at) >= epoch_ms(_T.live_since) - SETTLES_MS))
        ),
        _task("queue_never_entered", TASK_QUEUED, "task-queue.entered", _T.visit_since, _T.visit_event_sid, _T.visit_since),
        _visit("queue_never_entered", ~_P.told, "task-queue.entered", _P.started_at),
        # Out of a queue into another: told by either, or it was accepted out of the first, and that is the reservation's gap where one shows it.
        _visit(
            "queue_never_left", sa.and_(_P.told, _P.outcome == "moved", ~_has_offer(_P, OFFER_ACCEPTED)),
            "task-queue.moved or task-queue.timeout or reservation.accepted", _P.ended_at,
        ),
    )  # fmt: skip
    # A task that is deleted takes its offers with it, and nobody tells of them; one that ends tells the end of each. But whoever
    # handed a task on may wrap up while it is canceled.
    end = (  # its task's: the callback, and when
        sa.select(_T.last_event_sid).where(_R.workspace_sid == _T.workspace_sid, _R.task_sid == _T.task_sid).correlate(reservation).scalar_subquery(),
        sa.func.coalesce(_R.completed_at, _R.canceled_at, type_=Instant),
    )  # fmt: skip
    owed = sa.or_(_R.status == "completed", sa.and_(_R.live_status == "pending", _of_task(_R, _T.status == "canceled")))
    offers = (
        _offer("reservation_never_created", OFFER_CREATED, "reservation.created", _R.first_seen_at),
        _offer("reservation_never_accepted", OFFER_ACCEPTED, "reservation.accepted", _R.live_since),
        _offer(
            "reservation_never_ended", sa.and_(OFFER_ENDED, owed),
            sa.case((_R.live_status == "pending", _ANSWERED), else_="reservation.completed"),
            end[1], *end,
        ),
    )  # fmt: skip
    hints = [
        _row(sa.literal("worker"), _W.worker_sid, "worker_never_created", _W.last_event_sid, _W.first_seen_at, "worker.created", _NULL, _W.workspace_sid, hint=True)
        .where(_W.folded_to != "", _W.created_at.is_(None))
    ]  # fmt: skip
    hints += [_mentioned(table) for table in MENTIONED]
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


def _task(
    reason: str, holds: Any, missing: Any, missing_at: Any, event_sid: Any = _T.last_event_sid, revealed_at: Any = _T.updated_at
) -> sa.Select[Any]:
    return _row(sa.literal("task"), _T.task_sid, reason, event_sid, revealed_at, missing, missing_at, _T.workspace_sid).where(
        TASK_LACKS, holds
    )


def _visit(reason: str, holds: Any, missing: str, missing_at: Any) -> sa.Select[Any]:
    """Of visits that others followed: the last one is in the task's row."""
    return _row(
        sa.literal("task"), _P.task_sid, reason, _P.event_sid, _P.started_at, missing, missing_at, _P.workspace_sid
    ).where(VISIT_LACKS, holds, _of_task(_P, ~_T.observed))


def _offer(
    reason: str, holds: Any, missing: Any, missing_at: Any, event_sid: Any = _R.last_event_sid, revealed_at: Any = _R.updated_at
) -> sa.Select[Any]:
    return _row(
        sa.literal("reservation"), _R.reservation_sid, reason, event_sid, revealed_at, missing, missing_at, _R.workspace_sid
    ).where(OFFER_LACKS, holds)


def _has_offer(c: Any, which: Any) -> sa.Exists:
    """Whether the task that a row is of has such an offer."""
    return sa.exists().where(_R.workspace_sid == c.workspace_sid, _R.task_sid == c.task_sid, which)


def _of_task(c: Any, holds: Any) -> sa.Exists:
    """Whether this holds of the task that a row is of."""
    return sa.exists().where(_T.workspace_sid == c.workspace_sid, _T.task_sid == c.task_sid, holds)


def _mentioned(table: sa.Table) -> sa.Select[Any]:
    c = table.c
    missing = f"{table.name.replace('_', '-')}.created"
    return _row(
        sa.literal(str(table.name)), c[f"{table.name}_sid"], "only_mentioned", _NULL, c.first_seen_at, missing, _NULL, c.workspace_sid, hint=True
    ).where(c.folded_to == "", c.deletion_order.is_(None))  # fmt: skip
