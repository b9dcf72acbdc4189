"""Observations: what REST shows tells a channel's capacity too, and may show that a callback is missing."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_CAPACITY = (
    "WorkerChannelAvailableCapacity of the last worker.capacity.update.",
    "Capacity by the last worker.capacity.update (its WorkerChannelAvailableCapacity) or observation (as configured).",
)
COMMENTS = {  # table, column → its comment before and now
    ("worker_channel", "updated_capacity"): _CAPACITY,
    ("worker_channel_span_past", "updated_capacity"): _CAPACITY,
    ("gap", "reason"): (
        "What does not fit: previous_activity_unseen, _differs, _shorter or _longer.",
        "What does not fit: previous_activity_unseen, _differs, _shorter or _longer; observed_otherwise.",
    ),
}


def upgrade() -> None:
    _comment(before=0, now=1)


def downgrade() -> None:
    _comment(before=1, now=0)


def _comment(before: int, now: int) -> None:
    if op.get_bind().dialect.supports_comments:
        for (table, column), comments in COMMENTS.items():
            op.alter_column(table, column, comment=comments[now], existing_comment=comments[before])
