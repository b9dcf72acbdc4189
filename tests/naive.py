"""The projection said a second time, naively: given all callbacks there are, look at the whole list and write down each row.

Nothing here is incremental: no states, no checkpoints, no late callbacks, no pages, and no code of the fold. What is shared with it is
how single texts are read (`taskrouter.text`) and the table of EventTypes. Where the two disagree, one of them is wrong.
"""

import json
from collections import defaultdict
from typing import Any

from projector.taskrouter.event_types import EVENT_TYPES, SPELLINGS
from projector.taskrouter.text import boolean, canonical_json, clean, integer, moment_ms

Row = dict[str, Any]
Rows = dict[str, dict[tuple[Any, ...], Row]]

FIVE_MINUTES, ONE_SECOND = 300_000, 1_000
OWN_SID = {
    "task": ("TaskSid", "WT"), "worker": ("WorkerSid", "WK"), "activity": ("ActivitySid", "WA"), "task_queue": ("TaskQueueSid", "WQ"),
    "workflow": ("WorkflowSid", "WW"), "task_channel": ("TaskChannelSid", "TC"), "workspace": ("WorkspaceSid", "WS"),
}  # fmt: skip
TABLES = (
    "workspace", "activity", "worker", "worker_channel", "task", "reservation", "task_queue", "workflow", "task_channel",
    "worker_activity_span_past", "worker_attributes_span_past", "worker_channel_span_past", "task_status_span_past",
    "reservation_status_span_past", "task_queue_span_past", "gap_told", "stated_capacity",
)  # fmt: skip
NAMED = {
    "workspace": ["friendly_name"], "activity": ["friendly_name"], "worker": ["friendly_name"], "workflow": ["friendly_name"],
    "task_queue": ["friendly_name", "target_workers"], "task_channel": ["unique_name", "friendly_name"],
    "worker_channel": ["unique_name", "stated_capacity"],
}  # fmt: skip


def facts(log: Any, after: int = 0) -> list[Row]:
    """Everything a log holds behind a position, as the stored documents say it; read from the log's own bytes."""
    return [_fact(row.originator_id, json.loads(row.state)) for row in log.read(after, 10**9)]


def naive_rows(told: list[Row]) -> Rows:
    """Every row of every table that these facts come to: table → key → row."""
    rows: Rows = {name: {} for name in TABLES}
    units = defaultdict(list)
    for fact in sorted(told, key=lambda fact: fact["place"]):
        if fact["unit"] is not None:
            units[fact["unit"]].append(fact)
    for (workspace, kind, sid), all_told in units.items():
        lived = [fact for fact in all_told if not fact["deletes"]]
        head = _head(lived, [fact for fact in all_told if fact["deletes"]])
        key = {"workspace_sid": workspace} | ({} if kind == "workspace" else {f"{kind}_sid": sid})
        if kind == "task":
            head["first_seen_at"] = min(fact["at"] for fact in all_told)
            _task(rows, key, lived, head)
        elif kind == "worker":
            _worker(rows, key, lived, head)
        else:
            _put(rows, kind, key, head | _thing(kind, lived))
    _names(rows, told)
    return rows


# What a stored document says.


def _fact(originator_id: str, document: Row) -> Row:
    said = {name: clean(value) for name, value in document["parameters"].items()}
    said = {name: value for name, value in said.items() if not name.endswith("Sid") or 0 < len(value) <= 64}
    event_type = SPELLINGS.get(said["EventType"], said["EventType"])
    known, received = EVENT_TYPES.get(event_type), document["recorded_at"]
    own, prefix = OWN_SID[known.kind] if known else ("", "WK")
    if own not in said and said.get("ResourceSid", "").startswith(prefix):
        said[own] = said["ResourceSid"]
    workspace = said.get("WorkspaceSid", "")
    stamps = [stamp for stamp in (moment_ms(said.get("TimestampMs")), moment_ms(said.get("Timestamp"))) if stamp is not None]
    believed = bool(stamps) and stamps[0] - received <= FIVE_MINUTES
    at, identity = stamps[0] if believed else received, originator_id.partition("/")[2]
    version = integer(said.get({"task": "TaskVersion", "worker": "WorkerVersion"}.get(known.kind, ""))) if known else None
    numbered = -1 if version is None else min(max(version, 0), 10**12 - 2)
    if event_type.endswith(".observed") and known:
        numbered = 10**12 - 2  # behind all callbacks of its millisecond
    rank = known.rank if known else 50
    return {
        "said": said, "type": event_type, "id": identity, "at": at, "received": received, "live": document["source"] == "callback",
        "believed": believed, "workspace": said.get("WorkspaceSid", ""), "deletes": known is not None and known.rank == 99,
        "place": (at, numbered, rank, identity), "order": f"{at:015d}/{numbered + 1:012d}/{rank:02d}/{identity}",
        "unit": (workspace, known.kind, said[own]) if known and own in said else None,
    }  # fmt: skip


def _last(told: list[Row], name: str, read: Any = lambda text: text or None) -> Any:
    """What was said last under this name, of all that could be read."""
    return next((value for fact in reversed(told) if (value := read(fact["said"].get(name))) is not None), None)


def _when(told: list[Row], event_type: str, which: int = 0) -> int | None:
    """When the first (0) or last (−1) callback of a type was."""
    times = [fact["at"] for fact in told if fact["type"] == event_type]
    return times[which] if times else None


def _put(rows: Rows, table: str, key: Row, row: Row) -> None:
    rows[table][tuple(key.values())] = key | row


# Heads and things.


def _head(lived: list[Row], deletions: list[Row]) -> Row:
    """What every unit has: how much was told, and the deletion that sorts last, at its stamp (a worker's is dated in `_worker`)."""
    last = (deletions or lived)[-1]
    deletion = deletions[-1] if deletions else None
    return {
        "folded_to": lived[-1]["order"] if lived else "",
        "callback_count": len(lived),
        "timed_by_receipt_count": sum(not fact["believed"] for fact in lived),
        "updated_at": last["at"],
        "last_event_sid": last["id"],
        "deletion_order": deletion and deletion["order"],
        "deletion_received_at": deletion["received"] if deletion and deletion["live"] else None,
        "deleted_at": deletion and deletion["at"],
        "first_seen_at": None,
    }


def _thing(kind: str, lived: list[Row]) -> Row:
    match kind:
        case "activity":
            return {"available": _last(lived, "ActivityAvailable", boolean)}
        case "task_channel":
            return {"optimized_routing": _last(lived, "TaskChannelOptimizedRouting", boolean)}
        case "task_queue":
            return {"operating_unit_sid": _last(lived, "OperatingUnitSid")}
        case _:
            return {}


def _line(rows: Rows, table: str, key: Row, spans: list[Row]) -> Row:
    """Write all spans of a line but the last, numbered; the last one with its number, all None where there is none."""
    numbered = [{"n": n, "inferred": False} | span for n, span in enumerate(spans)]
    for span in numbered[:-1]:
        line = key | {"started_at": span["started_at"], "n": span["n"]}
        _put(rows, table, line, span)
    return numbered[-1] if numbered else defaultdict(lambda: None, n=0, inferred=False)


def _until_next(starts: list[Row]) -> list[Row]:
    """Spans that tile: each ends where the next begins."""
    ends = [*(start["started_at"] for start in starts[1:]), None]
    return [start | {"ended_at": end} for start, end in zip(starts, ends, strict=False)]


# A worker.


def _worker(rows: Rows, key: Row, lived: list[Row], head: Row) -> None:
    head |= _worker_deletion(lived, head)
    entries: list[Row] = []
    for fact in lived:
        shown, known = fact["said"].get("WorkerActivitySid"), entries[-1]["said"]["WorkerActivitySid"] if entries else None
        tells = fact["type"] in ("worker.created", "worker.activity.update")
        if shown and (tells or (fact["type"] == "worker.activity.observed" and shown != known)):
            entries.append(fact)
    spells: list[Row] = []
    gaps: list[Row] = []
    for before, fact in zip([None, *entries], entries, strict=False):
        spells += _spells_between(before, fact, gaps)
    if entries:
        spells.append(_entered(entries[-1], None))
    activity = _line(rows, "worker_activity_span_past", key, spells)
    for n, gap in enumerate(gaps):
        _put(rows, "gap_told", {"workspace_sid": key["workspace_sid"], "kind": "worker", "sid": key["worker_sid"], "n": n}, gap)
    attributes = _line(rows, "worker_attributes_span_past", key, _attributes(lived))
    said_attributes = [fact for fact in lived if "WorkerAttributes" in fact["said"]]
    _put(rows, "worker", key, head | {
        "attributes": attributes["attributes"],
        "attributes_readable": not said_attributes or canonical_json(said_attributes[-1]["said"]["WorkerAttributes"]) is not None,
        "attributes_since": attributes["started_at"],
        "attributes_n": attributes["n"],
        "attributes_event_sid": attributes["event_sid"],
        "attributes_worker_name": attributes["worker_name"],
        "activity_sid": activity["activity_sid"],
        "activity_name": activity["activity_name"],
        "activity_since": activity["started_at"],
        "activity_n": activity["n"],
        "activity_event_sid": activity["event_sid"],
        "activity_worker_name": activity["worker_name"],
        "gap_n": len(gaps),
        "version": _last(lived, "WorkerVersion", integer),
        "operating_unit_sid": _last(lived, "OperatingUnitSid"),
        "created_at": _worker_created(lived),
    })  # fmt: skip
    channel_types = ("worker.capacity.update", "worker.channel.availability.update", "worker.channel.observed")
    for sid in {fact["said"].get("TaskChannelSid") for fact in lived if fact["type"] in channel_types} - {None}:
        own = [fact for fact in lived if fact["type"] in channel_types and fact["said"].get("TaskChannelSid") == sid]
        _worker_channel(rows, key | {"task_channel_sid": sid}, own, head["deleted_at"])


def _worker_created(lived: list[Row]) -> int | None:
    """By its creation, else by the first observation that can be read."""
    shown = [moment_ms(fact["said"].get("DateCreated")) for fact in lived if fact["type"] == "worker.observed"]
    created = _when(lived, "worker.created", -1)
    return created if created is not None else next((moment for moment in shown if moment is not None), None)


def _worker_deletion(lived: list[Row], head: Row) -> Row:
    """`worker.deleted` lies: its stamp counts only after all else, else its live receipt, unless that lies before the last fact."""
    stamp, receipt, last = head["deleted_at"], head["deletion_received_at"], max((fact["at"] for fact in lived), default=-1)
    if stamp is None:
        return {"deleted_at_basis": None}
    basis = "stamp" if stamp > last else "receipt" if receipt is not None and receipt >= last else "last_fact"
    at = {"stamp": stamp, "receipt": receipt, "last_fact": last}[basis]
    return {"deleted_at": at, "updated_at": at, "deleted_at_basis": basis}


def _entered(fact: Row, ended_at: int | None) -> Row:
    said = fact["said"]
    return {
        "started_at": fact["at"], "ended_at": ended_at, "event_sid": fact["id"], "worker_name": said.get("WorkerName"),
        "activity_sid": said["WorkerActivitySid"], "activity_name": said.get("WorkerActivityName"),
        "reported_ms": None, "agrees": None,
    }  # fmt: skip


def _spells_between(before: Row | None, fact: Row, gaps: list[Row]) -> list[Row]:
    """The spells that end at this callback: the one that `before` began, and one that nobody told of, where this one shows it."""
    said, at = fact["said"], fact["at"]
    known = [_entered(before, at)] if before else []
    is_update = fact["type"] == "worker.activity.update"
    previous = said.get("WorkerPreviousActivitySid")
    spent = integer(said.get("WorkerTimeInPreviousActivityMs"))
    spent = spent if spent is not None and 0 <= spent <= at else None
    same = before is not None and before["said"]["WorkerActivitySid"] == previous
    beyond = spent - (at - before["at"]) if before and spent is not None else 0
    if fact["type"] == "worker.activity.observed" and before:
        reason: str | None = "observed_otherwise"
    elif previous is None or not is_update or (same and abs(beyond) <= ONE_SECOND):
        reason = None
    elif not same:
        reason = "previous_activity_differs" if before else "previous_activity_unseen"
    else:
        reason = "previous_activity_shorter" if beyond < 0 else "previous_activity_longer"
    if reason is not None:
        gaps.append({
            "reason": reason, "event_sid": fact["id"], "revealed_at": at, "missing_event_type": "worker.activity.update" if before else "worker.created or worker.activity.update",
            "missing_at": None if spent is None else at - spent, "activity_sid": previous or said.get("WorkerActivitySid"),
        })  # fmt: skip
    if reason in (None, "previous_activity_longer", "observed_otherwise"):
        told = {"reported_ms": spent, "agrees": abs(beyond) <= ONE_SECOND} if same and spent is not None else {}
        return [spell | told for spell in known]
    if spent is None:
        return known
    began = max([at - spent, *(spell["started_at"] for spell in known)])
    missed = {
        "started_at": began, "ended_at": at, "event_sid": fact["id"], "inferred": True, "worker_name": said.get("WorkerName"),
        "activity_sid": previous, "activity_name": said.get("WorkerPreviousActivityName"),
        "reported_ms": spent, "agrees": abs(at - began - spent) <= ONE_SECOND,
    }  # fmt: skip
    return [*(spell | {"ended_at": began} for spell in known), missed]


def _attributes(lived: list[Row]) -> list[Row]:
    readable = [(fact, json_) for fact in lived if (json_ := canonical_json(fact["said"].get("WorkerAttributes"))) is not None]
    befores = [None, *(json_ for _, json_ in readable)]
    return _until_next([
        {"started_at": fact["at"], "event_sid": fact["id"], "worker_name": fact["said"].get("WorkerName"), "attributes": json_}
        for (fact, json_), before in zip(readable, befores, strict=False)
        if json_ != before or fact["type"] == "worker.created"
    ])  # fmt: skip


def _worker_channel(rows: Rows, key: Row, own: list[Row], deleted_at: int | None) -> None:
    def updated(fact: Row) -> int | None:
        named = {
            "worker.capacity.update": "WorkerChannelAvailableCapacity",
            "worker.channel.observed": "WorkerChannelConfiguredCapacity",
        }
        capacity = integer(fact["said"].get(named.get(fact["type"], "")))
        return capacity if capacity is not None and capacity >= 0 else None

    starts: list[Row] = []
    both: tuple[Any, Any] = (None, None)
    for count, fact in enumerate(own, start=1):
        capacities = [capacity for one in own[:count] if (capacity := updated(one)) is not None]
        now = (_last(own[:count], "WorkerChannelAvailable", boolean), capacities[-1] if capacities else None)
        if now != both:
            both = now
            starts.append({
                "started_at": fact["at"], "event_sid": fact["id"], "worker_name": fact["said"].get("WorkerName"),
                "available": now[0], "updated_capacity": now[1],
            })  # fmt: skip
    last = _line(rows, "worker_channel_span_past", key, _until_next(starts))
    _put(rows, "worker_channel", key, {
        "available": last["available"], "updated_capacity": last["updated_capacity"], "since": last["started_at"], "n": last["n"],
        "event_sid": last["event_sid"], "worker_name": last["worker_name"],
        "reported_available_capacity": _last(own, "WorkerChannelAvailableCapacity"),
        "reported_previous_capacity": _last(own, "WorkerChannelPreviousCapacity"),
        "reported_task_count": _last(own, "WorkerChannelTaskCount"),
        "ended_at": deleted_at, "updated_at": own[-1]["at"], "last_event_sid": own[-1]["id"],
    })  # fmt: skip


# A task.

IMPLIED = {"task.created": "pending", "reservation.created": "reserved", "reservation.accepted": "assigned", "task.wrapup": "wrapping",
           "task.completed": "completed", "task.canceled": "canceled"}  # fmt: skip
TRANSFER = {
    "initiated": "initiated",
    "attempt-failed": "initiated",
    "failed": "failed",
    "canceled": "canceled",
    "completed": "complete",
}


def _task(rows: Rows, key: Row, lived: list[Row], head: Row) -> None:
    statuses = [fact["said"].get("TaskAssignmentStatus") or IMPLIED.get(fact["type"]) for fact in lived]
    ends = [i for i, status in enumerate(statuses) if status in ("completed", "canceled")]
    alive = ends[0] if ends else len(lived)  # how many callbacks it was alive for
    ending = statuses[alive] if ends else None
    ended = _when(lived[alive:], f"task.{ending}", -1) or lived[alive]["at"] if ends else None
    live = _line(rows, "task_status_span_past", key, _statuses(lived[:alive], statuses))
    visit = _line(rows, "task_queue_span_past", key, _visits(lived, statuses, alive))
    said_attributes = [fact for fact in lived if "TaskAttributes" in fact["said"]]
    reasons = [fact["said"].get(name) for fact in lived for name in ("TaskCompletedReason", "TaskCanceledReason", "Reason")]
    transfers = [TRANSFER[what] for fact in lived if (what := fact["type"].removeprefix("task.transfer-")) in TRANSFER]
    dated = [moment for fact in lived if (moment := moment_ms(fact["said"].get("TaskDateCreated"))) is not None]
    created = _when(lived, "task.created", -1)
    _put(rows, "task", key, head | _queue(lived) | {
        "status": ending or live["status"],
        "attributes": _last(lived, "TaskAttributes", canonical_json),
        "attributes_readable": not said_attributes or canonical_json(said_attributes[-1]["said"]["TaskAttributes"]) is not None,
        "reason": next((reason for reason in reversed(reasons) if reason), None),
        "priority": _last(lived, "TaskPriority", integer),
        "ignore_capacity": _last(lived, "TaskIgnoreCapacity", boolean),
        "task_channel_sid": _last(lived, "TaskChannelSid"),
        "task_channel_unique_name": _last(lived, "TaskChannelUniqueName"),
        "workflow_sid": _last(lived, "WorkflowSid"),
        "workflow_name": _last(lived, "WorkflowName"),
        "transfer_status": transfers[-1] if transfers else None,
        "created_at": created if created is not None else dated[0] if dated else None,
        "first_reserved_at": _when(lived, "reservation.created"),
        "first_accepted_at": _when(lived, "reservation.accepted"),
        "wrapup_at": _when(lived, "task.wrapup"),
        "completed_at": ended if ending == "completed" else None,
        "canceled_at": ended if ending == "canceled" else None,
        "version": _last(lived, "TaskVersion", integer),
        "live_status": live["status"],
        "live_since": live["started_at"],
        "live_n": live["n"],
        "live_event_sid": live["event_sid"],
        "visit_queue_sid": visit["task_queue_sid"],
        "visit_queue_name": visit["task_queue_name"],
        "visit_since": visit["started_at"],
        "visit_n": visit["n"],
        "visit_event_sid": visit["event_sid"],
        "visit_told": bool(visit["told"]),
        "visit_inferred": visit["inferred"],
        "visit_ended_at": visit["ended_at"],
        "visit_outcome": visit["outcome"],
        "created_told": _when(lived, "task.created") is not None,
        "ended_told": any(fact["type"] in ("task.completed", "task.canceled") or _shows_end(fact) for fact in lived),
        "observed": _shown_first(lived, "task"),
    })  # fmt: skip
    end = ended if ends else head["deleted_at"]
    offers = [fact for fact in lived if fact["type"].startswith("reservation.")]
    for sid in {fact["said"].get("ReservationSid") for fact in offers} - {None}:
        _reservation(
            rows, key | {"reservation_sid": sid}, [f for f in offers if f["said"].get("ReservationSid") == sid], ending, end
        )


def _shown_first(told: list[Row], what: str) -> bool:
    """Whether REST shows it before anything tells of its creation."""
    kinds = [fact["type"] for fact in told if fact["type"] in (f"{what}.created", f"{what}.observed")]
    return kinds[:1] == [f"{what}.observed"]


def _shows_end(fact: Row) -> bool:
    return fact["type"] == "task.observed" and fact["said"].get("TaskAssignmentStatus") in ("completed", "canceled")


def _statuses(alive: list[Row], statuses: list[str | None]) -> list[Row]:
    told = [(fact, status) for fact, status in zip(alive, statuses, strict=False) if status is not None]
    return _until_next([
        {"started_at": fact["at"], "event_sid": fact["id"], "status": status}
        for i, (fact, status) in enumerate(told)
        if i == 0 or told[i - 1][1] != status
    ])  # fmt: skip


def _queue(lived: list[Row]) -> Row:
    """The queue named last, its name as said since then, and when it came there: told, else as its snapshot dates it, else seen."""
    sid, since, entered = None, 0, None
    for i, fact in enumerate(lived):
        named = fact["said"].get("TaskQueueSid") or sid
        if fact["type"] == "task-queue.entered":
            entered = fact["at"]
        elif named != sid:
            dated = moment_ms(fact["said"].get("TaskQueueEnteredDate"))
            entered = fact["at"] if dated is None else dated
        if named != sid:
            sid, since = named, i
    return {"task_queue_sid": sid, "task_queue_name": _last(lived[since:], "TaskQueueName"), "queue_entered_at": entered}


LEFT = {"reservation.accepted": "accepted", "task-queue.timeout": "timeout", "task-queue.moved": "moved"}
FAILED = ("task.transfer-failed", "task.transfer-canceled")
UNWANTED = ("task.updated", "reservation.canceled", "reservation.rejected", "reservation.timeout")


def _visits(lived: list[Row], statuses: list[str | None], alive: int) -> list[Row]:
    """The visits to queues, each as its callbacks left it; the task's end is not among them, but what it shows is."""
    visits: list[Row] = []
    status, transfer, queue = None, None, _queue([])
    for i, fact in enumerate(lived[: alive + 1]):
        at, kind, status = fact["at"], fact["type"], statuses[i] or status
        transfer = TRANSFER.get(kind.removeprefix("task.transfer-"), transfer)
        last = visits[-1] if visits else None
        if last and i < alive and kind in LEFT:
            if last["ended_at"] is None:
                last |= {"ended_at": at, "outcome": LEFT[kind]}
            elif kind == "task-queue.timeout" and (last["outcome"], last["ended_at"]) == ("moved", at):
                last["outcome"] = "timeout"
        shown, queue = queue["task_queue_sid"], _queue(lived[: i + 1])
        giver = kind in ("reservation.wrapup", "reservation.completed") and transfer == "initiated"
        held = status in ("assigned", "wrapping") and kind != "task.transfer-initiated" and not giver
        begins = _begins(fact, last, queue["task_queue_sid"], shown, held=held, over=i == alive)
        if begins and queue["task_queue_sid"]:
            _begin(visits, fact, queue)
        if i < alive and held and visits and visits[-1]["ended_at"] is None:
            given_back = kind in FAILED or (kind in UNWANTED and transfer == "initiated")
            seen = visits[-1]["inferred"] or not (given_back or kind == "reservation.rescinded")
            visits[-1] |= {"ended_at": at, "outcome": "canceled" if given_back else "accepted", "inferred": seen}
    return visits


def _begins(fact: Row, last: Row | None, sid: str | None, shown: str | None, *, held: bool, over: bool) -> bool:
    """Whether a visit begins with it, told or shown: in queue `sid`, where `shown` was the one before."""
    routing, left = fact["type"].startswith("workflow."), last is not None and last["outcome"] in ("moved", "timeout")
    if over:
        return last is not None and left and sid != last["task_queue_sid"]
    if fact["type"] == "task-queue.entered":
        return True
    if last is None or routing:
        return not routing
    if last["ended_at"] is not None and not left:
        return not held and sid != shown
    if sid == last["task_queue_sid"] or (held and not left):
        return False
    late = fact["at"] - last["ended_at"] > ONE_SECOND if left else fact["type"] == "task.observed"
    return fact["type"] == "reservation.created" or late


def _begin(visits: list[Row], fact: Row, queue: Row) -> None:
    """The next visit; or the last one, shown before and told now."""
    last, at, tells = visits[-1] if visits else None, fact["at"], fact["type"] == "task-queue.entered"
    lasts = last is not None and last["ended_at"] is None
    if last and tells and lasts and last["task_queue_sid"] == queue["task_queue_sid"] and not last["told"]:
        opened = {"started_at": at, "event_sid": fact["id"]} if last["inferred"] else {}
        last |= opened | {"task_queue_name": queue["task_queue_name"], "told": True, "inferred": False}
        return
    dated = None if tells else moment_ms(fact["said"].get("TaskQueueEnteredDate"))
    dated = queue["queue_entered_at"] if dated is None else dated
    began = min(at, max([dated, *([last["started_at"], last["ended_at"] or 0] if last else [])]))
    if last and lasts:
        last |= {"ended_at": began, "outcome": "moved", "inferred": True}
    visits.append({
        "started_at": began, "ended_at": None, "event_sid": fact["id"], "task_queue_sid": queue["task_queue_sid"], "outcome": None,
        "task_queue_name": queue["task_queue_name"], "told": tells, "inferred": not tells and fact["type"] != "task.transfer-initiated",
    })  # fmt: skip


# A reservation.

LIVE = {"reservation.created": "pending", "reservation.accepted": "accepted", "reservation.wrapup": "wrapping"}
OVER = {
    "reservation.rejected": "rejected", "reservation.timeout": "timeout", "reservation.canceled": "canceled",
    "reservation.rescinded": "rescinded", "reservation.completed": "completed", "reservation.failed": "failed",
}  # fmt: skip


def _offered(own: list[Row]) -> list[Row]:
    """The same facts, an observation as the callback that must have been, if it shows more than was known."""
    told: list[Row] = []
    shows = {status: event_type for event_type, status in (LIVE | OVER).items()}
    for fact in own:
        if fact["type"] != "reservation.observed":
            told.append(fact)
            continue
        what = shows.get(fact["said"].get("ReservationStatus"), "")
        known = max([list(LIVE).index(each["type"]) for each in told if each["type"] in LIVE], default=-1)
        told.append(fact | {"type": "" if what in LIVE and list(LIVE).index(what) <= known else what})
    return told


def _offer_created(alive: list[Row], own: list[Row]) -> int | None:
    """When it was created: as its creation says, or what shows it; else as the first fact dates it that does."""
    dated = [(fact, moment_ms(fact["said"].get("DateCreated"))) for fact in own]
    created = [fact for fact in alive if fact["type"] == "reservation.created"]
    if created:
        return next(at for fact, at in dated if fact is created[-1]) or created[-1]["at"]
    return next((at for _, at in dated if at is not None), None)


def _reservation(rows: Rows, key: Row, own: list[Row], task_ending: str | None, task_end: int | None) -> None:
    types, shown_first = {fact["type"] for fact in own}, _shown_first(own, "reservation")
    own = _offered(own)
    overs = [i for i, fact in enumerate(own) if fact["type"] in OVER]
    alive = own[: overs[0]] if overs else own
    status, ended = (OVER[own[overs[0]]["type"]], own[overs[0]]["at"]) if overs else (None, None)
    inferred = not overs and task_end is not None
    began = [_when(alive, event_type, -1) for event_type in LIVE]
    if inferred:
        status = "completed" if task_ending == "completed" else "canceled"
        ended = max(ms for ms in (task_end, own[0]["at"], _offer_created(alive, own), *began[1:]) if ms is not None)
    live = _line(rows, "reservation_status_span_past", key, _offer_statuses(own, alive))
    reasons = [fact["said"].get("CanceledReasonCode") or fact["said"].get("Reason") for fact in own]
    _put(rows, "reservation", key, {
        "first_seen_at": own[0]["at"],
        "worker_sid": _last(own, "WorkerSid"),
        "worker_name": _last(own, "WorkerName"),
        "worker_activity_sid": _last(own, "WorkerActivitySid"),
        "worker_activity_name": _last(own, "WorkerActivityName"),
        "task_queue_sid": _last(own[::-1], "TaskQueueSid"),  # the first told
        "workflow_sid": _last(own[::-1], "WorkflowSid"),
        "task_channel_sid": _last(own, "TaskChannelSid"),
        "status": status or live["status"],
        "reason": next((reason for reason in reversed(reasons) if reason), None),
        "version": _last(own, "ReservationVersion", integer),
        "created_at": _offer_created(alive, own),
        "accepted_at": began[1],
        "wrapup_at": began[2],
        **{f"{'timed_out' if end == 'timeout' else end}_at": ended if end == status else None for end in OVER.values()},
        "inferred": inferred,
        "ignore_capacity": _last(own, "TaskIgnoreCapacity", boolean),
        "live_status": live["status"],
        "live_since": live["started_at"],
        "live_n": live["n"],
        "live_event_sid": live["event_sid"],
        "live_worker_name": live["worker_name"],
        "live_activity_sid": live["worker_activity_sid"],
        "live_activity_name": live["worker_activity_name"],
        "updated_at": own[-1]["at"],
        "last_event_sid": own[-1]["id"],
        "created_told": "reservation.created" in types,
        "observed": shown_first,
    })  # fmt: skip


def _offer_statuses(own: list[Row], alive: list[Row]) -> list[Row]:
    """Only forward: pending, accepted, wrapping. Whom it concerns is what was known before the callback that ends it."""
    ranks = [list(LIVE).index(fact["type"]) if fact["type"] in LIVE else -1 for fact in alive]
    steps = [i for i, rank in enumerate(ranks) if rank > max([-1, *ranks[:i]])]
    return _until_next([
        {
            "started_at": alive[i]["at"], "event_sid": alive[i]["id"], "status": LIVE[alive[i]["type"]],
            "worker_name": alive[i]["said"].get("WorkerName"), "worker_activity_sid": alive[i]["said"].get("WorkerActivitySid"),
            "worker_activity_name": alive[i]["said"].get("WorkerActivityName"),
            **{column: _last(own[:until], name, read) for column, name, read in (
                ("worker_sid", "WorkerSid", lambda text: text), ("task_channel_sid", "TaskChannelSid", lambda text: text),
                ("ignore_capacity", "TaskIgnoreCapacity", boolean))},
        }
        for i, until in zip(steps, [*steps[1:], len(own)], strict=False)
    ])  # fmt: skip


# What is only spoken of, and names.


def _names(rows: Rows, told: list[Row]) -> None:
    """Each row that any callback speaks of, first seen at the earliest of them, each name as the last in order says it."""
    mentioned = defaultdict(list)
    for fact in told:
        for table, key, values in _spoken_of(fact):
            mentioned[table, tuple(key.items())].append((fact, values))
        capacity, own = (
            integer(fact["said"].get("WorkerChannelCapacity")),
            [fact["said"].get(n) for n in ("WorkerSid", "TaskChannelSid")],
        )
        if capacity is not None and capacity >= 0 and all(own):
            key = {
                "workspace_sid": fact["workspace"],
                "worker_sid": own[0],
                "task_channel_sid": own[1],
                "stated_order": fact["order"],
            }
            _put(rows, "stated_capacity", key, {"stated_at": fact["at"], "capacity": capacity})
    for (table, pairs), by in mentioned.items():
        row = rows[table].setdefault(tuple(value for _, value in pairs), dict(pairs) | _untouched(table))
        row["first_seen_at"] = min(fact["at"] for fact, _ in by)
        for name in NAMED[table]:
            said = [(fact["order"], values[name]) for fact, values in by if values.get(name) is not None]
            row[f"{name}_order"], row[name] = max(said, key=lambda pair: pair[0]) if said else (None, None)


def _spoken_of(fact: Row) -> list[tuple[str, Row, Row]]:
    said, here = fact["said"], {"workspace_sid": fact["workspace"]}
    spoken: list[tuple[str, Row, Row]] = [
        ("activity", here | {"activity_sid": said[f"{thing}Sid"]}, {"friendly_name": said.get(f"{thing}Name")})
        for thing in ("Activity", "WorkerActivity", "WorkerPreviousActivity")
        if f"{thing}Sid" in said
    ]
    spoken.append(("workspace", here, {"friendly_name": said.get("WorkspaceName")}))
    for table, thing in (
        ("worker", "Worker"),
        ("task_queue", "TaskQueue"),
        ("workflow", "Workflow"),
        ("task_channel", "TaskChannel"),
    ):
        if sid := said.get(f"{thing}Sid"):
            names = {"friendly_name": said.get(f"{thing}Name"), "unique_name": said.get("TaskChannelUniqueName"),
                     "target_workers": said.get("TaskQueueTargetExpression")}  # fmt: skip
            spoken.append((table, here | {f"{table}_sid": sid}, names))
    if said.get("WorkerSid") and said.get("TaskChannelSid"):
        capacity = integer(said.get("WorkerChannelCapacity"))
        names = {"unique_name": said.get("TaskChannelUniqueName"), "stated_capacity": None if (capacity or 0) < 0 else capacity}
        key = here | {"worker_sid": said["WorkerSid"], "task_channel_sid": said["TaskChannelSid"]}
        spoken.append(("worker_channel", key, names))
    return spoken


def _untouched(table: str) -> Row:
    """The row of something that no callback of its own has touched."""
    head = dict.fromkeys(("updated_at", "last_event_sid", "deletion_order", "deletion_received_at", "deleted_at"))
    head |= {"folded_to": "", "callback_count": 0, "timed_by_receipt_count": 0}
    match table:
        case "worker":
            columns = ("attributes", "attributes_since", "attributes_event_sid", "attributes_worker_name", "activity_sid", "activity_name",
                       "activity_since", "activity_event_sid", "activity_worker_name", "version", "operating_unit_sid", "created_at",
                       "deleted_at_basis")  # fmt: skip
            return head | dict.fromkeys(columns) | {"attributes_readable": True, "attributes_n": 0, "activity_n": 0, "gap_n": 0}
        case "worker_channel":
            columns = ("available", "updated_capacity", "since", "event_sid", "worker_name", "reported_available_capacity",
                       "reported_previous_capacity", "reported_task_count", "ended_at", "updated_at", "last_event_sid")  # fmt: skip
            return dict.fromkeys(columns) | {"n": 0}
        case _:
            return head | _thing(table, [])
