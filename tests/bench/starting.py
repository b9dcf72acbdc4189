"""P11: cold starts of commands, against the import that none of them can do without."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from sqlalchemy.engine import URL

from projector.database import database_url
from tests.bench.cases import P11_HELP, P11_STATUS, Case, Measured, NotMeasured, Round
from tests.bench.figures import spread
from tests.bench.processes import PROJECTOR, environment
from tests.bench.run import Run

START_SECONDS = 60.0
IMPORTS = {"help": "import click", "status": "import sqlalchemy, psycopg"}


def measure_help(run: Run) -> Iterator[Measured]:
    """`--help` touches no database."""
    nowhere = database_url(f"sqlite:///{run.folder / 'nowhere.db'}")
    yield _measured(run, P11_HELP, None, nowhere, ["--help"], IMPORTS["help"])


def measure_status(run: Run, backend: str) -> Iterator[Measured]:
    """`status` of an empty database."""
    with run.databases.fresh(backend) as url:
        yield _measured(run, P11_STATUS, backend, url, ["status"], IMPORTS["status"])


def _measured(run: Run, case: Case, backend: str | None, url: URL, arguments: list[str], imports: str) -> Measured:
    settings = environment(url)
    ours, theirs = [str(PROJECTOR), *arguments], [sys.executable, "-c", imports]
    for command in (ours, theirs):
        _seconds(run, command, settings)  # the first one ever compiles modules and fills the page cache
    rounds = []
    for _ in run.each_round(f"P11 projector {arguments[0]}"):
        pairs = [(_seconds(run, ours, settings), _seconds(run, theirs, settings)) for _ in range(run.sizes.starts)]
        rounds.append(Round(*(spread(column).median for column in zip(*pairs, strict=True))))
    return run.tell(Measured(case, backend, rounds, {"pairs_in_a_round": run.sizes.starts}))


def _seconds(run: Run, command: list[str], settings: Mapping[str, str]) -> float:
    """Of the whole process. Its folder is empty, so that no module of a folder is found first."""
    folder = run.folder / "empty"
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    done = subprocess.run(
        command, env=dict(settings), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=START_SECONDS, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise NotMeasured(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    return took
