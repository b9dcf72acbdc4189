"""What a worker does with a task: talk, note, hand it on, wrap up."""

import math

from projector.floor.attributes import with_outcome
from projector.floor.clock import Steps
from projector.floor.office import Office
from projector.floor.routing import CALLER, PATIENCE_TURNS, TRANSFEROR, Taking, cancel, moved, offered, routed
from projector.floor.things import ANY_LANGUAGE, ASSIGNED, COMPLETED, DELETED, OVER, PENDING, WRAPPING, Reservation, Target, Told

TALK_SHARE, WRAP_SHARE = 0.74, 0.18  # of the whole handling time; the rest is ringing (`routing.RING_SHARE`)
NOTES, TRANSFERS, PURGES = 0.15, 0.05, 0.0005  # of the tasks: attributes updated, handed on, deleted by the system
WRAPS = 0.9  # of the reservations
UPDATES_AFTERWARDS = 0.3  # of the completed tasks (seen in a listing of 2026)
COLD, TO_WORKER = 0.5, 0.5  # of the transfers


def handled(office: Office, reservation: Reservation) -> Steps:
    """From the worker's yes to the end of the task, through as many hands as it takes."""
    random, task = office.random, reservation.task
    talk_ms = random.gammavariate(2.0, TALK_SHARE * office.pace.handle_ms(task.channel) / 2)
    chance = random.random()
    if chance < NOTES + TRANSFERS:
        yield talk_ms / 2
        talk_ms /= 2
        if chance < NOTES:
            task.changed(TaskAttributes=with_outcome(task.told["TaskAttributes"], "noted"))
            office.say_of_task("task.updated", task, "updated")
        else:
            holder = yield from _transferred(office, reservation)
            if holder is None:
                return
            reservation = holder
    yield talk_ms
    if task.holders == 1 and random.random() < PURGES:
        _purge(office, reservation)
    else:
        yield from closed(office, reservation)


def _purge(office: Office, reservation: Reservation) -> None:
    """TaskRouter removes tasks that were assigned too long; their reservations end without a word."""
    task = reservation.task
    task.changed()
    task.status = DELETED
    office.note("task deleted", task.sid)
    office.release(reservation)
    office.say_of_task("task.system-deleted", task, "deleted by the system")


def closed(office: Office, reservation: Reservation) -> Steps:
    """End a worker's part: wrap-up, mostly, and completion. The task wraps up when all that hold it do, and completes with the last."""
    task = reservation.task
    if office.random.random() < WRAPS:
        task.wrapping += 1
        wraps = task.wrapping == task.holders and not task.transferring and task.status not in OVER
        task.changed(WRAPPING if wraps else None)
        office.note("reservation wrapup", reservation.sid)
        office.say_of_reservation("reservation.wrapup", reservation, "wrapup")
        if wraps:
            office.note("task turned", task.sid, WRAPPING)
            office.say_of_task("task.wrapup", task, "wrapup")
        yield office.random.expovariate(1 / (WRAP_SHARE * office.pace.handle_ms(task.channel)))
        task.wrapping -= 1
    task.holders -= 1
    completes = task.holders == 0 and not task.transferring and task.status not in OVER
    task.changed(COMPLETED if completes else None)
    reservation.worker.changed()
    office.release(reservation)
    office.note("reservation completed", reservation.sid)
    office.say_of_reservation("reservation.completed", reservation, "completed")
    if completes:
        yield from _completed(office, reservation)


def _completed(office: Office, reservation: Reservation) -> Steps:
    """`task.completed` carries the worker but not the reservation (recorded); a `task.updated` may follow in the same second."""
    task = reservation.task
    yield float(office.random.getrandbits(1))
    office.note("task completed", task.sid)
    reason = {"Reason": "All reservations were completed", "TaskCompletedReason": "All reservations were completed"}
    office.say_of_task("task.completed", task, "completed", reservation.worker.told, reason)
    if office.random.random() < UPDATES_AFTERWARDS:
        yield office.random.random() * max(0.0, 999 - office.clock.now_ms % 1000)
        task.changed(TaskAttributes=with_outcome(task.told["TaskAttributes"], "resolved"))
        office.say_of_task("task.updated", task, "updated")


def _transferred(office: Office, giver: Reservation) -> Taking:
    """Hand a task on, cold (the giver leaves at once) or warm (the giver stays until it is taken), to a worker or a queue.

    The sequences are those of Twilio's SDK's integration tests. Whoever holds it afterwards; nobody when it is over.
    """
    task, random = giver.task, office.random
    cold = random.random() < COLD
    workers = []
    if random.random() < TO_WORKER:
        workers = office.find(task, office.targets["", ANY_LANGUAGE], 1, giver.worker)
    target = office.targets[random.choice(office.queues).skill, ANY_LANGUAGE]
    told = _transfer_told(office, giver, cold=cold, to=("WORKER", workers[0].sid) if workers else ("QUEUE", target.queue.sid))
    task.transferring = True
    office.turn(task, PENDING)
    office.say_of_task("task.transfer-initiated", task, "transfer initiated", told)
    if cold:
        office.clock.begin(closed(office, giver))
    if workers:
        taken = yield from offered(office, task, workers, CALLER if cold else TRANSFEROR)
    else:
        taken = yield from _to_queue(office, giver, target, cold=cold)
    task.transferring = False
    if taken is not None:
        office.say_of_task("task.transfer-completed", task, "transfer completed", told | {"TransferStatus": "complete"})
        if not cold:
            office.clock.begin(closed(office, giver), random.random() * office.pace.latency_ms)
        return taken
    return _kept(office, giver, told, cold=cold)


def _to_queue(office: Office, giver: Reservation, target: Target, *, cold: bool) -> Taking:
    """Into another queue. In a warm transfer nobody hangs up: the caller is with the giver."""
    task = giver.task
    patience_ms = office.random.expovariate(1 / (PATIENCE_TURNS * office.pace.turn_ms))
    task.gives_up_ms = office.clock.now_ms + patience_ms if cold else math.inf
    yield from moved(office, task, target)
    office.say_of_task("task-queue.entered", task, f"entered TaskQueue {target.queue.name}")
    yield office.pace.latency_ms
    return (yield from routed(office, task, [target], giver.worker, CALLER if cold else TRANSFEROR))


def _kept(office: Office, giver: Reservation, told: Told, *, cold: bool) -> Reservation | None:
    """Nobody took it. Warm: it is the giver's again. Cold: the giver is gone, so it is canceled, if it is not over yet."""
    task = giver.task
    if not cold and task.status == ASSIGNED:
        office.say_of_task("task.transfer-canceled", task, "transfer canceled", told | {"TransferStatus": "canceled"})
        return giver
    reason = "Transfer failed because the Worker it was transferred to rejected or the Task was canceled"
    failed = told | {"TransferStatus": "failed", "TransferFailedReason": reason}
    if cold:
        if task.status not in OVER:
            cancel(office, task, "hangup")
        office.say_of_task("task.transfer-failed", task, "transfer failed", failed)
        return None
    office.turn(task, ASSIGNED)
    office.say_of_task("task.transfer-failed", task, "transfer failed", failed)
    office.say_of_task("task.updated", task, "updated")
    return giver


def _transfer_told(office: Office, giver: Reservation, *, cold: bool, to: tuple[str, str]) -> Told:
    """Parameters that tell of a transfer. Only snake_case names of it are public; these are their mechanical spelling."""
    return {
        "TaskTransferSid": office.sid("TT"),
        "TransferMode": "COLD" if cold else "WARM",
        "TransferType": to[0],
        "TransferTo": to[1],
        "TransferStatus": "initiated",
        "TransferInitiatingReservationSid": giver.sid,
        "TransferInitiatingWorkerSid": giver.worker.sid,
    }
