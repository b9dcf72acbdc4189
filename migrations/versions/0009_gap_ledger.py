"""The gap ledger: `gap` becomes a view over the rows; what the fold tells of gaps is `gap_told`.

Rows say now what told them. Those that are there are of an earlier fold, and say nothing of it until they are rebuilt.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OBSERVED = "True: REST has shown it; what came before that may never have been told."
TOLD = {  # table → column → what it says
    "task": {
        "created_told": "True: by task.created.",
        "ended_told": "True: by task.completed or task.canceled.",
        "observed": OBSERVED,
    },
    "reservation": {"observed": OBSERVED},
}


def upgrade() -> None:
    _rename("gap", "gap_told")
    for table, columns in TOLD.items():
        for name, comment in columns.items():
            op.add_column(table, sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false(), comment=comment))


def downgrade() -> None:
    for table, columns in TOLD.items():
        for name in columns:
            op.drop_column(table, name)
    _rename("gap_told", "gap")


def _rename(before: str, now: str) -> None:
    op.rename_table(before, now)
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {now} RENAME CONSTRAINT pk_{before} TO pk_{now}")
