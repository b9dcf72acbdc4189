"""What columns are made of: moments, Sids, the heads that units share, and the metadata that names constraints.

A column `x_at` is the state's field `x_ms`: `timestamptz` on PostgreSQL, ISO 8601 text in UTC with milliseconds on SQLite,
integer milliseconds in Python. Text that is only compared or ordered has the C collation on PostgreSQL, so that it sorts by
bytes there as everywhere else.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(sa.types.TypeDecorator[int]):
    """A moment, epoch milliseconds in Python; `timestamptz` on PostgreSQL, `2026-03-01T10:42:00.000Z` on SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The column's type on this database."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Text())
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> Any:
        """Milliseconds to what the database stores."""
        if value is None:
            return None
        return iso(value) if dialect.name == "sqlite" else _EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> int | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """What the database stores to milliseconds."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return (moment - _EPOCH) // timedelta(milliseconds=1)


class epoch_ms(sa.sql.functions.FunctionElement[int]):  # noqa: N801 (an SQL function)
    """A moment as epoch milliseconds."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(epoch_ms, "postgresql")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST(EXTRACT(epoch FROM {compiler.process(element.clauses, **kw)}) * 1000 AS BIGINT)"


@compiles(epoch_ms, "sqlite")
def _(element: Any, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.clauses, **kw)
    return f"(CAST(strftime('%s', {moment}) AS INTEGER) * 1000 + CAST(substr({moment}, 21, 3) AS INTEGER))"


@lru_cache(maxsize=16_384)  # what ends and what begins share a moment, and a row has it in several columns
def iso(ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, milliseconds included."""
    seconds, rest = divmod(ms, 1000)
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)}T{_clock(second)}.{rest:03d}Z"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")


@lru_cache(maxsize=86_400)
def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


# Text that is compared or ordered, never read aloud: SIDs, order keys.
SID = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
BIG = sa.BigInteger


def column(name: str, kind: Any, comment: str, *constraints: Any, **options: Any) -> sa.Column[Any]:
    """A column and what it means."""
    return sa.Column(name, kind, *constraints, comment=comment, **options)


def personal(name: str, comment: str) -> sa.Column[Any]:
    """Text that may tell who somebody is: what people are called, and what people wrote. Readers see it by a grant of its own."""
    return column(name, sa.Text, comment, info={"personal": True})


def is_personal(of: sa.Column[Any]) -> bool:
    """Whether `personal` made it."""
    return bool(of.info.get("personal"))


def key(name: str, comment: str) -> sa.Column[Any]:
    """A part of the primary key."""
    return sa.Column(name, SID, primary_key=True, nullable=False, comment=comment)


def at(name: str, comment: str) -> sa.Column[Any]:
    """A moment."""
    return sa.Column(name, Instant, comment=comment)


def named(name: str, comment: str, kind: Any = sa.Text, *, person: bool = False) -> list[sa.Column[Any]]:
    """A column that mentions fill, and the order key of the callback it came from. `person`: it is `personal`."""
    told = personal(name, comment) if person else column(name, kind, comment)
    return [told, column(f"{name}_order", SID, f"Order key of the callback that told {name}.")]


def first_seen() -> sa.Column[Any]:
    """When a row was first spoken of."""
    return at("first_seen_at", "Event time of the first callback that spoke of it.")


def head() -> list[sa.Column[Any]]:
    """The columns every unit's first row has (`taskrouter.head.Head`)."""
    return [
        column("folded_to", SID, "Order key of the last of its own callbacks folded, deletions apart.", nullable=False, server_default=""),
        column("callback_count", BIG, "Its own callbacks folded, deletions apart.", nullable=False, server_default="0"),
        column("timed_by_receipt_count", BIG, "Of those, the ones ordered by receipt: no stamp, or one over 5 minutes ahead.", nullable=False, server_default="0"),
        at("updated_at", "Event time of the last of its own callbacks; NULL when it was only mentioned."),
        column("last_event_sid", SID, "Sid of that callback."),
        column("deletion_order", SID, "Order key of its deletion."),
        at("deletion_received_at", "Receipt of its deletion, when it came live."),
        at("deleted_at", "When its deletion took effect."),
    ]  # fmt: skip


def workspace_key() -> sa.Column[Any]:
    """The first part of every key."""
    return key("workspace_sid", "WS…")
