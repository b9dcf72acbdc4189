"""What only today's tables know: names (they have no history of their own, what one was then stands in a span), and what was spoken of."""

import sqlalchemy as sa

from projector import tables


class Names:
    """Friendly names as they are now, each looked up once: an answer about many tasks asks for the same few again and again."""

    def __init__(self, today: sa.Connection) -> None:
        self._today = today
        self._known: dict[tuple[str, str, str], str | None] = {}

    def now(self, table: sa.Table, workspace_sid: str, sid: str | None) -> str | None:
        """Of an activity, worker, queue or workflow; None where nobody told it."""
        if sid is None:
            return None
        place = (table.name, workspace_sid, sid)
        if place not in self._known:
            named = sa.select(table.c.friendly_name).where(
                table.c.workspace_sid == workspace_sid, table.c[f"{table.name}_sid"] == sid
            )
            self._known[place] = self._today.execute(named).scalar()
        return self._known[place]


def is_there(today: sa.Connection, table: sa.Table, workspace_sid: str, sid: str, at_ms: int, *, shown: bool) -> bool:
    """Whether a queue or workspace was there: spoken of by then, or `shown` by what was in it, and not deleted."""
    c = table.c
    key = (c.workspace_sid == workspace_sid, c[f"{table.name}_sid"] == sid)
    row = today.execute(sa.select(c.first_seen_at, c.deleted_at).where(*key)).first()
    if row is None or (row.deleted_at is not None and row.deleted_at <= at_ms):
        return False
    return shown or bool(row.first_seen_at <= at_ms)


def channels_of(today: sa.Connection, workspace_sid: str, worker_sid: str) -> dict[str, str | None]:
    """A worker's channels in the tables: TaskChannelSid → unique name."""
    c = tables.worker_channel.c
    known = sa.select(c.task_channel_sid, c.unique_name).where(c.workspace_sid == workspace_sid, c.worker_sid == worker_sid)
    return {row.task_channel_sid: row.unique_name for row in today.execute(known.order_by(c.task_channel_sid))}
