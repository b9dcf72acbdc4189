"""The commands about other feeds. As in `cli.py`: parse, call, say; modules are imported inside the commands."""

from contextlib import closing

import click

from projector.errors import Misconfigured
from projector.opening import check_start, config_now, tend_parent
from projector.output import say


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
        from projector.feeds.kinesis.record import Door
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
        counts = Consumer(opened, log, Door.of(config), from_start=from_start).run(stop, once=once)
    if once:
        say(counts)


COMMANDS: list[click.Command] = [consume]
