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

LOOK = 1_000

Wanted: TypeAlias = Callable[[Row], bool]
Fetch: TypeAlias = Callable[[Asked, int], Sequence[Row]]


def wanted_workers(connection: sa.Connection, workspace_sid: str, parameters: Mapping[str, str]) -> Iterator[Wanted]:
    """`TargetWorkersExpression`, `TaskQueueSid`, `TaskQueueName`. Raises `Problem`."""
    if text := parameters.get("TargetWorkersExpression"):
        expression = _given("TargetWorkersExpression", text)
        yield partial(_matches_any, [expression])
    c = tables.task_queue.c
    for name, column in (("TaskQueueSid", c.task_queue_sid), ("TaskQueueName", c.friendly_name)):
        if text := parameters.get(name):
            found = sa.select(c.target_workers).where(c.workspace_sid == workspace_sid, column == text, c.deleted_at.is_(None))
            told = connection.execute(found).scalars()
            yield partial(_matches_any, [each for each in map(readable, told) if each is not None])


def wanted_queues(connection: sa.Connection, workspace_sid: str, parameters: Mapping[str, str]) -> Iterator[Wanted]:
    """`WorkerSid`, `EvaluateWorkerAttributes`: the queues that want such a worker. Raises `Problem`."""
    c = tables.worker.c
    if text := parameters.get("WorkerSid"):
        found = sa.select(c.attributes).where(c.workspace_sid == workspace_sid, c.worker_sid == text, c.deleted_at.is_(None))
        worker = connection.execute(found).one_or_none()
        yield partial(_wants, attributes_of(worker.attributes) if worker is not None else None)
    if text := parameters.get("EvaluateWorkerAttributes"):
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise invalid("EvaluateWorkerAttributes", text, "a JSON object")
        yield partial(_wants, told)


def wanted_tasks(_: sa.Connection, __: str, parameters: Mapping[str, str]) -> Iterator[Wanted]:
    """`EvaluateTaskAttributes`: the tasks whose attributes match. Raises `Problem`."""
    if text := parameters.get("EvaluateTaskAttributes"):
        expression = _given("EvaluateTaskAttributes", text)
        yield partial(_matches_any, [expression])


def only(wanted: Sequence[Wanted], fetch: Fetch, key: str) -> Fetch:
    """The same rows without those that are not wanted."""
    if not wanted:
        return fetch

    def fetched(asked: Asked, limit: int) -> Sequence[Row]:
        found: list[Row] = []
        while len(found) < limit and (rows := fetch(asked, LOOK)):
            found += [row for row in rows if all(each(row) for each in wanted)]
            last = str(rows[-1][key])
            asked = (
                Asked(asked.size, asked.number, None, last) if asked.before is not None else Asked(asked.size, asked.number, last)
            )
        return found[:limit]

    return fetched


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
