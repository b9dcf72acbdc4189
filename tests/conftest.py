"""Fixtures: fresh databases of both kinds."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import URL

from projector import project as projecting
from projector.database import disposing, open_engine
from projector.log import open_log
from tests.databases import Databases

if TYPE_CHECKING:
    from tests.kinesis import Kinesis
    from tests.ledger import Ledger
    from tests.test_laws import Store

BACKENDS = ("sqlite", "postgresql")

# A shell that runs us in the background has Ctrl-C ignored, and whatever the tests start would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def kinesis() -> Iterator["Kinesis"]:
    """A Kinesis on this machine."""
    from tests.kinesis import serving

    with serving() as kinesis:
        yield kinesis


@pytest.fixture
def ledger(url: URL) -> Iterator["Ledger"]:
    """A database that callbacks come to, and its gap ledger."""
    from tests.ledger import Ledger

    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        yield Ledger(log, engine)


@pytest.fixture
def short_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every 2 callbacks, so that short histories have some."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 2)


@pytest.fixture
def store(request: pytest.FixtureRequest, databases: Databases) -> Iterator["Store"]:
    """Log and tables on a real database."""
    from tests.test_laws import Store

    url = databases.new(request.param)
    log = open_log(url)
    with disposing(open_engine(url)) as engine:
        yield Store(log, engine)
    log.close()
