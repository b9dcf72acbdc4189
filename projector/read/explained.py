"""The callbacks behind a figure: what happened, one by one, and the event that told each."""

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from projector.project import history
from projector.read import happening
from projector.read.durations import spells
from projector.read.happening import Happening, Scope, Window
from projector.read.present import Present
from projector.rows import Row
from projector.taskrouter.callback import Unit

MOST = 1_000  # happenings of one figure: each is looked up in the log


def explained(
    present: Present,
    window: Window,
    scope: Scope,
    of_offers: tuple[Happening, ...] = (*happening.OFFERED, happening.ACCEPTED),
    of_tasks: tuple[Happening, ...] = (*happening.ENDED, happening.CANCELED),
    of_visits: tuple[Happening, ...] = (*happening.VISITED, happening.IN_QUEUE),
) -> dict[str, list[Row]] | None:
    """By figure: each happening with `event_sid` (None where no callback told it: it follows from what others say), `at_ms`, whose it is.

    Figures of nothing are left out. None when one has more than `MOST`.
    """
    found = {}
    for make, happenings in ((happening.offers, of_offers), (happening.ended, of_tasks), (happening.visits, of_visits)):
        select = make(window, scope)
        for each in happenings:
            rows = list(_happened(present.today, select, each, window, scope))
            if len(rows) > MOST:
                return None
            if rows:
                found[each.name] = [_told(present, scope.workspace_sid, each, row) for row in rows]
    return found


def explained_spells(present: Present, window: Window, scope: Scope, among: Collection[str] | None) -> list[Row] | None:
    """The spells behind `activity_durations`: the callback that opened each, `at_ms` where it is cut to begin, whose it is."""
    found = spells(window, scope).subquery("spell").c
    told = sa.select(found.event_sid, found.started_ms.label("at_ms"), found.worker_sid, found.activity_sid)
    rows: list[Row] = []
    for row in present.today.execute(told.order_by(found.started_ms, found.worker_sid)).mappings():
        if among is None or row["worker_sid"] in among:
            rows.append(dict(row))
        if len(rows) > MOST:
            return None
    return rows


def _happened(
    connection: sa.Connection, select: sa.Select[Any], happening: Happening, window: Window, scope: Scope
) -> Iterator[Any]:
    whose = (happening.task_sid, *((happening.reservation_sid,) if happening.reservation_sid is not None else ()))
    kept = () if happening.event_sid is None else (happening.event_sid,)
    found = select.add_columns(happening.at.label("at"), *whose, *kept).where(happening.within(window, scope))
    return iter(connection.execute(found.order_by(happening.at, happening.task_sid).limit(MOST + 1)).mappings())


def _told(present: Present, workspace_sid: str, happening: Happening, row: Any) -> Row:
    """The callback that is kept with it, else the one of that type, of that task (and reservation), stamped with that very moment."""
    if happening.event_sid is not None:
        return {"event_sid": row["event_sid"], "at_ms": row["at"], "task_sid": row["task_sid"], "reservation_sid": None}
    unit = Unit(workspace_sid, "task", row["task_sid"])
    told = [each.callback for each in history(present.log, unit, present.position, row["at"], row["at"])]
    reservation_sid = row.get("reservation_sid")
    sid = next(
        (
            each.identity
            for each in told
            if each.event_type in happening.told_by and reservation_sid in (None, each.fields.reservation_sid)
        ),
        None,
    )
    return {"event_sid": sid, "at_ms": row["at"], "task_sid": row["task_sid"], "reservation_sid": reservation_sid}
