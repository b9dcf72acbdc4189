"""Fresh databases for tests: migrated once, copied for each test."""

import itertools
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL, make_url

from projector.database import database_url
from projector.migrate import migrate
from tests.postgres import postgres_server

_numbers = itertools.count(1)


class Databases:
    """Makes databases; everything it made is gone at `close`."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="projector-test-")))
        self._server: URL | None = None
        self._migrated_sqlite: Path | None = None
        self._template: str | None = None

    def close(self) -> None:
        """Remove what was made."""
        self._open.close()

    def new(self, backend: str, *, migrated: bool = True) -> URL:
        """A database of its own on `sqlite` or `postgresql`."""
        return self._new_sqlite(migrated) if backend == "sqlite" else self._new_postgres(migrated)

    def server_url(self) -> URL:
        """The PostgreSQL server's own database."""
        if self._server is None:
            self._server = make_url(self._open.enter_context(postgres_server()))
        return self._server

    def _new_sqlite(self, migrated: bool) -> URL:
        path = self._folder / f"test{next(_numbers)}" / "projector.db"
        path.parent.mkdir()
        if migrated:
            if self._migrated_sqlite is None:
                self._migrated_sqlite = self._folder / "template" / "projector.db"
                self._migrated_sqlite.parent.mkdir()
                migrate(database_url(f"sqlite:///{self._migrated_sqlite}"))
            shutil.copytree(self._migrated_sqlite.parent, path.parent, dirs_exist_ok=True)
        return database_url(f"sqlite:///{path}")

    def _new_postgres(self, migrated: bool) -> URL:
        if migrated and self._template is None:
            template = self._create(None)
            migrate(self._url(template))
            self._template = template
        return self._url(self._create(self._template if migrated else None))

    def _create(self, template: str | None) -> str:
        name = f"projector_test_{os.getpid()}_{next(_numbers)}"
        server = self.server_url().render_as_string(hide_password=False)
        with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
            statement = SQL("CREATE DATABASE {}").format(Identifier(name))
            if template:
                statement += SQL(" TEMPLATE {}").format(Identifier(template))
            connection.execute(statement)
        self._open.callback(self._drop, name)
        return name

    def _drop(self, name: str) -> None:
        server = self.server_url().render_as_string(hide_password=False)
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    def _url(self, name: str) -> URL:
        return database_url(self.server_url().set(database=name).render_as_string(hide_password=False))
