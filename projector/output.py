"""How commands speak: JSON on a pipe, tables for a person, a progress bar on a terminal's standard error.

Rich is imported where there is a terminal to draw on: a script does not wait for it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click


def say(found: dict[str, Any], *, as_json: bool = False) -> None:
    """JSON for a pipe, a table for a person."""
    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps(found, indent=None if len(found) < 5 else 2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in found.items():
        shown = "\n".join(f"{key}  {count}" for key, count in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), shown or "–")
    Console(markup=False, emoji=False, highlight=False).print(table)  # names and attributes are people's text


def answer(found: dict[str, Any], *, as_json: bool) -> None:
    """An answer about a moment or a history: JSON for a pipe, nested tables for a person; its moments as text."""
    from projector.read.shown import headline, page, readable

    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps(readable(found), indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console, shown = Console(markup=False, emoji=False, highlight=False), readable(found)
    if sentence := headline(shown):
        console.print(sentence, style="bold")
    console.print(page(shown))


@contextmanager
def progress_bar(what: str, unit: str = "callbacks") -> Iterator[Callable[[int, int], None]]:
    """A progress bar with rate and time left on a terminal's standard error: call what it gives with (done, of how many)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    rate = TextColumn(f"{{task.fields[rate]}} {unit}/s")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        rate,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        shown = bar.add_task(what, total=None, rate="–")

        def show(done: int, of: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(shown, completed=done, total=of or None, rate=f"{speed:,.0f}" if speed else "–")

        yield show
