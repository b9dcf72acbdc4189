"""The measures: what is measured against what, what it must reach, what it aims at; and what was measured, with its verdict."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.bench.figures import Spread, spread


class Case(NamedTuple):
    """One measure. Its figure is ours divided by theirs, or ours alone where there is nobody to compare with."""

    id: str
    what: str
    against: str
    unit: str  # of both absolute figures
    must: float | None  # None: told for information, without a target
    aim: float | None
    smaller_is_better: bool = False

    def verdict(self, figure: float) -> str:
        """`aim`, `must`, `below`, or `none` without a target."""
        if self.must is None or self.aim is None:
            return "none"
        sign = -1 if self.smaller_is_better else 1
        if sign * figure >= sign * self.aim:
            return "aim"
        return "must" if sign * figure >= sign * self.must else "below"


RUNNER = "eventsourcing's ProjectionRunner, PostgreSQL to a one-row view on PostgreSQL"

# fmt: off
P1 = Case("P1", "POST /callbacks, signed and durable, the shipped server, 32 connections", "the same application storing nothing, on the fastest server tried", "answers/s", 0.55, 0.75)
P2 = Case("P2", "GroupCommit.append, 32 threads", "eventsourcing's PostgreSQL recorder, insert_events of one, 32 threads", "appends/s", 8, 15)
P2_SQLITE = Case("P2i", "GroupCommit.append, 32 threads (for information)", "eventsourcing's SQLite recorder, insert_events of one, 32 threads", "appends/s", None, None)
P3 = Case("P3", "import_lines into the log", "the same bytes into a bare table: COPY BINARY, on SQLite executemany", "lines/s", 0.25, 0.5)
P4 = Case("P4", "catching up with a backlog, one process, real tables", RUNNER, "callbacks/s", 15, 30)
P4B = Case("P4b", "the same, 5 % up to 30 s late, with a worker of a long history", "P4 in the same round", "callbacks/s", 0.7, 0.9)
P5 = Case("P5", "projector rebuild --jobs 2, the whole command, many callbacks", RUNNER, "callbacks/s", 40, 80)
P6 = Case("P6", "projector rebuild --jobs 2, the whole command, many callbacks", "reading the same rows into Python: COPY BINARY, on SQLite fetchmany", "callbacks/s", 0.2, 0.35)
P7 = Case("P7", "a worker at a moment, many callbacks in the tables", "the same, few callbacks, as many workers", "µs", 1.5, 1.1, smaller_is_better=True)
P8 = Case("P8", "projector rebuild --jobs 2: seconds for many callbacks", "seconds for few (in full: a tenth)", "s", 11, 10, smaller_is_better=True)
P9 = Case("P9", "projector rebuild --jobs 2: peak memory of its processes, many callbacks", "peak memory for few (in full: a tenth)", "MiB", 1.5, 1.2, smaller_is_better=True)
P10 = Case("P10", "from a callback's answer until its row is visible, 200 a second: p99", "–", "ms", 250, 100, smaller_is_better=True)
P11_HELP = Case("P11", "projector --help, a cold start", 'python -c "import click"', "s", 1.5, 1.2, smaller_is_better=True)
P11_STATUS = Case("P11", "projector status, a cold start", 'python -c "import sqlalchemy, psycopg"', "s", 1.5, 1.2, smaller_is_better=True)
# fmt: on


class Round(NamedTuple):
    """Both figures of one round; `theirs` is None where there is nobody to compare with."""

    ours: float
    theirs: float | None = None

    @property
    def figure(self) -> float:
        """What is judged."""
        return self.ours if self.theirs is None else self.ours / self.theirs


class Measured(NamedTuple):
    """A case on one database (None: it needs none), all rounds. `details` go into the JSON, `notes` below the table too."""

    case: Case
    database: str | None
    rounds: list[Round]
    details: Mapping[str, Any] = MappingProxyType({})
    notes: Sequence[str] = ()

    @property
    def figure(self) -> Spread:
        """What is judged, over the rounds: by its median."""
        return spread([each.figure for each in self.rounds])

    @property
    def ours(self) -> Spread:
        """Our absolute figure."""
        return spread([each.ours for each in self.rounds])

    @property
    def theirs(self) -> Spread | None:
        """Theirs, where there is one."""
        found = [each.theirs for each in self.rounds if each.theirs is not None]
        return spread(found) if found else None

    @property
    def verdict(self) -> str:
        """See `Case.verdict`."""
        return self.case.verdict(self.figure.median)


class Failed(NamedTuple):
    """A case that could not be measured, and why."""

    id: str
    database: str | None
    problem: str


class NotMeasured(Exception):
    """What was measured is not what should have been: a refusal, a lost row, a command that failed."""
