"""The project's commands and servers as processes, each in a session of its own and ended by its id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import URL

from tests.bench.callbacks import PUBLIC_URL, TOKEN
from tests.bench.cases import NotMeasured
from tests.given import text_url
from tests.harness import free_port

ROOT = Path(__file__).parent.parent.parent
PROJECTOR = Path(sys.executable).with_name("projector")
START_SECONDS = 30.0
END_SECONDS = 15.0


def environment(url: URL) -> dict[str, str]:
    """The settings of a process over these tables, and none that this shell happens to have. Modules may be kept compiled."""
    ours = ("PROJECTOR_", "TWILIO_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    own = {"PROJECTOR_DATABASE_URL": text_url(url), "PROJECTOR_PUBLIC_URL": PUBLIC_URL, "TWILIO_AUTH_TOKEN": TOKEN}
    return {**inherited, **own, "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(command: list[str], settings: Mapping[str, str], diary: Path) -> Iterator[int]:
    """A server that answers `/healthz` on the port that it is told by `--port`: that port."""
    port = free_port()
    with started([*command, "--port", str(port)], settings, diary) as process:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotMeasured(f"A server did not start ({' '.join(command)}): {last_line(diary)}")
            time.sleep(0.02)
        yield port


@contextmanager
def started(command: list[str], settings: Mapping[str, str], diary: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A process and all it starts; what it says goes into the diary. Ended, with everything it started, at the end."""
    with diary.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(settings), stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            with suppress(ProcessLookupError):  # its session may still have others in it
                os.killpg(process.pid, signal.SIGKILL)


def last_line(diary: Path) -> str:
    """What a process said last."""
    lines = diary.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return connection.recv(16).startswith(b"HTTP/1.1 200")
    return False
