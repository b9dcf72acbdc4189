"""The logs are recorders of `eventsourcing`: the library's own test cases hold for them, over the migrated tables.

Left out are what it calls optional, subscriptions (our appends notify nobody: the loop polls), and its measure of speed.
"""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from eventsourcing.persistence import ApplicationRecorder
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
from sqlalchemy.engine import URL

from projector.log import open_log
from tests.conftest import BACKENDS


class OfALog:
    """What makes the library's cases ours: a log as the recorder, texts as originator ids."""

    backend: str
    new_url: Callable[[str], URL]
    addCleanup: Callable[..., Any]  # noqa: N815 (unittest's)

    @pytest.fixture(autouse=True)
    def _databases(self, new_url: Callable[[str], URL]) -> None:
        self.new_url = new_url

    def create_recorder(self) -> Any:
        log: Any = open_log(self.new_url(self.backend))
        assert isinstance(log, ApplicationRecorder)
        self.addCleanup(log.close)
        self.addCleanup(self.end_readers)
        return log

    def end_readers(self) -> None:
        """The library's case stops its readers and does not wait for them: SQLite must not be closed under one."""
        for thread in threading.enumerate():
            if "read_continuously" in thread.name:
                thread.join(timeout=30)

    def new_originator_id(self) -> str:
        return f"WS{'b' * 32}/EV{uuid.uuid4().hex}"


class OfSQLite(OfALog):
    backend = BACKENDS[0]


class OfPostgreSQL(OfALog):
    backend = BACKENDS[1]


class NoSpeed:
    def test_performance(self) -> None:
        """The library's measures a speed; nothing can fail in it."""


class TestSQLiteRecorder(OfSQLite, NoSpeed, ApplicationRecorderTestCase[Any]):
    pass


class TestPostgreSQLRecorder(OfPostgreSQL, NoSpeed, ApplicationRecorderTestCase[Any]):
    pass


class TestSQLiteNonInterleaving(OfSQLite, NonInterleavingNotificationIDsBaseCase):
    pass


class TestPostgreSQLNonInterleaving(OfPostgreSQL, NonInterleavingNotificationIDsBaseCase):
    pass


del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase  # or pytest would collect them, too
