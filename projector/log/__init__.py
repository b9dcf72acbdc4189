"""The log: every callback once, in the order of its arrival, for ever.

`append` is durable when it returns; `read` goes forward from a position; `history` gives one unit's callbacks; `latest` and
`earliest` go by event time. One module per database, each over `eventsourcing`'s application recorder: the same table, two
columns more (`unit`, `at_ms`), which are filled at append and never change. Nothing here updates or deletes a stored callback.
"""

from projector.log.entry import EVERY_UNIT, FEEDS, Entry, Log, Mark, Outcome, Place, Rejected, Stored, Tally, Timed, Units
from projector.log.open import open_log
from projector.log.writer import GroupCommit

__all__ = [
    "EVERY_UNIT", "FEEDS", "Entry", "GroupCommit", "Log", "Mark", "Outcome", "Place", "Rejected", "Stored", "Tally", "Timed", "Units", "open_log",
]  # fmt: skip
