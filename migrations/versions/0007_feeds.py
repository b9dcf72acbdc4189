"""Feeds beside the callbacks: how far each was read, and which callbacks were seen by more than one."""

import sqlalchemy as sa
from alembic import op

from projector.tables import SID

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # If not exists: on SQLite the log is a file of its own, and may be newer than the tables' file.
    op.create_table(
        "seen_via",
        sa.Column("originator_id", SID, primary_key=True, comment="<WorkspaceSid>/<event Sid>, stored from another feed."),
        sa.Column("source", sa.String(16), primary_key=True, comment="The feed it came by as well."),
        sa.Column("topic", sa.Text, comment="Its EventType as stored."),
        sa.Column("at_ms", sa.BigInteger, comment="Its event time, epoch milliseconds, as stored."),
        schema="log",
        comment="By which other feeds that Twilio sends a stored callback was seen. Only ever added to.",
        if_not_exists=True,
    )
    op.create_index("ix_seen_via_at", "seen_via", ["at_ms"], schema="log", if_not_exists=True)
    op.create_table(
        "feed_mark",
        sa.Column("feed", sa.String(160), primary_key=True, comment="What is read: kinesis:<stream>, events-api."),
        sa.Column("part", sa.String(128), primary_key=True, comment="A shard, or a workspace."),
        sa.Column("place", sa.Text, nullable=False, comment="How far it was read, in that feed's own words; empty: to its end."),
        schema="log",
        comment="Where the feeds stand that are read, not posted. Written with the callbacks read so far, in one transaction.",
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("feed_mark", schema="log")
    op.drop_table("seen_via", schema="log")
