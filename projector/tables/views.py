"""The history by its public names: what has ended and the last span in the entity's row, as one table each.

Half-open `[started_at, ended_at)`, `ended_at` NULL while it lasts. Names as sent then (`worker_name`) and as they are now
(`worker_name_now`); deleted things keep theirs. Views belong to a release, not to a migration: they are dropped before one and
made after it, and likewise when a rebuild swaps the tables beneath them.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateView, DropView

from projector.tables import spans
from projector.tables.hourly import activity_duration_hourly

VIEWS: dict[str, tuple[Callable[[str], sa.Select[Any]], str]] = {  # name → its select on a database, comment
    "worker_activity_span": (lambda _: spans.worker_activity_span(), "Spells of workers in activities."),
    "worker_attributes_span": (lambda _: spans.worker_attributes_span(), "Times of workers with the same attributes."),
    "worker_channel_span": (
        lambda _: spans.worker_channel_span(),
        "Times of worker channels with the same configured capacity and availability.",
    ),
    "task_status_span": (lambda _: spans.task_status_span(), "Times of tasks in a status that is no end."),
    "reservation_status_span": (lambda _: spans.reservation_status_span(), "Times of reservations in a status that is no end."),
    "task_queue_span": (lambda _: spans.task_queue_span(), "Visits of tasks to queues, and what ended each."),
    "activity_duration_hourly": (activity_duration_hourly, "Milliseconds of each worker in each activity, by hour of UTC."),
}


def view(name: str) -> sa.TableClause:
    """A view, to select from."""
    return sa.table(name, *(sa.column(column.name, column.type) for column in VIEWS[name][0]("sqlite").selected_columns))


def make_views(connection: sa.Connection, *, replace: bool = False) -> None:
    """Create every view of this release; none may be there yet, unless they are to be replaced (PostgreSQL): grants stay then."""
    for name, (select, comment) in VIEWS.items():
        connection.execute(CreateView(select(connection.dialect.name), name, metadata=sa.MetaData(), or_replace=replace))
        if connection.dialect.supports_comments:
            connection.execute(_CommentOnView(name, comment))


class _CommentOnView(sa.schema.ExecutableDDLElement):
    def __init__(self, name: str, comment: str) -> None:
        self.name, self.comment = name, comment


@compiles(_CommentOnView)
def _(element: Any, compiler: Any, **_: Any) -> str:
    name = compiler.preparer.quote(element.name)
    return f"COMMENT ON VIEW {name} IS {compiler.sql_compiler.render_literal_value(element.comment, sa.String())}"


def drop_views(connection: sa.Connection) -> None:
    """Drop whichever of our views are there. (A later release that gives one up has to name it here.)"""
    there = sa.inspect(connection).get_view_names()
    for name in VIEWS:
        if name in there:
            connection.execute(DropView(sa.Table(name, sa.MetaData())))
