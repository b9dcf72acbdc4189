"""What the log keeps for feeds that are read: where they stand, and which callbacks were seen by more than one."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector.database import disposing
from projector.log import Entry, Log, Mark, Outcome, Rejected, open_log
from projector.log.schema import seen_via
from projector.migrate import migration_engine
from tests.given import Parameters, ms, task_completed, task_created

CREATED, COMPLETED = task_created(at=1), task_completed(at=9)


@pytest.fixture
def log(url: URL) -> Iterator[Log]:
    with closing(open_log(url)) as log:
        yield log


def by(source: str, *told: Parameters) -> list[Entry]:
    return [Entry.of(each, source) for each in told]


def seen(url: URL) -> list[Sequence[object]]:
    with disposing(migration_engine(url)) as engine, engine.connect() as connection:
        c = seen_via.c
        return [tuple(row) for row in connection.execute(sa.select(c.source, c.topic, c.at_ms).order_by(c.source, c.at_ms))]


def test_marks_move_with_the_callbacks_read_so_far(log: Log) -> None:
    """Each part of a feed has one; another feed's are others."""
    assert log.marks("kinesis:s") == {}
    assert log.append(by("kinesis", CREATED), [Mark("kinesis:s", "shard 0", "17"), Mark("kinesis:s", "shard 1", "4")]) == [
        Outcome.STORED
    ]
    assert log.append([], [Mark("kinesis:s", "shard 0", "18")]) == []
    assert log.append(by("kinesis", CREATED, COMPLETED), [Mark("events-api", "WS1", "")]) == [Outcome.DUPLICATE, Outcome.STORED]
    assert log.marks("kinesis:s") == {"shard 0": "18", "shard 1": "4"}
    assert log.marks("events-api") == {"WS1": ""}


def test_a_mark_that_cannot_be_written_takes_its_callbacks_back(log: Log) -> None:
    """One transaction: nothing is read past what is stored, and nothing stored that will not be read past."""
    with pytest.raises(Exception, match=r".+"):
        log.append(by("kinesis", CREATED), [Mark("kinesis:s", "shard 0", None)])  # type: ignore[arg-type]
    assert (log.end(), log.marks("kinesis:s")) == (0, {})


def test_a_callback_seen_by_another_feed_is_remembered_once(log: Log, url: URL) -> None:
    """By which feed, of which type and hour; not what the same feed repeats, nor what we ask for ourselves."""
    log.append(by("callback", CREATED))
    for source in ("callback", "event-streams", "event-streams", "kinesis", "events-api", "import"):
        assert log.append(by(source, CREATED)) == [Outcome.DUPLICATE]
    log.append([*by("events-api", COMPLETED), *by("callback", COMPLETED)])
    assert seen(url) == [
        ("callback", "task.completed", ms(9)),
        ("event-streams", "task.created", ms(1)),
        ("kinesis", "task.created", ms(1)),
    ]
    assert log.intake() == {"duplicate": 6}


@pytest.mark.parametrize(
    ("callback", "stream", "outcome"),
    [
        ("1770000001", "1770000001250", Outcome.DUPLICATE),
        ("1770000001250", "1770000001250", Outcome.DUPLICATE),
        ("1770000001", "1770000002250", Outcome.CONFLICT),
        ("1770000001240", "1770000001250", Outcome.CONFLICT),
        ("soon", "1770000001250", Outcome.CONFLICT),
    ],
)
def test_a_date_may_be_told_in_whole_seconds_by_one_feed(log: Log, callback: str, stream: str, outcome: Outcome) -> None:
    """No page says which unit a callback's dates have; another feed tells milliseconds."""
    assert log.append(by("callback", CREATED | {"TaskDateCreated": callback})) == [Outcome.STORED]
    assert log.append(by("event-streams", CREATED | {"TaskDateCreated": stream})) == [outcome]


def test_two_servers_that_keep_the_same_beside_the_log_do_not_wait_for_each_other(log: Log, url: URL) -> None:
    """However their batches are ordered: a deadlock would end one with 503, and Twilio does not bring a callback again after that."""
    bad = [Rejected(f"reason {n}", b"{}", "event-streams") for n in range(40)]
    seen = [task_created(n, f"t{n}") for n in range(200)]
    log.append(by("callback", *seen))
    batch = [*bad, *by("kinesis", *seen)]

    def keeps(arrivals: list[Entry | Rejected]) -> None:
        with closing(open_log(url)) as other:
            for _ in range(12):
                other.append(arrivals)

    with ThreadPoolExecutor(2) as servers:
        for each in [servers.submit(keeps, some) for some in (batch, batch[::-1])]:
            each.result(timeout=120)
    assert log.intake() == {"quarantined": 24 * len(bad), "duplicate": 24 * len(seen)}


def test_what_is_asked_for_again_is_no_duplicate(log: Log) -> None:
    """The loop reads the last half hour every ten minutes: the figure is of what was sent twice, not of that."""
    log.append(by("callback", CREATED))
    for source in ("events-api", "rest"):
        assert log.append(by(source, CREATED)) == [Outcome.DUPLICATE]
    assert log.intake() == {}
    log.append(by("callback", CREATED))
    assert log.intake() == {"duplicate": 1}


def test_another_feed_may_tell_less_but_not_otherwise(log: Log, url: URL) -> None:
    """The first stands either way; what contradicts it is in the quarantine."""
    less = {name: value for name, value in CREATED.items() if name not in ("TaskPriority", "TimestampMs")}
    assert log.append(by("callback", CREATED)) == [Outcome.STORED]
    assert log.append(by("callback", less)) == [Outcome.CONFLICT]
    assert log.append(by("events-api", less)) == [Outcome.DUPLICATE]
    assert log.append(by("event-streams", CREATED | {"TaskPriority": "7"})) == [Outcome.CONFLICT]
    assert seen(url) == []


def test_what_is_stored_is_known_by_its_sid(log: Log) -> None:
    """For a look at what is missing, before anything is written."""
    entries = by("callback", CREATED, COMPLETED)
    log.append(entries[:1])
    assert log.holds([entry.originator_id for entry in entries]) == {entries[0].originator_id}
    assert log.holds([]) == set()
