"""Figures as people read them."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING = "–"


def duration(ms: int | None) -> str:
    """Milliseconds as 0:07, 3:05, 1:02:05, 2 d 3:04:05."""
    if ms is None:
        return NOTHING
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours or days else f"{minutes}:{seconds:02d}"
    return f"{days} d {clock}" if days else clock


def percent(ratio: float | None) -> str:
    """0.8333 as 83 %; a half counts up, but not to all or from nothing. Nothing of nothing is a dash."""
    if ratio is None:
        return NOTHING
    rounded = int(ratio * 100 + 0.5)
    return f"{rounded if ratio in (0, 1) else max(1, min(99, rounded))} %"


def local(ms: int, zone: tzinfo) -> datetime:
    """A moment on the clocks of a zone."""
    return (_EPOCH + timedelta(milliseconds=ms)).astimezone(zone)


def clock(ms: int | None, zone: tzinfo, near_ms: int | None = None) -> str:
    """10:42:03; with the date before it, if `near_ms` is given and lies on another day."""
    if ms is None:
        return NOTHING
    told = local(ms, zone)
    same_day = near_ms is None or told.date() == local(near_ms, zone).date()
    return f"{told:%H:%M:%S}" if same_day else f"{told:%Y-%m-%d %H:%M:%S}"


def short(sid: str | None) -> str:
    """A Sid as far as a reader tells it from others: WT01522b…259d. The whole one stands beside it, in a title."""
    return NOTHING if sid is None else sid if len(sid) <= 13 else f"{sid[:8]}…{sid[-4:]}"


def event_type(name: str) -> str:
    """An EventType that may be anybody's text, at most so long as a line is."""
    return name if len(name) <= 60 else f"{name[:59]}…"
