"""From a queue to a worker: waiting, offers and their answers, the next queue, and giving up."""

from collections.abc import Generator, Sequence
from typing import TypeAlias

from projector.floor.office import Office
from projector.floor.shift import miss
from projector.floor.things import ASSIGNED, CANCELED, DELETED, PENDING, RESERVED, Reservation, Target, Task, Told, Worker

Taking: TypeAlias = Generator[
    float, None, Reservation | None
]  # steps, and at the end the reservation that was accepted, if one was

ACCEPTED, REJECTED, TIMEOUT, WITHDRAWN = "accepted", "rejected", "timeout", "withdrawn"
CALLER, TRANSFEROR = "caller", "transferor"  # who may withdraw an offer

REJECTS, MISSES = 0.05, 0.025  # of the offers
WITHDRAWS = {CALLER: 0.02, TRANSFEROR: 0.1}  # of the offers
SEVERAL, SEVERAL_WORKERS = 0.03, 3  # offers to several workers at once (MaxReservedWorkers)
RING_SHARE, RING_MAX_MS = 0.08, 8_000.0  # until an answer: of the whole handling time
RING_TIMEOUT_MAX_MS = 120_000.0  # Twilio's default of a reservation's timeout
TARGET_TIMEOUT_TURNS, PATIENCE_TURNS = 0.6, 4.0  # in tasks' time of one worker
SKIPS, DELETES = 0.02, 0.04  # of the timeouts skip forward; of the abandoned tasks are deleted instead of canceled


def routed(
    office: Office, task: Task, targets: Sequence[Target], but_for: Worker | None = None, withdraws: str = CALLER
) -> Taking:
    """Through the targets until a worker accepts. If none does, the task is over (hung up), its transferor's again, or pending.

    `but_for` is who transfers the task: these are attempts of a transfer then, and others are asked first. `withdraws` is
    who may call an offer off.
    """
    for number, target in enumerate(targets):
        if number:
            yield from timed_out(office, task, target)
        until_ms = office.clock.now_ms + TARGET_TIMEOUT_TURNS * office.pace.turn_ms
        refused = but_for
        while workers := (yield from _found(office, task, target, until_ms, refused)):
            taken = yield from offered(office, task, workers, withdraws)
            if taken is not None or task.status != PENDING:
                return taken
            if but_for is not None:
                still = {"TransferStatus": "initiated"}
                office.say_of_task("task.transfer-attempt-failed", task, "transfer attempt failed", still)
            refused = workers[-1]
        if office.clock.now_ms >= task.gives_up_ms:
            hang_up(office, task)
            return None
    return None


def _found(
    office: Office, task: Task, target: Target, until_ms: float, but_for: Worker | None
) -> Generator[float, None, list[Worker]]:
    """Workers for the task, at once or by waiting for one; none when time or patience is over."""
    count = SEVERAL_WORKERS if office.random.random() < SEVERAL else 1
    workers = office.find(task, target, count, but_for)
    if workers:
        return workers
    office.join_line(task, target)
    yield max(0.0, min(until_ms, task.gives_up_ms) - office.clock.now_ms)
    worker = office.leave_line(task)
    return [] if worker is None else [worker]


def offered(office: Office, task: Task, workers: Sequence[Worker], withdraws: str) -> Taking:
    """One reservation each; the first yes has the task and the others are rescinded. `withdraws` is who may call it off."""
    pending = _reserved(office, task, workers)
    elapsed_ms = 0.0
    for after_ms, answer, reservation in _answers(office, pending, WITHDRAWS[withdraws]):
        yield after_ms - elapsed_ms
        elapsed_ms = after_ms
        if answer == WITHDRAWN:
            _withdrawn(office, task, pending, withdraws)
            return None
        pending.remove(reservation)
        if answer == ACCEPTED:
            _accepted(office, reservation, pending)
            return reservation
        office.turn(task, RESERVED if pending else PENDING)
        office.note(f"reservation {answer}", reservation.sid)
        office.say_of_reservation(f"reservation.{answer}", reservation, "timed out" if answer == TIMEOUT else answer)
        if answer == TIMEOUT:
            miss(office, reservation.worker)  # before the release: who has just missed one is not offered the next
        office.release(reservation)
    return None


def _reserved(office: Office, task: Task, workers: Sequence[Worker]) -> list[Reservation]:
    office.turn(task, RESERVED)
    reservations = [Reservation(office.sid("WR"), task, worker) for worker in workers]
    for reservation in reservations:
        reservation.worker.changed()
        office.note("reservation created", reservation.sid, task.sid, reservation.worker.sid, task.target.queue.sid)
        office.say_of_reservation("reservation.created", reservation, "created")
    return reservations


def _answers(office: Office, reservations: Sequence[Reservation], withdrawals: float) -> list[tuple[float, str, Reservation]]:
    """Draw what each worker will say and after how long, in that order; whoever withdraws does it before everyone has answered."""
    random = office.random
    ring_ms = min(RING_MAX_MS, RING_SHARE * office.pace.handle_ms(reservations[0].task.channel))
    timeout_ms = min(RING_TIMEOUT_MAX_MS, 5 * ring_ms)
    answers = []
    for reservation in reservations:
        chance = random.random()
        answer = TIMEOUT if chance < MISSES else REJECTED if chance < MISSES + REJECTS else ACCEPTED
        after_ms = timeout_ms if answer == TIMEOUT else min(random.expovariate(1 / ring_ms), timeout_ms)
        answers.append((after_ms, answer, reservation))
    if random.random() < withdrawals:
        answers.append((random.random() * answers[0][0], WITHDRAWN, reservations[0]))
    if len(answers) > 1:
        answers.sort(key=_after_ms)
    return answers


def _after_ms(answer: tuple[float, str, Reservation]) -> float:
    return answer[0]


def _accepted(office: Office, reservation: Reservation, siblings: Sequence[Reservation]) -> None:
    task = reservation.task
    office.turn(task, ASSIGNED)
    office.note("reservation accepted", reservation.sid)
    task.holders += 1
    office.say_of_reservation("reservation.accepted", reservation, "accepted")
    for sibling in siblings:
        office.note("reservation rescinded", sibling.sid)
        office.say_of_reservation("reservation.rescinded", sibling, "rescinded")
        office.release(sibling)


def _withdrawn(office: Office, task: Task, pending: Sequence[Reservation], who: str) -> None:
    """Call the offer off. The caller hangs up: the task is canceled. The transferor thinks better of it: it is theirs again (assigned: Twilio's SDK)."""
    if who == CALLER:
        task.changed(CANCELED)
    else:
        office.turn(task, ASSIGNED)
    code = {"CanceledReasonCode": "1001"} if who == CALLER else {}
    for reservation in pending:
        office.note("reservation canceled", reservation.sid)
        office.say_of_reservation("reservation.canceled", reservation, "canceled", code)
        office.release(reservation)
    if who == CALLER:
        _say_canceled(office, task, "hangup")


def cancel(office: Office, task: Task, reason: str) -> None:
    """End a task that nobody has."""
    task.changed(CANCELED)
    _say_canceled(office, task, reason)


def _say_canceled(office: Office, task: Task, reason: str) -> None:
    office.note("task canceled", task.sid, reason)
    office.say_of_task("task.canceled", task, f"canceled due to {reason}", {"Reason": reason, "TaskCanceledReason": reason})


def hang_up(office: Office, task: Task) -> None:
    """Whoever waits gives up. Some applications delete the task then, by the API, instead of canceling it."""
    if office.random.random() < DELETES:
        task.changed()
        task.status = DELETED
        office.note("task deleted", task.sid)
        office.say_of_task("task.deleted", task, "deleted")
    else:
        cancel(office, task, "hangup")


def timed_out(office: Office, task: Task, target: Target) -> Generator[float, None, None]:
    """Leave the workflow's target, which has timed out: on to the next one, with more priority."""
    office.say_of_task("task-queue.timeout", task, f"timed out of TaskQueue {task.target.queue.name}")
    if office.random.random() < SKIPS:
        office.say_of_task("workflow.skipped", task, f"skipped a step of Workflow {office.workflow_told['WorkflowName']}")
    task.priority += 10
    yield from moved(office, task, target, TaskPriority=str(task.priority))
    office.say_of_task("workflow.target-matched", task, "matched a workflow target", filter_told(target))
    office.say_of_task("task-queue.entered", task, f"entered TaskQueue {target.queue.name}")


def moved(office: Office, task: Task, target: Target, **told: str) -> Generator[float, None, None]:
    """Out of its queue, and a moment later in another one, which it has not yet told of."""
    office.say_of_task("task-queue.moved", task, f"moved from TaskQueue {task.target.queue.name}")
    yield 1.0
    task.target = target
    entered = str(int(office.clock.now_ms) // 1000)
    task.changed(None, TaskQueueEnteredDate=entered, **target.queue.told, **told)
    office.note("task entered", task.sid, target.queue.sid, str(task.priority))


def filter_told(target: Target) -> Told:
    """Parameters that `workflow.target-matched` adds (recorded 2018): which filter, and what it asks of task and worker."""
    skill = target.queue.skill
    told = {
        "WorkflowFilterName": skill or "everyone",
        "WorkflowFilterExpression": f"[\"skill=='{skill}'\"]" if skill else '["1==1"]',
    }
    return told | ({"WorkflowFilterTargetExpression": "worker.languages HAS task.language"} if target.language else {})
