"""The commands about other feeds. As in `cli.py`: parse, call, say; modules are imported inside the commands."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import click

from projector.errors import Misconfigured, ProjectorError, TwilioRefused, Unanswerable
from projector.opening import check_migrated, check_start, config_now, stores, tend_parent
from projector.output import progress_bar, say

if TYPE_CHECKING:  # commands import what they need when they run
    from sqlalchemy import Connection

    from projector.feeds.twilio import Twilio
    from projector.log import Log

KINDS = ("worker", "task", "reservation", "activity", "task_queue", "workflow", "task_channel")

_asked_of = click.option(
    "--workspace", metavar="WS…", help="One alone; by default those of PROJECTOR_WORKSPACES, else all there are keys for."
)


def _each(places: "list[tuple[Twilio, str]]", ask: Callable[["Twilio", str], None]) -> ProjectorError | None:
    """Ask of each workspace; the first trouble. One that is refused keeps nothing from the others."""
    trouble: ProjectorError | None = None
    for account, sid in places:
        try:
            ask(account, sid)
        except ProjectorError as error:
            trouble = trouble or error
            if not isinstance(error, TwilioRefused):
                break
    return trouble


@click.command()
@click.option("--since", metavar="TIME", help="From when on; by default 30 days ago, which is all that Twilio keeps.")
@click.option("--until", metavar="TIME", help="Up to when; by default now.")
@_asked_of
@click.option("--dry-run", is_flag=True, help="Say what is missing and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def backfill(since: str | None, until: str | None, workspace: str | None, dry_run: bool, as_json: bool) -> None:
    """Append the events that Twilio has and the log has not, and say how many were missing, by hour and type.

    Receiving and projecting go on meanwhile. Ended at any moment, it goes on from there when it is run again. TIME is ISO 8601 (without
    a zone: UTC) or epoch milliseconds. Exit status 1 when it was stopped, or Twilio did not show all of some second.

    Example: projector backfill --since 2026-03-01 --dry-run
    """
    from projector import logs
    from projector.feeds import backfill as feed
    from projector.feeds.losses import readable, report
    from projector.feeds.twilio import open_twilio, workspaces_of
    from projector.log import open_log
    from projector.processes import stop_on_signals
    from projector.read.when import moment

    logs.configure()
    config, now_ms, stop = config_now(), time.time_ns() // 1_000_000, stop_on_signals()
    since_ms = moment(since) if since is not None else now_ms - feed.KEPT_SECONDS * 1000
    until_ms = moment(until) if until is not None else now_ms + feed.SKEW_SECONDS * 1000
    if since_ms >= until_ms:
        if until is None:
            raise Unanswerable(f"--since {since} is in the future. Name an earlier moment.")
        raise Unanswerable(f"--since {since or '30 days ago'} is not before --until {until}. Turn them round.")
    if until_ms <= now_ms - feed.KEPT_SECONDS * 1000:
        raise Unanswerable(f"--until {until} is more than 30 days ago, which is all that Twilio keeps. Name a later moment.")
    accounts = open_twilio(config, stop)
    check_migrated(config)
    places = workspaces_of(accounts, config.workspaces, workspace)
    found = {sid: feed.Backfilled() for _, sid in places}
    with progress_bar("backfill", "seconds of history") as progress, closing(open_log(config.database_url)) as log:

        def read(account: "Twilio", sid: str) -> None:
            before = list(found).index(sid)
            feed.backfill(
                log, account, sid, since_ms, until_ms, lambda done, of: progress(before * of + done, len(places) * of), stop,
                dry_run=dry_run, found=found[sid],
            )  # fmt: skip

        trouble = _each(places, read)
    said = report(found, [account.asked for account in accounts], dry_run=dry_run)
    say(readable(said) if sys.stdout.isatty() and not as_json else said, as_json=as_json)
    if trouble is not None and not stop.is_set():
        raise trouble
    sys.exit(0 if said["finished"] and not said["cut_off_seconds"] else 1)


@click.command()
@_asked_of
@click.option("--dry-run", is_flag=True, help="Say what would be new and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def adopt(workspace: str | None, dry_run: bool, as_json: bool) -> None:
    """Take in how things stand at Twilio now, so that the tables are right before the first callback.

    Workers with activity and channels, live tasks with reservations, queues, activities and the rest, as observations in the log.
    Receiving and projecting go on meanwhile. Run it whenever you like: what is known already is a duplicate. Exit status 1 when it was stopped,
    or when nothing of what Twilio showed could be read.

    Example: projector adopt --dry-run
    """
    from projector import logs
    from projector.feeds import adopt as feed
    from projector.feeds.twilio import open_twilio, workspaces_of
    from projector.log import open_log
    from projector.processes import stop_on_signals

    logs.configure()
    config, stop = config_now(), stop_on_signals()
    accounts = open_twilio(config, stop)
    check_migrated(config)
    adopted = feed.Adopted()
    with progress_bar("adopt", "resources") as progress, closing(open_log(config.database_url)) as log:

        def take(account: "Twilio", sid: str) -> None:
            feed.adopt(log, account, sid, stop, lambda done: progress(done, 0), is_dry=dry_run, adopted=adopted)

        trouble = _each(workspaces_of(accounts, config.workspaces, workspace), take)
    said = {
        "shown": dict(adopted.shown),
        "would_append" if dry_run else "appended": adopted.outcomes["stored"],
        "known": adopted.outcomes["duplicate"],
        "quarantined": adopted.outcomes["conflict"] + adopted.outcomes["quarantined"],
        "unreadable": dict(adopted.unreadable),
        "changing_too_often": adopted.restless,
        "requests": sum(account.asked.requests for account in accounts),
    }
    say(said, as_json=as_json)
    if trouble is not None and not stop.is_set():
        raise trouble
    is_unread = bool(adopted.unreadable) and not adopted.outcomes
    sys.exit(1 if stop.is_set() or is_unread else 0)


@click.group()
def consume() -> None:
    """Read callbacks from a stream that Twilio writes into.

    Example: projector consume kinesis twilio-events --region us-east-1
    """


@consume.command()
@click.argument("stream")
@click.option("--region", help="The stream's; by default what AWS_REGION or the profile says.")
@click.option("--endpoint-url", help="Another Kinesis than AWS's, for tests.")
@click.option("--from-start", is_flag=True, help="Read all that the stream still holds, whatever was read before.")
@click.option("--once", is_flag=True, help="Stop when all is read that the stream holds now.")
def kinesis(stream: str, region: str | None, endpoint_url: str | None, from_start: bool, once: bool) -> None:
    """Append what an Event Streams sink writes into the Kinesis stream STREAM, for ever. Credentials are those of AWS's default chain.

    It goes on where it stopped: where each shard was read to is stored with what was read.

    Example: projector consume kinesis twilio-events --region us-east-1
    """
    try:
        from projector.feeds.kinesis.consume import READERS, Consumer
        from projector.feeds.kinesis.record import door_of
        from projector.feeds.kinesis.stream import open_stream
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        raise Misconfigured(
            "Reading from Kinesis needs boto3, which is not installed. Run pip install 'taskrouter-projector[kinesis]'."
        ) from error
    from projector import logs
    from projector.log import open_log
    from projector.processes import stop_on_signals

    stop = stop_on_signals()
    tend_parent()
    logs.configure()
    config = config_now()
    check_start(config, web=False)
    with closing(open_stream(stream, region, endpoint_url, READERS)) as opened, closing(open_log(config.database_url)) as log:
        counts = Consumer(opened, log, door_of(config), from_start=from_start).run(stop, once=once)
    if once:
        say(counts)


def _waiting(log: "Log", connection: "Connection") -> dict[str, int]:
    """How many callbacks are not projected yet, where there are any: an answer from the tables does not know of them."""
    from projector.access import projected

    behind = log.end() - projected(connection).position
    return {"lag_events": behind} if behind > 0 else {}


@click.command()
@click.option("--workspace", metavar="WS…", help="One alone.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="Of one kind: worker, task or reservation; of hints also activity, task_queue, workflow, task_channel.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="What was revealed since then alone. (Offers are held against their workers' activities for a day without.)",
)
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="So many of each at most; the counts are of all.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def gaps(workspace: str | None, kind: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """What must have happened and is not here, by why that is believed, with the callback that reveals it; hints last.

    `projector backfill` may find it: what it brings is missing no more.

    Example: projector gaps --limit 10
    """
    from projector.access import reading
    from projector.output import answer
    from projector.read.find import check_workspace
    from projector.read.gaps import ledger
    from projector.read.when import moment

    with stores() as (log, engine), reading(engine) as connection:
        check_workspace(connection, workspace)
        since_ms = None if since is None else moment(since)
        waiting = _waiting(log, connection)
        found = ledger(connection, limit=limit, workspace_sid=workspace, kind=kind, since_ms=since_ms)
    answer(waiting | found | ({"next": "projector backfill"} if found["missing"] else {}), as_json=as_json)


@click.command()
@click.option(
    "--factor",
    default=3.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True, max=1e9),
    help="So many times as long as 99 of 100 of its kind.",
)
@click.option("--workspace", metavar="WS…", help="One alone.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="So many at most.")
@click.option("--ask", is_flag=True, help="Say what Twilio shows of each now.")
@click.option("--json", "as_json", is_flag=True, help="JSON even on a terminal.")
def stuck(factor: float, workspace: str | None, limit: int, ask: bool, as_json: bool) -> None:
    """Tasks and reservations that are open far longer than their kind usually is, with the last callback of each.

    Their end may have been lost, or somebody forgot them. Nothing is closed here.

    Example: projector stuck --factor 5 --ask
    """
    from projector.access import reading
    from projector.output import answer
    from projector.read.find import check_workspace
    from projector.read.stuck import stuck as open_for_long

    with stores() as (log, engine), reading(engine) as connection:
        check_workspace(connection, workspace)
        waiting, found = _waiting(log, connection), open_for_long(connection, log, factor, workspace, limit)
    if ask and found:
        from projector import logs
        from projector.feeds.shown import shown

        logs.configure()  # it may have to ask again, and says so
        found = shown(config_now(), found)
    answer(waiting | {"factor": factor, "stuck": found}, as_json=as_json)


COMMANDS: list[click.Command] = [consume, backfill, adopt, gaps, stuck]
