"""What a backfill found, as figures to be shown: how much was read, what was missing by hour and type, what asking took."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from projector.delivered import HOUR_MS
from projector.feeds.backfill import ELSEWHERE, Backfilled
from projector.feeds.twilio import Asked
from projector.tables import iso

HOURS_SHOWN, TYPES_SHOWN = 48, 5


def report(found: Mapping[str, Backfilled], asked: Iterable[Asked], *, dry_run: bool) -> dict[str, Any]:
    """One report of all workspaces: figures, `missing_by_type`, and `missing_by_hour`: hour → type → how many."""
    runs, asks = list(found.values()), list(asked)
    missing: Counter[tuple[int, str]] = sum((run.missing for run in runs), Counter())
    by_type: Counter[str] = Counter()
    by_hour: dict[str, dict[str, int]] = {}
    for (hour, event_type), times in sorted(missing.items()):
        if (hour, event_type) == ELSEWHERE:
            hour_at, event_type = "elsewhere", "elsewhere"
        else:
            hour_at = iso(hour * HOUR_MS)[: len("2026-03-01T10:00")] + "Z"
        by_type[event_type] += times
        by_hour.setdefault(hour_at, {})[event_type] = times
    return {
        "dry_run": dry_run,
        "finished": all(run.finished for run in runs),
        "workspaces": list(found),
        "resumed_at": {workspace: iso(run.resumed_at * 1000) for workspace, run in found.items() if run.resumed_at is not None},
        "read": sum(run.read for run in runs),
        "missing": missing.total(),
        "appended": 0 if dry_run else missing.total(),
        "duplicates": sum(run.duplicates for run in runs),
        "conflicts": sum(run.conflicts for run in runs),
        "quarantined": sum(run.quarantined for run in runs),
        "windows": sum(run.windows for run in runs),
        "pages": sum(run.pages for run in runs),
        "requests": sum(each.requests for each in asks),
        "too_many_requests": sum(each.too_many for each in asks),
        "waited_seconds": round(sum(each.waited_seconds for each in asks), 1),
        "cut_off_seconds": sum(run.cut_off for run in runs),
        "missing_by_type": dict(by_type.most_common()),
        "missing_by_hour": by_hour,
    }


def readable(report: dict[str, Any]) -> dict[str, Any]:
    """The report for a terminal: a line for each hour; the latest hours, and what was missing most."""
    hours: dict[str, dict[str, int]] = report["missing_by_hour"]
    latest = list(hours)[-HOURS_SHOWN:]
    lines = {f"… {len(hours) - len(latest)} hours before": "(--json shows them)"} if len(hours) > len(latest) else {}
    for hour in latest:
        types = Counter(hours[hour])
        most = [f"{event_type} {times}" for event_type, times in types.most_common(TYPES_SHOWN)]
        lines[hour] = f"{types.total()}: " + ", ".join(most + ["…"] * (len(types) > TYPES_SHOWN))
    return report | {"workspaces": ", ".join(report["workspaces"]), "missing_by_hour": lines}
