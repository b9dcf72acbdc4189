"""`projector demo`: a simulated floor posts signed callbacks at a real server over HTTP; a small live table shows what they come to.

Everything lives in a temporary folder and ends with the command: SQLite, migrations, web server and loop in processes of
their own, a token made for the occasion.
"""

import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sqlalchemy.engine import URL

from projector import tables
from projector.access import projected, reading
from projector.config import read_config
from projector.database import database_url, disposing, open_engine
from projector.errors import ProjectorError
from projector.floor.center import Floor
from projector.floor.delivery import Poster, deliveries, play
from projector.log import open_log
from projector.migrate import migrate
from projector.processes import Family, check_port, stop_on_signals
from projector.status import progress

REFRESH_SECONDS = 0.5
LINE_SECONDS = 2.0  # between lines where there is no terminal


def run_demo(host: str, port: int, seconds: float | None, rate: float, workers: int, seed: int) -> int:
    """Run until Ctrl-C or for so many seconds; return an exit status."""
    check_port(host, port)
    stop = stop_on_signals()
    began = time.monotonic()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="projector-demo-")))
        url = database_url(f"sqlite:///{folder / 'projector.db'}")
        migrate(url)
        address = f"http://{host}:{port}"
        token = secrets.token_hex(16)
        environment = {
            "PROJECTOR_DATABASE_URL": f"sqlite:///{url.database}",
            "PROJECTOR_PUBLIC_URL": f"{address}/callbacks",
            "TWILIO_AUTH_TOKEN": token,
            "PROJECTOR_BOARD": "open",
        }
        read_config({**os.environ, **environment})  # what cannot be read is told here, not in a log that goes with the folder
        diary = ending.enter_context((folder / "log.jsonl").open("wb"))
        family = Family({"web": ["web", "--host", host, "--port", str(port)], "loop": ["run"]}, environment, diary)
        family.start()
        ending.callback(family.end)
        refused = _wait_alive(address, family, stop)
        if refused is not None:
            return refused
        ending.enter_context(_floor(f"{address}/callbacks", token, seed, workers, rate, stop))
        _say(f"projector demo: {workers} simulated workers post about {rate:g} signed callbacks a second to {address}/callbacks")
        _say(f"  wallboard  {address}/")
        _say(
            f"  read API   {address}/api   (for keys of PROJECTOR_API_KEYS; {'some are set' if os.environ.get('PROJECTOR_API_KEYS') else 'none is set: PROJECTOR_API_KEYS=reader:secret projector demo'})"
        )
        _say(f"  readiness  {address}/readyz\n  metrics    {address}/metrics\n  tables     {url.database}\n  Ctrl-C ends it.\n")
        return _watch(url, family, stop, began, seconds)


def _wait_alive(address: str, family: Family, stop: threading.Event) -> int | None:
    """Until the server answers: a floor that posts before would lose its first callbacks. An exit status if it refuses to start."""
    while not stop.wait(0.05):
        if (refused := family.tend()) is not None:
            return refused
        with suppress(OSError, HTTPException), closing(HTTPConnection(address.removeprefix("http://"), timeout=1)) as connection:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return None
    return None


@contextmanager
def _floor(url: str, token: str, seed: int, workers: int, rate: float, stop: threading.Event) -> Iterator[None]:
    """The simulated floor, posting from a thread of its own until `stop`."""
    floor = Floor(seed, workers=workers, callbacks_per_second=rate, start_ms=time.time_ns() // 1_000_000)
    poster = Poster(url, token, connections=8)
    thread = threading.Thread(target=play, args=(deliveries(floor.callbacks(), seed), poster, stop), name="floor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
        poster.close(timeout=5)


def _watch(url: URL, family: Family, stop: threading.Event, began: float, seconds: float | None) -> int:
    """Show how things stand until the end; the exit status."""
    log = open_log(url)
    first_task_seconds = None
    with disposing(open_engine(url)) as engine, _screen() as show:
        while not stop.wait(REFRESH_SECONDS):
            refused = family.tend()
            if refused is not None:
                return refused
            try:
                standing = look(log, engine)
            except ProjectorError as error:
                standing = {"problem": str(error)}
            if first_task_seconds is None and standing.get("tasks"):
                first_task_seconds = time.monotonic() - began
                standing["note"] = f"first task in the tables {first_task_seconds:.1f} s after the start"
            show(standing)
            if seconds is not None and time.monotonic() - began >= seconds:
                stop.set()
        standing = look(log, engine)
    log.close()
    first = f"; the first task was in the tables after {first_task_seconds:.1f} s" if first_task_seconds else ""
    _say(f"Ended: {standing['stored']} callbacks stored, {standing['projected']} projected, {standing['tasks']} tasks{first}.")
    return 0 if standing["tasks"] or seconds is None else 1


def look(log: Any, engine: sa.Engine) -> dict[str, Any]:
    """What the screen shows: workers by activity, queues with waiting tasks and longest wait, callbacks stored, lag."""
    worker, task, queue = tables.worker.c, tables.task.c, tables.task_queue.c
    by_activity = (
        sa.select(worker.activity_name, sa.func.count()).where(worker.deleted_at.is_(None), worker.activity_name.is_not(None))
    ).group_by(worker.activity_name)
    live = sa.and_(task.completed_at.is_(None), task.canceled_at.is_(None), task.deleted_at.is_(None))
    waiting = sa.and_(live, task.status.in_(["pending", "reserved"]))
    by_queue = (
        sa.select(
            queue.friendly_name,
            sa.func.count().filter(waiting),
            sa.func.min(task.queue_entered_at, type_=tables.Instant).filter(waiting),
            sa.func.count().filter(sa.and_(live, sa.not_(waiting))),
        )
        .join_from(
            tables.task_queue,
            tables.task,
            sa.and_(queue.workspace_sid == task.workspace_sid, queue.task_queue_sid == task.task_queue_sid),
        )
        .group_by(queue.friendly_name)
    )
    with reading(engine) as connection:
        now_ms = projected(connection).event_at or 0
        activities = {row[0]: row[1] for row in connection.execute(by_activity.order_by(worker.activity_name))}
        queues = [
            {"queue": name, "waiting": count, "longest": (now_ms - oldest) // 1000 if oldest else 0, "in_progress": busy}
            for name, count, oldest, busy in connection.execute(by_queue.order_by(queue.friendly_name))
        ]
        tasks = connection.execute(sa.select(sa.func.count()).select_from(tables.task)).scalar_one()
    lag = progress(log, engine, time.time_ns() // 1_000_000)
    return {
        "activities": activities, "queues": queues, "tasks": tasks, "stored": lag["log_position"],
        "projected": lag["projected_position"], "lag_events": lag["lag_events"], "lag_seconds": lag["lag_seconds"],
        "duplicates": log.intake().get("duplicate", 0),
    }  # fmt: skip


@contextmanager
def _screen() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A way to show a standing: a live table on a terminal, a line every two seconds elsewhere."""
    if sys.stdout.isatty():
        with Live(console=Console(markup=False, emoji=False), refresh_per_second=4) as live:
            yield lambda standing: live.update(drawn(standing))
        return
    last = [0.0]

    def line(standing: Mapping[str, Any]) -> None:
        if "note" in standing or time.monotonic() - last[0] >= LINE_SECONDS:
            last[0] = time.monotonic()
            _say(as_line(standing))

    yield line


def drawn(standing: Mapping[str, Any]) -> Group:
    """The live table."""
    if "problem" in standing:
        return Group(Text(str(standing["problem"])))
    workers = Table(title="Workers", title_justify="left")
    workers.add_column("activity")
    workers.add_column("workers", justify="right")
    for name, count in standing["activities"].items():
        workers.add_row(name, str(count))
    queues = Table(title="Queues", title_justify="left")
    queues.add_column("queue")
    for name in ("waiting", "longest wait", "in progress"):
        queues.add_column(name, justify="right")
    for row in standing["queues"]:
        queues.add_row(row["queue"] or "–", str(row["waiting"]), clock(row["longest"]), str(row["in_progress"]))
    side = Table.grid(padding=(0, 3))
    side.add_row(queues, workers)
    return Group(side, Text(_figures(standing)))


def as_line(standing: Mapping[str, Any]) -> str:
    """The same as one line."""
    if "problem" in standing:
        return str(standing["problem"])
    if "note" in standing:
        return str(standing["note"])
    waiting = sum(row["waiting"] for row in standing["queues"])
    longest = max((row["longest"] for row in standing["queues"]), default=0)
    workers = ", ".join(f"{count} {name}" for name, count in standing["activities"].items())
    return f"{_figures(standing)} · waiting {waiting}, longest {clock(longest)} · {workers}"


def _figures(standing: Mapping[str, Any]) -> str:
    return (
        f"stored {standing['stored']} (+{standing['duplicates']} duplicates) · tasks {standing['tasks']} · "
        f"lag {standing['lag_events']} callbacks, {standing['lag_seconds']:.1f} s"
    )


def clock(seconds: int) -> str:
    """185 s as 3:05."""
    return f"{seconds // 60}:{seconds % 60:02d}"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (this command's output)
