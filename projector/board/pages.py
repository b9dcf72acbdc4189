"""The URLs of the wallboard, and the page for each."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

import sqlalchemy as sa
from flask import Blueprint, Response, g, redirect, render_template, request
from msgspec.structs import replace
from werkzeug.wrappers import Response as AnyResponse

from projector import tables
from projector.access import projected, reading
from projector.api.keys import Key
from projector.api.login import Login
from projector.api.problems import Problem
from projector.api.store import Store
from projector.board import show, words
from projector.board.seen import Seen, is_told_here, moment_in, zone_of
from projector.board.shared import Shared
from projector.board.stream import Pulse, serve_stream
from projector.errors import ProjectorError, Unanswerable
from projector.log import Log

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MOMENTS = ("at", "known", "from", "until")  # of a query
KNOWABLE = ("worker", "task", "reservation")  # pages that can be shown as it was known then: of one unit
EVERYBODY = Key("", "")  # whose key nobody asks for: the board is open
Show: TypeAlias = Callable[..., dict[str, Any]]  # store, log, seen, what the URL names → what the template is told


class Missing(Exception):
    """There is no such page; the sentence says why."""


class Closed(Exception):
    """Nobody may look: no key is set, and the board is not open."""


def board(store: Store, log: Log, engine: sa.Engine, login: Login | None, public_url: str) -> tuple[Blueprint, Pulse]:
    """The pages over these tables and this log; without `login` they are everybody's. And the pulse of their streams, to be closed at the end."""
    pages = Blueprint("board", __name__, template_folder="templates", static_folder="static", static_url_path="/board/static")
    shared, pulse = Shared(), Pulse(partial(_position, engine))
    pages.before_request(partial(_enter, login))
    pages.after_request(_guarded)
    for filter_ in (words.duration, words.percent, words.short, words.event_type):
        pages.add_app_template_filter(filter_)
    serve_stream(pages, pulse)

    @pages.get("/", endpoint="first")
    @pages.get("/workspaces/<workspace_sid>", endpoint="wallboard")
    def wallboard(workspace_sid: str = "") -> AnyResponse:
        there = _workspaces(store)
        sid = workspace_sid or next(iter(there), "")
        if not sid:
            return _answer(render_template("board/empty.html", public_url=_shown(public_url), seen=_seen(""), workspaces={}))
        return _page("wallboard", sid, lambda seen: show.wallboard(store, log, seen, request.args))

    def serve(path: str, name: str, make: Show) -> None:
        @pages.get(f"/workspaces/<workspace_sid>/{path}/<sid>", endpoint=name)
        def one(workspace_sid: str, sid: str) -> AnyResponse:
            return _page(name, workspace_sid, lambda seen: make(store, log, seen, sid, request.args))

    def _page(name: str, workspace_sid: str, make: Callable[[Seen], dict[str, Any]]) -> AnyResponse:
        there = _workspaces(store)
        if workspace_sid not in there:
            raise Missing(f"No workspace {workspace_sid} is here, or your key may not read it. The board of what is here: /")
        seen = _seen(workspace_sid) if name in KNOWABLE else _seen(workspace_sid).of_all()
        if (elsewhere := _told_for_all(seen)) is not None:
            return elsewhere
        bare = request.headers.get("HX-Request") == "true"
        asked = (request.full_path, seen.zone.key, g.viewer.name, bare)

        def render() -> str:
            told = make(seen)
            if told.get("missing"):
                raise Missing(told["missing"])
            told |= {
                "bare": bare,
                "workspaces": {sid: name for sid, (name, _) in there.items()},
                "began_ms": there[workspace_sid][1],
            }
            told |= {"seen": seen, "knowable": name in KNOWABLE, "asked": request.args, "live_link": _live_link()}
            return render_template(f"board/{name}.html", **told)

        return _answer(shared.get(asked, render))

    serve("workers", "worker", show.worker)
    serve("tasks", "task", show.task)
    serve("reservations", "reservation", show.reservation)
    serve("queues", "queue", show.queue)
    serve("callbacks", "callback", show.callback)
    _refuse(pages)
    return pages, pulse


def _enter(login: Login | None) -> None:
    """Who looks: whoever has a key, or everybody. Raises `Problem`."""
    if request.endpoint == "board.static":
        return
    if login is not None and login.nobody:
        raise Closed
    g.viewer = EVERYBODY if login is None else login.key()
    if "\0" in request.path or any("\0" in text for text in request.args.values()):
        raise Missing("There is no page with NUL in its address.")


def _guarded(response: Response) -> Response:
    """No script but ours, nothing from elsewhere, kept by nobody in between."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "board.static":
        response.headers["Cache-Control"] = "private, no-store"
    return response


def _position(engine: sa.Engine) -> int:
    with reading(engine) as connection:
        return int(projected(connection).position)


def _workspaces(store: Store) -> dict[str, tuple[str, int]]:
    """Sid → name and when it was first heard of, of those that the viewer may see, the oldest before the others."""
    c = tables.workspace.c
    told = (
        sa.select(c.workspace_sid, c.friendly_name, c.first_seen_at)
        .where(c.deleted_at.is_(None))
        .order_by(c.first_seen_at, c.workspace_sid)
    )
    with store.looking() as connection:
        rows = connection.execute(told).all()
    return {sid: (name or sid, began_ms) for sid, name, began_ms in rows if g.viewer.may_read(sid)}


def _seen(workspace_sid: str) -> Seen:
    """The point of view asked for. What is still to come is now; what was known then is looked at then, if no other moment is asked for.
    Raises `Unanswerable`."""
    seen = Seen(time.time_ns() // 1_000_000, zone_of(request.cookies), workspace_sid)
    told = {name: moment_in(request.args[name], seen.zone) for name in ("at", "known") if request.args.get(name)}
    told = {name: ms for name, ms in told.items() if ms < seen.now_ms}
    then_ms, known_ms = told.get("at"), told.get("known")
    return replace(seen, then_ms=known_ms if then_ms is None else then_ms, known_ms=known_ms)


def _told_for_all(seen: Seen) -> AnyResponse | None:
    """The same page under a URL that means the same moment to everybody, when one was typed on the viewer's clocks, and that is live when
    it is: an empty field of a form, or a moment to come, is none."""
    asked = request.args.to_dict()
    typed = {name: moment_in(asked[name], seen.zone) for name in MOMENTS if is_told_here(asked.get(name, ""))}
    query = asked | {name: tables.iso(ms) for name, ms in typed.items()}
    for name in MOMENTS:
        if name in query and (not query[name] or moment_in(query[name], seen.zone) >= seen.now_ms):
            del query[name]
    if query == asked:
        return None
    path = quote(request.path)
    return redirect(f"{path}?{urlencode(query)}" if query else path, 302)


def _shown(public_url: str) -> str:
    """An address without what is secret in it: a password before the host, a query."""
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if public_url else ""


def _live_link() -> str:
    query = {name: text for name, text in request.args.items() if name not in MOMENTS}
    return f"{request.path}?{urlencode(query)}" if query else request.path


def _answer(html: str, status: int = 200, **headers: str) -> Response:
    return Response(
        html, status, {name.replace("_", "-"): value for name, value in headers.items()}, content_type="text/html; charset=utf-8"
    )


def _sorry(status: int, title: str, words: str, **headers: str) -> Response:
    return _answer(render_template("board/sorry.html", title=title, words=words), status, **headers)


def _refuse(pages: Blueprint) -> None:
    """What is not there, what cannot be asked so, what cannot be answered now: in words."""

    @pages.errorhandler(Missing)
    def missing(error: Missing) -> Response:
        return _sorry(404, "Not here", str(error))

    @pages.errorhandler(Closed)
    def closed(_: Closed) -> Response:
        how = "No key is set. Set PROJECTOR_API_KEYS=name:password and start the server anew, or PROJECTOR_BOARD=open where everybody who reaches it may look."
        return _sorry(403, "Nobody may look yet", how)

    @pages.errorhandler(Unanswerable)
    def asked_wrongly(error: Unanswerable) -> Response:
        return _sorry(400, "That cannot be shown", str(error))

    @pages.errorhandler(Problem)
    def refused(problem: Problem) -> Response:
        if problem.status == 401:
            how = "That is no name and password of a key of this server (PROJECTOR_API_KEYS). Load the page again to be asked once more."
            return _sorry(401, "Not the right name and password", how, WWW_Authenticate='Basic realm="projector"')
        seconds = problem.headers.get("Retry_After", "")
        return _sorry(problem.status, "Not now", f"{problem} ({seconds} s)" if seconds else str(problem), **problem.headers)

    @pages.errorhandler(ProjectorError)
    def cannot_now(error: ProjectorError) -> Response:
        logger.warning("board_failed", extra={"reason": type(error).__name__})
        return _sorry(503, "Not now", str(error), Retry_After="5")
