"""What TaskRouter tells us, and what it means. Pure: no database, no HTTP, no clock, no logging.

The words are TaskRouter's own:

*Callback*: one event TaskRouter posted, a flat set of text parameters (`callback.py`).
*Unit*: what is folded together because nothing outside it is needed: a task with its reservations, a worker with
its channels, or one activity, task queue, workflow, task channel, workspace (`fold.py`).
*evolve*: `evolve(state, callback) -> state`, one per entity file, total: it never raises, whatever a callback holds.
*Mention*: what a callback of one unit says in passing about another: that it exists, and its name (`mention.py`).

Imports go from the entity files to `callback.py` and `head.py`, never from one entity to another.
"""
