"""The current tables, and the loop's own."""

import sqlalchemy as sa
from alembic import op

from projector.tables import SID, Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("activity_sid", SID, nullable=False, comment="WA…"),
        sa.Column("friendly_name", sa.Text(), nullable=True, comment="Its name as last told."),
        sa.Column("friendly_name_order", SID, nullable=True, comment="Order key of the callback that told friendly_name."),
        sa.Column(
            "available",
            sa.Boolean(),
            nullable=True,
            comment="Whether workers in it get tasks; NULL until an activity callback tells.",
        ),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", "activity_sid", name=op.f("pk_activity")),
        comment="Activities.",
    )
    op.create_table(
        "checkpoint",
        sa.Column("unit", SID, nullable=False, comment="<WorkspaceSid>/<kind>/<Sid>"),
        sa.Column("folded_to", SID, nullable=False, comment="Order key up to which it is folded."),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="The folded state."),
        sa.PrimaryKeyConstraint("unit", "folded_to", name=op.f("pk_checkpoint")),
        comment="Long-lived units folded up to moments of their past, for late callbacks to start from.",
    )
    op.create_table(
        "event_type_count",
        sa.Column("event_type", SID, nullable=False, comment="EventType as received, at most 100 characters."),
        sa.Column("known", sa.Boolean(), nullable=False, comment="Whether this release knows what it means."),
        sa.Column("times", sa.BigInteger(), nullable=False, comment="Callbacks projected."),
        sa.PrimaryKeyConstraint("event_type", name=op.f("pk_event_type_count")),
        comment="Callbacks by EventType.",
    )
    op.create_table(
        "incomplete_unit",
        sa.Column("unit", SID, nullable=False, comment="<WorkspaceSid>/<kind>/<Sid>"),
        sa.Column("error", sa.Text(), nullable=False, comment="The error's class and place; no data."),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="The log's position where it happened."),
        sa.PrimaryKeyConstraint("unit", name=op.f("pk_incomplete_unit")),
        comment="Units whose fold failed: our bug. Their rows are as of before; the log has everything.",
    )
    op.create_table(
        "projection",
        sa.Column("name", sa.Text(), nullable=False, comment="Always `tables`."),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="Last position of the log that is in the tables."),
        sa.Column("originator_id", SID, nullable=True, comment="Whose callback stands there: another one is another log."),
        sa.Column("event_at", Instant(), nullable=True, comment="Greatest event time in the tables."),
        sa.Column("fold_version", sa.Integer(), nullable=False, comment="The fold that made the tables."),
        sa.Column("holder", sa.Text(), nullable=True, comment="Which loop may write."),
        sa.Column("lease_expires_at", Instant(), nullable=True, comment="Until when, unless renewed."),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projection")),
        comment="How far the tables are.",
    )
    op.create_table(
        "reservation",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_sid", SID, nullable=False, comment="WT…"),
        sa.Column("reservation_sid", SID, nullable=False, comment="WR…"),
        sa.Column("worker_sid", SID, nullable=True, comment="WK…; NULL for reservation.failed."),
        sa.Column("worker_name", sa.Text(), nullable=True, comment="The worker's name as the callback gave it."),
        sa.Column("worker_activity_sid", SID, nullable=True, comment="The activity the callback mentions for its worker."),
        sa.Column("worker_activity_name", sa.Text(), nullable=True, comment="That activity's name."),
        sa.Column("task_queue_sid", SID, nullable=True, comment="WQ…"),
        sa.Column("workflow_sid", SID, nullable=True, comment="WW…"),
        sa.Column("task_channel_sid", SID, nullable=True, comment="TC…"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=True,
            comment="pending, accepted, wrapping; rejected, timeout, canceled, rescinded, completed, failed.",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="CanceledReasonCode or Reason."),
        sa.Column("version", sa.BigInteger(), nullable=True, comment="ReservationVersion as last told."),
        sa.Column("created_at", Instant(), nullable=True, comment="reservation.created."),
        sa.Column("accepted_at", Instant(), nullable=True, comment="reservation.accepted."),
        sa.Column("rejected_at", Instant(), nullable=True, comment="reservation.rejected."),
        sa.Column("timed_out_at", Instant(), nullable=True, comment="reservation.timeout."),
        sa.Column("canceled_at", Instant(), nullable=True, comment="reservation.canceled."),
        sa.Column("rescinded_at", Instant(), nullable=True, comment="reservation.rescinded."),
        sa.Column("wrapup_at", Instant(), nullable=True, comment="reservation.wrapup."),
        sa.Column("completed_at", Instant(), nullable=True, comment="reservation.completed."),
        sa.Column("failed_at", Instant(), nullable=True, comment="reservation.failed."),
        sa.Column(
            "inferred",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="True: its own end never came; it ended with its task.",
        ),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column("updated_at", Instant(), nullable=True, comment="Event time of the last callback of its own."),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.PrimaryKeyConstraint("workspace_sid", "task_sid", "reservation_sid", name=op.f("pk_reservation")),
        comment="Reservations: offers of a task to a worker.",
    )
    op.create_index(
        op.f("ix_reservation_workspace_sid_reservation_sid"), "reservation", ["workspace_sid", "reservation_sid"], unique=False
    )
    op.create_index(
        op.f("ix_reservation_workspace_sid_worker_sid_status"),
        "reservation",
        ["workspace_sid", "worker_sid", "status"],
        unique=False,
    )
    op.create_table(
        "task",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_sid", SID, nullable=False, comment="WT…"),
        sa.Column("status", sa.Text(), nullable=True, comment="pending, reserved, assigned, wrapping, completed, canceled."),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="Why it was canceled or completed, in Twilio's or the caller's words."
        ),
        sa.Column("priority", sa.BigInteger(), nullable=True, comment="TaskPriority."),
        sa.Column("ignore_capacity", sa.Boolean(), nullable=True, comment="True: its reservations take no channel capacity."),
        sa.Column("attributes", sa.Text(), nullable=True, comment="Its attributes, JSON in canonical spelling."),
        sa.Column(
            "attributes_readable",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="False when the last attributes could not be read as JSON; `attributes` keeps the ones before.",
        ),
        sa.Column("task_channel_sid", SID, nullable=True, comment="TC…"),
        sa.Column("task_channel_unique_name", sa.Text(), nullable=True, comment="voice, chat, …"),
        sa.Column("task_queue_sid", SID, nullable=True, comment="The queue it is in, or was in last."),
        sa.Column("task_queue_name", sa.Text(), nullable=True, comment="That queue's name as the callback gave it."),
        sa.Column("workflow_sid", SID, nullable=True, comment="WW…"),
        sa.Column("workflow_name", sa.Text(), nullable=True, comment="That workflow's name as the callback gave it."),
        sa.Column(
            "transfer_status", sa.Text(), nullable=True, comment="Of its last transfer: initiated, failed, canceled, complete."
        ),
        sa.Column("created_at", Instant(), nullable=True, comment="task.created, else TaskDateCreated."),
        sa.Column("queue_entered_at", Instant(), nullable=True, comment="When it entered its current queue."),
        sa.Column("first_reserved_at", Instant(), nullable=True, comment="Its first reservation.created."),
        sa.Column("first_accepted_at", Instant(), nullable=True, comment="Its first reservation.accepted."),
        sa.Column("wrapup_at", Instant(), nullable=True, comment="Its first task.wrapup."),
        sa.Column(
            "completed_at", Instant(), nullable=True, comment="task.completed, else the first callback that shows it completed."
        ),
        sa.Column(
            "canceled_at", Instant(), nullable=True, comment="task.canceled, else the first callback that shows it canceled."
        ),
        sa.Column("version", sa.BigInteger(), nullable=True, comment="TaskVersion as last told."),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", "task_sid", name=op.f("pk_task")),
        comment="Tasks.",
    )
    op.create_index(
        op.f("ix_task_workspace_sid_task_queue_sid_status"), "task", ["workspace_sid", "task_queue_sid", "status"], unique=False
    )
    op.create_table(
        "task_channel",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_channel_sid", SID, nullable=False, comment="TC…"),
        sa.Column("unique_name", sa.Text(), nullable=True, comment="voice, chat, …"),
        sa.Column("unique_name_order", SID, nullable=True, comment="Order key of the callback that told unique_name."),
        sa.Column("friendly_name", sa.Text(), nullable=True, comment="Its name as last told."),
        sa.Column("friendly_name_order", SID, nullable=True, comment="Order key of the callback that told friendly_name."),
        sa.Column("optimized_routing", sa.Boolean(), nullable=True, comment="Whether workers idle the longest are preferred."),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", "task_channel_sid", name=op.f("pk_task_channel")),
        comment="Task channels.",
    )
    op.create_table(
        "task_queue",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("task_queue_sid", SID, nullable=False, comment="WQ…"),
        sa.Column("friendly_name", sa.Text(), nullable=True, comment="Its name as last told."),
        sa.Column("friendly_name_order", SID, nullable=True, comment="Order key of the callback that told friendly_name."),
        sa.Column("target_workers", sa.Text(), nullable=True, comment="Its TargetWorkers expression as last told."),
        sa.Column("target_workers_order", SID, nullable=True, comment="Order key of the callback that told target_workers."),
        sa.Column("operating_unit_sid", SID, nullable=True, comment="OU…"),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", "task_queue_sid", name=op.f("pk_task_queue")),
        comment="Task queues.",
    )
    op.create_table(
        "worker",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("worker_sid", SID, nullable=False, comment="WK…"),
        sa.Column("friendly_name", sa.Text(), nullable=True, comment="Its name as last told."),
        sa.Column("friendly_name_order", SID, nullable=True, comment="Order key of the callback that told friendly_name."),
        sa.Column("attributes", sa.Text(), nullable=True, comment="Its attributes, JSON in canonical spelling."),
        sa.Column(
            "attributes_readable",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="False when the last attributes could not be read as JSON; `attributes` keeps the ones before.",
        ),
        sa.Column("activity_sid", SID, nullable=True, comment="The activity it is in."),
        sa.Column("activity_name", sa.Text(), nullable=True, comment="That activity's name as the callback gave it."),
        sa.Column("activity_since", Instant(), nullable=True, comment="When it entered that activity."),
        sa.Column("version", sa.BigInteger(), nullable=True, comment="WorkerVersion as last told."),
        sa.Column("operating_unit_sid", SID, nullable=True, comment="OU…"),
        sa.Column("created_at", Instant(), nullable=True, comment="When it was created (whole seconds)."),
        sa.Column("deleted_at_basis", sa.Text(), nullable=True, comment="What deleted_at rests on: stamp, receipt or last_fact."),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", "worker_sid", name=op.f("pk_worker")),
        comment="Workers. Current activity, attributes, deletion.",
    )
    op.create_index(op.f("ix_worker_workspace_sid_activity_sid"), "worker", ["workspace_sid", "activity_sid"], unique=False)
    op.create_table(
        "worker_channel",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("worker_sid", SID, nullable=False, comment="WK…"),
        sa.Column("task_channel_sid", SID, nullable=False, comment="TC…"),
        sa.Column("unique_name", sa.Text(), nullable=True, comment="The channel's unique name as last told."),
        sa.Column("unique_name_order", SID, nullable=True, comment="Order key of the callback that told unique_name."),
        sa.Column(
            "stated_capacity", sa.BigInteger(), nullable=True, comment="WorkerChannelCapacity as last stated by any callback."
        ),
        sa.Column("stated_capacity_order", SID, nullable=True, comment="Order key of the callback that told stated_capacity."),
        sa.Column("available", sa.Boolean(), nullable=True, comment="Whether the worker takes tasks on this channel."),
        sa.Column(
            "updated_capacity",
            sa.BigInteger(),
            nullable=True,
            comment="WorkerChannelAvailableCapacity of the last worker.capacity.update.",
        ),
        sa.Column(
            "configured_capacity",
            sa.BigInteger(),
            sa.Computed("coalesce(stated_capacity, updated_capacity)", persisted=True),
            nullable=True,
            comment="stated_capacity where known, else updated_capacity.",
        ),
        sa.Column(
            "configured_capacity_basis",
            sa.Text(),
            sa.Computed(
                "CASE WHEN stated_capacity IS NOT NULL THEN 'stated' WHEN updated_capacity IS NOT NULL THEN 'updated' END",
                persisted=True,
            ),
            nullable=True,
            comment="Which of the two it is: stated or updated.",
        ),
        sa.Column("reported_available_capacity", sa.Text(), nullable=True, comment="WorkerChannelAvailableCapacity, raw."),
        sa.Column("reported_previous_capacity", sa.Text(), nullable=True, comment="WorkerChannelPreviousCapacity, raw."),
        sa.Column("reported_task_count", sa.Text(), nullable=True, comment="WorkerChannelTaskCount, raw."),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last callback of its own; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.PrimaryKeyConstraint("workspace_sid", "worker_sid", "task_channel_sid", name=op.f("pk_worker_channel")),
        comment="Worker channels: what a worker can take on one TaskChannel.",
    )
    op.create_table(
        "workflow",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("workflow_sid", SID, nullable=False, comment="WW…"),
        sa.Column("friendly_name", sa.Text(), nullable=True, comment="Its name as last told."),
        sa.Column("friendly_name_order", SID, nullable=True, comment="Order key of the callback that told friendly_name."),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", "workflow_sid", name=op.f("pk_workflow")),
        comment="Workflows.",
    )
    op.create_table(
        "workspace",
        sa.Column("workspace_sid", SID, nullable=False, comment="WS…"),
        sa.Column("friendly_name", sa.Text(), nullable=True, comment="Its name as last told."),
        sa.Column("friendly_name_order", SID, nullable=True, comment="Order key of the callback that told friendly_name."),
        sa.Column("first_seen_at", Instant(), nullable=True, comment="Event time of the first callback that spoke of it."),
        sa.Column(
            "folded_to",
            SID,
            server_default="",
            nullable=False,
            comment="Order key of the last of its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "callback_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Its own callbacks folded, deletions apart.",
        ),
        sa.Column(
            "timed_by_receipt_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.",
        ),
        sa.Column(
            "updated_at",
            Instant(),
            nullable=True,
            comment="Event time of the last of its own callbacks; NULL when it was only mentioned.",
        ),
        sa.Column("last_event_sid", SID, nullable=True, comment="Sid of that callback."),
        sa.Column("deletion_order", SID, nullable=True, comment="Order key of its deletion."),
        sa.Column("deletion_received_at", Instant(), nullable=True, comment="Receipt of its deletion, when it came live."),
        sa.Column("deleted_at", Instant(), nullable=True, comment="When its deletion took effect."),
        sa.PrimaryKeyConstraint("workspace_sid", name=op.f("pk_workspace")),
        comment="Workspaces.",
    )
    op.execute(sa.text("INSERT INTO projection (name, position, fold_version) VALUES ('tables', 0, 1)"))


def downgrade() -> None:
    op.drop_table("workspace")
    op.drop_table("workflow")
    op.drop_table("worker_channel")
    op.drop_index(op.f("ix_worker_workspace_sid_activity_sid"), table_name="worker")
    op.drop_table("worker")
    op.drop_table("task_queue")
    op.drop_table("task_channel")
    op.drop_index(op.f("ix_task_workspace_sid_task_queue_sid_status"), table_name="task")
    op.drop_table("task")
    op.drop_index(op.f("ix_reservation_workspace_sid_worker_sid_status"), table_name="reservation")
    op.drop_index(op.f("ix_reservation_workspace_sid_reservation_sid"), table_name="reservation")
    op.drop_table("reservation")
    op.drop_table("projection")
    op.drop_table("incomplete_unit")
    op.drop_table("event_type_count")
    op.drop_table("checkpoint")
    op.drop_table("activity")
