"""The lease on the tables: which of several loops may write.

A row with an expiry, not only a lock: a holder that is paused (SIGSTOP, a stuck host) keeps a lock for ever, but its lease
runs out. The clock is the database's on PostgreSQL, this machine's on SQLite; it only decides who waits, never what is
written (see the fence in `sink.py`).
"""

import os
import secrets
import socket
import time

import sqlalchemy as sa

from projector import tables

LEASE_MS = 5_000


class Lease:
    """This loop's claim, under a name no other loop has."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def take(self, connection: sa.Connection) -> bool:
        """Take the lease or renew it; False when another loop holds it. In a transaction that writes."""
        c = tables.projection.c
        now_ms = database_now_ms(connection)
        free = sa.or_(c.holder.is_(None), c.holder == self.holder, c.lease_expires_at < now_ms)
        taken = sa.update(tables.projection).where(free).values(holder=self.holder, lease_expires_at=now_ms + LEASE_MS)
        return connection.execute(taken).rowcount == 1

    def seize(self, connection: sa.Connection) -> None:
        """Take the lease from whoever holds it, for the end of a rebuild: its next batch is refused, and it stands by."""
        expires = database_now_ms(connection) + LEASE_MS
        connection.execute(sa.update(tables.projection).values(holder=self.holder, lease_expires_at=expires))

    def give_back(self, connection: sa.Connection) -> None:
        """Let a standby go on at once."""
        mine = tables.projection.c.holder == self.holder
        connection.execute(sa.update(tables.projection).where(mine).values(holder=None, lease_expires_at=None))

    def renewed_until(self, connection: sa.Connection) -> int:
        """The expiry to write with the next batch."""
        return database_now_ms(connection) + LEASE_MS


def database_now_ms(connection: sa.Connection) -> int:
    """The database's clock, epoch milliseconds."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    now = sa.func.extract("epoch", sa.func.clock_timestamp()) * 1000
    return int(connection.execute(sa.select(sa.cast(now, sa.BigInteger))).scalar_one())
