"""What is open far longer than its kind usually is: named, never closed."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from math import ceil
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector.access import reading
from projector.database import disposing, open_engine
from projector.floor.center import Floor
from projector.log import Log, open_log
from projector.project import project
from projector.read.stuck import stuck
from projector.rebuild import rebuild
from projector.table_sink import TableSink
from projector.tables.open import ENOUGH
from projector.tables.views import view
from tests.given import (
    START_MS,
    WORKSPACE,
    Parameters,
    arrived,
    ms,
    reservation,
    sid,
    task,
    task_completed,
    task_created,
    text_url,
)
from tests.harness import ROOT
from tests.mirror import KEY, served
from tests.reading import reading_from


class Open:
    """A log, its tables, and what is open in them."""

    def __init__(self, url: URL, log: Log) -> None:
        self.url, self.log = url, log

    def after(self, *told: Parameters) -> "Open":
        arrived(self.log, *told)
        with disposing(open_engine(self.url)) as engine:
            project(self.log, TableSink(engine))
        return self

    def stuck(self, factor: float = 3.0, workspace: str | None = None) -> list[dict[str, Any]]:
        with disposing(open_engine(self.url)) as engine, reading(engine) as connection:
            return stuck(connection, self.log, factor, workspace, 100)

    def rows(self) -> list[dict[str, Any]]:
        with disposing(open_engine(self.url)) as engine, reading(engine) as connection:
            return [dict(row._mapping) for row in connection.execute(sa.select(*view("open_now").c))]


@pytest.fixture
def told(url: URL) -> Iterator[Open]:
    with closing(open_log(url)) as log:
        yield Open(url, log)


def life(name: str, at: float, *, until: str = "", **more: str) -> list[Parameters]:
    """A task that waits 1 s, rings 2 s, is talked about for 100 s, and wrapped up in 10 s; up to a callback that is the first not to come."""
    offer = f"r {name}"
    whole = [
        task_created(at, name, **more), task("task-queue.entered", at, name, TaskAssignmentStatus="pending", **more),
        reservation("created", at + 1, offer, name, **more), reservation("accepted", at + 3, offer, name, **more),
        reservation("wrapup", at + 103, offer, name, **more),
        reservation("completed", at + 113, offer, name, TaskAssignmentStatus="completed", **more), task_completed(at + 113, name, **more),
    ]  # fmt: skip
    types = [each["EventType"] for each in whole]
    return whole[: types.index(until)] if until else whole


USUAL = [each for n in range(30) for each in life(f"t{n}", n)]
TALKED, WRAPPED = life("talked", 0, until="reservation.wrapup"), life("wrapped", 0, until="reservation.completed")


def tick(at: float) -> Parameters:
    """A callback that moves the projection's time and nothing else."""
    return task("task.updated", at, "tick", TaskAssignmentStatus="canceled")


def named(rows: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(row["kind"], row["sid"], row["status"]) for row in rows}


HANGS = {("task", sid("WT", "talked"), "assigned"), ("reservation", sid("WR", "r talked"), "accepted")}
IS_WRAPPED = {("task", sid("WT", "wrapped"), "wrapping"), ("reservation", sid("WR", "r wrapped"), "wrapping")}


def test_what_is_open_for_long_is_named_and_nothing_else(told: Open) -> None:
    """A call that is talked on for ever, a wrap-up that nobody ends: the task and its reservation, by how far beyond the usual."""
    told.after(*USUAL, *TALKED, *WRAPPED, tick(1003))
    assert named(told.stuck()) == HANGS | IS_WRAPPED
    longest, *_, shortest = told.stuck()
    assert (longest["status"], longest["usual_ms"], longest["usual_of"], longest["open_ms"]) == ("wrapping", 10_000, 30, 900_000)
    assert (shortest["status"], shortest["times_usual"]) == ("assigned", 10.0)
    assert longest["last_callback"] == {"sid": WRAPPED[-1]["Sid"], "event_type": "reservation.wrapup", "at": ms(103)}


def test_beyond_the_factor_and_not_at_it(told: Open) -> None:
    """Of 100 s: at 300 s three times as long is not yet more than that."""
    told.after(*USUAL, *TALKED, tick(303))
    assert (named(told.stuck(3)), named(told.stuck(2.99))) == (set(), HANGS)
    assert named(told.after(tick(303.001)).stuck(3)) == HANGS


def test_of_too_few_nothing_is_said(told: Open) -> None:
    """Neither by channel nor by status alone; and by status where only the channel has too few."""
    chat = {"TaskChannelSid": sid("TC", "chat"), "TaskChannelUniqueName": "chat"}
    some = [each for n in range(ENOUGH - 1) for each in life(f"t{n}", n)]
    hangs = life("talked", 0, until="reservation.wrapup", **chat)
    told.after(*some, *hangs, tick(10_000))
    assert told.stuck() == []
    assert {row["usual_ms"] for row in told.rows()} == {None}
    assert named(told.after(*life("one more", 50)).stuck()) == HANGS


def test_an_end_that_comes_late_ends_it(told: Open) -> None:
    """Nothing was closed for it meanwhile."""
    told.after(*USUAL, *TALKED, tick(1003))
    assert named(told.stuck()) == HANGS
    assert told.after(*life("talked", 0)[4:]).stuck() == []


def test_what_was_long_ago_says_nothing(told: Open) -> None:
    """Of the last thirty days alone."""
    assert told.after(*USUAL, *TALKED, tick(31 * 86_400)).stuck() == []


def test_a_rebuild_names_the_same(told: Open) -> None:
    """A function of the callbacks."""
    told.after(*USUAL, *TALKED, *WRAPPED, tick(1003))
    live = told.rows()
    rebuild(told.url)
    assert sorted(map(repr, told.rows())) == sorted(map(repr, live))


def test_a_workspace_can_be_asked_for_alone(told: Open) -> None:
    """What is usual there is not what is usual here."""
    told.after(*USUAL, *TALKED, tick(1003))
    assert named(told.stuck(workspace=WORKSPACE)) == HANGS
    assert told.stuck(workspace="WS" + "2" * 32) == []


def test_the_percentile_is_that_of_a_plain_count(told: Open, new_url: Callable[[str], URL]) -> None:
    """On a floor: nearest rank, by channel where there are enough; the same on both databases."""
    told.after(*(each for _, each in islice(Floor(2, workers=12, start_ms=START_MS).callbacks(), 3_000)))
    lengths: dict[tuple[str, str, str | None], list[int]] = defaultdict(list)
    with disposing(open_engine(told.url)) as engine, reading(engine) as connection:
        channel = {
            row.task_sid: row.task_channel_sid
            for row in connection.execute(sa.text("SELECT task_sid, task_channel_sid FROM task"))
        }
        for kind in ("task", "reservation"):
            for row in connection.execute(sa.select(*view(f"{kind}_status_span").c)):
                if row.ended_at is not None and not row.inferred:
                    for of in {channel[row.task_sid], None}:
                        lengths[kind, row.status, of].append(row.ended_at - row.started_at)
    seen = 0
    for row in told.rows():
        mine = lengths[row["kind"], row["status"], row["task_channel_sid"]]
        mine = mine if len(mine) >= ENOUGH else lengths[row["kind"], row["status"], None]
        usual = sorted(mine)[ceil(0.99 * len(mine)) - 1] if len(mine) >= ENOUGH else None
        assert (row["usual_ms"], row["usual_of"] or 0) == (usual, len(mine) if usual is not None else 0)
        seen += usual is not None
    assert seen > 10


def test_the_command_tells_and_asks_twilio(told: Open, new_url: Callable[[str], URL]) -> None:
    """What is open here has ended there, or is not known there any more."""
    told.after(*USUAL, *TALKED, *WRAPPED, tick(1003))
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(told.url), "TWILIO_API_KEYS": f"{KEY.name}:{KEY.secret}"}

    def run(*arguments: str, **more: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "projector", "stuck", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment | more, capture_output=True, text=True, check=True)
        assert KEY.secret not in done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    assert run("--factor", "1000") == {"factor": 1000.0, "stuck": []}
    assert {row["sid"] for row in run()["stuck"]} == {of for _, of, _ in HANGS | IS_WRAPPED}
    with reading_from(new_url("sqlite"), KEY) as api, served(api.told(*life("talked", 0))) as url:
        said = {row["sid"]: row["at_twilio"] for row in run("--ask", PROJECTOR_TWILIO_URL=url)["stuck"]}
    assert said[sid("WT", "talked")] == "completed since 2026-02-02T02:41:53Z"
    assert said[sid("WR", "r talked")] == "completed since 2026-02-02T02:41:53Z"
    assert said[sid("WT", "wrapped")] == "Twilio does not know it any more"
