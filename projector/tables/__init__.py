"""Every table that readers may use, and the loop's own: each column with its meaning.

    columns.py    what columns are made of
    current.py    one row for each entity, as it is now
    history.py    spans that ended because another began, gaps, stated capacities
    views.py      the history by its public names, whole, and the floor now: `worker_activity_span`, `queue_now`, …
                  their selects: spans.py, hourly.py, now.py, intervals.py
    reporting.py  schema `reporting` of PostgreSQL: the same for readers, by grant
    document.py   docs/tables.md
    operating.py  the loop's own: the only ones that may know how things arrived

`FOLDED` is what a rebuild makes anew; `projection` alone stays.
"""

from projector.tables.columns import SID, Instant, epoch_ms, iso, metadata
from projector.tables.current import (
    CURRENT,
    RESERVATION_ENDED,
    TASK_ENDED,
    TASK_QUIET,
    activity,
    reservation,
    task,
    task_channel,
    task_queue,
    worker,
    worker_channel,
    workflow,
    workspace,
)
from projector.tables.history import (
    HISTORY,
    PAST,
    gap_told,
    reservation_status_span_past,
    stated_capacity,
    task_queue_span_past,
    task_status_span_past,
    worker_activity_span_past,
    worker_attributes_span_past,
    worker_channel_span_past,
)
from projector.tables.operating import checkpoint, event_type_count, incomplete_unit, projection

FOLDED = (*CURRENT, *HISTORY, checkpoint, incomplete_unit, event_type_count)

__all__ = [
    "CURRENT", "FOLDED", "HISTORY", "PAST", "RESERVATION_ENDED", "SID", "TASK_ENDED", "TASK_QUIET",
    "Instant",
    "activity", "checkpoint", "epoch_ms", "event_type_count", "gap_told", "incomplete_unit", "iso", "metadata", "projection", "reservation",
    "reservation_status_span_past", "stated_capacity", "task", "task_channel", "task_queue", "task_queue_span_past",
    "task_status_span_past", "worker", "worker_activity_span_past", "worker_attributes_span_past", "worker_channel",
    "worker_channel_span_past", "workflow", "workspace",
]  # fmt: skip
