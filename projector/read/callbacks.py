"""Callbacks as the log holds them: the last ones up to a moment, and those of one unit; each with whom it speaks of."""

from collections.abc import Iterable

from projector.log import Log, Timed
from projector.log.entry import recorded_ms
from projector.read.refolded import Refolded
from projector.read.source import Source
from projector.rows import Row
from projector.taskrouter.callback import EVENT_SID, Callback, Unit, parameters_of, read, unit_of

LOOK = 500  # callbacks looked through for a workspace's last ones: a quiet one beside busy ones may show fewer


def latest(log: Log, workspace_sid: str, at_ms: int, limit: int) -> list[Row]:
    """A workspace's last callbacks stamped up to the moment, projected or not, the last first; see `_row`."""
    origin = f"{workspace_sid}/"
    rows = log.latest((at_ms + 1, 0), 0, limit)
    if not all(row.originator_id.startswith(origin) for row in rows):
        rows = log.latest((at_ms + 1, 0), 0, LOOK)
    return _rows(row for row in rows if row.originator_id.startswith(origin))[:limit]


def of_unit(source: Source, unit: Unit, at_ms: int, limit: int) -> list[Row]:
    """A unit's last callbacks stamped up to the moment, among those known; the last first."""
    if isinstance(source, Refolded):
        return [_row(each) for each in source.callbacks(unit, 0, at_ms)[::-1][:limit]]
    rows = [read(row.state, row.originator_id) for row in source.log.latest((at_ms + 1, 0), 0, limit, str(unit))]
    return [_row(each) for each in rows if unit_of(each.fields) == unit]


def one(log: Log, workspace_sid: str, sid: str) -> Row | None:
    """One callback by its Sid: `_row`, and its `position`, `recorded_at` and `parameters` as received. None where there is none."""
    stored = log.find(f"{workspace_sid}/{sid}")
    if stored is None:
        return None
    told = _row(read(stored.state, stored.originator_id))
    return told | {
        "position": stored.position,
        "recorded_at": recorded_ms(stored.state),
        "parameters": dict(sorted(parameters_of(stored.state).items())),
    }


def _rows(among: Iterable[Timed]) -> list[Row]:
    return [_row(read(row.state, row.originator_id)) for row in among]


def _row(callback: Callback) -> Row:
    """`at` (epoch milliseconds), `event_type` as received, `event_sid` (None for one that came without), `about`: Sid and name of each
    worker, task, queue and reservation that it speaks of."""
    fields = callback.fields
    named = (
        (fields.worker_sid, fields.worker_name),
        (fields.task_sid, None),
        (fields.task_queue_sid, fields.task_queue_name),
        (fields.reservation_sid, None),
    )
    return {
        "at": callback.at_ms,
        "event_type": fields.event_type,
        "event_sid": callback.identity if EVENT_SID.fullmatch(callback.identity) else None,
        "about": [(sid, name) for sid, name in named if sid is not None],
    }
