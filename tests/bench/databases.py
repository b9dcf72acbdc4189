"""Databases for measures: fresh ones, one that is filled once and kept, copies of it. All of them are gone at `close`."""

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy.engine import URL, make_url

from projector.database import database_url
from projector.log.open import log_path
from projector.migrate import migrate
from tests.given import text_url
from tests.postgres import postgres_server

_numbers = itertools.count(1)


class Databases:
    """One PostgreSQL, begun when it is first needed, and a folder of SQLite files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._server: URL | None = None
        self._kept: dict[tuple[str, str], URL] = {}

    def close(self) -> None:
        """Drop what was made and end the server."""
        self._open.close()

    def server_url(self) -> URL:
        """The PostgreSQL server's own database."""
        if self._server is None:
            self._server = make_url(self._open.enter_context(postgres_server()))
        return self._server

    @contextmanager
    def fresh(self, backend: str) -> Iterator[URL]:
        """A migrated database, empty."""
        with self._new(backend, None) as url:
            migrate(url)
            yield url

    @contextmanager
    def bare(self) -> Iterator[URL]:
        """A database on PostgreSQL without any table: the library's, or a baseline's."""
        with self._new("postgresql", None) as url:
            yield url

    @contextmanager
    def copy(self, url: URL) -> Iterator[URL]:
        """The same database once more, to be changed. Nobody may be connected to the original."""
        with self._new(url.get_backend_name(), url) as copied:
            self.rest(copied)
            yield copied

    def kept(self, backend: str, name: str, fill: Callable[[URL], None]) -> URL:
        """A migrated database that is filled at the first call with its name, and kept to the end."""
        if (backend, name) not in self._kept:
            url = self._open.enter_context(self.fresh(backend))
            fill(url)
            self.rest(url)
            self._kept[backend, name] = url
        return self._kept[backend, name]

    def rest(self, url: URL) -> None:
        """Let what was written come to rest: on disk, hint bits set, statistics taken. The next stretch then pays for itself alone."""
        if url.get_backend_name() == "postgresql":
            with psycopg.connect(text_url(url), autocommit=True) as connection:
                connection.execute("VACUUM (ANALYZE)")
                connection.execute("CHECKPOINT")
        os.sync()

    @contextmanager
    def _new(self, backend: str, original: URL | None) -> Iterator[URL]:
        make = self._new_sqlite if backend == "sqlite" else self._new_postgres
        with make(original) as url:
            yield url

    @contextmanager
    def _new_sqlite(self, original: URL | None) -> Iterator[URL]:
        folder = self._folder / f"sqlite{next(_numbers)}"
        if original is None:
            folder.mkdir()
        else:
            shutil.copytree(Path(original.database or "").parent, folder)
        try:
            yield database_url(f"sqlite:///{folder / 'projector.db'}")
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _new_postgres(self, original: URL | None) -> Iterator[URL]:
        name = f"projector_bench_{os.getpid()}_{next(_numbers)}"
        create, drop = SQL("CREATE DATABASE {}").format(Identifier(name)), SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        if original is not None:
            create += SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(Identifier(original.database or ""))
        self._on_server(create)
        try:
            yield database_url(self.server_url().set(database=name).render_as_string(hide_password=False))
        finally:
            self._on_server(drop.format(Identifier(name)))

    def _on_server(self, statement: Composed) -> None:
        with psycopg.connect(text_url(self.server_url()), autocommit=True) as connection:
            connection.execute(statement)


def stored(url: URL) -> int:
    """How many callbacks the log holds, counted."""
    count = "SELECT count(*) FROM stored_events"
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(log_path(url))) as connection:
            return int(connection.execute(count).fetchone()[0])
    with psycopg.connect(text_url(url), options="-c search_path=log") as connection:
        found = connection.execute(count).fetchone()
    return int(found[0]) if found else 0
