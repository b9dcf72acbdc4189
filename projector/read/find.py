"""Whose Sid it is: its kind by its first two letters, its workspace by looking into each."""

from typing import NamedTuple

import sqlalchemy as sa

from projector import tables
from projector.errors import NotFound, Unanswerable
from projector.taskrouter.callback import Unit

TABLES = {
    "WS": tables.workspace, "WA": tables.activity, "WK": tables.worker, "WT": tables.task, "WR": tables.reservation,
    "WQ": tables.task_queue, "WW": tables.workflow, "TC": tables.task_channel,
}  # fmt: skip


class Subject(NamedTuple):
    """An entity: its kind is its table's name. `unit` is what it is folded in: a reservation's is its task."""

    workspace_sid: str
    kind: str
    sid: str
    unit: Unit


def find(connection: sa.Connection, sid: str, workspace_sid: str | None = None) -> Subject:
    """The entity with this Sid, in that workspace or in the only one that has it. Raises `NotFound`, `Unanswerable`."""
    table = TABLES.get(sid[:2])
    if table is None:
        raise NotFound(f"{sid} is no Sid of an entity: those begin with {', '.join(TABLES)}.")
    among = [sid] if table is tables.workspace else [workspace_sid] if workspace_sid else _workspaces(connection)
    found = [subject for each in among if (subject := _look(connection, table, each, sid)) is not None]
    if not found:
        where = f"in workspace {workspace_sid}" if workspace_sid else f"in any workspace of these tables (they hold {len(among)})"
        raise NotFound(f"No {table.name} {sid} is {where}. Check the Sid; `projector status` says how far the tables are behind.")
    if len(found) > 1:
        known = ", ".join(subject.workspace_sid for subject in found)
        raise Unanswerable(f"{sid} is in several workspaces. Say which one with --workspace: {known}.")
    return found[0]


def check_workspace(connection: sa.Connection, workspace_sid: str | None) -> None:
    """Raises `NotFound` for a workspace that these tables do not hold: of it nothing would be said, as of one where all is well."""
    if workspace_sid is not None and workspace_sid not in (known := _workspaces(connection)):
        raise NotFound(f"No workspace {workspace_sid} is in these tables. They hold {', '.join(sorted(known)) or 'none yet'}.")


def _workspaces(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(tables.workspace.c.workspace_sid)).scalars())


def _look(connection: sa.Connection, table: sa.Table, workspace_sid: str, sid: str) -> Subject | None:
    key = table.c[f"{table.name}_sid"]
    owner = table.c.task_sid if table is tables.reservation else key
    there = sa.select(owner).where(table.c.workspace_sid == workspace_sid, key == sid)
    if table is tables.reservation:  # should several tasks claim it: the one that did so last
        there = there.order_by(table.c.updated_at.desc(), owner)
    unit_sid = connection.execute(there.limit(1)).scalar()
    kind = "task" if table is tables.reservation else table.name
    return Subject(workspace_sid, table.name, sid, Unit(workspace_sid, kind, unit_sid)) if unit_sid is not None else None
