"""The log: stored callbacks with their unit index, and what stands beside it."""

import sqlalchemy as sa
from alembic import op

from projector.errors import ProjectorError
from projector.tables import SID

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SCHEMA IF NOT EXISTS log")
    # If not exists: on SQLite the log is a file of its own, and may be older than the tables' file.
    op.create_table(
        "stored_events",
        sa.Column("notification_id", _BIG, primary_key=True, autoincrement=True, comment="Position in the log."),
        sa.Column("originator_id", SID, nullable=False, comment="<WorkspaceSid>/<event Sid>; one callback each."),
        sa.Column("originator_version", sa.BigInteger, nullable=False, comment="Always 1: one callback is one originator."),
        sa.Column("topic", sa.Text, comment="EventType as received."),
        sa.Column("state", sa.LargeBinary, comment="JSON: recorded_at, source, parameters as received."),
        sa.Column("unit", SID, comment="<WorkspaceSid>/<kind>/<Sid> of the unit it is folded into."),
        sa.Column("at_ms", sa.BigInteger, comment="Event time, epoch milliseconds."),
        sa.UniqueConstraint("originator_id", "originator_version", name="uq_stored_events_originator"),
        schema="log",
        comment="The log: every callback once, in order of arrival. Never updated, never deleted from.",
        sqlite_autoincrement=True,
        if_not_exists=True,
    )
    op.create_index("ix_stored_events_unit_at", "stored_events", ["unit", "at_ms"], schema="log", if_not_exists=True)
    op.create_table(
        "intake_quarantine",
        sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of reason and body."),
        sa.Column("reason", sa.Text, nullable=False, comment="Why it is not in the log."),
        sa.Column("source", sa.Text, nullable=False, comment="The feed it came by."),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="As received."),
        sa.Column("first_received_ms", sa.BigInteger, nullable=False, comment="Epoch milliseconds."),
        sa.Column("times", sa.BigInteger, nullable=False, comment="How often it arrived."),
        schema="log",
        comment="Signed arrivals that cannot be read or contradict what is stored.",
        if_not_exists=True,
    )
    op.create_table(
        "intake_count",
        sa.Column("outcome", sa.String(16), primary_key=True, comment="duplicate, conflict or quarantined."),
        sa.Column("times", sa.BigInteger, nullable=False, comment="Arrivals with this outcome since the log began."),
        schema="log",
        comment="Arrivals that left no row in the log.",
        if_not_exists=True,
    )


def downgrade() -> None:
    stored = sa.table("stored_events", sa.column("notification_id"), schema="log")
    if op.get_bind().execute(sa.select(stored).limit(1)).first() is not None:
        raise ProjectorError("The log holds callbacks, and a migration never drops them. Drop the log by hand if you mean it.")
    op.drop_table("intake_count", schema="log")
    op.drop_table("intake_quarantine", schema="log")
    op.drop_table("stored_events", schema="log")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SCHEMA log")
