"""Whether a database is at this release's revision: asked at the start of every command, so without Alembic, which takes its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector.access import reading
from projector.database import disposing, open_engine
from projector.errors import LogMismatch, NotMigrated
from projector.log.open import log_path

REVISION = "0009"  # the newest in `migrations/versions`


def check_migrated(url: URL) -> None:
    """Refuse tables of another release, and files that are not there, which a look would make. Raises `NotMigrated`, `LogMismatch`."""
    with opened(url):
        pass


@contextmanager
def opened(url: URL) -> Iterator[sa.Engine]:
    """The tables, checked so, and their connections closed at the end."""
    if url.get_backend_name() == "sqlite":
        if not Path(url.database or "").exists():
            raise NotMigrated(f"There is no database {url.database} here. Run `projector migrate` to make one.")
        if not log_path(url).exists():
            raise LogMismatch(f"The log {log_path(url)} is not beside the tables. Put it back: it holds every callback.")
    with disposing(open_engine(url)) as engine:
        try:
            with reading(engine) as connection:
                current = _noted_revision(connection)
        except NotMigrated:
            current = None
        if current != REVISION:
            raise NotMigrated(
                f"The tables are at revision {current or 'none'}, this release needs {REVISION}. Run `projector migrate`."
            )
        yield engine


def current_revision(connection: sa.Connection) -> str | None:
    """The revision a database is at, as Alembic noted it; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return _noted_revision(connection)


def _noted_revision(connection: sa.Connection) -> str | None:
    return connection.execute(sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))).scalar()
