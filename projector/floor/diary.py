"""What truly happens on a floor, told by nobody: facts noted where things happen, for who checks what is worked out from callbacks.

    task          created (workflow, channel, priority)   entered (queue, priority)   turned (status)
                  completed   canceled (reason)   deleted
    reservation   created (task, worker, queue)   accepted   rejected   timeout   canceled   rescinded   wrapup   completed
    worker        hired (skills)   entered (activity)   deleted
    task-queue    created (skill)   changed (skill)   deleted
    activity      created (name, `available` or nothing)   changed (the same)   deleted

Brackets hold what a fact is about. What is in no bracket follows from the facts before.
"""

from typing import NamedTuple, TypeAlias


class Fact(NamedTuple):
    """Something happened to somebody; `about` is what stands in brackets above, as Sids where there are some."""

    at_ms: int
    what: str  # "task created"
    sid: str
    about: tuple[str, ...]


Diary: TypeAlias = list[Fact]
