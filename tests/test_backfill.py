"""Backfill: what callbacks lost, Twilio's Events API has, and afterwards the log has it too, once."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.errors import StoreUnavailable, TwilioUnavailable
from projector.feeds import backfill as feed
from projector.feeds.backfill import Backfilled, backfill, fitting, resumed
from projector.log import Entry, Mark, open_log
from tests.backfilling import HOUR, NOW_MS, STORMY, at_three_hours, filling, sids, sids_of, told
from tests.fake_twilio import FakeTwilio, Question, Quirks
from tests.given import WORKSPACE, MemoryLog, ms, sid, task_created
from tests.harness import measured
from tests.reshaping import as_events_api
from tests.test_twilio_client import OTHER_WORKSPACE, QUICK, asking


@pytest.fixture
def fake() -> Iterator[FakeTwilio]:
    with at_three_hours() as fake:
        yield fake


# The set is whole, whatever the quirk


@pytest.mark.parametrize("dates", ["second", "instant", "apart"])
@pytest.mark.parametrize(("page_max", "pages", "count"), [(1000, True, 3000), (1000, False, 3000), (100, True, 1500)])
def test_every_event_is_appended_once(fake: FakeTwilio, dates: str, page_max: int, pages: bool, count: int) -> None:
    """However Twilio means its dates, whatever its pages hold; a second run appends nothing."""
    fake.quirks = Quirks(dates=dates, page_max=page_max, pages=pages, **STORMY)
    events = told(count, over=600)
    fake.offer(*events)
    log = MemoryLog()
    first = filling(log, fake)
    assert sids(log) == sids_of(events)
    assert (first.read, first.appended, first.duplicates, first.finished) == (count, count, 0, True)
    second = filling(log, fake)
    assert (second.read, second.appended, second.duplicates) == (count, 0, count)


@pytest.mark.parametrize("seed", range(8))
def test_every_event_is_appended_once_whatever_the_crowd(fake: FakeTwilio, seed: int) -> None:
    """Bursts of many in a second or a minute in quiet hours, some known already, a run that ends in the middle of a second."""
    at = random.Random(seed)
    events = told(at.randrange(500), over=2 * HOUR, seed=seed)
    for n in range(at.randrange(1, 5)):
        events += told(at.randrange(200, 1200), at.choice((0, 1, 3, 60)), at.randrange(2 * HOUR), seed=100 * seed + n)
    events = list({each["Sid"]: each for each in events}.values())
    fake.quirks = Quirks(dates=at.choice(("second", "instant", "apart")), shuffled=seed % 2 == 0, seed=seed)
    fake.offer(*events)
    log = MemoryLog()
    known = at.sample(events, len(events) // 2)
    log.append([Entry.of(each, "callback") for each in known])
    found = filling(log, fake, since=-0.5, until=3 * HOUR - 0.5)
    assert sids(log) == sids_of(events)
    assert (found.read, found.appended, found.duplicates, found.cut_off) == (len(events), len(events) - len(known), len(known), 0)


def test_more_than_a_page_in_one_second(fake: FakeTwilio) -> None:
    """No window is narrower: next pages are followed. Where Twilio names none, the second is counted as cut off."""
    events = [task_created(at=100 + n / 2600, task_=str(n)) for n in range(2500)]
    fake.offer(*events)
    log = MemoryLog()
    assert (filling(log, fake).appended, sids(log)) == (2500, sids_of(events))
    fake.quirks.pages = False
    found = filling(MemoryLog(), fake)
    assert found.appended == 1000
    assert found.cut_off == 1


def test_a_second_that_is_cut_off_behind_its_second_page_is_counted() -> None:
    """Wherever Twilio shows a full page and names no next one."""

    class CutOff(FakeTwilio):
        def page(self, *given: Any, **more: Any) -> dict[str, Any]:
            page = super().page(*given, **more)
            page["meta"]["next_page_url"] = None if "PageToken" in given[2].query else page["meta"]["next_page_url"]
            return page

    with CutOff(now_ms=lambda: NOW_MS) as fake:
        fake.offer(*(task_created(at=100 + n / 2600, task_=str(n)) for n in range(2500)))
        found = filling(MemoryLog(), fake)
    assert (found.appended, found.cut_off) == (2000, 1)


def test_what_windows_have_in_common_is_counted_once(fake: FakeTwilio) -> None:
    """Five full seconds: each window is one of them, and shows its neighbours', too."""
    events = [task_created(at=100 + n / 1100, task_=str(n)) for n in range(5500)]
    fake.offer(*events)
    found = filling(MemoryLog(), fake)
    assert (found.read, found.appended, found.duplicates) == (5500, 5500, 0)


def test_events_that_appear_while_one_pages(fake: FakeTwilio) -> None:
    """On top of a list, and in its middle: what this run has passed the next one reads."""
    events, late = told(3000, over=2), told(300, over=2, seed=2)
    fake.offer(*events)
    coming = iter(late)

    def happen(_: Question) -> None:
        fake.offer(*islice(coming, 20))

    fake.before, log = happen, MemoryLog()
    first = filling(log, fake)
    assert len(sids(log)) == len(set(sids(log)))
    assert set(sids_of(events)) <= set(sids(log))
    assert first.duplicates == 0
    fake.offer(*coming)
    assert filling(log, fake).appended == 3300 - first.appended
    assert sids(log) == sids_of(events + late)


def test_an_event_that_appears_late_is_read_by_the_next_run(fake: FakeTwilio) -> None:
    """Twilio promises no time in which an event can be read."""
    now = [NOW_MS]
    fake.now_ms = lambda: now[0]
    late = task_created(at=3 * HOUR - 2)
    fake.offer(late, visible_after_ms=30_000)
    log = MemoryLog()
    assert filling(log, fake).appended == 0
    now[0] += 60_000
    assert filling(log, fake, since=2 * HOUR).appended == 1


@pytest.mark.parametrize("wall", ["nothing", "refused", "redacted"])
def test_nothing_is_asked_for_beyond_thirty_days(fake: FakeTwilio, wall: str) -> None:
    """There is nothing, or a refusal, or events whose attributes are blacked out: those must not be the first of their Sid."""
    fake.quirks.wall = wall
    kept = [task_created(at=-29.8 * 86_400, task_="kept"), task_created(at=-86_400, task_="yesterday")]
    fake.offer(*kept, task_created(at=-30.5 * 86_400, task_="gone"), task_created(at=-45 * 86_400, task_="long gone"))
    log = MemoryLog()
    found = filling(log, fake, since=-60 * 86_400)
    assert sids(log) == sids_of(kept)
    assert found.finished


def test_what_twilio_keeps_no_more_is_not_asked_for_at_all(fake: FakeTwilio) -> None:
    """Beyond thirty days attributes are blacked out: such an event must not be the first of its Sid."""
    month = 30 * 86_400
    fake.quirks.wall = "redacted"
    fake.offer(*(task_created(3 * HOUR - month - 600 + n, str(n)) for n in range(10)))
    found = filling(MemoryLog(), fake, since=-2 * month, until=3 * HOUR - month - 595)
    assert (found.read, found.finished, fake.asked) == (0, True, [])


@pytest.mark.parametrize("wrong_ms", [-240_000, 240_000])
def test_our_clock_may_be_wrong(fake: FakeTwilio, wrong_ms: int) -> None:
    """By minutes: a run up to now reads what Twilio calls now, and does not fall over the wall."""
    fake.quirks.wall = "refused"
    ours = NOW_MS + wrong_ms
    events = [task_created(at=3 * HOUR - 1, task_="now"), task_created(at=3 * HOUR - 30 * 86_400 + 700, task_="first")]
    fake.offer(*events)
    log = MemoryLog(ours)
    since, until = ours - feed.KEPT_SECONDS * 1000, ours + feed.SKEW_SECONDS * 1000
    backfill(log, asking(fake), WORKSPACE, since, until, now_ms=lambda: ours)  # type: ignore[arg-type]
    assert sids(log) == sids_of(events)


def test_a_workspace_has_its_own_events_alone(fake: FakeTwilio) -> None:
    """Another one's are not asked for; one that comes in its list all the same is quarantined."""
    mine, theirs = told(50, over=60), [each | {"WorkspaceSid": OTHER_WORKSPACE} for each in told(50, over=60, seed=2)]
    fake.offer(*mine, *theirs)
    fake.offer_event(WORKSPACE, as_events_api(theirs[0]), ms(3))
    nameless = as_events_api(task_created(at=5, task_="nameless"))
    nameless["workspace_sid"] = None
    del nameless["event_data"]["workspace_sid"]
    fake.offer_event(WORKSPACE, nameless, ms(5))
    log = MemoryLog()
    found = filling(log, fake)
    assert (found.appended, found.quarantined) == (51, 1)
    assert {row.originator_id.partition("/")[0] for row in log.read(0, 1000)} == {WORKSPACE}


# What is read is judged as a callback is


def test_what_cannot_be_read_is_quarantined_alone(url: URL, fake: FakeTwilio) -> None:
    """Its neighbours are appended; it is counted once, and kept with its reason."""
    bad: list[Any] = [
        None, 7, "text", [], {}, {"sid": sid("EV", "x")}, as_events_api(task_created(1)) | {"sid": "EV1"},
        as_events_api(task_created(1)) | {"event_data": "text"}, as_events_api(task_created(1)) | {"description": "\ud800"},
    ]  # fmt: skip
    odd = as_events_api(task_created(at=2, task_="odd")) | {"event_date_ms": None, "event_date": "soon"}
    good = told(20, over=60)
    fake.offer(*good)
    for event in (*bad, odd):
        fake.offer_event(WORKSPACE, event, ms(30))
    with closing(open_log(url)) as log:
        found = filling(log, fake)
        assert (found.appended, found.quarantined, found.conflicts) == (21, len(bad), 0)
        assert log.intake() == {"quarantined": len(bad)}
        again = filling(log, fake)
        assert (again.appended, again.quarantined) == (0, len(bad))


def test_what_contradicts_the_log_is_counted(url: URL, fake: FakeTwilio) -> None:
    """The callback was first and stands."""
    events = told(20, over=60)
    fake.offer(*events)
    with closing(open_log(url)) as log:
        log.append([Entry.of(events[0] | {"TaskPriority": "9"}, "callback"), Entry.of(events[1], "callback")])
        found = filling(log, fake)
        assert (found.appended, found.duplicates, found.conflicts) == (18, 1, 1)
        assert '"TaskPriority":"9"' in log.read(0, 1)[0].state.decode()


def test_a_list_that_contradicts_itself_is_counted(fake: FakeTwilio) -> None:
    """One Sid, two contents, side by side: one stands, the other is no duplicate."""
    event = task_created(at=3)
    fake.offer(event, event, event | {"TaskPriority": "9"})
    found = filling(MemoryLog(), fake)
    assert (found.appended, found.duplicates, found.conflicts) == (1, 0, 1)


@pytest.mark.parametrize("shuffled", [False, True])
def test_it_is_appended_in_the_order_it_happened(fake: FakeTwilio, shuffled: bool) -> None:
    """So that what was known at a time is a beginning of the story, not scraps of it."""
    fake.quirks.shuffled = shuffled
    fake.offer(*told(2500, over=900))
    log = MemoryLog()
    filling(log, fake)
    stamps = [int(json.loads(row.state)["parameters"]["TimestampMs"]) for row in log.read(0, 10_000)]
    assert stamps == sorted(stamps)
    assert {json.loads(row.state)["source"] for row in log.read(0, 10)} == {"events-api"}


# It goes on where it was


def test_an_interrupted_run_goes_on_where_it_was(url: URL, fake: FakeTwilio) -> None:
    """Twilio goes away in the middle: what was read is in the log with its mark, and is not asked for again."""
    events = told(4000, over=2 * HOUR)
    fake.offer(*events)
    whole = filling(MemoryLog(), fake).pages

    def break_down(_: Question) -> None:
        fake.quirks.failures = float(len(fake.asked) >= whole // 2)

    with closing(open_log(url)) as log:
        fake.asked.clear()
        fake.before, found = break_down, Backfilled()
        with pytest.raises(TwilioUnavailable):
            backfill(
                log, asking(fake, QUICK._replace(total=0.1)), WORKSPACE, ms(-60), ms(3 * HOUR), found=found, now_ms=fake.now_ms
            )
        assert 0 < found.appended == log.end() < 4000
        assert not found.finished
        fake.before, fake.quirks.failures = lambda _: None, 0.0
        fake.asked.clear()
        rest = filling(log, fake, since=-50)
        assert rest.resumed_at is not None
        assert len(fake.asked) < whole
        assert rest.appended == 4000 - found.appended
        assert sids(log) == sids_of(events)
        assert log.marks(feed.FEED) == {WORKSPACE: ""}


def test_it_stops_between_windows_when_it_is_told_to(fake: FakeTwilio) -> None:
    """And says that it has not finished."""
    fake.offer(*told(4000, over=2 * HOUR))
    stop, log, heard = threading.Event(), MemoryLog(), []

    def tell(done: int, of: int) -> None:
        heard.append((done, of))
        if done > of // 2:
            stop.set()

    found = filling(log, fake, tell=tell, stop=stop)
    assert not found.finished
    assert 0 < found.appended < 4000
    rest = filling(log, fake, tell=lambda done, of: heard.append((done, of)))
    assert (rest.finished, found.appended + rest.appended) == (True, 4000)
    assert heard[-1] == (3 * HOUR + 60, 3 * HOUR + 60)
    assert heard == sorted(heard)


def test_a_second_of_many_pages_is_read_when_all_of_it_is_stored(fake: FakeTwilio) -> None:
    """The store goes away between its pages: no mark is past it, and the next run reads it again."""
    fake.offer(*(task_created(at=100 + n / 2600, task_=str(n)) for n in range(2500)))
    log, stop = MemoryLog(), threading.Event()
    append = log.append

    def breaking(arrivals: Any, marks: Any = ()) -> Any:
        if log.end() >= 1000:
            stop.set()
            raise StoreUnavailable("gone")
        return append(arrivals, marks)

    log.append = breaking  # type: ignore[method-assign]  # goes away
    with pytest.raises(StoreUnavailable):
        filling(log, fake, stop=stop)
    log.append = append  # type: ignore[method-assign]  # and is back
    assert filling(log, fake).appended == 1500


@pytest.mark.parametrize(
    ("mark", "since", "until", "begins"),
    [
        ("", 100, 900, 100), ("100..500", 100, 900, 500), ("100..500", 200, 900, 500), ("100..500", 500, 900, 500),
        ("100..500", 99, 900, 99), ("100..500", 501, 900, 501), ("100..500", 100, 300, 300), ("100..50", 100, 900, 100),
        ("100..", 100, 900, 100), ("rubbish", 100, 900, 100), ("-5..500", 100, 900, 100), ("100..5_0", 100, 900, 100),
    ],
)  # fmt: skip
def test_only_a_range_that_was_read_from_its_start_is_gone_on_with(mark: str, since: int, until: int, begins: int) -> None:
    """A mark says which seconds were read, and another range is another question."""
    assert resumed(mark, since, until) == begins


def test_a_mark_never_vouches_for_what_may_still_appear(fake: FakeTwilio) -> None:
    """Interrupted a moment before its end, it reads the last minutes again."""
    fake.offer(*told(4000, over=feed.UNSETTLED_SECONDS, start=3 * HOUR - feed.UNSETTLED_SECONDS))
    log, marks = MemoryLog(), []
    append = log.append
    log.append = lambda arrivals, given=(): (marks.extend(given), append(arrivals, given))[1]  # type: ignore[method-assign]
    filling(log, fake)
    read_to = [int(mark.place.partition("..")[2]) for mark in marks if mark.place]
    assert read_to == sorted(read_to)
    assert max(read_to) <= NOW_MS // 1000 - feed.UNSETTLED_SECONDS
    assert marks[-1] == Mark(feed.FEED, WORKSPACE, "")


def test_a_run_that_leaves_no_mark_reads_none(fake: FakeTwilio) -> None:
    """For whoever reads the last half hour again and again: a long run's place stays."""
    fake.offer(*told(100, over=HOUR))
    log = MemoryLog()
    log.append([], [Mark(feed.FEED, WORKSPACE, f"{ms(-60) // 1000}..{ms(HOUR) // 1000}")])
    assert filling(log, fake, resumes=False).appended == 100
    assert log.marks(feed.FEED) == {WORKSPACE: f"{ms(-60) // 1000}..{ms(HOUR) // 1000}"}


def test_a_dry_run_writes_nothing(url: URL, fake: FakeTwilio) -> None:
    """Not a callback, a mark or a count; it says what a run would append."""
    events = told(1500, over=HOUR)
    fake.offer(*events)
    fake.offer_event(WORKSPACE, None, ms(3))
    with closing(open_log(url)) as log:
        log.append([Entry.of(each, "callback") for each in events[:400]], [Mark(feed.FEED, WORKSPACE, "1..2")])
        before = (log.end(), log.intake(), log.marks(feed.FEED))
        foreseen = filling(log, fake, dry_run=True)
        assert (log.end(), log.intake(), log.marks(feed.FEED)) == before
        done = filling(log, fake)
    assert foreseen == done
    assert (done.appended, done.duplicates, done.quarantined) == (1100, 400, 1)


# What it costs


def test_a_quiet_month_costs_few_requests(fake: FakeTwilio) -> None:
    """Windows grow while nothing happens, and shrink fast when it does."""
    log = MemoryLog()
    assert filling(log, fake, since=-29 * 86_400).pages < 45
    fake.offer(*told(5000, over=HOUR), *told(200, over=29 * 86_400, start=-29 * 86_400))
    found = filling(log, fake, since=-29 * 86_400)
    measured(f"29 quiet days and a busy hour of 5000: {found.pages} pages in {found.windows} windows")
    assert (found.appended, found.pages < 80) == (5200, True)


def test_a_busy_month_costs_about_a_request_for_a_page(fake: FakeTwilio) -> None:
    """Nights and days, 20,000 events: no more than three requests for a thousand events and two for each day."""
    events = [each for day in range(20) for each in told(1000, 10 * HOUR, (day - 25) * 86_400, seed=day)]
    fake.offer(*events)
    found = filling(MemoryLog(), fake, since=-29 * 86_400)
    measured(f"20 days of 1000 in 10 hours each: {found.pages} pages in {found.windows} windows")
    assert found.appended == 20_000
    assert found.pages <= 3 * 20 + 2 * 29


@pytest.mark.parametrize(
    ("width", "events", "then"),
    [(900, 0, 3600), (900, 125, 3600), (900, 500, 900), (900, 1000, 450), (86_400, 0, 86_400), (1, 900, 1), (1, 9000, 1)],
)
def test_a_window_is_as_wide_as_half_a_page(width: int, events: int, then: int) -> None:
    """Of what the one before held."""
    assert fitting(width, events) == then
