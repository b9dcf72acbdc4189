"""The log: every callback once, in the order of its arrival, for ever.

`append` is durable when it returns; `read` goes forward from a position; `history` gives one unit's callbacks. One
module per database, each over `eventsourcing`'s application recorder: the same table, two columns more (`unit`, `at_ms`),
which are filled at append and never change. Nothing here updates or deletes a stored callback.
"""

from projector.log.entry import Entry, Log, Outcome, Rejected, Stored
from projector.log.open import open_log
from projector.log.writer import GroupCommit

__all__ = ["Entry", "GroupCommit", "Log", "Outcome", "Rejected", "Stored", "open_log"]
