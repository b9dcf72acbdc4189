"""What came out: one JSON document with stable keys, and the same as a table for a person."""

from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tests.bench.cases import Failed, Measured
from tests.bench.figures import Spread, shown

FORMAT = 1  # of the document; a key that changes its meaning raises it
WIDTH = 190  # where there is no terminal to ask
STYLES = {"aim": "green", "must": "yellow", "below": "bold red", "failed": "bold red", "none": "dim"}


def document(about: dict[str, Any], measured: list[Measured], failed: list[Failed]) -> dict[str, Any]:
    """All of it. `about`: machine, versions, settings, sizes, and how the run was asked for."""
    return {
        "format": FORMAT,
        **about,
        "measures": [_as_json(each) for each in measured],
        "failures": [each._asdict() for each in failed],
    }


def _as_json(measured: Measured) -> dict[str, Any]:
    case = measured.case
    return {
        "id": case.id,
        "what": case.what,
        "against": case.against,
        "database": measured.database,
        "unit": case.unit,
        "smaller_is_better": case.smaller_is_better,
        "is_ratio": measured.theirs is not None,
        "figure": measured.figure._asdict(),
        "ours": measured.ours._asdict(),
        "theirs": measured.theirs._asdict() if measured.theirs else None,
        "must": case.must,
        "aim": case.aim,
        "verdict": measured.verdict,
        "rounds": [{"ours": each.ours, "theirs": each.theirs, "figure": each.figure} for each in measured.rounds],
        "details": dict(measured.details),
        "notes": list(measured.notes),
    }


def show(found: dict[str, Any]) -> None:
    """The document as a table on standard output."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(_drawn(found))


def _drawn(found: dict[str, Any]) -> Group:
    table = Table(
        "id",
        "measured",
        "against",
        "database",
        title="min / median / max over the rounds; the verdict is the median's",
        expand=False,
    )
    for name in ("ratio", "ours", "theirs", "must", "aim"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in found["measures"]:
        table.add_row(*_cells(row), Text(row["verdict"], STYLES[row["verdict"]]))
    for row in found["failures"]:
        table.add_row(
            row["id"], "not measured, see below", "", row["database"] or "–", *[""] * 5, Text("failed", STYLES["failed"])
        )
    notes = [_told(row, note) for row in found["measures"] for note in row["notes"]]
    problems = [_told(row, row["problem"]) for row in found["failures"]]
    return Group(*_about(found), table, *notes, *problems)


def quoted(found: dict[str, Any]) -> str:
    """The figures as the README quotes them: a line a measure, min / median / max on each database, in Markdown."""
    lines = ["| | measured | against | SQLite | PostgreSQL | must | aim |", "|---|---|---|---|---|---|---|"]
    seen: dict[str, dict[str | None, str]] = {}  # a line, its figures left open → database → figures
    for row in found["measures"]:
        if row["must"] is not None:
            cells = _cells(row)
            line = f"| {row['id']} | {cells[1]} | {cells[2]} | {{}} | {{}} | {cells[7]} | {cells[8]} |"
            seen.setdefault(line, {})[row["database"]] = _spread(row["figure"])
    for line, figures in seen.items():
        on = [figures.get(database) or figures.get(None) or "–" for database in ("sqlite", "postgresql")]
        lines.append(line.format(*on))
    return "\n".join(lines)


def _told(row: dict[str, Any], sentence: str) -> Text:
    where = f" on {row['database']}" if row["database"] else ""
    return Text(f"{row['id']}{where}: {sentence}")


def _cells(row: dict[str, Any]) -> list[str]:
    sign = "≤" if row["smaller_is_better"] else "≥"
    unit = "" if row["is_ratio"] else f" {row['unit']}"
    targets = ["–" if row[name] is None else f"{sign} {row[name]:g}{unit}" for name in ("must", "aim")]
    figure = _spread(row["figure"]) if row["is_ratio"] else "–"
    ours, theirs = (f"{_spread(row[name])} {row['unit']}" if row[name] else "–" for name in ("ours", "theirs"))
    return [row["id"], row["what"], row["against"], row["database"] or "–", figure, ours, theirs, *targets]


def _spread(figures: dict[str, float]) -> str:
    return " / ".join(shown(value) for value in Spread(**figures))


def _about(found: dict[str, Any]) -> list[Text]:
    machine = found["machine"]
    load = " ".join(str(each) for each in machine["load_average"])
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mib']:,} MiB, Linux {machine['kernel']}; load average {load}; "
        f"{machine['fdatasync_per_second']:,} fdatasync/s",
        ", ".join(f"{name} {number}" for name, number in found["versions"].items()),
        *(f"{database}: {_listed(settings)}" for database, settings in found["settings"].items()),
        f"{found['rounds']} rounds, {'small' if found['small'] else 'full'} sizes, callbacks of {found['mean_bytes']:,.0f} bytes on average, "
        f"{found['seconds']:,.0f} s in all",
    ]
    return [Text(line) for line in lines]


def _listed(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
