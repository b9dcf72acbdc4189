"""The gap ledger as a test asks it: of a database that callbacks come to, or of rows in memory."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from projector import tables
from projector.access import reading
from projector.log import Entry, Log
from projector.project import project
from projector.read.gaps import ledger
from projector.table_sink import TableSink
from projector.tables.gaps import gap
from projector.tables.views import view
from tests.given import Parameters, Told

WHOSE = {"task": "TaskSid", "reservation": "ReservationSid", "worker": "WorkerSid"}
READ = (
    tables.gap_told, tables.task, tables.reservation, tables.task_queue_span_past, tables.worker, tables.activity, tables.task_queue,
    tables.workflow, tables.task_channel,
)  # fmt: skip


class Gap(NamedTuple):
    """What the ledger says of one: whose, why, and what is missing."""

    workspace: str
    kind: str
    sid: str
    reason: str
    missing: str


class Ledger:
    """A database that callbacks come to."""

    def __init__(self, log: Log, engine: sa.Engine) -> None:
        self.log, self.engine = log, engine

    def hears(self, callbacks: Iterable[Parameters]) -> Self:
        """Append these, in pages, and project them."""
        arriving = iter(callbacks)
        while page := list(islice(arriving, 2_000)):
            self.log.append([Entry.of(each, source_of(each)) for each in page])
        project(self.log, TableSink(self.engine))
        return self

    def gaps(self) -> Iterator[Gap]:
        """All but hints, with what only two units together reveal."""
        with reading(self.engine) as connection:
            found = ledger(connection, limit=10**6)["gaps"]
        for row in found:
            yield Gap(row["workspace_sid"], row["kind"], row["sid"], row["reason"], row["missing_event_type"])

    def view(self) -> list[dict[str, Any]]:
        """The view's rows, sorted."""
        with reading(self.engine) as connection:
            return _sorted(connection.execute(sa.select(view("gap"))))


def seen_in(told: Told) -> list[dict[str, Any]]:
    """The view's rows over rows in memory, sorted."""
    engine = _memory()
    with engine.connect() as connection, connection.begin() as transaction:
        for table in READ:
            rows = [{name: value for name, value in row.items() if name in table.c} for row in told.rows[table.name].values()]
            if rows:
                connection.execute(sa.insert(table), rows)
        found = _sorted(connection.execute(gap()))
        transaction.rollback()
        return found


@cache
def _memory() -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with engine.begin() as connection:
        tables.metadata.create_all(connection, READ)
    return engine


def _sorted(found: Iterable[Any]) -> list[dict[str, Any]]:
    return sorted((dict(row._mapping) for row in found), key=lambda row: tuple(map(str, row.values())))


def in_workspace(workspace: str, life: list[Parameters]) -> list[Parameters]:
    """A life there. An observation's Sid is one of ours."""
    return [
        each | {"WorkspaceSid": workspace} | ({"Sid": "OB" + each["Sid"][2:]} if source_of(each) == "rest" else {})
        for each in life
    ]


def source_of(told: Parameters) -> str:
    return "rest" if told["EventType"].endswith(".observed") else "callback"


def keys(callbacks: Iterable[Parameters]) -> set[tuple[str, str, str]]:
    """Whose each is: kind, Sid, EventType. A reservation's is its task's and worker's, too."""
    return {(kind, told[name], told["EventType"]) for told in callbacks for kind, name in WHOSE.items() if name in told}


def is_of(gap: Gap, lost: set[tuple[str, str, str]]) -> bool:
    """Whether it names one of these."""
    return any((gap.kind, gap.sid, event_type) in lost for event_type in gap.missing.split(" or "))
