"""What a contact center is made of, and what each thing tells of itself in a callback.

`told` is the part of a callback's parameters that speaks of a thing, kept up to date, so that a callback is no more than
the union of a few of them.
"""

from typing import NamedTuple

from projector.floor.clock import Life

VOICE, CHAT, DEFAULT = "voice", "chat", "default"
ANY_LANGUAGE = ""
PENDING, RESERVED, ASSIGNED, WRAPPING = "pending", "reserved", "assigned", "wrapping"
COMPLETED, CANCELED, DELETED = "completed", "canceled", "deleted"  # deleted is the floor's own word: no callback says it
OVER = (COMPLETED, CANCELED, DELETED)

Told = dict[str, str]


def queue_told(sid: str, name: str, expression: str) -> Told:
    """Parameters that tell of a queue."""
    return {"TaskQueueSid": sid, "TaskQueueName": name, "TaskQueueTargetExpression": expression}


def channel_told(sid: str, unique_name: str, name: str) -> Told:
    """Parameters that tell of a task channel."""
    return {
        "TaskChannelSid": sid,
        "TaskChannelName": name,
        "TaskChannelUniqueName": unique_name,
        "TaskChannelOptimizedRouting": "false",
    }


class Activity(NamedTuple):
    """An Activity; `available` never changes (Twilio's reference)."""

    sid: str
    name: str
    available: bool


class Channel(NamedTuple):
    """A TaskChannel; `capacity` is how many tasks of it a worker takes at once, `share` which part of all tasks comes by it."""

    sid: str
    unique_name: str
    name: str
    capacity: int
    share: float


class Queue(NamedTuple):
    """A TaskQueue of everyone who has `skill` (empty: of everyone)."""

    sid: str
    name: str
    skill: str
    told: Told


class Target(NamedTuple):
    """A step of the workflow: a queue, and the language that its worker must speak. `line` is unique among targets."""

    queue: Queue
    language: str
    line: str


class Worker:
    """A worker. `created_ms` and `activity_since_ms` are the true times, not what stamps say of them."""

    __slots__ = (
        "activity",
        "activity_since_ms",
        "capacity",
        "closed",
        "created_ms",
        "languages",
        "leaving",
        "life",
        "lines",
        "load",
        "name",
        "number",
        "person",
        "sid",
        "skills",
        "told",
        "version",
    )

    life: Life

    def __init__(self, sid: str, number: int, person: tuple[str, str], name: str, operating_unit_sid: str) -> None:
        """`person` is the first and last name, `name` the friendly name; `number` tells workers of one floor apart."""
        self.sid, self.number, self.person, self.name = sid, number, person, name
        self.skills: tuple[str, ...] = ()
        self.languages: tuple[str, ...] = ()
        self.lines: tuple[str, ...] = ()  # of the targets that this worker serves
        self.created_ms = self.activity_since_ms = 0
        self.activity = Activity("", "", available=False)
        self.capacity: dict[str, int] = {}
        self.load: dict[str, int] = {}  # pending, accepted and wrapping reservations, by channel
        self.closed: set[str] = set()  # channels whose availability was switched off
        self.leaving = False  # for good, as soon as their life goes on
        self.version = 0
        self.told: Told = {
            "WorkerSid": sid,
            "WorkerName": name,
            "WorkerVersion": "0",
            "OperatingUnitSid": operating_unit_sid,
        }

    def takes(self, channel: str) -> bool:
        """Whether one more task of this channel may be offered."""
        return self.activity.available and self.load[channel] < self.capacity[channel] and channel not in self.closed

    def changed(self, **told: str) -> None:
        """Another version; of reservations too: they raise it (Twilio's SDK)."""
        self.version += 1
        self.told["WorkerVersion"] = str(self.version)
        self.told.update(told)


class Task:
    """A task. `holders` are the reservations that were accepted and are not completed; `wrapping` how many of them wrap up."""

    __slots__ = (
        "channel",
        "created_ms",
        "gives_up_ms",
        "granted",
        "holders",
        "language",
        "life",
        "place",
        "priority",
        "sid",
        "status",
        "target",
        "told",
        "transferring",
        "version",
        "wrapping",
    )

    life: Life

    def __init__(self, sid: str, channel: Channel, target: Target, created_ms: int, told: Told) -> None:
        """`target` is the first step of its workflow; `told` goes on to be kept here."""
        self.sid, self.channel, self.target, self.created_ms = sid, channel, target, created_ms
        self.language = target.language
        self.status = PENDING
        self.version = self.priority = 0
        self.gives_up_ms = 0.0  # when whoever waits hangs up
        self.granted: Worker | None = None  # the worker who came free for it
        self.place = 0  # in a line; a place that the task has left is worth nothing
        self.holders = self.wrapping = 0
        self.transferring = False
        self.told = told

    def changed(self, status: str | None = None, **told: str) -> None:
        """Another version, in this status if one is given. `TaskVersion` is the task's ETag in the REST API."""
        self.version += 1
        self.told["TaskVersion"] = str(self.version)
        if status is not None:
            self.status = self.told["TaskAssignmentStatus"] = status
        self.told.update(told)


class Reservation:
    """One offer of a task to a worker."""

    __slots__ = ("sid", "task", "version", "worker")

    def __init__(self, sid: str, task: Task, worker: Worker) -> None:
        """Begin a reservation that nobody has told of yet."""
        self.sid, self.task, self.worker = sid, task, worker
        self.version = 0
