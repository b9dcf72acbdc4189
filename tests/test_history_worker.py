"""The history of a Worker: its activities, its attributes, its channels, and the gaps where a callback is missing.

Each story is folded in order, and shuffled with some callbacks delivered twice: spans and gaps are the same.
"""

from collections import defaultdict
from itertools import islice, pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from projector import project as projecting
from projector.floor.center import Floor
from projector.taskrouter.worker import ActivitySpan, AttributesSpan
from projector.taskrouter.worker_channel import ChannelSpan
from tests.given import WORKSPACE, Parameters, ms, sid, worker
from tests.given import given as folded
from tests.given import given_in_any_order as given

VOICE = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
CHAT = {"TaskChannelSid": sid("TC", "chat"), "TaskChannelUniqueName": "chat"}
ANN = {"workspace_sid": WORKSPACE, "worker_sid": sid("WK", "ann")}


@pytest.fixture(autouse=True)
def short_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every 3 callbacks, so that short stories have some."""
    monkeypatch.setattr(projecting, "CHECKPOINT_EVERY", 3)


def line(*spans: Any) -> list[Any]:
    """The spans of one line, numbered."""
    return [replace(span, n=number) for number, span in enumerate(spans)]


def times(began: float, ended: float | None, by: Parameters) -> dict[str, Any]:
    """When a span began and ended, in seconds, and the callback that opened it."""
    return {"started_ms": ms(began), "ended_ms": None if ended is None else ms(ended), "event_sid": by["Sid"]} | ANN


def spell(
    began: float,
    ended: float | None,
    activity: str,
    by: Parameters,
    told: float | None = None,
    agrees: bool | None = None,
    **more: Any,
) -> ActivitySpan:
    """A spell in an activity; `told`: how many seconds it was by the update that ended it."""
    reported_ms = None if told is None else round(told * 1000)
    said = {"worker_name": "ann", "activity_sid": sid("WA", activity), "activity_name": activity} | more
    return ActivitySpan(reported_ms=reported_ms, agrees=agrees, **said, **times(began, ended, by))


def attributes(began: float, ended: float | None, value: str, by: Parameters) -> AttributesSpan:
    return AttributesSpan(worker_name="ann", attributes=value, **times(began, ended, by))


def channel(
    began: float, ended: float | None, available: bool | None, capacity: int | None, by: Parameters, name: str = "voice"
) -> ChannelSpan:
    return ChannelSpan(
        task_channel_sid=sid("TC", name),
        worker_name="ann",
        available=available,
        updated_capacity=capacity,
        **times(began, ended, by),
    )


def update(at: float, activity: str, previous: str | None = None, spent: float | None = None) -> Parameters:
    """An activity update, and what it says of the activity it ends."""
    said = {}
    if previous is not None:
        said |= {"WorkerPreviousActivitySid": sid("WA", previous), "WorkerPreviousActivityName": previous}
    if spent is not None:
        said |= {"WorkerTimeInPreviousActivityMs": str(round(spent * 1000)), "WorkerTimeInPreviousActivity": str(int(spent))}
    return worker("activity.update", at, activity=activity, **said)


def gap(reason: str, by: Parameters, activity: str, missing_at: float | None, n: int = 0) -> dict[str, Any]:
    return {
        "workspace_sid": WORKSPACE, "kind": "worker", "sid": sid("WK", "ann"), "n": n, "reason": f"previous_activity_{reason}",
        "event_sid": by["Sid"], "revealed_at": ms((int(by["TimestampMs"]) - ms(0)) / 1000),
        "missing_event_type": "worker.created or worker.activity.update" if reason == "unseen" else "worker.activity.update",
        "missing_at": None if missing_at is None else ms(missing_at),
        "activity_sid": sid("WA", activity),
    }  # fmt: skip


BORN = worker("created", at=0, activity="Offline")
BEGAN = update(10, "Idle", "Offline", 10)


def test_an_ordinary_worker() -> None:
    """Created, at work, on a break, at work: every millisecond is in one activity, and Twilio's own figures agree."""
    breaks, back = update(50, "Break", "Idle", 40), update(60.5, "Idle", "Break", 10.5)
    told = given(BORN, BEGAN, breaks, back)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True),
        spell(10, 50, "Idle", by=BEGAN, told=40, agrees=True),
        spell(50, 60.5, "Break", by=breaks, told=10.5, agrees=True),
        spell(60.5, None, "Idle", by=back),
    )
    assert told.spans("worker_attributes_span", "ann") == line(attributes(0, None, '{"skills":["a"]}', by=BORN))
    assert told.gaps("ann") == []


def test_the_worker_recorded_in_2018() -> None:
    """worker.created in whole seconds, without an activity's name: 97,393 ms by the stamps, 97,308 told. That agrees."""
    created = worker("created", at=0, activity="Idle")
    del created["WorkerActivityName"]
    busy = update(97.393, "Busy", "Idle", 97.308)
    told = given(created, busy)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 97.393, "Idle", by=created, told=97.308, agrees=True, activity_name=None), spell(97.393, None, "Busy", by=busy)
    )
    assert told.gaps("ann") == []


@pytest.mark.parametrize(
    ("source", "stamp", "ended", "basis"),
    [("callback", 0, 100, "receipt"), ("import", 0, 50, "last_fact"), ("callback", 70, 70, "stamp"), ("import", 70, 70, "stamp")],
    ids=["live, the stamp lies", "imported, the stamp lies", "live, the stamp is true", "imported, the stamp is true"],
)
def test_everything_of_a_worker_ends_with_its_deletion(source: str, stamp: float, ended: float, basis: str) -> None:
    """The deletion's effective time, whatever it rests on, ends activity, attributes and channels alike."""
    capacity = worker("capacity.update", at=1, WorkerChannelAvailableCapacity="1", WorkerChannelAvailable="true", **VOICE)
    busy = update(50, "Busy", "Offline", 50)
    told = given(BORN, capacity, busy, worker("deleted", at=stamp), source=source, received_at=100)
    assert told.the("worker", "ann")["deleted_at_basis"] == basis
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 50, "Offline", by=BORN, told=50, agrees=True), spell(50, ended, "Busy", by=busy)
    )
    assert told.spans("worker_attributes_span", "ann") == line(attributes(0, ended, '{"skills":["a"]}', by=BORN))
    assert told.spans("worker_channel_span", "ann", "voice") == line(channel(1, ended, True, 1, by=capacity))


def test_a_callback_delivered_after_the_deletion_moves_the_end_that_rests_on_the_last_fact() -> None:
    """Import: the deletion's stamp lies, and the last fact is a later one now."""
    told = given(BORN, worker("deleted", at=0), BEGAN, source="import")
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True), spell(10, 10, "Idle", by=BEGAN)
    )


def test_attributes_are_another_span_only_when_their_values_differ() -> None:
    """Blanks, the order of keys and escaped slashes are spelling. A change shows in whatever callback of the worker has it."""
    born = worker("created", at=0, WorkerAttributes='{"site": "a\\/b", "skills": ["x", "y"]}')
    same = worker("attributes.update", at=5, WorkerAttributes='{"skills":["x","y"],"site":"a/b"}')
    order = worker("attributes.update", at=6, WorkerAttributes='{"skills":["y","x"],"site":"a/b"}')
    seen = worker("activity.update", at=9, activity="Busy", WorkerAttributes='{"skills":[]}')
    told = given(born, same, order, worker("attributes.update", at=7, WorkerAttributes="{broken"), seen)
    assert told.spans("worker_attributes_span", "ann") == line(
        attributes(0, 6, '{"site":"a/b","skills":["x","y"]}', by=born),
        attributes(6, 9, '{"site":"a/b","skills":["y","x"]}', by=order),
        attributes(9, None, '{"skills":[]}', by=seen),
    )


def test_a_channel_is_another_span_when_availability_or_capacity_changes() -> None:
    """Each of its own channel; a capacity reported by an availability update, or repeated, changes nothing."""
    capacity = worker("capacity.update", at=1, WorkerChannelAvailableCapacity="2", WorkerChannelAvailable="true", **CHAT)
    again = worker("capacity.update", at=2, WorkerChannelAvailableCapacity="2", WorkerChannelAvailable="1", **CHAT)
    closed = worker(
        "channel.availability.update", at=3, WorkerChannelAvailableCapacity="66", WorkerChannelAvailable="false", **CHAT
    )
    more = worker("capacity.update", at=4, WorkerChannelAvailableCapacity="3", **CHAT)
    voice = worker("channel.availability.update", at=3.5, WorkerChannelAvailable="0", **VOICE)
    told = given(BORN, capacity, again, closed, more, voice)
    assert told.spans("worker_channel_span", "ann", "chat") == line(
        channel(1, 3, True, 2, by=capacity, name="chat"),
        channel(3, 4, False, 2, by=closed, name="chat"),
        channel(4, None, False, 3, by=more, name="chat"),
    )
    assert told.spans("worker_channel_span", "ann", "voice") == line(channel(3.5, None, False, None, by=voice))


# What a missing callback leaves behind


BUSY, BACK = update(30, "Busy", "Idle", 20), update(50, "Idle", "Busy", 20)


def test_an_update_that_was_never_delivered_is_filled_in_from_the_next_one() -> None:
    """Back says: from Busy, for 20 s. So Idle ended then, and the missing update is a gap that Back reveals."""
    told = given(BORN, BEGAN, BACK)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True),
        spell(10, 30, "Idle", by=BEGAN),
        spell(30, 50, "Busy", by=BACK, told=20, agrees=True, inferred=True),
        spell(50, None, "Idle", by=BACK),
    )
    assert told.gaps("ann") == [gap("differs", by=BACK, activity="Busy", missing_at=30)]


def test_when_the_missing_update_arrives_gap_and_guess_are_gone() -> None:
    """The table says what is missing now: the update delivered last, a day late or once, gives the spans of the orderly story."""
    story = (BORN, BEGAN, BACK, update(70, "Break", "Idle", 20), BUSY)
    told = given(*story)
    assert told.gaps("ann") == []
    assert told.spans("worker_activity_span", "ann")[1:3] == line(
        spell(0, 10, "Offline", by=BORN), spell(10, 30, "Idle", by=BEGAN, told=20, agrees=True),
        spell(30, 50, "Busy", by=BUSY, told=20, agrees=True),
    )[1:]  # fmt: skip
    assert not any(span.inferred for span in told.history)


def test_a_shorter_time_than_known_shows_that_the_worker_was_away_in_between() -> None:
    """Idle since 10, says the stamp; for 5 s, says the update at 50: out and back again, both of it unseen."""
    away = update(50, "Break", "Idle", 5)
    told = given(BORN, BEGAN, away)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True),
        spell(10, 45, "Idle", by=BEGAN),
        spell(45, 50, "Idle", by=away, told=5, agrees=True, inferred=True),
        spell(50, None, "Break", by=away),
    )
    assert told.gaps("ann") == [gap("shorter", by=away, activity="Idle", missing_at=45)]


def test_a_longer_time_than_known_is_a_gap_that_nothing_can_fill() -> None:
    """Idle since 10, says the stamp; for 45 s, says the update at 50. The spans stand as told, and the figure beside them."""
    away = update(50, "Break", "Idle", 45)
    told = given(BORN, BEGAN, away)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True),
        spell(10, 50, "Idle", by=BEGAN, told=45, agrees=False),
        spell(50, None, "Break", by=away),
    )
    assert told.gaps("ann") == [gap("longer", by=away, activity="Idle", missing_at=5)]


@pytest.mark.parametrize("spent", [39.0, 41.0, 40.0])
def test_a_second_more_or_less_agrees(spent: float) -> None:
    """Stamps in whole seconds are the reason; a millisecond beyond is a gap."""
    (_, idle, _) = given(BORN, BEGAN, update(50, "Break", "Idle", spent)).spans("worker_activity_span", "ann")
    assert (idle.reported_ms, idle.agrees, idle.ended_ms) == (spent * 1000, True, ms(50))
    beyond = spent + (0.001 if spent > 40 else -1.001)
    assert len(given(BORN, BEGAN, update(50, "Break", "Idle", beyond)).gaps("ann")) == 1


def test_a_projector_that_joins_late_knows_the_activity_before_its_first_update() -> None:
    """Nothing is known before: the previous activity is filled in for as long as it is said to have lasted."""
    told = given(BACK)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(30, 50, "Busy", by=BACK, told=20, agrees=True, inferred=True), spell(50, None, "Idle", by=BACK)
    )
    assert told.gaps("ann") == [gap("unseen", by=BACK, activity="Busy", missing_at=30)]


def test_a_missing_update_of_which_no_length_is_told_is_a_gap_without_a_span() -> None:
    """WorkerPreviousActivitySid alone: what was missed began nobody knows when, so nothing is filled in."""
    back = update(50, "Idle", "Busy")
    told = given(BORN, BEGAN, back)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True), spell(10, 50, "Idle", by=BEGAN), spell(50, None, "Idle", by=back)
    )
    assert told.gaps("ann") == [gap("differs", by=back, activity="Busy", missing_at=None)]


@pytest.mark.parametrize("spent", ["-5", "soon", "99999999999999999"])
def test_a_length_that_cannot_be_is_none(spent: str) -> None:
    """Negative, unreadable or longer than time itself: as if it were not there."""
    back = update(50, "Idle", "Busy") | {"WorkerTimeInPreviousActivityMs": spent}
    told = given(BORN, BEGAN, back)
    assert [(row["reason"], row["missing_at"]) for row in told.gaps("ann")] == [("previous_activity_differs", None)]


def test_a_missed_spell_never_begins_before_what_is_known() -> None:
    """Busy for 45 s, says the update at 50, but at 10 the worker became Idle: what is told comes first, nothing overlaps."""
    back = update(50, "Offline", "Busy", 45)
    told = given(BORN, BEGAN, back)
    assert told.spans("worker_activity_span", "ann") == line(
        spell(0, 10, "Offline", by=BORN, told=10, agrees=True),
        spell(10, 10, "Idle", by=BEGAN),
        spell(10, 50, "Busy", by=back, told=45, agrees=False, inferred=True),
        spell(50, None, "Offline", by=back),
    )


@pytest.mark.parametrize(("told", "agrees"), [(41, True), (41.001, False)])
def test_a_missed_spell_agrees_to_within_a_second_like_any_other(told: float, agrees: bool) -> None:
    """Cut short by what is known before it, its length is not quite the one reported."""
    (*_, missed, _) = given(BORN, BEGAN, update(50, "Offline", "Busy", told)).spans("worker_activity_span", "ann")
    assert (missed.started_ms, missed.reported_ms, missed.agrees) == (ms(10), told * 1000, agrees)


def test_several_gaps_are_counted_in_order_and_only_the_filled_one_goes() -> None:
    """Two updates are missing; one of them arrives after all."""
    end = update(90, "Offline", "Break", 15)
    both = given(BORN, BEGAN, BACK, end)
    assert both.gaps("ann") == [
        gap("differs", by=BACK, activity="Busy", missing_at=30), gap("differs", by=end, activity="Break", missing_at=75, n=1),
    ]  # fmt: skip
    assert given(BORN, BEGAN, BACK, end, BUSY).gaps("ann") == [gap("differs", by=end, activity="Break", missing_at=75)]


def test_a_deleted_worker_keeps_its_gaps_and_tiles() -> None:
    """A life with everything in it has no hole and no overlap, from its creation to its deletion."""
    story = (BORN, BEGAN, BACK, update(70, "Break", "Idle", 3), update(90, "Offline", "Break", 20), worker("deleted", at=0))
    told = given(*story, received_at=100)
    spans = told.spans("worker_activity_span", "ann")
    assert all(one.ended_ms == other.started_ms for one, other in pairwise(spans))
    assert (spans[0].started_ms, spans[-1].ended_ms) == (ms(0), ms(100))
    assert [row["reason"] for row in told.gaps("ann")] == ["previous_activity_differs", "previous_activity_shorter"]


def test_names_are_those_sent_then() -> None:
    """Worker and activity renamed: each span has the names of its own callback."""
    again = worker("activity.update", at=20, activity="Idle", WorkerName="ann@example.com", WorkerActivityName="Available")
    told = given(BORN, BEGAN, again)
    assert [(span.worker_name, span.activity_name) for span in told.spans("worker_activity_span", "ann")] == [
        ("ann", "Offline"), ("ann", "Idle"), ("ann@example.com", "Available"),
    ]  # fmt: skip


def test_over_a_simulated_floor_lost_updates_are_filled_in_exactly() -> None:
    """Every third activity update of each worker is lost: the spells are the true ones to the millisecond, and each loss is a gap."""
    sent = [parameters for _, parameters in islice(Floor(5, workers=20, callbacks_per_second=20).callbacks(), 20_000)]
    told = [parameters for parameters in sent if parameters["EventType"] in ("worker.created", "worker.activity.update")]
    lives, lost = defaultdict(list), []
    for parameters in told:
        life = lives[parameters["WorkerSid"]]
        life.append(parameters)
        if len(life) % 3 == 0:
            lost.append(parameters)
    found = folded(*(parameters for parameters in told if parameters not in lost))
    spells = defaultdict(list)
    for span in found.history:
        if isinstance(span, ActivitySpan):
            spells[span.worker_sid].append((span.started_ms, span.activity_sid, span.activity_name))
    revealed = [parameters for parameters in lost if parameters is not lives[parameters["WorkerSid"]][-1]]
    assert len(revealed) > 50
    assert len(found.rows["gap_told"]) == len(revealed)
    for worker_sid, life in lives.items():
        true = [(int(body["TimestampMs"]), body["WorkerActivitySid"], body["WorkerActivityName"]) for body in life]
        assert spells[worker_sid] == (true[:-1] if life[-1] in lost else true)
