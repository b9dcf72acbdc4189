"""import and export: the log as JSON Lines, line by line through the same checks as the webhook."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.database import disposing, open_engine
from projector.importing import BATCH, LINE_MAX_BYTES, Imported, export_lines, import_lines
from projector.log import Log, Outcome, open_log
from projector.log.entry import recorded_ms
from projector.project import project
from projector.table_sink import TableSink
from projector.taskrouter.event_types import EVENT_TYPES
from projector.taskrouter.text import LATEST_MS
from tests.given import (
    START_MS,
    WORKSPACE,
    MemoryLog,
    Parameters,
    arrived,
    ms,
    sid,
    task_completed,
    task_created,
    text_url,
    worker,
)
from tests.posting import in_full

Rows = dict[str, dict[tuple[str, ...], dict[str, Any]]]


def projected(url: URL, log: Log) -> Rows:
    with disposing(open_engine(url)) as engine:
        sink = TableSink(engine)
        project(log, sink)
        return sink.rows()


def line(parameters: Parameters) -> bytes:
    return json.dumps(parameters).encode() + b"\n"


def document(parameters: Any, recorded_at: Any = START_MS, source: Any = "callback", **more: Any) -> bytes:
    return json.dumps({"recorded_at": recorded_at, "source": source, "parameters": parameters} | more).encode() + b"\n"


def outcomes(imported: Imported) -> dict[str, int]:
    return {outcome.value: times for outcome, times in imported.outcomes.items()}


GOOD = task_created(at=1, TaskAttributes='{"name":"Zoë \\/ 😀\\u0000"}')
BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"EventType=task.created\n", "not JSON"),
    "half a line": (line(GOOD)[:40] + b"\n", "not JSON"),
    "two objects": (line(GOOD)[:-1] + line(GOOD), "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + line(GOOD), "not JSON"),
    "not UTF-8": (b'{"EventType":"\xff"}\n', "not JSON"),
    "a name that is not UTF-8": (b'{"\xff":"x"}\n', "not JSON"),
    "a lone surrogate": (b'{"EventType":"\\ud800"}\n', "not JSON"),
    "deep nesting": (b'{"a":' * 100_000 + b"\n", "not "),
    "deep nesting in a document": (b'{"parameters":' + b"[" * 100_000 + b"\n", "not "),
    "a list": (b"[1]\n", "not a JSON object of text values"),
    "a text": (b'"x"\n', "not a JSON object of text values"),
    "null": (b"null\n", "not a JSON object of text values"),
    "a number for a value": (b'{"EventType":"task.created","TaskPriority":1}\n', "not a JSON object of text values"),
    "nested parameters": (b'{"EventType":{"a":"b"}}\n', "not a JSON object of text values"),
    "a document with more in it": (document(GOOD, position=3), "not a JSON object of text values"),
    "a document without a receipt": (document(GOOD, recorded_at=None), "not a JSON object of text values"),
    "a document with numbers": (document(GOOD | {"TaskPriority": 1}), "not a JSON object of text values"),
    "a receipt beyond all time": (document(GOOD, recorded_at=LATEST_MS + 1), "not a JSON object of text values"),
    "a receipt beyond a bigint": (document(GOOD, recorded_at=10**30), "not a JSON object of text values"),
    "a receipt before all time": (document(GOOD, recorded_at=-1), "not a JSON object of text values"),
    "an empty object": (b"{}\n", "no EventType"),
    "no EventType": (line({"Sid": GOOD["Sid"]}), "no EventType"),
    "a document without parameters": (document({}), "no EventType"),
    "too long": (line(GOOD | {"Reason": "x" * LINE_MAX_BYTES}), f"longer than {LINE_MAX_BYTES} bytes"),
    "another workspace": (line(GOOD | {"WorkspaceSid": "WS" + "0" * 32}), "its workspace is not in PROJECTOR_WORKSPACES"),
}
QUARANTINED: dict[str, tuple[bytes, str]] = {
    "a Sid that is none": (line(GOOD | {"Sid": "EV1"}), "quarantined: Sid is malformed"),
    "a Sid elsewhere": (line({"EventType": "x", "WorkspaceSid": WORKSPACE, "Reason": "Sid" + sid("EV", "x")}), "quarantined: Sid was moved"),
    "a Sid with other content": (line(GOOD | {"TaskPriority": "9"}), "quarantined: its Sid is stored with other content"),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "trouble"), (BAD | QUARANTINED).values(), ids=BAD | QUARANTINED)
def test_a_bad_line_is_reported_and_stops_nothing(bad: bytes, trouble: str) -> None:
    """Its number and what is wrong; the lines before and after it are in the log."""
    log = MemoryLog()
    after = task_created(at=2, task_="after")
    imported = import_lines(log, [line(GOOD), b"\n", bad, line(after)], frozenset({WORKSPACE}))
    ((number, said),) = imported.bad
    assert (number, said.startswith(trouble)) == (3, True), said
    assert [json.loads(row.state)["parameters"] for row in log.read(0, 10)] == [GOOD, after]
    assert imported.outcomes[Outcome.STORED] == 2


def test_every_bad_line_there_is_in_one_file(url: URL) -> None:
    """Among thousands of good ones, over several batches, on both databases."""
    good = [task_created(at=n, task_=str(n)) for n in range(2 * BATCH)]
    bads = [bad for bad, _ in (BAD | QUARANTINED).values()]
    lines = [line(GOOD), *map(line, good[:BATCH]), *bads, *map(line, good[BATCH:]), line(GOOD)]
    told: list[int] = []
    with closing(open_log(url)) as log:
        imported = import_lines(log, lines, frozenset({WORKSPACE}), told.append)
        assert [number for number, _ in imported.bad] == list(range(BATCH + 2, BATCH + 2 + len(bads)))
        assert outcomes(imported) == {"stored": len(good) + 1, "duplicate": 1, "quarantined": 2, "conflict": 1}
        assert log.end() == len(good) + 1
        assert sum(told) == sum(map(len, lines))


def test_lines_are_read_as_people_write_them(url: URL) -> None:
    """Blank lines, Windows line ends, blanks around, no line end at the end, keys escaped or not."""
    lines = [b"\n", b"  \r\n", line(task_created(at=1))[:-1] + b"\r\n", b" " + line(task_created(at=2)), line(GOOD)[:-1],
             json.dumps(GOOD, ensure_ascii=False, indent=None).encode()]  # fmt: skip
    with closing(open_log(url)) as log:
        imported = import_lines(log, lines)
        assert (outcomes(imported), imported.bad) == ({"stored": 3, "duplicate": 1}, [])
        assert all(json.loads(row.state)["source"] == "import" for row in log.read(0, 10))


def history() -> list[Parameters]:
    """Every EventType, a late callback, an unknown type, one without a stamp, one without a Sid, a lying deletion."""
    without_sid = {name: value for name, value in task_created(at=3, task_="nameless").items() if name != "Sid"}
    return [
        *(in_full(event_type, at) for at, event_type in enumerate(EVENT_TYPES)),
        GOOD,
        task_completed(at=9, task_="late"),
        task_created(at=1, task_="late"),
        in_full("task.created", at=4) | {"EventType": "task.invented", "Sid": sid("EV", "invented")},
        task_created(at=5, task_="unstamped", TimestampMs="", Timestamp=""),
        task_created(at=6, task_="future", TimestampMs=str(LATEST_MS)),
        without_sid,
        worker("created", at=0, worker="gone"),
        worker("activity.update", at=50, worker="gone"),
        worker("deleted", at=0, worker="gone"),
    ]


def test_an_exported_log_imports_to_the_same_log_and_the_same_tables(url: URL, new_url: Callable[[str], URL]) -> None:
    """Into an empty database of either kind: every document byte by byte, receipts and sources included, every row."""
    with closing(open_log(url)) as log:
        callbacks = history()
        arrived(log, *callbacks[:20])
        arrived(log, *callbacks[20:40], source="import")
        arrived(log, *callbacks[40:])
        exported = list(export_lines(log))
        assert (len(exported), all(each.endswith(b"\n") for each in exported)) == (log.end(), True)
        stored, tables = log.read(0, 1_000), projected(url, log)
    for backend in ("sqlite", "postgresql"):
        other = new_url(backend)
        with closing(open_log(other)) as log:
            imported = import_lines(log, exported)
            assert (outcomes(imported), imported.bad) == ({"stored": len(stored)}, [])
            assert log.read(0, 1_000) == stored
            assert [recorded_ms(row.state) for row in log.read(0, 1_000)] == [recorded_ms(row.state) for row in stored]
            assert list(export_lines(log)) == exported
            assert projected(other, log) == tables


def test_an_export_is_read_page_by_page(url: URL) -> None:
    """More callbacks than a page holds: each once, in the order of arrival."""
    with closing(open_log(url)) as log:
        bodies = [task_created(at=n, task_=str(n)) for n in range(2 * BATCH + 1)]
        arrived(log, *bodies)
        assert [json.loads(each)["parameters"] for each in export_lines(log)] == bodies


def test_an_empty_log_exports_nothing_and_takes_nothing(url: URL) -> None:
    """No callbacks, no lines."""
    with closing(open_log(url)) as log:
        assert list(export_lines(log)) == []
        assert outcomes(import_lines(log, [])) == {}


def test_into_a_log_that_holds_something_arrival_is_now(url: URL) -> None:
    """An old receipt would lie about when this log knew; the source says that it was no webhook."""
    with closing(open_log(url)) as log:
        arrived(log, task_created(at=0))
        already = recorded_ms(log.read(0, 1)[0].state)
        import_lines(log, [document(task_created(at=1), recorded_at=ms(1))])
        (row,) = log.read(1, 1)
        assert recorded_ms(row.state) >= already
        assert json.loads(row.state)["source"] == "import"


def test_receipts_of_an_import_never_go_back(url: URL) -> None:
    """An export put together by hand, out of order: "as known at" still means a position."""
    with closing(open_log(url)) as log:
        import_lines(log, [document(task_created(at), recorded_at=ms(at)) for at in (5, 3, 9, 1)])
        assert [recorded_ms(row.state) for row in log.read(0, 10)] == [ms(5), ms(5), ms(9), ms(9)]


def test_a_source_nobody_knows_is_an_import(url: URL) -> None:
    """What stands in a document's source is not written into the log unseen."""
    with closing(open_log(url)) as log:
        imported = import_lines(log, [document(task_created(at=1), source='x","recorded_at":0,"y":"')])
        assert outcomes(imported) == {"stored": 1}
        (row,) = log.read(0, 1)
        assert json.loads(row.state)["source"] == "import"
        assert recorded_ms(row.state) > START_MS


def test_an_import_repeated_adds_nothing(url: URL) -> None:
    """The same file twice: all duplicates, no trouble."""
    lines = [line(body) for body in history()]
    with closing(open_log(url)) as log:
        first, second = import_lines(log, lines), import_lines(log, lines)
        assert first.outcomes[Outcome.STORED] == second.outcomes[Outcome.DUPLICATE] == log.end()
        assert (first.bad, second.bad) == ([], [])


def run(url: URL, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)}
    return subprocess.run(
        [sys.executable, "-m", "projector", *arguments],
        input=given,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_the_commands_tell_it_in_figures_and_by_their_exit_status(url: URL, tmp_path: Path) -> None:
    """import: 0 when every line is in the log, 1 with a line for each that is not; export gives what import takes."""
    file = tmp_path / "callbacks.jsonl"
    file.write_bytes(line(GOOD) + line(task_created(at=2)) + line(GOOD))
    done = run(url, "import", str(file))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {"appended": 2, "duplicate": 1, "quarantined": 0, "unreadable": 0}
    done = run(url, "import", "-", given=b"nonsense\n" + line(GOOD | {"TaskPriority": "9"}) + line(task_created(at=3)))
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"appended": 1, "duplicate": 0, "quarantined": 1, "unreadable": 1}
    assert done.stderr.decode().splitlines() == ["line 1: not JSON", "line 2: quarantined: its Sid is stored with other content"]
    exported = run(url, "export")
    assert (exported.returncode, exported.stdout.count(b"\n"), exported.stderr) == (0, 3, b"")
    with closing(open_log(url)) as log:
        assert list(export_lines(log)) == exported.stdout.splitlines(keepends=True)


def test_a_file_that_is_not_there_and_a_database_that_is_empty_are_refused(databases: Any, tmp_path: Path) -> None:
    """Exit status 2 and a sentence, no traceback."""
    missing = run(databases.new("sqlite"), "import", str(tmp_path / "none.jsonl"))
    empty = run(databases.new("sqlite", migrated=False), "import", "-")
    for done, sentence in ((missing, b"none.jsonl"), (empty, b"projector migrate")):
        assert (done.returncode, sentence in done.stderr, b"Traceback" in done.stderr) == (2, True, False)
