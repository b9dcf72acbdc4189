"""What holds across files: states and tables agree, and what must be fast is read by an index."""

import pytest
import sqlalchemy as sa

from projector import tables
from projector.database import disposing, open_engine
from projector.log.schema import stored_events
from projector.rows import COLUMNS, NAME_COLUMNS, TABLE_OF
from projector.taskrouter.mention import NAMES
from tests.conftest import BACKENDS
from tests.databases import Databases


@pytest.mark.parametrize("state", TABLE_OF)
def test_a_table_has_a_column_for_every_field_and_no_other(state: type) -> None:
    """A state's fields, what mentions add, and derived columns: nothing else is in the table."""
    table = TABLE_OF[state]
    told, named = set(COLUMNS[state]), set(NAME_COLUMNS.get(table.name, ()))
    derived = {column.name for column in table.c if column.computed is not None}
    assert told.isdisjoint(named)
    assert told | named | derived == {column.name for column in table.c}


def test_mentions_know_their_tables() -> None:
    """Every table that mentions name has the columns and their order keys."""
    for name, fields in NAMES.items():
        assert {f"{field}_order" for field in fields} | set(fields) <= set(tables.metadata.tables[name].c.keys())


def test_every_table_and_column_says_what_it_is() -> None:
    """Comments reach PostgreSQL from here."""
    for table in (*tables.metadata.tables.values(), stored_events):
        assert table.comment
        assert all(column.comment for column in table.c), table.name


FAST = {
    "the log forward from a position": sa.select(stored_events.c.state).where(stored_events.c.notification_id > 5).order_by(stored_events.c.notification_id).limit(10),
    "one unit's history from a moment on": sa.select(stored_events.c.state).where(sa.or_(stored_events.c.unit == "u", stored_events.c.unit.is_(None)), stored_events.c.at_ms.between(5, 9)),
    "a callback by its Sid": sa.select(stored_events.c.state).where(stored_events.c.originator_id == "o"),
    "a task's reservations": sa.select(tables.reservation.c.status).where(tables.reservation.c.workspace_sid == "w", tables.reservation.c.task_sid == "t"),
    "a worker's live reservations": sa.select(tables.reservation.c.status).where(
        tables.reservation.c.workspace_sid == "w", tables.reservation.c.worker_sid == "k", tables.reservation.c.status == "accepted"
    ),
    "a queue's backlog": sa.select(tables.task.c.task_sid).where(tables.task.c.workspace_sid == "w", tables.task.c.task_queue_sid == "q", tables.task.c.status == "pending"),
    "a unit's latest checkpoint": sa.select(tables.checkpoint.c.state).where(tables.checkpoint.c.unit == "u", tables.checkpoint.c.folded_to < "f"),
}  # fmt: skip


@pytest.mark.parametrize("question", FAST)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_must_be_fast_is_read_by_an_index(databases: Databases, backend: str, question: str) -> None:
    """EXPLAIN shows a search by index and no scan, on either database."""
    url = databases.new(backend)
    if backend == "sqlite":
        from projector.migrate import migration_engine as opened
    else:
        opened = open_engine
    with disposing(opened(url)) as engine, engine.connect() as connection:
        if backend == "sqlite":
            explain, scan = "EXPLAIN QUERY PLAN ", "SCAN"
        else:
            # An empty table is scanned whatever the indexes: forbid it and see whether another way exists.
            connection.execute(sa.text("SET enable_seqscan = off"))
            explain, scan = "EXPLAIN ", "Seq Scan"
        statement = FAST[question].compile(engine, compile_kwargs={"literal_binds": True})
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + str(statement)))
    assert scan not in plan, plan
    assert "index" in plan.lower() or "PRIMARY KEY" in plan, plan
