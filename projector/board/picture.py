"""What lasted, as a picture: a lane for each thing, a bar for each span. Where on the picture, and in which tone: the template draws it.

Widths are of a picture `WIDTH` wide, whatever it is shown on. Every bar says in words what it is, with the Sid of the callback behind it.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from projector.board.seen import Seen
from projector.board.words import duration, local
from projector.read.happening import Window
from projector.read.steps import Step, steps
from projector.rows import Row

WIDTH, LANE, GAP, AXIS = 1000, 22, 6, 18
TICKS_MS = tuple(60_000 * minutes for minutes in (1, 5, 15, 30, 60, 120, 360, 720, 1440, 4320, 10_080))
MOST_TICKS = 12
TONES = {"pending": "offered", "reserved": "offered", "accepted": "busy", "assigned": "busy", "wrapping": "wrapping"}
PALETTE = 6  # tones of activities and queues, in order of their names


class Bar(Struct, frozen=True):
    """A rectangle; `label` is written on it where there is room, `title` is what it says."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str
    label: str = ""
    link: str | None = None


class Lane(Struct, frozen=True):
    """A row of bars, named."""

    name: str
    y: float
    bars: list[Bar]


class Picture(Struct, frozen=True):
    """Lanes above an axis; `ticks`: where, and what time it is there."""

    height: float
    lanes: list[Lane]
    ticks: list[tuple[float, str]]


def of_worker(
    rows: Sequence[Row], channels: Mapping[str, str | None], tones: Mapping[str, str], window: Window, seen: Seen
) -> Picture:
    """Activities, one lane of load for each channel, and the reservations under them. `channels`: Sid → unique name; `tones`: of the
    workspace's activities, so that each has its own in every picture."""
    activities = [row for row in rows if row["kind"] == "activity"]
    offers = [row for row in rows if row["kind"] == "reservation"]
    lanes: list[tuple[str, list[Row]]] = [("Activity", activities)]
    drawn = _Drawing(window, seen, tones)
    for name, of in lanes:
        drawn.lane(name, of)
    for sid, found in steps(rows, window).items():
        drawn.load(channels.get(sid) or sid, found)
    for place, of in enumerate(_side_by_side(offers)):
        drawn.lane("Reservations" if place == 0 else "", of)
    return drawn.picture()


def of_task(rows: Sequence[Row], window: Window, seen: Seen) -> Picture:
    """Statuses, queues, and the reservations under them."""
    kinds: dict[str, list[Row]] = {"status": [], "queue": [], "reservation": []}
    for row in rows:
        kinds[row["kind"]].append(row)
    drawn = _Drawing(window, seen, tones_of(row["task_queue_name_now"] or row["task_queue_name"] for row in kinds["queue"]))
    drawn.lane("Status", kinds["status"])
    drawn.lane("Queue", kinds["queue"])
    for place, of in enumerate(_side_by_side(kinds["reservation"])):
        drawn.lane("Reservations" if place == 0 else "", of)
    return drawn.picture()


class _Drawing:
    """Draws lane under lane."""

    def __init__(self, window: Window, seen: Seen, tones: Mapping[str, str]) -> None:
        self._window, self._seen, self._tones = window, seen, tones
        self._lanes: list[Lane] = []

    def lane(self, name: str, rows: Iterable[Row]) -> None:
        """A lane of spans."""
        y = self._below()
        bars = [bar for row in rows if (bar := self._bar(row, y)) is not None]
        self._lanes.append(Lane(name, y, bars))

    def load(self, name: str, found: Iterable[Step]) -> None:
        """A lane of load: the higher, the more of the capacity; above it in another tone."""
        y = self._below()
        bars = []
        for step in found:
            capacity = step.capacity
            share = min(1.0, step.load / capacity) if capacity else 1.0
            x, width = self._across(step.started_ms, step.ended_ms)
            over = capacity is not None and step.load > capacity
            title = f"{name}: {step.load} of {'unknown' if capacity is None else capacity}, {self._when(step.started_ms, step.ended_ms)}"
            bars.append(Bar(x, y + LANE * (1 - share), width, LANE * share, "over" if over else "load", title))
        self._lanes.append(Lane(f"{name} load", y, bars))

    def picture(self) -> Picture:
        """All of it."""
        return Picture(self._below() + AXIS, self._lanes, self._ticks())

    def _below(self) -> float:
        return len(self._lanes) * (LANE + GAP)

    def _across(self, started_ms: int, ended_ms: int | None) -> tuple[float, float]:
        start_ms, end_ms = self._window
        left = max(start_ms, min(end_ms, started_ms))
        right = end_ms if ended_ms is None else max(left, min(end_ms, ended_ms))
        scale = WIDTH / (end_ms - start_ms)
        return round((left - start_ms) * scale, 2), round(max((right - left) * scale, 0.8), 2)

    def _bar(self, row: Row, y: float) -> Bar | None:
        if row["started_at"] > self._window.end_ms or (row["ended_at"] is not None and row["ended_at"] < self._window.start_ms):
            return None
        name = _name(row)
        x, width = self._across(row["started_at"], row["ended_at"])
        inferred = ", inferred" if row["inferred"] else ""
        outcome = f", {row['outcome']}" if row.get("outcome") else ""
        title = f"{name}{outcome}, {self._when(row['started_at'], row['ended_at'])}{inferred}, told by {row['event_sid'] or 'no callback'}"
        tone = TONES.get(row.get("status") or "") or self._tones.get(name, "plain")
        return Bar(x, y, width, LANE, tone, title, name if width > 9 * len(name) else "", self._link(row))

    def _link(self, row: Row) -> str | None:
        of = row.get("task_sid") if row["kind"] == "reservation" and row.get("task_sid") else row.get("worker_sid")
        return self._seen.of(of or row.get("task_queue_sid") or row["event_sid"])

    def _when(self, started_ms: int, ended_ms: int | None) -> str:
        if ended_ms is None:
            return f"since {self._seen.clock(started_ms)}"
        return f"{self._seen.clock(started_ms)} to {self._seen.clock(ended_ms)} ({duration(ended_ms - started_ms)})"

    def _ticks(self) -> list[tuple[float, str]]:
        """Full minutes, hours or days on the viewer's clocks."""
        start_ms, end_ms = self._window
        step = next((each for each in TICKS_MS if (end_ms - start_ms) / each <= MOST_TICKS), TICKS_MS[-1])
        midnight = self._seen.day().start_ms
        first = start_ms + (midnight - start_ms) % step
        return [(self._across(ms, ms)[0], self._tick(ms)) for ms in range(first, end_ms, step)]

    def _tick(self, ms: int) -> str:
        """The time of day; at midnight the date."""
        told = local(ms, self._seen.zone)
        return f"{told:%H:%M}" if told.hour or told.minute else f"{told:%b} {told.day}"


def _name(row: Row) -> str:
    match row["kind"]:
        case "activity":
            return str(row["activity_name_now"] or row["activity_name"] or row["activity_sid"])
        case "queue":
            return str(row["task_queue_name_now"] or row["task_queue_name"] or row["task_queue_sid"])
        case "reservation":
            return " ".join(str(each) for each in (row["status"], row.get("worker_name_now") or row.get("worker_name")) if each)
        case _:
            return str(row["status"])


def tones_of(names: Iterable[str | None]) -> dict[str, str]:
    """Each name's tone, among these."""
    return {name: f"tone{number % PALETTE}" for number, name in enumerate(sorted({name for name in names if name}))}


def _side_by_side(rows: Iterable[Row]) -> list[list[Row]]:
    """Lanes in which nothing overlaps: reservations at once lie under each other, all of one in the same lane."""
    of: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["started_at"]):
        of.setdefault(row["reservation_sid"], []).append(row)
    lanes: list[list[Row]] = []
    ends: list[float] = []
    for spans in of.values():
        ended = float("inf") if spans[-1]["ended_at"] is None else spans[-1]["ended_at"]
        place = next((place for place, end in enumerate(ends) if end <= spans[0]["started_at"]), len(lanes))
        if place == len(lanes):
            lanes.append([])
            ends.append(0)
        lanes[place] += spans
        ends[place] = ended
    return lanes
