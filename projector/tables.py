"""Every table that readers may use, and the loop's own: each column with its meaning.

Current tables are keyed by workspace and Sid. A column `x_at` is the state's field `x_ms`: `timestamptz` on PostgreSQL, ISO
8601 text in UTC with milliseconds on SQLite, integer milliseconds in Python. Text that is only compared or ordered has
the C collation on PostgreSQL, so that it sorts by bytes there as everywhere else.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(sa.types.TypeDecorator[int]):
    """A moment, epoch milliseconds in Python; `timestamptz` on PostgreSQL, `2026-03-01T10:42:00.000Z` on SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The column's type on this database."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Text())
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> Any:
        """Milliseconds to what the database stores."""
        if value is None:
            return None
        return iso(value) if dialect.name == "sqlite" else _EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> int | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """What the database stores to milliseconds."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return (moment - _EPOCH) // timedelta(milliseconds=1)


def iso(ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, milliseconds included."""
    return f"{_iso_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=4096)  # callbacks come in bursts: formatting the second is most of the cost
def _iso_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


# Text that is compared or ordered, never read aloud: SIDs, order keys.
SID = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
_BIG = sa.BigInteger


def _column(name: str, kind: Any, comment: str, *constraints: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, comment=comment, **options)


def _key(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, SID, primary_key=True, nullable=False, comment=comment)


def _at(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, Instant, comment=comment)


def _named(name: str, comment: str, kind: Any = sa.Text) -> list[sa.Column[Any]]:
    """A column that mentions fill, and the order key of the callback it came from."""
    return [_column(name, kind, comment), _column(f"{name}_order", SID, f"Order key of the callback that told {name}.")]


def _first_seen() -> sa.Column[Any]:
    return _at("first_seen_at", "Event time of the first callback that spoke of it.")


def _head() -> list[sa.Column[Any]]:
    return [
        _column("folded_to", SID, "Order key of the last of its own callbacks folded, deletions apart.", nullable=False, server_default=""),
        _column("callback_count", _BIG, "Its own callbacks folded, deletions apart.", nullable=False, server_default="0"),
        _column("timed_by_receipt_count", _BIG, "Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.", nullable=False, server_default="0"),
        _at("updated_at", "Event time of the last of its own callbacks; NULL when it was only mentioned."),
        _column("last_event_sid", SID, "Sid of that callback."),
        _column("deletion_order", SID, "Order key of its deletion."),
        _at("deletion_received_at", "Receipt of its deletion, when it came live."),
        _at("deleted_at", "When its deletion took effect."),
    ]  # fmt: skip


def _workspace_sid() -> sa.Column[Any]:
    return _key("workspace_sid", "WS…")


workspace = sa.Table(
    "workspace", metadata,
    _workspace_sid(), *_named("friendly_name", "Its name as last told."), _first_seen(), *_head(),
    comment="Workspaces.",
)  # fmt: skip

activity = sa.Table(
    "activity", metadata,
    _workspace_sid(), _key("activity_sid", "WA…"),
    *_named("friendly_name", "Its name as last told."),
    _column("available", sa.Boolean, "Whether workers in it get tasks; NULL until an activity callback tells."),
    _first_seen(), *_head(),
    comment="Activities.",
)  # fmt: skip

worker = sa.Table(
    "worker", metadata,
    _workspace_sid(), _key("worker_sid", "WK…"),
    *_named("friendly_name", "Its name as last told."),
    _column("attributes", sa.Text, "Its attributes, JSON in canonical spelling."),
    _column("attributes_readable", sa.Boolean, "False when the last attributes could not be read as JSON; `attributes` keeps the ones before.", nullable=False, server_default=sa.true()),
    _column("activity_sid", SID, "The activity it is in."),
    _column("activity_name", sa.Text, "That activity's name as the callback gave it."),
    _at("activity_since", "When it entered that activity."),
    _column("version", _BIG, "WorkerVersion as last told."),
    _column("operating_unit_sid", SID, "OU…"),
    _at("created_at", "When it was created (whole seconds)."),
    _column("deleted_at_basis", sa.Text, "What deleted_at rests on: stamp, receipt or last_fact."),
    _first_seen(), *_head(),
    # Who is in which activity: the wallboard's question.
    sa.Index(None, "workspace_sid", "activity_sid"),
    comment="Workers. Current activity, attributes, deletion.",
)  # fmt: skip

worker_channel = sa.Table(
    "worker_channel", metadata,
    _workspace_sid(), _key("worker_sid", "WK…"), _key("task_channel_sid", "TC…"),
    *_named("unique_name", "The channel's unique name as last told."),
    *_named("stated_capacity", "WorkerChannelCapacity as last stated by any callback.", _BIG),
    _column("available", sa.Boolean, "Whether the worker takes tasks on this channel."),
    _column("updated_capacity", _BIG, "WorkerChannelAvailableCapacity of the last worker.capacity.update."),
    _column("configured_capacity", _BIG, "stated_capacity where known, else updated_capacity.", sa.Computed("coalesce(stated_capacity, updated_capacity)", persisted=True)),
    _column("configured_capacity_basis", sa.Text, "Which of the two it is: stated or updated.", sa.Computed("CASE WHEN stated_capacity IS NOT NULL THEN 'stated' WHEN updated_capacity IS NOT NULL THEN 'updated' END", persisted=True)),
    _column("reported_available_capacity", sa.Text, "WorkerChannelAvailableCapacity, raw."),
    _column("reported_previous_capacity", sa.Text, "WorkerChannelPreviousCapacity, raw."),
    _column("reported_task_count", sa.Text, "WorkerChannelTaskCount, raw."),
    _first_seen(),
    _at("updated_at", "Event time of the last callback of its own; NULL when it was only mentioned."),
    _column("last_event_sid", SID, "Sid of that callback."),
    comment="Worker channels: what a worker can take on one TaskChannel.",
)  # fmt: skip

task = sa.Table(
    "task", metadata,
    _workspace_sid(), _key("task_sid", "WT…"),
    _column("status", sa.Text, "pending, reserved, assigned, wrapping, completed, canceled."),
    _column("reason", sa.Text, "Why it was canceled or completed, in Twilio's or the caller's words."),
    _column("priority", _BIG, "TaskPriority."),
    _column("ignore_capacity", sa.Boolean, "True: its reservations take no channel capacity."),
    _column("attributes", sa.Text, "Its attributes, JSON in canonical spelling."),
    _column("attributes_readable", sa.Boolean, "False when the last attributes could not be read as JSON; `attributes` keeps the ones before.", nullable=False, server_default=sa.true()),
    _column("task_channel_sid", SID, "TC…"),
    _column("task_channel_unique_name", sa.Text, "voice, chat, …"),
    _column("task_queue_sid", SID, "The queue it is in, or was in last."),
    _column("task_queue_name", sa.Text, "That queue's name as the callback gave it."),
    _column("workflow_sid", SID, "WW…"),
    _column("workflow_name", sa.Text, "That workflow's name as the callback gave it."),
    _column("transfer_status", sa.Text, "Of its last transfer: initiated, failed, canceled, complete."),
    _at("created_at", "task.created, else TaskDateCreated."),
    _at("queue_entered_at", "When it entered its current queue."),
    _at("first_reserved_at", "Its first reservation.created."),
    _at("first_accepted_at", "Its first reservation.accepted."),
    _at("wrapup_at", "Its first task.wrapup."),
    _at("completed_at", "task.completed, else the first callback that shows it completed."),
    _at("canceled_at", "task.canceled, else the first callback that shows it canceled."),
    _column("version", _BIG, "TaskVersion as last told."),
    _first_seen(), *_head(),
    # A queue's backlog and the longest wait in it.
    sa.Index(None, "workspace_sid", "task_queue_sid", "status"),
    comment="Tasks.",
)  # fmt: skip

reservation = sa.Table(
    "reservation", metadata,
    # The task is part of the key: units stay apart whatever a callback claims, and a task's reservations are its prefix.
    _workspace_sid(), _key("task_sid", "WT…"), _key("reservation_sid", "WR…"),
    _column("worker_sid", SID, "WK…; NULL for reservation.failed."),
    _column("worker_name", sa.Text, "The worker's name as the callback gave it."),
    _column("worker_activity_sid", SID, "The activity the callback mentions for its worker."),
    _column("worker_activity_name", sa.Text, "That activity's name."),
    _column("task_queue_sid", SID, "WQ…"),
    _column("workflow_sid", SID, "WW…"),
    _column("task_channel_sid", SID, "TC…"),
    _column("status", sa.Text, "pending, accepted, wrapping; rejected, timeout, canceled, rescinded, completed, failed."),
    _column("reason", sa.Text, "CanceledReasonCode or Reason."),
    _column("version", _BIG, "ReservationVersion as last told."),
    *(_at(f"{name}_at", f"reservation.{event}.") for name, event in (
        ("created", "created"), ("accepted", "accepted"), ("rejected", "rejected"), ("timed_out", "timeout"),
        ("canceled", "canceled"), ("rescinded", "rescinded"), ("wrapup", "wrapup"), ("completed", "completed"),
        ("failed", "failed"),
    )),
    _column("inferred", sa.Boolean, "True: its own end never came; it ended with its task.", nullable=False, server_default=sa.false()),
    _first_seen(),
    _at("updated_at", "Event time of the last callback of its own."),
    _column("last_event_sid", SID, "Sid of that callback."),
    # A reservation by its own Sid.
    sa.Index(None, "workspace_sid", "reservation_sid"),
    # A worker's live reservations: its load.
    sa.Index(None, "workspace_sid", "worker_sid", "status"),
    comment="Reservations: offers of a task to a worker.",
)  # fmt: skip

task_queue = sa.Table(
    "task_queue", metadata,
    _workspace_sid(), _key("task_queue_sid", "WQ…"),
    *_named("friendly_name", "Its name as last told."),
    *_named("target_workers", "Its TargetWorkers expression as last told."),
    _column("operating_unit_sid", SID, "OU…"),
    _first_seen(), *_head(),
    comment="Task queues.",
)  # fmt: skip

workflow = sa.Table(
    "workflow", metadata,
    _workspace_sid(), _key("workflow_sid", "WW…"),
    *_named("friendly_name", "Its name as last told."), _first_seen(), *_head(),
    comment="Workflows.",
)  # fmt: skip

task_channel = sa.Table(
    "task_channel", metadata,
    _workspace_sid(), _key("task_channel_sid", "TC…"),
    *_named("unique_name", "voice, chat, …"),
    *_named("friendly_name", "Its name as last told."),
    _column("optimized_routing", sa.Boolean, "Whether workers idle the longest are preferred."),
    _first_seen(), *_head(),
    comment="Task channels.",
)  # fmt: skip

CURRENT = (workspace, activity, worker, worker_channel, task, reservation, task_queue, workflow, task_channel)

# The loop's own tables: the only ones that may know how things arrived.

projection = sa.Table(
    "projection", metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="Always `tables`."),
    _column("position", _BIG, "Last position of the log that is in the tables.", nullable=False),
    _column("originator_id", SID, "Whose callback stands there: another one is another log."),
    _at("event_at", "Greatest event time in the tables."),
    _column("fold_version", sa.Integer, "The fold that made the tables.", nullable=False),
    _column("holder", sa.Text, "Which loop may write."),
    _at("lease_expires_at", "Until when, unless renewed."),
    comment="How far the tables are.",
)  # fmt: skip

checkpoint = sa.Table(
    "checkpoint", metadata,
    sa.Column("unit", SID, primary_key=True, comment="<WorkspaceSid>/<kind>/<Sid>"),
    sa.Column("folded_to", SID, primary_key=True, comment="Order key up to which it is folded."),
    _column("state", sa.LargeBinary, "The folded state.", nullable=False),
    comment="Long-lived units folded up to moments of their past, for late callbacks to start from.",
)  # fmt: skip

incomplete_unit = sa.Table(
    "incomplete_unit", metadata,
    sa.Column("unit", SID, primary_key=True, comment="<WorkspaceSid>/<kind>/<Sid>"),
    _column("error", sa.Text, "The error's class and place; no data.", nullable=False),
    _column("position", _BIG, "The log's position where it happened.", nullable=False),
    comment="Units whose fold failed: our bug. Their rows are as of before; the log has everything.",
)  # fmt: skip

event_type_count = sa.Table(
    "event_type_count", metadata,
    sa.Column("event_type", SID, primary_key=True, comment="EventType as received, at most 100 characters."),
    _column("known", sa.Boolean, "Whether this release knows what it means.", nullable=False),
    _column("times", _BIG, "Callbacks projected.", nullable=False),
    comment="Callbacks by EventType.",
)  # fmt: skip
