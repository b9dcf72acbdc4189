"""Reading TaskRouter's text values. Every function is total: a value it cannot read is None, never an error.

All parameters arrive as text. What is written to tables must be storable in PostgreSQL and equal on both databases, so
NUL and lone surrogates become U+FFFD, numbers are clamped, JSON is kept in one canonical spelling.
"""

import json
from functools import lru_cache
from typing import Any

INT64_MAX = 2**63 - 1
SID_MAX_LENGTH = 64  # a SID has 34 characters; what is longer is no SID and would not fit an index
JSON_MAX_DEPTH = 64
JSON_MAX_LENGTH = 65_536  # Twilio allows 4,096 characters of attributes
EARLIEST_MS = 946_684_800_000  # 2000-01-01: TaskRouter is younger; anything before is no time of an event
LATEST_MS = 253_370_764_800_000  # 9999-01-01: a later moment may be beyond what Python can hold in a server's time zone


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses (NUL, lone surrogates), each replaced by U+FFFD."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def integer(text: str | None) -> int | None:
    """A whole number, clamped to what a bigint holds."""
    if text is None or len(text) > 20:
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    if -INT64_MAX <= number <= INT64_MAX:
        return number
    return INT64_MAX if number > 0 else -INT64_MAX


def boolean(text: str | None) -> bool | None:
    """`true/false` and `1/0`, in any case: TaskRouter's feeds use both spellings."""
    match text.lower() if text is not None else None:
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            return None


def moment_ms(text: str | None) -> int | None:
    """An epoch time in milliseconds; below 10^11 it is read as seconds (the unit of TaskDateCreated is not documented)."""
    number = integer(text)
    if number is None:
        return None
    ms = number * 1000 if -(10**11) < number < 10**11 else number
    return ms if EARLIEST_MS <= ms <= LATEST_MS else None


@lru_cache(maxsize=8192)
def canonical_json(text: str | None) -> str | None:
    """JSON in one spelling (sorted keys, no blanks, clean text, clamped numbers), so that equal values are equal text.

    None when it cannot be read: not JSON, `NaN`, deeper than 64, longer than 65,536 characters. Duplicate keys: the last
    wins, as in every common parser.
    """
    if text is None or len(text) > JSON_MAX_LENGTH:
        return None
    try:
        return _encode(_storable(_decode(text), JSON_MAX_DEPTH))
    except (ValueError, RecursionError):
        return None


def _json_integer(digits: str) -> int:
    bound = INT64_MAX if not digits.startswith("-") else -INT64_MAX
    return bound if len(digits) > 20 else max(-INT64_MAX, min(INT64_MAX, int(digits)))


def _json_float(digits: str) -> float:
    number = float(digits)
    return number if abs(number) <= 1e300 else (1e300 if number > 0 else -1e300)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_decode = json.JSONDecoder(parse_int=_json_integer, parse_float=_json_float, parse_constant=_refuse).decode
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def _storable(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"nested deeper than {JSON_MAX_DEPTH}")
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(key): _storable(item, depth - 1) for key, item in value.items()}
        case list():
            return [_storable(item, depth - 1) for item in value]
        case _:
            return value
