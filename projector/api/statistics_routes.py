"""The URLs of the statistics: of a workspace, its queues, workflows and workers; cumulative, real-time, and both (`…/Statistics`)."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from msgspec import Struct

from projector import tables
from projector.api import paging
from projector.api.asked import (
    moment_asked,
    now_ms,
    own_url,
    paged,
    readable_workspace,
    refuse_known_at,
    refuse_unheard,
    setting_of,
)
from projector.api.look import Asked
from projector.api.problems import invalid
from projector.api.resources import wants
from projector.api.shapes import Json
from projector.api.statistics import Floor, of_queue, of_tasks, of_workers
from projector.api.store import Store
from projector.read import realtime
from projector.read.explained import MOST
from projector.read.happening import Scope
from projector.read.present import Present
from projector.rows import Row

BOTH, CUMULATIVE, REAL_TIME = "Statistics", "CumulativeStatistics", "RealTimeStatistics"
QUEUE_SID = re.compile(r"WQ[0-9a-fA-F]{32}")


class Figures(Struct, frozen=True):
    """Whose figures (their Sid by its field), and how each half of them is come by."""

    of: dict[str, str]
    cumulative: Callable[[bool], Json]  # argument: whether it is a half of both
    real_time: Callable[[], Json] | None = None

    def of_kind(self, kind: str) -> Json:
        """The figures of …/Statistics, …/CumulativeStatistics or …/RealTimeStatistics."""
        if kind == CUMULATIVE:
            return self.cumulative(False)
        real_time = {} if self.real_time is None else self.real_time()
        if kind == REAL_TIME:
            return real_time
        return {"cumulative": self.cumulative(True)} | ({"realtime": real_time} if real_time else {})


def serve_statistics(api: Blueprint, store: Store) -> None:
    """All of them."""
    every = (BOTH, CUMULATIVE, REAL_TIME)
    _serve(api, store, "", every, lambda asked, _, __: _of_workspace(asked))
    _serve(api, store, "/TaskQueues/<sid>", every, lambda asked, sid, kind: _of_queue(asked, asked.floor_of(sid), sid, kind))
    _serve(api, store, "/Workflows/<sid>", every, _of_workflow)
    _serve(api, store, "/Workers", every, lambda asked, _, kind: _of_workers(asked, kind))
    _serve(api, store, "/Workers/<sid>", (BOTH,), lambda asked, sid, _: _of_worker(asked, sid))
    _serve_queues(api, store)


def serve_figures(api: Blueprint, store: Store, path: str, figures: Callable[[Asked, str], Json]) -> None:
    """One URL below the workspace's, answered by figures and whose they are."""

    def answer(workspace_sid: str, sid: str = "") -> Response:
        with store.knowing_all() as present:
            asked = _asked(store, present, workspace_sid)
            told = figures(asked, sid)
        return jsonify({"account_sid": asked.setting.account_sid, "workspace_sid": workspace_sid, "url": own_url()} | told)

    api.add_url_rule(f"/Workspaces/<workspace_sid>{path}", path.lstrip("/"), answer)


def _serve(
    api: Blueprint, store: Store, path: str, kinds: tuple[str, ...], figures: Callable[[Asked, str, str], Figures]
) -> None:
    """One URL for each kind of figures."""
    for kind in kinds:

        def of_kind(asked: Asked, sid: str, kind: str = kind) -> Json:
            found = figures(asked, sid, kind)
            return found.of | found.of_kind(kind)

        serve_figures(api, store, f"{path}/{kind}", of_kind)


def _asked(store: Store, present: Present, workspace_sid: str) -> Asked:
    refuse_known_at()
    at_ms = moment_asked("AsOf") or now_ms()
    setting = setting_of(store, present.today, readable_workspace(workspace_sid), at_ms)
    refuse_unheard(present.today, workspace_sid)
    return Asked(present, setting, workspace_sid)


def _of_workspace(asked: Asked) -> Figures:
    scope = asked.scope()
    return Figures(
        {},
        lambda combined: asked.cumulative(scope, combined=combined),
        lambda: (
            of_tasks(asked.floor, scope)
            | of_workers(asked.floor, asked.floor.workers)
            | _explain(asked.floor, scope, lambda: asked.floor.workers)
        ),
    )


def _of_queue(asked: Asked, floor: Floor, sid: str, kind: str) -> Figures:
    queue, scope = asked.row(tables.task_queue, sid, now=kind == REAL_TIME), asked.scope(task_queue_sid=sid)
    return Figures(
        {"task_queue_sid": sid},
        lambda combined: asked.cumulative(scope, combined=combined),
        lambda: of_queue(floor, queue, scope) | _explain(floor, scope, lambda: floor.eligible(queue) or []),
    )


def _of_workflow(asked: Asked, sid: str, kind: str) -> Figures:
    asked.row(tables.workflow, sid, now=kind == REAL_TIME)
    scope = asked.scope(workflow_sid=sid)
    return Figures(
        {"workflow_sid": sid},
        lambda combined: asked.cumulative(scope, combined=combined),
        lambda: of_tasks(asked.floor, scope) | _explain(asked.floor, scope, list),
    )


def _of_worker(asked: Asked, sid: str) -> Figures:
    asked.row(tables.worker, sid)
    scope = asked.scope(worker_sid=sid)
    return Figures({"worker_sid": sid}, lambda combined: asked.worked(scope, None, combined=combined))


def _of_workers(asked: Asked, kind: str) -> Figures:
    """`TaskQueueSid`, `TaskQueueName`: of the workers that queue wants; `FriendlyName`: of those with that name."""
    queue, name = _queue_asked(asked, kind), request.args.get("FriendlyName") or None
    scope = asked.scope(worker_name=name, task_queue_sid=None if queue is None else queue["task_queue_sid"])

    def among(floor: Floor) -> list[Row]:
        wanted = floor.workers if queue is None else floor.eligible(queue) or []
        return [worker for worker in wanted if name in (None, worker["friendly_name"])]

    def cumulative(combined: bool) -> Json:
        sids = None if queue is None else {worker["worker_sid"] for worker in among(asked.floor_then)}
        return asked.worked(scope, sids, combined=combined)

    def real_time() -> Json:
        workers = among(asked.floor)
        return of_workers(asked.floor, workers) | _explain(asked.floor, None, lambda: workers)

    return Figures({}, cumulative, real_time)


def _explain(floor: Floor, scope: Scope | None, workers: Callable[[], list[Row]]) -> Json:
    """`Explain=true`: of each task and worker counted, the callback that it was last heard of by, or that told its activity."""
    if not wants(request.args, "Explain"):
        return {}
    tasks = realtime.of_scope(floor.tasks, scope) if scope is not None else []
    if len(tasks) > MOST:
        raise invalid("Explain", "true", f"for one queue or channel: there are more than {MOST} tasks")
    by_task = [{"task_sid": row["task_sid"], "status": row["status"], "event_sid": row["last_event_sid"]} for row in tasks]
    told = ("worker_sid", "activity_sid", "event_sid")
    return {"explain": {"tasks": by_task, "workers": [{name: row[name] for name in told} for row in workers()]}}


def _queue_asked(asked: Asked, kind: str) -> Row | None:
    """The queue that the query names; None where it names none. Raises `Problem`."""
    c = tables.task_queue.c
    if sid := request.args.get("TaskQueueSid"):
        return asked.row(tables.task_queue, sid, now=kind == REAL_TIME)
    if name := request.args.get("TaskQueueName"):
        found = asked.rows(tables.task_queue, c.friendly_name == name, window=None if kind == REAL_TIME else asked.window)
        if not found:
            raise invalid("TaskQueueName", name, "the name of a queue of this workspace")
        return found[0]
    return None


def _serve_queues(api: Blueprint, store: Store) -> None:
    """The statistics of every queue, and the real-time ones of those that a request lists."""

    @api.get("/Workspaces/<workspace_sid>/TaskQueues/Statistics")
    def queues(workspace_sid: str) -> Response:
        with store.knowing_all() as present:
            asked, page_asked = _asked(store, present, workspace_sid), paging.asked(request.args)
            c, name = tables.task_queue.c, request.args.get("FriendlyName")
            named = asked.rows(tables.task_queue, *((c.friendly_name == name,) if name else ()))
            rows = {row["task_queue_sid"]: row for row in named}
            page = paging.page(page_asked, lambda asked, limit: paging.sliced(rows, asked)[:limit])
            told = [_one_of_queues(asked, row) for row in page.rows]
        return paged("task_queues_statistics", "task_queue_sid", page_asked, page, told)

    @api.post("/Workspaces/<workspace_sid>/TaskQueues/RealTimeStatistics")
    def listed(workspace_sid: str) -> Response:
        sids = _queue_sids()
        with store.knowing_all() as present:
            asked = _asked(store, present, workspace_sid)
            rows = {
                row["task_queue_sid"]: row for row in asked.rows(tables.task_queue, tables.task_queue.c.task_queue_sid.in_(sids))
            }
            data = [
                {"task_queue_sid": sid} | of_queue(asked.floor, rows.get(sid, {}), asked.scope(task_queue_sid=sid))
                for sid in sids
            ]
        return jsonify(
            account_sid=asked.setting.account_sid, workspace_sid=workspace_sid, task_queue_data=data,
            task_queue_response_count=len(data), url=own_url(),
        )  # fmt: skip


def _one_of_queues(asked: Asked, queue: Mapping[str, Any]) -> Json:
    sid = queue["task_queue_sid"]
    figures = _of_queue(asked, asked.floor, sid, REAL_TIME).of_kind(BOTH)
    return {"account_sid": asked.setting.account_sid, "workspace_sid": asked.workspace_sid, "task_queue_sid": sid, **figures}


def _queue_sids() -> list[str]:
    """The queues a bulk request lists: `{"QueueSids": ["WQ…"]}` (the reference's table; its example writes `queueSids`). Raises `Problem`."""
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise invalid("body", request.get_data(as_text=True), 'as JSON: {"QueueSids": ["WQ…", "WQ…"]}') from error
    told = body.get("QueueSids", body.get("queueSids")) if isinstance(body, dict) else None
    if not isinstance(told, list) or not told:
        raise invalid("QueueSids", str(told), 'at least one queue: {"QueueSids": ["WQ…", "WQ…"]}')
    for sid in told:
        if not isinstance(sid, str) or not QUEUE_SID.fullmatch(sid):
            raise invalid("QueueSids", str(sid), "Sids of queues: WQ and 32 hexadecimal digits")
    return list(dict.fromkeys(told))
