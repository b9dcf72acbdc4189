"""The log's tables, in SQLAlchemy Core, for the migrations. On SQLite they are the file beside the tables' file.

`stored_events` is `eventsourcing`'s table with `unit` and `at_ms` added; the SQL that reads and writes it stands in
`postgres.py` and `sqlite.py`.
"""

import sqlalchemy as sa

SCHEMA = "log"

metadata = sa.MetaData(schema=SCHEMA)

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SID = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
_EVERY_ROW = sa.text("originator_version <> 0")

stored_events = sa.Table(
    "stored_events",
    metadata,
    sa.Column("notification_id", _BIG, primary_key=True, autoincrement=True, comment="Position in the log."),
    sa.Column("originator_id", SID, nullable=False, comment="<WorkspaceSid>/<event Sid>; one callback each."),
    sa.Column("originator_version", sa.BigInteger, nullable=False, comment="Always 1: one callback is one originator."),
    sa.Column("topic", sa.Text, comment="EventType as received."),
    sa.Column("state", sa.LargeBinary, comment="JSON: recorded_at, source, parameters as received."),
    sa.Column("unit", SID, comment="<WorkspaceSid>/<kind>/<Sid> of the unit it is folded into."),
    sa.Column("at_ms", sa.BigInteger, comment="Event time, epoch milliseconds."),
    sa.UniqueConstraint("originator_id", "originator_version", name="uq_stored_events_originator"),
    # One unit's history, from a moment on: late callbacks, a worker at a moment, explain.
    sa.Index("ix_stored_events_unit_at", "unit", "at_ms"),
    # All callbacks by event time. Partial, though it has every row: only a statement that says `originator_version <> 0` can use it. No
    # other changes its plan: PostgreSQL, while it knows little of a young log, would take it for what has its own index above.
    sa.Index("ix_stored_events_at", "at_ms", "notification_id", postgresql_where=_EVERY_ROW, sqlite_where=_EVERY_ROW),
    comment="The log: every callback once, in order of arrival. Never updated, never deleted from.",
    sqlite_autoincrement=True,
)

intake_quarantine = sa.Table(
    "intake_quarantine",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of reason and body."),
    sa.Column("reason", sa.Text, nullable=False, comment="Why it is not in the log."),
    sa.Column("source", sa.Text, nullable=False, comment="The feed it came by."),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="As received."),
    sa.Column("first_received_ms", sa.BigInteger, nullable=False, comment="Epoch milliseconds."),
    sa.Column("times", sa.BigInteger, nullable=False, comment="How often it arrived."),
    comment="Signed arrivals that cannot be read or contradict what is stored.",
)

intake_count = sa.Table(
    "intake_count",
    metadata,
    sa.Column("outcome", sa.String(16), primary_key=True, comment="duplicate, conflict or quarantined."),
    sa.Column("times", sa.BigInteger, nullable=False, comment="Arrivals with this outcome since the log began."),
    comment="Arrivals that left no row in the log.",
)

seen_via = sa.Table(
    "seen_via",
    metadata,
    sa.Column("originator_id", SID, primary_key=True, comment="<WorkspaceSid>/<event Sid>, stored from another feed."),
    sa.Column("source", sa.String(16), primary_key=True, comment="The feed it came by as well."),
    sa.Column("topic", sa.Text, comment="Its EventType as stored."),
    sa.Column("at_ms", sa.BigInteger, comment="Its event time, epoch milliseconds, as stored."),
    # How much of an hour a feed has seen.
    sa.Index("ix_seen_via_at", "at_ms"),
    comment="By which other feeds that Twilio sends a stored callback was seen. Only ever added to.",
)

feed_mark = sa.Table(
    "feed_mark",
    metadata,
    sa.Column("feed", sa.String(160), primary_key=True, comment="What is read: kinesis:<stream>, events-api."),
    sa.Column("part", sa.String(128), primary_key=True, comment="A shard, or a workspace."),
    sa.Column("place", sa.Text, nullable=False, comment="How far it was read, in that feed's own words; empty: to its end."),
    comment="Where the feeds stand that are read, not posted. Written with the callbacks read so far, in one transaction.",
)
