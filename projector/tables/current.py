"""The current tables: one row for each entity, keyed by workspace and Sid. It also holds the last span of each of its lines."""

import sqlalchemy as sa

from projector.tables.columns import (
    BIG,
    SID,
    Instant,
    at,
    column,
    first_seen,
    head,
    key,
    metadata,
    named,
    personal,
    workspace_key,
)

OBSERVED = "True: REST has shown it; what came before that may never have been told."

workspace = sa.Table(
    "workspace", metadata,
    workspace_key(), *named("friendly_name", "Its name as last told."), first_seen(), *head(),
    comment="Workspaces.",
)  # fmt: skip

activity = sa.Table(
    "activity", metadata,
    workspace_key(), key("activity_sid", "WA…"),
    *named("friendly_name", "Its name as last told."),
    column("available", sa.Boolean, "Whether workers in it get tasks; NULL until an activity callback tells."),
    first_seen(), *head(),
    comment="Activities.",
)  # fmt: skip

worker = sa.Table(
    "worker", metadata,
    workspace_key(), key("worker_sid", "WK…"),
    *named("friendly_name", "Its name as last told.", person=True),
    personal("attributes", "Its attributes, JSON in canonical spelling."),
    column("attributes_readable", sa.Boolean, "False when the last attributes could not be read as JSON; `attributes` keeps the ones before.", nullable=False, server_default=sa.true()),
    at("attributes_since", "Since when it has had these attributes."),
    column("attributes_n", BIG, "How many spans of attributes came before.", nullable=False, server_default="0"),
    column("attributes_event_sid", SID, "Sid of the callback that told these attributes."),
    personal("attributes_worker_name", "The worker's name in that callback."),
    column("activity_sid", SID, "The activity it is in."),
    column("activity_name", sa.Text, "That activity's name as the callback gave it."),
    at("activity_since", "When it entered that activity."),
    column("activity_n", BIG, "How many spells in activities came before.", nullable=False, server_default="0"),
    column("activity_event_sid", SID, "Sid of the callback that told this activity."),
    personal("activity_worker_name", "The worker's name in that callback."),
    column("gap_n", BIG, "How many gaps its callbacks reveal.", nullable=False, server_default="0"),
    column("version", BIG, "WorkerVersion as last told."),
    column("operating_unit_sid", SID, "OU…"),
    at("created_at", "When it was created (whole seconds)."),
    column("deleted_at_basis", sa.Text, "What deleted_at rests on: stamp, receipt or last_fact."),
    first_seen(), *head(),
    # Who is in which activity: the wallboard's question.
    sa.Index(None, "workspace_sid", "activity_sid"),
    comment="Workers. Current activity, attributes, deletion.",
)  # fmt: skip

worker_channel = sa.Table(
    "worker_channel", metadata,
    workspace_key(), key("worker_sid", "WK…"), key("task_channel_sid", "TC…"),
    *named("unique_name", "The channel's unique name as last told."),
    *named("stated_capacity", "WorkerChannelCapacity as last stated by any callback.", BIG),
    column("available", sa.Boolean, "Whether the worker takes tasks on this channel."),
    column("updated_capacity", BIG, "Capacity by the last worker.capacity.update (its WorkerChannelAvailableCapacity) or observation (as configured)."),
    at("since", "Since when available and updated_capacity are as they are."),
    column("n", BIG, "How many spans of these came before.", nullable=False, server_default="0"),
    column("event_sid", SID, "Sid of the callback that told them."),
    personal("worker_name", "The worker's name in that callback."),
    at("ended_at", "When its worker was deleted."),
    column("configured_capacity", BIG, "stated_capacity where known, else updated_capacity.", sa.Computed("coalesce(stated_capacity, updated_capacity)", persisted=True)),
    column("configured_capacity_basis", sa.Text, "Which of the two it is: stated or updated.", sa.Computed("CASE WHEN stated_capacity IS NOT NULL THEN 'stated' WHEN updated_capacity IS NOT NULL THEN 'updated' END", persisted=True)),
    column("reported_available_capacity", sa.Text, "WorkerChannelAvailableCapacity, raw."),
    column("reported_previous_capacity", sa.Text, "WorkerChannelPreviousCapacity, raw."),
    column("reported_task_count", sa.Text, "WorkerChannelTaskCount, raw."),
    first_seen(),
    at("updated_at", "Event time of the last callback of its own; NULL when it was only mentioned."),
    column("last_event_sid", SID, "Sid of that callback."),
    comment="Worker channels: what a worker can take on one TaskChannel.",
)  # fmt: skip

task = sa.Table(
    "task", metadata,
    workspace_key(), key("task_sid", "WT…"),
    column("status", sa.Text, "pending, reserved, assigned, wrapping, completed, canceled."),
    personal("reason", "Why it was canceled or completed, in Twilio's or the caller's words."),
    column("priority", BIG, "TaskPriority."),
    column("ignore_capacity", sa.Boolean, "True: its reservations take no channel capacity."),
    personal("attributes", "Its attributes, JSON in canonical spelling."),
    column("attributes_readable", sa.Boolean, "False when the last attributes could not be read as JSON; `attributes` keeps the ones before.", nullable=False, server_default=sa.true()),
    column("task_channel_sid", SID, "TC…"),
    column("task_channel_unique_name", sa.Text, "voice, chat, …"),
    column("task_queue_sid", SID, "The queue it is in, or was in last."),
    column("task_queue_name", sa.Text, "That queue's name as the callback gave it."),
    column("workflow_sid", SID, "WW…"),
    column("workflow_name", sa.Text, "That workflow's name as the callback gave it."),
    column("transfer_status", sa.Text, "Of its last transfer: initiated, failed, canceled, complete."),
    at("created_at", "task.created, else TaskDateCreated."),
    at("queue_entered_at", "When it entered its current queue."),
    at("first_reserved_at", "Its first reservation.created."),
    at("first_accepted_at", "Its first reservation.accepted."),
    at("wrapup_at", "Its first task.wrapup."),
    at("completed_at", "task.completed, else the first callback that shows it completed."),
    at("canceled_at", "task.canceled, else the first callback that shows it canceled."),
    column("version", BIG, "TaskVersion as last told."),
    column("live_status", sa.Text, "Its last status that was no end."),
    at("live_since", "Since when it had that status."),
    column("live_n", BIG, "How many status spans came before.", nullable=False, server_default="0"),
    column("live_event_sid", SID, "Sid of the callback that told that status."),
    column("visit_queue_sid", SID, "The queue of its last visit."),
    column("visit_queue_name", sa.Text, "That queue's name as the callback gave it."),
    at("visit_since", "When that visit began."),
    column("visit_n", BIG, "How many visits came before.", nullable=False, server_default="0"),
    column("visit_event_sid", SID, "Sid of the callback that opened it."),
    column("visit_told", sa.Boolean, "True: by task-queue.entered.", nullable=False, server_default=sa.false()),
    column("visit_inferred", sa.Boolean, "True: its beginning or end follows from a snapshot.", nullable=False, server_default=sa.false()),
    at("visit_ended_at", "When it ended, unless with the task."),
    column("visit_outcome", sa.Text, "What ended it, unless the task's end: accepted, timeout, moved, canceled."),
    column("created_told", sa.Boolean, "True: by task.created.", nullable=False, server_default=sa.false()),
    column("ended_told", sa.Boolean, "True: by task.completed or task.canceled, or REST has shown it ended.", nullable=False, server_default=sa.false()),
    column("observed", sa.Boolean, OBSERVED, nullable=False, server_default=sa.false()),
    first_seen(), *head(),
    # A queue's backlog and the longest wait in it.
    sa.Index(None, "workspace_sid", "task_queue_sid", "status"),
    # The same at a moment, and for the visits that have ended.
    sa.Index(None, "workspace_sid", "visit_queue_sid", "visit_since"),
    comment="Tasks.",
)  # fmt: skip

reservation = sa.Table(
    "reservation", metadata,
    # The task is part of the key: units stay apart whatever a callback claims, and a task's reservations are its prefix.
    workspace_key(), key("task_sid", "WT…"), key("reservation_sid", "WR…"),
    column("worker_sid", SID, "WK…; NULL for reservation.failed."),
    personal("worker_name", "The worker's name as the callback gave it."),
    column("worker_activity_sid", SID, "The activity the callback mentions for its worker."),
    column("worker_activity_name", sa.Text, "That activity's name."),
    column("task_queue_sid", SID, "WQ…, out of which it was offered: its task may be in another one since."),
    column("workflow_sid", SID, "WW…, likewise."),
    column("task_channel_sid", SID, "TC…"),
    column("status", sa.Text, "pending, accepted, wrapping; rejected, timeout, canceled, rescinded, completed, failed."),
    personal("reason", "CanceledReasonCode or Reason."),
    column("version", BIG, "ReservationVersion as last told."),
    *(at(f"{name}_at", f"reservation.{event}.") for name, event in (
        ("created", "created"), ("accepted", "accepted"), ("rejected", "rejected"), ("timed_out", "timeout"),
        ("canceled", "canceled"), ("rescinded", "rescinded"), ("wrapup", "wrapup"), ("completed", "completed"),
        ("failed", "failed"),
    )),
    column("inferred", sa.Boolean, "True: its own end never came; it ended with its task.", nullable=False, server_default=sa.false()),
    column("ignore_capacity", sa.Boolean, "True: it takes no channel capacity (TaskIgnoreCapacity)."),
    column("live_status", sa.Text, "Its last status that was no end: pending, accepted, wrapping."),
    at("live_since", "Since when it had that status."),
    column("live_n", BIG, "How many status spans came before.", nullable=False, server_default="0"),
    column("live_event_sid", SID, "Sid of the callback that told that status."),
    personal("live_worker_name", "The worker's name in that callback."),
    column("live_activity_sid", SID, "The worker's activity in that callback."),
    column("live_activity_name", sa.Text, "That activity's name."),
    column("created_told", sa.Boolean, "True: by reservation.created.", nullable=False, server_default=sa.false()),
    column("observed", sa.Boolean, OBSERVED, nullable=False, server_default=sa.false()),
    first_seen(),
    at("updated_at", "Event time of the last callback of its own."),
    column("last_event_sid", SID, "Sid of that callback."),
    # A reservation by its own Sid.
    sa.Index(None, "workspace_sid", "reservation_sid"),
    # A worker's load, now and at a moment.
    sa.Index(None, "workspace_sid", "worker_sid", "live_since"),
    comment="Reservations: offers of a task to a worker.",
)  # fmt: skip

task_queue = sa.Table(
    "task_queue", metadata,
    workspace_key(), key("task_queue_sid", "WQ…"),
    *named("friendly_name", "Its name as last told."),
    *named("target_workers", "Its TargetWorkers expression as last told.", person=True),
    column("operating_unit_sid", SID, "OU…"),
    first_seen(), *head(),
    comment="Task queues.",
)  # fmt: skip

workflow = sa.Table(
    "workflow", metadata,
    workspace_key(), key("workflow_sid", "WW…"),
    *named("friendly_name", "Its name as last told."), first_seen(), *head(),
    comment="Workflows.",
)  # fmt: skip

task_channel = sa.Table(
    "task_channel", metadata,
    workspace_key(), key("task_channel_sid", "TC…"),
    *named("unique_name", "voice, chat, …"),
    *named("friendly_name", "Its name as last told."),
    column("optimized_routing", sa.Boolean, "Whether workers idle the longest are preferred."),
    first_seen(), *head(),
    comment="Task channels.",
)  # fmt: skip

# When a task or a reservation ended, whatever ended it; NULL while it lives.
TASK_ENDED = sa.func.coalesce(task.c.completed_at, task.c.canceled_at, task.c.deleted_at, type_=Instant)
RESERVATION_ENDED = sa.func.coalesce(
    *(reservation.c[f"{end}_at"] for end in ("rejected", "timed_out", "canceled", "rescinded", "completed", "failed")),
    type_=Instant,
)

# When a task that ended was last heard of: what came later than its end counts (a task.updated, its reservation's completion). NULL
# while it lives. Whatever happened to a task since a moment, it lives or this is no earlier: live tasks, those ended lately, and
# what a window of statistics has to look at are found by its index.
TASK_QUIET = sa.case((task.c.updated_at > TASK_ENDED, task.c.updated_at), else_=TASK_ENDED)
sa.Index("ix_task_quiet", task.c.workspace_sid, sa.sql.elements.Grouping(TASK_QUIET))  # PostgreSQL wants it in parentheses

CURRENT = (workspace, activity, worker, worker_channel, task, reservation, task_queue, workflow, task_channel)
