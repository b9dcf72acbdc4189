"""A load generator that costs as little as it can: one thread, raw sockets, requests prepared as bytes.

Of an answer it reads the status and, where there is a body, its length. Every request is posted once; a connection that ends
counts as an answer of status 0.
"""

import re
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tests.bench.cases import NotMeasured

ACCEPTED = 204
ANSWER_SECONDS = 20.0
BROKEN = 0
ANSWER_BYTES = 65_536
POSTS_OF_A_CONNECTION = 100  # then a new one is made: with several server processes, the less busy one takes it

_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Posted(NamedTuple):
    """What a stretch of posting came to."""

    seconds: float  # measured, without the warm-up
    accepted: int  # 204s in the measured stretch
    latencies: list[float]  # seconds, of these
    acknowledged: int  # every 204, before and after it too
    others: dict[int, int]  # every other status, at any time
    own_share: float  # of one core, what posting itself took

    @property
    def rate(self) -> float:
        """204s a second."""
        return self.accepted / self.seconds


class Answer(NamedTuple):
    """One request of those posted at a rate."""

    number: int
    status: int
    due_at: float
    answered_at: float


class _Connection:
    """A connection that is kept, with one request under way at most."""

    __slots__ = ("_so_far", "_socket", "number", "posts", "sent_at")

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._so_far = b""
        self.number, self.posts, self.sent_at = 0, 0, 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Post it."""
        self.posts += 1
        self.sent_at = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> int | None:
        """The status of the answer; None while some of it is still to come."""
        try:
            received = self._socket.recv(ANSWER_BYTES)
        except ConnectionError:
            received = b""
        if not received:
            return BROKEN
        self._so_far += received
        head, whole, body = self._so_far.partition(b"\r\n\r\n")
        length = _length.search(head) if whole else None
        if not whole or (length and len(body) < int(length[1])):
            return None
        self._so_far = b""
        return int(head[9:12])

    def close(self) -> None:
        """End it."""
        self._socket.close()


def post_steadily(port: int, requests: Sequence[bytes], connections: int, warm_seconds: float, seconds: float) -> Posted:
    """Post over so many connections, each again as soon as it is answered, until time is up or no request is left."""
    waiting = iter(requests)
    latencies: list[float] = []
    answers: Counter[int] = Counter()
    with _connected(port, connections) as (poll, by_file):
        first, worked = time.perf_counter(), time.process_time()
        began = first + warm_seconds
        ended = began + seconds
        for connection in by_file.values():
            connection.send(next(waiting))
        under_way = len(by_file)
        while under_way:
            for connection in _answering(poll, by_file):
                status = connection.receive()
                if status is None:
                    continue
                now = time.perf_counter()
                answers[status] += 1
                if status == ACCEPTED and began <= now < ended:
                    latencies.append(now - connection.sent_at)
                request = next(waiting, None) if now < ended and status != BROKEN else None
                if request is None:
                    ended = min(now, ended)  # fewer connections from here on
                    under_way -= 1
                    poll.unregister(connection)
                    continue
                if connection.posts == POSTS_OF_A_CONNECTION:
                    connection = _renewed(connection, port, poll, by_file)
                connection.send(request)
        own_share = (time.process_time() - worked) / (time.perf_counter() - first)
    if ended <= began:
        raise NotMeasured(f"Posting ended within the warm-up, after these answers: {dict(answers)}.")
    acknowledged = answers.pop(ACCEPTED, 0)
    return Posted(ended - began, len(latencies), latencies, acknowledged, dict(answers), own_share)


def post_at_rate(port: int, requests: Sequence[bytes], connections: int, per_second: float) -> list[Answer]:
    """Post each when it is due, whether or not earlier ones are answered, as long as a connection is free."""
    answers: list[Answer] = []
    with _connected(port, connections) as (poll, by_file):
        free = deque(by_file.values())  # in turn: the server closes a connection on which nothing comes for ten seconds
        began, number = time.perf_counter(), 0
        while len(answers) < len(requests):
            while number < len(requests) and free and began + number / per_second <= time.perf_counter():
                connection = free.popleft()
                connection.number = number
                connection.send(requests[number])
                number += 1
            pause = max(0.0, began + number / per_second - time.perf_counter())
            for connection in _answering(poll, by_file, pause if number < len(requests) and free else ANSWER_SECONDS):
                status = connection.receive()
                if status is None:
                    continue
                due_at = began + connection.number / per_second
                answers.append(Answer(connection.number, status, due_at, time.perf_counter()))
                if status == BROKEN:
                    raise NotMeasured("The server closed a connection.")
                free.append(connection)
    return answers


@contextmanager
def _connected(port: int, count: int) -> Iterator[tuple[select.epoll, dict[int, _Connection]]]:
    by_file = {connection.fileno(): connection for connection in [_Connection(port) for _ in range(count)]}
    try:
        with select.epoll() as poll:
            for connection in by_file.values():
                poll.register(connection, select.EPOLLIN)
            yield poll, by_file
    finally:
        for connection in by_file.values():
            connection.close()


def _renewed(old: _Connection, port: int, poll: select.epoll, by_file: dict[int, _Connection]) -> _Connection:
    poll.unregister(old)
    del by_file[old.fileno()]
    old.close()
    new = _Connection(port)
    poll.register(new, select.EPOLLIN)
    by_file[new.fileno()] = new
    return new


def _answering(poll: select.epoll, by_file: dict[int, _Connection], seconds: float = ANSWER_SECONDS) -> Iterator[_Connection]:
    """Those that something has come for."""
    found = poll.poll(seconds)
    if not found and seconds == ANSWER_SECONDS:
        raise NotMeasured(f"No answer came within {ANSWER_SECONDS:g} s.")
    for file, _ in found:
        yield by_file[file]
