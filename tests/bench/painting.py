"""How long the wallboard takes to be seen: a week of 1,000 workers, a million callbacks. `python -m tests.bench.painting --help`.

First contentful paint in Chromium, from the click to the first figures, over loopback: each time a window of its own, nothing kept.
"""

import os
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

import click
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import URL

from tests.bench.databases import Databases
from tests.bench.figures import percentile
from tests.bench.reading import WEEK_MS, fill
from tests.harness import Process, ending

WORKERS = 1_000
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync")
AGO_SECONDS = {"now": 0, "an hour ago": 3_600, "three days ago": 3 * 86_400}
APART_SECONDS = 1.2  # or the second viewer is shown what was worked out for the first


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--on", "backends", multiple=True, type=click.Choice(("sqlite", "postgresql")), help="A database; both without.")
@click.option("--callbacks", default=1_000_000, show_default=True, type=click.IntRange(1_000))
@click.option("--looks", default=20, show_default=True, type=click.IntRange(2), help="Of each moment.")
def main(backends: tuple[str, ...], callbacks: int, looks: int) -> None:
    """Print milliseconds until the first paint, by moment: the very first look of a server, median and worst of the others."""
    table = Table(
        "moment", title=f"ms to the first paint, {callbacks:,} callbacks of {WORKERS} workers in a week, {looks} looks each"
    )
    os.environ |= {"PROJECTOR_BOARD": "open", "PROJECTOR_WEB_PROCESSES": "1"}
    found: dict[str, list[str]] = {name: [] for name in AGO_SECONDS}
    with tempfile.TemporaryDirectory(prefix="projector-bench-") as name, closing(Databases(Path(name))) as databases:
        for backend in backends or ("sqlite", "postgresql"):
            for title in ("first", "p50", "worst"):
                table.add_column(f"{backend}: {title}", justify="right")
            with databases.fresh(backend) as url:
                fill(url, callbacks, WORKERS, time.time_ns() // 1_000_000 - WEEK_MS)
                databases.rest(url)
                for moment, paints in measure(url, looks).items():
                    first, *others = paints
                    found[moment] += [f"{each:.0f}" for each in (first, percentile(others, 0.5), max(others))]
    for moment, row in found.items():
        table.add_row(moment, *row)
    Console(width=120).print(table)


def measure(url: URL, looks: int) -> dict[str, list[float]]:
    """Milliseconds of each look, by moment."""
    process, path = Process.serving(url), os.environ.get("PROJECTOR_TEST_CHROMIUM") or shutil.which("chromium")
    with ending(process), sync_playwright() as playwright:
        process.start().wait_alive()
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        address = f"http://127.0.0.1:{process.port}/"
        return {name: [_paint(browser, address, ago) for _ in range(looks)] for name, ago in AGO_SECONDS.items()}


def _paint(browser: Browser, address: str, ago_seconds: int) -> float:
    time.sleep(APART_SECONDS)
    at = time.strftime("?at=%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago_seconds)) if ago_seconds else ""
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(address + at)
        page.wait_for_selector("tr[data-worker]")
        seen = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        while (paint := page.evaluate(seen)) is None:
            page.wait_for_timeout(20)
        return float(paint)


if __name__ == "__main__":
    main()
