"""The commands, as a person or a script meets them."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from projector import demo
from projector.database import disposing, open_engine
from projector.log import open_log
from projector.project import project
from projector.table_sink import TableSink
from tests.databases import Databases
from tests.given import PUBLIC_URL, TOKEN, arrived, callback, reservation, sid, task_created, text_url, worker


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "projector", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_status_says_how_things_stand(url: sa.URL) -> None:
    """Positions, lag, counts by EventType, unknown types, duplicates: JSON on a pipe, exit status 0."""
    log = open_log(url)
    arrived(log, task_created(at=0), task_created(at=0), callback("task.teleported", at=1))
    with disposing(open_engine(url)) as engine:
        project(log, TableSink(engine))
    arrived(log, worker("created", at=2))
    log.close()
    done = run("status", "--json", PROJECTOR_DATABASE_URL=text_url(url))
    assert done.returncode == 0, done.stderr
    standing = json.loads(done.stdout)
    assert (standing["log_position"], standing["projected_position"], standing["lag_events"]) == (3, 2, 1)
    assert standing["lag_seconds"] > 0
    assert standing["event_types"] == {"task.created": 1}
    assert standing["unknown_event_types"] == {"task.teleported": 1}
    assert (standing["duplicates"], standing["incomplete"]) == (1, {})
    brief = json.loads(run("status", "--brief", "--json", PROJECTOR_DATABASE_URL=text_url(url)).stdout)
    assert brief.keys() < standing.keys()
    assert (brief["log_position"], brief["projected_position"], "event_types" in brief) == (3, 2, False)


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["status"], {"PROJECTOR_DATABASE_URL": "mysql://host/name"}, "sqlite and postgresql are supported"),
        (["status"], {"PROJECTOR_DATABASE_URL": "sqlite:///nowhere/at/all.db"}, "There is no database"),
        (["serve"], {"TWILIO_AUTH_TOKEN": ""}, "Set it to the account's auth token"),
        (["serve"], {"TWILIO_AUTH_TOKEN": "t", "PROJECTOR_PUBLIC_URL": "http://example.com/callbacks"}, "Use https"),
        (["serve"], {"TWILIO_AUTH_TOKEN": "t", "PROJECTOR_PUBLIC_URL": PUBLIC_URL}, "projector migrate"),
        (["run"], {}, "projector migrate"),
        (["import", "-"], {}, "projector migrate"),
        (["export"], {}, "projector migrate"),
    ],
)
def test_a_refusal_is_one_sentence_with_the_next_step(
    databases: Databases, arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    """Exit status 2, no traceback."""
    empty = text_url(databases.new("sqlite", migrated=False))
    done = run(*arguments, **{"PROJECTOR_DATABASE_URL": empty} | environment)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_clear_sentence(databases: Databases) -> None:
    """Demo and serve say which port, and how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = {"TWILIO_AUTH_TOKEN": TOKEN, "PROJECTOR_PUBLIC_URL": PUBLIC_URL}
        for done in (
            run("demo", "--port", port),
            run("serve", "--port", port, PROJECTOR_DATABASE_URL=text_url(databases.new("sqlite")), **settings),
        ):
            assert done.returncode == 2
            assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr


def test_a_setting_that_cannot_be_read_ends_the_demo_in_a_sentence() -> None:
    """Before anything starts; not in a log that is gone with it."""
    done = run("demo", "--port", free_port(), PROJECTOR_API_KEYS="broken")
    assert done.returncode == 2
    assert "Entry 1 of PROJECTOR_API_KEYS is not `name:password`" in done.stderr
    assert done.stdout == ""


def test_the_demo_runs_projects_and_ends_cleanly() -> None:
    """Tasks are in the tables, everything stored is projected, nothing is left behind."""
    done = run("demo", "--port", free_port(), "--for", "12", "--rate", "60", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.search(r"Ended: (\d+) callbacks stored, (\d+) projected, (\d+) tasks", done.stdout)
    assert ended, done.stdout
    stored, projected, tasks = map(int, ended.groups())
    assert stored >= projected > 0
    assert tasks > 0
    folder = re.search(r"tables     (\S+)", done.stdout)
    assert folder
    assert not Path(folder[1]).exists()


def test_ctrl_c_ends_the_demo() -> None:
    """SIGINT to the whole group, as a terminal sends it: exit status 0 and no traceback."""
    command = [sys.executable, "-m", "projector", "demo", "--port", free_port()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "first task" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_the_screen_shows_activities_queues_and_lag(url: sa.URL) -> None:
    """What the live table draws: workers by activity, waiting tasks and the longest wait as of the newest event."""
    log = open_log(url)
    arrived(
        log,
        worker("created", at=0, activity="Idle"),
        task_created(at=0, task_="waiting"),
        callback("task-queue.entered", at=10, TaskSid=task_created(at=0, task_="waiting")["TaskSid"]),
        task_created(at=1, task_="talking"),
        reservation("accepted", at=195, task_="talking"),
    )
    with disposing(open_engine(url)) as engine:
        project(log, TableSink(engine))
        standing = demo.look(log, engine)
    log.close()
    assert standing["activities"] == {"Idle": 1}
    assert standing["queues"] == [{"queue": "Support", "waiting": 1, "longest": 185, "in_progress": 1}]
    assert "longest 3:05" in demo.as_line(standing)


def on_terminal(*arguments: str, **environment: str) -> str:
    """What a person sees on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"} | environment
    process = subprocess.Popen([sys.executable, "-m", "projector", *arguments], env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a pseudo-terminal says that nobody writes to it any more
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown.decode()


def test_people_s_text_is_shown_as_it_is(url: sa.URL) -> None:
    """Brackets and colons in names and attributes are no markup; the first line says what the worker was doing."""
    log = open_log(url)
    attributes = '{"note":"[/oops] [red]x[/red] :smile:"}'
    arrived(log, worker("created", at=0, WorkerName="[VIP] ann :smile:", WorkerAttributes=attributes))
    with disposing(open_engine(url)) as engine:
        project(log, TableSink(engine))
    log.close()
    for command in (["at", sid("WK", "ann"), "1770000005000"], ["explain", sid("WK", "ann")]):
        shown = on_terminal(*command, PROJECTOR_DATABASE_URL=text_url(url))
        assert "[VIP] ann :smile:" in shown, shown
        assert "[/oops]" in shown
    assert "[VIP] ann :smile: was in Idle since 2026-02-02T02:40:00.000Z; no task" in on_terminal(
        "at", sid("WK", "ann"), "1770000005000", PROJECTOR_DATABASE_URL=text_url(url)
    )


def test_a_log_that_is_gone_is_not_made_anew(databases: Databases) -> None:
    """Looking never makes files: neither a database nor an empty log beside full tables."""
    url = databases.new("sqlite")
    assert url.database
    log = Path(url.database).with_name("projector-log.db")
    log.unlink()
    done = run("verify", PROJECTOR_DATABASE_URL=text_url(url))
    assert (done.returncode, log.exists()) == (2, False)
    assert "is not beside the tables. Put it back" in done.stderr
