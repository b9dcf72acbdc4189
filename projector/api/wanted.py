"""Filters that hold an expression against attributes: which workers a queue wants, which queues want a worker, which tasks match.

They look at every row of a list, some thousand a look; all other filters are the database's. A queue whose TargetWorkers nobody told,
or that cannot be read, wants nobody that is known of.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import sqlalchemy as sa

from projector import tables
from projector.api.paging import Asked
from projector.api.problems import invalid
from projector.api.shapes import Row
from projector.read.workers import attributes_of
from projector.taskrouter.expression import Expression, Unreadable, matches, parse, readable

LOOK = 1_000  # rows at once
EXPRESSIONS = {  # resource → the parameters below that filter it
    "Workers": ("TargetWorkersExpression", "TaskQueueSid", "TaskQueueName"),
    "TaskQueues": ("WorkerSid", "EvaluateWorkerAttributes"),
    "Tasks": ("EvaluateTaskAttributes",),
}

Wanted: TypeAlias = Callable[[Row], bool]
Look: TypeAlias = Callable[[sa.Table, Row], Row | None]  # today's row of a table → the row at the moment looked at
Fetch: TypeAlias = Callable[[Asked, int], Sequence[Row]]


def wanted_workers(connection: sa.Connection, workspace_sid: str, parameters: Mapping[str, str], look: Look) -> Iterator[Wanted]:
    """`TargetWorkersExpression`, `TaskQueueSid`, `TaskQueueName`. Raises `Problem`."""
    if text := parameters.get("TargetWorkersExpression"):
        expression = _given("TargetWorkersExpression", text)
        yield partial(_matches_any, [expression])
    c = tables.task_queue.c
    for name, column in (("TaskQueueSid", c.task_queue_sid), ("TaskQueueName", c.friendly_name)):
        if text := parameters.get(name):
            told = [
                queue["target_workers"] for queue in _rows(connection, tables.task_queue, workspace_sid, look, column == text)
            ]
            yield partial(_matches_any, [each for each in map(readable, told) if each is not None])


def wanted_queues(connection: sa.Connection, workspace_sid: str, parameters: Mapping[str, str], look: Look) -> Iterator[Wanted]:
    """`WorkerSid`, `EvaluateWorkerAttributes`: the queues that want such a worker. Raises `Problem`."""
    if text := parameters.get("WorkerSid"):
        found = _rows(connection, tables.worker, workspace_sid, look, tables.worker.c.worker_sid == text)
        yield partial(_wants, attributes_of(found[0]["attributes"]) if found else None)
    if text := parameters.get("EvaluateWorkerAttributes"):
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise invalid("EvaluateWorkerAttributes", text, "a JSON object")
        yield partial(_wants, told)


def wanted_tasks(_: sa.Connection, __: str, parameters: Mapping[str, str], ___: Look) -> Iterator[Wanted]:
    """`EvaluateTaskAttributes`: the tasks whose attributes match. Raises `Problem`."""
    if text := parameters.get("EvaluateTaskAttributes"):
        expression = _given("EvaluateTaskAttributes", text)
        yield partial(_matches_any, [expression])


def kept(keep: Callable[[Row], Row | None], fetch: Fetch, look: int) -> Fetch:
    """Of the rows, looked at so many at once, what is kept of them."""

    def fetched(asked: Asked, limit: int) -> Sequence[Row]:
        found: list[Row] = []
        while len(found) < limit and (rows := fetch(asked, max(look, limit))):
            found += [row for row in map(keep, rows) if row is not None]
            place = rows[-1]["place"]
            before, after = (place, None) if asked.before is not None else (None, place)
            asked = Asked(asked.size, asked.number, after, before)
        return found[:limit]

    return fetched


def _rows(connection: sa.Connection, table: sa.Table, workspace_sid: str, look: Look, where: sa.ColumnElement[bool]) -> list[Row]:
    """Queues or workers that are there at the moment looked at."""
    found = connection.execute(sa.select(table).where(table.c.workspace_sid == workspace_sid, where)).mappings()
    return [row for today in found.all() if (row := look(table, dict(today))) is not None]


def _matches_any(expressions: Sequence[Expression], row: Row) -> bool:
    attributes = attributes_of(row["attributes"])
    return any(matches(each, attributes) for each in expressions)


def _wants(attributes: Mapping[str, Any] | None, queue: Row) -> bool:
    expression = readable(queue["target_workers"])
    return expression is not None and attributes is not None and matches(expression, attributes)


def _given(name: str, text: str) -> Expression:
    try:
        return parse(text)
    except Unreadable as error:
        raise invalid(name, text, f"an expression that TaskRouter can read ({error})") from error
