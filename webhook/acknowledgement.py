"""The answer to a callback: not known before the store has committed, and then given by whoever hears of it first."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response

from projector.errors import ProjectorError
from projector.log import Entry, GroupCommit, Outcome, Rejected
from webhook.metrics import ANSWERS, OUTCOMES

PATH = "/callbacks"
PLAIN = ("content-type", "text/plain; charset=utf-8")
STORED = 204, [("content-type", "application/json")], b""
UNAVAILABLE = 503, [PLAIN, ("retry-after", "2")], b"Not stored. Try again.\n"
UNFORESEEN = 500, [PLAIN], b"Not stored, for a reason nobody foresaw.\n"
ANSWER = "projector.answer"  # in the environ of a server that can be answered later: `Answer`
LATER: list[bytes] = []  # what the application returns to it then, having started no response

Answer = Callable[[int, list[tuple[str, str]], bytes], object]  # status, headers, body; from any thread, once

logger = logging.getLogger(__name__)


class Acknowledgement(Response):
    """Stores an arrival, and answers when it is durable.

    The thread of the request waits for that, as WSGI has it, unless the server can be answered later (`ANSWER`): then it goes
    on with the next request, and the writer's thread answers this one.
    """

    def __init__(self, writer: GroupCommit, arrival: Entry | Rejected) -> None:
        super().__init__()
        self._writer, self._arrival = writer, arrival

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """The WSGI application that a response is."""
        answer: Answer | None = environ.get(ANSWER)
        heard: Outcome | Exception
        try:
            if answer is not None:
                self._writer.submit(self._arrival, lambda heard: answer(*_known(heard)))
                return LATER
            heard = self._writer.append(self._arrival)
        except Exception as error:  # noqa: BLE001 (told to the client and to the log)
            heard = error
        status, headers, body = _known(heard)
        return Response(body, status, headers)(environ, start_response)


def unavailable(error: ProjectorError) -> tuple[int, list[tuple[str, str]], bytes]:
    """What is answered while the store cannot commit; said in the log by the error's name alone."""
    logger.warning("store_unavailable", extra={"reason": type(error.__cause__ or error).__name__})
    return UNAVAILABLE


def _known(heard: Outcome | Exception) -> tuple[int, list[tuple[str, str]], bytes]:
    """What is answered after this: status, headers, body."""
    if isinstance(heard, Outcome):
        OUTCOMES.labels(heard.value).inc()
        answer = STORED
    elif isinstance(heard, ProjectorError):
        answer = unavailable(heard)
    else:
        logger.error("not_stored", exc_info=heard)
        answer = UNFORESEEN
    ANSWERS.labels(PATH, str(answer[0])).inc()
    return answer
