"""Whole lives in TaskRouter's words, nothing left out: what the gap ledger is shown with one callback missing."""

from tests.given import (
    Parameters,
    callback,
    ms,
    reservation,
    sid,
    task,
    task_canceled,
    task_completed,
    task_created,
    worker,
)

SALES = {"TaskQueueSid": sid("WQ", "sales"), "TaskQueueName": "Sales"}
WAITS, HELD, WRAPS, GONE, DONE = (
    {"TaskAssignmentStatus": status} for status in ("pending", "assigned", "wrapping", "canceled", "completed")
)


def born() -> list[Parameters]:
    """A task's creation set, into queue Support."""
    return [
        task("workflow.target-matched", 0, **WAITS), task_created(0.001), task("task-queue.entered", 0.001, **WAITS),
        task("workflow.entered", 0.002, **WAITS),
    ]  # fmt: skip


def ended(by: str, at: float, **told: str) -> list[Parameters]:
    """It wraps up and is completed by the reservation of this name."""
    return [
        reservation("wrapup", at, by, **told), task("task.wrapup", at, **WRAPS | told),
        reservation("completed", at + 5, by, **DONE | told), task_completed(at + 5.001, **told),
    ]  # fmt: skip


def through_two_queues() -> list[Parameters]:
    """Nobody takes it in time: on into the next queue, offered in vain twice, then to two workers at once."""
    return [
        *born(), task("task-queue.timeout", 20, **WAITS), task("workflow.skipped", 20, **WAITS), task("task-queue.moved", 20.001, **WAITS),
        task("workflow.target-matched", 20.002, **WAITS | SALES), task("task-queue.entered", 20.002, **WAITS | SALES),
        reservation("created", 21, "r1", **SALES), reservation("rejected", 22, "r1", **SALES),
        reservation("created", 23, "r2", **SALES), reservation("timeout", 30, "r2", **SALES),
        reservation("created", 31, "r3", **SALES), reservation("created", 31, "r4", worker="bob", **SALES),
        reservation("accepted", 33, "r3", **SALES), reservation("rescinded", 33, "r4", worker="bob", **HELD | SALES),
        task("task.updated", 40, **HELD | SALES), reservation("updated", 41, "r3", **HELD | SALES), *ended("r3", 50, **SALES),
        task("task.system-deleted", 400, **DONE | SALES),
    ]  # fmt: skip


def moved(at: float) -> list[Parameters]:
    """Out of queue Support, nobody having taken it in time, into queue Sales."""
    left = [task("task-queue.timeout", at, **WAITS), task("task-queue.moved", at + 0.001, **WAITS)]
    return [
        *left,
        task("workflow.target-matched", at + 0.002, **WAITS | SALES),
        task("task-queue.entered", at + 0.002, **WAITS | SALES),
    ]


def given_up() -> list[Parameters]:
    """On into the next queue, where whoever waits hangs up."""
    return [*born(), *moved(20), task_canceled(50, **SALES)]


def taken_at_once() -> list[Parameters]:
    """On into the next queue, where somebody is free."""
    offers = [reservation("created", 20.148, "r1", **SALES), reservation("accepted", 21, "r1", **SALES)]
    return [*born(), *moved(20), *offers, *ended("r1", 30, **SALES)]


def sent_on() -> list[Parameters]:
    """Into the next queue by its workflow, with no timeout told; then out of that one by a timeout that alone is told."""
    back = {"TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Support"}
    return [
        *born(), task("task-queue.moved", 20, **WAITS), task("task-queue.entered", 20.001, **WAITS | SALES),
        task("task-queue.timeout", 30, **WAITS | SALES), task("task-queue.entered", 30.001, **WAITS | back),
        reservation("created", 33, "r1"), reservation("accepted", 34, "r1"), *ended("r1", 50),
    ]  # fmt: skip


def called_off() -> list[Parameters]:
    """Whoever waits hangs up while it is offered."""
    return [*born(), reservation("created", 5, "r1"), reservation("canceled", 8, "r1", **GONE), task_canceled(8)]


def timed_out() -> list[Parameters]:
    """Nobody takes it at all."""
    ends = [task("workflow.timeout", 60, **WAITS), task("workflow.rejected", 60, **WAITS), task_canceled(60)]
    return [*born(), task("task-queue.timeout", 60, **WAITS), *ends]


def not_reserved() -> list[Parameters]:
    """No worker could be reserved."""
    return [*born(), task("reservation.failed", 3, ReservationSid=sid("WR", "r1"), **GONE), task_canceled(3)]


def removed() -> list[Parameters]:
    """Deleted by the API while it waits."""
    return [*born(), task("task.deleted", 9, **WAITS)]


def handed_on() -> list[Parameters]:
    """Cold, into another queue: whoever held it wraps up beside."""
    return [
        *born(), reservation("created", 1, "r1"), reservation("accepted", 2, "r1"), task("task.transfer-initiated", 10, **WAITS),
        reservation("wrapup", 10, "r1", **WAITS), task("task-queue.entered", 10.001, **WAITS | SALES),
        reservation("created", 11, "r2", worker="bob", **SALES), reservation("accepted", 13, "r2", worker="bob", **SALES),
        task("task.transfer-completed", 13, **HELD | SALES), reservation("completed", 15, "r1", **HELD | SALES), *ended("r2", 30, **SALES),
    ]  # fmt: skip


def kept() -> list[Parameters]:
    """Warm, to a worker who does not want it, and to one from whom it is withdrawn; it stays whose it was."""
    failed = [task("task.transfer-attempt-failed", 12, **HELD), task("task.transfer-failed", 12.001, **HELD)]
    return [
        *born(), reservation("created", 1, "r1"), reservation("accepted", 2, "r1"), task("task.transfer-initiated", 10, **WAITS),
        reservation("created", 11, "r2", worker="bob"), reservation("rejected", 12, "r2", worker="bob", **HELD), *failed,
        task("task.updated", 12.002, **HELD), task("task.transfer-initiated", 20, **WAITS),
        reservation("created", 21, "r3", worker="bob"), reservation("canceled", 22, "r3", worker="bob", **HELD),
        task("task.transfer-canceled", 22.001, **HELD), *ended("r1", 30),
    ]  # fmt: skip


def adopted() -> list[Parameters]:
    """A task that REST showed assigned; callbacks tell the rest."""
    shown = {"TaskAssignmentStatus": "assigned", "TaskDateCreated": str(ms(0)), "TaskQueueEnteredDate": str(ms(0))}
    offer = {
        "ReservationSid": sid("WR", "r1"),
        "TaskSid": sid("WT", "t"),
        "WorkerSid": sid("WK", "ann"),
        "ReservationStatus": "accepted",
    }
    return [task("task.observed", 5.999, **shown), callback("reservation.observed", 5.999, **offer), *ended("r1", 9)]


def at_work() -> list[Parameters]:
    """A worker's day, with an offer in it."""
    voice = {"TaskChannelSid": sid("TC", "voice"), "WorkerChannelAvailable": "true", "WorkerChannelAvailableCapacity": "1"}
    offered = reservation("created", 42, "r1", WorkerActivitySid=sid("WA", "Idle"))
    return [
        worker("created", 0, activity="Offline"), worker("capacity.update", 0.5, activity="Offline", **voice),
        worker("channel.availability.update", 0.6, activity="Offline", **voice), *moves("Offline", "Busy", 30, 30),
        worker("attributes.update", 35, activity="Busy"), *moves("Busy", "Idle", 40, 10), *born(), offered,
        reservation("rejected", 44, "r1"), task_canceled(50), *moves("Idle", "Offline", 60, 20), worker("deleted", 70, activity="Offline"),
    ]  # fmt: skip


def on_call() -> list[Parameters]:
    """A worker who came back a while ago, and is offered something."""
    offers = [reservation("created", 42, "r1"), reservation("accepted", 43, "r1")]
    return [worker("created", 0, activity="Offline"), *moves("Offline", "Idle", 30, 30), *born(), *offers, *ended("r1", 50)]


def moves(before: str, after: str, at: float, spent: float) -> list[Parameters]:
    """One activity update, which says what it ends."""
    told = {"WorkerPreviousActivitySid": sid("WA", before), "WorkerTimeInPreviousActivityMs": str(round(spent * 1000))}
    return [worker("activity.update", at, activity=after, **told)]


def seen() -> list[Parameters]:
    """A worker as REST shows it, which moves on."""
    who = {"WorkerSid": sid("WK", "ann"), "WorkerName": "ann"}
    idle = {"WorkerActivitySid": sid("WA", "Idle"), "WorkerActivityName": "Idle"}
    return [
        callback("worker.observed", 9.999, DateCreated=str(ms(0)), **who), callback("worker.activity.observed", 5.999, **who | idle),
        callback("worker.channel.observed", 5.999, TaskChannelSid=sid("TC", "voice"), WorkerChannelConfiguredCapacity="1", **who),
        *moves("Idle", "Busy", 30, 24.5),
    ]  # fmt: skip


def set_up() -> list[Parameters]:
    """Everything else is made, changed, shown by REST and removed."""
    things = {
        "activity": ("updated", {"ActivitySid": sid("WA", "Idle"), "ActivityName": "Idle"}),
        "task-channel": ("updated", {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}),
        "task-queue": ("expression.updated", {"TaskQueueSid": sid("WQ", "support"), "TaskQueueName": "Support"}),
        "workflow": ("updated", {"WorkflowSid": sid("WW", "main"), "WorkflowName": "Main"}),
        "workspace": ("updated", {}),
    }
    told = []
    for thing, (changes, named) in things.items():
        for at, what in enumerate(("created", changes, "observed", "deleted")):
            told.append(callback(f"{thing}.{what}", at, **named))
    return [*told, callback("task-queue.updated", 1.5, **things["task-queue"][1])]


LIVES = (
    through_two_queues, given_up, taken_at_once, sent_on, called_off, timed_out, not_reserved, removed, handed_on, kept, adopted, at_work, on_call, seen, set_up,
)  # fmt: skip
