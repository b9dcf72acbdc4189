"""Time cut into hours by the view, and into any zone's quarters, hours and days by `durations`."""

import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projector import tables
from projector.database import disposing, open_engine
from projector.durations import Bucket, bounds, split, totals
from projector.log import Entry, open_log
from projector.project import project
from projector.table_sink import TableSink
from projector.tables.views import view
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import START_MS, Parameters, worker

EXAMPLES = int(os.environ.get("PROJECTOR_HISTORIES", "300"))
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")
ODD_ZONES = ("America/St_Johns", "Asia/Beirut", "America/Sao_Paulo", "Asia/Pyongyang", "Asia/Kathmandu", "Africa/Casablanca")

many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def utc(text: str) -> int:
    """A moment of UTC as epoch milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def hours(zone: str, bucket: Bucket, started: str, ended: str) -> list[tuple[str, float]]:
    """The buckets of a span: when each begins on the zone's clock, and how many hours of the span are in it."""
    where = ZoneInfo(zone)
    return [
        (datetime.fromtimestamp(begins_ms / 1000, where).isoformat(timespec="minutes"), milliseconds / HOUR_MS)
        for begins_ms, milliseconds in split(utc(started), utc(ended), where, bucket)
    ]


# The nights on which clocks are changed


def test_the_short_night_in_spring() -> None:
    """Berlin, 2026-03-29: there is no hour from two to three, and the day has 23."""
    assert hours("Europe/Berlin", Bucket.HOUR, "2026-03-29T00:30", "2026-03-29T02:00") == [
        ("2026-03-29T01:00+01:00", 0.5), ("2026-03-29T03:00+02:00", 1),
    ]  # fmt: skip
    assert hours("Europe/Berlin", Bucket.DAY, "2026-03-28T22:00", "2026-03-30T00:00") == [
        ("2026-03-28T00:00+01:00", 1), ("2026-03-29T00:00+01:00", 23), ("2026-03-30T00:00+02:00", 2),
    ]  # fmt: skip


def test_the_long_night_in_autumn() -> None:
    """Berlin, 2026-10-25: the hour from two to three comes twice, as two buckets, and the day has 25."""
    assert hours("Europe/Berlin", Bucket.HOUR, "2026-10-24T23:30", "2026-10-25T02:15") == [
        ("2026-10-25T01:00+02:00", 0.5), ("2026-10-25T02:00+02:00", 1), ("2026-10-25T02:00+01:00", 1), ("2026-10-25T03:00+01:00", 0.25),
    ]  # fmt: skip
    assert hours("Europe/Berlin", Bucket.DAY, "2026-10-24T22:00", "2026-10-25T23:00") == [("2026-10-25T00:00+02:00", 25)]


def test_a_clock_that_is_changed_by_half_an_hour() -> None:
    """Lord Howe, 2026-04-05: from two back to half past one. The half hour that comes again is a bucket, the day has 24.5 hours."""
    assert hours("Australia/Lord_Howe", Bucket.HOUR, "2026-04-04T14:00", "2026-04-04T16:30") == [
        ("2026-04-05T01:00+11:00", 1), ("2026-04-05T01:30+10:30", 0.5), ("2026-04-05T02:00+10:30", 1),
    ]  # fmt: skip
    assert hours("Australia/Lord_Howe", Bucket.DAY, "2026-04-04T13:00", "2026-04-05T13:30") == [("2026-04-05T00:00+11:00", 24.5)]
    # And 2026-10-04, from two to half past two: the hour from two to three is half an hour.
    assert hours("Australia/Lord_Howe", Bucket.HOUR, "2026-10-03T14:30", "2026-10-03T16:30") == [
        ("2026-10-04T01:00+10:30", 1), ("2026-10-04T02:30+11:00", 0.5), ("2026-10-04T03:00+11:00", 0.5),
    ]  # fmt: skip


def test_quarters_and_halves_of_a_zone_that_is_half_an_hour_off() -> None:
    """Kolkata's hours begin at half past of UTC; its quarters with everyone's."""
    assert hours("Asia/Kolkata", Bucket.HOUR, "2026-02-02T00:00", "2026-02-02T01:00") == [
        ("2026-02-02T05:00+05:30", 0.5), ("2026-02-02T06:00+05:30", 0.5),
    ]  # fmt: skip
    assert [begins for begins, _ in hours("Asia/Kolkata", Bucket.HALF, "2026-02-02T00:10", "2026-02-02T00:40")] == [
        "2026-02-02T05:30+05:30", "2026-02-02T06:00+05:30",
    ]  # fmt: skip
    assert hours("Asia/Kathmandu", Bucket.HOUR, "2026-02-02T00:00", "2026-02-02T00:15") == [("2026-02-02T05:00+05:45", 0.25)]


def test_a_day_that_never_was() -> None:
    """Apia went from the 29th to the 31st of December 2011."""
    assert hours("Pacific/Apia", Bucket.DAY, "2011-12-30T09:00", "2011-12-30T11:00") == [
        ("2011-12-29T00:00-10:00", 1), ("2011-12-31T00:00+14:00", 1),
    ]  # fmt: skip


def test_a_midnight_that_is_skipped_and_one_that_comes_twice() -> None:
    """Beirut skips its midnight in spring; St John's clocks were put back at a minute past it, and the day began once."""
    assert hours("Asia/Beirut", Bucket.DAY, "2026-03-28T21:00", "2026-03-29T21:00") == [
        ("2026-03-28T00:00+02:00", 1), ("2026-03-29T01:00+03:00", 23),
    ]  # fmt: skip
    assert hours("America/St_Johns", Bucket.DAY, "2010-11-07T02:00", "2010-11-08T03:30") == [
        ("2010-11-06T00:00-02:30", 0.5), ("2010-11-07T00:00-02:30", 25),
    ]  # fmt: skip


def test_a_span_of_nothing_is_in_no_bucket() -> None:
    """Zero length, and an end before the beginning."""
    assert list(split(5, 5, UTC, Bucket.HOUR)) == list(split(9, 5, UTC, Bucket.HOUR)) == []


def test_totals_add_up_what_shares_a_bucket() -> None:
    """Two spells of one key in one hour are one figure; another key is another."""
    spans = [("idle", 0, 1000), ("busy", 1000, 1500), ("idle", 1500, HOUR_MS + 7)]
    assert totals(spans, UTC, Bucket.HOUR) == {("idle", 0): HOUR_MS - 500, ("busy", 0): 500, ("idle", HOUR_MS): 7}


CHANGES = [
    utc(day)
    for day in ("2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2026-03-08", "2026-11-01", "2011-12-30", "2010-11-07")
]
NEAR_A_CHANGE = st.builds(lambda day, off: day + off, st.sampled_from(CHANGES), st.integers(-3 * DAY_MS, 3 * DAY_MS))
ANY_MOMENT = st.integers(utc("2000-01-01"), utc("2037-01-01"))
LENGTHS = st.one_of(st.integers(0, 5), st.integers(0, 3 * HOUR_MS), st.integers(0, 5 * DAY_MS))
zones, buckets = st.sampled_from((*ZONES, *ODD_ZONES)).map(ZoneInfo), st.sampled_from(Bucket)


@many
@given(st.one_of(NEAR_A_CHANGE, ANY_MOMENT), LENGTHS, zones, buckets)
def test_no_millisecond_is_lost_or_counted_twice(started_ms: int, length_ms: int, zone: ZoneInfo, bucket: Bucket) -> None:
    """The pieces are the span, in order; no piece is longer than its bucket; every bucket begins where its pieces say."""
    pieces = list(split(started_ms, started_ms + length_ms, zone, bucket))
    assert sum(milliseconds for _, milliseconds in pieces) == length_ms
    assert all(milliseconds > 0 for _, milliseconds in pieces)
    assert all(one < other for (one, _), (other, _) in pairwise(pieces))
    at_ms = started_ms
    for begins_ms, milliseconds in pieces:
        assert (begins_ms, at_ms + milliseconds) <= (at_ms, bounds(at_ms, zone, bucket)[1])
        at_ms += milliseconds


@many
@given(st.one_of(NEAR_A_CHANGE, ANY_MOMENT), zones, buckets)
def test_every_moment_of_a_bucket_is_in_that_bucket(at_ms: int, zone: ZoneInfo, bucket: Bucket) -> None:
    """Where a span begins or is cut does not matter: its first, some, and its last millisecond name the same bucket."""
    begins_ms, ends_ms = bounds(at_ms, zone, bucket)
    assert begins_ms <= at_ms < ends_ms
    assert {bounds(each, zone, bucket) for each in (begins_ms, (begins_ms + ends_ms) // 2, ends_ms - 1)} == {(begins_ms, ends_ms)}
    assert bounds(begins_ms - 1, zone, bucket)[1] == begins_ms
    assert bounds(ends_ms, zone, bucket)[0] == ends_ms


@many
@given(st.one_of(NEAR_A_CHANGE, ANY_MOMENT), zones, buckets)
def test_a_bucket_begins_where_the_clock_strikes_or_is_changed(at_ms: int, zone: ZoneInfo, bucket: Bucket) -> None:
    """By the wall clock: minutes past midnight are a multiple of the bucket, unless the clock was changed that moment."""
    begins_ms, ends_ms = bounds(at_ms, zone, bucket)
    before, begins = (datetime.fromtimestamp(each / 1000, zone) for each in (begins_ms - 1, begins_ms))
    strikes = begins.second == begins.microsecond == 0 and (begins.hour * 60 + begins.minute) % bucket.value == 0
    assert strikes or before.utcoffset() != begins.utcoffset()
    assert bucket is Bucket.DAY or ends_ms - begins_ms <= bucket.value * 60_000


# The view


class Floor:
    """A log and its tables; each story lives in a workspace of its own."""

    def __init__(self, log: Any, engine: sa.Engine) -> None:
        self.log, self.engine, self.sink = log, engine, TableSink(engine)
        self._workspaces = 0

    def after(self, *story: Parameters, received_ms: int, source: str = "callback") -> str:
        """Project a story; its workspace."""
        self._workspaces += 1
        workspace = f"WS{self._workspaces:032x}"
        self.log.append([Entry.of(body | {"WorkspaceSid": workspace}, source, received_ms) for body in story])
        project(self.log, self.sink)
        return workspace

    def rows(self, name: str, workspace: str) -> list[Any]:
        table = view(name)
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(table).where(table.c.workspace_sid == workspace)))

    def known_to_ms(self) -> int:
        """The projection's event time."""
        with self.engine.connect() as connection:
            return connection.execute(sa.select(tables.projection.c.event_at)).scalar_one()


@pytest.fixture
def floor(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Floor]:
    url = databases.new(request.param)
    log = open_log(url)
    with disposing(open_engine(url)) as engine:
        yield Floor(log, engine)
    log.close()


def told(what: str, at_ms: int, name: str, activity: str) -> Parameters:
    return worker(what, (at_ms - START_MS) / 1000, name, activity)


ACTIVITIES = st.sampled_from(["Idle", "Busy", "Offline"])
STAYS = st.one_of(st.sampled_from([0, 1, HOUR_MS - 1, HOUR_MS, DAY_MS]), st.integers(0, 3 * HOUR_MS), st.integers(0, 2 * DAY_MS))


@st.composite
def lives(draw: Any, around_ms: int) -> tuple[list[Parameters], int, str]:
    """Two workers' activities around a day, and when and how they were received: one may have been deleted."""
    story, last_ms = [], 0
    for name in ("ann", "bob"):
        at_ms = around_ms + draw(st.integers(-2 * DAY_MS, DAY_MS))
        if draw(st.booleans()):
            story.append(told("created", at_ms - at_ms % 1000, name, "Offline"))
        for stay_ms in draw(st.lists(STAYS, max_size=5)):
            at_ms += stay_ms
            story.append(told("activity.update", at_ms, name, draw(ACTIVITIES)))
        last_ms = max(last_ms, at_ms)
    if story and draw(st.booleans()):
        story.append(told("deleted", around_ms - 3 * DAY_MS, "ann", "Idle"))
    return story, last_ms + draw(st.integers(0, DAY_MS)), draw(st.sampled_from(["callback", "import"]))


@pytest.mark.parametrize("floor", BACKENDS, indirect=True)
@pytest.mark.parametrize("night", ["2026-03-29", "2026-10-25"])
@settings(many, max_examples=40)
@given(data=st.data())
def test_the_hours_of_an_activity_are_its_spells(floor: Floor, night: str, data: st.DataObject) -> None:
    """To the millisecond, by worker and activity, over midnights and nights that clocks change; one that lasts ends at event time."""
    story, received_ms, source = data.draw(lives(utc(night)))
    workspace = floor.after(*story, received_ms=received_ms, source=source)
    spells = [
        ((row.worker_sid, row.activity_sid), row.started_at, floor.known_to_ms() if row.ended_at is None else row.ended_at)
        for row in floor.rows("worker_activity_span", workspace)
    ]
    hourly = floor.rows("activity_duration_hourly", workspace)
    found = {((row.worker_sid, row.activity_sid), row.hour): row.milliseconds for row in hourly}
    assert len(found) == len(hourly)
    assert found == totals(spells, ZoneInfo("UTC"), Bucket.HOUR)
    lengths: dict[tuple[str, str], int] = defaultdict(int)
    for key, started_ms, ended_ms in spells:
        lengths[key] += max(0, ended_ms - started_ms)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    of_worker: dict[tuple[str, int], int] = defaultdict(int)
    for (key, hour_ms), milliseconds in found.items():
        sums[key] += milliseconds
        of_worker[key[0], hour_ms] += milliseconds
    assert sums == {key: length_ms for key, length_ms in lengths.items() if length_ms}
    assert all(0 < milliseconds <= HOUR_MS for milliseconds in of_worker.values())


@pytest.mark.parametrize("floor", BACKENDS, indirect=True)
def test_an_hour_by_hand(floor: Floor) -> None:
    """Idle from 09:59:59.999, busy from 11:30, event time 12:00:00.001: four rows, with the names of now."""
    idle, busy, later = (utc(f"2026-10-25T{each}") for each in ("09:59:59.999", "11:30:00", "12:00:00.001"))
    story = (
        told("activity.update", idle, "ann", "Idle"),
        told("activity.update", busy, "ann", "Busy"),
        told("attributes.update", later, "ann", "Busy"),
    )
    rows = floor.rows("activity_duration_hourly", floor.after(*story, received_ms=later))
    assert sorted((row.hour, row.activity_name_now, row.milliseconds, row.worker_name_now) for row in rows) == [
        (utc("2026-10-25T09:00"), "Idle", 1, "ann"), (utc("2026-10-25T10:00"), "Idle", HOUR_MS, "ann"),
        (utc("2026-10-25T11:00"), "Busy", HOUR_MS // 2, "ann"), (utc("2026-10-25T11:00"), "Idle", HOUR_MS // 2, "ann"),
        (utc("2026-10-25T12:00"), "Busy", 1, "ann"),
    ]  # fmt: skip
