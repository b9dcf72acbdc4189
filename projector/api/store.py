"""Where answers come from."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from projector import tables
from projector.access import reading
from projector.delivered import feeds_lately
from projector.errors import StoreUnavailable
from projector.log import Log
from projector.read.present import Present, present
from projector.read.refolded import Refolded
from projector.read.source import Source
from projector.read.when import position_at
from projector.status import gaps_lately
from projector.taskrouter.callback import read

LOOK_SECONDS = 10.0  # for an answer; whoever asked is told 503


class Store:
    """Where answers come from: the tables, and the log for the one thing that no table holds, whose account a workspace is."""

    def __init__(self, engine: sa.Engine, log: Log) -> None:
        self._engine, self._log = engine, log
        self._gaps = gaps_lately(engine)
        self.feeds_lately = feeds_lately(log)  # of all workspaces
        self._accounts: dict[str, str] = {}  # WorkspaceSid → AccountSid, which never changes

    @contextmanager
    def looking(self) -> Iterator[sa.Connection]:
        """A connection to look with."""
        with reading(self._engine) as connection:
            yield limited(connection)

    @contextmanager
    def knowing_all(self) -> Iterator[Present]:
        """All that is known, to look at many things at a moment."""
        with present(self._engine, self._log) as now:
            limited(now.today)
            yield now

    @contextmanager
    def knowing(self, known_ms: int | None) -> Iterator[Source]:
        """All that is known, or was by some time, to look at a moment with."""
        with self.knowing_all() as now:
            yield self.known(now, known_ms)

    def known(self, now: Present, known_ms: int | None) -> Source:
        """All that is known now, or what of it was known by some time."""
        return now if known_ms is None else Refolded(now, position_at(self._log, known_ms))

    def missing_lately(self, workspace_sid: str, now_ms: int) -> dict[str, int]:
        """How many of a workspace's callbacks are believed missing, by reason, as counted within this minute."""
        return dict(sorted(self._gaps(now_ms).get(workspace_sid, {}).items()))

    def account_sid(self, connection: sa.Connection, workspace_sid: str) -> str | None:
        """The AccountSid that the workspace's callbacks name; None while there is none."""
        if workspace_sid not in self._accounts:
            for table in tables.CURRENT:
                told = sa.select(table.c.last_event_sid).where(
                    table.c.workspace_sid == workspace_sid, table.c.last_event_sid.is_not(None)
                )
                sid = connection.execute(told.limit(1)).scalar()
                stored = self._log.find(f"{workspace_sid}/{sid}") if sid else None
                account_sid = read(stored.state, stored.originator_id).fields.account_sid if stored else None
                if account_sid:
                    self._accounts[workspace_sid] = account_sid
                    break
        return self._accounts.get(workspace_sid)


def limited(connection: sa.Connection) -> sa.Connection:
    """The same, which begins no statement when the time of a look is up. (The engine gives up one that takes too long by itself.)"""
    deadline = time.monotonic() + LOOK_SECONDS

    def look(*_: object) -> None:
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"The answer took more than {LOOK_SECONDS:g} seconds. Ask for less: a narrower window, one queue."
            )

    sa.event.listen(connection, "before_cursor_execute", look)
    return connection
