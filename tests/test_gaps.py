"""The gap ledger: a callback that is missing is named where others show it, and no other; and it is gone from there when it comes."""

import random
import re
from collections import Counter
from contextlib import closing
from itertools import permutations
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import given as over
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from projector.database import disposing, open_engine
from projector.log import open_log
from projector.migrate import migrate
from projector.read.gaps import OTHER_ACTIVITY
from projector.rebuild import rebuild
from projector.tables.gaps import REASONS
from projector.taskrouter.event_types import EVENT_TYPES
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import WORKSPACE, Parameters, ms, reservation, sid, task, task_canceled, task_completed
from tests.given import given as told_in_memory
from tests.harness import ROOT
from tests.ledger import Gap, Ledger, in_workspace, is_of, keys, seen_in
from tests.lives import LIVES, SALES, WAITS, at_work, born, ended, moved
from tests.posting import UNHURRIED

PAGE = (ROOT / "docs" / "feeds.md").read_text()
README = (ROOT / "README.md").read_text()


class Loss(NamedTuple):
    """One callback that was lost out of a life, and what the ledger says without it and when it has come."""

    life: str
    lost: Parameters
    named: set[Gap]
    afterwards: set[Gap]


@pytest.fixture(scope="module", params=BACKENDS)
def losses(request: pytest.FixtureRequest, databases: Databases) -> dict[str, list[Loss]]:
    """By EventType: each callback of every life, lost once, in a workspace of its own."""
    cases = []
    for life in LIVES:
        for n in range(len(life())):
            workspace = f"WS{len(cases):032x}"
            told = in_workspace(workspace, life())
            cases.append((life.__name__, workspace, told.pop(n), told))
    url = databases.new(request.param)
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        ledger = Ledger(log, engine)
        named, afterwards = ({case[1]: set[Gap]() for case in cases} for _ in range(2))
        for found, heard in ((named, [each for case in cases for each in case[3]]), (afterwards, [case[2] for case in cases])):
            for gap in ledger.hears(heard).gaps():
                found[gap.workspace].add(gap)
    by_type: dict[str, list[Loss]] = {event_type: [] for event_type in EVENT_TYPES}
    for life, workspace, lost, _ in cases:
        by_type[lost["EventType"]].append(Loss(life, lost, named[workspace], afterwards[workspace]))
    return by_type


def documented() -> dict[str, str]:
    """EventType → what docs/feeds.md says of its loss."""
    table = PAGE.partition("| EventType | ")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name.strip("`"): said for name, said in rows}


def test_the_page_names_every_type_and_reason() -> None:
    """What each reason means is told in the words of the code."""
    assert list(documented()) == list(EVENT_TYPES)
    told = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", PAGE, re.MULTILINE))
    assert {reason: told.get(reason) for reason in REASONS} == REASONS
    assert OTHER_ACTIVITY in told


def test_the_readme_says_of_each_type_what_the_page_says() -> None:
    """In a word or two, beside what it changes."""
    shown = dict(
        re.findall(r"^\| `([\w.-]+)` \| (named|sometimes named|a hint|backfill alone|adopted again) \|", README, re.MULTILINE)
    )
    assert list(shown) == list(EVENT_TYPES)
    for name, said in documented().items():
        assert said.startswith({"sometimes named": "sometimes", "adopted again": "not an event"}.get(shown[name], shown[name]))


@pytest.mark.parametrize("event_type", [name for name in EVENT_TYPES if not name.endswith(".observed")])
def test_a_loss_is_named_where_the_page_says_so(losses: dict[str, list[Loss]], event_type: str) -> None:
    """By its entity, its type and a reason of the page's, and nothing else is named; where the page says nothing shows it, or a hint, nothing is."""
    said = documented()[event_type]
    assert losses[event_type]
    for life, lost, named, _ in losses[event_type]:
        for gap in named:
            assert is_of(gap, keys([lost])), life
            assert f"`{gap.reason}`" in said, life
        assert len(named) == 1 or (not named and said.startswith(("sometimes", "backfill", "a hint"))), (life, named)
    if said.startswith("a hint"):
        return
    reasons = {gap.reason for loss in losses[event_type] for gap in loss.named}
    assert reasons == set(re.findall(r"`(\w+)`", said))
    assert said.startswith("sometimes") == (len({bool(loss.named) for loss in losses[event_type]}) == 2)


def test_a_gap_is_gone_when_the_callback_comes(losses: dict[str, list[Loss]]) -> None:
    """After everything else of its workspace."""
    assert sum(len(loss.named) for each in losses.values() for loss in each) > 50
    assert [loss for each in losses.values() for loss in each if loss.afterwards] == []


def test_what_rest_showed_is_not_missed(losses: dict[str, list[Loss]]) -> None:
    """An observation stands for whatever was before it; without it, that is missing, of its own entity."""
    lost = [loss for name, each in losses.items() if name.endswith(".observed") for loss in each]
    assert Counter(gap.reason for loss in lost for gap in loss.named) == {
        "task_never_created": 1, "queue_never_entered": 1, "reservation_never_created": 1,
        "reservation_never_accepted": 1,
    }  # fmt: skip
    assert all((gap.kind, gap.sid) in {key[:2] for key in keys([loss.lost])} for loss in lost for gap in loss.named)


def test_a_worker_s_creation_is_missed_by_hints_alone() -> None:
    """Whoever was there before the projector was looks just so, and no backfill would ever close a gap of that kind."""
    life = at_work()
    created = next(each for each in life if each["EventType"] == "worker.created")
    told = [each for each in life if each is not created]
    hints = {(row["reason"], row["sid"]) for row in seen_in(told_in_memory(*told)) if row["kind"] == "worker"}
    assert hints == {(reason, created["WorkerSid"]) for reason in ("worker_never_created", "previous_activity_unseen")}
    assert {row["is_hint"] for row in seen_in(told_in_memory(*told))} == {True}
    assert [row for row in seen_in(told_in_memory(*told, created)) if row["kind"] == "worker"] == []


def test_a_known_task_that_rest_shows_is_missed_as_before() -> None:
    """Once a day `adopt` shows whatever lives: what was told of it from the beginning is looked for on and on."""
    shown = in_workspace(WORKSPACE, [task("task.observed", 3.999, TaskAssignmentStatus="pending")])
    offer = [{"EventType": "reservation.observed", "ReservationStatus": "pending"}]
    offered = [reservation("created", 3, "r1"), *in_workspace(WORKSPACE, [reservation("created", 4.999, "r1") | offer[0]])]
    whole = [*born(), *shown, *offered, reservation("accepted", 6, "r1"), *ended("r1", 9)]
    assert [row for row in seen_in(told_in_memory(*whole)) if not row["is_hint"]] == []
    losses = {"reservation.accepted": "reservation_never_accepted", "task-queue.entered": "queue_never_entered"}
    for lost, reason in losses.items():
        told = [each for each in whole if each["EventType"] != lost]
        assert [row["reason"] for row in seen_in(told_in_memory(*told)) if not row["is_hint"]] == [reason]


def test_the_end_is_missed_of_what_rest_showed_before_it(ledger: Ledger) -> None:
    """It was alive when REST showed it, so its end came after that; not so where REST shows the end."""

    def shown(status: str, at: float) -> list[Parameters]:
        return in_workspace(WORKSPACE, [task("task.observed", at, TaskAssignmentStatus=status)])

    taken = [reservation("created", 5, "r1"), reservation("accepted", 6, "r1")]
    ended = [*taken, reservation("completed", 9, "r1", TaskAssignmentStatus="completed")]
    assert [gap.reason for gap in ledger.hears([*shown("pending", 3.999), *ended]).gaps()] == ["task_never_ended"]
    assert list(ledger.hears(shown("completed", 12.999)).gaps()) == []


def test_a_visit_that_rest_showed_is_not_missed(ledger: Ledger) -> None:
    """The last one nor, once another followed it, one of before."""
    shown = in_workspace(WORKSPACE, [task("task.observed", 3.999, TaskAssignmentStatus="pending")])
    assert list(ledger.hears(shown).gaps()) == []
    assert list(ledger.hears([task("task-queue.moved", 5), task("task-queue.entered", 5.001, **SALES)]).gaps()) == []


def test_a_date_of_creation_is_no_creation(ledger: Ledger) -> None:
    """Consumers' code knows reservation callbacks with DateCreated: what carries it tells when, not that it was told."""
    told = [reservation("created", 5, "r1"), reservation("accepted", 6, "r1", DateCreated=str(ms(5)))]
    assert [gap.reason for gap in ledger.hears([*born(), told[1]]).gaps()] == ["reservation_never_created"]
    assert list(ledger.hears(told).gaps()) == []


def test_who_handed_a_task_on_may_wrap_up_while_it_is_canceled(ledger: Ledger) -> None:
    """Its reservation.completed comes in its own time; so it is not missed, as an answer is that a canceled task's offer never had."""
    held = [reservation("created", 1, "r1"), reservation("accepted", 2, "r1"), task("task.transfer-initiated", 10)]
    left = [reservation("wrapup", 10, "r1", TaskAssignmentStatus="pending"), task("task-queue.entered", 10.001, **SALES)]
    ledger.hears([*born(), *held, *left, task_canceled(20, **SALES)])
    assert list(ledger.gaps()) == []


def test_a_deleted_task_takes_its_offers_with_it(ledger: Ledger) -> None:
    """Nobody tells how an offer ends that was pending then, so nothing is missing."""
    ledger.hears([*born(), reservation("created", 1, "r1"), task("task.deleted", 5, TaskAssignmentStatus="reserved")])
    assert list(ledger.gaps()) == []


BACK = {  # how a transfer into a queue may come to nothing, each told of the task as it is then
    "withdrawn": ("task.transfer-canceled",),
    "withdrawn from a worker": ("reservation.canceled", "task.transfer-canceled"),
    "nobody wants it": ("reservation.rejected", "task.transfer-attempt-failed", "task.transfer-failed"),
    "shown first": ("task.updated", "task.transfer-failed"),
    "shown afterwards": ("reservation.timeout", "task.transfer-failed", "task.updated"),
}


@pytest.mark.parametrize("shown", ["old queue", "new queue"])
@pytest.mark.parametrize("status", ["assigned", "wrapping"])
@pytest.mark.parametrize("initiated", ["old queue", "new queue"])
@pytest.mark.parametrize("enters", ["enters", "never told"])
@pytest.mark.parametrize("way", BACK)
def test_a_transfer_that_comes_back_leaves_no_gap(way: str, enters: str, initiated: str, status: str, shown: str) -> None:
    """Twice, whatever the snapshots show, which was not recorded: who held the task wraps up (a cold one is wrapped up already)."""
    queues = {"old queue": {}, "new queue": SALES}
    then, after = {"TaskAssignmentStatus": status} | queues[shown], {"TaskAssignmentStatus": status}
    told = [*born(), reservation("created", 1, "r1"), reservation("accepted", 2, "r1")]
    for at in (10, 30):
        told.append(task("task.transfer-initiated", at, TaskAssignmentStatus="pending", **queues[initiated]))
        if enters == "enters":
            told.append(task("task-queue.entered", at + 0.1, TaskAssignmentStatus="pending", **SALES))
        offer = f"to {at}"
        if any(each.startswith("reservation.") for each in BACK[way]):
            told.append(
                reservation("created", at + 1, offer, worker="bob", **queues["new queue" if enters == "enters" else initiated])
            )
        for n, event_type in enumerate(BACK[way]):
            kind, _, what = event_type.partition(".")
            moment = at + 9 + n / 1000
            told.append(
                reservation(what, moment, offer, worker="bob", **then)
                if kind == "reservation"
                else task(event_type, moment, **then)
            )
        told.append(task("task.updated", at + 15, **after))
    for whole in (told, [*told, *ended("r1", 50)]):
        assert [gap["reason"] for gap in seen_in(told_in_memory(*whole)) if not gap["is_hint"]] == []


FAILED = [  # into queue Sales, and back
    task("task.transfer-initiated", 10, TaskAssignmentStatus="pending"), task("task-queue.entered", 10.1, TaskAssignmentStatus="pending", **SALES),
    task("task.transfer-canceled", 19, TaskAssignmentStatus="assigned"),
]  # fmt: skip


def held() -> list[Parameters]:
    return [*born(), reservation("created", 1, "r1"), reservation("accepted", 2, "r1")]


def test_who_is_asked_after_a_transfer_failed_waits_in_no_queue() -> None:
    """A worker is, so no queue is entered: what the snapshots show is where the task was before."""
    again = [task("task.transfer-initiated", 30, TaskAssignmentStatus="pending"), reservation("created", 31, "r2", worker="bob")]
    told = told_in_memory(*held(), *FAILED, *again, reservation("accepted", 33, "r2", worker="bob"))
    assert [(span.task_queue_sid, span.outcome) for span in told.spans("task_queue_span", "t")] == [
        (sid("WQ", "support"), "accepted"), (SALES["TaskQueueSid"], "canceled"),
    ]  # fmt: skip
    assert [row for row in seen_in(told) if not row["is_hint"]] == []


@pytest.mark.parametrize("between", ["reservation.wrapup", "task.updated", "nothing"])
def test_a_transfer_after_one_that_failed_is_one_visit(between: str) -> None:
    """Its first callback shows the queue of before, whatever comes until it has entered the next."""
    pending = {"TaskAssignmentStatus": "pending"} | SALES
    told = [task("task.transfer-initiated", 30, TaskAssignmentStatus="pending"), task("task-queue.entered", 31.2, **pending)]
    if between != "nothing":
        told.append(
            reservation("wrapup", 30.05, "r1", **pending) if between == "reservation.wrapup" else task(between, 30.05, **pending)
        )
    floor = told_in_memory(*held(), *FAILED, *told)
    assert [row["reason"] for row in seen_in(floor) if not row["is_hint"]] == []
    assert [span.told for span in floor.spans("task_queue_span", "t")] == [True, True, True]


@pytest.mark.parametrize("shows", ["task.observed", "reservation.wrapup"])
def test_a_transfer_whose_end_was_lost_names_no_queue(shows: str) -> None:
    """Held again, the task waits in no queue: that it is shown in the one of before is no visit, whoever shows it."""
    assigned = {"TaskAssignmentStatus": "assigned"}
    back = in_workspace(WORKSPACE, [task(shows, 25.999, **assigned)]) if shows == "task.observed" else []
    told = told_in_memory(*held(), *FAILED[:-1], *back, *ended("r1", 30))
    assert [row["reason"] for row in seen_in(told) if not row["is_hint"]] == []
    assert len(told.spans("task_queue_span", "t")) == 2


def test_a_wrap_up_is_missed_though_a_transfer_failed_before() -> None:
    """reservation.wrapup may still show the task assigned, some milliseconds before it is shown wrapping."""
    wraps = [
        reservation("wrapup", 30, "r1", TaskAssignmentStatus="assigned"),
        task("task.updated", 30.002, TaskAssignmentStatus="wrapping"),
    ]
    told = told_in_memory(*held(), *FAILED, *wraps)
    assert [row["reason"] for row in seen_in(told) if not row["is_hint"]] == ["task_never_wrapped"]


@pytest.mark.parametrize(
    "shown_in", [(), ("task-queue.timeout",), ("task-queue.moved",), ("task-queue.timeout", "task-queue.moved")]
)
@pytest.mark.parametrize("between", [0, 0.001, 0.008])
@pytest.mark.parametrize("order", list(permutations(("task-queue.timeout", "task-queue.moved", "workflow.target-matched"))))
def test_a_task_is_moved_in_whatever_order_routing_tells_it(
    between: float, order: tuple[str, ...], shown_in: tuple[str, ...]
) -> None:
    """No move was recorded: neither its order nor which queue its callbacks show."""
    in_sales = {*shown_in, "workflow.target-matched", "task-queue.entered"}
    told = [
        task(event_type, 20 + n * between, TaskAssignmentStatus="pending", **(SALES if event_type in in_sales else {}))
        for n, event_type in enumerate((*order, "task-queue.entered"))
    ]
    floor = told_in_memory(*born(), *told)
    assert [gap for gap in seen_in(floor) if not gap["is_hint"]] == []
    visits = [(span.outcome in ("moved", "timeout"), span.inferred, span.told) for span in floor.spans("task_queue_span", "t")]
    assert visits == [(True, False, True), (False, False, True)]


@pytest.mark.parametrize("at", [20, 20.001])
@pytest.mark.parametrize("first", ["task.updated", "reservation.timeout"])
def test_what_shows_the_next_queue_before_the_task_is_moved_is_no_visit(first: str, at: float) -> None:
    """Moved by hand, perhaps, or because an offer timed out."""
    shows = task(first, 20, **WAITS | SALES) if first == "task.updated" else reservation("timeout", 20, "r1", **SALES)
    told = [*born(), reservation("created", 10, "r1"), shows, task("task-queue.moved", at, **WAITS)]
    floor = told_in_memory(*told, task("task-queue.entered", at + 0.001, **WAITS | SALES))
    assert [row["reason"] for row in seen_in(floor) if not row["is_hint"] and row["kind"] == "task"] == []
    assert [(span.outcome, span.told) for span in floor.spans("task_queue_span", "t")] == [("moved", True), (None, True)]


@pytest.mark.parametrize("lost", ["task-queue.entered", "nothing"])
def test_a_visit_that_was_never_told_begins_where_routing_showed_it(lost: str) -> None:
    """Not at the first offer, two minutes later: else a wait of two minutes would be one of some seconds."""
    offers = [reservation("created", 140, "r1", **SALES), reservation("accepted", 145, "r1", **SALES)]
    told = told_in_memory(*born(), *(each for each in moved(20) if each["EventType"] != lost), *offers)
    (*_, visit) = told.spans("task_queue_span", "t")
    assert (visit.started_ms, visit.ended_ms, visit.told) == (ms(20.002), ms(145), lost == "nothing")


@st.composite
def lossy(draw: Any) -> tuple[list[Parameters], list[Parameters]]:
    """What came of one or two lives, in some order, and what was lost."""
    lives = draw(st.lists(st.sampled_from(LIVES), min_size=1, max_size=2, unique=True))
    whole = draw(st.permutations([each for n, life in enumerate(lives) for each in in_workspace(f"WS{n:032x}", life())]))
    cut = draw(st.integers(0, min(len(whole) - 1, 6)))
    return whole[cut:], whole[:cut]


@UNHURRIED
@over(lossy(), st.integers(1, 7))
def test_the_ledger_is_a_function_of_the_set(told: tuple[list[Parameters], list[Parameters]], page: int) -> None:
    """In any order of arrival, by any page, in memory: the same rows; nothing but what was lost; and nothing once it has come."""
    came, lost = told
    assert seen_in(told_in_memory(*came, page=page)) == seen_in(told_in_memory(*sorted(came, key=lambda each: each["Sid"])))
    named = [gap for gap in seen_in(told_in_memory(*came)) if not gap["is_hint"]]
    assert [gap for gap in named if (gap["kind"], gap["sid"]) not in {key[:2] for key in keys(lost)}] == []
    assert [gap for gap in seen_in(told_in_memory(*came, *lost, page=page)) if not gap["is_hint"]] == []


@pytest.mark.parametrize("seed", range(3))
def test_each_database_says_what_memory_says(ledger: Ledger, url: URL, seed: int) -> None:
    """Lives side by side with a tenth lost, in some order, some twice; live, and rebuilt."""
    chance = random.Random(seed)
    whole = [each for n, life in enumerate(LIVES * 3) for each in in_workspace(f"WS{n:032x}", life())]
    came = [each for each in whole if chance.random() > 0.1]
    arriving = [*came, *chance.choices(came, k=20)]
    chance.shuffle(arriving)
    expected = seen_in(told_in_memory(*came))
    assert len([row for row in expected if not row["is_hint"]]) > 10
    for start in range(0, len(arriving), 97):
        ledger.hears(arriving[start : start + 97])
    assert ledger.view() == expected
    rebuild(url)
    assert ledger.view() == expected


def test_nobody_completes_what_nobody_accepted(ledger: Ledger) -> None:
    """A task completed of which no offer is known at all: somebody was offered it, and accepted."""
    ledger.hears([*born(), task_completed(20)])
    assert list(ledger.gaps()) == [Gap(WORKSPACE, "task", sid("WT", "t"), "task_never_accepted", "reservation.accepted")]
    came = [reservation("created", 1, "r1"), reservation("accepted", 2, "r1"), reservation("completed", 19.9, "r1")]
    assert list(ledger.hears(came).gaps()) == []


@pytest.mark.parametrize(
    ("status", "reason", "offers"),
    [("reserved", "task_never_offered", ["created"]), ("assigned", "task_never_accepted", ["created", "accepted"])],
)
def test_a_status_that_no_reservation_explains_is_a_gap(ledger: Ledger, status: str, reason: str, offers: list[str]) -> None:
    """All that is told of its offers was lost: the task is named; and it is gone when they come."""
    ledger.hears([*born(), task("task.updated", 5, TaskAssignmentStatus=status)])
    assert list(ledger.gaps()) == [Gap(WORKSPACE, "task", sid("WT", "t"), reason, f"reservation.{offers[-1]}")]
    assert list(ledger.hears(reservation(what, 4 + n / 10) for n, what in enumerate(offers)).gaps()) == []


def test_the_migration_takes_what_the_rows_show_for_told(ledger: Ledger, url: URL) -> None:
    """Until the rebuild that it makes due: the rows of the release before do not say what told them, and nothing is named for that."""
    ledger.hears([each for n, life in enumerate(LIVES) for each in in_workspace(f"WS{n:032x}", life())])
    ledger.engine.dispose()
    migrate(url, "0008")
    migrate(url)
    assert list(ledger.gaps()) == []


def test_the_ledger_is_read_by_indexes(url: URL) -> None:
    """EXPLAIN of all of it: no table that grows is scanned but by a partial index of what lacks something."""
    with disposing(open_engine(url)) as engine, engine.connect() as connection:
        is_sqlite = engine.dialect.name == "sqlite"
        if not is_sqlite:  # an empty table is scanned whatever the indexes: forbid it
            connection.execute(sa.text("SET enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN SELECT * FROM gap" if is_sqlite else "EXPLAIN SELECT * FROM gap"
        plan = [row[-1] for row in connection.exec_driver_sql(explain)]
    grown = r"(task|reservation|task_queue_span_past)\b"
    scanned = [
        step
        for step in plan
        if re.match(rf"SCAN {grown}(?! USING INDEX ix_\w+_lacks)", step) or re.search(f"Seq Scan on {grown}", step)
    ]
    assert not scanned, "\n".join(plan)
    assert set(re.findall(r"ix_\w+_lacks", " ".join(plan))) == {
        "ix_task_lacks", "ix_reservation_lacks", "ix_task_queue_span_past_lacks",
    }  # fmt: skip
