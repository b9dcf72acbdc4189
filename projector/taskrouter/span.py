"""Spans: half-open stretches `[started, ended)` of an entity's life during which one thing about it stayed the same.

A *line* is one such thing: a worker's activity, a task's status. Its spans tile: each begins where the one before ended. The last
span of a line lives in the entity's own row (its fields there are named by `Line`) until the next one begins; only then is it
closed, handed out by the fold and written, once. What ends it otherwise (a terminal status, a deletion) is read from the row.
"""

from typing import Any, NamedTuple

from msgspec import Struct

LONGEST_MS = (
    15 * 24 * 3_600_000
)  # no visit and no offer outlasts its task, and a task's timeout is two weeks at most (Twilio's limits)


class Span(Struct, frozen=True, kw_only=True):
    """What every span has. `n` counts the spans of its line from 0, so (line, started, n) names it and n alone orders it."""

    workspace_sid: str = ""
    started_ms: int = 0
    n: int = 0
    ended_ms: int | None = None
    event_sid: str | None = None  # the callback that opened it
    inferred: bool = False  # no callback told it: it follows from what others say


class Line(NamedTuple):
    """Where a row keeps the last span of a line: the fields with its `n` and (None for gaps) its beginning."""

    n: str
    since: str | None


Closed = tuple[Any, ...]  # spans and gaps that one callback closed or revealed, oldest first
