"""The answer to callbacks: not known before the store has committed, and then given by whoever hears of it last."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from flask import Response

from projector.errors import ProjectorError
from projector.log import Entry, GroupCommit, Outcome, Rejected
from webhook.metrics import ANSWERS

PLAIN = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")
UNAVAILABLE = 503, [PLAIN, ("retry-after", "2")], b"Not stored. Try again.\n"
UNFORESEEN = 500, [PLAIN], b"Not stored, for a reason nobody foresaw.\n"
ANSWER = "projector.answer"  # in the environ of a server that can be answered later: `Answer`
LATER: list[bytes] = []  # what the application returns to it then, having started no response

Answer = Callable[[int, list[tuple[str, str]], bytes], object]  # status, headers, body; from any thread, once

logger = logging.getLogger(__name__)


class WhenStored(NamedTuple):
    """What a route answers when everything is durable: its path and status, and who counts what became of each arrival."""

    path: str
    status: int
    counted: Callable[[Sequence[Outcome]], object]


class Acknowledgement(Response):
    """Stores what a request brought, and answers when all of it is durable.

    The thread of the request waits for that, as WSGI has it, unless the server can be answered later (`ANSWER`): then it goes
    on with the next request, and the writer's thread answers this one.
    """

    def __init__(self, writer: GroupCommit, arrivals: Sequence[Entry | Rejected], stored: WhenStored) -> None:
        super().__init__()
        self._writer, self._arrivals, self._stored = writer, arrivals, stored

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """The WSGI application that a response is."""
        answer: Answer | None = environ.get(ANSWER)
        heard: Sequence[Outcome | Exception]
        try:
            if answer is not None:
                self._writer.submit_all(self._arrivals, lambda heard: answer(*_known(heard, self._stored)))
                return LATER
            heard = self._writer.append_all(self._arrivals)
        except Exception as error:  # noqa: BLE001 (told to the client and to the log)
            heard = [error]
        status, headers, body = _known(heard, self._stored)
        return Response(body, status, headers)(environ, start_response)


def _known(heard: Sequence[Outcome | Exception], stored: WhenStored) -> tuple[int, list[tuple[str, str]], bytes]:
    """What is answered after this: status, headers, body."""
    outcomes = [each for each in heard if isinstance(each, Outcome)]
    troubles = [each for each in heard if isinstance(each, Exception)]
    unforeseen = [each for each in troubles if not isinstance(each, ProjectorError)]
    if not troubles:
        stored.counted(outcomes)
        answer = stored.status, [JSON], b""
    elif unforeseen:
        logger.error("not_stored", exc_info=unforeseen[0])
        answer = UNFORESEEN
    else:
        logger.warning("store_unavailable", extra={"reason": type(troubles[0].__cause__ or troubles[0]).__name__})
        answer = UNAVAILABLE
    ANSWERS.labels(stored.path, str(answer[0])).inc()
    return answer
