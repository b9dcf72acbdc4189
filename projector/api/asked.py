"""What a request asks for: of whom, of which moment, and how an answer to it is sent."""

import re
import time
from collections.abc import Sequence

import sqlalchemy as sa
from flask import Response, g, jsonify, request

from projector import tables
from projector.api import paging
from projector.api.problems import Problem, invalid, not_found
from projector.api.shapes import Row, Setting, instant
from projector.api.store import Store
from projector.errors import Unanswerable
from projector.read.happening import Window
from projector.read.when import moment

ZONE_PLUS = re.compile(r" (\d\d:?\d\d)$")  # of 2026-03-01T10:42:00+01:00, where nobody wrote %2B
MINUTES, MINUTES_MAX = 15, 10 * 366 * 24 * 60  # of a window: when nothing is asked for, and at most


def readable_workspace(workspace_sid: str) -> str:
    """The workspace, which the key may read. Raises `Problem`."""
    if not g.key.may_read(workspace_sid):
        raise missing()
    return workspace_sid


def moment_asked(name: str) -> int | None:
    """A moment in the query, epoch milliseconds; None where there is none. Raises `Problem`."""
    text = request.args.get(name)
    if not text:
        return None
    try:
        return moment(ZONE_PLUS.sub(r"+\1", text))
    except Unanswerable as error:
        raise invalid(name, text, "a moment since 2000: ISO 8601 (2026-03-01T10:42:00Z) or epoch milliseconds") from error


def refuse_known_at() -> None:
    """Lists and figures are of many units, and as all is known: whoever asks otherwise is told so. Raises `Problem`."""
    if text := request.args.get("KnownAt"):
        raise invalid("KnownAt", text, "for one resource: lists and figures are as all is known")


def when() -> tuple[int | None, int | None]:
    """The moment asked for (`AsOf`, else `KnownAt`, else None: now), and until when what counts had arrived (None: all)."""
    known_ms = moment_asked("KnownAt")
    return moment_asked("AsOf") or known_ms, known_ms


def now_ms() -> int:
    """Now, epoch milliseconds."""
    return time.time_ns() // 1_000_000


def setting_of(store: Store, connection: sa.Connection, workspace_sid: str, at_ms: int) -> Setting:
    """What shapes have to know of a workspace."""
    return Setting(f"{root_url()}v1/Workspaces/{workspace_sid}", store.account_sid(connection, workspace_sid), at_ms)


def root_url() -> str:
    """Where we are, as whoever asks sees it: a proxy that ends TLS says so in `X-Forwarded-Proto`. It is only used to answer them."""
    scheme = request.headers.get("X-Forwarded-Proto", "")
    return f"{scheme}://{request.host}/" if scheme in ("http", "https") else request.url_root


def own_url() -> str:
    """The URL asked for, without its query, as whoever asks sees it."""
    return root_url() + request.path.lstrip("/")


def paged(name: str, key: str, asked: paging.Asked, page: paging.Page, rows: Sequence[Row]) -> Response:
    """A page as it is sent; `key`: what the page's own rows are in order of."""
    return jsonify({"meta": paging.meta(name, own_url(), request.args, asked, page, key), name: list(rows)})


def missing() -> Problem:
    """Nothing is there under the URL asked for."""
    return not_found(request.path.removeprefix("/v1"))


def refuse_unheard(connection: sa.Connection, workspace_sid: str) -> None:
    """What is asked of a workspace that nobody ever spoke of is not empty: its Sid is wrong. Raises `Problem`."""
    c = tables.workspace.c
    if connection.execute(sa.select(c.workspace_sid).where(c.workspace_sid == workspace_sid)).first() is None:
        raise missing()


def window_asked(at_ms: int, minutes_usual: int = MINUTES) -> Window:
    """The window of a query seen from a moment: `StartDate`, `EndDate`, `Minutes`. Raises `Problem`."""
    start_ms, end_ms, minutes = moment_asked("StartDate"), moment_asked("EndDate"), request.args.get("Minutes")
    if start_ms is not None and minutes:
        raise invalid("Minutes", minutes, "without StartDate: both say where the window begins")
    end_ms = at_ms if end_ms is None else end_ms
    if start_ms is None:
        start_ms = end_ms - 60_000 * paging.number_asked(request.args, "Minutes", minutes_usual, 1, MINUTES_MAX)
    if start_ms > end_ms:
        raise invalid("StartDate", request.args.get("StartDate", ""), f"a moment before the window's end, {instant(end_ms)}")
    return Window(start_ms, end_ms)
