"""`GET /healthz`: this process answers. `GET /readyz`: the store answers and the tables are not too far behind the log."""

import time

from flask import Blueprint, Response, current_app, jsonify

from projector.errors import ProjectorError

health = Blueprint("health", __name__)


@health.get("/healthz")
def alive() -> Response:
    """Always 200: whoever does not get it should restart the process."""
    return jsonify(status="alive")


@health.get("/readyz")
def ready() -> tuple[Response, int]:
    """200 or 503, with the same figures either way and a sentence when it is not ready."""
    try:
        progress = current_app.extensions["progress"](time.time_ns() // 1_000_000)
    except ProjectorError as error:
        return jsonify(ready=False, problem=str(error)), 503
    limit = current_app.extensions["ready_lag_seconds"]
    problem = None
    if progress["lag_seconds"] > limit:
        problem = (
            f"The tables are {progress['lag_seconds']} s behind the log; {limit:g} s are allowed. Is `projector run` running?"
        )
    elif progress["incomplete_units"]:
        problem = (
            f"{progress['incomplete_units']} units could not be folded. See `projector status`, and report it: it is our bug."
        )
    return jsonify(ready=problem is None, problem=problem, **progress), 200 if problem is None else 503
