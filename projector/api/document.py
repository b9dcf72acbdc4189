"""`/openapi.json`: every URL of the read API, its parameters and its answers; and `/api`, the same to read."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, jsonify, render_template
from markdown_it import MarkdownIt
from markupsafe import Markup

from projector.api.asked import root_url
from projector.api.fields import META, schema, schemas
from projector.api.resources import WITHIN_WORKSPACE, Resource
from projector.api.wanted import EXPRESSIONS

WORKSPACE = "/v1/Workspaces/{WorkspaceSid}"
SIDS = {
    "TaskQueues": "TaskQueueSid",
    "Workflows": "WorkflowSid",
    "Workers": "WorkerSid",
    "Tasks": "TaskSid",
}  # in paths, above others
SCHEMAS = {
    "Activities": "Activity", "TaskChannels": "TaskChannel", "TaskQueues": "TaskQueue", "Workflows": "Workflow", "Workers": "Worker",
    "Tasks": "Task",
}  # fmt: skip
PAGES = ("PageSize", "Page", "PageToken")
WINDOW = ("StartDate", "EndDate", "Minutes", "AsOf", "TaskChannel")
CUMULATIVE, REAL_TIME = (*WINDOW, "SplitByWaitTime", "Explain"), ("AsOf", "TaskChannel", "Explain")
PARAMETERS = {  # name → its type, what it does
    "PageSize": ("integer", "Rows in a page: 50, up to 1,000."),
    "Page": ("integer", "The page's number, for whoever shows one."),
    "PageToken": ("string", "Where a page begins: from `meta`."),
    "AsOf": ("string", "Beyond Twilio. How it was at this moment: ISO 8601 (UTC without a zone) or epoch milliseconds."),
    "KnownAt": ("string", "Beyond Twilio. As it was known when that had been received; without `AsOf` also the moment looked at."),
    "Deleted": ("boolean", "Beyond Twilio. Also what was deleted."),
    "Ended": ("boolean", "Beyond Twilio. Also what ended more than five minutes ago."),
    "Explain": ("boolean", "Beyond Twilio. Also the callbacks behind each figure, in `explain`."),
    "StartDate": ("string", "From this moment on."),
    "EndDate": ("string", "Before this moment (Events: up to it); else `AsOf`, else now."),
    "Minutes": ("integer", "So many minutes back from the end of the window, when there is no StartDate: 15; of a worker's timeline a day, of a task's its whole life."),
    "TaskChannel": ("string", "Of the tasks of this TaskChannel: its Sid or unique name."),
    "SplitByWaitTime": ("string", "Seconds, with commas between."),
    "Threshold": ("string", "Beyond Twilio. Of service levels: seconds, with commas between; 20."),
    "ShortAbandon": ("integer", "Beyond Twilio. Up to how many seconds a wait that was given up is short; 5."),
    "Ordering": ("string", "`Attribute:asc` or `:desc`, with commas between."),
    "FriendlyName": ("string", "With this name."),
    "Available": ("boolean", "Whether its activity is available."),
    "ActivitySid": ("string", "In this Activity."),
    "ActivityName": ("string", "In the Activity of this name."),
    "Priority": ("integer", "Of this priority."),
    "AssignmentStatus": ("string", "In one of these statuses, with commas between."),
    "WorkflowSid": ("string", "Of this Workflow."),
    "WorkflowName": ("string", "Of the Workflow of this name."),
    "TaskQueueSid": ("string", "Of this TaskQueue. Of workers: those that match its TargetWorkers."),
    "TaskQueueName": ("string", "Of the TaskQueue of this name; of workers likewise."),
    "TargetWorkersExpression": ("string", "Whose attributes match this expression."),
    "EvaluateTaskAttributes": ("string", "Whose attributes match this expression."),
    "EvaluateWorkerAttributes": ("string", "That want a worker with these attributes, a JSON object."),
    "WorkerSid": ("string", "Of this Worker. Of queues: that want it."),
    "ReservationStatus": ("string", "In this status."),
    "ReservationSid": ("string", "That speak of this Reservation."),
    "TaskSid": ("string", "That speak of this Task."),
    "EventType": ("string", "Of this type."),
    "Sid": ("string", "This one."),
}  # fmt: skip

PAGES_TO_READ = {"api": "The read API", "statistics": "What the statistics count"}
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

pages = Blueprint("document", __name__, template_folder="templates", static_folder="static", static_url_path="/api/static")


@pages.get("/openapi.json")
def machine_readable() -> Response:
    """The document. It needs no key: it says nothing of anybody's workspace."""
    return jsonify(document(root_url()))


@pages.get("/api/pages/<name>.md")
def page(name: str) -> Response:
    """What is beyond Twilio and every rule chosen, as it stands beside this file."""
    if name not in PAGES_TO_READ:
        return Response("There is no such page. See /api.", 404, content_type="text/plain")
    return _page("page.html", title=PAGES_TO_READ[name], text=Markup(_markdown.render(_text(name))))  # noqa: S704 (ours, HTML off)


@pages.get("/api")
def readable() -> Response:
    """The document to read, without a script."""
    return _page("api.html", document=document(root_url()), pages=PAGES_TO_READ)


def _page(template: str, **told: Any) -> Response:
    page = Response(render_template(template, **told))
    page.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    return page


@lru_cache
def _text(name: str) -> str:
    return (files("projector.api") / "pages" / f"{name}.md").read_text()


def document(url: str) -> dict[str, Any]:
    """All of it, for a server at this URL."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "projector: Twilio TaskRouter's read API, without its limits",
            "version": version("taskrouter-projector"),
            "description": "\n\n".join(map(_text, PAGES_TO_READ)),
        },
        "servers": [{"url": url.rstrip("/")}],
        "security": [{"key": []}],
        "paths": {path: {"parameters": _in_path(path)} | operations for path, operations in _paths()},
        "components": {"schemas": schemas(), "securitySchemes": {"key": {"type": "http", "scheme": "basic"}}},
    }  # fmt: skip


def _paths() -> Iterator[tuple[str, Any]]:
    yield "/v1/Workspaces", _list("workspaces", "Workspace", ("FriendlyName", "Deleted", "AsOf"))
    yield WORKSPACE, _get("A workspace.", "Workspace", ("AsOf", "KnownAt", "Deleted"))
    for resource in WITHIN_WORKSPACE:
        yield from _resource(resource)
    yield from _below("Tasks", ("ReservationStatus", "WorkerSid", "AsOf"))
    yield from _below("Workers", ("ReservationStatus", "AsOf", "Ended"))
    channels = f"{WORKSPACE}/Workers/{{WorkerSid}}/Channels"
    yield channels, _list("channels", "WorkerChannel", ("AsOf", "KnownAt"), "What a worker can take.")
    yield f"{channels}/{{Sid}}", _get("One, by its TaskChannel's Sid or unique name.", "WorkerChannel", ("AsOf", "KnownAt"))
    of = ("TaskSid", "ReservationSid", "WorkerSid", "TaskQueueSid", "WorkflowSid", "TaskChannel", "EventType", "Sid")
    yield (
        f"{WORKSPACE}/Events",
        _list("events", "Event", ("StartDate", "EndDate", "Minutes", "AsOf", *of), "Callbacks, the latest first."),
    )
    yield f"{WORKSPACE}/Events/{{Sid}}", _get("A callback.", "Event", ("AsOf", "KnownAt"))
    yield from _statistics()
    yield from _beyond()


def _resource(resource: Resource) -> Iterator[tuple[str, Any]]:
    path, name = f"{WORKSPACE}/{resource.path}", SCHEMAS[resource.path]
    ordering = ("Ordering",) if resource.orderings else ()
    ended = ("Ended",) if resource.ends is not None else ()
    yield (
        path,
        _list(resource.key, name, (*resource.filters, *EXPRESSIONS.get(resource.path, ()), *ordering, "AsOf", "Deleted", *ended)),
    )
    yield f"{path}/{{Sid}}", _get(f"One of the {resource.path}.", name, ("AsOf", "KnownAt", "Deleted"))


def _below(above: str, parameters: Sequence[str]) -> Iterator[tuple[str, Any]]:
    path = f"{WORKSPACE}/{above}/{{{SIDS[above]}}}/Reservations"
    yield path, _list("reservations", "Reservation", parameters)
    yield f"{path}/{{Sid}}", _get("A reservation.", "Reservation", ("AsOf", "KnownAt"))


def _statistics() -> Iterator[tuple[str, Any]]:
    for path, of in (("", "Workspace"), ("/TaskQueues/{TaskQueueSid}", "TaskQueue"), ("/Workflows/{WorkflowSid}", "Workflow")):
        at = f"{WORKSPACE}{path}"
        yield f"{at}/Statistics", _get("Both kinds.", f"{of}Statistics", CUMULATIVE)
        yield f"{at}/CumulativeStatistics", _get("What happened in a window.", f"{of}CumulativeStatistics", CUMULATIVE)
        yield f"{at}/RealTimeStatistics", _get("What is there at a moment.", f"{of}RealTimeStatistics", REAL_TIME)
    workers, of_queue = f"{WORKSPACE}/Workers", ("TaskQueueSid", "TaskQueueName", "FriendlyName")
    window = (*WINDOW, "Explain")
    yield f"{workers}/Statistics", _get("Both kinds, of workers.", "WorkersStatistics", (*window, *of_queue))
    yield f"{workers}/CumulativeStatistics", _get("What workers did.", "WorkersCumulativeStatistics", (*window, *of_queue))
    yield f"{workers}/RealTimeStatistics", _get("Who is there.", "WorkersRealTimeStatistics", (*REAL_TIME, *of_queue))
    yield f"{workers}/{{WorkerSid}}/Statistics", _get("What a worker did.", "WorkerStatistics", window)
    queues = f"{WORKSPACE}/TaskQueues"
    yield f"{queues}/Statistics", _list("task_queues_statistics", "TaskQueuesStatistics", (*CUMULATIVE, "FriendlyName"), "Both kinds, of all queues.")  # fmt: skip
    yield f"{queues}/RealTimeStatistics", _bulk()


def _beyond() -> Iterator[tuple[str, Any]]:
    levels = (*WINDOW, "Threshold", "ShortAbandon", "Explain")
    for path, of in (("", ""), ("/TaskQueues/{TaskQueueSid}", "TaskQueue"), ("/Workflows/{WorkflowSid}", "Workflow")):
        yield f"{WORKSPACE}{path}/Performance", _get("Beyond Twilio: percentiles and service levels.", f"{of}Performance", levels)
    for path, of in (("", "Workers"), ("/{WorkerSid}", "Worker")):
        told = _get("Beyond Twilio: handling times and occupancy.", f"{of}Performance", (*WINDOW, "Explain"))
        yield f"{WORKSPACE}/Workers{path}/Performance", told
    for path, of in (("Workers/{WorkerSid}", "Worker"), ("Tasks/{TaskSid}", "Task")):
        spans = _get("Beyond Twilio: all that lasted, in a window.", f"{of}Timeline", ("StartDate", "EndDate", "Minutes", "AsOf"))
        yield f"{WORKSPACE}/{path}/Timeline", spans


def _list(key: str, name: str, parameters: Sequence[str], summary: str = "") -> Any:
    page = schema({key: f"[{name}]"})
    page["properties"]["meta"] = schema(META)
    return {"get": _operation(summary or f"A page of {key}.", page, (*PAGES, *parameters))}


def _get(summary: str, name: str, parameters: Sequence[str]) -> Any:
    return {"get": _operation(summary, {"$ref": f"#/components/schemas/{name}"}, parameters)}


def _bulk() -> Any:
    sids = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^WQ[0-9a-fA-F]{32}$"}}
    body = {"type": "object", "properties": {"QueueSids": sids}, "required": ["QueueSids"]}
    answer = {"$ref": "#/components/schemas/TaskQueueBulkRealTimeStatistics"}
    asked = {"required": True, "content": {"application/json": {"schema": body}}}
    return {"post": _operation("What is there at a moment, of these queues.", answer, REAL_TIME) | {"requestBody": asked}}


def _operation(summary: str, answer: Any, parameters: Sequence[str]) -> dict[str, Any]:
    problem = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    refused = {"400": "A parameter cannot be read.", "401": "No key, or a wrong one.", "404": "Nothing there, or nothing this key may see.",
               "429": "Too many wrong keys.", "503": "It took too long, or the store is away: try again."}  # fmt: skip
    told = {"application/json": {"schema": answer}, "text/csv": {"schema": {"type": "string"}}}
    return {
        "summary": summary,
        "parameters": [_parameter(name) for name in parameters],
        "responses": {"200": {"description": "The answer.", "content": told}}
        | {status: {"description": why, **problem} for status, why in refused.items()},
    }


def _in_path(path: str) -> list[Any]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names]


def _parameter(name: str) -> Any:
    kind, description = PARAMETERS[name]
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind}}
