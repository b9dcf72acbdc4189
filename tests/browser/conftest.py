"""A browser, pages that report what goes wrong in them, a running demo and a server of one's own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy.engine import URL

from projector import tables
from projector.database import database_url, disposing, open_engine
from projector.log import open_log
from projector.read.present import Present, present
from tests.harness import ROOT, Process, ending, free_port, wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
WATCH = """
window.wrongs = [];
addEventListener('securitypolicyviolation', (event) => wrongs.push('policy: ' + event.violatedDirective + ' ' + event.blockedURI));
addEventListener('error', (event) => wrongs.push('error: ' + event.message));
"""
SECONDS = 30.0  # before a page that does not come is a failure


class Looking:
    """A page, and whatever went wrong in it: scripts that are not ours, breaches of its policy, errors, dialogs."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.told: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(SECONDS * 1000)
        page.on("pageerror", lambda error: self.told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.told.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("request", lambda request: self.asked.append(request.url))

    def _heard(self, kind: str, text: str) -> None:
        # A server ended on purpose. htmx tells one failed request as two errors: afterRequest, then what it died of (sendError).
        away = ("Failed to load resource", "ERR_", "htmx:afterRequest", "htmx:sendError", "Response Status Error Code 503")
        if kind == "error" and not any(each in text for each in away):
            self.told.append(text)

    def wrongs(self) -> list[str]:
        """All of it."""
        return self.told + self.page.evaluate("window.wrongs || []")

    def text(self, selector: str) -> str:
        """What is read there."""
        return " ".join((self.page.locator(selector).first.text_content() or "").split())

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds; the browser goes on meanwhile."""
        wait_until(lambda: bool(self.page.wait_for_timeout(50)) or holds(), SECONDS)

    def says(self, words: str) -> None:
        """Wait until the status says so."""
        self.until(lambda: words in self.text("[data-status]"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: PROJECTOR_TEST_CHROMIUM, else the machine's. Without one the tests fail."""
    path = os.environ.get("PROJECTOR_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert path, "No Chromium is here. Install it (Debian: `apt-get install chromium`), or name one in PROJECTOR_TEST_CHROMIUM."
    with sync_playwright() as playwright, closing(playwright.chromium.launch(executable_path=path, args=QUIET)) as browser:
        yield browser


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Looking]]:
    """`look(url, color_scheme="dark")`: a page in a window of its own; at the end nothing may have gone wrong in any."""
    opened: list[tuple[BrowserContext, Looking]] = []

    def open_page(url: str, **how: Any) -> Looking:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "timezone_id": "UTC"} | how)
        context.add_init_script(WATCH)
        looking = Looking(context.new_page())
        opened.append((context, looking))
        looking.page.goto(url)
        return looking

    yield open_page
    wrongs = [wrong for _, looking in opened if not looking.page.is_closed() for wrong in looking.told]
    for context, _ in opened:
        context.close()
    assert wrongs == []


class Demo:
    """A running `projector demo`."""

    def __init__(self, url: str, database: URL) -> None:
        self.url, self.database = url, database

    @contextmanager
    def known(self) -> Iterator[Present]:
        """What its tables know now."""
        with (
            closing(open_log(self.database)) as log,
            disposing(open_engine(self.database)) as engine,
            present(engine, log) as now,
        ):
            yield now


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """The demo, as the README starts it, on another port; ended by Ctrl-C."""
    port = free_port()
    command = [sys.executable, "-m", "projector", "demo", "--port", str(port), "--for", "900", "--seed", "5"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    drain = threading.Thread(target=process.stdout.read, daemon=True)  # or it would wait for us once the pipe is full
    try:
        told = ""
        while (found := re.search(r"tables +(\S+)", told)) is None:
            line = process.stdout.readline()
            assert line, f"The demo ended: {told}"
            told += line
        demo = Demo(f"http://127.0.0.1:{port}", database_url(f"sqlite:///{found[1]}"))
        drain.start()
        wait_until(lambda: _tasks(demo) > 45, 120, every=0.5)
        yield demo
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        drain.join(30)
        process.stdout.close()


def _tasks(demo: Demo) -> int:
    with demo.known() as now:
        return int(now.today.execute(sa.select(sa.func.count()).select_from(tables.task)).scalar_one())


@pytest.fixture
def server(new_url: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """`projector serve` over an empty database, its board open."""
    monkeypatch.setenv("PROJECTOR_BOARD", "open")
    process = Process.serving(new_url("sqlite"))
    with ending(process):
        yield process.start().wait_alive()


@pytest.fixture
def address(server: Process) -> str:
    """Where it is."""
    return f"http://127.0.0.1:{server.port}"
