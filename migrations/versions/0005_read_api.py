"""What the read API looks by: the log by event time (Events), tasks by when they were last heard of (lists and statistics).

On PostgreSQL the log's index is made within the migration's transaction, as everything is that `projector migrate` does: webhooks wait meanwhile,
some seconds for a million callbacks. A log where that is too long gets it beforehand, while it is appended to, and this finds it:

    CREATE INDEX CONCURRENTLY ix_stored_events_at ON log.stored_events (at_ms, notification_id) WHERE originator_version <> 0
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ENDED = "coalesce(completed_at, canceled_at, deleted_at)"
OFFERED_OUT_OF = {  # column of reservation → its comment before, and now
    "task_queue_sid": ("WQ…", "WQ…, out of which it was offered: its task may be in another one since."),
    "workflow_sid": ("WW…", "WW…, likewise."),
}


def upgrade() -> None:
    every_row = sa.text("originator_version <> 0")
    # If not exists: made beforehand, or on SQLite in a log that is older than the tables' file.
    op.create_index(
        "ix_stored_events_at",
        "stored_events",
        ["at_ms", "notification_id"],
        schema="log",
        if_not_exists=True,
        postgresql_where=every_row,
        sqlite_where=every_row,
    )
    quiet = sa.text(f"(CASE WHEN (updated_at > {ENDED}) THEN updated_at ELSE {ENDED} END)")
    op.create_index("ix_task_quiet", "task", ["workspace_sid", quiet])
    _comment(before=0, now=1)


def downgrade() -> None:
    _comment(before=1, now=0)
    op.drop_index("ix_task_quiet", table_name="task")
    op.drop_index("ix_stored_events_at", table_name="stored_events", schema="log", if_exists=True)


def _comment(before: int, now: int) -> None:
    if op.get_bind().dialect.supports_comments:
        for column, comments in OFFERED_OUT_OF.items():
            op.alter_column("reservation", column, comment=comments[now], existing_comment=comments[before])
