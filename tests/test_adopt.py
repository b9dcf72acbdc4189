"""`projector adopt`: from an existing workspace to right tables at once; nothing doubled when the real events come later.

Twilio is played by our own read API over the tables of a projector that heard everything: it answers as Twilio does.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from projector import tables
from projector.database import disposing, open_engine
from projector.errors import TwilioNotFound, TwilioRefused
from projector.feeds.adopt import Adopted, adopt
from projector.feeds.twilio import Asked, Twilio
from projector.floor.center import Floor
from projector.log import Entry, open_log
from projector.project import project
from projector.table_sink import TableSink
from projector.tables.views import view
from tests.fake_twilio import FakeTwilio, Quirks
from tests.given import WORKSPACE, MemoryLog, Parameters, sid, task_created, text_url
from tests.harness import ROOT
from tests.ledger import Gap, Ledger, is_of, keys
from tests.mirror import KEY, served, twilio_at
from tests.reading import reading_from

TRACES = ("folded_to", "callback_count", "updated_at", "last_event_sid", "observed")  # that it was observed, whatever that said
NOT_TOLD = (
    "ignore_capacity",
    "deletion_received_at",
)  # REST always says it, this floor never; a deletion that was backfilled has no receipt
Rows = dict[tuple[Any, ...], dict[str, Any]]


def floor(seed: int, count: int, workers: int = 12) -> tuple[str, list[Parameters]]:
    """A workspace and its callbacks. Without deletions of workers: when one took effect depends on how it was received."""
    center = Floor(seed, workers=workers)
    told = [parameters for _, parameters in islice(center.callbacks(), count)]
    return center.workspace_sid, [each for each in told if each["EventType"] != "worker.deleted"]


class Projector:
    """A log and its tables."""

    def __init__(self, url: URL) -> None:
        self.url = url

    def hears(self, callbacks: list[Parameters], source: str = "callback") -> None:
        with closing(open_log(self.url)) as log:
            log.append([Entry.of(each, source) for each in callbacks])
        self.projects()

    def adopts(self, twilio: Twilio, workspace: str) -> Adopted:
        with closing(open_log(self.url)) as log:
            adopted = adopt(log, twilio, workspace, threading.Event())
        self.projects()
        return adopted

    def projects(self) -> None:
        with closing(open_log(self.url)) as log, disposing(open_engine(self.url)) as engine:
            project(log, TableSink(engine))

    def rows(self, table: str, *leaving_out: str) -> Rows:
        """The rows of a table or view, without what shows that something was told twice."""
        source = view(table) if table in HISTORIES else tables.metadata.tables[table]
        out = {*TRACES, *NOT_TOLD, *leaving_out}
        columns = [column for column in source.c if column.name not in out and not column.name.endswith("_order")]
        with disposing(open_engine(self.url)) as engine, engine.connect() as connection:
            return {tuple(row): dict(row._mapping) for row in connection.execute(sa.select(*columns))}


@pytest.fixture
def pair(url: URL, new_url: Callable[[str], URL]) -> tuple[Projector, Projector]:
    """One that heard everything, and one that is new; both on the same kind of database."""
    return Projector(url), Projector(new_url(url.get_backend_name()))


CURRENT = {  # table → what of a live thing must be right at once
    "worker": ("worker_sid", "friendly_name", "attributes", "activity_sid", "activity_name", "created_at", "deleted_at"),
    "worker_channel": ("worker_sid", "task_channel_sid", "unique_name", "available", "configured_capacity"),
    "activity": ("activity_sid", "friendly_name", "available"),
    "task_queue": ("task_queue_sid", "friendly_name", "target_workers"),
    "workflow": ("workflow_sid", "friendly_name"),
    "task_channel": ("task_channel_sid", "unique_name", "friendly_name", "optimized_routing"),
    "task": (
        "task_sid",
        "attributes",
        "status",
        "priority",
        "task_channel_sid",
        "task_queue_sid",
        "workflow_sid",
        "visit_queue_sid",
    ),
    "reservation": ("reservation_sid", "task_sid", "worker_sid", "status", "task_channel_sid"),
}
LIVE = {"task": ("pending", "reserved", "assigned", "wrapping"), "reservation": ("pending", "accepted", "wrapping")}


def current(projector: Projector, table: str) -> list[tuple[Any, ...]]:
    """What is true now: of what lives."""
    source = tables.metadata.tables[table]
    alive = source.c.status.in_(LIVE[table]) if table in LIVE else sa.true()
    alive = sa.and_(alive, source.c.deleted_at.is_(None)) if "deleted_at" in source.c else alive
    with disposing(open_engine(projector.url)) as engine, engine.connect() as connection:
        return sorted(map(repr, connection.execute(sa.select(*(source.c[name] for name in CURRENT[table])).where(alive))))


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_a_floor_stopped_in_the_middle_of_the_day(pair: tuple[Projector, Projector], seed: int) -> None:
    """Current tables right at once and ever after; the history right from then on; all of it, once the real events have come."""
    truth, late = pair
    workspace, told = floor(seed, 2_400)
    noon_ms = int(told[1_500]["TimestampMs"]) // 1000 * 1000  # Twilio is asked when a second is over
    before = [each for each in told if int(each["TimestampMs"]) < noon_ms]
    after = [each for each in told if int(each["TimestampMs"]) >= noon_ms]
    truth.hears(before)
    with reading_from(truth.url, KEY) as api, served(api) as url:
        adopted = late.adopts(twilio_at(url), workspace)
        assert adopted.outcomes.keys() == {"stored"}
        for table in CURRENT:
            assert current(late, table) == current(truth, table), table
        again = late.adopts(twilio_at(url), workspace)
        assert again.outcomes == {"duplicate": adopted.outcomes["stored"]}

    truth.hears(after)
    late.hears(after)
    for table in CURRENT:
        assert current(late, table) == current(truth, table), table
    since = noon_ms + 1000  # REST dates to the second
    for history in HISTORIES:
        assert began_after(late, history, since) == began_after(truth, history, since), history

    late.hears(before, source="events-api")
    for table in (*CURRENT, *HISTORIES, "gap_told"):
        mine, right = late.rows(table).keys(), truth.rows(table).keys()
        assert mine - right == right - mine == set(), table


@pytest.mark.parametrize("seed", [3, 8])
def test_adopting_what_is_known_blames_nothing(pair: tuple[Projector, Projector], seed: int) -> None:
    """Once a day the loop adopts whatever lives, told or not: nothing is missing for that, then or later in the day."""
    truth, late = pair
    workspace, told = floor(seed, 3_000)
    noon_ms = int(told[1_200]["TimestampMs"]) // 1000 * 1000
    before = [each for each in told if int(each["TimestampMs"]) < noon_ms]
    after = [each for each in told[:2_400] if int(each["TimestampMs"]) >= noon_ms]
    truth.hears(before)
    late.hears(before)
    with reading_from(truth.url, KEY) as api, served(api) as url:
        late.adopts(twilio_at(url), workspace)
    assert unexplained(late, told[len(before) :]) == []
    late.hears(after)
    assert unexplained(late, told[2_400:]) == []


def unexplained(projector: Projector, coming: list[Parameters]) -> list[Gap]:
    """Gaps that are of nothing that is told next: a floor is stopped in the middle of something."""
    of = keys(coming)
    with closing(open_log(projector.url)) as log, disposing(open_engine(projector.url)) as engine:
        return [gap for gap in Ledger(log, engine).gaps() if not is_of(gap, of)]


HISTORIES = (
    "worker_activity_span", "worker_attributes_span", "worker_channel_span", "task_status_span", "reservation_status_span", "task_queue_span",
)  # fmt: skip


def began_after(projector: Projector, history: str, since_ms: int) -> list[str]:
    """The spans that began after a moment; without their numbers and by whom a capacity was told, which is known from what was before."""
    rows = projector.rows(history, "n", "configured_capacity_basis").values()
    return sorted(repr(row) for row in rows if row["started_at"] is not None and row["started_at"] > since_ms)


def test_a_dry_run_writes_nothing(pair: tuple[Projector, Projector]) -> None:
    """It says what would be appended, before and after."""
    truth, late = pair
    workspace, told = floor(5, 300, workers=3)
    truth.hears(told)
    with reading_from(truth.url, KEY) as api, served(api) as url, closing(open_log(late.url)) as log:
        twilio, stop = twilio_at(url), threading.Event()
        would = adopt(log, twilio, workspace, stop, is_dry=True)
        assert log.end() == 0
        done = adopt(log, twilio, workspace, stop)
        assert would.outcomes == done.outcomes == {"stored": log.end()}
        assert adopt(log, twilio, workspace, stop, is_dry=True).outcomes == {"duplicate": log.end()}


class Restless:
    """Twilio, where everything changed in the second in which it was asked for, so many times."""

    def __init__(self, times: int) -> None:
        self.asked, self.left = Asked(asked_seconds=1_770_000_000), times

    def record(self, path: str) -> dict[str, Any]:
        self.left -= 1
        date = 1_770_000_000 if self.left >= 0 else 1_769_999_999
        shown = {"sid": path.rpartition("/")[2], "date_updated": datetime.fromtimestamp(date, UTC).isoformat()}
        return shown | {"friendly_name": f"after {self.left}"}

    def pages(self, _path: str, **_: object) -> Iterator[list[Any]]:
        yield []


class Unhurried(threading.Event):
    """Never set, and waits for nothing."""

    def wait(self, _timeout: float | None = None) -> bool:
        return False


@pytest.mark.parametrize(("times", "stored", "restless"), [(0, 1, 0), (1, 1, 0), (5, 1, 0), (6, 0, 1), (100, 0, 1)])
def test_what_changes_just_now_is_asked_for_again(times: int, stored: int, restless: int) -> None:
    """Until it was left alone for a second, a few times; what never is, is left to its callbacks, and said."""
    log = MemoryLog()
    adopted = adopt(log, Restless(times), WORKSPACE, Unhurried())  # type: ignore[arg-type]  # as much of a Twilio as adopting asks
    assert (log.end(), adopted.restless) == (stored, restless)


class Listing:
    """Twilio with these lists. One within a thing that is not among them is not there any more."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.asked, self.lists = Asked(asked_seconds=1_770_000_000), lists

    def record(self, path: str) -> dict[str, Any]:
        return {"sid": path.rpartition("/")[2], "friendly_name": "Floor", "date_updated": "2026-01-01T00:00:00Z"}

    def pages(self, path: str, **_: object) -> Iterator[list[Any]]:
        name = path.removeprefix(f"/Workspaces/{WORKSPACE}/")
        if name not in self.lists and "/" in name:
            raise TwilioNotFound("answers 404")
        yield self.lists.get(name, [])


def shown(kind: str, name: str, **more: str) -> dict[str, Any]:
    """A worker (`WK`) or task (`WT`) as REST shows it."""
    dates = {"date_created": "2026-01-01T00:00:00Z", "date_updated": "2026-01-01T00:00:00Z"}
    dates |= {"date_status_changed": "2026-01-01T00:00:00Z"}
    says = {"friendly_name": name, "activity_sid": sid("WA", "Idle"), "activity_name": "Idle", "assignment_status": "pending"}
    return {"sid": sid(kind, name), "workspace_sid": WORKSPACE, "attributes": "{}"} | dates | says | more


def test_what_is_gone_since_it_was_listed_stops_nothing() -> None:
    """A task that ended, a worker that was deleted meanwhile: its callbacks tell how. The others are taken."""
    twilio = Listing(Workers=[shown("WK", "ann"), shown("WK", "bob")], Tasks=[shown("WT", "t"), shown("WT", "u")])
    twilio.lists[f"Tasks/{sid('WT', 'u')}/Reservations"] = []
    adopted = adopt(MemoryLog(), twilio, WORKSPACE, Unhurried())  # type: ignore[arg-type]  # likewise
    assert (adopted.shown, adopted.unreadable) == ({"workspace": 1, "worker": 2, "task": 2}, {})


def test_text_that_is_no_unicode_is_left_out_alone() -> None:
    """JSON can spell half a surrogate pair, UTF-8 cannot."""
    twilio = Listing(Workers=[shown("WK", "ann", friendly_name="a\ud83d"), shown("WK", "bob")])
    log = MemoryLog()
    adopted = adopt(log, twilio, WORKSPACE, Unhurried())  # type: ignore[arg-type]  # likewise
    assert adopted.unreadable == {"worker": 1}
    assert {json.loads(row.state)["parameters"].get("WorkerSid") for row in log.read(0, 100)} == {None, sid("WK", "bob")}


def test_the_command_that_could_read_nothing_does_not_end_well(new_url: Any) -> None:
    """Every record of another shape than we know: a job that runs it must not go on as if the tables were right."""
    answer = {"sid": 7, "workspaces": [{"sid": WORKSPACE}], "meta": {"key": "workspaces", "next_page_url": None}}
    with FakeTwilio(Quirks(body=json.dumps(answer).encode())) as fake:
        fake.offer(task_created(1))
        done = run(new_url("sqlite"), fake.url, TWILIO_API_KEYS=fake.settings()["TWILIO_API_KEYS"])
        said = json.loads(done.stdout)
        assert (done.returncode, said["appended"], set(said["shown"])) == (1, 0, set(said["unreadable"])), done.stderr


def test_it_stops_between_two_things_when_it_is_told_to() -> None:
    """What was read so far is stored: a loop that is ended must not go on for a request for each worker."""
    twilio, stop, log = Listing(Workers=[shown("WK", str(n)) for n in range(50)]), threading.Event(), MemoryLog()
    adopted = adopt(log, twilio, WORKSPACE, stop, lambda done: stop.set() if done == 3 else None)  # type: ignore[arg-type]  # likewise
    assert (adopted.shown.total(), adopted.outcomes["stored"]) == (3, log.end())
    assert log.end() >= 3


def test_what_is_gone_is_refused_in_words(pair: tuple[Projector, Projector]) -> None:
    """A workspace that Twilio does not have."""
    truth, late = pair
    with reading_from(truth.url, KEY) as api, served(api) as url, pytest.raises(TwilioRefused, match="no such workspace"):
        late.adopts(twilio_at(url), WORKSPACE)


def run(url: URL, twilio_url: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "PROJECTOR_DATABASE_URL": text_url(url), "PROJECTOR_TWILIO_URL": twilio_url, "TWILIO_API_KEYS": f"{KEY.name}:{KEY.secret}", **settings,
    }  # fmt: skip
    command = [sys.executable, "-m", "projector", "adopt", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_says_what_it_took(pair: tuple[Projector, Projector]) -> None:
    """JSON on a pipe; a refusal in one sentence; no secret in either."""
    truth, late = pair
    workspace, told = floor(5, 300, workers=3)
    truth.hears(told)
    with reading_from(truth.url, KEY) as api, served(api) as url:
        done = run(late.url, url, "--workspace", workspace)
        said = json.loads(done.stdout)
        assert (said["shown"]["worker"], said["known"], said["quarantined"], said["changing_too_often"]) == (3, 0, 0, 0)
        assert said["appended"] > 10
        again = json.loads(run(late.url, url).stdout)
        assert (again["appended"], again["known"]) == (0, said["appended"])
        refused = run(late.url, url, "--workspace", WORKSPACE)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert WORKSPACE in refused.stderr
        assert all(KEY.secret not in each for each in (done.stdout, done.stderr, refused.stderr))
