"""The history: spans that have ended, gaps, stated capacities, and the last span of each line in its row."""

import sqlalchemy as sa
from alembic import op

from projector.tables import SID, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gap",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("kind", SID, nullable=False, comment="Of the unit whose callback is missing: worker."),
        sa.Column("sid", SID, nullable=False, comment="Its Sid."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many gaps of this unit came before."),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="What does not fit: previous_activity_unseen, _differs, _shorter or _longer.",
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that reveals it."),
        sa.Column("revealed_at", Instant(), nullable=True, comment="Its event time."),
        sa.Column("missing_event_type", sa.Text(), nullable=False, comment="What is believed missing."),
        sa.Column("missing_at", Instant(), nullable=True, comment="When that happened, if it can be told."),
        sa.Column("activity_sid", SID, nullable=True, comment="The activity it entered."),
        sa.PrimaryKeyConstraint("workspace_sid", "kind", "sid", "n", name=op.f("pk_gap")),
        comment="Callbacks that must have been and are not here now.",
    )
    op.create_table(
        "reservation_status_span_past",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_sid", SID, nullable=False, comment="WT…"),
        sa.Column("reservation_sid", SID, nullable=False, comment="WR…"),
        sa.Column("started_at", Instant(), nullable=False, comment="From this moment on."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many spans of its line came before."),
        sa.Column("ended_at", Instant(), nullable=True, comment="Up to, not including, this moment."),
        sa.Column("status", sa.Text(), nullable=True, comment="pending, accepted, wrapping."),
        sa.Column("worker_sid", SID, nullable=True, comment="WK…"),
        sa.Column("worker_name", sa.Text(), nullable=True, comment="The worker's name as sent then."),
        sa.Column("worker_activity_sid", SID, nullable=True, comment="The worker's activity as mentioned then."),
        sa.Column("worker_activity_name", sa.Text(), nullable=True, comment="That activity's name."),
        sa.Column("task_channel_sid", SID, nullable=True, comment="TC…"),
        sa.Column("ignore_capacity", sa.Boolean(), nullable=True, comment="True: it took no channel capacity."),
        sa.Column(
            "inferred", sa.Boolean(), nullable=False, comment="True: no callback told it; it follows from what others say."
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that opened it, or shows it."),
        sa.PrimaryKeyConstraint(
            "workspace_sid", "task_sid", "reservation_sid", "started_at", "n", name=op.f("pk_reservation_status_span_past")
        ),
        comment="Statuses of reservations that another live one followed.",
    )
    op.create_index(
        "ix_reservation_status_span_past_worker",
        "reservation_status_span_past",
        ["workspace_sid", "worker_sid", "started_at"],
        unique=False,
    )
    op.create_table(
        "stated_capacity",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("worker_sid", SID, nullable=False, comment="WK…"),
        sa.Column("task_channel_sid", SID, nullable=False, comment="TC…"),
        sa.Column("stated_order", SID, nullable=False, comment="Order key of the callback that states it."),
        sa.Column("stated_at", Instant(), nullable=True, comment="Its event time."),
        sa.Column("capacity", sa.BigInteger(), nullable=False, comment="WorkerChannelCapacity."),
        sa.PrimaryKeyConstraint(
            "workspace_sid", "worker_sid", "task_channel_sid", "stated_order", name=op.f("pk_stated_capacity")
        ),
        comment="Every capacity that a callback of a task states for its worker's channel: the history of worker_channel.stated_capacity.",
    )
    op.create_table(
        "task_queue_span_past",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_sid", SID, nullable=False, comment="WT…"),
        sa.Column("started_at", Instant(), nullable=False, comment="From this moment on."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many spans of its line came before."),
        sa.Column("ended_at", Instant(), nullable=True, comment="Up to, not including, this moment."),
        sa.Column("task_queue_sid", SID, nullable=True, comment="WQ…"),
        sa.Column("task_queue_name", sa.Text(), nullable=True, comment="The queue's name as sent then."),
        sa.Column("outcome", sa.Text(), nullable=True, comment="accepted, timeout, moved, canceled."),
        sa.Column(
            "inferred", sa.Boolean(), nullable=False, comment="True: no callback told it; it follows from what others say."
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that opened it, or shows it."),
        sa.PrimaryKeyConstraint("workspace_sid", "task_sid", "started_at", "n", name=op.f("pk_task_queue_span_past")),
        comment="Visits of tasks to queues that another one followed.",
    )
    op.create_index(
        "ix_task_queue_span_past_queue", "task_queue_span_past", ["workspace_sid", "task_queue_sid", "started_at"], unique=False
    )
    op.create_table(
        "task_status_span_past",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_sid", SID, nullable=False, comment="WT…"),
        sa.Column("started_at", Instant(), nullable=False, comment="From this moment on."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many spans of its line came before."),
        sa.Column("ended_at", Instant(), nullable=True, comment="Up to, not including, this moment."),
        sa.Column("status", sa.Text(), nullable=True, comment="pending, reserved, assigned, wrapping."),
        sa.Column(
            "inferred", sa.Boolean(), nullable=False, comment="True: no callback told it; it follows from what others say."
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that opened it, or shows it."),
        sa.PrimaryKeyConstraint("workspace_sid", "task_sid", "started_at", "n", name=op.f("pk_task_status_span_past")),
        comment="Statuses of tasks that another live one followed.",
    )
    op.create_table(
        "worker_activity_span_past",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("worker_sid", SID, nullable=False, comment="WK…"),
        sa.Column("started_at", Instant(), nullable=False, comment="From this moment on."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many spans of its line came before."),
        sa.Column("ended_at", Instant(), nullable=True, comment="Up to, not including, this moment."),
        sa.Column("worker_name", sa.Text(), nullable=True, comment="The worker's name as sent then."),
        sa.Column("activity_sid", SID, nullable=True, comment="WA…"),
        sa.Column("activity_name", sa.Text(), nullable=True, comment="The activity's name as sent then."),
        sa.Column(
            "reported_ms", sa.BigInteger(), nullable=True, comment="WorkerTimeInPreviousActivityMs of the callback that ended it."
        ),
        sa.Column(
            "agrees", sa.Boolean(), nullable=True, comment="Whether that is its length, to within the second of worker.created."
        ),
        sa.Column(
            "inferred", sa.Boolean(), nullable=False, comment="True: no callback told it; it follows from what others say."
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that opened it, or shows it."),
        sa.PrimaryKeyConstraint("workspace_sid", "worker_sid", "started_at", "n", name=op.f("pk_worker_activity_span_past")),
        comment="Ended spells of workers in activities, where another one followed.",
    )
    op.create_table(
        "worker_attributes_span_past",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("worker_sid", SID, nullable=False, comment="WK…"),
        sa.Column("started_at", Instant(), nullable=False, comment="From this moment on."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many spans of its line came before."),
        sa.Column("ended_at", Instant(), nullable=True, comment="Up to, not including, this moment."),
        sa.Column("worker_name", sa.Text(), nullable=True, comment="The worker's name as sent then."),
        sa.Column("attributes", sa.Text(), nullable=True, comment="JSON in canonical spelling."),
        sa.Column(
            "inferred", sa.Boolean(), nullable=False, comment="True: no callback told it; it follows from what others say."
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that opened it, or shows it."),
        sa.PrimaryKeyConstraint("workspace_sid", "worker_sid", "started_at", "n", name=op.f("pk_worker_attributes_span_past")),
        comment="Attributes of workers that others followed.",
    )
    op.create_table(
        "worker_channel_span_past",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("worker_sid", SID, nullable=False, comment="WK…"),
        sa.Column("task_channel_sid", SID, nullable=False, comment="TC…"),
        sa.Column("started_at", Instant(), nullable=False, comment="From this moment on."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many spans of its line came before."),
        sa.Column("ended_at", Instant(), nullable=True, comment="Up to, not including, this moment."),
        sa.Column("worker_name", sa.Text(), nullable=True, comment="The worker's name as sent then."),
        sa.Column("available", sa.Boolean(), nullable=True, comment="Whether the worker took tasks on this channel."),
        sa.Column(
            "updated_capacity",
            sa.BigInteger(),
            nullable=True,
            comment="WorkerChannelAvailableCapacity of the last worker.capacity.update.",
        ),
        sa.Column(
            "inferred", sa.Boolean(), nullable=False, comment="True: no callback told it; it follows from what others say."
        ),
        sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that opened it, or shows it."),
        sa.PrimaryKeyConstraint(
            "workspace_sid", "worker_sid", "task_channel_sid", "started_at", "n", name=op.f("pk_worker_channel_span_past")
        ),
        comment="Availability and capacity of worker channels that others followed.",
    )
    op.add_column(
        "reservation",
        sa.Column(
            "ignore_capacity", sa.Boolean(), nullable=True, comment="True: it takes no channel capacity (TaskIgnoreCapacity)."
        ),
    )
    op.add_column(
        "reservation",
        sa.Column(
            "live_status", sa.Text(), nullable=True, comment="Its last status that was no end: pending, accepted, wrapping."
        ),
    )
    op.add_column("reservation", sa.Column("live_since", Instant(), nullable=True, comment="Since when it had that status."))
    op.add_column(
        "reservation",
        sa.Column("live_n", sa.BigInteger(), server_default="0", nullable=False, comment="How many status spans came before."),
    )
    op.add_column(
        "reservation", sa.Column("live_event_sid", SID, nullable=True, comment="Sid of the callback that told that status.")
    )
    op.add_column(
        "reservation", sa.Column("live_worker_name", sa.Text(), nullable=True, comment="The worker's name in that callback.")
    )
    op.add_column(
        "reservation", sa.Column("live_activity_sid", SID, nullable=True, comment="The worker's activity in that callback.")
    )
    op.add_column("reservation", sa.Column("live_activity_name", sa.Text(), nullable=True, comment="That activity's name."))
    op.drop_index(op.f("ix_reservation_workspace_sid_worker_sid_status"), table_name="reservation")
    op.create_index(
        op.f("ix_reservation_workspace_sid_worker_sid_live_since"),
        "reservation",
        ["workspace_sid", "worker_sid", "live_since"],
        unique=False,
    )
    op.add_column("task", sa.Column("live_status", sa.Text(), nullable=True, comment="Its last status that was no end."))
    op.add_column("task", sa.Column("live_since", Instant(), nullable=True, comment="Since when it had that status."))
    op.add_column(
        "task",
        sa.Column("live_n", sa.BigInteger(), server_default="0", nullable=False, comment="How many status spans came before."),
    )
    op.add_column("task", sa.Column("live_event_sid", SID, nullable=True, comment="Sid of the callback that told that status."))
    op.add_column("task", sa.Column("visit_queue_sid", SID, nullable=True, comment="The queue of its last visit."))
    op.add_column(
        "task", sa.Column("visit_queue_name", sa.Text(), nullable=True, comment="That queue's name as the callback gave it.")
    )
    op.add_column("task", sa.Column("visit_since", Instant(), nullable=True, comment="When that visit began."))
    op.add_column(
        "task", sa.Column("visit_n", sa.BigInteger(), server_default="0", nullable=False, comment="How many visits came before.")
    )
    op.add_column("task", sa.Column("visit_event_sid", SID, nullable=True, comment="Sid of the callback that opened it."))
    op.add_column(
        "task",
        sa.Column(
            "visit_told", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment="True: by task-queue.entered."
        ),
    )
    op.add_column(
        "task",
        sa.Column(
            "visit_inferred",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="True: its beginning or end follows from a snapshot.",
        ),
    )
    op.add_column("task", sa.Column("visit_ended_at", Instant(), nullable=True, comment="When it ended, unless with the task."))
    op.add_column(
        "task",
        sa.Column(
            "visit_outcome",
            sa.Text(),
            nullable=True,
            comment="What ended it, unless the task's end: accepted, timeout, moved, canceled.",
        ),
    )
    op.create_index(
        op.f("ix_task_workspace_sid_visit_queue_sid_visit_since"),
        "task",
        ["workspace_sid", "visit_queue_sid", "visit_since"],
        unique=False,
    )
    op.add_column(
        "worker", sa.Column("attributes_since", Instant(), nullable=True, comment="Since when it has had these attributes.")
    )
    op.add_column(
        "worker",
        sa.Column(
            "attributes_n",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="How many spans of attributes came before.",
        ),
    )
    op.add_column(
        "worker", sa.Column("attributes_event_sid", SID, nullable=True, comment="Sid of the callback that told these attributes.")
    )
    op.add_column(
        "worker", sa.Column("attributes_worker_name", sa.Text(), nullable=True, comment="The worker's name in that callback.")
    )
    op.add_column(
        "worker",
        sa.Column(
            "activity_n",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="How many spells in activities came before.",
        ),
    )
    op.add_column(
        "worker", sa.Column("activity_event_sid", SID, nullable=True, comment="Sid of the callback that told this activity.")
    )
    op.add_column(
        "worker", sa.Column("activity_worker_name", sa.Text(), nullable=True, comment="The worker's name in that callback.")
    )
    op.add_column(
        "worker",
        sa.Column("gap_n", sa.BigInteger(), server_default="0", nullable=False, comment="How many gaps its callbacks reveal."),
    )
    op.add_column(
        "worker_channel",
        sa.Column("since", Instant(), nullable=True, comment="Since when available and updated_capacity are as they are."),
    )
    op.add_column(
        "worker_channel",
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False, comment="How many spans of these came before."),
    )
    op.add_column("worker_channel", sa.Column("event_sid", SID, nullable=True, comment="Sid of the callback that told them."))
    op.add_column(
        "worker_channel", sa.Column("worker_name", sa.Text(), nullable=True, comment="The worker's name in that callback.")
    )
    op.add_column("worker_channel", sa.Column("ended_at", Instant(), nullable=True, comment="When its worker was deleted."))


def downgrade() -> None:
    op.drop_column("worker_channel", "ended_at")
    op.drop_column("worker_channel", "worker_name")
    op.drop_column("worker_channel", "event_sid")
    op.drop_column("worker_channel", "n")
    op.drop_column("worker_channel", "since")
    op.drop_column("worker", "gap_n")
    op.drop_column("worker", "activity_worker_name")
    op.drop_column("worker", "activity_event_sid")
    op.drop_column("worker", "activity_n")
    op.drop_column("worker", "attributes_worker_name")
    op.drop_column("worker", "attributes_event_sid")
    op.drop_column("worker", "attributes_n")
    op.drop_column("worker", "attributes_since")
    op.drop_index(op.f("ix_task_workspace_sid_visit_queue_sid_visit_since"), table_name="task")
    op.drop_column("task", "visit_outcome")
    op.drop_column("task", "visit_ended_at")
    op.drop_column("task", "visit_inferred")
    op.drop_column("task", "visit_told")
    op.drop_column("task", "visit_event_sid")
    op.drop_column("task", "visit_n")
    op.drop_column("task", "visit_since")
    op.drop_column("task", "visit_queue_name")
    op.drop_column("task", "visit_queue_sid")
    op.drop_column("task", "live_event_sid")
    op.drop_column("task", "live_n")
    op.drop_column("task", "live_since")
    op.drop_column("task", "live_status")
    op.drop_index(op.f("ix_reservation_workspace_sid_worker_sid_live_since"), table_name="reservation")
    op.create_index(
        op.f("ix_reservation_workspace_sid_worker_sid_status"),
        "reservation",
        ["workspace_sid", "worker_sid", "status"],
        unique=False,
    )
    op.drop_column("reservation", "live_activity_name")
    op.drop_column("reservation", "live_activity_sid")
    op.drop_column("reservation", "live_worker_name")
    op.drop_column("reservation", "live_event_sid")
    op.drop_column("reservation", "live_n")
    op.drop_column("reservation", "live_since")
    op.drop_column("reservation", "live_status")
    op.drop_column("reservation", "ignore_capacity")
    op.drop_table("worker_channel_span_past")
    op.drop_table("worker_attributes_span_past")
    op.drop_table("worker_activity_span_past")
    op.drop_table("task_status_span_past")
    op.drop_index("ix_task_queue_span_past_queue", table_name="task_queue_span_past")
    op.drop_table("task_queue_span_past")
    op.drop_table("stated_capacity")
    op.drop_index("ix_reservation_status_span_past_worker", table_name="reservation_status_span_past")
    op.drop_table("reservation_status_span_past")
    op.drop_table("gap")
