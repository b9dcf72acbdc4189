"""Answers as CSV, for whoever asks with `Accept: text/csv`: a list's rows, a timeline's spans, or one row of everything else.

What is nested is a column for each of its own, `links.worker`; a list within a row is JSON. Cells that a spreadsheet would take for a formula
begin with an apostrophe (OWASP, CSV injection): names and attributes are written by strangers.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response, request

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
ROWS = ("spans",)  # beside lists, whose `meta` names them


def as_asked(response: Response) -> Response:
    """The answer as CSV, if that is asked for. The next page of a list is in a `Link` header."""
    wanted = request.accept_mimetypes.best_match(["application/json", "text/csv"], default="application/json")
    response.vary.add("Accept")
    if wanted != "text/csv" or response.status_code != 200 or not response.is_json:
        return response
    answer = response.get_json()
    meta = answer.get("meta") or {}
    name = meta.get("key") or next((name for name in ROWS if name in answer), None)
    written = Response(_written(answer[name] if name else [answer]), content_type="text/csv; charset=utf-8; header=present")
    if meta.get("next_page_url"):
        written.headers["Link"] = f'<{meta["next_page_url"]}>; rel="next"'
    written.vary.add("Accept")
    return written


def _written(rows: list[dict[str, Any]]) -> str:
    told = [dict(_flat(row)) for row in rows]
    columns = dict.fromkeys(name for row in told for name in row)
    file = io.StringIO()
    writer = csv.DictWriter(
        file, columns, restval="", lineterminator="\r\n", quoting=csv.QUOTE_ALL
    )  # or a `;` would end a cell, for some
    writer.writeheader()
    writer.writerows(told)
    return file.getvalue()


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _cell(value)


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return json.dumps(value)
        case str() if value.startswith(FORMULA):
            return f"'{value}"
        case _:
            return value
