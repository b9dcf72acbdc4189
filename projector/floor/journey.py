"""A task's life: it arrives, is created, routed, handled."""

from collections.abc import Sequence
from itertools import accumulate

from projector.floor.attributes import chat_attributes, voice_attributes
from projector.floor.clock import Steps
from projector.floor.handling import handled
from projector.floor.office import LANGUAGES, SKILLS, Office
from projector.floor.routing import PATIENCE_TURNS, cancel, filter_told, routed
from projector.floor.things import ANY_LANGUAGE, CANCELED, PENDING, Channel, Target, Task

FAILS = 0.001  # of the tasks are for one worker only, who is not there in time (RoutingTarget)
NO_OTHER_LANGUAGE = ("german", "french")
FAILED_REASON = "RoutingTarget SLA for Reservation creation was not met"  # Twilio's SDK's words


def arrivals(office: Office) -> Steps:
    """Tasks arrive one by one, at random (a Poisson process)."""
    random, pace = office.random, office.pace
    skills, skill_weights = [skill for _, skill, _ in SKILLS], list(accumulate(share for *_, share in SKILLS))
    languages, language_weights = [name for name, _ in LANGUAGES], list(accumulate(share for _, share in LANGUAGES))
    while True:
        yield random.expovariate(1 / pace.arrival_ms)
        skill = random.choices(skills, cum_weights=skill_weights)[0]
        language = random.choices(languages, cum_weights=language_weights)[0]
        if random.random() < office.voice.share:
            channel, attributes = office.voice, voice_attributes(random, skill or "other", language)
        else:
            channel, attributes = office.chat, chat_attributes(random, skill or "other", language)
        task = _new_task(office, channel, office.targets[skill, language], attributes)
        task.life = office.clock.begin(_journey(office, task))


def _new_task(office: Office, channel: Channel, target: Target, attributes: str) -> Task:
    """Create a task now. Its dates are whole seconds: callbacks are only known to send integers, Twilio's SDK says seconds."""
    created_ms = int(office.clock.now_ms)
    created = str(created_ms // 1000)
    sid = office.sid("WT")
    told = {
        "TaskSid": sid,
        "TaskAttributes": attributes,
        "TaskPriority": "0",
        "TaskAssignmentStatus": PENDING,
        "TaskVersion": "0",
        "TaskDateCreated": created,
        "TaskVirtualStartTime": created,
        "TaskQueueEnteredDate": created,
        "TaskIgnoreCapacity": "false",
        "TaskChannelSid": channel.sid,
        "TaskChannelUniqueName": channel.unique_name,
        "OperatingUnitSid": office.operating_unit_sid,
        **office.workflow_told,
        **target.queue.told,
    }
    return Task(sid, channel, target, created_ms, told)


def _journey(office: Office, task: Task) -> Steps:
    yield from _created(office, task)
    task.gives_up_ms = office.clock.now_ms + office.random.expovariate(1 / (PATIENCE_TURNS * office.pace.turn_ms))
    yield office.pace.latency_ms * (0.5 + office.random.random())
    if office.random.random() < FAILS:
        _fail(office, task)
        return
    reservation = yield from routed(office, task, _targets(office, task))
    if reservation is not None:
        yield from handled(office, reservation)
    elif task.status == PENDING:
        office.say_of_task("workflow.timeout", task, f"timed out of Workflow {office.workflow_told['WorkflowName']}")
        cancel(office, task, "Task canceled on Workflow timeout")


def _created(office: Office, task: Task) -> Steps:
    """Say the creation set, in the recorded order: `workflow.target-matched` is stamped 0 to 1 ms before `task.created`."""
    random, queue = office.random, task.target.queue
    office.say_of_task("workflow.target-matched", task, "matched a workflow target", filter_told(task.target))
    yield float(random.getrandbits(1))
    office.say_of_task("task.created", task, "created")
    office.note("task created", task.sid, task.told["WorkflowSid"], task.channel.sid, str(task.priority))
    if random.random() < 0.3:
        yield 8.0
    office.say_of_task("task-queue.entered", task, f"entered TaskQueue {queue.name}")
    office.note("task entered", task.sid, queue.sid, str(task.priority))
    if random.random() < 0.3:
        yield 1.0
    office.say_of_task("workflow.entered", task, f"entered Workflow {office.workflow_told['WorkflowName']}")


def _targets(office: Office, task: Task) -> Sequence[Target]:
    """List the workflow's steps: skill and language, then the skill, then everyone. Some insist on their language."""
    skill = task.target.queue.skill
    if task.language in NO_OTHER_LANGUAGE:
        return (task.target, office.targets["", task.language])
    return (task.target, office.targets[skill, ANY_LANGUAGE], office.targets["", ANY_LANGUAGE])


def _fail(office: Office, task: Task) -> None:
    """`reservation.failed` names no worker (reference page): none could be reserved."""
    task.changed(CANCELED)
    sid = office.sid("WR")
    told = {"ReservationSid": sid, "Reason": FAILED_REASON}
    office.say("reservation.failed", f"Reservation {sid} failed", ("reservation", sid), task.told, told)
    cancel(office, task, FAILED_REASON)
