"""A list in pages, as Twilio pages: `PageSize`, `PageToken`, and a `meta` object with the URLs of the pages around.

A token is the key of the row that the page begins behind (`PA…`) or ends before (`PB…`), so rows that come or go between two pages are
neither skipped nor shown twice. `Page` is a number for whoever shows one; it moves nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from projector.api.problems import invalid

PAGE_SIZE, PAGE_SIZE_MAX = 50, 1_000


class Asked(Struct, frozen=True):
    """The page that a request asks for: so many rows behind the key `after`, or before the key `before`."""

    size: int = PAGE_SIZE
    number: int = 0
    after: str | None = None
    before: str | None = None


class Page(Struct, frozen=True):
    """Rows, in order, and whether there are more on either side."""

    rows: Sequence[Mapping[str, Any]]
    has_previous: bool
    has_next: bool


def asked(parameters: Mapping[str, str]) -> Asked:
    """What the query asks for. Raises `Problem`."""
    token = parameters.get("PageToken", "")
    kind, place = token[:2], token[2:]
    if token and (kind not in ("PA", "PB") or not place):
        raise invalid("PageToken", token, "one that a page's `meta` holds")
    size = number_asked(parameters, "PageSize", PAGE_SIZE, 1, PAGE_SIZE_MAX)
    number = number_asked(parameters, "Page", 0, 0, 10**9)
    return Asked(size, number, place if kind == "PA" else None, place if kind == "PB" else None)


def page(asked: Asked, fetch: Callable[[Asked, int], Sequence[Mapping[str, Any]]]) -> Page:
    """The page. `fetch` gives up to so many rows from where it begins; backwards, nearest first, for one that ends before a key."""
    found = list(fetch(asked, asked.size + 1))
    more, rows = len(found) > asked.size, found[: asked.size]
    if asked.before is not None:
        return Page(rows[::-1], has_previous=more, has_next=True)
    return Page(rows, has_previous=asked.after is not None, has_next=more)


def sliced(rows: Mapping[str, Mapping[str, Any]], asked: Asked) -> Sequence[Mapping[str, Any]]:
    """Of rows at hand, by their keys: those from where the page begins, in the order `page` wants them."""
    keys = sorted(
        key for key in rows if (asked.after is None or key > asked.after) and (asked.before is None or key < asked.before)
    )
    return [rows[key] for key in (keys if asked.before is None else reversed(keys))]


def meta(name: str, url: str, parameters: Mapping[str, str], asked: Asked, page: Page, key: str) -> dict[str, Any]:
    """The `meta` object of a page of a list with this name; `key`: the field that its rows are in order of."""
    kept = {name: value for name, value in parameters.items() if name not in ("Page", "PageToken", "PageSize")}

    def at(number: int, token: str = "") -> str:
        place = {"PageSize": asked.size, "Page": number} | ({"PageToken": token} if token else {})
        return f"{url}?{urlencode(kept | place)}"

    following = at(asked.number + 1, f"PA{page.rows[-1][key]}") if page.has_next and page.rows else None
    previous = at(max(0, asked.number - 1), f"PB{page.rows[0][key]}") if page.has_previous and page.rows else None
    return {
        "page": asked.number,
        "page_size": asked.size,
        "first_page_url": at(0),
        "previous_page_url": previous,
        "url": at(asked.number, parameters.get("PageToken", "")),
        "next_page_url": following,
        "key": name,
    }


def number_asked(parameters: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    """A number in the query; one that is too large is as large as it may be. Raises `Problem`."""
    text = parameters.get(name, "")
    if not text:
        return usual
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else None
    if digits is None or (len(digits) < 10 and int(digits or "0") < least):
        raise invalid(name, text, f"a whole number from {least} to {most}")
    return most if len(digits) >= 10 else min(int(digits or "0"), most)
