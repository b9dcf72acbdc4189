"""The wallboard over a store, without a browser: its pages, and the figures that stand on them."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import unescape
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from sqlalchemy.engine import URL
from werkzeug.test import TestResponse

from projector.api.keys import Key, Keys
from projector.api.login import Login
from projector.api.store import Store
from projector.board import board
from projector.database import disposing, open_engine
from projector.log import Log, open_log
from projector.project import project
from projector.table_sink import TableSink
from tests.given import PUBLIC_URL, WORKSPACE, Parameters, arrived

_FIGURE = re.compile(r'data-figure="([a-z_]+)"[^>]*>(.*?)</(?:td|dd)>', re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class Board:
    """The pages, and the log and tables below them."""

    def __init__(self, log: Log, engine: Any, keys: tuple[Key, ...] | None, public_url: str = PUBLIC_URL) -> None:
        self.log, self.engine = log, engine
        self.app = Flask(__name__)
        login = None if keys == () else Login(Keys(keys or ()))  # None: no key is set, and it is not open
        pages, self.pulse = board(Store(engine, log), log, engine, login, public_url)
        self.app.register_blueprint(pages)
        self.web = self.app.test_client()

    def told(self, *callbacks: Parameters) -> "Board":
        """These arrive and are projected."""
        arrived(self.log, *callbacks)
        project(self.log, TableSink(self.engine))
        return self

    def get(self, path: str = "", key: Key | None = None, workspace: str = WORKSPACE, **query: str) -> TestResponse:
        """A page; `path` is below the workspace, or begins with `//` for the root."""
        url = path[1:] if path.startswith("//") else f"/workspaces/{workspace}{path}"
        return self.web.get(url, query_string=query or None, auth=(key.name, key.secret) if key else None)

    def page(self, path: str = "", **query: str) -> str:
        """The HTML of a page that is there."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.text


def text(html: str) -> str:
    """What is read of a piece of HTML."""
    return " ".join(unescape(_TAG.sub("", html)).split())


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def tags(html: str) -> list[tuple[str, dict[str, str]]]:
    """Every element of a page, as a browser finds it: its name and attributes."""
    parser = _Tags()
    parser.feed(html)
    return parser.found


def figures(html: str) -> dict[str, str]:
    """The figures of a piece of a page, by name, as they are read."""
    return {name: text(of) for name, of in _FIGURE.findall(html)}


def rows(html: str, of: str) -> dict[str, dict[str, str]]:
    """The figures of each row of a table: `rows(page, "queue")` by the queue's Sid."""
    found = re.findall(rf'<tr [^>]*data-{of}="([^"]*)"[^>]*>(.*?)</tr>', html, re.DOTALL)
    return {sid: figures(row) for sid, row in found}


@contextmanager
def board_over(url: URL, *keys: Key) -> Iterator[Board]:
    """The wallboard over this database: for these keys, or open."""
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        yield Board(log, engine, keys)
