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
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.access import reading
from projector.config import Config
from projector.database import disposing, open_engine
from projector.errors import TwilioRefused, TwilioUnavailable
from projector.feeds.shown import shown
from projector.feeds.twilio import Twilio
from projector.floor.center import Floor
from projector.floor.delivery import deliveries
from projector.log import Log, open_log
from projector.project import project
from projector.read.stuck import stuck
from projector.rebuild import rebuild
from projector.table_sink import TableSink
from projector.tables import open as opened
from projector.tables.open import ENOUGH, open_now
from projector.tables.views import view
from tests.given import (
    ACCOUNT,
    START_MS,
    WORKSPACE,
    Parameters,
    arrived,
    callback,
    ms,
    reservation,
    sid,
    task,
    task_completed,
    task_created,
    text_url,
    worker,
)
from tests.harness import ROOT, measured
from tests.mirror import KEY, served
from tests.reading import reading_from
from tests.test_cli import on_terminal


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


def test_what_a_deletion_ended_says_nothing(told: Open) -> None:
    """Tasks that were deleted after a day had ended long before, for all that is known: what is usual stays a hundred seconds."""
    purged = [each for n in range(30) for each in life(f"gone{n}", n, until="reservation.completed")]
    deleted = [task("task.system-deleted", 86_400 + n, f"gone{n}") for n in range(30)]
    told.after(*USUAL, *TALKED, *purged, *deleted)
    (row,) = (row for row in told.stuck() if row["kind"] == "task")
    assert (row["usual_ms"], row["usual_of"]) == (100_000, 60)
    wrapping = [row for row in told.after(*WRAPPED).rows() if row["status"] == "wrapping"]
    assert [(row["usual_ms"], row["usual_of"]) for row in wrapping] == [(10_000, 30)] * 2


def test_what_usually_takes_no_time_is_stuck_after_seconds(told: Open) -> None:
    """An offer that is taken in its own millisecond thirty times: a fraction of a second is no sign, minutes are."""
    at_once = [
        each
        for n in range(30)
        for each in (
            task_created(n, f"t{n}"),
            reservation("created", n, f"r{n}", f"t{n}"),
            reservation("accepted", n, f"r{n}", f"t{n}"),
        )
    ]
    told.after(*at_once, task_created(100, "rings"), reservation("created", 100, "rings", "rings"), tick(103))
    rings = ("reservation", sid("WR", "rings"), "pending")
    assert [row["usual_ms"] for row in told.rows() if row["sid"] == rings[1]] == [0]
    assert rings not in named(told.stuck(3))
    assert rings in named(told.after(tick(103.001)).stuck(3))


def test_the_tasks_that_ended_last_are_looked_at(told: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there were in thirty days: the 25 of before, who were quick, are not read any more."""
    quick = [each | {"Sid": f"EV{n:032x}"} for n, each in enumerate(each for n in range(25) for each in hurried(f"q{n}", n))]
    told.after(
        *quick, *(each for n in range(25) for each in life(f"t{n}", 1000 + n)), *life("talked", 1000, until="reservation.wrapup")
    )
    for bound, usual in ((50, (100_000, 50)), (25, (100_000, 25)), (26, (100_000, 26))):
        monkeypatch.setattr(opened, "TASKS", bound)
        with disposing(open_engine(told.url)) as engine, reading(engine) as connection:
            select = open_now(engine.dialect.name).subquery("now")
            found = connection.execute(
                sa.select(select.c.usual_ms, select.c.usual_of).where(select.c.kind == "reservation")
            ).all()
        assert [tuple(row) for row in found] == [usual]


def hurried(name: str, at: float) -> list[Parameters]:
    """The same life, talked about for 5 s."""
    offer = f"r {name}"
    return [
        task_created(at, name), reservation("created", at + 1, offer, name), reservation("accepted", at + 3, offer, name),
        reservation("wrapup", at + 8, offer, name),
        reservation("completed", at + 9, offer, name, TaskAssignmentStatus="completed"), task_completed(at + 9, name),
    ]  # fmt: skip


def test_the_last_callback_is_one_of_its_own(told: Open) -> None:
    """Not one of a type that nobody knows, which is of no task; of a reservation its own, whatever its task did since."""
    unknown = callback("task.teleported", 1001)
    moved = task("task.updated", 1002, "talked", TaskAssignmentStatus="assigned", TaskPriority="5")
    told.after(*USUAL, *TALKED, moved, unknown, tick(1003))
    last = {row["kind"]: row["last_callback"] for row in told.stuck()}
    assert last["task"] == {"sid": moved["Sid"], "event_type": "task.updated", "at": ms(1002)}
    assert last["reservation"] == {"sid": TALKED[-1]["Sid"], "event_type": "reservation.accepted", "at": ms(3)}


def test_queue_and_worker_are_named(told: Open) -> None:
    """A reservation's; a task has no worker."""
    told.after(*USUAL, *TALKED, worker("created", 1), tick(1003))
    found = {row["kind"]: (row["task_queue_name_now"], row["worker_name_now"]) for row in told.stuck()}
    assert found == {"task": ("Support", None), "reservation": ("Support", "ann")}


def test_what_is_usual_elsewhere_is_not_usual_here(told: Open) -> None:
    """Another workspace talks for 100 s; here thirty were talked about for 5 s, and 50 s are long."""
    here = {"WorkspaceSid": "WS" + "2" * 32}
    mine = [each | here for n in range(30) for each in hurried(f"mine{n}", n)] + [each | here for each in TALKED[:-1]]
    mine += [reservation("accepted", 950, "r talked", "talked") | here]
    told.after(
        *USUAL,
        *(each | {"Sid": sid("EV", repr(each))} for each in mine),
        *life("other", 950, until="reservation.wrapup"),
        tick(1003),
    )
    assert {(row["workspace_sid"], row["usual_ms"]) for row in told.stuck()} == {(here["WorkspaceSid"], 5_000)}


def test_of_a_floor_that_loses_callbacks_what_hangs_is_named(told: Open, new_url: Callable[[str], URL]) -> None:
    """Every task that ended and is open here, for none of what ended it came; what is truly open only in a status that it has left. Of the
    whole floor nothing."""
    whole = list(islice(Floor(61, workers=30, callbacks_per_second=3.0, start_ms=START_MS).callbacks(), 8_000))
    told.after(*(each for _, each in deliveries(whole, seed=61, lost=0.05)))
    with closing(open_log(there := new_url("sqlite"))) as log:
        undropped = Open(there, log).after(*(each for _, each in whole))
        assert undropped.stuck() == []
        truly = named(undropped.rows())
    open_there = {of for _, of, _ in truly}
    hang = {each for each in named(told.rows()) if each[0] == "task" and each[1] not in open_there}
    found = named(told.stuck())
    assert len(hang) > 1
    assert hang <= found
    assert not found & truly
    measured(f"{len(hang)} tasks whose end was lost, {len(hang & found)} of them named; {len(found)} rows named")


def test_what_a_task_that_lives_did_long_ago_says_nothing(told: Open) -> None:
    """Thirty that were taken a month and a day ago and hang since: how long they rang then is not what is usual now."""
    hang = [each for n in range(30) for each in life(f"t{n}", n, until="reservation.wrapup")]
    later = [task_created(31 * 86_400, "rings"), reservation("created", 31 * 86_400 + 1, "rings", "rings")]
    told.after(*hang, *later, tick(31 * 86_400 + 100))
    assert {row["usual_ms"] for row in told.rows()} == {None}


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
    """On a floor: nearest rank, by channel where there are enough, deletions left out; the same on both databases."""
    told.after(*(each for _, each in islice(Floor(2, workers=12, start_ms=START_MS).callbacks(), 3_000)))
    lengths: dict[tuple[str, str, str | None], list[int]] = defaultdict(list)
    with disposing(open_engine(told.url)) as engine, reading(engine) as connection:
        channel = {
            row.task_sid: row.task_channel_sid
            for row in connection.execute(sa.text("SELECT task_sid, task_channel_sid FROM task"))
        }
        c = tables.task.c
        deleted = sa.select(c.task_sid, c.deleted_at).where(c.status.not_in(("completed", "canceled")), c.deleted_at.is_not(None))
        deleted_at = {row.task_sid: row.deleted_at for row in connection.execute(deleted)}
        for kind in ("task", "reservation"):
            for row in connection.execute(sa.select(*view(f"{kind}_status_span").c)):
                if row.ended_at not in (None, deleted_at.get(row.task_sid)) and not row.inferred:
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


def test_that_nothing_is_stuck_is_said(told: Open) -> None:
    """In a sentence to a person, as an empty list on a pipe."""
    told.after(*USUAL)
    shown = on_terminal("stuck", "--factor", "2.5", PROJECTOR_DATABASE_URL=text_url(told.url))
    assert "Nothing is open for more than 2.5 times as long as usual." in shown


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


def test_only_what_twilio_does_not_find_is_not_known_there() -> None:
    """A key that may not read tasks is told as that; where Twilio is away it is asked once, not once for each."""
    rows = [{"workspace_sid": WORKSPACE, "kind": "task", "sid": sid("WT", n), "task_sid": sid("WT", n)} for n in "abc"]
    config = Config(database_url=URL.create("sqlite"), twilio_url="https://twilio.test", twilio_keys={ACCOUNT: ("SK", "s")})
    for trouble, asked in ((TwilioRefused("the key may not"), 3), (TwilioUnavailable("it is away"), 1)):
        with (
            patch.object(Twilio, "workspaces", return_value=[WORKSPACE]),
            patch.object(Twilio, "record", side_effect=trouble) as record,
        ):
            answers = shown(config, rows)
        assert ([row["at_twilio"] for row in answers], record.call_count) == ([str(trouble)] * 3, asked)
