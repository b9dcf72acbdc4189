"""Random histories for the laws: few units, few moments, so that ties, gaps and contradictions are common."""

from typing import Any

from hypothesis import strategies as st

from projector.taskrouter.event_types import EVENT_TYPES
from tests.given import Parameters, callback, sid

# Moments in seconds: a handful, so that milliseconds tie; one from before, one from the future of the receipt (3600 s).
MOMENTS = st.sampled_from([0, 1, 1, 1.001, 2, 2, 3, 5, 8, 8.5, 9, -3, 9000])
ATTRIBUTES = st.sampled_from(["{}", '{"a":1}', '{"a": 1}', "{broken", '{"b":"x\\/y"}'])
STATUSES = st.sampled_from(["pending", "reserved", "assigned", "wrapping", "completed", "canceled", "transferring"])
NAMES = st.sampled_from(["One", "Two", "Ünï", "Drei\x00"])


def sids(prefix: str, *names: str) -> st.SearchStrategy[str]:
    return st.sampled_from([sid(prefix, name) for name in names])


OPTIONAL: dict[str, st.SearchStrategy[str]] = {
    "TaskSid": sids("WT", "t1", "t2"), "ReservationSid": sids("WR", "r1", "r2", "r3"), "WorkerSid": sids("WK", "ann", "bob"),
    "TaskQueueSid": sids("WQ", "q1", "q2"), "WorkflowSid": sids("WW", "main"), "TaskChannelSid": sids("TC", "voice", "chat"),
    "ActivitySid": sids("WA", "idle", "busy"), "WorkerActivitySid": sids("WA", "idle", "busy"),
    "TaskQueueName": NAMES, "WorkerName": NAMES, "ActivityName": NAMES, "TaskChannelUniqueName": NAMES, "WorkflowName": NAMES,
    "WorkerActivityName": NAMES, "TaskQueueTargetExpression": NAMES,
    "TaskAttributes": ATTRIBUTES, "WorkerAttributes": ATTRIBUTES, "TaskAssignmentStatus": STATUSES,
    "TaskPriority": st.sampled_from(["0", "5", "high"]), "TaskVersion": st.sampled_from(["1", "2", "3", ""]),
    "WorkerVersion": st.sampled_from(["1", "2", "x"]), "Reason": NAMES, "TaskIgnoreCapacity": st.sampled_from(["true", "0"]),
    "TaskQueueEnteredDate": st.sampled_from(["1770000001", "1770000002500", "never"]),
    "WorkerChannelAvailable": st.sampled_from(["1", "false"]), "WorkerChannelAvailableCapacity": st.sampled_from(["1", "66", "-1"]),
    "WorkerChannelCapacity": st.sampled_from(["2", "3"]), "ActivityAvailable": st.sampled_from(["true", "false"]),
    "OperatingUnitSid": sids("OU", "one"),
}  # fmt: skip
ALWAYS = ("TaskSid", "WorkerSid", "TaskQueueSid", "WorkflowSid", "TaskChannelSid", "ActivitySid", "ReservationSid")
EVENTS = st.sampled_from(
    [*EVENT_TYPES, *(name for name in EVENT_TYPES if name.startswith(("reservation", "task.", "worker"))), "task.invented"]
)


@st.composite
def callbacks(draw: Any) -> Parameters:
    """One callback, most of the time naming everything it could."""
    said = {name: draw(OPTIONAL[name]) for name in ALWAYS if draw(st.integers(0, 9)) > 0}
    for name in draw(st.lists(st.sampled_from([name for name in OPTIONAL if name not in ALWAYS]), max_size=8, unique=True)):
        said[name] = draw(OPTIONAL[name])
    event_type, at = draw(EVENTS), draw(MOMENTS)
    # The number keeps two alike callbacks apart: two facts, two Sids.
    return callback(event_type, at, **said, Sid=sid("EV", repr((event_type, at, sorted(said.items()), draw(st.integers(0, 3))))))


def histories(min_size: int = 1, max_size: int = 14) -> st.SearchStrategy[list[Parameters]]:
    """A set of callbacks, in some order."""
    return st.lists(callbacks(), min_size=min_size, max_size=max_size, unique_by=lambda body: body["Sid"])


@st.composite
def arrivals(draw: Any, history: list[Parameters]) -> list[list[Parameters]]:
    """The same callbacks as they may arrive: shuffled, some more than once, in batches."""
    again = draw(st.lists(st.sampled_from(history), max_size=5))
    shuffled = draw(st.permutations(history + again))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=4)) | {len(shuffled)})
    return [list(shuffled[start:end]) for start, end in zip([0, *cuts], cuts, strict=False)]
