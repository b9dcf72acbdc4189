"""The Flask application: wired here, and only here."""

from collections.abc import Callable

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from projector.config import Config
from projector.delivered import Delivered
from projector.log import GroupCommit, Log
from webhook.callbacks import BODY_MAX_BYTES, callbacks
from webhook.event_streams import event_streams
from webhook.health import health
from webhook.metrics import metrics
from webhook.signature import Signatures

Progress = Callable[[int], dict[str, object]]
Missing = Callable[[int], dict[str, int]]
Feeds = Callable[[int], list[Delivered]]


def create_app(
    config: Config, log: Log, progress: Progress, missing: Missing = lambda _now_ms: {}, feeds: Feeds = lambda _now_ms: []
) -> Flask:
    """The application over a log; `progress(now_ms)` says how far the tables are, `missing(now_ms)` how many callbacks are believed missing,
    by reason (`projector.status`), `feeds(now_ms)` what each feed brought of the last hour (`projector.delivered`)."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
    app.extensions.update(
        writer=GroupCommit(log),
        log=log,
        signatures=Signatures(config.public_url, config.tokens),
        event_streams_signatures=Signatures(config.event_streams_url, config.tokens) if config.event_streams_url else None,
        workspaces=config.workspaces,
        progress=progress,
        missing=missing,
        feeds=feeds,
        ready_lag_seconds=config.ready_lag_seconds,
    )
    for blueprint in (callbacks, event_streams, health, metrics):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _in_words)
    return app


def _in_words(error: HTTPException) -> Response:
    """A refusal as one line of text; never a page that echoes what was sent."""
    headers = {name: value for name, value in error.get_headers() if name.lower() == "allow"}
    return Response(f"{error.description}\n", error.code, headers, mimetype="text/plain")
