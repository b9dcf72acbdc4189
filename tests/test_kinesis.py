"""Event Streams by way of Kinesis, over a Kinesis on this machine: nothing lost, nothing twice, whatever happens to the reader."""

import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from sqlalchemy.engine import URL

from projector.config import ANY_ACCOUNT, Config
from projector.database import disposing, open_engine
from projector.errors import Misconfigured, StoreUnavailable
from projector.feeds.door import Door
from projector.feeds.kinesis import consume, shard
from projector.feeds.kinesis import stream as stream_
from projector.feeds.kinesis.consume import Consumer
from projector.feeds.kinesis.record import door_of, opened
from projector.feeds.kinesis.shard import is_after
from projector.feeds.kinesis.stream import KinesisAway, Record, Stream, open_stream
from projector.importing import export_lines
from projector.log import Entry, Log, Outcome, Rejected, open_log
from projector.log.open import log_path
from projector.project import project
from projector.table_sink import TableSink
from tests.given import ACCOUNT, WORKSPACE, MemoryLog, Parameters, task_created
from tests.harness import Workload, wait_until
from tests.hostile import HOSTILE
from tests.kinesis import REGION, Kinesis, Put, Troubled
from tests.posting import in_full
from tests.reshaping import as_cloud_event

POLL_SECONDS = shard.POLL_SECONDS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Kinesis may be asked more often than five times a second."""
    monkeypatch.setattr(shard, "POLL_SECONDS", (0.0, 0.02))
    monkeypatch.setattr(shard, "BACKOFF_SECONDS", (0.01, 0.05))
    monkeypatch.setattr(consume, "LIST_SECONDS", 5.0)


@pytest.fixture
def log(url: URL) -> Iterator[Log]:
    with closing(open_log(url)) as log:
        yield log


def made(count: int, seed: int = 1) -> list[Parameters]:
    """So many callbacks, some of them twice."""
    workload = Workload(seed)
    return [workload.next() for _ in range(count)]


def read(kinesis: Kinesis, stream: str, log: Any, door: Door = Door("kinesis"), **how: bool) -> dict[str, int]:  # noqa: B008 (it is frozen)
    """Read to the end of the stream, as a command of its own would; what became of it."""
    with closing(kinesis.open(stream)) as opened:
        return Consumer(opened, log, door, **how).run(threading.Event(), once=True)


def troubled(kinesis: Kinesis, stream: str, log: Any, **troubles: list[Any]) -> Troubled:
    """Read to the end by a client that meets these troubles first; that client."""
    client = Troubled(kinesis.client, **troubles)
    Consumer(Stream(client, stream), log, Door("kinesis")).run(threading.Event(), once=True)
    assert not any(client._troubles.values())
    return client


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said with secret-token"}}, "GetRecords")


def sids(log: Log) -> list[str]:
    """Of all that is stored, in order of their names."""
    return sorted(json.loads(line)["parameters"]["Sid"] for line in export_lines(log))


def numbers(log: Log, stream: str) -> dict[str, str]:
    return log.marks(f"kinesis:{stream}")


def last_numbers(put: list[Put]) -> dict[str, str]:
    return {each.shard: str(each.number) for each in sorted(put)}


def distinct(told: list[Parameters]) -> list[str]:
    return sorted({each["Sid"] for each in told})


def test_every_shard_is_read_once(kinesis: Kinesis, log: Log) -> None:
    """Each up to its last record, by its own mark; a second run has nothing to append, a third only what came since."""
    stream, told = kinesis.stream(3), made(400)
    put = kinesis.put(stream, *told)
    assert len({each.shard for each in put}) == 3
    counts = read(kinesis, stream, log)
    assert (counts["appended"], counts["appended"] + counts["duplicate"]) == (len(distinct(told)), len(told))
    assert sids(log) == distinct(told)
    assert numbers(log, stream) == last_numbers(put)
    assert set(read(kinesis, stream, log).values()) == {0}
    kinesis.put(stream, task_created(at=9_000))
    assert read(kinesis, stream, log) == counts | dict.fromkeys(counts, 0) | {"appended": 1}


def test_from_the_start_everything_is_a_duplicate(kinesis: Kinesis, log: Log) -> None:
    """And the marks stay."""
    stream, told = kinesis.stream(2), made(30)
    kinesis.put(stream, *told)
    read(kinesis, stream, log)
    marks = numbers(log, stream)
    counts = read(kinesis, stream, log, from_start=True)
    assert (counts["appended"], counts["duplicate"]) == (0, len(told))
    assert numbers(log, stream) == marks


def test_the_tables_are_those_of_the_callbacks(kinesis: Kinesis, new_url: Callable[[str], URL], url: URL) -> None:
    """The same floor through Kinesis and through callbacks, out of order and some of it twice: the same rows."""
    stream = kinesis.stream(3)
    told = [*made(300, seed=5), *(in_full(kind, at=5_000) for kind in ("worker.created", "worker.capacity.update", "workflow.created", "task-queue.created"))]  # fmt: skip
    kinesis.put(stream, *told)
    found = []
    for database, is_kinesis in ((url, True), (new_url(url.get_backend_name()), False)):
        with closing(open_log(database)) as log, disposing(open_engine(database)) as engine:
            if is_kinesis:
                read(kinesis, stream, log)
            else:
                log.append([Entry.of(each, "callback") for each in told])
            sink = TableSink(engine)
            project(log, sink)
            assert sink.incomplete() == set()
            found.append((log.end(), sink.rows()))
    assert found[0] == found[1]


def test_what_came_by_callback_already_is_a_duplicate(kinesis: Kinesis, log: Log) -> None:
    """Typed values are the same event as its text."""
    stream = kinesis.stream(1)
    told = [in_full(kind, at=5) for kind in ("task.created", "reservation.accepted", "worker.activity.update")]
    log.append([Entry.of(each, "callback") for each in told])
    kinesis.put(stream, *told)
    assert read(kinesis, stream, log)["duplicate"] == 3
    assert log.end() == 3


def test_a_record_may_hold_several_events(kinesis: Kinesis, log: Log) -> None:
    """An array, or one a line, or arrays in lines."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(9)]
    events = [json.dumps(as_cloud_event(each)).encode() for each in told]
    data = [
        b"[" + b", ".join(events[:3]) + b"]\n",
        b"\n".join(events[3:5]) + b"\n",
        b"\r\n".join([b"[" + events[5] + b"," + events[6] + b"]", b"", events[7]]),
        b"  " + events[8],
        b"[]",
    ]
    kinesis.put_data(stream, *data)
    assert read(kinesis, stream, log)["appended"] == 9
    assert sids(log) == distinct(told)


BAD = [
    b"", b"no JSON", b'{"data":', b"\xff\xfe", b"1", b"null", b"[[]]", b"[" * 100_000, b'{"type":"com.twilio.taskrouter.task.created"}',
    b'{"type":"com.twilio.taskrouter.task.created","data":{"payload":"{"}}',
    json.dumps(as_cloud_event(task_created(1, WorkspaceSid="WS1"))).encode(), json.dumps(as_cloud_event(task_created(1, Sid="EV1"))).encode(),
]  # fmt: skip


def test_what_cannot_be_read_is_quarantined_alone(kinesis: Kinesis, log: Log) -> None:
    """Its neighbours in the record and in the batch are stored; the marks pass it."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(4)]
    events = [json.dumps(as_cloud_event(each)).encode() for each in told]
    put = kinesis.put_data(
        stream, events[0], *BAD, b"[" + events[1] + b',{"data":{}},7,' + events[2] + b"]", b"oops\n" + events[3]
    )
    counts = read(kinesis, stream, log)
    assert (counts["appended"], counts["quarantined"]) == (4, len(BAD) + 3)
    assert sids(log) == distinct(told)
    assert log.intake()["quarantined"] == len(BAD) + 3
    assert numbers(log, stream) == last_numbers(put)


def test_what_is_quarantined_is_the_element_and_why() -> None:
    """As it came; of an array only that element."""
    good = as_cloud_event(task_created(1))
    data = json.dumps([good, {"data": {}, "type": 7}]).encode()
    entry, rejected = opened(data, Door("kinesis")).arrivals
    assert isinstance(entry, Entry)
    assert rejected == Rejected(
        "not an event of Event Streams: its payload is not a JSON object", b'{"data": {}, "type": 7}', "kinesis"
    )


def test_no_text_stops_the_reading(kinesis: Kinesis, log: Log) -> None:
    """Whatever stands in a name or an attribute, on either database."""
    stream = kinesis.stream(1)
    told = [task_created(at, f"t{at}", TaskQueueName=text, TaskAttributes=text, Reason=text) for at, text in enumerate(HOSTILE)]
    kinesis.put(stream, *told)
    assert read(kinesis, stream, log)["appended"] == len(HOSTILE)


def test_only_workspaces_of_ours_come_in(kinesis: Kinesis, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The others are counted and said, not kept; the mark passes them, also where nothing else came."""
    caplog.set_level("INFO", "projector")
    stream = kinesis.stream(1)
    other = "WS" + "c" * 32
    put = kinesis.put(stream, task_created(1, WorkspaceSid=other), task_created(2, "t2", WorkspaceSid=other))
    counts = read(kinesis, stream, log, Door("kinesis", workspaces=frozenset({WORKSPACE})))
    assert (counts["of_other_workspaces"], log.end(), log.intake()) == (2, 0, {})
    assert [vars(record)["of_other_workspaces"] for record in caplog.records if record.message == "consumed"] == [2]
    assert numbers(log, stream) == last_numbers(put)


def test_another_account_s_event_is_quarantined() -> None:
    """Where accounts are named; the stream alone does not say whose events they are."""
    event = json.dumps(as_cloud_event(task_created(1))).encode()
    doors = [
        door_of(Config(database_url=URL.create("sqlite"), tokens=tokens))
        for tokens in ({}, {ANY_ACCOUNT: ("t",)}, {ACCOUNT: ("t",)}, {"AC" + "f" * 32: ("t",)})
    ]
    kept = [opened(event, door).arrivals[0] for door in doors]
    assert [isinstance(each, Entry) for each in kept] == [True, True, True, False]
    assert isinstance(kept[3], Rejected)
    assert kept[3].reason == "its account is none of ours, or not the one that signed"


def test_events_of_other_products_are_passed_over() -> None:
    """A sink takes whatever it is subscribed to, and a test event when it is made."""
    data = json.dumps(
        [{"type": "com.twilio.messaging.message.sent", "data": {}}, {"type": "com.twilio.eventstreams.test-event"}]
    ).encode()
    held = opened(data, Door("kinesis"))
    assert (held.arrivals, dict(held.passed_over)) == ([], {"of_other_products": 2})


@pytest.mark.parametrize("pause", ["between runs", "while it reads"])
def test_split_and_merged_shards_lose_nothing(kinesis: Kinesis, log: Log, pause: str) -> None:
    """Parents are read to their end, then their children; a finished shard has an empty place and is not asked again."""
    stream, told = kinesis.stream(2), made(300, seed=3)
    names = [f"shardId-{number:012}" for number in range(5)]
    stop = threading.Event()
    with closing(kinesis.open(stream)) as opened:
        consumer = Consumer(opened, log, Door("kinesis"))
        thread = threading.Thread(target=consumer.run, args=(stop,))
        if pause == "while it reads":
            thread.start()
        kinesis.put(stream, *told[:100])
        kinesis.split(stream, names[0])  # into 2 and 3
        kinesis.put(stream, *told[100:200])
        if pause == "between runs":
            read(kinesis, stream, log)
        kinesis.merge(stream, names[3], names[1])  # into 4
        put = kinesis.put(stream, *told[200:])
        if pause == "while it reads":
            wait_until(lambda: sids(log) == distinct(told))
            wait_until(lambda: [numbers(log, stream).get(name) for name in (names[0], names[1], names[3])] == ["", "", ""])
            stop.set()
            thread.join(timeout=30)
            assert not thread.is_alive()
    read(kinesis, stream, log)
    assert sids(log) == distinct(told)
    last = last_numbers([each for each in put if each.shard in (names[2], names[4])])
    assert numbers(log, stream) == {names[0]: "", names[1]: "", names[3]: ""} | last
    asked = troubled(kinesis, stream, log).asked
    assert {each["ShardId"] for name, each in asked if name == "get_shard_iterator"} == {names[2], names[4]}


def test_a_stream_made_anew_under_its_name_is_read(kinesis: Kinesis, log: Log) -> None:
    """An open shard that was read whole is another stream's: from the first look on its mark is that one's, through a split, too."""
    stream, first = kinesis.stream(1), "shardId-000000000000"
    kinesis.put(stream, *made(20))
    kinesis.split(stream, first)
    read(kinesis, stream, log)
    assert numbers(log, stream)[first] == ""
    kinesis.client.delete_stream(StreamName=stream)
    kinesis.client.create_stream(StreamName=stream, ShardCount=1)
    kinesis.put(stream, task_created(8_000, "t8"))
    read(kinesis, stream, log)
    kinesis.put(stream, task_created(9_000, "t9"))
    kinesis.split(stream, first)  # while nobody reads
    read(kinesis, stream, log)
    assert {task_created(8_000, "t8")["Sid"], task_created(9_000, "t9")["Sid"]} <= set(sids(log))


def test_a_child_waits_for_its_parent(kinesis: Kinesis, log: Log) -> None:
    """Not a turn is spent on it before that is marked as read whole; `once` waits for it."""
    stream, marked = kinesis.stream(1), []
    kinesis.put(stream, *made(50))
    kinesis.split(stream, "shardId-000000000000")

    def noted(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        marked.append((asked["ShardId"][-1], numbers(log, stream).get("shardId-000000000000")))
        return get(**asked)

    troubled(kinesis, stream, log, get_shard_iterator=[noted, noted, noted])
    assert sorted(marked) == [("0", None), ("1", ""), ("2", "")]


def test_a_closed_shard_ends_by_its_listing_too(kinesis: Kinesis, log: Log) -> None:
    """Should its iterators never end: closed, nothing more, nothing behind."""
    stream = kinesis.stream(1)
    kinesis.put(stream, *made(20))
    kinesis.split(stream, "shardId-000000000000")

    def endless(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        return get(**asked) | {"NextShardIterator": asked["ShardIterator"]}

    def empty(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        return {"Records": [], "NextShardIterator": asked["ShardIterator"], "MillisBehindLatest": 0}

    asked = [each for name, each in troubled(kinesis, stream, log, get_records=[endless, empty]).asked if name == "get_records"]
    assert [each == asked[0] for each in asked[:3]] == [True, True, False]  # then the children
    assert numbers(log, stream)["shardId-000000000000"] == ""


def test_an_expired_iterator_is_renewed_from_the_mark(kinesis: Kinesis, log: Log) -> None:
    """Before the first record, and after some: nothing is left out, nothing comes twice."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(20)]
    kinesis.put(stream, *told)
    old = refused("ExpiredIteratorException")

    def three(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        return get(**asked | {"Limit": 3})

    client = troubled(kinesis, stream, log, get_records=[old, three, old, three, old, old])
    begun = [each.get("StartingSequenceNumber") for name, each in client.asked if name == "get_shard_iterator"]
    assert begun == [None, None, "3", "5", "5"]
    assert sids(log) == distinct(told)
    assert log.intake() == {}


@pytest.mark.parametrize("answer", ["later record", "refused", "nothing", "nothing for long"])
def test_a_trimmed_mark_is_said_and_reading_goes_on(
    kinesis: Kinesis, log: Log, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However Kinesis shows that the record read last is gone: a warning with the shard, and everything that is still kept is read."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(12)]
    kinesis.put(stream, *told[:4])
    read(kinesis, stream, log)
    kinesis.put(stream, *told[4:])
    kinesis.trim(stream, "shardId-000000000000", upto=6)

    def nothing(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        return {
            "Records": [],
            "NextShardIterator": asked["ShardIterator"],
            "MillisBehindLatest": 0 if answer == "nothing" else 86_400_000,
        }

    troubles: dict[str, list[Any]] = {
        "later record": {},
        "refused": {"get_shard_iterator": [refused("InvalidArgumentException")]},
        "nothing": {"get_records": [nothing]},
        "nothing for long": {"get_records": [nothing] * shard.EMPTY_MAX},
    }[answer]
    client = troubled(kinesis, stream, log, **troubles)
    assert [each["ShardIteratorType"] for name, each in client.asked if name == "get_shard_iterator"] == ["AT_SEQUENCE_NUMBER", "TRIM_HORIZON"]  # fmt: skip
    (said,) = [record for record in caplog.records if record.message == "checkpoint_trimmed"]
    assert (said.levelname, vars(said)["shard"], vars(said)["place"]) == ("WARNING", "shardId-000000000000", "4")
    assert sids(log) == distinct([*told[:4], *told[6:]])
    assert numbers(log, stream) == {"shardId-000000000000": "12"}


def test_nothing_is_said_where_nothing_is_trimmed(kinesis: Kinesis, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The record that was read last comes back first, also when it takes Kinesis an empty answer."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(6)]
    kinesis.put(stream, *told[:4])
    read(kinesis, stream, log)
    kinesis.put(stream, *told[4:])

    def nothing_yet(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        return {"Records": [], "NextShardIterator": asked["ShardIterator"], "MillisBehindLatest": 5}

    troubled(kinesis, stream, log, get_records=[nothing_yet, nothing_yet])
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
    assert (sids(log), log.intake()) == (distinct(told), {})


def test_a_shard_that_is_gone_unread_is_said(kinesis: Kinesis, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Its children are read all the same."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(30)]
    kinesis.put(stream, *told[:2])
    read(kinesis, stream, log)
    kinesis.split(stream, "shardId-000000000000")
    kinesis.put(stream, *told[2:])
    kinesis.forget(stream, "shardId-000000000000")
    read(kinesis, stream, log)
    read(kinesis, stream, log)  # it is not said at every start
    assert [vars(record)["shard"] for record in caplog.records if record.message == "shard_gone"] == ["shardId-000000000000"]
    assert sids(log) == distinct(told)


def test_a_shard_that_goes_while_it_is_read_is_said(kinesis: Kinesis, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The others are read all the same."""
    stream = kinesis.stream(2)
    kinesis.put(stream, *made(60))
    troubled(kinesis, stream, log, get_records=[refused("ResourceNotFoundException")])
    assert [record.levelname for record in caplog.records if record.message == "shard_gone"] == ["WARNING"]
    assert sids(log) == distinct(made(60))  # it was listed still, and begun anew


AWAY = [
    refused("ProvisionedThroughputExceededException"), refused("LimitExceededException"), refused("KMSThrottlingException"),
    refused("InternalFailure"), refused("503"), EndpointConnectionError(endpoint_url="http://secret-token"),
    ReadTimeoutError(endpoint_url="http://secret-token"),
]  # fmt: skip


def test_a_kinesis_that_cannot_answer_is_asked_again(kinesis: Kinesis, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """With growing pauses, by every call; what is logged is the error's name and no text of it."""
    stream, told = kinesis.stream(1), made(40)
    kinesis.put(stream, *told)
    troubled(kinesis, stream, log, list_shards=[AWAY[1]], get_shard_iterator=AWAY[:2], get_records=AWAY)
    assert sids(log) == distinct(told)
    said = [vars(record) for record in caplog.records if record.message == "kinesis_away"]
    assert len(said) == 1 + 2 + len(AWAY)
    assert {"ProvisionedThroughputExceededException", "EndpointConnectionError"} <= {each["reason"] for each in said}
    assert "secret-token" not in repr(said)
    waits = [each["retry_in_seconds"] for each in said if "shard" in each]
    assert waits[0] <= 0.02
    assert 0.04 <= waits[-1] <= 0.06


def test_an_answer_that_is_none_of_kinesis_s_is_no_end(kinesis: Kinesis, log: Log) -> None:
    """Something else answered 200: it is asked again."""
    stream = kinesis.stream(1)
    kinesis.put(stream, *made(10))

    def nothing(_get: Callable[..., Any], _asked: dict[str, Any]) -> Any:
        return {}

    troubled(kinesis, stream, log, list_shards=[nothing])
    assert sids(log) == distinct(made(10))


def test_what_went_well_ends_the_long_pauses(kinesis: Kinesis, caplog: pytest.LogCaptureFixture) -> None:
    """The next trouble is waited out shortly again."""

    def behind(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        return {"Records": [], "NextShardIterator": asked["ShardIterator"], "MillisBehindLatest": 86_400_000}

    troubled(kinesis, kinesis.stream(1), MemoryLog(), get_records=[*AWAY[:4], behind, AWAY[0]])
    waits = [vars(record)["retry_in_seconds"] for record in caplog.records if record.message == "kinesis_away"]
    assert waits[-1] <= 0.02 < waits[-2]


def test_an_endpoint_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch, kinesis: Kinesis) -> None:
    """Every call has its timeouts."""
    monkeypatch.setattr(stream_, "READ_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(open_stream("s", REGION, f"http://127.0.0.1:{silent.getsockname()[1]}")) as stream,
    ):
        for ask in (stream.shards, lambda: stream.iterator("shard", None), lambda: stream.read("shard", "iterator")):
            with pytest.raises(KinesisAway, match="ReadTimeoutError"):
                ask()


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"list_shards": [refused("ResourceNotFoundException")]}, "There is no stream"),
        (
            {"list_shards": [refused("AccessDeniedException")]},
            "kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords",
        ),
        ({"get_records": [refused("ExpiredTokenException")]}, r"\(ExpiredTokenException\)"),
    ],
)
def test_what_needs_a_person_ends_it_with_a_sentence(
    kinesis: Kinesis, log: Log, trouble: dict[str, list[Any]], sentence: str
) -> None:
    """From whatever thread; what AWS said stays out of it."""
    with pytest.raises(Misconfigured, match=sentence) as told:
        troubled(kinesis, kinesis.stream(1), log, **trouble)
    assert "secret-token" not in str(told.value)


def test_lists_of_several_pages_are_read_whole(kinesis: Kinesis) -> None:
    """The second page is asked for by its token alone, as Kinesis wants it."""

    def first(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        found = get(**asked)
        return found | {"Shards": found["Shards"][:1], "NextToken": "more"}

    def second(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        assert asked == {"NextToken": "more"}
        found = get(StreamName=stream)
        return found | {"Shards": found["Shards"][1:]}

    stream = kinesis.stream(3)
    shards = Stream(Troubled(kinesis.client, list_shards=[first, second]), stream).shards()
    assert [(each.id[-1], each.parents, each.is_closed) for each in shards] == [
        ("0", (), False),
        ("1", (), False),
        ("2", (), False),
    ]


class Away(MemoryLog):
    """A log whose database goes away and comes back, and which keeps count of what it was asked."""

    def __init__(self, appends: int) -> None:
        super().__init__()
        self._left, self.appended = appends, 0

    def append(self, arrivals: Any, marks: Any = ()) -> list[Outcome]:
        if self._left:
            self._left -= 1
            raise StoreUnavailable("It is away. Try again.")
        self.appended += 1
        return super().append(arrivals, marks)


def test_a_batch_that_cannot_be_stored_is_stored_again_before_anything_is_read(kinesis: Kinesis) -> None:
    """Nothing is read past what is stored."""
    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(8)]
    kinesis.put(stream, *told)
    log = Away(appends=5)
    reads: list[int] = []

    def counted(get: Callable[..., Any], asked: dict[str, Any]) -> Any:
        reads.append(log.end())
        return get(**asked | {"Limit": 4})

    troubled(kinesis, stream, log, get_records=[counted, counted])
    assert reads == [0, 4]
    assert [json.loads(row.state)["parameters"]["Sid"] for row in log.read(0, 100)] == [each["Sid"] for each in told]


def test_a_log_that_is_locked_is_waited_for(
    kinesis: Kinesis, new_url: Callable[[str], URL], caplog: pytest.LogCaptureFixture
) -> None:
    """The real one, held by somebody else for a while."""
    url, stream, told = new_url("sqlite"), kinesis.stream(2), made(50)
    kinesis.put(stream, *told)
    with closing(open_log(url)) as log, closing(sqlite3.connect(log_path(url), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        reading = threading.Thread(target=read, args=(kinesis, stream, log))
        reading.start()
        wait_until(lambda: any(record.message == "database_away" for record in caplog.records))
        other.execute("COMMIT")
        reading.join(timeout=60)
        assert sids(log) == distinct(told)
        assert log.intake().get("quarantined") is None


def test_a_batch_is_whole_records_of_about_so_many_events(kinesis: Kinesis, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no transaction is long; the mark of each is its last record."""
    monkeypatch.setattr(shard, "BATCH", 4)
    batches: list[tuple[int, str]] = []

    class Watched(MemoryLog):
        def append(self, arrivals: Any, marks: Any = ()) -> list[Outcome]:
            batches.append((len(arrivals), marks[0].place))
            return super().append(arrivals, marks)

    stream, told = kinesis.stream(1), [task_created(at, f"t{at}") for at in range(12)]
    events = [as_cloud_event(each) for each in told]
    kinesis.put_data(stream, *(json.dumps(some).encode() for some in (events[:3], events[3:6], events[6:7], events[7:])))
    read(kinesis, stream, Watched())
    assert batches == [(6, "2"), (6, "4")]
    records = [Record(str(number), json.dumps(events[:3]).encode()) for number in (1, 2, 3)]
    assert [batch.place for batch in shard.batches(records, Door("kinesis"), ends=True)] == [
        "2",
        "",
    ]  # read whole only after the last one


def test_a_mark_never_goes_back(log: Log) -> None:
    """Another consumer that is behind stores its batch again, which is duplicates, and leaves the mark."""
    intake, told = shard.Intake(log, "s"), [Entry.of(task_created(1), "kinesis")]
    for place, stands in (("9", "9"), ("10", "10"), ("9", "10"), ("100", "100"), ("", ""), ("101", "")):
        intake.store("shard 0", shard.Batch(list(told), shard.Counter(), place))
        assert numbers(log, "s") == {"shard 0": stands}
    assert intake.counts()["duplicate"] == 5
    assert is_after("0", None)


def test_a_shard_is_asked_less_than_five_times_a_second(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kinesis allows to all its readers together; less often when it is quiet, and often again after records."""
    monkeypatch.setattr(shard, "POLL_SECONDS", POLL_SECONDS)
    stream = kinesis.stream(1)
    reader = shard.Reader(kinesis.open(stream), shard.Intake(MemoryLog(), stream), Door("kinesis"), "shardId-000000000000", None)
    pauses = []
    monkeypatch.setattr(shard, "time", SimpleNamespace(monotonic=lambda: 1_000.0))
    for told in ([task_created(1)], [], [], [], [], [], [task_created(2)]):
        kinesis.put(stream, *told)
        reader.turn(threading.Event())
        pauses.append(reader.due_at - 1_000.0)
    assert all(pause > 0.2 for pause in pauses)
    assert pauses[0] < pauses[3] < pauses[5] <= 1.0
    assert pauses[6] < pauses[5]


def test_two_consumers_at_once_store_everything_once(kinesis: Kinesis, url: URL) -> None:
    """Wasteful, and harmless."""
    stream, told = kinesis.stream(2), made(300, seed=8)
    kinesis.put(stream, *told)
    with closing(open_log(url)) as one, closing(open_log(url)) as other:
        readers = [threading.Thread(target=read, args=(kinesis, stream, log)) for log in (one, other)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout=60)
        assert sids(one) == distinct(told)
        assert set(read(kinesis, stream, one).values()) == {0}
