"""What can happen to tasks, reservations and in queues, each defined once, and where a window finds it. pages/statistics.md says it in words.

A `Happening` is the column that dates it, what else has to hold, and since when it was waited for: counting, adding up waits, percentiles
and naming the callbacks behind a figure read the same definition. The tasks that a window has to look at are those that live or were last
heard of since its start (`tables.TASK_QUIET`), so a window that ends now costs what happened in it, however long the history is.
"""

from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.tables import SID, Instant, epoch_ms
from projector.taskrouter.span import LONGEST_MS

Where: TypeAlias = sa.ColumnElement[bool]

WORKFLOW_TIMEOUT = "Task canceled on Workflow timeout"  # the reason of such a cancellation (recorded)


class Window(NamedTuple):
    """A half-open stretch of event time, epoch milliseconds."""

    start_ms: int
    end_ms: int

    def has(self, at: sa.ColumnElement[Any]) -> Where:
        """That a moment lies in it."""
        return sa.and_(at >= sa.literal(self.start_ms, Instant), at < sa.literal(self.end_ms, Instant))

    def had(self, table: sa.Table) -> Where:
        """That a row was there at some time of it: spoken of before its end, and not deleted by its start."""
        c, start, end = table.c, sa.literal(self.start_ms, Instant), sa.literal(self.end_ms, Instant)
        return sa.and_(c.first_seen_at < end, sa.or_(c.deleted_at.is_(None), c.deleted_at > start))


class Scope(Struct, frozen=True):
    """Whose figures: a workspace's, or of a queue, workflow or worker in it; `task_channel` (Sid or unique name): of its tasks."""

    workspace_sid: str
    task_queue_sid: str | None = None
    workflow_sid: str | None = None
    worker_sid: str | None = None
    worker_name: str | None = None
    task_channel: str | None = None


class Happening(Struct, frozen=True):
    """Something that happens to a task, a reservation or a visit to a queue."""

    name: str
    at: sa.ColumnElement[Any]
    told_by: tuple[str, ...]  # the EventTypes of the callbacks that may tell it
    queue: sa.ColumnElement[Any]  # whose figure it is
    only: tuple[Where, ...] = ()
    since: sa.ColumnElement[Any] | None = None  # from when on it was waited for
    event_sid: sa.ColumnElement[Any] | None = None  # the callback that told it, where it is kept

    @property
    def task_sid(self) -> sa.ColumnElement[Any]:
        """Whose it is."""
        return self.queue.table.c.task_sid  # type: ignore[no-any-return]

    @property
    def reservation_sid(self) -> sa.ColumnElement[Any] | None:
        """Whose it is, where it is a reservation's."""
        return self.queue.table.c.get("reservation_sid")  # type: ignore[no-any-return]

    @property
    def wait_ms(self) -> sa.ColumnElement[int]:
        """How long it was waited for; NULL where nobody told since when."""
        return epoch_ms(self.at) - epoch_ms(self.since)

    def within(self, window: Window, scope: Scope) -> Where:
        """That it happened in the window, in that queue if one is asked for."""
        of_queue = () if scope.task_queue_sid is None else (self.queue == scope.task_queue_sid,)
        return sa.and_(window.has(self.at), *self.only, *of_queue)


_TOLD = ("workspace_sid", "task_sid", "task_queue_sid", "workflow_sid", "reason", "created_at", "first_accepted_at", "completed_at",
         "canceled_at", "deleted_at", "visit_n", "visit_queue_sid", "visit_since", "visit_ended_at", "visit_outcome",
         "visit_event_sid")  # fmt: skip
_touched = sa.table("touched", *(sa.column(name, tables.task.c[name].type) for name in _TOLD))  # the tasks a window looks at
OFFER, TASK = tables.reservation.c, _touched.c
_visits = sa.table(
    "visit", sa.column("task_sid", SID), sa.column("task_queue_sid", SID), sa.column("queue_before", SID), sa.column("queue_after", SID),
    sa.column("started_at", Instant), sa.column("ended_at", Instant), sa.column("outcome", sa.Text), sa.column("event_sid", SID),
    sa.column("with_task", sa.Boolean),  # it ended because its task did
)  # fmt: skip
VISIT = _visits.c

ENDS = {"timed_out": "timeout"}  # figure → the word of its EventType, where it is another
OFFERED = tuple(
    Happening(f"reservations_{what}", OFFER[f"{what}_at"], (f"reservation.{ENDS.get(what, what)}",), OFFER.task_queue_sid)
    for what in ("created", "accepted", "rejected", "timed_out", "canceled", "rescinded", "wrapup", "completed")
)
ACCEPTED = Happening(
    "wait_duration_until_accepted", OFFER.accepted_at, ("reservation.accepted",), OFFER.task_queue_sid, since=TASK.created_at
)
FIRST_ACCEPTED = Happening(
    "reservations_accepted", OFFER.accepted_at, ("reservation.accepted",), OFFER.task_queue_sid,
    (OFFER.accepted_at == TASK.first_accepted_at,), TASK.created_at,
)  # fmt: skip
CANCELED = Happening(
    "wait_duration_until_canceled", TASK.canceled_at, ("task.canceled",), TASK.task_queue_sid, since=TASK.created_at
)
ENDED = (
    Happening("tasks_created", TASK.created_at, ("task.created",), TASK.task_queue_sid),
    Happening("tasks_canceled", TASK.canceled_at, ("task.canceled",), TASK.task_queue_sid),
    Happening("tasks_completed", TASK.completed_at, ("task.completed",), TASK.task_queue_sid),
    Happening(
        "tasks_deleted", TASK.deleted_at, ("task.deleted", "task.system-deleted"), TASK.task_queue_sid,
        (TASK.completed_at.is_(None), TASK.canceled_at.is_(None)),
    ),
    Happening(
        "tasks_timed_out_in_workflow", TASK.canceled_at, ("task.canceled",), TASK.task_queue_sid, (TASK.reason == WORKFLOW_TIMEOUT,)
    ),
)  # fmt: skip
VISITED = (
    Happening("tasks_entered", VISIT.started_at, ("task-queue.entered",), VISIT.task_queue_sid, event_sid=VISIT.event_sid),
    Happening(
        "tasks_moved",
        VISIT.started_at,
        ("task-queue.entered",),
        VISIT.queue_before,
        (VISIT.queue_before != VISIT.task_queue_sid,),
        event_sid=VISIT.event_sid,
    ),
)
IN_QUEUE = Happening(
    "wait_duration_in_queue_until_accepted", VISIT.ended_at, ("reservation.accepted",), VISIT.task_queue_sid,
    (VISIT.outcome == "accepted",), VISIT.started_at,
)  # fmt: skip


def offers(window: Window, scope: Scope) -> sa.Select[Any]:
    """The reservations of the tasks the window looks at, with their tasks; no columns yet."""
    same = sa.and_(OFFER.workspace_sid == TASK.workspace_sid, OFFER.task_sid == TASK.task_sid)
    select = _from(_touched.join(tables.reservation, same), window, scope)
    if scope.workflow_sid is not None:
        select = select.where(OFFER.workflow_sid == scope.workflow_sid)
    return select.where(*_by_worker(scope, sa.func.coalesce(OFFER.worker_sid, "")))  # by its task, not by the index of its worker


def ended(window: Window, scope: Scope) -> sa.Select[Any]:
    """The tasks the window looks at; no columns yet."""
    select = _from(_touched, window, scope)
    return select if scope.workflow_sid is None else select.where(TASK.workflow_sid == scope.workflow_sid)


def visits(window: Window, scope: Scope) -> sa.Select[Any]:
    """All visits of the tasks the window looks at, each with the queue of the one before; no columns yet."""
    p = tables.task_queue_span_past
    same = sa.and_(p.c.workspace_sid == TASK.workspace_sid, p.c.task_sid == TASK.task_sid)
    of = () if scope.workflow_sid is None else (TASK.workflow_sid == scope.workflow_sid,)
    past = sa.select(
        p.c.task_sid, p.c.n, p.c.task_queue_sid, p.c.started_at, p.c.ended_at, p.c.outcome, p.c.event_sid,
        sa.false().label("with_task"),
    ).join_from(_touched, p, same)  # fmt: skip
    # A visit that lasted ends with its task, but not before it began: a deletion's stamp may lie before.
    task_ended = sa.func.coalesce(TASK.completed_at, TASK.canceled_at, TASK.deleted_at, type_=Instant)
    ended_at = sa.func.coalesce(
        TASK.visit_ended_at, sa.case((TASK.visit_since > task_ended, TASK.visit_since), else_=task_ended), type_=Instant
    )
    ends = ((TASK.completed_at, "completed"), (TASK.canceled_at, "canceled"), (TASK.deleted_at, "deleted"))
    outcome = sa.func.coalesce(TASK.visit_outcome, sa.case(*((at.is_not(None), how) for at, how in ends)))
    last = sa.select(
        TASK.task_sid, TASK.visit_n, TASK.visit_queue_sid, TASK.visit_since, ended_at, outcome, TASK.visit_event_sid,
        TASK.visit_ended_at.is_(None),
    ).where(TASK.visit_since.is_not(None))  # fmt: skip
    every = sa.union_all(past.where(*of), last.where(*of)).subquery("every_visit").c
    in_order: dict[str, Any] = {"partition_by": every.task_sid, "order_by": every.n}
    before, after = (each(every.task_queue_sid).over(**in_order) for each in (sa.func.lag, sa.func.lead))
    visit = sa.select(*every, before.label("queue_before"), after.label("queue_after")).cte("visit")
    return _from(_visits, window, scope).add_cte(visit)


def _from(what: sa.FromClause, window: Window, scope: Scope) -> sa.Select[Any]:
    """To select from, `touched` being the tasks to which something happened in the window, and few others.

    None is heard of longer than `LONGEST_MS`. Each half of them is a range of the index; SQLite has to be told to begin with them.
    """
    start, end = sa.literal(window.start_ms, Instant), sa.literal(window.end_ms, Instant)
    c, quiet, longest = tables.task.c, tables.TASK_QUIET, sa.literal(window.end_ms + LONGEST_MS, Instant)
    begun = sa.or_(c.first_seen_at < end, c.created_at < end)
    of = sa.select(*(c[name] for name in _TOLD)).where(c.workspace_sid == scope.workspace_sid, begun)
    if scope.task_channel is not None:
        of = of.where(sa.or_(c.task_channel_sid == scope.task_channel, c.task_channel_unique_name == scope.task_channel))
    r, earliest = tables.reservation.c, sa.literal(window.start_ms - LONGEST_MS, Instant)
    if by_worker := _by_worker(scope, r.worker_sid):  # few: their tasks are found by the index of a worker's load
        offered = sa.select(r.task_sid).where(r.workspace_sid == scope.workspace_sid, *by_worker)
        lately = offered.where(r.live_since > earliest, r.live_since < longest)
        of = of.where(c.task_sid.in_(sa.union_all(lately, offered.where(r.live_since.is_(None)))))
    touched = sa.union_all(of.where(quiet.is_(None)), of.where(quiet >= start, quiet < longest)).cte("touched")
    return sa.select().select_from(what).add_cte(touched.prefix_with("MATERIALIZED", dialect="sqlite"))


def _by_worker(scope: Scope, worker_sid: sa.ColumnElement[Any]) -> list[Where]:
    """That a reservation is of the scope's worker, or of one with that name."""
    w = tables.worker.c
    named = sa.select(w.worker_sid).where(w.workspace_sid == scope.workspace_sid, w.friendly_name == scope.worker_name)
    where: list[Where] = [] if scope.worker_name is None else [worker_sid.in_(named)]
    return where if scope.worker_sid is None else [*where, worker_sid == scope.worker_sid]
