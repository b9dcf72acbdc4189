"""Reading a form-urlencoded body, strictly: what cannot be read is told apart from what is empty."""

from typing import NamedTuple
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

FIELDS_MAX = 500


class TooManyFields(ValueError):
    """More fields than any callback has."""


class Form(NamedTuple):
    """A body that is UTF-8: every pair, one value per name, and the names that came with several."""

    pairs: "MultiDict[str, str]"
    parameters: dict[str, str]
    repeated: frozenset[str]


def read_form(body: bytes) -> Form | None:
    """The form in this body; None when it is not UTF-8, before or after percent-decoding. Raises `TooManyFields`."""
    try:
        found = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except UnicodeDecodeError:
        return None
    except ValueError as error:
        raise TooManyFields(f"More than {FIELDS_MAX} fields.") from error
    parameters = dict(found)
    if len(parameters) == len(set(found)):
        return Form(MultiDict(parameters), parameters, frozenset())
    pairs = MultiDict(found)
    return Form(pairs, parameters, frozenset(name for name in parameters if len(set(pairs.getlist(name))) > 1))


def read_bytes(body: bytes) -> list[tuple[bytes, bytes]]:
    """The pairs of a body that is not UTF-8, as the bytes they are. Raises `TooManyFields`."""
    try:
        found = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise TooManyFields(f"More than {FIELDS_MAX} fields.") from error
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found]
