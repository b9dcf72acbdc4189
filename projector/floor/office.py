"""The whole of a floor: who is there, who waits for whom, and what was said about it."""

from collections import deque
from collections.abc import Mapping
from random import Random

from projector.floor.clock import Clock
from projector.floor.diary import Diary, Fact
from projector.floor.things import (
    ANY_LANGUAGE,
    CHAT,
    DEFAULT,
    VOICE,
    Activity,
    Channel,
    Queue,
    Reservation,
    Target,
    Task,
    Told,
    Worker,
    queue_told,
)

RESOURCES = {  # of the things that have callbacks of their own: ResourceType, its name in descriptions, the parameter of its Sid
    "activity": ("activity", "Activity", "ActivitySid"),
    "task-channel": ("taskchannel", "TaskChannel", "TaskChannelSid"),
    "task-queue": ("taskqueue", "TaskQueue", "TaskQueueSid"),  # recorded 2023; the others are guesses
    "workflow": ("workflow", "Workflow", "WorkflowSid"),
    "workspace": ("workspace", "Workspace", "WorkspaceSid"),
}

CALLBACKS_PER_TASK = 11.3  # measured: all callbacks, whatever they speak of, by tasks created
BUSY = 0.78  # of the channel capacity of the workers present would be in use if every task were handled; measured: 0.68
PRESENT = 0.85  # of the workers are in an available activity
LANGUAGES = (("english", 0.8), ("spanish", 0.12), ("german", 0.077), ("french", 0.003))  # of the tasks; no worker speaks French
SKILLS = (("Billing", "billing", 0.35), ("Support", "support", 0.3), ("Sales", "sales", 0.25), ("Everyone", "", 0.1))


class Pace:
    """How long things take, milliseconds, so that as many callbacks come as were asked for and workers are as busy as meant."""

    def __init__(self, workers: int, callbacks_per_second: float) -> None:
        """Everything follows from the workers and the rate."""
        self.arrival_ms = 1000 * CALLBACKS_PER_TASK / callbacks_per_second  # between two tasks
        self.turn_ms = self.arrival_ms * workers  # between two tasks of one worker
        self.opening_ms = min(20.0, 100 / callbacks_per_second)  # between two callbacks of what is set up at the start
        self.latency_ms = min(150.0, 0.02 * self.turn_ms)  # until TaskRouter has found a worker (recorded: 137 to 522 ms)

    def handle_ms(self, channel: Channel) -> float:
        """How long one task occupies a worker, from the reservation to the end of the wrap-up."""
        return BUSY * PRESENT * self.turn_ms * channel.capacity / channel.share


class Office:
    """The shared state. What happens in it is in `journey.py`, `handling.py`, `shift.py` and `chores.py`."""

    def __init__(
        self, random: Random, clock: Clock, pace: Pace, account_sid: str, workspace_sid: str, diary: Diary | None = None
    ) -> None:
        """Build an office without workers, before its first callback."""
        self.random, self.clock, self.pace, self._diary = random, clock, pace, diary
        self.said: list[tuple[int, Told]] = []
        self.workspace_sid = workspace_sid
        self.operating_unit_sid = self.sid("OU")
        self._common = {
            "AccountSid": account_sid,
            "WorkspaceSid": workspace_sid,
            "WorkspaceName": "Flex Task Assignment",
        }
        self.offline = Activity(self.sid("WA"), "Offline", available=False)
        self.available = Activity(self.sid("WA"), "Available", available=True)
        self.on_break = Activity(self.sid("WA"), "Break", available=False)
        self.unavailable = Activity(self.sid("WA"), "Unavailable", available=False)
        self.voice = Channel(self.sid("TC"), VOICE, "Voice", 1, 0.4)
        self.chat = Channel(self.sid("TC"), CHAT, "Programmable Chat", 3, 0.6)
        self.default = Channel(self.sid("TC"), DEFAULT, "Default", 1, 0.0)
        self.channels = {channel.unique_name: channel for channel in (self.voice, self.chat, self.default)}
        self.workflow_told = {"WorkflowSid": self.sid("WW"), "WorkflowName": "Assign to Anyone"}
        self.queues = tuple(self.new_queue(name, skill) for name, skill, _ in SKILLS)
        self.targets = {
            (queue.skill, language): Target(queue, language, f"{queue.name}/{language}")
            for queue in self.queues
            for language in (*dict(LANGUAGES), ANY_LANGUAGE)
        }
        self.workers: list[Worker] = []
        self._serving: dict[str, list[Worker]] = {target.line: [] for target in self.targets.values()}
        self._waiting: dict[tuple[str, str], deque[tuple[int, Task]]] = {
            (channel.unique_name, line): deque() for channel in (self.voice, self.chat) for line in self._serving
        }
        self._places = 0

    # What is said

    def sid(self, prefix: str) -> str:
        """Draw a new Sid."""
        return f"{prefix}{self.random.getrandbits(128):032x}"

    def say(
        self,
        event_type: str,
        description: str,
        resource: tuple[str, str],
        *told: Mapping[str, str],
        stamp_ms: int | None = None,
    ) -> None:
        """Say one callback, now: the common parameters and what is told. `resource` is its type and Sid.

        `stamp_ms` is for the stamps that lie: the callback is sent now all the same.
        """
        now_ms = int(self.clock.now_ms)
        stamp_ms = now_ms if stamp_ms is None else stamp_ms
        parameters = {
            "EventType": event_type,
            "Sid": self.sid("EV"),
            "Timestamp": str(stamp_ms // 1000),
            "TimestampMs": str(stamp_ms),
            "EventDescription": description,
            "ResourceType": resource[0],
            "ResourceSid": resource[1],
            **self._common,
        }
        for part in told:
            parameters.update(part)
        self.said.append((now_ms, parameters))

    def say_of_thing(self, event_type: str, told: Told) -> None:
        """Say a callback of an activity, a queue, …: what is told names it. Nothing told: the workspace."""
        thing, _, happened = event_type.partition(".")
        resource_type, name, parameter = RESOURCES[thing]
        sid = told.get(parameter, self.workspace_sid)
        does = happened.replace(".", " ")
        if happened == "expression.updated":
            does += f" to '{told['TaskQueueTargetExpression']}'"
        self.say(event_type, f"{name} {sid} {does}", (resource_type, sid), told)

    def say_of_task(self, event_type: str, task: Task, does: str, *told: Mapping[str, str]) -> None:
        """Say a callback of a task; `does` is the description after its name (`created`, `entered TaskQueue English`: recorded)."""
        self.say(event_type, f"Task {task.sid} {does}", ("task", task.sid), task.told, self._age(task), *told)

    def say_of_reservation(self, event_type: str, reservation: Reservation, does: str, *told: Mapping[str, str]) -> None:
        """Say a callback of a reservation: the task's snapshot, the worker's, and the use of the worker's channel."""
        task, worker = reservation.task, reservation.worker
        channel = task.channel.unique_name
        own = {
            "ReservationSid": reservation.sid,
            "ReservationVersion": str(reservation.version),
            "WorkerChannelCapacity": str(worker.capacity[channel]),
            "WorkerChannelConsumedCapacity": str(worker.load[channel]),
        }
        resource = ("reservation", reservation.sid)
        description = f"Reservation {reservation.sid} {does}"
        self.say(event_type, description, resource, task.told, self._age(task), worker.told, own, *told)
        reservation.version += 1

    def say_of_worker(
        self, event_type: str, worker: Worker, does: str, *told: Mapping[str, str], stamp_ms: int | None = None
    ) -> None:
        """Say a callback of a worker."""
        self.say(event_type, f"Worker {worker.name} {does}", ("worker", worker.sid), worker.told, *told, stamp_ms=stamp_ms)

    def _age(self, task: Task) -> Told:
        """Whole seconds, each stamp cut to its second before they are subtracted (from four recorded points)."""
        return {"TaskAge": str(int(self.clock.now_ms) // 1000 - task.created_ms // 1000)}

    # What truly happens

    def note(self, what: str, sid: str, *about: str, at_ms: int | None = None) -> None:
        """Put a fact into the diary, if somebody keeps one; `at_ms` is for what began earlier than now."""
        if self._diary is not None:
            self._diary.append(Fact(int(self.clock.now_ms) if at_ms is None else at_ms, what, sid, about))

    def turn(self, task: Task, status: str) -> None:
        """Another version of a task, in this status, which is no end."""
        task.changed(status)
        self.note("task turned", task.sid, status)

    # Who is there

    def new_queue(self, name: str, skill: str) -> Queue:
        """Set up a queue, without a word."""
        sid = self.sid("WQ")
        expression = f'routing.skills HAS "{skill}"' if skill else "1==1"
        return Queue(sid, name, skill, queue_told(sid, name, expression))

    def hire(self, worker: Worker) -> None:
        """Let a worker be found by the targets that their skills and languages match."""
        matches = [
            target
            for target in self.targets.values()
            if (not target.queue.skill or target.queue.skill in worker.skills)
            and (target.language == ANY_LANGUAGE or target.language in worker.languages)
        ]
        worker.lines = tuple(target.line for target in matches)
        self.workers.append(worker)
        for line in worker.lines:
            self._serving[line].append(worker)

    def dismiss(self, worker: Worker) -> None:
        """Let a worker be found no more."""
        self.workers.remove(worker)
        for line in worker.lines:
            self._serving[line].remove(worker)

    # Who waits for whom

    def find(self, task: Task, target: Target, count: int = 1, but_for: Worker | None = None) -> list[Worker]:
        """Up to `count` workers for this task, none while others wait in the same line. Each is taken: their load counts it."""
        channel = task.channel.unique_name
        found: list[Worker] = []
        if self._first_waiting(channel, target.line) is not None:
            return found
        serving = self._serving[target.line]
        start = int(self.random.random() * len(serving))
        for at in range(start - len(serving), start):  # negative indices: round the list from `start`
            worker = serving[at]
            if worker is not but_for and worker.takes(channel):
                worker.load[channel] += 1
                found.append(worker)
                if len(found) == count:
                    break
        return found

    def join_line(self, task: Task, target: Target) -> None:
        """Let a task wait for a worker: `task.granted` is who came free, and its life is woken then."""
        self._places += 1
        task.place, task.granted = self._places, None
        self._waiting[task.channel.unique_name, target.line].append((task.place, task))

    def leave_line(self, task: Task) -> Worker | None:
        """Let it wait no longer; the worker who came free, if one did."""
        task.place = 0
        return task.granted

    def release(self, reservation: Reservation) -> None:
        """End a reservation: whoever waits longest may have its worker."""
        worker, channel = reservation.worker, reservation.task.channel.unique_name
        worker.load[channel] -= 1
        self.serve(worker, channel)

    def serve(self, worker: Worker, channel: str) -> None:
        """Give this worker's free capacity to those who wait longest."""
        while worker.takes(channel):
            waiting = [first for line in worker.lines if (first := self._first_waiting(channel, line)) is not None]
            if not waiting:
                return
            _, task = min(waiting, key=_place)
            task.place, task.granted = 0, worker
            worker.load[channel] += 1
            self.clock.wake(task.life)

    def _first_waiting(self, channel: str, line: str) -> tuple[int, Task] | None:
        waiting = self._waiting[channel, line]
        while waiting and waiting[0][0] != waiting[0][1].place:
            waiting.popleft()
        return waiting[0] if waiting else None


def _place(waiting: tuple[int, Task]) -> int:
    return waiting[0]
