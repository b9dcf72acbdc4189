"""Other feeds' events as a callback's parameters: PascalCase names, every value a text.

| | Event Streams, Kinesis | Events API |
|---|---|---|
| one event | a CloudEvent, its facts in `data.payload` | an object, its facts in `event_data` |
| Sid | `payload.sid`, else `data.sid` | `sid` |
| EventType | `payload.eventtype`, else the CloudEvent's `type` without `com.twilio.taskrouter.` | `event_type` |
| TimestampMs | `payload.timestamp`, else `data.timestamp` | `event_date_ms`; without it only seconds: `event_date` |
| values | numbers, booleans, ISO dates | text |

Names follow the mechanical rule (`worker_time_in_previous_activity_ms` is `WorkerTimeInPreviousActivityMs`: recorded in both spellings) but
for those in `_NAMES`. A value that is null or absent stays absent: a missing parameter is no cleared one. Nothing is thrown away: names this
release has never heard of are mapped by the same rule.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projector.errors import ProjectorError
from projector.read.when import iso_ms

CLOUD_TYPE = "com.twilio.taskrouter."
_NAMES = {"eventtype": "EventType", "task_add_on_attributes": "TaskAddons"}
_MOMENTS = frozenset({"timestamp", "task_date_created", "task_queue_entered_date", "task_virtual_start_time"})
_decode = msgspec.json.Decoder().decode


class Unreadable(ProjectorError):
    """What came is no TaskRouter event of that feed; the message says why, without quoting it."""


def from_event_streams(event: Any) -> dict[str, str]:
    """The callback inside one CloudEvent of Event Streams (schema versions 1 to 4). Raises `Unreadable`."""
    cloud = _object(event, "the element")
    data = _object(cloud.get("data"), "its data")
    payload = data.get("payload")
    if isinstance(payload, str):  # one consumer gets it so
        try:
            payload = _decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unreadable("its payload is not JSON") from error
    told: dict[str, Any] = {"sid": data.get("sid"), "account_sid": data.get("account_sid"), "timestamp": data.get("timestamp")}
    told |= {name: value for name, value in _object(payload, "its payload").items() if value is not None}
    cloud_type = _text(cloud.get("type")) or ""
    if told.get("eventtype") is None and cloud_type.startswith(CLOUD_TYPE):
        told["eventtype"] = cloud_type.removeprefix(CLOUD_TYPE)
    if told.get("eventtype") is None:
        raise Unreadable("it names no type of a TaskRouter event")
    if told["sid"] is None:
        raise Unreadable("it has no Sid")
    return _stamped(_parameters(told))


def from_events_api(event: Any) -> dict[str, str]:
    """The callback that one event of `GET …/Events` was. Raises `Unreadable`."""
    told = _object(event, "the event")
    facts = _object(told.get("event_data") or {}, "its event_data")
    stamp, second = told.get("event_date_ms"), _moment(told.get("event_date"))
    said = facts | {
        "sid": told.get("sid"),
        "eventtype": told.get("event_type"),
        "account_sid": told.get("account_sid"),
        "workspace_sid": told.get("workspace_sid") or facts.get("workspace_sid"),
        "event_description": told.get("description"),
        "resource_sid": told.get("resource_sid"),
        "resource_type": told.get("resource_type"),
        "timestamp": None,
    }
    if said["sid"] is None or said["eventtype"] is None:
        raise Unreadable("it has no sid or no event_type")
    parameters = _parameters(said)
    if stamp is not None:
        return _stamped(parameters | {"Timestamp": str(stamp)})
    if second is None or not second.isdecimal():
        return parameters
    return parameters | {"Timestamp": str(int(second) // 1000)}


def pascal(name: str) -> str:
    """`worker_sid` → `WorkerSid`."""
    return _NAMES.get(name) or "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _parameters(told: Mapping[str, Any]) -> dict[str, str]:
    parameters = {}
    for name, value in told.items():
        text = _moment(value) if name in _MOMENTS else _text(value)
        if text is not None:
            parameters[pascal(name)] = text
    return parameters


def _stamped(parameters: dict[str, str]) -> dict[str, str]:
    """With both of a callback's stamps, from `Timestamp` in milliseconds. What is no time stays as it came, for the log to judge."""
    stamp = parameters.get("Timestamp", "")
    if not (stamp.isdecimal() and len(stamp) <= len("1770000000000")):
        return parameters
    return parameters | {"Timestamp": str(int(stamp) // 1000), "TimestampMs": stamp}


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is not a JSON object")
    return value


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case _:
            return msgspec.json.encode(value).decode()


def _moment(value: Any) -> str | None:
    """An ISO date as epoch milliseconds; anything else as it is."""
    text = _text(value)
    if text is None or text[4:5] != "-":
        return text
    try:
        return str(iso_ms(text))
    except ValueError:
        return text
