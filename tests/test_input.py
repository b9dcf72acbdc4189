"""The input table: everything hostile or odd that can be posted, what is answered, and what the tables then say.

One row per input that is known to have broken a receiver, a driver or a database somewhere. Each is posted signed at the
real application, over both databases, and projected into the real tables.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from projector.log.entry import recorded_ms
from projector.project import project
from projector.sink import MemorySink
from projector.status import status
from projector.taskrouter.event_types import EVENT_TYPES
from projector.taskrouter.text import INT64_MAX, LATEST_MS
from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.given import TOKEN, WORKSPACE, Parameters, ms, reservation, sid, signed, task_created, worker
from tests.posting import UNHURRIED, KeepingLog, Webhook, in_full, is_accepted, posting_to, signed_bytes

Cells = dict[tuple[str, ...], dict[str, Any] | None]
READABLE = {"attributes_readable": True}
UNREADABLE = {"attributes": None, "attributes_readable": False}


class Told(NamedTuple):
    """What is posted, and the cells it comes to; a row that is None must not be there."""

    said: Parameters
    cells: Cells


def attributes(text: str, stored: str | None) -> Told:
    """Attributes of a task and of a worker come to the same value."""
    cells = UNREADABLE if stored is None else READABLE | {"attributes": stored}
    return Told(task_created(at=1, TaskAttributes=text), {("task", "t"): cells})


def named(name: str, stored: str | None = None) -> Told:
    """A name in every place that takes one."""
    stored = name if stored is None else stored
    said = reservation(
        "canceled", at=1, WorkerName=name, TaskQueueName=name, WorkflowName=name, WorkerActivityName=name,
        TaskChannelUniqueName=name, Reason=name, TaskQueueTargetExpression=name, WorkspaceName=name,
        TaskAttributes=json.dumps({name: name}), WorkerAttributes=json.dumps({name: [name]}, ensure_ascii=False),
    )  # fmt: skip
    return Told(
        said,
        {
            ("worker", "ann"): {"friendly_name": stored},
            ("task_queue", "support"): {"friendly_name": stored, "target_workers": stored},
            ("workflow", "main"): {"friendly_name": stored},
            ("activity", "Idle"): {"friendly_name": stored},
            ("task_channel", "voice"): {"unique_name": stored},
            ("workspace",): {"friendly_name": stored},
            ("reservation", "r"): {"reason": stored, "worker_name": stored, "status": "canceled"},
            ("task", "t"): {
                "task_queue_name": stored, "reason": stored,
                "attributes": json.dumps({stored: stored}, ensure_ascii=False, separators=(",", ":")),
            },
        },
    )  # fmt: skip


def by_receipt(**stamps: str) -> Told:
    """A stamp that cannot be believed: its event time is its receipt (checked below, for the receipt is not known here)."""
    said = task_created(at=1) | stamps
    return Told(said, {("task", "t"): {"timed_by_receipt_count": 1, "created_at": "receipt"}})


def stamped(at_ms: int, **stamps: str) -> Told:
    return Told(task_created(at=1) | stamps, {("task", "t"): {"timed_by_receipt_count": 0, "created_at": at_ms}})


def number(text: str, stored: int | None) -> Told:
    return Told(task_created(at=1, TaskPriority=text), {("task", "t"): {"priority": stored}})


def without(parameters: Parameters, *names: str) -> Parameters:
    return {name: value for name, value in parameters.items() if name not in names}


END_OF_TIME_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
CHANNEL = {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
HOSTILE_TEXTS = {
    "sql": "Robert'); DROP TABLE task;--",
    "sql parameters": "%s %(x)s :x ? $1 {0} \\",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{{7*7}} ${7*7} <%= 7*7 %> #{7*7}",
    "path": "../../../../etc/passwd",
    "header": "x\r\nSet-Cookie: a=b\r\n\r\n",
    "formula": "=HYPERLINK(\"http://evil.test\")",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 😀",
    "right to left": "\u202eשלום مرحبا\u202c",
    "four bytes": "𠜎𠜱 𝒳 🂡",
    "combining": "Zoe\u0308 A\u030a",
    "zero width": "a\u200b\ufeff\u2060b",
    "separators": "a&b=c;d+e%20f",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "controls": "\x01\x07\x1b[31m\x7f\x85\u2028",
    "long": "x" * 5_000,
}  # fmt: skip

STORED: dict[str, Told] = {
    # NUL: PostgreSQL refuses it in text and in jsonb.
    "NUL in attributes, raw": attributes('{"a":"x\0y"}', '{"a":"x�y"}'),
    "NUL in attributes, escaped": attributes('{"a":"x\\u0000y"}', '{"a":"x�y"}'),
    "NUL in a key of attributes": attributes('{"a\\u0000":{"\\u0000":1}}', '{"a�":{"�":1}}'),
    "NUL in every name": named("Sup\0port", "Sup�port"),
    "NUL in a Sid": Told(
        task_created(at=1, TaskSid="WT\0x"), {("task", "t"): None, ("task", "=WT�x"): {"status": "pending"}}
    ),
    "NUL in a number": number("1\0", None),
    "NUL in an unknown parameter": Told(task_created(at=1) | {"New\0": "\0"}, {("task", "t"): {"status": "pending"}}),
    "NUL in EventType": Told(task_created(at=1) | {"EventType": "task.created\0"}, {("task", "t"): None}),
    # Surrogates cannot be encoded in UTF-8.
    "lone surrogate in attributes": attributes('{"a":"\\ud800"}', '{"a":"�"}'),
    "lone surrogate in a key": attributes('{"\\udfff":1}', '{"�":1}'),
    "surrogates the wrong way round": attributes('{"a":"\\ude00\\ud83d"}', '{"a":"��"}'),
    "surrogate pair": attributes('{"a":"\\ud83d\\ude00"}', '{"a":"😀"}'),
    # What the event store's transcoder would take for its own.
    "_type_ and _data_": attributes('{"_type_":"x","_data_":"y"}', '{"_data_":"y","_type_":"x"}'),
    "_type_ of a decimal": attributes('{"_type_":"decimal_str","_data_":"1E+999999"}', '{"_data_":"1E+999999","_type_":"decimal_str"}'),
    # JSON that json.loads takes, or dies of.
    "NaN": attributes('{"a":NaN}', None),
    "Infinity": attributes('{"a":Infinity}', None),
    "-Infinity": attributes("-Infinity", None),
    "1e400": attributes('{"a":1e400}', '{"a":1e+300}'),
    "-1e400": attributes('{"a":[-1e400,1e-400]}', '{"a":[-1e+300,0.0]}'),
    "an integer of 4,301 digits": attributes('{"a":' + "9" * 4301 + "}", f'{{"a":{INT64_MAX}}}'),
    "a negative one": attributes('{"a":-' + "9" * 4301 + "}", f'{{"a":{-INT64_MAX}}}'),
    "one more than a bigint": attributes('{"a":9223372036854775808}', f'{{"a":{INT64_MAX}}}'),
    "nesting of 100,000": attributes("[" * 100_000, None),
    "closed nesting of 30,000": attributes("[" * 30_000 + "]" * 30_000, None),
    "nested objects of 10,000": attributes('{"":' * 10_000 + "1" + "}" * 10_000, None),
    "nesting of 65": attributes("[" * 65 + "]" * 65, None),
    "nesting of 64": attributes("[" * 64 + "]" * 64, "[" * 64 + "]" * 64),
    "duplicate keys": attributes('{"a":1,"a":{"b":1,"b":2}}', '{"a":{"b":2}}'),
    "byte order mark": attributes('\ufeff{"a":1}', None),
    "empty attributes": attributes("", None),
    "blank attributes": attributes("  ", None),
    "no JSON": attributes("{'a': 1}", None),
    "half a document": attributes('{"a":', None),
    "two documents": attributes("{}{}", None),
    "a scalar": attributes('"text"', '"text"'),
    "null": attributes("null", "null"),
    "65,537 characters of it": attributes('"%s"' % ("x" * 65_535), None),
    "65,536 characters of it": attributes('"%s"' % ("x" * 65_534), '"%s"' % ("x" * 65_534)),
    "blanks and escaped slashes": attributes(' { "b" : "a\\/b" , "a" : 1.50 } ', '{"a":1.5,"b":"a/b"}'),
    # Numbers out of their range.
    "negative priority": number("-3", -3),
    "priority beyond a bigint": number("99999999999999999999", INT64_MAX),
    "priority of 5,000 digits": number("9" * 5_000, None),
    "priority in words": number("high", None),
    "priority with a fraction": number("1.5", None),
    "empty priority": number("", None),
    "negative age": Told(task_created(at=1, TaskAge="-5", TaskVersion="-1"), {("task", "t"): {"version": -1, "created_at": ms(1)}}),
    "negative time in an activity": Told(
        worker("activity.update", at=1, WorkerTimeInPreviousActivityMs="-901", WorkerTimeInPreviousActivity="-1"),
        {("worker", "ann"): {"activity_since": ms(1)}},
    ),
    "negative capacity": Told(
        worker("capacity.update", at=1, WorkerChannelAvailableCapacity="-1", WorkerChannelCapacity="-2", **CHANNEL),
        {("worker_channel", "ann", "voice"): {"updated_capacity": None, "stated_capacity": None, "reported_available_capacity": "-1"}},
    ),
    "huge capacity": Told(
        worker("capacity.update", at=1, WorkerChannelAvailableCapacity="9" * 20, WorkerChannelCapacity="9" * 19, **CHANNEL),
        {("worker_channel", "ann", "voice"): {"updated_capacity": INT64_MAX, "stated_capacity": INT64_MAX}},
    ),
    # Stamps nobody can believe.
    "no stamp": by_receipt(TimestampMs="", Timestamp=""),
    "stamp in words": by_receipt(TimestampMs="yesterday", Timestamp="2026-02-02T02:40:00Z"),
    "negative stamp": by_receipt(TimestampMs="-1", Timestamp="-1"),
    "stamp zero": by_receipt(TimestampMs="0", Timestamp="0"),
    "stamp of the year 9999": by_receipt(TimestampMs=str(END_OF_TIME_MS), Timestamp=str(END_OF_TIME_MS // 1000)),
    "stamp of the year 33658": by_receipt(TimestampMs="9" * 15, Timestamp="9" * 11),
    "stamp beyond a bigint": by_receipt(TimestampMs="9" * 20, Timestamp="9" * 20),
    "unreadable milliseconds": stamped(ms(2), TimestampMs="NaN", Timestamp=str(ms(2) // 1000)),
    "stamp in seconds where milliseconds are due": stamped(ms(2), TimestampMs=str(ms(2) // 1000)),
    "creation in the year 9999": Told(
        task_created(at=1, EventType="task.updated", TaskDateCreated=str(END_OF_TIME_MS)), {("task", "t"): {"created_at": None}}
    ),
    "creation in the year 1": Told(
        task_created(at=1, EventType="task.updated", TaskDateCreated="-62135596800000"), {("task", "t"): {"created_at": None}}
    ),
    # Sids.
    "empty TaskSid": Told(task_created(at=1, TaskSid=""), {("task", "t"): None, ("task_queue", "support"): {"friendly_name": "Support"}}),
    "empty WorkerSid": Told(reservation("created", at=1, WorkerSid=""), {("reservation", "r"): {"worker_sid": None}, ("worker", "ann"): None}),
    "empty ReservationSid": Told(
        reservation("created", at=1, ReservationSid=""), {("reservation", "r"): None, ("task", "t"): {"status": "reserved"}}
    ),
    "Sids in the other case": Told(
        task_created(at=1, TaskSid=sid("WT", "t").upper(), WorkflowSid=sid("WW", "main").lower()),
        {("task", "t"): None, ("task", "=" + sid("WT", "t").upper()): {"workflow_sid": sid("WW", "main").lower()}},
    ),
    "an event Sid with capitals": Told(
        task_created(at=1, Sid="EV" + "A" * 32), {("task", "t"): {"last_event_sid": "EV" + "A" * 32}}
    ),
    "a Sid of 64 characters": Told(task_created(at=1, TaskSid="WT" * 32), {("task", "=" + "WT" * 32): {"status": "pending"}}),
    "a Sid of 100,000 characters": Told(
        task_created(at=1, TaskSid="WT" * 50_000, WorkflowSid="x" * 65), {("task", "t"): None, ("workflow", "main"): None}
    ),
    "a Sid with a slash": Told(task_created(at=1, TaskSid="WT/../x"), {("task", "=WT/../x"): {"status": "pending"}}),
    "no Sid": Told(without(task_created(at=1), "Sid"), {("task", "t"): {"status": "pending"}}),
    "empty Sid": Told(task_created(at=1) | {"Sid": ""}, {("task", "t"): {"status": "pending"}}),
    # EventTypes.
    "EventType of 10,000 characters": Told(task_created(at=1) | {"EventType": "😀" * 10_000}, {("task", "t"): None}),
    "EventType in capitals": Told(task_created(at=1) | {"EventType": "TASK.CREATED"}, {("task", "t"): None}),
    # Twilio adds parameters whenever it likes.
    "480 more parameters": Told(task_created(at=1) | {f"New{n}": "x" for n in range(480)}, {("task", "t"): {"status": "pending"}}),
    "a parameter of no name": Told(task_created(at=1) | {"": "x"}, {("task", "t"): {"status": "pending"}}),
    "parameters of a document": Told(
        task_created(at=1) | {"recorded_at": "0", "source": "import", "parameters": "{}"}, {("task", "t"): {"status": "pending"}}
    ),
    **{f"text: {name}": named(text) for name, text in HOSTILE_TEXTS.items()},
}  # fmt: skip


class Shared:
    """One database for many cases, each in a workspace of its own; a fresh one after a case that went wrong."""

    def __init__(self, databases: Databases, backend: str) -> None:
        self._databases, self._backend = databases, backend
        self._open = ExitStack()
        self.webhook: Webhook | None = None

    def __enter__(self) -> Webhook:
        if self.webhook is None:
            self.webhook = self._open.enter_context(posting_to(self._databases.new(self._backend)))
        return self.webhook

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.close()

    def close(self) -> None:
        self._open.close()
        self.webhook = None


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Shared]:
    made = Shared(databases, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("case", STORED.values(), ids=STORED)
def test_what_is_signed_and_names_its_workspace_is_stored_as_received_and_projected(
    shared: Shared, request: pytest.FixtureRequest, case: Told
) -> None:
    """204; the log has every character as it came; the tables have what both databases can hold."""
    workspace = sid("WS", request.node.name)
    said = case.said | {"WorkspaceSid": workspace}
    with shared as webhook:
        end = webhook.log.end()
        body, headers = signed(said)
        if len(body) > 256 * 1024:
            body = "&".join(f"{name}={value}" for name, value in said.items()).encode()  # the same, not escaped
        assert is_accepted(webhook.send(body, **headers))
        (row,) = webhook.log.read(end, 10)
        assert json.loads(row.state)["parameters"] == said
        told = webhook.tables(workspace)
        for (table, *names), cells in case.cells.items():
            if cells is None:
                with pytest.raises((KeyError, StopIteration)):
                    told.the(table, *names)
                continue
            as_named = (workspace, names[0][1:]) if names and names[0].startswith("=") else None
            found = told.rows[table][as_named] if as_named else told.the(table, *names)
            expected = {name: recorded_ms(row.state) if value == "receipt" else value for name, value in cells.items()}
            assert {name: found[name] for name in cells} == expected


def test_all_these_together_make_the_same_rows_in_memory(shared: Shared) -> None:
    """What the tables hold after the cases above is what memory holds, cell by cell."""
    with shared as webhook:
        memory = MemorySink()
        project(webhook.log, memory)
        assert webhook.tables().rows == memory.rows()
        assert status(webhook.log, webhook.engine, 0)["incomplete"] == {}


QUARANTINED: dict[str, tuple[list[tuple[str, bytes]], str]] = {}


def _quarantined(name: str, reason: str, *more: tuple[str, bytes], base: Parameters | None = None) -> None:
    said = task_created(at=1) if base is None else base
    QUARANTINED[name] = ([*((field, value.encode()) for field, value in said.items()), *more], reason)


_quarantined("a raw byte that is not UTF-8", "the body is not UTF-8", ("Reason", b"\xff"))
_quarantined("half a character", "the body is not UTF-8", ("Reason", "é".encode()[:1]))
_quarantined("a surrogate in UTF-8 (%ED%A0%80)", "the body is not UTF-8", ("Reason", b"\xed\xa0\x80"))
_quarantined("an overlong NUL (%C0%80)", "the body is not UTF-8", ("Reason", b"\xc0\x80"))
_quarantined("a known field with two values", "a field came with several values", ("TaskPriority", b"7"))
_quarantined("an unknown field with two values", "a field came with several values", ("New", b"1"), ("New", b"2"))
_quarantined("two Sids", "a field came with several values", ("Sid", sid("EV", "another").encode()))
_quarantined("a Sid in the other case", "Sid is malformed", base=task_created(at=1, Sid=sid("EV", "x").lower()))
_quarantined("a Sid too short", "Sid is malformed", base=task_created(at=1, Sid=sid("EV", "x")[:-1]))
_quarantined("a Sid too long", "Sid is malformed", base=task_created(at=1, Sid=sid("EV", "x") + "0"))
_quarantined("a Sid and a line feed", "Sid is malformed", base=task_created(at=1, Sid=sid("EV", "x") + "\n"))
_quarantined("a Sid and NUL", "Sid is malformed", base=task_created(at=1, Sid=sid("EV", "x") + "\0"))
_quarantined("a Sid in other digits", "Sid is malformed", base=task_created(at=1, Sid="EV" + "٣" * 32))
_quarantined("no WorkspaceSid", "WorkspaceSid is missing", base=without(task_created(at=1), "WorkspaceSid"))
_quarantined("empty WorkspaceSid", "WorkspaceSid is missing", base=task_created(at=1, WorkspaceSid=""))
_quarantined(
    "a WorkspaceSid in the other case", "WorkspaceSid is missing", base=task_created(at=1, WorkspaceSid=WORKSPACE.lower())
)
_quarantined(
    "a WorkspaceSid with a slash", "WorkspaceSid is missing", base=task_created(at=1, WorkspaceSid=WORKSPACE[:-2] + "/x")
)
_quarantined(
    "no Sid, and one in another field", "Sid was moved",
    base=without(task_created(at=1, ResourceType="taskSid" + sid("EV", "x")), "Sid"),
)  # fmt: skip


@pytest.mark.parametrize(("pairs", "reason"), QUARANTINED.values(), ids=QUARANTINED)
def test_what_is_signed_but_cannot_be_trusted_is_quarantined(shared: Shared, pairs: list[tuple[str, bytes]], reason: str) -> None:
    """204, nothing in the log, the whole of it beside the log, and projecting goes on."""
    with shared as webhook:
        stored, already = webhook.stored(), webhook.quarantined()
        body, headers = signed_bytes([(name.encode(), value) for name, value in pairs])
        assert is_accepted(webhook.send(body, **headers))
        assert is_accepted(webhook.send(body, **headers))
        ((why, kept, times),) = [row for row in webhook.quarantined() if row not in already]
        assert (why.startswith(reason), times, webhook.stored()) == (True, 2, stored)
        if "UTF-8" in reason:
            assert kept == body
        assert webhook.log.intake() == {"quarantined": 2 * len(already) + 2}
        assert is_accepted(webhook.post(task_created(at=5, task_=body.decode("latin-1"))))
        assert webhook.tables().the("task", body.decode("latin-1"))["status"] == "pending"


def raw(field: bytes) -> tuple[bytes, dict[str, str]]:
    """A callback with a field spelled like this in its body, signed over the text as it stands there."""
    body, headers = signed(task_created(at=1, Reason=field.decode("latin-1")))
    return body.replace(quote_plus(field.decode("latin-1")).encode(), field), headers


BODY, HEADERS = signed(task_created(at=1))
SIGNATURE = HEADERS["X-Twilio-Signature"]
SIGNATURES = {
    "empty": "",
    "not ASCII": "é" * 28,
    "very long": SIGNATURE * 10_000,
    "one character more": SIGNATURE + "=",
    "one character less": SIGNATURE[:-1],
    "another case": SIGNATURE.swapcase(),
    "a blank behind": SIGNATURE + " x",
    "two of them": f"{SIGNATURE}, {SIGNATURE}",
    "not base64": "\x7f" * 28,
    "the token itself": TOKEN,
}


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
@pytest.mark.parametrize("more", [b"", b"&Reason=%FF"], ids=["UTF-8", "not UTF-8"])
def test_a_signature_of_any_shape_but_the_right_one_is_refused(signature: str, more: bytes) -> None:
    """403, whatever it is; nothing raises."""
    with posting_to(log=KeepingLog()) as webhook:
        answer = webhook.app.test_client().post(
            "/callbacks", data=BODY + more, headers=HEADERS | {"X-Twilio-Signature": signature}
        )
        assert answer.status_code == 403
        assert (webhook.stored(), webhook.log.rejected) == ([], [])


@pytest.mark.parametrize("field", [b"%ED%A0%80", b"%FF", b"\xff"])
def test_what_is_not_utf_8_and_not_signed_over_its_bytes_is_refused(field: bytes) -> None:
    """The signature over `%ED%A0%80` as text, or over what Latin-1 makes of it, is no signature of these bytes."""
    body, headers = raw(field)
    with posting_to(log=KeepingLog()) as webhook:
        assert webhook.send(body, **headers).status_code == 403
        assert (webhook.stored(), webhook.log.rejected) == ([], [])


def test_a_percent_sign_that_escapes_nothing_stays_as_it_is(url: URL) -> None:
    """`100%` and `%zz` are text, as every form parser reads them."""
    with posting_to(url) as webhook:
        said = task_created(at=1, Reason="100%zz%")
        body, headers = signed(said)
        assert is_accepted(webhook.send(body.replace(b"100%25zz%25", b"100%zz%"), **headers))
        assert webhook.tables().the("task", "t")["reason"] == "100%zz%"


def test_the_same_value_twice_is_one_value(url: URL) -> None:
    """A field repeated with the value it has is neither doubt nor another callback."""
    with posting_to(url) as webhook:
        pairs = list(task_created(at=1).items())
        assert is_accepted(webhook.post_pairs(pairs))
        assert is_accepted(webhook.post_pairs([*pairs, pairs[3], pairs[0]]))
        assert (len(webhook.stored()), webhook.log.intake()) == (1, {"duplicate": 1})


def test_a_server_far_east_of_greenwich_reads_every_moment(url: URL) -> None:
    """The greatest time a callback can state is a time in every zone: no row becomes unreadable."""
    with posting_to(url) as webhook:
        if url.get_backend_name() == "postgresql":
            with webhook.engine.begin() as connection:
                connection.execute(sa.text(f"ALTER DATABASE \"{url.database}\" SET timezone = 'Pacific/Kiritimati'"))
            webhook.engine.dispose()
        stated = [str(year) for year in (END_OF_TIME_MS, LATEST_MS + 1, LATEST_MS)]
        for at, text in enumerate(stated):
            assert is_accepted(webhook.post(task_created(at, text, EventType="task.updated", TaskDateCreated=text)))
        assert len(webhook.tables().rows["task"]) == 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "",
        "\0",
        "9" * 30,
        "-1",
        "NaN",
        "[" * 300,
        '{"a":1}',
        "1e999",
        "true",
        "\ufeff",
        sid("EV", "x"),
        sid("WT", "t"),
        str(END_OF_TIME_MS),
        "💥",
    ]
)


@st.composite
def mutated(draw: Any) -> Parameters:
    """A callback of any type in which anything may be missing, other, or more; signed afterwards, so that it gets in."""
    said = in_full(draw(st.sampled_from(list(EVENT_TYPES))), at=draw(st.integers(0, 9)))
    names = sorted(said)
    for name in draw(st.lists(st.sampled_from(names), max_size=4)):
        said.pop(name, None)
    for name in draw(st.lists(st.sampled_from(names) | TEXTS, max_size=4)):
        said[name] = draw(TEXTS)
    return said


MUTATIONS = int(os.environ.get("PROJECTOR_MUTATIONS", "250"))


def test_no_signed_form_raises_anywhere() -> None:
    """204 (400 without EventType); then folding what was stored raises nothing and leaves no unit incomplete."""
    with posting_to(log=KeepingLog()) as webhook:

        @settings(UNHURRIED, max_examples=MUTATIONS)
        @given(mutated())
        def is_answered(said: Parameters) -> None:
            webhook.log.clear()
            answer = webhook.post(said)
            assert is_accepted(answer) or (answer.status_code == 400 and not said.get("EventType"))
            assert len(webhook.stored()) + len(webhook.log.rejected) == (answer.status_code == 204)
            sink = MemorySink()
            project(webhook.log, sink)
            assert sink.incomplete() == set()

        is_answered()


def test_no_body_raises_whatever_its_bytes() -> None:
    """Any bytes, signed or not: an answer that the table knows."""
    with posting_to(log=KeepingLog()) as webhook:

        @settings(UNHURRIED, max_examples=MUTATIONS)
        @given(st.binary(max_size=300), st.booleans())
        def is_answered(body: bytes, right: bool) -> None:
            headers = signed_bytes([], body=body)[1] if right else HEADERS
            assert webhook.send(body, **headers).status_code in (204, 400, 403, 413)

        is_answered()


def test_mutated_callbacks_make_the_same_rows_in_every_place(url: URL) -> None:
    """150 mutated callbacks, projected into the tables and into memory: the same rows, none incomplete."""
    collected: list[Parameters] = []

    @settings(UNHURRIED, max_examples=150, derandomize=True, database=None, phases=[Phase.generate])
    @given(mutated())
    def collect(said: Parameters) -> None:
        collected.append(said)

    collect()
    with posting_to(url) as webhook:
        answers = [webhook.post(said).status_code for said in collected]
        assert set(answers) <= {204, 400}
        memory = MemorySink()
        project(webhook.log, memory)
        assert webhook.tables().rows == memory.rows()
        kept = webhook.log.intake()
        assert len(webhook.stored()) + sum(kept.values()) == answers.count(204)
