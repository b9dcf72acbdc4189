"""The loop's own tables: the only ones that may know how things arrived."""

import sqlalchemy as sa

from projector.tables.columns import BIG, SID, at, column, metadata

projection = sa.Table(
    "projection", metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="Always `tables`."),
    column("position", BIG, "Last position of the log that is in the tables.", nullable=False),
    column("originator_id", SID, "Whose callback stands there: another one is another log."),
    at("event_at", "Greatest event time in the tables."),
    column("fold_version", sa.Integer, "The fold that made the tables.", nullable=False),
    column("holder", sa.Text, "Which loop may write."),
    at("lease_expires_at", "Until when, unless renewed."),
    comment="How far the tables are.",
)  # fmt: skip

checkpoint = sa.Table(
    "checkpoint", metadata,
    sa.Column("unit", SID, primary_key=True, comment="<WorkspaceSid>/<kind>/<Sid>"),
    sa.Column("folded_to", SID, primary_key=True, comment="Order key up to which it is folded."),
    column("state", sa.LargeBinary, "The folded state.", nullable=False),
    comment="Long-lived units folded up to moments of their past, for late callbacks to start from.",
)  # fmt: skip

incomplete_unit = sa.Table(
    "incomplete_unit", metadata,
    sa.Column("unit", SID, primary_key=True, comment="<WorkspaceSid>/<kind>/<Sid>"),
    column("error", sa.Text, "The error's class and place; no data.", nullable=False),
    column("position", BIG, "The log's position where it happened.", nullable=False),
    comment="Units whose fold failed: our bug. Their rows are as of before; the log has everything.",
)  # fmt: skip

event_type_count = sa.Table(
    "event_type_count", metadata,
    sa.Column("event_type", SID, primary_key=True, comment="EventType as received, at most 100 characters."),
    column("known", sa.Boolean, "Whether this release knows what it means.", nullable=False),
    column("times", BIG, "Callbacks projected.", nullable=False),
    comment="Callbacks by EventType.",
)  # fmt: skip
