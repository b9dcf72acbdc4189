"""A web server with a bug on purpose, to show that the crash test would see it: `python -m tests.planted BUG PORT`.

The bugs are made at import, so that the server's own processes have them however they are started.
"""

import os
import sys
import threading
import uuid
from collections.abc import Callable

from projector.config import read_config
from projector.log import Entry, GroupCommit, Outcome, Rejected, entry
from projector.web import serve_http

COMMIT_LATER_SECONDS = 0.05

submitted = GroupCommit.submit


def acknowledge_before_commit(self: GroupCommit, arrival: Entry | Rejected, hear: Callable[[Outcome], object]) -> None:
    threading.Timer(COMMIT_LATER_SECONDS, submitted, (self, arrival, lambda _outcome: None)).start()
    hear(Outcome.STORED)


if len(sys.argv) > 1:
    os.environ["PLANTED_BUG"] = sys.argv[1]
match os.environ.get("PLANTED_BUG"):
    case "acknowledge-before-commit":
        GroupCommit.submit = acknowledge_before_commit
    case "random-event-id":
        entry.identity_of = lambda _: f"EV{uuid.uuid4().hex}"

if __name__ == "__main__":
    serve_http(read_config(), "127.0.0.1", int(sys.argv[2]))
