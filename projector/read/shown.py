"""An answer for people: moments as text, and on a terminal a page of lines in which no Sid is cut."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from projector import tables

MOMENTS = ("at", "since", "until")


def readable(value: Any, name: str = "") -> Any:
    """The answer with its moments as ISO 8601 in UTC."""
    match value:
        case dict():
            return {key: readable(item, key) for key, item in value.items()}
        case list():
            return [readable(item, name) for item in value]
        case int() if not isinstance(value, bool) and (name in MOMENTS or name.endswith(("_at", "_since"))):
            return tables.iso(value)
        case _:
            return value


def headline(answer: dict[str, Any]) -> str | None:
    """A readable answer about a moment, or that nothing is stuck or missing, in a sentence; None for what has none."""
    if answer.get("stuck") == []:
        return f"Nothing is open for more than {answer['factor']:g} times as long as usual{_but(answer)}."
    if answer.get("gaps") == [] and "missing" in answer:
        return f"Nothing is believed missing{_but(answer)}."
    if not answer.get("exists", False):
        return None
    match answer.get("kind"):
        case "worker":
            activity = answer["activity"] or {}
            doing = (
                f"was in {activity['activity_name'] or activity['activity_sid']} since {activity['since']}"
                if activity
                else "was in no activity known"
            )
            offers = ", ".join(f"{offer['task_sid']} {offer['status']}" for offer in answer["reservations"])
            return f"{answer['worker_name'] or answer['worker_sid']} {doing}; {offers or 'no task'}"
        case "task":
            queue = answer["queue"] or {}
            waiting = (
                f", waiting in {queue['task_queue_name'] or queue['task_queue_sid']} since {queue['since']}"
                if queue.get("waiting")
                else ""
            )
            return f"{answer['task_sid']} was {answer['status'] or 'in no status known'} since {answer['since']}{waiting}"
        case "reservation":
            return f"{answer['reservation_sid']} was {answer['status']} since {answer['since']}, with {answer['worker_name'] or answer['worker_sid']}"
        case _:
            return None


def _but(answer: dict[str, Any]) -> str:
    waiting = answer.get("lag_events")
    return f", but for callbacks that are not projected yet: {waiting:,}" if waiting else ""


def page(answer: dict[str, Any]) -> Table:
    """A readable answer: a line for each value that is known, what is nested set in; a name of today only where it is another one."""
    lines = Table(show_header=False, box=None, pad_edge=False)
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, value in _told(answer).items():
        lines.add_row(name, _cell(value))
    return lines


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, [], {}) and not _repeats(row, name)}


def _repeats(row: dict[str, Any], name: str) -> bool:
    return name.endswith("_now") and row[name] == row.get(name.removesuffix("_now"))


def _cell(value: Any) -> RenderableType:
    match value:
        case dict():
            return page(value)
        case [dict(), *_]:
            return Group(*(_item(item) for item in value))
        case [old, new]:
            return f"{_text(old)} → {_text(new)}"
        case _:
            return _text(value)


def _item(row: dict[str, Any]) -> RenderableType:
    """One of several: its plain values run on, what is nested in it stands below."""
    told = _told(row)
    nested = {name: value for name, value in told.items() if isinstance(value, dict | list)}
    plain = Text("• ") + Text(" · ").join(
        Text.assemble((name, "dim"), " ", _text(value)) for name, value in told.items() if name not in nested
    )
    return Group(plain, page(nested)) if nested else plain


def _text(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
