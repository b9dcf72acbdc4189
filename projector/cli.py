"""The command line: parse, call, say. The exit status says success.

Modules are imported inside the commands, so that `--help` is quick.
"""

import gc
import os
import sys
import time
from contextlib import closing
from typing import BinaryIO

import click

from projector.cli_feeds import COMMANDS
from projector.errors import ProjectorError
from projector.opening import check_migrated, check_start, config_now, stores, tend_parent
from projector.output import answer, progress_bar, say

REFUSED = 2


def main() -> None:
    """Run a command; an error of ours is one sentence on standard error and exit status 2."""
    gc.set_threshold(50_000)  # what is imported is no garbage: to look through it takes a tenth of a start
    try:
        commands()
    except ProjectorError as error:
        click.echo(f"projector: {error}", err=True)
        sys.exit(REFUSED)
    except BrokenPipeError:
        os._exit(1)  # whoever read our output is gone


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="taskrouter-projector")
def commands() -> None:
    """TaskRouter's event callbacks, stored for good and projected into tables."""


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535))
@click.option("--for", "seconds", type=click.FloatRange(0, 1e9), help="Stop after so many seconds.")
@click.option(
    "--rate",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0, 1e6, min_open=True),
    help="Callbacks per second of the simulated floor.",
)
@click.option("--workers", default=40, show_default=True, type=click.IntRange(1, 100_000), help="Workers of the simulated floor.")
@click.option("--seed", default=1, show_default=True, help="The same seed is the same floor.")
def demo(host: str, port: int, seconds: float | None, rate: float, workers: int, seed: int) -> None:
    """A whole contact center on this machine: nothing to configure, nothing left behind.

    Example: projector demo --for 60 --rate 50
    """
    from projector.demo import run_demo

    sys.exit(run_demo(host, port, seconds, rate, workers, seed))


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535))
@click.option("--no-project", is_flag=True, help="Leave the loop to `projector run`.")
def serve(host: str, port: int, no_project: bool) -> None:
    """Receive callbacks and project them.

    Example: projector serve --host 0.0.0.0 --port 8080
    """
    from projector.processes import Family, check_port, stop_on_signals

    config = config_now()
    check_start(config, web=True)
    check_port(host, port)
    family = {"web": ["web", "--host", host, "--port", str(port)]} | ({} if no_project else {"loop": ["run"]})
    sys.exit(Family(family, {}).run(stop_on_signals()))


@commands.command(hidden=True)
@click.option("--host", required=True)
@click.option("--port", type=int, required=True)
def web(host: str, port: int) -> None:
    """The web server alone: what `serve` starts and watches."""
    from projector.processes import counting_together

    tend_parent()
    with counting_together():
        from projector.web import serve_http

        serve_http(config_now(), host, port)


@commands.command()
def run() -> None:
    """Project the log into the tables, for ever, and ask Twilio for what was missed. A second one stands by.

    Example: projector run
    """
    from projector import logs
    from projector.feeds.reconcile import reconciling
    from projector.follow import follow
    from projector.processes import collect_seldom, stop_on_signals

    stop = stop_on_signals()
    tend_parent()
    logs.configure()
    collect_seldom()
    config = config_now()
    check_start(config, web=False)
    follow(config, stop, lambda: reconciling(config))


@commands.command()
@click.option("--to", "revision", default="head", show_default=True, help="A revision, or `base` for none.")
def migrate(revision: str) -> None:
    """Make the tables, or bring them to this release.

    Example: projector migrate
    """
    from projector.migrate import migrate as bring
    from projector.readers import nobody_reads
    from projector.status import is_rebuild_due

    url = config_now().database_url
    said = {"revision": bring(url, revision)}
    said |= {"reporting": trouble} if (trouble := nobody_reads(url)) else {}
    say(said | ({"rebuild_due": True, "next": "projector rebuild"} if said["revision"] and is_rebuild_due(url) else {}))


@commands.command("import")
@click.argument("file", type=click.File("rb"))
def import_(file: BinaryIO) -> None:
    """Append callbacks from JSON Lines (`-` for standard input), one object of parameters or one exported document a line.

    Example: projector export > log.jsonl; projector import log.jsonl
    """
    from projector.importing import import_lines
    from projector.log import open_log

    config = config_now()
    check_migrated(config)
    size, done = os.fstat(file.fileno()).st_size, [0]
    with progress_bar("import", "bytes") as progress, closing(open_log(config.database_url)) as log:

        def advance(read: int) -> None:
            done[0] += read
            progress(done[0], size)

        imported = import_lines(log, file, config.workspaces, advance)
    for number, trouble in imported.bad:
        click.echo(f"line {number}: {trouble}", err=True)
    counts = {outcome.value: times for outcome, times in imported.outcomes.items()}
    quarantined = counts.get("quarantined", 0) + counts.get("conflict", 0)
    say(
        {
            "appended": counts.get("stored", 0),
            "duplicate": counts.get("duplicate", 0),
            "quarantined": quarantined,
            "unreadable": len(imported.bad) - quarantined,
        }
    )
    sys.exit(1 if imported.bad else 0)


@commands.command()
def export() -> None:
    """Write the whole log as JSON Lines, in order of arrival.

    Example: projector export > log.jsonl
    """
    from projector.importing import export_lines
    from projector.log import open_log

    config = config_now()
    check_migrated(config)
    with closing(open_log(config.database_url)) as log:
        for line in export_lines(log):
            sys.stdout.buffer.write(line)


@commands.command()
@click.option("--brief", is_flag=True, help="Positions and lag alone, for a health check: nothing is counted for it.")
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def status(brief: bool, as_json: bool) -> None:
    """Positions, lag, and what was counted. Exit status 1 when units could not be folded.

    Example: projector status --json
    """
    from projector.status import progress
    from projector.status import status as everything

    with stores() as (log, engine):
        standing = (progress if brief else everything)(log, engine, time.time_ns() // 1_000_000)
    say(standing, as_json=as_json)
    sys.exit(1 if standing["incomplete_units"] else 0)


@commands.command("at")
@click.argument("sid")
@click.argument("time_", metavar="TIME")
@click.option("--known-at", metavar="TIME", help="Only what had arrived by then, for one WK…, WT… or WR….")
@click.option("--workspace", metavar="WS…", help="Which one, when several have the Sid.")
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def at_moment(sid: str, time_: str, known_at: str | None, workspace: str | None, as_json: bool) -> None:
    """What a worker (WK…), task (WT…), reservation (WR…), queue (WQ…) or workspace (WS…) was like at TIME.

    TIME is ISO 8601 (without a zone: UTC) or epoch milliseconds. Exit status 1 when it did not exist then.

    Example: projector at WK00000000000000000000000000000001 2026-03-01T10:42:00Z
    """
    from projector.read.moment import at
    from projector.read.when import moment

    at_ms, known_ms = moment(time_), moment(known_at) if known_at is not None else None
    with stores() as (log, engine):
        found = at(engine, log, sid, at_ms, known_ms, workspace)
    answer(found, as_json=as_json)
    sys.exit(0 if found["exists"] else 1)


@commands.command()
@click.argument("sid")
@click.option("--workspace", metavar="WS…", help="Which one, when several have the Sid.")
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def explain(sid: str, workspace: str | None, as_json: bool) -> None:
    """The callbacks behind an entity's row and spans, in the order they happened, and what each of them changed.

    Example: projector explain WT00000000000000000000000000000001
    """
    from projector.read.explain import explain as trace

    with stores() as (log, engine):
        answer(trace(engine, log, sid, workspace), as_json=as_json)


@commands.command()
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes, one part of all units each.")
def rebuild(jobs: int) -> None:
    """Make all tables anew from the log, beside the ones that serve, and swap them in.

    Receiving and projecting go on meanwhile. Killed, it leaves the tables as they were; run it again.

    Example: projector rebuild --jobs 2
    """
    from projector import logs
    from projector.processes import collect_seldom
    from projector.rebuild import rebuild as make_anew

    logs.configure()
    collect_seldom()
    config = config_now()
    check_migrated(config)
    with progress_bar("rebuild") as progress:
        rebuilt = make_anew(config.database_url, jobs, progress)
    rate = rebuilt.position / rebuilt.seconds
    say({"position": rebuilt.position, "seconds": round(rebuilt.seconds, 1), "callbacks_per_second": round(rate), "jobs": jobs})


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def verify(as_json: bool) -> None:
    """Fold the log again in memory and compare it with every row of every table. Exit status 1 when one differs.

    The live loop may go on meanwhile.

    Example: projector verify --json
    """
    from projector import logs
    from projector.processes import collect_seldom
    from projector.verify import verify as compare

    logs.configure()
    collect_seldom()
    config = config_now()
    check_migrated(config)
    with progress_bar("verify") as progress:
        verdict = compare(config.database_url, progress)
    difference = verdict.difference._asdict() if verdict.difference else None
    found = {"position": verdict.position, "seconds": round(verdict.seconds, 1), "incomplete": verdict.incomplete}
    tables = {name: {"rows": rows, "hash": verdict.hashes[name]} for name, rows in verdict.rows.items()}
    answer({**found, "tables": tables, "difference": difference}, as_json=as_json)
    sys.exit(1 if difference or verdict.incomplete else 0)


for _command in COMMANDS:
    commands.add_command(_command)
