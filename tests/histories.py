"""Random histories for the laws: few units, few moments, so that ties, gaps and contradictions are common.

A history is made of strands. A strand is one number, and what it says follows from it: a lone callback of any type, or a piece of a
life that hangs together: a task's way through queues and offers, a worker's day, a thing that is made, renamed and deleted. Strands
speak of the same few units, so they contradict each other. Hypothesis looks for the fewest strands; drawing every value by itself
would find nothing that this does not, four times as slowly.
"""

from random import Random
from typing import Any

from hypothesis import strategies as st

from projector.taskrouter.event_types import EVENT_TYPES
from tests.given import Parameters, callback, ms, sid

# Moments in seconds: a handful, so that milliseconds tie; one from before, one from the future of the receipt (3600 s).
STORY = (0, 1, 1, 1.001, 2, 2, 3, 5, 8, 8.5, 9, 30, 30.5)
MOMENTS = (*STORY, -3, 9000)
ATTRIBUTES = ("{}", '{"a":1}', '{"a": 1}', "{broken", '{"b":"x\\/y"}')
STATUSES = ("pending", "reserved", "assigned", "wrapping", "completed", "canceled", "transferring")
NAMES = ("One", "Two", "Ünï", "Drei\x00", "")


def sids(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(sid(prefix, name) for name in names)


TASKS, OFFERS, WORKERS, QUEUES = (
    sids("WT", "t1", "t2"),
    sids("WR", "r1", "r2", "r3"),
    sids("WK", "ann", "bob"),
    sids("WQ", "q1", "q2"),
)
ACTIVITIES, CHANNELS = sids("WA", "idle", "busy", "lunch"), sids("TC", "voice", "chat")
SPENT = ("0", "500", "1000", "2000", "7500", "29000", "-5", "99999999999999999", "soon")
CAPACITIES = ("1", "3", "66", "-1", "0")

OPTIONAL: dict[str, tuple[str, ...]] = {
    "TaskSid": TASKS, "ReservationSid": OFFERS, "WorkerSid": WORKERS, "TaskQueueSid": QUEUES, "WorkflowSid": sids("WW", "main"),
    "TaskChannelSid": CHANNELS, "ActivitySid": ACTIVITIES, "WorkerActivitySid": ACTIVITIES, "OperatingUnitSid": sids("OU", "one", "two"),
    "WorkerPreviousActivitySid": ACTIVITIES, "WorkerPreviousActivityName": NAMES, "WorkerTimeInPreviousActivityMs": SPENT,
    "TaskQueueName": NAMES, "WorkerName": NAMES, "ActivityName": NAMES, "TaskChannelUniqueName": NAMES, "WorkflowName": NAMES,
    "TaskChannelName": NAMES, "WorkerActivityName": NAMES, "TaskQueueTargetExpression": NAMES, "WorkspaceName": NAMES,
    "TaskAttributes": ATTRIBUTES, "WorkerAttributes": ATTRIBUTES, "TaskAssignmentStatus": STATUSES,
    "TaskPriority": ("0", "5", "high"), "TaskVersion": ("1", "2", "3", ""), "ReservationVersion": ("0", "4"),
    "WorkerVersion": ("1", "2", "x"), "TaskIgnoreCapacity": ("true", "0"), "TaskChannelOptimizedRouting": ("true", "false"),
    "Reason": NAMES, "CanceledReasonCode": ("14200",), "TaskCanceledReason": NAMES, "TaskCompletedReason": NAMES,
    "TaskDateCreated": ("1769999990", "1770000000500", "long ago"),
    "TaskQueueEnteredDate": ("1770000001", "1770000002500", "1770000008", "never"),
    "WorkerChannelAvailable": ("1", "false"), "WorkerChannelAvailableCapacity": CAPACITIES,
    "WorkerChannelPreviousCapacity": CAPACITIES, "WorkerChannelTaskCount": ("0", "2"), "WorkerChannelCapacity": ("2", "3", "-1"),
    "ActivityAvailable": ("true", "false", "perhaps"),
    "ReservationStatus": ("pending", "accepted", "wrapping", "completed", "timeout", "lost"),
    "WorkerChannelConfiguredCapacity": CAPACITIES, "DateCreated": ("1769999990", "1770000000500", "1770000400", "long ago"),
}  # fmt: skip
ALWAYS = (
    "TaskSid",
    "WorkerSid",
    "TaskQueueSid",
    "WorkflowSid",
    "TaskChannelSid",
    "ActivitySid",
    "ReservationSid",
    "WorkerActivitySid",
)
SOMETIMES = tuple(name for name in OPTIONAL if name not in ALWAYS)
EVENTS = (*EVENT_TYPES, *(name for name in EVENT_TYPES if name.startswith(("reservation", "task.", "worker"))), "task.invented", "task.cancelled")  # fmt: skip
OWN_SIDS = {"task": "TaskSid", "worker": "WorkerSid", "activity": "ActivitySid", "workflow": "WorkflowSid"}

Step = tuple[str, str, dict[str, str]]  # EventType, TaskAssignmentStatus, what else it says


def _offer(name: str, *ends: tuple[str, str]) -> list[Step]:
    told = {"ReservationSid": sid("WR", name)}
    return [(f"reservation.{what}", status, told) for what, status in (("created", "reserved"), *ends)]


_BORN: list[Step] = [
    ("workflow.target-matched", "pending", {}),
    ("task.created", "pending", {}),
    ("task-queue.entered", "pending", {}),
]
_ACCEPTED = ("accepted", "assigned")
_Q2 = {"TaskQueueSid": QUEUES[1], "TaskQueueName": "Two"}
TASK_LIVES: tuple[list[Step], ...] = (
    [*_BORN, *_offer("r1", _ACCEPTED, ("wrapup", "wrapping"), ("completed", "completed")), ("task.completed", "completed", {})],
    [*_BORN, *_offer("r1", ("rejected", "pending")), *_offer("r2", _ACCEPTED, ("canceled", "canceled")), ("task.canceled", "canceled", {})],
    [*_BORN, *_offer("r1", ("timeout", "pending")), ("task-queue.timeout", "pending", {}), ("task-queue.moved", "pending", {}),
     ("task-queue.entered", "pending", _Q2), *_offer("r2", _ACCEPTED), ("task.deleted", "", {})],
    [*_BORN, *_offer("r1", _ACCEPTED), ("task.transfer-initiated", "reserved", _Q2), ("task-queue.entered", "pending", _Q2),
     *_offer("r2", _ACCEPTED), ("task.transfer-completed", "assigned", _Q2), ("reservation.wrapup", "wrapping", {"ReservationSid": OFFERS[0]})],
    [*_BORN, *_offer("r1", _ACCEPTED), ("task.transfer-initiated", "reserved", _Q2), *_offer("r2", ("timeout", "assigned")),
     ("task.transfer-failed", "assigned", {}), ("task.wrapup", "wrapping", {}), ("task.completed", "completed", {})],
    [*_BORN, *_offer("r1"), *_offer("r2", _ACCEPTED), ("reservation.rescinded", "assigned", {"ReservationSid": OFFERS[0]}),
     ("task.updated", "assigned", {"TaskAttributes": '{"a":1}'}), ("task.system-deleted", "", {})],
    [*_BORN, ("task.updated", "pending", _Q2), ("task.updated", "pending", {}), ("task.canceled", "canceled", {}), ("task.updated", "", {})],
)  # fmt: skip


def _moments(random: Random, count: int) -> list[float]:
    return sorted(random.choices(STORY, k=count))


def _lone(random: Random) -> list[Parameters]:
    """One callback of any type, most of the time naming everything it could."""
    said = {name: random.choice(OPTIONAL[name]) for name in ALWAYS if random.random() < 0.9}
    for name in random.sample(SOMETIMES, random.randrange(9)):
        said[name] = random.choice(OPTIONAL[name])
    event_type = random.choice(EVENTS)
    own = OWN_SIDS.get(event_type.partition(".")[0])
    if own in said and random.random() < 0.05:
        said["ResourceSid"] = said.pop(own)
    body = callback(event_type, random.choice(MOMENTS), **said)
    if random.random() < 0.15:
        del body["TimestampMs"]
        body["Timestamp"] = random.choice((body["Timestamp"], "yesterday"))
    return [body]


def _task(random: Random) -> list[Parameters]:
    """A stretch of a task's life, some of it lost, its snapshots in the queue it is in; its deletion may be stamped anywhere."""
    life = random.choice(TASK_LIVES)
    start = random.choice((0, 0, 0, 2, 4))
    steps = [step for step in life[start:] if random.random() < 0.85]
    if random.random() < 0.15:  # an end in the middle: what comes after it changes no status
        steps.insert(random.randint(0, len(steps)), ("task.canceled", "canceled", {}))
    common = {"TaskSid": random.choice(TASKS), "TaskQueueSid": QUEUES[0], "TaskQueueName": "One", "WorkerSid": random.choice(WORKERS),
              "TaskChannelSid": CHANNELS[0], "WorkerActivitySid": ACTIVITIES[0], "WorkflowSid": sid("WW", "main")}  # fmt: skip
    told = []
    for at, (event_type, status, more) in zip(_moments(random, len(steps)), steps, strict=True):
        said = common | more | ({"TaskAssignmentStatus": status} if status and random.random() < 0.9 else {})
        if event_type.startswith("reservation") and random.random() < 0.3:
            said["WorkerChannelCapacity"] = random.choice(OPTIONAL["WorkerChannelCapacity"])
        if random.random() < 0.2:
            said["TaskQueueEnteredDate"] = str(ms(at - random.choice((0, 0.5, 2))))
        stamp = random.choice(MOMENTS) if event_type.endswith("deleted") and random.random() < 0.5 else at
        told.append(callback(event_type, stamp, **said))
        if random.random() < 0.1:
            told.append(_shown(random, at, said))
    return told


def _shown(random: Random, at: float, said: dict[str, str]) -> Parameters:
    """What REST shows of a task or of an offer to it, in the second of its last change."""
    at = int(at) + 0.999
    if "ReservationSid" in said and random.random() < 0.7:
        named = {name: said[name] for name in ("TaskSid", "ReservationSid", "WorkerSid")}
        return callback(
            "reservation.observed",
            at,
            ReservationStatus=random.choice(OPTIONAL["ReservationStatus"]),
            DateCreated=str(ms(at - 2)),
            **named,
        )
    return callback("task.observed", at, **said)


def _worker(random: Random) -> list[Parameters]:
    """A stretch of a worker's day: updates that mostly agree with the activity before, or are short of it, or beyond it, or absurd."""
    who, name = random.choice(WORKERS), random.choice(NAMES)
    told, since, activity = [], None, None
    for at in _moments(random, random.randint(2, 6)):
        what = "activity.update" if random.random() < 0.6 else random.choice(
            ("created", "attributes.update", "capacity.update", "channel.availability.update", "deleted", "activity.observed", "observed"))  # fmt: skip
        entered = random.choice(ACTIVITIES)
        said = {"WorkerSid": who, "WorkerName": name, "WorkerActivitySid": entered, "WorkerAttributes": random.choice(ATTRIBUTES)}
        if what == "activity.update" and activity is not None and since is not None:
            said |= _before(random, activity, round((at - since) * 1000))
        if what.startswith("c"):
            said |= {"TaskChannelSid": random.choice(CHANNELS), "WorkerChannelAvailable": random.choice(("true", "false")),
                     "WorkerChannelAvailableCapacity": random.choice(CAPACITIES)}  # fmt: skip
        if what in ("created", "activity.update", "activity.observed"):
            since, activity = at, entered
        stamp = 0 if what == "deleted" and random.random() < 0.5 else at  # it lies: the stamp is the creation's
        told.append(callback(f"worker.{what}", stamp, **said))
    return told


def _before(random: Random, activity: str, lasted_ms: int) -> dict[str, str]:
    """What an update says of the activity before it."""
    said = {"WorkerPreviousActivitySid": activity if random.random() < 0.8 else random.choice(ACTIVITIES)}
    match random.randrange(8):
        case 0:
            return {}
        case 1:
            return said
        case 2:
            return said | {"WorkerTimeInPreviousActivityMs": str(lasted_ms // 2)}
        case 3:
            return said | {"WorkerTimeInPreviousActivityMs": str(lasted_ms + random.choice((400, 1000, 1001, 60_000)))}
        case 4:
            return said | {"WorkerTimeInPreviousActivityMs": random.choice(SPENT)}
        case _:
            return said | {"WorkerTimeInPreviousActivityMs": str(lasted_ms), "WorkerPreviousActivityName": "Before"}


def _channel(random: Random) -> list[Parameters]:
    """A worker's channel: its capacity and availability change, or are told again."""
    said = {"WorkerSid": random.choice(WORKERS), "TaskChannelSid": random.choice(CHANNELS), "WorkerName": random.choice(NAMES)}
    told = []
    for at in _moments(random, random.randint(2, 5)):
        figures = {name: random.choice(OPTIONAL[name]) for name in FIGURES if random.random() < 0.7}
        what = random.choice(("capacity.update", "channel.availability.update", "channel.observed"))
        told.append(callback(f"worker.{what}", at, **said | figures))
    return told


FIGURES = (
    "WorkerChannelConfiguredCapacity",
    "WorkerChannelAvailable",
    "WorkerChannelAvailableCapacity",
    "WorkerChannelPreviousCapacity",
    "WorkerChannelTaskCount",
)
THINGS = {
    "activity": ("updated", {"ActivitySid": ACTIVITIES[0]}, "ActivityName"),
    "task-queue": ("expression.updated", {"TaskQueueSid": QUEUES[0]}, "TaskQueueName"),
    "workflow": ("updated", {"WorkflowSid": sid("WW", "main")}, "WorkflowName"),
    "task-channel": ("updated", {"TaskChannelSid": CHANNELS[0]}, "TaskChannelUniqueName"),
    "workspace": ("updated", {}, "WorkspaceName"),
}


def _thing(random: Random) -> list[Parameters]:
    """A thing made, renamed, deleted; the deletion may be stamped before the rest."""
    thing = random.choice(list(THINGS))
    renamed, named, name = THINGS[thing]
    told = []
    for what, at in zip(("created", renamed, "deleted"), _moments(random, 3), strict=True):
        stamp = random.choice(MOMENTS) if what == "deleted" and random.random() < 0.3 else at
        told.append(callback(f"{thing}.{what}", stamp, **named | {name: random.choice(NAMES)}))
    return [body for body in told if random.random() < 0.8]


def strand(number: int) -> list[Parameters]:
    """The callbacks of one strand; 0 is as good as any other."""
    random = Random(number)
    (telling,) = random.choices((_lone, _task, _worker, _channel, _thing), (5, 3, 3, 1, 1))
    # The Sid follows from what is said and the strand: two facts that look alike are two callbacks.
    return [body | {"Sid": sid("EV", body["Sid"] + str(number % 8))} for body in telling(random)]


@st.composite
def histories(draw: Any, min_strands: int = 1, max_size: int = 16) -> list[Parameters]:
    """A set of callbacks, in some order."""
    numbers = draw(st.lists(st.integers(0, 2**32 - 1), min_size=min_strands, max_size=max(min_strands, max_size // 2)))
    told = {body["Sid"]: body for number in numbers for body in strand(number)}
    return list(told.values())[:max_size] or _lone(Random(0))


@st.composite
def arrivals(draw: Any, history: list[Parameters]) -> list[list[Parameters]]:
    """The same callbacks as they may arrive: shuffled, or nearly in order with a few late ones; some more than once; in batches."""
    several = history + draw(st.lists(st.sampled_from(history), max_size=5))
    if draw(st.booleans()):
        arrived = list(draw(st.permutations(several)))
    else:
        arrived = sorted(several, key=lambda body: (body.get("TimestampMs", ""), body["Sid"]))
        places = st.integers(0, len(arrived) - 1)
        for early, late in draw(st.lists(st.tuples(places, places), max_size=3)):
            arrived.insert(late, arrived.pop(early))
    cuts = sorted(draw(st.sets(st.integers(1, len(arrived)), max_size=4)) | {len(arrived)})
    return [arrived[start:end] for start, end in zip([0, *cuts], cuts, strict=False)]
