"""The gap ledger: `gap` becomes a view over the rows; what the fold tells of gaps is `gap_told`.

Rows say now what told them. Those that are there are of an earlier fold, which did not note it: what they show is taken for told until the
rebuild that this release's fold makes due anyway, or each old task would be named as one that was never created.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OBSERVED = "True: REST has shown it; what came before that may never have been told."
TOLD = {  # table → column → what it says
    "task": {
        "created_told": "True: by task.created.",
        "ended_told": "True: by task.completed or task.canceled, or REST has shown it ended.",
        "observed": OBSERVED,
    },
    "reservation": {"created_told": "True: by reservation.created.", "observed": OBSERVED},
    "task_queue_span_past": {"told": "True: by task-queue.entered."},
}


def _of(table: str, flags: str, others: str) -> sa.TableClause:
    return sa.table(table, *(sa.column(name, sa.Boolean) for name in flags.split()), *map(sa.column, others.split()))


TASK = _of(
    "task",
    "created_told ended_told observed visit_inferred visit_told",
    "callback_count status live_status live_event_sid last_event_sid first_accepted_at first_reserved_at wrapup_at",
)
OFFER = _of(
    "reservation", "created_told observed inferred", "accepted_at wrapup_at failed_at status live_event_sid last_event_sid"
)
VISIT = _of("task_queue_span_past", "inferred told", "")
_T, _R, _P = TASK.c, OFFER.c, VISIT.c
_SEEN = sa.and_(_T.callback_count > 0, ~_T.observed)
_over = sa.func.coalesce(_T.status.in_(("completed", "canceled")), sa.false())
LACKS = {  # the rows that the partial indexes are of
    "task": sa.or_(
        sa.and_(_SEEN, ~_T.created_told),
        sa.and_(~_T.ended_told, _T.status.in_(("completed", "canceled"))),
        sa.and_(
            _SEEN, sa.or_(_T.live_status.in_(("assigned", "wrapping")), _T.status == "completed"), _T.first_accepted_at.is_(None)
        ),
        sa.and_(_SEEN, _T.live_status == "reserved", _T.first_reserved_at.is_(None), _T.first_accepted_at.is_(None)),
        sa.and_(_T.live_status == "wrapping", _T.wrapup_at.is_(None), sa.func.substr(_T.live_event_sid, 1, 2) != "OB"),
        sa.and_(_SEEN, _T.visit_inferred, ~_T.visit_told),
    ),
    "reservation": sa.or_(
        sa.and_(~_R.observed, ~_R.created_told, _R.failed_at.is_(None)),
        sa.and_(
            ~_R.observed, _R.accepted_at.is_(None), sa.or_(_R.wrapup_at.is_not(None), sa.and_(_R.status == "completed", ~_R.inferred))
        ),
        _R.inferred.is_(True),
    ),
    "task_queue_span_past": _P.inferred.is_(True),
}  # fmt: skip


def _shown(c: Any) -> sa.ColumnElement[bool]:
    """Whether REST has shown it, as far as the row can tell: its Sids are of our own making."""
    return sa.or_(
        *(sa.func.coalesce(sa.func.substr(c[sid], 1, 2) == "OB", sa.false()) for sid in ("live_event_sid", "last_event_sid"))
    )


def upgrade() -> None:
    _rename("gap", "gap_told")
    for table, columns in TOLD.items():
        for name, comment in columns.items():
            op.add_column(table, sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false(), comment=comment))
    op.execute(sa.update(TASK).values(created_told=sa.true(), ended_told=_over, visit_told=sa.true(), observed=_shown(_T)))
    op.execute(sa.update(OFFER).values(created_told=sa.true(), observed=_shown(_R)))
    op.execute(sa.update(VISIT).values(told=sa.true()))
    for table, lacks in LACKS.items():
        key = ["workspace_sid", "task_sid"]
        op.create_index(f"ix_{table}_lacks", table, key, postgresql_where=lacks, sqlite_where=lacks)


def downgrade() -> None:
    for table, columns in TOLD.items():
        if table in LACKS:
            op.drop_index(f"ix_{table}_lacks", table_name=table)
        for name in columns:
            op.drop_column(table, name)
    _rename("gap_told", "gap")


def _rename(before: str, now: str) -> None:
    op.rename_table(before, now)
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {now} RENAME CONSTRAINT pk_{before} TO pk_{now}")
