"""Other feeds' events are mapped to a callback's parameters, and are the same event as the callback."""

import json
from typing import Any

import pytest

from projector.feeds.shape import Unreadable, from_event_streams, from_events_api, pascal
from projector.log import Entry
from projector.log.admit import admit
from projector.taskrouter.callback import fields_of
from projector.taskrouter.sameness import same_core, same_where_both_say
from tests.given import ACCOUNT, WORKSPACE, Parameters, ms, reservation, sid, task_created, worker
from tests.reshaping import as_cloud_event, as_events_api

EVERY_KIND: list[Parameters] = [
    task_created(1, TaskVersion="0", TaskDateCreated=str(ms(1)), TaskQueueEnteredDate=str(ms(1)), TaskAddons="{}"),
    reservation("created", 2, TaskIgnoreCapacity="false", WorkerChannelCapacity="3", ReservationVersion="1"),
    worker(
        "activity.update", 3, WorkerPreviousActivitySid=sid("WA", "Busy"), WorkerPreviousActivityName="Busy",
        WorkerTimeInPreviousActivity="2", WorkerTimeInPreviousActivityMs="2345", WorkerVersion="7",
    ),
    worker(
        "capacity.update", 4, WorkerChannelAvailable="true", WorkerChannelAvailableCapacity="2", WorkerChannelPreviousCapacity="1",
        TaskChannelSid=sid("TC", "voice"), TaskChannelUniqueName="voice", WorkerChannelTaskCount="0",
    ),
]  # fmt: skip


@pytest.mark.parametrize("told", EVERY_KIND, ids=lambda told: told["EventType"])
def test_a_cloud_event_is_the_callback(told: Parameters) -> None:
    """Typed values, ISO dates and snake_case come back as the callback's own text."""
    mapped = from_event_streams(json.loads(json.dumps(as_cloud_event(told))))
    assert mapped == told
    assert same_core(fields_of(mapped), fields_of(told))


@pytest.mark.parametrize("told", EVERY_KIND, ids=lambda told: told["EventType"])
def test_an_event_of_the_events_api_is_the_callback(told: Parameters) -> None:
    """Its event_data in snake_case text, its envelope's sid and milliseconds."""
    mapped = from_events_api(json.loads(json.dumps(as_events_api(told))))
    assert mapped.items() >= told.items()
    assert same_core(fields_of(mapped), fields_of(told))


def test_a_payload_may_be_a_text() -> None:
    """As one consumer receives it."""
    event = as_cloud_event(EVERY_KIND[0])
    event["data"]["payload"] = json.dumps(event["data"]["payload"])
    assert from_event_streams(event) == EVERY_KIND[0]


def test_an_older_envelope_tells_its_type_and_sid_outside_the_payload() -> None:
    """Schema version 1 tells less within."""
    event = as_cloud_event(EVERY_KIND[1])
    payload = event["data"]["payload"]
    for name in ("sid", "eventtype", "account_sid", "timestamp"):
        del payload[name]
    assert from_event_streams(event) == EVERY_KIND[1]


def test_without_milliseconds_there_are_seconds() -> None:
    """`event_date_ms` came in 2019."""
    event = as_events_api(EVERY_KIND[0])
    del event["event_date_ms"]
    mapped = from_events_api(event)
    assert "TimestampMs" not in mapped
    assert mapped["Timestamp"] == EVERY_KIND[0]["Timestamp"]
    assert same_where_both_say(fields_of(mapped), fields_of(EVERY_KIND[0]))


@pytest.mark.parametrize("date", ["soon", "", "2026-13-41", 1e300, True, [], {"a": 1}])
def test_a_date_that_is_none_is_no_time(date: Any) -> None:
    """Its receipt will have to do; the event is not lost for it."""
    mapped = from_events_api(as_events_api(EVERY_KIND[0]) | {"event_date_ms": None, "event_date": date})
    assert isinstance(admit(mapped, "events-api"), Entry)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"TaskPriority": "1"}, {"TaskPriority": "2"}),
        ({"TaskIgnoreCapacity": "true"}, {"TaskIgnoreCapacity": "0"}),
        ({"TaskAttributes": '{"a":1}'}, {"TaskAttributes": '{"a":2}'}),
        ({"TaskQueueSid": sid("WQ", "a")}, {"TaskQueueSid": sid("WQ", "b")}),
        ({"TimestampMs": str(ms(1))}, {"TimestampMs": str(ms(2))}),
        ({"TaskDateCreated": str(ms(1))}, {"TaskDateCreated": str(ms(2))}),
        ({"Reason": "a"}, {"Reason": "b"}),
    ],
)
def test_feeds_may_tell_less_but_nothing_else(one: Parameters, other: Parameters) -> None:
    """A field that only one feed carries is no contradiction; one that both carry has to mean the same."""
    base = {"Sid": sid("EV", "x"), "EventType": "task.updated", "Timestamp": str(ms(1) // 1000)}
    assert same_where_both_say(fields_of(base), fields_of(base | one))
    assert not same_where_both_say(fields_of(base | one), fields_of(base | other))
    assert not same_core(fields_of(base | one), fields_of(base | other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"TaskIgnoreCapacity": "true"}, {"TaskIgnoreCapacity": "1"}),
        ({"TaskAttributes": '{"a":"\\/"}'}, {"TaskAttributes": '{ "a": "/" }'}),
        ({"TaskDateCreated": str(ms(1) // 1000)}, {"TaskDateCreated": str(ms(1))}),
        ({"TaskPriority": "1"}, {"TaskPriority": "01"}),
    ],
)
def test_feeds_may_spell_a_value_differently(one: Parameters, other: Parameters) -> None:
    """What counts is what it means."""
    assert same_where_both_say(fields_of(one), fields_of(other))


@pytest.mark.parametrize(
    "event",
    [
        None, 1, "text", [], {}, {"data": 1}, {"data": {}}, {"data": {"payload": "{"}}, {"data": {"payload": []}},
        {"data": {"payload": {"sid": "EV1"}}}, {"type": "com.twilio.messaging.sent", "data": {"sid": "EV1", "payload": {}}},
        {"type": "com.twilio.taskrouter.task.created", "data": {"payload": {}}}, {"data": {"payload": "[" * 100_000}},
    ],
)  # fmt: skip
def test_what_is_no_event_is_told_in_words(event: Any) -> None:
    """Never an error of another kind, never its content."""
    with pytest.raises(Unreadable, match=r"^(it|the|its) [a-zA-Z _]+$"):
        from_event_streams(event)
    with pytest.raises(Unreadable):
        from_events_api(event)


@pytest.mark.parametrize(
    "value", ["9" * 5000, "-1", "soon", "2026-02-02", "2026-02-02T02:40:01", 1e400, 1e300, True, [], {"a": 1}]
)
def test_any_value_becomes_a_text(value: Any) -> None:
    """A stamp that is no time is for the log to judge; no value stops an event."""
    event = as_cloud_event(EVERY_KIND[0])
    event["data"]["payload"] |= {"timestamp": value, "task_date_created": value, "task_priority": value, "new_in_2027": value}
    mapped = from_event_streams(event)
    assert all(type(each) is str for each in mapped.values())
    assert isinstance(admit(mapped, "event-streams"), Entry)


def test_names_follow_one_rule() -> None:
    """But for two."""
    assert [pascal(name) for name in ("worker_sid", "task_add_on_attributes", "eventtype", "new_in_2027", "")] == [
        "WorkerSid", "TaskAddons", "EventType", "NewIn2027", "",
    ]  # fmt: skip
    assert from_event_streams(as_cloud_event(EVERY_KIND[0]))["AccountSid"] == ACCOUNT
    assert from_events_api(as_events_api(EVERY_KIND[0]))["WorkspaceSid"] == WORKSPACE
