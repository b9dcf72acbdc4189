"""What Twilio does not have, under its roof and in its style: timelines, percentiles, service levels, occupancy."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request

from projector import tables
from projector.api import paging
from projector.api.asked import (
    MINUTES_MAX,
    missing,
    moment_asked,
    now_ms,
    own_url,
    readable_workspace,
    refuse_known_at,
    setting_of,
    window_asked,
)
from projector.api.look import Asked, numbers_asked
from projector.api.problems import invalid
from projector.api.shapes import Json, instant
from projector.api.statistics import busy, performed
from projector.api.statistics_routes import serve_figures
from projector.api.store import Store
from projector.read.happening import CANCELED, IN_QUEUE, Scope, Window
from projector.read.performance import OF_OFFERS
from projector.read.timeline import timeline

THRESHOLD, SHORT_ABANDON = (20,), 5  # seconds, when nothing is asked for
A_DAY = 24 * 60  # minutes of a worker's timeline, when nothing is asked for; a task's is its whole life
PERFORMANCE = "Performance"


def serve_beyond(api: Blueprint, store: Store) -> None:
    """All of it."""
    for path, of in (("", None), ("/TaskQueues/<sid>", tables.task_queue), ("/Workflows/<sid>", tables.workflow)):
        serve_figures(api, store, f"{path}/{PERFORMANCE}", _performance(of))
    serve_figures(api, store, f"/Workers/{PERFORMANCE}", lambda asked, _: _of_workers(asked))
    serve_figures(api, store, f"/Workers/<sid>/{PERFORMANCE}", _of_worker)
    _serve_timeline(api, store, "Workers", tables.worker, A_DAY)
    _serve_timeline(api, store, "Tasks", tables.task, MINUTES_MAX)


def _performance(of: sa.Table | None) -> Callable[[Asked, str], Json]:
    def figures(asked: Asked, sid: str) -> Json:
        whose = {} if of is None else {f"{of.name}_sid": asked.row(of, sid)[f"{of.name}_sid"]}
        thresholds = numbers_asked("Threshold") or THRESHOLD
        short = paging.number_asked(request.args, "ShortAbandon", SHORT_ABANDON, 0, 86_400)
        scope, ends = asked.scope(**whose), {"of_tasks": (CANCELED,), "of_visits": (IN_QUEUE,)}
        told = performed(asked.connection, asked.window, scope, thresholds, short)
        return whose | told | asked.explain(scope, of_offers=OF_OFFERS, **ends)

    return figures


def _of_workers(asked: Asked) -> Json:
    for name in (
        "TaskQueueSid",
        "TaskQueueName",
        "FriendlyName",
    ):  # which …/Workers/Statistics knows: here they would say nothing
        if text := request.args.get(name):
            raise invalid(
                name, text, "up: this is of all workers. There are /TaskQueues/{Sid}/Performance and /Workers/{Sid}/Performance"
            )
    return _busy(asked, asked.scope())


def _of_worker(asked: Asked, sid: str) -> Json:
    asked.row(tables.worker, sid)
    return {"worker_sid": sid} | _busy(asked, asked.scope(worker_sid=sid))


def _busy(asked: Asked, scope: Scope) -> Json:
    return busy(asked.connection, asked.window, scope) | asked.explain(scope, of_offers=OF_OFFERS, of_tasks=(), of_visits=())


def _serve_timeline(api: Blueprint, store: Store, path: str, table: sa.Table, minutes_usual: int) -> None:
    @api.get(f"/Workspaces/<workspace_sid>/{path}/<sid>/Timeline", endpoint=f"{path}/Timeline")
    def spans(workspace_sid: str, sid: str) -> Response:
        refuse_known_at()
        at_ms, name = moment_asked("AsOf") or now_ms(), f"{table.name}_sid"
        start_ms, end_ms = window_asked(at_ms, minutes_usual)
        window = Window(start_ms, max(start_ms, min(end_ms, at_ms + 1)))
        with store.knowing_all() as present:
            setting = setting_of(store, present.today, readable_workspace(workspace_sid), at_ms)
            if not present.today.execute(sa.select(table.c[name]).where(*_is(table, workspace_sid, sid))).first():
                raise missing()
            rows = timeline(present.today, workspace_sid, table.name, sid, window)
        known = {"account_sid": setting.account_sid, "workspace_sid": workspace_sid, name: sid, "url": own_url()}
        dates = {"start_time": instant(window.start_ms), "end_time": instant(window.end_ms)}
        return jsonify(known | dates | {"spans": [_span(row, at_ms) for row in rows]})


def _is(table: sa.Table, workspace_sid: str, sid: str) -> list[sa.ColumnElement[bool]]:
    return [table.c.workspace_sid == workspace_sid, table.c[f"{table.name}_sid"] == sid]


def _span(row: dict[str, Any], at_ms: int) -> Json:
    """With moments to the millisecond: a span shorter than a second is one all the same. What ended later lasts."""
    if row["ended_at"] is not None and row["ended_at"] > at_ms:
        row |= {name: None for name in ("ended_at", "outcome") if name in row}
    return {name: tables.iso(value) if name.endswith("_at") and value is not None else value for name, value in row.items()}
