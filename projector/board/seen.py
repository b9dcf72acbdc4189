"""What a page is asked to show: which workspace, at which moment, as it was known when, on whose clocks. All of it is in the URL but the
clocks, which are the viewer's own: a link shows another viewer the same moment on theirs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct
from msgspec.structs import replace

from projector import tables
from projector.api.asked import ZONE_PLUS
from projector.board.words import clock, local
from projector.errors import Unanswerable
from projector.read.happening import Window
from projector.read.when import moment

ZONE_COOKIE = "zone"
UTC = ZoneInfo("UTC")
HOUR_MS = 3_600_000
KNOWABLE = ("/workers/", "/tasks/", "/reservations/")
PATHS = {"WK": "workers", "WT": "tasks", "WR": "reservations", "WQ": "queues", "EV": "callbacks"}


class Seen(Struct, frozen=True):
    """A page's point of view. `at_ms` is now while `live`; `known_ms` None: with all that is known."""

    now_ms: int
    zone: ZoneInfo
    workspace_sid: str = ""
    then_ms: int | None = None
    known_ms: int | None = None

    def of_all(self) -> "Seen":
        """The same of many units: they are shown as all is known."""
        return replace(self, known_ms=None)

    @property
    def live(self) -> bool:
        """Whether it follows the clock."""
        return self.then_ms is None

    @property
    def at_ms(self) -> int:
        """The moment shown."""
        return self.now_ms if self.then_ms is None else self.then_ms

    @property
    def query(self) -> dict[str, str]:
        """The point of view as a URL has it."""
        told = {"at": self.then_ms, "known": self.known_ms}
        return {name: tables.iso(ms) for name, ms in told.items() if ms is not None}

    def link(self, path: str, **more: str | int | None) -> str:
        """A URL within this workspace, seen from here. `more` goes into its query; None takes something out of it.

        What was known when goes only to pages of one worker or task: any other shows all that is known.
        """
        kept = self if path.startswith(KNOWABLE) else self.of_all()
        query = {name: value for name, value in (kept.query | more).items() if value not in (None, "")}
        return f"/workspaces/{self.workspace_sid}{path}" + (f"?{urlencode(query)}" if query else "")

    def of(self, sid: str | None) -> str | None:
        """Where the page of this worker, task, reservation, queue or callback is; None for what has none."""
        folder = PATHS.get((sid or "")[:2])
        return self.link(f"/{folder}/{quote(sid or '')}") if folder else None

    def clock(self, ms: int | None) -> str:
        """The time of day, with the date where that is another one than the moment's."""
        return clock(ms, self.zone, self.at_ms)

    def typed(self, ms: int) -> str:
        """A moment as an `<input type="datetime-local">` has it, on the viewer's clocks."""
        return f"{local(ms, self.zone):%Y-%m-%dT%H:%M:%S}"

    @staticmethod
    def iso(ms: int) -> str:
        """A moment for machines."""
        return tables.iso(ms)

    def stretch(self, start_ms: int, end_ms: int, sid: str | None = None, how: str = "") -> str:
        """This page, or the one of the queue `sid`, of a stretch of time; in the query, so that it can be added to where we are."""
        told = (
            self.query
            | {"from": tables.iso(start_ms), "until": tables.iso(min(end_ms, self.at_ms))}
            | ({"how": how} if how else {})
        )
        return f"{self._page(sid)}?{urlencode(told)}"

    def _page(self, sid: str | None) -> str:
        """Where the page of a queue is, whatever its Sid begins with; ours without one."""
        return f"/workspaces/{self.workspace_sid}/queues/{quote(sid)}" if sid else ""

    def full(self, ms: int) -> str:
        """The time with its date and zone: what a picture of the screen shows, too."""
        return f"{local(ms, self.zone):%Y-%m-%d %H:%M:%S} {self.zone.key}"

    def day(self) -> Window:
        """The day that the moment lies in, on the viewer's clocks: 23 to 25 hours."""
        midnight = local(self.at_ms, self.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        following = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=self.zone)
        return Window(_ms(midnight), _ms(following))

    def hours(self) -> list[Window]:
        """The hours of that day up to the moment, each full; the last one up to the moment itself."""
        start_ms = self.day().start_ms
        return [Window(ms, min(ms + HOUR_MS, self.at_ms)) for ms in range(start_ms, self.at_ms, HOUR_MS)]


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def zone_of(cookies: Mapping[str, str]) -> ZoneInfo:
    """The time zone the viewer's browser named; UTC where it named none, or none that there is."""
    try:
        return ZoneInfo(cookies.get(ZONE_COOKIE, "") or "UTC")
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return UTC


def moment_in(text: str, zone: ZoneInfo) -> int:
    """A moment as it was typed: without a zone it is on the viewer's clocks. Raises `Unanswerable`."""
    text = ZONE_PLUS.sub(r"+\1", text)
    if text.strip().isdecimal():
        return moment(text)
    try:
        told = datetime.fromisoformat(text.strip())
        return moment(text) if told.tzinfo else moment(told.replace(tzinfo=zone).isoformat())
    except (ValueError, OverflowError):
        return moment(text)


def is_told_here(text: str) -> bool:
    """Whether a moment was typed without a zone, so that it would be another one elsewhere."""
    if text.strip().isdecimal():
        return False
    try:
        return datetime.fromisoformat(text.strip()).tzinfo is None
    except ValueError:
        return False


def window_asked(told: Mapping[str, str], seen: Seen, usual_ms: int, longest_ms: int) -> Window:
    """The stretch a picture shows: `from` and `until` in the query, else so long before the moment. Raises `Unanswerable`."""
    until_ms = min(moment_in(told["until"], seen.zone), seen.at_ms) if told.get("until") else seen.at_ms
    start_ms = moment_in(told["from"], seen.zone) if told.get("from") else until_ms - usual_ms
    if not 0 < until_ms - start_ms <= longest_ms:
        raise Unanswerable(
            f"From {tables.iso(start_ms)} until {tables.iso(until_ms)} is no stretch that can be shown. "
            f"Begin before its end, at most {longest_ms // HOUR_MS // 24} days."
        )
    return Window(start_ms, until_ms)
