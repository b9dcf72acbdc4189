"""The order of a list, and the place of a row in it: what a page's token holds, so that a page begins right behind a row whatever
came or went meanwhile. (A row whose Priority changes between two pages may move past the reader, as in any list.)
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from projector.api.paging import Asked
from projector.api.problems import invalid
from projector.api.shapes import Row
from projector.tables import Instant
from projector.taskrouter.text import EARLIEST_MS, LATEST_MS


class Sorting(Struct, frozen=True):
    """An attribute that a list can be in order of; never null. `moves`: it changes in the life of a row."""

    column: sa.ColumnElement[Any]
    of_row: Callable[[Row], int]
    moves: bool = True


class Order(Struct, frozen=True):
    """By some attributes, descending or not, and at last by Sid."""

    sid: sa.ColumnElement[Any]
    by: tuple[tuple[Sorting, bool], ...] = ()
    name: str = ""  # as it was asked for: a place is worth nothing in another order

    def place(self, row: Row) -> str:
        """Where the row stands: the order, what decides in it, and the Sid."""
        told = [self.name, *(sorting.of_row(row) for sorting, _ in self.by), str(row[str(self.sid.key)])]
        return base64.urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode()

    def page(self, select: sa.Select[Any], asked: Asked) -> sa.Select[Any]:
        """The rows from where the page begins, in order; backwards for one that ends before a place. Raises `Problem`."""
        backwards = asked.before is not None
        place = asked.before if backwards else asked.after
        columns = [(sorting.column, descending != backwards) for sorting, descending in self.by] + [(self.sid, backwards)]
        if place is not None:
            select = select.where(_beyond(columns, self._values(place)))
        return select.order_by(*(column.desc() if descending else column for column, descending in columns))

    def _values(self, place: str) -> Sequence[Any]:
        try:
            name, *numbers, sid = json.loads(base64.urlsafe_b64decode(place.encode()))
            searchable = "\0" not in sid and bool(sid.encode())  # PostgreSQL cannot be asked for anything else
        except (ValueError, TypeError, AttributeError, RecursionError):
            name, numbers, sid, searchable = None, [], "", False
        if not searchable or name != self.name or len(numbers) != len(self.by):
            raise invalid("PageToken", place, "one that a page's `meta` holds, for the same Ordering")
        if not all(type(each) is int and abs(each) <= LATEST_MS for each in numbers):
            raise invalid("PageToken", place, "one that a page's `meta` holds, for the same Ordering")
        kinds = [isinstance(sorting.column.type, Instant) for sorting, _ in self.by]
        moments = [max(each, EARLIEST_MS) if is_moment else each for is_moment, each in zip(kinds, numbers, strict=True)]
        return [*moments, sid]


def ordered(sid: sa.ColumnElement[Any], sortings: Mapping[str, Sorting], text: str) -> Order:
    """`Ordering`: `Priority:desc,DateCreated:asc`. Raises `Problem`."""
    by = []
    for each in text.split(",") if text else ():
        name, _, direction = each.strip().partition(":")
        if name not in sortings or direction not in ("", "asc", "desc"):
            wanted = (
                f"{' or '.join(sortings)}, :asc or :desc, with commas between" if sortings else "no order: there is none here"
            )
            raise invalid("Ordering", text, wanted)
        by.append((sortings[name], direction == "desc"))
    return Order(sid, tuple(by), text)


def _beyond(columns: Sequence[tuple[sa.ColumnElement[Any], bool]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """That a row comes after these values, in the order of these columns."""
    cases: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for (column, descending), value in zip(columns, values, strict=True):
        there = sa.literal(value, column.type)
        cases.append(sa.and_(*same, column < there if descending else column > there))
        same.append(column == there)
    return sa.or_(*cases)
