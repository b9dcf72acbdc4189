"""The pictures in docs/board, of a demo that has run for some minutes: `python -m tests.browser.pictures http://127.0.0.1:8080 docs/board`."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import NAMES, QUIET

SETTLED_MS = 2_500  # a page has told its time zone, and the stream has begun


def main(url: str, folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 240))
        shots: dict[str, tuple[str, Callable[[Page], None] | None, dict[str, Any]]] = {
            "light": ("/", None, {}),
            "dark": ("/", None, {"color_scheme": "dark"}),
            "narrow": ("/", None, {"viewport": {"width": 390, "height": 844}}),
            "time-travel": (f"/?at={past}", None, {}),
            "worker": ("/", _busiest_worker, {}),
        }
        for name, (where, go, how) in shots.items():
            _take(browser, url + where, go, how, folder / f"{name}.png")
        browser.close()


def _busiest_worker(page: Page) -> None:
    rows = page.locator("tr[data-worker]").all()
    busiest = max(rows, key=lambda row: row.locator(".offer").count())
    busiest.locator("th a").click()
    page.wait_for_timeout(SETTLED_MS)


def _take(browser: Browser, url: str, go: Callable[[Page], None] | None, how: dict[str, Any], path: Path) -> None:
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "timezone_id": "Europe/Berlin"} | how)
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(SETTLED_MS)
    if go is not None:
        go(page)
    page.screenshot(path=path)
    context.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
