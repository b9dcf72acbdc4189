"""What the simulated contact center promises to the demo, the tests and the benchmarks that stand on it."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from projector.floor.center import Floor
from projector.floor.delivery import NOT_CONNECTED, Poster, deliveries, play, sign
from projector.taskrouter.callback import Callback, fields_of, unit_of
from projector.taskrouter.event_types import EVENT_TYPES
from projector.taskrouter.fold import fold

REFERENCE = list(EVENT_TYPES)[:49]  # the reference page's
PREFIXES = {
    "Sid": "EV", "AccountSid": "AC", "WorkspaceSid": "WS", "TaskSid": "WT", "ReservationSid": "WR", "WorkerSid": "WK",
    "TaskQueueSid": "WQ", "WorkflowSid": "WW", "WorkerActivitySid": "WA", "ActivitySid": "WA", "TaskChannelSid": "TC",
    "OperatingUnitSid": "OU",
}  # fmt: skip
TOKEN = "the floor's token"


def first(count, *arguments, **settings):
    return list(islice(Floor(*arguments, **settings).callbacks(), count))


@pytest.fixture(scope="module")
def sent():
    """A busy hour and more of one floor."""
    return first(60_000, 1, callbacks_per_second=100)


def test_the_same_arguments_are_the_same_callbacks():
    """A seed and its arguments say every callback to the last Sid; another seed shares no Sid with it."""
    one, other = first(3000, 5), first(3000, 6)
    assert one == first(3000, 5)
    assert not {p["Sid"] for _, p in one} & {p["Sid"] for _, p in other}
    assert one[0][1]["WorkspaceSid"] != other[0][1]["WorkspaceSid"]
    given = first(1, 5, start_ms=10**12, account_sid="AC" + "1" * 32, workspace_sid="WS" + "2" * 32)[0]
    assert (given[0], given[1]["AccountSid"], given[1]["WorkspaceSid"]) == (10**12, "AC" + "1" * 32, "WS" + "2" * 32)


def test_each_iterator_starts_over():
    """`callbacks()` has no memory: asked again, the same floor begins at its start."""
    floor = Floor(5)
    assert list(islice(floor.callbacks(), 500)) == list(islice(floor.callbacks(), 500))


def test_time_never_goes_back(sent):
    """Callbacks come in the order in which they are sent."""
    assert all(one <= other for (one, _), (other, _) in pairwise(sent))


def test_every_parameter_is_text(sent):
    """A form has names and values, and neither is ever anything but text."""
    assert all(type(name) is str and type(value) is str for _, p in sent for name, value in p.items())


def test_sids_are_well_formed_and_events_unique(sent):
    """Every Sid is its prefix and 32 hexadecimal digits, and no two callbacks share one."""
    assert len({p["Sid"] for _, p in sent}) == len(sent)
    found = {(name, p[name]) for _, p in sent for name in PREFIXES if name in p}
    assert [sid for name, sid in found if not re.fullmatch(PREFIXES[name] + "[0-9a-f]{32}", sid)] == []


def test_every_event_type_happens_but_the_end_of_the_workspace(sent):
    """A floor of 60,000 callbacks has shown every type of the reference page, `workspace.deleted` apart."""
    assert set(REFERENCE) - {p["EventType"] for _, p in sent} == {"workspace.deleted"}
    assert {p["EventType"] for _, p in sent} <= set(REFERENCE)


@pytest.mark.parametrize(("workers", "rate"), [(40, 20.0), (10, 100.0), (200, 1000.0)])
def test_the_rate_is_the_one_asked_for(workers, rate):
    """Once warm, the floor sends within 30 % as many callbacks per second as were asked for, however many workers it has."""
    floor = Floor(2, workers=workers, callbacks_per_second=rate)
    begun = (at_ms for at_ms, _ in floor.callbacks() if at_ms >= floor.warm_ms)
    times = list(islice(begun, 20_000))
    assert len(times) / (times[-1] - times[0]) * 1000 == pytest.approx(rate, rel=0.3)


def test_stamps_are_the_time_of_sending_except_where_taskrouter_lies(sent):
    """`worker.created` is stamped in whole seconds, `worker.deleted` with that same second; every other stamp is true."""
    created = {}
    for at_ms, p in sent:
        stamp_ms = int(p["TimestampMs"])
        assert int(p["Timestamp"]) == stamp_ms // 1000
        if p["EventType"] == "worker.created":
            created[p["WorkerSid"]] = stamp_ms
            assert (stamp_ms, stamp_ms % 1000) == (at_ms - at_ms % 1000, 0)
        elif p["EventType"] == "worker.deleted":
            assert stamp_ms == created[p["WorkerSid"]] < at_ms - 1000
        else:
            assert stamp_ms == at_ms


def test_the_fold_understands_all_of_it(sent):
    """Every callback has a unit, and each unit folds to what its last callback states, with no end to be inferred but a purged one's."""
    units = {}
    for at_ms, p in sent:
        fields = fields_of(p)
        unit = unit_of(fields)
        assert unit is not None, p["EventType"]
        units.setdefault(unit, []).append(Callback.of(fields, p["Sid"], at_ms))
    inferred = Counter()
    for unit, callbacks in units.items():
        state, _ = fold(unit, sorted(callbacks, key=lambda callback: callback.order))
        if unit.kind == "task":
            assert state.head.status == callbacks[-1].fields.task_assignment_status
            inferred[state.head.deleted_ms is not None] += sum(part.inferred for part in state.parts.values())
        if unit.kind == "worker" and state.head.deletion_order is not None:
            assert state.head.deleted_at_basis == "receipt"
    assert inferred[False] == 0
    assert inferred[True] == sum(p["EventType"] == "task.system-deleted" for _, p in sent)


def test_offers_go_to_whoever_may_have_them(sent):
    """No reservation is created beyond a channel's capacity, nor for a worker in an unavailable activity."""
    offers = [p for _, p in sent if p["EventType"] == "reservation.created"]
    assert all(int(p["WorkerChannelConsumedCapacity"]) <= int(p["WorkerChannelCapacity"]) for p in offers)
    assert {p["WorkerActivityName"] for p in offers} == {"Available"}


def test_deliveries_are_all_of_the_callbacks_late_or_twice():
    """Nothing is lost unless asked for; about the asked share comes twice and late, in the order of delivery, the same every time."""
    callbacks = first(20_000, 3)
    delivered = list(deliveries(callbacks, 3))
    assert delivered == list(deliveries(callbacks, 3))
    assert all(one <= other for (one, _), (other, _) in pairwise(delivered))
    times = Counter(p["Sid"] for _, p in delivered)
    assert set(times) == {p["Sid"] for _, p in callbacks}
    assert set(times.values()) == {1, 2}
    assert len(delivered) / len(callbacks) == pytest.approx(1.02, abs=0.005)
    sent_ms = {p["Sid"]: at_ms for at_ms, p in callbacks}
    delays = [at_ms - sent_ms[p["Sid"]] for at_ms, p in delivered]
    assert (min(delays), max(delays)) == (0, 300)
    assert sum(delay > 0 for delay in delays) / len(delays) == pytest.approx(0.07, abs=0.01)


def test_deliveries_may_be_undisturbed_or_lossy():
    """Without disturbances deliveries are the callbacks; with losses they are fewer, and nothing is made up."""
    callbacks = first(5000, 3)
    assert list(deliveries(callbacks, 3, duplicates=0, late=0)) == callbacks
    lossy = list(deliveries(callbacks, 3, duplicates=0, late=0, lost=0.1))
    assert len(lossy) / len(callbacks) == pytest.approx(0.9, abs=0.02)
    assert {p["Sid"] for _, p in lossy} < {p["Sid"] for _, p in callbacks}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/callbacks",
        "http://10.0.0.1/",
        "http://0.0.0.0:8080/",
        "https://127.0.0.1/",
        "http://localhost.example.com/",
        "",
    ],
)
def test_a_poster_refuses_every_other_machine(url):
    """It is a load generator: any address but this machine's is refused before a thread is started."""
    before = threading.active_count()
    with pytest.raises(ValueError, match="only posted to this machine"):
        Poster(url, TOKEN)
    assert threading.active_count() == before


class Receiver(ThreadingHTTPServer):
    """Answers with the given statuses one after the other, then 204, and keeps what it got."""

    daemon_threads = True

    def __init__(self, statuses):
        super().__init__(("127.0.0.1", 0), Answering)
        self.statuses, self.got, self.ports = list(statuses), [], set()
        self.url = f"http://127.0.0.1:{self.server_port}/callbacks?feed=1#rc=2"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.path == "/callbacks?feed=1"
        self.server.got.append((dict(parse_qsl(body, keep_blank_values=True)), dict(self.headers)))
        self.server.ports.add(self.client_address[1])
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def receiving(*statuses) -> Iterator[Receiver]:
    with Receiver(statuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_posts_are_signed_and_share_a_connection():
    """What arrives is what was posted, with the signature that Twilio's own validator accepts, over one kept connection."""
    callbacks = [p for _, p in first(50, 1)]
    with receiving() as server:
        poster = Poster(server.url, TOKEN, connections=1)
        assert [poster.post(p) for p in callbacks] == [204] * 50
        assert poster.close()
        url = server.url.partition("#")[0]
        assert [got for got, _ in server.got] == callbacks
        assert all(RequestValidator(TOKEN).validate(url, got, headers["X-Twilio-Signature"]) for got, headers in server.got)
        assert server.got[0][1]["X-Twilio-Signature"] == sign(url, callbacks[0], TOKEN)
        assert len(server.ports) == 1
    assert (poster.counts, poster.errors) == ({204: 50}, {})


def test_a_post_that_failed_is_tried_again():
    """5xx is tried again with the same idempotency token, up to `retries` times; 4xx and success are final."""
    parameters = first(1, 1)[0][1]
    with receiving(503, 500, 204, 403, 503, 503, 503) as server:
        poster = Poster(server.url, TOKEN, connections=1, pause_seconds=0.01)
        assert [poster.post(parameters) for _ in range(3)] == [204, 403, 503]
        assert poster.close()
        assert {headers["I-Twilio-Idempotency-Token"] for _, headers in server.got} == {parameters["Sid"]}
    assert poster.counts == {503: 4, 500: 1, 204: 1, 403: 1}


def test_nobody_listening_is_counted_and_not_raised():
    """Without a server a post is status 0, counted under the error's name, and the poster goes on once there is one."""
    with Receiver(()) as closed:
        url = closed.url
    poster = Poster(url, TOKEN, connections=1, retries=1, pause_seconds=0.01)
    assert poster.post({"EventType": "task.created"}) == NOT_CONNECTED
    assert poster.close()
    assert (poster.counts, poster.errors) == ({NOT_CONNECTED: 2}, {"ConnectionRefusedError": 2})


def test_what_is_submitted_is_posted_before_the_poster_closes():
    """`close` waits for everything submitted; several connections share the work."""
    with receiving() as server:
        poster = Poster(server.url, TOKEN, connections=4)
        assert all(poster.submit(p) for _, p in first(400, 1))
        assert poster.close(timeout=20)
        assert len({got["Sid"] for got, _ in server.got}) == 400
    assert poster.counts == {204: 400}


class Taker:
    """Stands in for a poster: keeps what is submitted, with the simulated time."""

    def __init__(self, time_of):
        self.taken, self._time_of = [], time_of

    def submit(self, parameters, **_settings):
        self.taken.append((self._time_of(), parameters["Sid"]))
        return True


def test_play_keeps_time():
    """Each callback is submitted when its time has come; what is behind at once, and in order."""
    callbacks = first(300, 1, start_ms=1_000_000_000_000)
    now, stop = [1_000_000_000.5], threading.Event()  # half a second behind

    def sleep(seconds):
        now[0] += seconds

    taker = Taker(lambda: now[0])
    assert play(callbacks, taker, stop, clock=lambda: now[0], sleep=sleep) == 300
    assert [sid for _, sid in taker.taken] == [p["Sid"] for _, p in callbacks]
    assert all(
        taken == pytest.approx(max(at_ms / 1000, 1_000_000_000.5))
        for (taken, _), (at_ms, _) in zip(taker.taken, callbacks, strict=True)
    )


def test_play_stops_when_told():
    """A floor without end ends when `stop` is set, even while it waits for the next callback."""
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    floor = Floor(1, callbacks_per_second=0.1, start_ms=time.time_ns() // 1_000_000)
    play(floor.callbacks(), Taker(time.time), stop)
    assert time.monotonic() - begun < 5
