"""Moments as people write them, and what the log held at a time."""

from datetime import UTC, datetime, timedelta

from projector.errors import Unanswerable
from projector.log import Log
from projector.log.entry import recorded_ms
from projector.taskrouter.text import EARLIEST_MS, LATEST_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str) -> int:
    """ISO 8601 (without a zone: UTC) or epoch milliseconds, as epoch milliseconds. Raises `Unanswerable`."""
    try:
        ms = int(text) if text.strip().isdecimal() else iso_ms(text.strip())
    except (ValueError, OverflowError):
        ms = None
    if ms is None or not EARLIEST_MS <= ms <= LATEST_MS:
        raise Unanswerable(
            f"{text!r} is no moment since 2000. Write it as 2026-03-01T10:42:00Z (without a zone it is UTC) or in epoch milliseconds."
        )
    return ms


def iso_ms(text: str) -> int:
    """ISO 8601 (without a zone: UTC) as epoch milliseconds. Raises `ValueError`."""
    told = datetime.fromisoformat(text)
    return ((told if told.tzinfo else told.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


def position_at(log: Log, known_ms: int) -> int:
    """The last position of the log that had arrived by then; 0 for none.

    Receipts never go back along the log, so it is found by halving: some twenty reads for a million callbacks. Positions may
    have gaps; `read` finds the next one.
    """
    known, beyond = 0, log.end() + 1
    while known + 1 < beyond:
        middle = (known + beyond) // 2
        found = log.read(middle - 1, 1)  # the first at `middle` or after it
        if found and recorded_ms(found[0].state) <= known_ms:
            known = found[0].position
        else:
            beyond = middle
    return known
