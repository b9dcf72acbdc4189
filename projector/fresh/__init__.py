"""Fresh tables beside the ones that serve, and the swap of the two in one transaction. One module per database.

On PostgreSQL they are a schema of their own and are moved: tables keep their names and their indexes' names, our views are bound
to the new ones, grants are given again. On SQLite they are files of their own, so that building them never makes the live loop
wait, and their rows are copied: readers go on reading what was there until the copy is committed.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy.engine import URL

from projector.fresh.postgres import PostgresFresh
from projector.fresh.sqlite import SQLiteFresh
from projector.lease import Lease


class Fresh(Protocol):
    """Tables of this release beside the ones that serve. Their parts may be filled by several processes at once."""

    def alone(self) -> AbstractContextManager[None]:
        """One rebuild at a time; the next one is refused. The end of this process, however it comes, lets it run."""

    def begin(self, names: Sequence[str]) -> None:
        """Make them, empty, without keys and indexes, with a projection of each name; whatever an earlier rebuild left is gone."""

    def url(self, part: int | None = None) -> URL:
        """Where a part's rows go; without a part, where they all are in the end."""

    def join(self, parts: int) -> None:
        """Bring the parts together, keys and indexes made."""

    def swap(self, lease: Lease) -> bool:
        """Put them in the place of the others, if the lease is still held; False when readers are in the way."""

    def discard(self) -> None:
        """Remove what is left of them."""


def fresh_tables(url: URL) -> Fresh:
    """The fresh tables of a database."""
    return SQLiteFresh(url) if url.get_backend_name() == "sqlite" else PostgresFresh(url)
