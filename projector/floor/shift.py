"""A worker's life: created, in and out of activities, now and then somebody leaves and another begins."""

from projector.floor.attributes import FIRST_NAMES, LAST_NAMES, login_of, worker_attributes
from projector.floor.clock import Steps
from projector.floor.office import Office
from projector.floor.things import CHAT, VOICE, Activity, Worker

DEFAULT_CAPACITY = "1"  # of every channel of a new worker
BREAKS = 0.7  # of the times a worker goes away; else they go offline


def employ(office: Office, number: int, colleagues: int) -> None:
    """Let another worker begin. `number` tells what they can: of few colleagues everyone has every skill."""
    skills = [queue.skill for queue in office.queues if queue.skill]
    first = skills[number % len(skills)]
    second = skills[(number + 1) % len(skills)]
    worker = _applicant(office, number)
    worker.skills = tuple(skills) if colleagues < len(skills) else (first, second) if number % 5 < 3 else (first,)
    worker.languages = ("english", *(("spanish",) if number % 6 == 1 else ()), *(("german",) if number % 9 == 2 else ()))
    worker.life = office.clock.begin(_shift(office, worker, colleagues))


def _applicant(office: Office, number: int) -> Worker:
    person = (office.random.choice(FIRST_NAMES), office.random.choice(LAST_NAMES))
    return Worker(office.sid("WK"), number, person, login_of(person, number), office.operating_unit_sid)


def _shift(office: Office, worker: Worker, colleagues: int) -> Steps:
    _create(office, worker)
    office.hire(worker)
    yield 5 * office.pace.opening_ms
    while not worker.leaving:
        if worker.activity.available:
            enter(office, worker, office.on_break if office.random.random() < BREAKS else office.offline)
        else:
            enter(office, worker, office.available)
        yield _stay_ms(office, worker.activity)
    _delete(office, worker)
    employ(office, worker.number + colleagues, colleagues)


def _stay_ms(office: Office, activity: Activity) -> float:
    """How long workers stay, in tasks' time of one worker: `office.PRESENT` follows from it."""
    turns = {office.available: 12.0, office.on_break: 1.5, office.offline: 3.0, office.unavailable: 0.7}[activity]
    return office.random.expovariate(1 / (turns * office.pace.turn_ms))


def _create(office: Office, worker: Worker) -> None:
    """`worker.created` is stamped in whole seconds (recorded 2018 and 2023), whatever millisecond it is."""
    now_ms = int(office.clock.now_ms)
    worker.created_ms = worker.activity_since_ms = now_ms
    worker.activity = office.offline
    describe(worker, "day")
    worker.told.update(WorkerActivitySid=worker.activity.sid, WorkerActivityName=worker.activity.name)
    office.say_of_worker("worker.created", worker, "created", stamp_ms=_whole_second(now_ms))
    office.note("worker hired", worker.sid, *worker.skills, at_ms=_whole_second(now_ms))  # nobody can know it better
    office.note("worker entered", worker.sid, worker.activity.sid, at_ms=_whole_second(now_ms))
    for channel in (office.voice, office.chat):
        worker.load[channel.unique_name] = 0
        set_capacity(office, worker, channel.unique_name, channel.capacity)


def _delete(office: Office, worker: Worker) -> None:
    """`worker.deleted` is stamped with the worker's creation (2 of 2 recorded in 2018), and sent when it happens."""
    office.dismiss(worker)
    office.note("worker deleted", worker.sid)
    office.say_of_worker("worker.deleted", worker, "deleted", stamp_ms=_whole_second(worker.created_ms))


def _whole_second(ms: int) -> int:
    return ms - ms % 1000


def enter(office: Office, worker: Worker, activity: Activity) -> None:
    """Another activity; `WorkerTimeInPreviousActivity` truncates to seconds. Who comes back is given what waits."""
    now_ms = int(office.clock.now_ms)
    previous, spent_ms = worker.activity, now_ms - worker.activity_since_ms
    worker.activity, worker.activity_since_ms = activity, now_ms
    worker.changed(WorkerActivitySid=activity.sid, WorkerActivityName=activity.name)
    office.note("worker entered", worker.sid, activity.sid)
    before = {
        "WorkerPreviousActivitySid": previous.sid,
        "WorkerPreviousActivityName": previous.name,
        "WorkerTimeInPreviousActivity": str(spent_ms // 1000),
        "WorkerTimeInPreviousActivityMs": str(spent_ms),
    }
    office.say_of_worker("worker.activity.update", worker, f"updated to {activity.name} Activity", before)
    for channel in (VOICE, CHAT):
        office.serve(worker, channel)


def miss(office: Office, worker: Worker) -> None:
    """Miss an offer: a reservation's timeout moves its worker to the workspace's timeout activity; they come back a little later."""
    if worker.activity is not office.unavailable:
        enter(office, worker, office.unavailable)
    office.clock.wake(worker.life, _stay_ms(office, office.unavailable))


def describe(worker: Worker, shift: str) -> None:
    """Give a worker their attributes."""
    text = worker_attributes(worker.person, worker.number, worker.skills, worker.languages, shift)
    worker.told["WorkerAttributes"] = text


def set_capacity(office: Office, worker: Worker, channel: str, capacity: int) -> None:
    """Another configured capacity. What unit `WorkerChannelAvailableCapacity` has is not known publicly: here both are counts."""
    previous = str(worker.capacity.get(channel, DEFAULT_CAPACITY))
    worker.capacity[channel] = capacity
    worker.changed()
    say_of_channel(office, "worker.capacity.update", worker, channel, previous)
    if worker.lines:
        office.serve(worker, channel)


def say_of_channel(office: Office, event_type: str, worker: Worker, channel: str, previous_capacity: str) -> None:
    """Say a callback of one channel of a worker. No live body of one is public: keys are the reference page's."""
    described = "capacity" if event_type == "worker.capacity.update" else "availability"
    told = {
        "WorkerChannelAvailable": "false" if channel in worker.closed else "true",
        "WorkerChannelAvailableCapacity": str(worker.capacity[channel]),
        "WorkerChannelPreviousCapacity": previous_capacity,
        "WorkerChannelTaskCount": str(worker.load[channel]),
        "TaskChannelSid": office.channels[channel].sid,
        "TaskChannelUniqueName": channel,
    }
    office.say_of_worker(event_type, worker, f"updated {channel} channel {described}", told)
