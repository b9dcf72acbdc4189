"""The history: every span but the last of its line, which the entity's own row holds. `views.py` puts the two together.

A row is written once, when the next span begins. Its key is the line, `started_at` and `n`; `n` counts the line's spans, so a late
callback voids a line's spans from an `n` on by the key alone.
"""

from typing import Any

import sqlalchemy as sa

from projector.tables.columns import BIG, SID, Instant, at, column, key, metadata, personal, workspace_key


def _past(name: str, keys: list[sa.Column[Any]], told: list[sa.Column[Any]], comment: str, *indexes: sa.Index) -> sa.Table:
    return sa.Table(
        name, metadata,
        workspace_key(), *keys,
        sa.Column("started_at", Instant, primary_key=True, nullable=False, comment="From this moment on."),
        sa.Column("n", BIG, primary_key=True, nullable=False, comment="How many spans of its line came before."),
        at("ended_at", "Up to, not including, this moment."),
        *told,
        column("inferred", sa.Boolean, "True: no callback told it; it follows from what others say.", nullable=False),
        column("event_sid", SID, "Sid of the callback that opened it, or shows it."),
        *indexes,
        comment=comment,
    )  # fmt: skip


worker_activity_span_past = _past(
    "worker_activity_span_past",
    [key("worker_sid", "WK…")],
    [
        personal("worker_name", "The worker's name as sent then."),
        column("activity_sid", SID, "WA…"),
        column("activity_name", sa.Text, "The activity's name as sent then."),
        column("reported_ms", BIG, "WorkerTimeInPreviousActivityMs of the callback that ended it."),
        column("agrees", sa.Boolean, "Whether that is its length, to within the second of worker.created."),
    ],
    "Ended spells of workers in activities, where another one followed.",
)

worker_attributes_span_past = _past(
    "worker_attributes_span_past",
    [key("worker_sid", "WK…")],
    [
        personal("worker_name", "The worker's name as sent then."),
        personal("attributes", "JSON in canonical spelling."),
    ],
    "Attributes of workers that others followed.",
)

worker_channel_span_past = _past(
    "worker_channel_span_past",
    [key("worker_sid", "WK…"), key("task_channel_sid", "TC…")],
    [
        personal("worker_name", "The worker's name as sent then."),
        column("available", sa.Boolean, "Whether the worker took tasks on this channel."),
        column(
            "updated_capacity",
            BIG,
            "Capacity by the last worker.capacity.update (its WorkerChannelAvailableCapacity) or observation (as configured).",
        ),
    ],
    "Availability and capacity of worker channels that others followed.",
)

task_status_span_past = _past(
    "task_status_span_past",
    [key("task_sid", "WT…")],
    [column("status", sa.Text, "pending, reserved, assigned, wrapping.")],
    "Statuses of tasks that another live one followed.",
)

reservation_status_span_past = _past(
    "reservation_status_span_past",
    [key("task_sid", "WT…"), key("reservation_sid", "WR…")],
    [
        column("status", sa.Text, "pending, accepted, wrapping."),
        column("worker_sid", SID, "WK…"),
        personal("worker_name", "The worker's name as sent then."),
        column("worker_activity_sid", SID, "The worker's activity as mentioned then."),
        column("worker_activity_name", sa.Text, "That activity's name."),
        column("task_channel_sid", SID, "TC…"),
        column("ignore_capacity", sa.Boolean, "True: it took no channel capacity."),
    ],
    "Statuses of reservations that another live one followed.",
    # A worker's load at a moment.
    sa.Index("ix_reservation_status_span_past_worker", "workspace_sid", "worker_sid", "started_at"),
)

task_queue_span_past = _past(
    "task_queue_span_past",
    [key("task_sid", "WT…")],
    [
        column("task_queue_sid", SID, "WQ…"),
        column("task_queue_name", sa.Text, "The queue's name as sent then."),
        column("told", sa.Boolean, "True: by task-queue.entered.", nullable=False, server_default=sa.false()),
        column("outcome", sa.Text, "accepted, timeout, moved, canceled."),
    ],
    "Visits of tasks to queues that another one followed.",
    # A queue's backlog at a moment.
    sa.Index("ix_task_queue_span_past_queue", "workspace_sid", "task_queue_sid", "started_at"),
)

stated_capacity = sa.Table(
    "stated_capacity", metadata,
    workspace_key(), key("worker_sid", "WK…"), key("task_channel_sid", "TC…"),
    key("stated_order", "Order key of the callback that states it."),
    at("stated_at", "Its event time."),
    column("capacity", BIG, "WorkerChannelCapacity.", nullable=False),
    comment="Every capacity that a callback of a task states for its worker's channel: the history of worker_channel.stated_capacity.",
)  # fmt: skip

gap_told = sa.Table(
    "gap_told", metadata,
    workspace_key(), key("kind", "Of the unit whose callback is missing: worker."), key("sid", "Its Sid."),
    sa.Column("n", BIG, primary_key=True, nullable=False, comment="How many gaps of this unit came before."),
    column("reason", sa.Text, "What does not fit: previous_activity_unseen, _differs, _shorter or _longer; observed_otherwise.", nullable=False),
    column("event_sid", SID, "Sid of the callback that reveals it."),
    at("revealed_at", "Its event time."),
    column("missing_event_type", sa.Text, "What is believed missing.", nullable=False),
    at("missing_at", "When that happened, if it can be told."),
    column("activity_sid", SID, "The activity it entered."),
    comment="Callbacks that must have been and are not here now.",
)  # fmt: skip

PAST = (
    worker_activity_span_past, worker_attributes_span_past, worker_channel_span_past, task_status_span_past,
    reservation_status_span_past, task_queue_span_past,
)  # fmt: skip
HISTORY = (*PAST, gap_told, stated_capacity)
