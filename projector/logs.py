"""Structured logs: one JSON object a line on standard error, with the fields that were named and nothing else.

What is logged is chosen at the call: an event's name and figures. Never names of people, attributes, bodies, tokens.
"""

import json
import logging
import sys
import time

_OWN = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """`at`, `level`, `event`, and the call's `extra` fields."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__  # not its message: it may quote what was sent
        return json.dumps(line, default=str)


def configure(level: int = logging.INFO) -> None:
    """Send every logger's records to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("projector", "webhook"):
        logging.getLogger(ours).setLevel(level)
