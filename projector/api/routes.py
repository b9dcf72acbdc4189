"""The URLs of the read API. Every answer is one look at the tables."""

import logging
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from flask import Blueprint, Response, g, jsonify, request

from projector import tables
from projector.api import paging
from projector.api.asked import (
    missing,
    moment_asked,
    now_ms,
    paged,
    readable_workspace,
    refuse_known_at,
    refuse_unheard,
    setting_of,
    when,
)
from projector.api.beyond import serve_beyond
from projector.api.events import serve_events
from projector.api.login import Login
from projector.api.problems import Problem, invalid, read_only
from projector.api.resources import (
    SEVERAL,
    TASK_RESERVATIONS,
    TASKS,
    WITHIN_WORKSPACE,
    WORKER_RESERVATIONS,
    WORKERS,
    WORKSPACES,
    Resource,
    Where,
    listed,
    listed_then,
    named,
    one,
    order_asked,
    refuse_unknown,
    some,
    then_kept,
    wants,
)
from projector.api.shapes import Json, Row, worker_channel
from projector.api.statistics_routes import serve_statistics
from projector.api.store import Store
from projector.api.tabular import as_asked
from projector.api.wanted import LOOK, Look, Wanted, kept
from projector.errors import ProjectorError
from projector.log import Log
from projector.read.then import channels_then, then

logger = logging.getLogger(__name__)

READ, WRITE = ["GET", "HEAD", "OPTIONS"], ["POST", "PUT", "PATCH", "DELETE"]


def read_api(engine: sa.Engine, log: Log, login: Login) -> Blueprint:
    """The routes below `/v1`, over these tables and this log, for whoever has a key."""
    api, store = Blueprint("read_api", __name__, url_prefix="/v1"), Store(engine, log)
    _authenticate(api, login)
    _serve_workspaces(api, store)
    serve_statistics(api, store)
    serve_beyond(api, store)
    serve_events(api, store, log)
    for resource in WITHIN_WORKSPACE:
        _serve(api, store, resource)
    _serve_channels(api, store)
    _serve_below(api, store, TASK_RESERVATIONS, TASKS)
    _serve_below(api, store, WORKER_RESERVATIONS, WORKERS)
    _refuse(api)
    api.after_request(_private)  # the last to be registered is the first to be called
    api.after_request(as_asked)
    return api


def _private(response: Response) -> Response:
    """Who was where is nobody's to keep between here and whoever asked."""
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _authenticate(api: Blueprint, login: Login) -> None:
    @api.before_request
    def authenticate() -> None:
        g.key = login.key()
        _refuse_nul()
        _refuse_repeated()


def _refuse_nul() -> None:
    """PostgreSQL cannot be asked for a text with NUL in it: nothing has such a Sid, and no filter means one. Raises `Problem`."""
    if "\0" in request.path:
        raise missing()
    for name, text in request.args.items():
        if "\0" in text:
            raise invalid(name, text, "a text without NUL")


def _refuse_repeated() -> None:
    """Which of two values is meant? Only where several are, as the SDK sends a list, they are told one by one. Raises `Problem`."""
    for name, values in request.args.lists():
        if len(values) > 1 and name not in SEVERAL:
            raise invalid(name, ", ".join(values), "once")


def _parameters() -> dict[str, str]:
    """The query, what may be told several times joined by commas."""
    return {name: ",".join(values) for name, values in request.args.lists()}


def _serve_workspaces(api: Blueprint, store: Store) -> None:
    @api.get("/Workspaces")
    def workspaces() -> Response:
        mine: list[Where] = [tables.workspace.c.workspace_sid.in_(g.key.workspaces)] if g.key.workspaces else []
        return _list(store, WORKSPACES, mine)

    @api.get("/Workspaces/<workspace_sid>")
    def workspace(workspace_sid: str) -> Response:
        return _one(store, WORKSPACES, workspace_sid, workspace_sid)


def _serve(api: Blueprint, store: Store, resource: Resource) -> None:
    """The list of a resource within its workspace, and each one in it."""

    @api.get(f"/Workspaces/<workspace_sid>/{resource.path}", endpoint=resource.path)
    def many(workspace_sid: str) -> Response:
        return _list(store, resource, _of(resource, workspace_sid), workspace_sid)

    @api.get(f"/Workspaces/<workspace_sid>/{resource.path}/<sid>", endpoint=f"{resource.path}/one")
    def single(workspace_sid: str, sid: str) -> Response:
        return _one(store, resource, workspace_sid, sid)


def _serve_below(api: Blueprint, store: Store, resource: Resource, above: Resource) -> None:
    """The same below one of another resource, which has to be there."""
    url, name = f"/Workspaces/<workspace_sid>/{above.path}/<above_sid>/{resource.path}", f"{above.path}/{resource.path}"

    @api.get(url, endpoint=name)
    def many(workspace_sid: str, above_sid: str) -> Response:
        with store.looking() as connection:
            if one(connection, above, *_of(above, workspace_sid), above.table.c[above.sid] == above_sid) is None:
                raise missing()
        return _list(store, resource, [*_of(resource, workspace_sid), resource.table.c[above.sid] == above_sid])

    @api.get(f"{url}/<sid>", endpoint=f"{name}/one")
    def single(workspace_sid: str, above_sid: str, sid: str) -> Response:
        return _one(store, resource, workspace_sid, sid, resource.table.c[above.sid] == above_sid)


def _serve_channels(api: Blueprint, store: Store) -> None:
    """A worker's channels: few, and worked out from its reservations, now as then."""
    url = "/Workspaces/<workspace_sid>/Workers/<worker_sid>/Channels"

    @api.get(url)
    def channels(workspace_sid: str, worker_sid: str) -> Response:
        found = {row["task_channel_sid"]: row for row in _channels(store, workspace_sid, worker_sid)}
        asked = paging.asked(request.args)
        page = paging.page(asked, lambda asked, limit: paging.sliced(found, asked)[:limit])
        return paged("channels", "task_channel_sid", asked, page, page.rows)

    @api.get(f"{url}/<sid>")
    def channel(workspace_sid: str, worker_sid: str, sid: str) -> Response:
        for row in _channels(store, workspace_sid, worker_sid):
            if sid in (row["task_channel_sid"], row["task_channel_unique_name"]):
                return jsonify(row)
        raise missing()


def _channels(store: Store, workspace_sid: str, worker_sid: str) -> list[Json]:
    at_ms, known_ms = when()
    at_ms = at_ms or now_ms()
    with store.knowing(known_ms) as source:
        today = one(source.today, WORKERS, *_of(WORKERS, workspace_sid), named(WORKERS, worker_sid))
        found = channels_then(source, today, at_ms) if today is not None else None
        if found is None:
            raise missing()
        setting = setting_of(store, source.today, workspace_sid, at_ms)
        return [worker_channel(row, setting) for row in found]


def _refuse(api: Blueprint) -> None:
    """What is not there, what would change something, what cannot be answered now."""

    @api.errorhandler(Problem)
    def refuse(problem: Problem) -> Response:
        return problem.response()

    @api.errorhandler(ProjectorError)
    def cannot_now(error: ProjectorError) -> Response:
        logger.warning("read_failed", extra={"reason": type(error).__name__})
        return Problem(503, 20503, str(error), Retry_After="1").response()

    @api.route("/", defaults={"rest": ""}, methods=READ)
    @api.route("/<path:rest>", methods=READ)
    def nothing(rest: str) -> Response:  # noqa: ARG001 (the path is told as it came)
        raise missing()

    @api.route("/<path:rest>", methods=WRITE)
    def change(rest: str) -> Response:  # noqa: ARG001 (whatever it is, it is not changed)
        request.get_data(cache=False)  # read, or the connection could not be used again
        raise read_only()


def _of(resource: Resource, workspace_sid: str) -> list[Where]:
    """That a row is this workspace's, which the key may read. Raises `Problem`."""
    return [resource.table.c.workspace_sid == readable_workspace(workspace_sid)]


def _one(store: Store, resource: Resource, workspace_sid: str, sid: str, *where: Where) -> Response:
    """One row: as it is, or as it was (`AsOf`), as it is known now or was by some time (`KnownAt`)."""
    which = (*_of(resource, workspace_sid), named(resource, sid), *where)
    at_ms, known_ms = when()
    if at_ms is None:
        with store.looking() as connection:
            row = one(connection, resource, *which)
            if row is None or (row.get("deleted_at") is not None and not wants(request.args, "Deleted")):
                raise missing()
            return jsonify(resource.shape(row, setting_of(store, connection, workspace_sid, now_ms())))
    with store.knowing(known_ms) as source:
        today = one(source.today, resource, *which)
        row = then(source, resource.table, today, at_ms) if today is not None else None
        if row is None:
            raise missing()
        return jsonify(resource.shape(row, setting_of(store, source.today, workspace_sid, at_ms)))


def _list(store: Store, resource: Resource, where: list[Where], workspace_sid: str = "") -> Response:
    """A page: as it is, or as it was (`AsOf`)."""
    asked, at_ms, parameters = paging.asked(request.args), moment_asked("AsOf"), _parameters()
    order = order_asked(resource, parameters)
    refuse_unknown(resource, parameters)
    refuse_known_at()
    if at_ms is None:
        with store.looking() as connection:
            if workspace_sid:
                refuse_unheard(connection, workspace_sid)
            shown = where + listed(resource, workspace_sid, parameters, now_ms())
            wanted = _wanted(resource, connection, workspace_sid, _today)
            fetch = partial(some, connection, resource, shown, order)
            page = paging.page(asked, kept(partial(_if_all, wanted), fetch, LOOK) if wanted else fetch)
            return _listed(store, resource, connection, asked, page, now_ms())
    with store.knowing_all() as source:
        if workspace_sid:
            refuse_unheard(source.today, workspace_sid)
        shown = where + listed_then(resource, workspace_sid, parameters, at_ms)
        wanted = _wanted(resource, source.today, workspace_sid, lambda table, today: then(source, table, today, at_ms))
        fetch = partial(some, source.today, resource, shown, order)
        page = paging.page(asked, kept(then_kept(source, resource, parameters, at_ms, wanted), fetch, 0))
        return _listed(store, resource, source.today, asked, page, at_ms)


def _wanted(resource: Resource, connection: sa.Connection, workspace_sid: str, look: Look) -> list[Wanted]:
    return list(resource.wanted(connection, workspace_sid, request.args, look)) if resource.wanted else []


def _if_all(wanted: Sequence[Wanted], row: Row) -> Row | None:
    return row if all(each(row) for each in wanted) else None


def _today(_: sa.Table, row: Row) -> Row | None:
    return row if row["deleted_at"] is None else None


def _listed(
    store: Store, resource: Resource, connection: sa.Connection, asked: paging.Asked, page: paging.Page, at_ms: int
) -> Response:
    workspaces = {row["workspace_sid"] for row in page.rows}
    settings = {sid: setting_of(store, connection, sid, at_ms) for sid in workspaces}
    rows = [resource.shape(row, settings[row["workspace_sid"]]) for row in page.rows]
    return paged(resource.key, "place", asked, page, rows)
