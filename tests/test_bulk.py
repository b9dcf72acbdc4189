"""Bulk writes: the same rows whichever way they go, and a database that goes away meanwhile is one that is waited for."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import bulk, tables
from projector.access import reading, writing
from projector.database import disposing, open_engine
from projector.errors import StoreUnavailable
from projector.rows import COLUMNS, VALUES_OF
from projector.table_sink import TableSink
from projector.taskrouter.task import Task
from tests.given import ms

COUNT = 50
TASKS = [
    Task(
        workspace_sid="WS1",
        task_sid=f"WT{n:03d}",
        status=["pending", None][n % 2],
        attributes='{"tab":"\t","quote":"\\"","é":null}',
        created_ms=ms(n) if n % 3 else None,
        completed_ms=946_684_800_000 + n,
        priority=-n,
        visit_told=bool(n % 2),
    )
    for n in range(COUNT)
]


def rows_written(url: URL, monkeypatch: pytest.MonkeyPatch, copy_rows: int, twice: bool) -> object:
    monkeypatch.setattr(bulk, "COPY_ROWS", copy_rows)
    values = [VALUES_OF[Task](task) for task in TASKS]
    with disposing(open_engine(url)) as engine:
        with writing(engine) as connection:
            connection.execute(sa.delete(tables.task))
            bulk.insert(connection, tables.task, COLUMNS[Task], values)
            if twice:
                bulk.upsert(connection, tables.task, COLUMNS[Task], values)
        return TableSink(engine).rows()["task"]


@pytest.mark.parametrize("twice", [False, True], ids=["inserted", "upserted"])
def test_few_and_many_come_to_the_same(new_url: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch, twice: bool) -> None:
    """By arrays, by COPY, by SQLite's executemany: text, moments, numbers and NULL arrive as they were."""
    postgres = new_url("postgresql")
    by_arrays = rows_written(postgres, monkeypatch, COUNT + 1, twice)
    by_copy = rows_written(postgres, monkeypatch, 1, twice)
    assert by_arrays == by_copy == rows_written(new_url("sqlite"), monkeypatch, 1, twice)
    assert len(by_copy) == COUNT


def test_a_database_that_goes_away_during_a_copy_is_one_that_does_not_answer(
    new_url: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy does not see what the driver meets there; the loop waits it out all the same, with a connection that works."""
    monkeypatch.setattr(bulk, "COPY_ROWS", 1)

    def interrupted() -> None:
        with writing(engine) as connection, engine.connect() as other:
            pid = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
            other.execute(sa.select(sa.func.pg_terminate_backend(pid)))
            bulk.upsert(connection, tables.task, COLUMNS[Task], [VALUES_OF[Task](task) for task in TASKS])

    with disposing(open_engine(new_url("postgresql"))) as engine:
        with pytest.raises(StoreUnavailable):
            interrupted()
        with reading(engine) as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(tables.task)).scalar_one() == 0
