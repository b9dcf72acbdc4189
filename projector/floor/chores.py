"""What happens rarely: somebody changes a setting, a worker's attributes, closes a channel, leaves; things are set up and removed."""

from collections.abc import Callable

from projector.floor.clock import Steps
from projector.floor.office import RESOURCES, Office
from projector.floor.shift import describe, say_of_channel, set_capacity
from projector.floor.things import CHAT, Told, channel_told, queue_told

TASKS_PER_CHORE = 20.0
CAPACITIES = (2, 3, 4)  # of chat


def chores(office: Office) -> Steps:
    """One chore after the other, the frequent ones more often."""
    names, weights = list(CHORES), list(CHORES.values())
    while True:
        yield office.random.expovariate(1 / (TASKS_PER_CHORE * office.pace.arrival_ms))
        office.random.choices(names, weights)[0](office)


def _new_attributes(office: Office) -> None:
    worker = office.random.choice(office.workers)
    describe(worker, office.random.choice(("early", "day", "late")))
    worker.changed()
    text = worker.told["WorkerAttributes"]
    office.say_of_worker("worker.attributes.update", worker, f"updated attributes to {text}")


def _new_capacity(office: Office) -> None:
    set_capacity(office, office.random.choice(office.workers), CHAT, office.random.choice(CAPACITIES))


def _closed_channel(office: Office) -> None:
    office.clock.begin(_without_chat(office))


def _without_chat(office: Office) -> Steps:
    """Let a worker take no more chats for a while."""
    worker = office.random.choice(office.workers)
    if CHAT in worker.closed:
        return
    worker.closed.add(CHAT)
    worker.changed()
    say_of_channel(office, "worker.channel.availability.update", worker, CHAT, str(worker.capacity[CHAT]))
    yield office.random.expovariate(1 / (2 * office.pace.turn_ms))
    if worker not in office.workers:
        return
    worker.closed.discard(CHAT)
    worker.changed()
    say_of_channel(office, "worker.channel.availability.update", worker, CHAT, str(worker.capacity[CHAT]))
    office.serve(worker, CHAT)


def _notice(office: Office) -> None:
    """Somebody who is offline and has nothing to do leaves for good: `shift.py` deletes them and employs another."""
    idle = [worker for worker in office.workers if worker.activity is office.offline and not any(worker.load.values())]
    if idle:
        worker = office.random.choice(idle)
        worker.leaving = True
        office.clock.wake(worker.life)


def _edited_workflow(office: Office) -> None:
    office.say_of_thing("workflow.updated", office.workflow_told)


def _edited_workspace(office: Office) -> None:
    office.say_of_thing("workspace.updated", {})


def _spare_activity(office: Office) -> None:
    told = {"ActivitySid": office.sid("WA"), "ActivityName": "Training", "ActivityAvailable": "false"}
    truth = (("Training", ""), ("Coaching", ""))
    office.clock.begin(_spare(office, "activity", told, "updated", told | {"ActivityName": "Coaching"}, truth))


def _spare_channel(office: Office) -> None:
    told = channel_told(office.sid("TC"), f"sms-{office.random.randrange(10_000)}", "SMS")
    office.clock.begin(_spare(office, "task-channel", told, "updated", told | {"TaskChannelOptimizedRouting": "true"}))


def _spare_queue(office: Office) -> None:
    sid, name = office.sid("WQ"), f"Campaign {office.random.randrange(10_000)}"
    told = queue_told(sid, name, "1==1") | {"OperatingUnitSid": office.operating_unit_sid}
    expression = {"TaskQueueTargetExpression": 'routing.skills HAS "sales"'}
    office.clock.begin(_spare(office, "task-queue", told, "expression.updated", told | expression, (("",), ("sales",))))


def _spare_workflow(office: Office) -> None:
    told = {"WorkflowSid": office.sid("WW"), "WorkflowName": "Campaign"}
    office.clock.begin(_spare(office, "workflow", told, "updated", told | {"WorkflowName": "Campaign 2"}))


def _spare(
    office: Office, thing: str, told: Told, changes: str, changed: Told, truth: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
) -> Steps:
    """Something is set up, changed, and removed, and never used in between. `truth`: what the diary is told of it before and after."""
    sid = told[RESOURCES[thing][2]]
    office.say_of_thing(f"{thing}.created", told)
    office.note(f"{thing} created", sid, *truth[0])
    yield office.random.expovariate(1 / office.pace.turn_ms)
    office.say_of_thing(f"{thing}.{changes}", changed)
    office.note(f"{thing} changed", sid, *truth[1])
    yield office.random.expovariate(1 / office.pace.turn_ms)
    office.say_of_thing(f"{thing}.deleted", changed)
    office.note(f"{thing} deleted", sid)


CHORES: dict[Callable[[Office], None], float] = {  # and how often each is done, beside the others
    _new_attributes: 40,
    _closed_channel: 20,
    _new_capacity: 10,
    _notice: 12,
    _edited_workflow: 2,
    _edited_workspace: 2,
    _spare_activity: 2,
    _spare_channel: 2,
    _spare_queue: 4,
    _spare_workflow: 2,
}
