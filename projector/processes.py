"""Processes that belong together: started together, ended together, restarted when one dies alone."""

import gc
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from projector.errors import Misconfigured

END_SECONDS = 10.0
BACKOFF_SECONDS = (0.5, 10.0)
HEALTHY_SECONDS = 60.0  # whoever ran for so long begins with the short pause again
STOPS = (signal.SIGTERM, signal.SIGINT)
NEEDS_A_PERSON = 2  # exit status of a refusal: restarting would only repeat it

Commands = Mapping[str, Sequence[str]]


@contextmanager
def counting_together() -> Iterator[None]:
    """Counters of this process and those it makes are one, as long as this lasts.

    To be entered before any module that counts is imported: a counter chooses where it is kept when it is made.
    """
    with tempfile.TemporaryDirectory(prefix="projector-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    on_signals(stop.set)
    return stop


def on_signals(act: Callable[[], None]) -> None:
    """Call this at every SIGTERM and SIGINT, in a thread of its own.

    Not in a handler: that interrupts the main thread anywhere, also where it holds the lock that `Event.set` needs.
    """
    wakes, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    for number in STOPS:
        signal.signal(number, lambda *_: None)

    def attend() -> None:
        with woken:
            while wakes.recv(1):
                act()

    threading.Thread(target=attend, name="signals", daemon=True).start()


def end_with_parent(parent: int | None = None) -> None:
    """End this process (SIGTERM) when the one that started it is gone, even by SIGKILL, so that no port stays taken.

    `parent` is that one's pid, which it has to tell: it may be gone before we can look. (`Family` tells it by the environment.)
    """
    told = os.environ.pop("PROJECTOR_PARENT", "")
    parent = parent or (int(told) if told else os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def collect_seldom() -> None:
    """Let Python look for garbage seldom: folding makes millions of objects and no cycles, and each look would pass over all of them."""
    gc.collect()
    gc.freeze()  # what is imported stays
    gc.set_threshold(100_000, 50, 100)


def check_port(host: str, port: int) -> None:
    """Refuse a port that somebody listens on already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Misconfigured(
                f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with --port."
            ) from error


class Family:
    """The `projector` processes of one command, by name → arguments."""

    def __init__(self, commands: Commands, environment: Mapping[str, str], diary: IO[bytes] | None = None) -> None:
        """`diary` takes their standard error instead of ours."""
        self._commands = commands
        self._diary = diary
        self._environment = {**os.environ, **environment, "PROJECTOR_PARENT": str(os.getpid())}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._wait = dict.fromkeys(commands, BACKOFF_SECONDS[0])
        self._started_at: dict[str, float] = {}
        self._restart_at: dict[str, float] = {}

    def start(self) -> None:
        """Start them all."""
        for name in self._commands:
            self._start(name)

    def tend(self) -> int | None:
        """Restart whoever died, with growing pauses. A status when the web server refused: without it there is nothing to do.

        A loop that refused stays down, its sentence on standard error: callbacks are stored all the same, and `/readyz` says why.
        """
        now = time.monotonic()
        for name, process in list(self._running.items()):
            status = process.poll()
            if status is None:
                continue
            del self._running[name]
            if status == NEEDS_A_PERSON:
                if name == "web":
                    return status
                continue
            if now - self._started_at[name] > HEALTHY_SECONDS:
                self._wait[name] = BACKOFF_SECONDS[0]
            self._restart_at[name] = now + self._wait[name]
            self._wait[name] = min(2 * self._wait[name], BACKOFF_SECONDS[1])
        for name, at in list(self._restart_at.items()):
            if now >= at:
                del self._restart_at[name]
                self._start(name)
        return None

    def end(self) -> None:
        """SIGTERM to all, ten seconds to finish, then SIGKILL."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS - 1
        for process in self._running.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, stop: threading.Event) -> int:
        """Start, tend until told to stop or one needs a person, end. The exit status."""
        self.start()
        try:
            while not stop.wait(0.2):
                status = self.tend()
                if status is not None:
                    return status
            return 0
        finally:
            self.end()

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "projector", *self._commands[name]]
        self._started_at[name] = time.monotonic()
        self._running[name] = subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stderr=self._diary)  # noqa: S603 (ourselves)
