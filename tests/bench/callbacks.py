"""What is posted, appended and imported: the simulated floor's callbacks, generated once, as the lines of an export."""

import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

import msgspec

from projector.floor.center import START_MS, Floor
from projector.floor.delivery import Sent, deliveries, sign
from projector.log import Entry
from projector.taskrouter.callback import TextDocument

SEED, WORKERS, PER_SECOND = 1, 200, 40.0
SAMPLE = 5_000
TOKEN, PUBLIC_URL = "token of the benchmarks", "https://callbacks.example.com/callbacks"
LATE, LATE_MS_MAX = 0.05, 30_000  # of P4b; everywhere else 5 % are up to 300 ms late, which is routine
VETERAN = "WK" + "f" * 32
VETERAN_EVERY_MS = 1_000


document = msgspec.json.Decoder(TextDocument).decode  # one line of an export, which is what the log stores of a callback


class Callbacks:
    """The floor's first callbacks, in a file that grows as more of them are asked for. None is delivered twice."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "callbacks.jsonl"
        self._coming = deliveries(Floor(SEED, WORKERS, PER_SECOND).callbacks(), SEED, duplicates=0.0)
        self._written = self._bytes = 0
        self._requests: list[bytes] = []

    def mean_bytes(self) -> float:
        """The mean size of a document as the log stores it, over those that were asked for, and some thousand at least."""
        self._grow(SAMPLE)
        return self._bytes / self._written

    @contextmanager
    def lines(self, count: int) -> Iterator[Iterator[bytes]]:
        """The first so many, a JSON document a line, read from the file."""
        self._grow(count)
        with self._path.open("rb") as file:
            yield islice(file, count)

    def entries(self, count: int) -> list[Entry]:
        """The first so many, ready to be appended."""
        with self.lines(count) as lines:
            return [Entry.of(each.parameters, each.source, each.recorded_at) for each in map(document, lines)]

    def requests(self, count: int) -> list[bytes]:
        """The first so many as HTTP requests, each signed by Twilio's own code."""
        if len(self._requests) < count:
            with self.lines(count) as lines:
                more = islice(lines, len(self._requests), None)
                self._requests += [request(document(line).parameters) for line in more]
        return self._requests[:count]

    def _grow(self, count: int) -> None:
        with self._path.open("ab") as file:
            written = _write(file, islice(self._coming, max(0, count - self._written)))
            self._written += written
            self._bytes = file.tell() - self._written


def request(parameters: dict[str, str]) -> bytes:
    """A callback as Twilio posts it, whole."""
    body = urlencode(parameters).encode()
    head = (
        "POST /callbacks HTTP/1.1\r\n"
        "Host: callbacks.example.com\r\n"
        "User-Agent: TwilioProxy/1.1\r\n"
        "Accept: */*\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"X-Twilio-Signature: {sign(PUBLIC_URL, parameters, TOKEN)}\r\n"
        f"I-Twilio-Idempotency-Token: {parameters['Sid']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def write_with_veteran(path: Path, callbacks: int, before: int, within: int) -> None:
    """The lines of P4b: a worker's `before` callbacks, then the floor's, with `within` more of that worker among them, 5 % late."""
    floor = Floor(SEED, WORKERS, PER_SECOND)
    mould = next(said for _, said in floor.callbacks() if said["EventType"] == "worker.activity.update")
    every_ms = int(callbacks / PER_SECOND * 1000) // within  # in full a second, as before
    earlier = [START_MS - VETERAN_EVERY_MS * n for n in range(before, 0, -1)]
    later = [START_MS + every_ms * n for n in range(within)]
    veteran = _veteran(mould, earlier + later)
    with path.open("wb") as file:
        _write(file, islice(veteran, before))
        mixed = heapq.merge(islice(floor.callbacks(), callbacks), veteran, key=_sent_at)
        _write(file, deliveries(mixed, SEED, duplicates=0.0, late=LATE, late_ms_max=LATE_MS_MAX))


def _veteran(mould: dict[str, str], stamps_ms: list[int]) -> Iterator[Sent]:
    """A worker who goes from one activity to another and back, all the time; the rest as the floor says it of a worker."""
    activities = [(mould[f"{which}Sid"], mould[f"{which}Name"]) for which in ("WorkerActivity", "WorkerPreviousActivity")]
    last_ms = stamps_ms[0] - VETERAN_EVERY_MS
    for number, at_ms in enumerate(stamps_ms):
        (sid, name), (previous_sid, previous_name) = activities[number % 2], activities[(number + 1) % 2]
        yield (
            at_ms,
            mould
            | {
                "Sid": f"EV{0xFACE:08x}{number:024x}",
                "Timestamp": str(at_ms // 1000),
                "TimestampMs": str(at_ms),
                "EventDescription": f"Worker veteran updated to {name} Activity",
                "ResourceSid": VETERAN,
                "WorkerSid": VETERAN,
                "WorkerName": "veteran",
                "WorkerVersion": str(number + 1),
                "WorkerActivitySid": sid,
                "WorkerActivityName": name,
                "WorkerPreviousActivitySid": previous_sid,
                "WorkerPreviousActivityName": previous_name,
                "WorkerTimeInPreviousActivity": str((at_ms - last_ms) // 1000),
                "WorkerTimeInPreviousActivityMs": str(at_ms - last_ms),
            },
        )
        last_ms = at_ms


def _sent_at(sent: Sent) -> int:
    return sent[0]


def _write(file: IO[bytes], callbacks: Iterable[Sent]) -> int:
    """Append these as the log would store and export them; how many."""
    count = 0
    for at_ms, parameters in callbacks:
        file.write(b'{"recorded_at":%d,"source":"callback","parameters":%s}\n' % (at_ms, msgspec.json.encode(parameters)))
        count += 1
    return count
