"""Roles that read schema `reporting` on PostgreSQL, and a floor of two workspaces for them to read."""

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL

from projector.database import disposing, open_engine
from projector.floor.center import Floor
from projector.log import Entry, open_log
from projector.project import project
from projector.readers import READER
from projector.table_sink import TableSink
from tests.given import Parameters, text_url

CANARY = "canary-of-a-person"  # in whatever people are called or wrote
MINE, OTHERS = "WS" + "a" * 32, "WS" + "b" * 32
_PLAIN = ("WorkerName", "Reason", "TaskCanceledReason", "TaskCompletedReason", "CanceledReasonCode", "TransferFailedReason")
_numbers = itertools.count(1)


def planted(body: Parameters) -> Parameters:
    """The same callback with a canary wherever it tells of a person."""
    told = {name: f"{CANARY} {value}" for name, value in body.items() if name in _PLAIN}
    told |= {name: json.dumps({"is": CANARY, "was": value}) for name, value in body.items() if name.endswith("Attributes")}
    told |= {name: f"name == '{CANARY}'" for name in ("TaskQueueTargetExpression", "TaskQueueTargetWorkers") if name in body}
    return body | told


def two_workspaces(url: URL, callbacks: int = 2_500, rate: float = 2) -> None:
    """Two floors, projected together."""
    floors = [Floor(seed, workers=12, callbacks_per_second=rate, workspace_sid=of) for seed, of in ((61, MINE), (62, OTHERS))]
    said = [each for floor in floors for each in islice(floor.callbacks(), callbacks)]
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        log.append([Entry.of(planted(body), "callback", at_ms) for at_ms, body in sorted(said, key=lambda each: each[0])])
        project(log, TableSink(engine))


class Reader:
    """A role that may log in and read the schema, and has what is granted to it by `grant`."""

    def __init__(self, url: URL, name: str) -> None:
        self.name, self._url = name, url
        self._owner = psycopg.connect(text_url(url), autocommit=True)
        self._owner.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'secret' IN ROLE {}").format(Identifier(name), Identifier(READER)))

    def grant(self, workspace_sid: str, *, sees_people: bool = False) -> "Reader":
        """Let it see a workspace."""
        given = "INSERT INTO reporting.workspace_grant (role_name, workspace_sid, sees_people) VALUES (%s, %s, %s)"
        self._owner.execute(given, (self.name, workspace_sid, sees_people))
        return self

    def connect(self) -> psycopg.Connection[dict[str, Any]]:
        """A session of the role's own."""
        url = text_url(self._url.set(username=self.name, password="secret"))
        return psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def rows(self, views: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """What it sees of these views."""
        with self.connect() as connection:
            select = SQL("SELECT * FROM {}")
            return {name: connection.execute(select.format(Identifier("reporting", name))).fetchall() for name in views}

    def close(self) -> None:
        """Remove the role and what was granted to it."""
        self._owner.execute("DELETE FROM reporting.workspace_grant WHERE role_name = %s", (self.name,))
        self._owner.execute(SQL("DROP OWNED BY {}").format(Identifier(self.name)))
        self._owner.execute(SQL("DROP ROLE {}").format(Identifier(self.name)))
        self._owner.close()


@contextmanager
def a_reader(url: URL) -> Iterator[Reader]:
    """A role with a name of its own, gone in the end: roles are the server's, not the database's."""
    with closing(Reader(url, f"reader_{os.getpid()}_{next(_numbers)}")) as reader:
        yield reader
