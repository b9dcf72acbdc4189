"""A log and its tables on a real database, looked at by the second of a story."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import URL

from projector.database import open_engine
from projector.log import Entry, open_log
from projector.project import project
from projector.read.activities import activities as activities_at
from projector.read.explain import explain as explained
from projector.read.moment import at as answer
from projector.read.present import present
from projector.read.queue import queue as queue_at
from projector.read.task import reservation as reservation_at
from projector.read.task import task as task_at
from projector.read.worker import worker as worker_at
from projector.table_sink import TableSink
from tests.given import WORKSPACE, Parameters, ms, sid


class Floor:
    """What callbacks came to. Every question takes seconds into the story and the names `tests.given` gives to things."""

    def __init__(self, url: URL) -> None:
        self.url, self.log, self.engine = url, open_log(url), open_engine(url)

    def close(self) -> None:
        self.log.close()
        self.engine.dispose()

    def told(self, *callbacks: Parameters, received_at: float = 3600) -> "Floor":
        """These arrive and are projected."""
        self.log.append([Entry.of(parameters, "callback", ms(received_at)) for parameters in callbacks])
        project(self.log, TableSink(self.engine))
        return self

    def worker(self, at: float, name: str = "ann", workspace: str = WORKSPACE) -> dict[str, Any] | None:
        with present(self.engine, self.log) as now:
            return worker_at(now, workspace, sid("WK", name), ms(at))

    def channel(self, at: float, name: str = "ann", channel: str = "voice") -> dict[str, Any]:
        found = self.worker(at, name)
        assert found is not None
        return next(row for row in found["channels"] if row["task_channel_sid"] == sid("TC", channel))

    def task(self, at: float, name: str = "t") -> dict[str, Any] | None:
        with present(self.engine, self.log) as now:
            return task_at(now, WORKSPACE, sid("WT", name), ms(at))

    def reservation(self, at: float, name: str = "r", task: str = "t") -> dict[str, Any] | None:
        with present(self.engine, self.log) as now:
            return reservation_at(now, WORKSPACE, sid("WT", task), sid("WR", name), ms(at))

    def queue(self, at: float, name: str = "support") -> dict[str, Any] | None:
        with present(self.engine, self.log) as now:
            return queue_at(now, WORKSPACE, sid("WQ", name), ms(at))

    def activities(self, at: float) -> dict[str, str]:
        """Worker's name → activity's name."""
        with present(self.engine, self.log) as now:
            return {row["worker_name"]: row["activity_name"] for row in activities_at(now, WORKSPACE, ms(at))}

    def at(self, entity: str, at: float, known_at: float | None = None) -> dict[str, Any]:
        """As `projector at` finds it."""
        return answer(self.engine, self.log, entity, ms(at), None if known_at is None else ms(known_at))

    def explain(self, entity: str) -> dict[str, Any]:
        """As `projector explain` finds it."""
        return explained(self.engine, self.log, entity)


@contextmanager
def looking_at(url: URL) -> Iterator[Floor]:
    """A floor, closed at the end."""
    floor = Floor(url)
    try:
        yield floor
    finally:
        floor.close()
