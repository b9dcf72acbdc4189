"""import and export: the log as JSON Lines, one callback a line, through the same checks and the same append as the webhook.

A line is the parameters of a callback (`{"EventType": …, "Sid": …}`, values text), a document as `export` writes it
(`{"recorded_at": …, "source": …, "parameters": {…}}`), a CloudEvent of Event Streams, or an event of Twilio's Events API. Into an empty log a document keeps its receipt stamp and source, so that
an exported log imports to the same tables; otherwise arrival is now.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from projector.feeds.shape import Unreadable, from_event_streams, from_events_api
from projector.log import FEEDS, Entry, Log, Outcome, Rejected
from projector.log.admit import admit
from projector.taskrouter.text import LATEST_MS

BATCH = 2_000
LINE_MAX_BYTES = 1024 * 1024


class ExportedCallback(Struct, forbid_unknown_fields=True):
    """One line of an export."""

    recorded_at: Annotated[int, Meta(ge=0, le=LATEST_MS)]
    source: str
    parameters: dict[str, str]


class Imported(Struct):
    """What became of the lines, and the number and trouble of each that is not in the log."""

    outcomes: Counter[Outcome] = msgspec.field(default_factory=Counter)
    bad: list[tuple[int, str]] = msgspec.field(default_factory=list)


_exported = msgspec.json.Decoder(ExportedCallback)
_parameters = msgspec.json.Decoder(dict[str, str])
_any = msgspec.json.Decoder()


def import_lines(
    log: Log, lines: Iterable[bytes], workspaces: frozenset[str] = frozenset(), advance: Callable[[int], None] = lambda _: None
) -> Imported:
    """Append every readable line, in batches; `advance` is told the bytes done."""
    imported = Imported()
    with ThreadPoolExecutor(1, "appending") as writer:
        appending: Future[None] | None = None
        for batch in _batches(lines, workspaces, keep_receipts=log.end() == 0):
            if appending is not None:
                appending.result()
            appending = writer.submit(_append, log, batch, imported, advance)  # a server works on it while the next is read
        if appending is not None:
            appending.result()
    return imported


class Batch(NamedTuple):
    """Lines on their way into the log: what could be read of them, what could not and why, by number; their bytes."""

    read: list[tuple[int, Entry | Rejected]]
    bad: list[tuple[int, str]]
    size: int


def _batches(lines: Iterable[bytes], workspaces: frozenset[str], keep_receipts: bool) -> Iterator[Batch]:
    numbered = enumerate(lines, start=1)
    while some := list(islice(numbered, BATCH)):
        batch = Batch([], [], sum(len(line) for _, line in some))
        for number, line in some:
            if not line.strip():
                continue
            arrival = _arrival(line, workspaces, keep_receipts)
            if isinstance(arrival, str):
                batch.bad.append((number, arrival))
            else:
                batch.read.append((number, arrival))
        yield batch


def _append(log: Log, batch: Batch, imported: Imported, advance: Callable[[int], None]) -> None:
    imported.bad += batch.bad
    outcomes = log.append([arrival for _, arrival in batch.read]) if batch.read else []
    for (number, arrival), outcome in zip(batch.read, outcomes, strict=True):
        imported.outcomes[outcome] += 1
        if outcome is Outcome.CONFLICT:
            imported.bad.append((number, "quarantined: its Sid is stored with other content"))
        elif isinstance(arrival, Rejected):
            imported.bad.append((number, f"quarantined: {arrival.reason}"))
    advance(batch.size)


def export_lines(log: Log) -> Iterator[bytes]:
    """Every stored document, in order of arrival, each with a line feed."""
    position, end = 0, log.end()
    while stored := log.read(position, BATCH, end):
        for row in stored:
            yield row.state + b"\n"
        position = stored[-1].position


def _arrival(line: bytes, workspaces: frozenset[str], keep_receipts: bool) -> Entry | Rejected | str:
    """What a line holds, or in words why it cannot be taken."""
    if len(line) > LINE_MAX_BYTES:
        return f"longer than {LINE_MAX_BYTES} bytes"
    try:
        parameters, source, recorded_ms = _read(line, keep_receipts)
    except Unreadable as error:
        return f"not an event of a feed ({error})"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"not a JSON object of text values ({error})" if isinstance(error, msgspec.ValidationError) else "not JSON"
    if not parameters.get("EventType"):
        return "no EventType"
    if workspaces and parameters.get("WorkspaceSid") not in workspaces:
        return "its workspace is not in PROJECTOR_WORKSPACES"
    return admit(parameters, source, recorded_ms=recorded_ms)


def _read(line: bytes, keep_receipts: bool) -> tuple[dict[str, str], str, int | None]:
    try:
        return _parameters.decode(line), "import", None
    except msgspec.ValidationError:
        if b'"parameters"' not in line and b'"payload"' not in line and b'"event_data"' not in line:
            raise
    try:
        exported = _exported.decode(line)
    except msgspec.ValidationError:
        document = _any.decode(line)
        if "event_data" in document:
            return from_events_api(document), "import", None
        if "parameters" in document:
            raise
        return from_event_streams(document), "import", None
    if keep_receipts and exported.source in FEEDS:
        return exported.parameters, exported.source, exported.recorded_at
    return exported.parameters, "import", None
