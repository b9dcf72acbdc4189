"""`GET /metrics`: what this server answered, and how far the tables are. Names and attributes never become labels."""

import os
import time

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

from projector.errors import ProjectorError

ANSWERS = Counter("projector_http_answers", "Answers by route and status.", ["route", "status"])
OUTCOMES = Counter("projector_callbacks", "Callbacks answered 204, by what became of them.", ["outcome"])
STREAMED = Counter(
    "projector_event_streams", "Elements of Event Streams' batches answered 200, by what became of them.", ["outcome"]
)
DROPPED = Counter("projector_event_streams_dropped", "Elements of Event Streams' batches that were not kept, by why.", ["reason"])

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
def show() -> Response:
    """Counters of all processes of this server, gauges read now."""
    parts = [generate_latest(_answers()), generate_latest(_progress())]
    return Response(b"".join(parts), content_type=CONTENT_TYPE_LATEST)


def _answers() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _progress() -> CollectorRegistry:
    registry = CollectorRegistry()
    now_ms = time.time_ns() // 1_000_000
    up = Gauge("projector_store_up", "1 when the store answers.", registry=registry)
    try:
        progress = current_app.extensions["progress"](now_ms)
        by_feed = current_app.extensions["feeds"](now_ms)
    except ProjectorError:
        up.set(0)
        return registry
    up.set(1)
    known = Gauge(
        "projector_feed_known",
        "Callbacks known of the last hour that is over, of types that the feed carries.",
        ["feed"],
        registry=registry,
    )
    seen = Gauge("projector_feed_seen", "Of these, how many the feed has brought.", ["feed"], registry=registry)
    for of in by_feed:
        known.labels(of.feed).set(of.known)
        seen.labels(of.feed).set(of.seen)
    missing = current_app.extensions["missing"](now_ms)
    by_reason = Gauge("projector_gaps", "Callbacks believed missing, by why; as of this minute.", ["reason"], registry=registry)
    for reason, times in missing.items():
        by_reason.labels(reason).set(times)
    Gauge("projector_gaps_count", "All of them: there is no reason where there are none.", registry=registry).set(
        sum(missing.values())
    )
    for name, value in progress.items():
        if isinstance(value, list):  # of Sids
            each = Gauge(f"projector_{name}", f"{name} of /readyz, by Sid.", ["sid"], registry=registry)
            for sid in value:
                each.labels(sid).set(1)
            Gauge(
                f"projector_{name}_count", f"How many {name} there are: there is no Sid where there are none.", registry=registry
            ).set(len(value))
        else:
            Gauge(f"projector_{name}", f"{name} of /readyz.", registry=registry).set(float(value))
    return registry
