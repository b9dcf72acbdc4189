"""`projector explain`: the callbacks behind an entity, in the order they are folded, and what each of them changed.

The unit is folded one callback at a time, as the loop folds it in batches. What is told by mention alone (names, stated capacities)
is no step of that fold: of each such value it is said which callback it came from.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from projector import tables
from projector.log import Log
from projector.project import Arrived, history
from projector.read.find import Subject, find
from projector.read.present import Present, present
from projector.rows import HISTORY_OF, TABLE_OF, Row, row_of
from projector.taskrouter.callback import Callback, Unit, order_identity, order_ms, read
from projector.taskrouter.fold import Folding, State, fold, last_spans
from projector.taskrouter.gap import Gap
from projector.taskrouter.mention import NAMES, Mentions, mentioned, merge_all
from projector.taskrouter.span import Span

_UNTOLD = (  # columns that keep the books, or say of a span what the span itself says
    "created_told", "ended_told", "observed",
    "folded_to", "callback_count", "timed_by_receipt_count", "updated_at", "last_event_sid", "deletion_order",
    "deletion_received_at", "first_seen_at", "n", "since", "event_sid", "worker_name",
)  # fmt: skip
_UNTOLD_ENDS = ("_n", "_event_sid", "_worker_name")
_UNTOLD_BEGINNINGS = ("live_", "visit_")


class Step(NamedTuple):
    """One callback of the unit, folded."""

    arrived: Arrived
    before: State | None
    folding: Folding
    renamed: Row  # its unit's names that it changes: column → [old, new]


def explain(engine: sa.Engine, log: Log, sid: str, workspace_sid: str | None = None) -> Row:
    """Each callback that changed the entity: `changed` is {row: {column: [old, new]}}, beside the spans and gaps it made.

    For a reservation: only what changed that reservation, its task's end included. `named`: see `_named`. Raises `NotFound`,
    `Unanswerable`.
    """
    with present(engine, log) as now:
        subject = find(now.today, sid, workspace_sid)
        told = [_told(step, subject) for step in _steps(now, subject) if _concerns(step, subject)]
        return {
            "kind": subject.kind,
            "workspace_sid": subject.workspace_sid,
            "sid": subject.sid,
            "position": now.position,
            "named": list(_named(now, subject)),
            "callbacks": told,
        }


def _steps(now: Present, subject: Subject) -> Iterator[Step]:
    state: State | None = None
    names: Mentions = {}
    for arrived in history(now.log, subject.unit, now.position):
        folding = fold(subject.unit, [arrived.callback], state)
        yield Step(arrived, state, folding, _renamed(names, arrived.callback, subject.unit))
        state = folding.state


def _renamed(names: Mentions, callback: Callback, unit: Unit) -> Row:
    """The names this callback of its own gives the unit: [as the ones before gave it, as this one does], where they differ.

    Callbacks of other units name it too, between these: `named` says which did it last.
    """
    place = (unit.kind, (unit.workspace_sid,) if unit.kind == "workspace" else (unit.workspace_sid, unit.sid))
    before = {field: value for field, (_, value) in names[place].names.items()} if place in names else {}
    merge_all(names, mentioned(callback))
    after = {field: value for field, (_, value) in names[place].names.items()} if place in names else {}
    return {field: [before.get(field), value] for field, value in after.items() if before.get(field) != value}


def _concerns(step: Step, subject: Subject) -> bool:
    if subject.kind != "reservation":
        return True
    before = step.before.parts.get(subject.sid) if step.before else None
    return step.folding.state.parts.get(subject.sid) != before


class _Feed(Struct, frozen=True):
    source: str
    recorded_at: int


def _told(step: Step, subject: Subject) -> Row:
    stored, callback = step.arrived
    feed = msgspec.json.decode(stored.state, type=_Feed)
    gaps = [each for each in step.folding.closed if isinstance(each, Gap)]
    return {
        "position": stored.position,
        "recorded_at": feed.recorded_at,
        "at": callback.at_ms,
        "event_type": callback.fields.event_type,
        "event_sid": callback.identity,
        "source": feed.source,
        "changed": _changed(step, subject),
        "opened": [_shown(span, subject) for span in _opened(step) if _is_of(span, subject)],
        "closed": [_shown(span, subject) for span in _closed(step) if _is_of(span, subject)],
        "gaps": [_shown(gap, subject) for gap in gaps],
    }


def _is_of(span: Span, subject: Subject) -> bool:
    return subject.kind != "reservation" or getattr(span, "reservation_sid", None) == subject.sid


def _changed(step: Step, subject: Subject) -> dict[str, Row]:
    """The rows this callback changed (`task`, `reservation WR…`): each column as it was and as it is, the books apart."""
    after, before = step.folding.state, step.before
    pairs: list[tuple[str, Any, Any]] = [(subject.unit.kind, before.head if before else None, after.head)]
    for sid, part in after.parts.items():
        pairs.append((f"{TABLE_OF[type(part)].name} {sid}", before.parts.get(sid) if before else None, part))
    if subject.kind == "reservation":
        pairs = [pair for pair in pairs if pair[0].endswith(subject.sid)]
    changes = {name: _differences(old, new) for name, old, new in pairs}
    told = {row: {name: change for name, change in of.items() if not _keeps_books(name)} for row, of in changes.items()}
    if step.renamed and subject.kind != "reservation":
        told[subject.unit.kind] = step.renamed | told[subject.unit.kind]
    return {name: of for name, of in told.items() if of}


def _differences(old: Struct | None, new: Struct) -> Row:
    """Column → [old, new], the key apart."""
    key = {column.name for column in TABLE_OF[type(new)].primary_key}
    was, is_ = row_of(old if old is not None else type(new)()), row_of(new)
    return {name: [was[name], is_[name]] for name in is_ if was[name] != is_[name] and name not in key}


def _keeps_books(column: str) -> bool:
    return column in _UNTOLD or column.endswith(_UNTOLD_ENDS) or column.startswith(_UNTOLD_BEGINNINGS)


def _opened(step: Step) -> list[Span]:
    """The spans that were not there before: the last of their lines, and those that were filled in, ended already."""
    known = {_name(span) for span in (last_spans(step.before) if step.before else ())}
    filled = [span for span in step.folding.closed if isinstance(span, Span) and _name(span) not in known]
    return [*filled, *(span for span in last_spans(step.folding.state) if _name(span) not in known)]


def _closed(step: Step) -> list[Span]:
    """The spans that lasted before and have ended now."""
    lasted = {_name(span): span for span in (last_spans(step.before) if step.before else ())}
    now = [*(span for span in step.folding.closed if isinstance(span, Span)), *last_spans(step.folding.state)]
    return [
        span
        for span in now
        if _name(span) in lasted and span.ended_ms is not None and lasted[_name(span)].ended_ms != span.ended_ms
    ]


def _name(span: Span) -> tuple[Any, ...]:
    row = row_of(span)
    return (type(span), *(row[column.name] for column in HISTORY_OF[type(span)].primary_key))


def _shown(struct: Struct, subject: Subject) -> Row:
    """A span or gap by its public name, without what is not known of it and without whose it is."""
    untold = ("workspace_sid", f"{subject.unit.kind}_sid", "kind", "sid", "n")
    row = {name: value for name, value in row_of(struct).items() if value is not None and name not in untold}
    return {"table": HISTORY_OF[type(struct)].name.removesuffix("_past").removesuffix("_told")} | row


def _named(now: Present, subject: Subject) -> Iterator[Row]:
    """What mentions told of the entity (and of a worker's channels): each value and the callback it came from."""
    table = tables.metadata.tables[subject.kind]
    for each in [table] + ([tables.worker_channel] if table is tables.worker else []):
        owner = (each.c.workspace_sid == subject.workspace_sid, each.c[f"{subject.kind}_sid"] == subject.sid)
        for row in now.today.execute(sa.select(each).where(*owner)).mappings() if each.name in NAMES else ():
            of = f"{each.name} {row['task_channel_sid']}" if each is tables.worker_channel else each.name
            for column in NAMES[each.name]:
                if order := row[f"{column}_order"]:
                    named = {"row": of, "column": column, "value": row[column]}
                    yield _traced(now, subject.workspace_sid, named, order)


def _traced(now: Present, workspace_sid: str, named: Row, order: str) -> Row:
    """The value with the callback it came from."""
    stored = now.log.find(f"{workspace_sid}/{order_identity(order)}")
    event_type = read(stored.state, stored.originator_id).fields.event_type if stored else None
    return named | {
        "event_sid": order_identity(order),
        "event_type": event_type,
        "at": order_ms(order),
        "position": stored.position if stored else None,
    }
