"""The command line of the benchmarks: `python -m tests.bench --help`."""

import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from tests.bench import appending, importing, live, moment, posting, projecting, rebuilding, report, starting
from tests.bench.callbacks import Callbacks
from tests.bench.cases import Failed, Measured, NotMeasured
from tests.bench.databases import Databases
from tests.bench.machine import machine, settings, versions
from tests.bench.run import Measure, Run
from tests.bench.sizes import FULL, SMALL

BACKENDS = ("sqlite", "postgresql")
MEASURES: dict[tuple[str, ...], Measure] = {  # ids that share their stretches → what measures them
    ("P1",): posting.measure,
    ("P2",): appending.measure,
    ("P3",): importing.measure,
    ("P4", "P4b"): projecting.measure,
    ("P5", "P6", "P8", "P9"): rebuilding.measure,
    ("P7",): moment.measure,
    ("P10",): live.measure,
    ("P11",): starting.measure_status,
}
IDS = {each.lower(): each for ids in MEASURES for each in ids}
NEED_POSTGRESQL = {"P2", "P4", "P5"}  # the library they are compared with is at its best there


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("ids", nargs=-1, metavar="[P1 P2 …]")
@click.option("--on", "backends", multiple=True, type=click.Choice(BACKENDS), help="A database; both without.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--json", "path", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write the document here too."
)
@click.option("--small", is_flag=True, help="So little of everything that the figures mean nothing: for a test.")
def main(ids: tuple[str, ...], backends: tuple[str, ...], rounds: int, path: Path | None, small: bool) -> None:
    """Measure, in turn, what the targets compare. Exit status 1 when something could not be measured; figures never decide it.

    In full it takes a good while and up to 20 GB in the temporary folder, which is removed at the end.

    Example: python -m tests.bench P1 P2 --on postgresql --rounds 5 --json bench.json
    """
    wanted = frozenset(_id(each) for each in ids) or frozenset(IDS.values())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended then too
    began = time.monotonic()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="projector-bench-")))
        databases = ending.enter_context(closing(Databases(folder)))
        run = Run(SMALL if small else FULL, rounds, folder, databases, Callbacks(folder), wanted, _say)
        asked = backends or BACKENDS
        about = {
            "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "rounds": rounds,
            "small": small,
            "machine": machine(folder),
            "versions": versions(),
            "settings": settings(databases, "sqlite" in asked, "postgresql" in asked or bool(wanted & NEED_POSTGRESQL)),
            "sizes": run.sizes._asdict(),
        }
        measured, failed = _measure(run, asked)
        about |= {"mean_bytes": run.callbacks.mean_bytes(), "seconds": time.monotonic() - began}
    found = report.document(about, measured, failed)
    report.show(found)
    if path is not None:
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    sys.exit(1 if failed else 0)


def _measure(run: Run, backends: tuple[str, ...]) -> tuple[list[Measured], list[Failed]]:
    """Everything that was asked for; what cannot be measured leaves the rest alone."""
    measured: list[Measured] = []
    failed: list[Failed] = []
    for ids, database, measure in _asked(run, backends):
        try:
            measured += measure()
        except Exception as error:  # noqa: BLE001 (told in the report; the others go on)
            if not isinstance(error, NotMeasured):
                traceback.print_exc()
            problem = str(error) if isinstance(error, NotMeasured) else f"{type(error).__name__}: {error}"
            _say(f"{', '.join(ids)} failed: {problem}")
            failed += [Failed(each, database, problem) for each in ids]
    return measured, failed


def _asked(run: Run, backends: tuple[str, ...]) -> Iterator[tuple[list[str], str | None, Callable[[], Iterator[Measured]]]]:
    for together, measure in MEASURES.items():
        ids = [each for each in together if each in run.wanted]
        if not ids:
            continue
        if "P11" in ids:
            yield ids, None, partial(starting.measure_help, run)
        for backend in backends:
            yield ids, backend, partial(measure, run, backend)


def _id(text: str) -> str:
    if text.lower() not in IDS:
        raise click.BadParameter(f"{text} is no measure. Choose from {', '.join(IDS.values())}.")
    return IDS[text.lower()]


def _say(text: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {text}", err=True)


if __name__ == "__main__":
    main()
