"""Callbacks on their way: late, twice or never; signed and posted, over real HTTP, to this machine and no other."""

import heapq
import http.client
import ipaddress
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import TypeAlias
from urllib.parse import urlencode, urlsplit

from twilio.request_validator import RequestValidator

Sent: TypeAlias = tuple[int, dict[str, str]]  # epoch milliseconds, the parameters

NOT_CONNECTED = 0  # the status of a post that got no answer
WAITING_PER_CONNECTION = 64
LOOK_UP_SECONDS = 0.2  # how often those who wait look whether they shall stop


def deliveries(
    callbacks: Iterable[Sent], seed: int, duplicates: float = 0.02, late: float = 0.05, late_ms_max: int = 300, lost: float = 0.0
) -> Iterator[Sent]:
    """The callbacks in the order in which they are delivered: when (epoch milliseconds, never going back), and the parameters.

    `duplicates`, `late` and `lost` are shares of the callbacks: delivered a second time, up to `late_ms_max` milliseconds
    late, never. Whatever is not late is delivered when it is sent. The same arguments are the same deliveries.
    """
    random = Random(f"deliveries {seed}")
    under_way: list[tuple[int, int, dict[str, str]]] = []  # delivered at, a number that settles ties, the parameters
    number = 0
    for at_ms, parameters in callbacks:
        while under_way and under_way[0][0] <= at_ms:
            delivered_ms, _, earlier = heapq.heappop(under_way)
            yield delivered_ms, earlier
        if lost and random.random() < lost:
            continue
        times = 2 if random.random() < duplicates else 1
        for again in range(times):
            delay_ms = random.randint(1, max(1, late_ms_max)) if again or random.random() < late else 0
            number += 1
            heapq.heappush(under_way, (at_ms + delay_ms, number, parameters))
    while under_way:
        delivered_ms, _, parameters = heapq.heappop(under_way)
        yield delivered_ms, parameters


def sign(url: str, parameters: dict[str, str], token: str) -> str:
    """The X-Twilio-Signature of a form post, by Twilio's own code."""
    signature: str = RequestValidator(token).compute_signature(url, parameters)
    return signature


class Poster:
    """Posts callbacks the way Twilio does: signed, over connections that are kept, again when nobody answers or with 5xx.

    A load generator, so it refuses every address but this machine's. `counts` and `errors` may be read at any time.
    """

    def __init__(
        self,
        url: str,
        token: str,
        connections: int = 4,
        retries: int = 2,
        pause_seconds: float = 0.1,
        timeout_seconds: float = 15.0,
    ) -> None:
        """`retries` is Twilio's `rc`; `timeout_seconds` is for connecting and for each answer (Twilio's is 15)."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not _is_loopback(parts.hostname):
            raise ValueError(
                f"Callbacks are only posted to this machine, by http://, and {url} is not: take http://127.0.0.1:8080/callbacks."
            )
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._url, self._token = url.partition("#")[0], token  # a fragment holds connection overrides and is not signed
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._retries, self._pause_seconds, self._timeout_seconds = retries, pause_seconds, timeout_seconds
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._own = threading.local()  # each thread's connection
        self._connections: set[http.client.HTTPConnection] = set()
        self._waiting: queue.Queue[dict[str, str]] = queue.Queue(connections * WAITING_PER_CONNECTION)
        self._ending, self._ended = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"poster {n}", daemon=True) for n in range(connections)]
        for thread in self._threads:
            thread.start()

    @property
    def counts(self) -> dict[int, int]:
        """How many attempts were answered with which status; 0: with none."""
        with self._lock:
            return dict(self._counts)

    @property
    def errors(self) -> dict[str, int]:
        """How many attempts failed with which error."""
        with self._lock:
            return dict(self._errors)

    def post(self, parameters: dict[str, str]) -> int:
        """Post over this thread's own connection and wait: the last attempt's status, 0 when there was no answer."""
        body = urlencode(parameters)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": sign(self._url, parameters, self._token),
            "I-Twilio-Idempotency-Token": parameters.get("Sid", ""),  # the same in every attempt, as Twilio's is
        }
        status = self._attempt(body, headers)
        for attempt in range(self._retries):
            if (status != NOT_CONNECTED and status < 500) or self._ended.wait(self._pause_seconds * (attempt + 1)):
                break
            status = self._attempt(body, headers)
        return status

    def submit(self, parameters: dict[str, str], timeout: float | None = None) -> bool:
        """Have it posted by one of the connections; waits while the queue is full. False: `timeout` seconds have passed."""
        try:
            self._waiting.put(parameters, timeout=timeout)
        except queue.Full:
            return False
        return True

    def close(self, timeout: float = 10.0) -> bool:
        """Post what was submitted, for so many seconds at most, and end. True: all of it was posted."""
        self._ending.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._ended.set()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.close()
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                parameters = self._waiting.get(timeout=LOOK_UP_SECONDS)
            except queue.Empty:
                if self._ending.is_set():
                    break
                continue
            self.post(parameters)

    def _attempt(self, body: str, headers: dict[str, str]) -> int:
        try:
            connection = self._connection()
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
            response.read()
            status = response.status
            if response.will_close:
                self._disconnect()
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            with self._lock:
                self._errors[type(error).__name__] += 1
                self._counts[NOT_CONNECTED] += 1
            return NOT_CONNECTED
        with self._lock:
            self._counts[status] += 1
        return status

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_seconds)
            self._own.connection = connection
            with self._lock:
                self._connections.add(connection)
        return connection

    def _disconnect(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None
            with self._lock:
                self._connections.discard(connection)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def play(
    callbacks: Iterable[Sent],
    poster: Poster,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] | None = None,
) -> int:
    """Submit each callback when its time has come, until `stop` is set; how many were submitted.

    The times are the clock's (seconds since the epoch; a floor's `start_ms` being now). What is behind is submitted as fast
    as it can be: it is never skipped.
    """
    wait = stop.wait if sleep is None else sleep
    submitted = 0
    for at_ms, parameters in callbacks:
        ahead_seconds = at_ms / 1000 - clock()
        if ahead_seconds > 0:
            wait(ahead_seconds)
        while not stop.is_set():
            if poster.submit(parameters, timeout=LOOK_UP_SECONDS):
                submitted += 1
                break
        if stop.is_set():
            break
    return submitted
