"""Fixtures: fresh databases of both kinds."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.engine import URL

from tests.databases import Databases

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Makes fresh databases; PostgreSQL starts with the first one asked for."""
    made = Databases()
    yield made
    made.close()


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, databases: Databases) -> URL:
    """A migrated database of its own, once on each backend."""
    return databases.new(request.param)


@pytest.fixture
def new_url(databases: Databases) -> Callable[[str], URL]:
    """`new_url("sqlite")`: another migrated database."""
    return databases.new
