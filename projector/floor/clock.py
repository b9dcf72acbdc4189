"""Lives that take turns on a simulated clock: the discrete-event simulation under the floor, with no word of TaskRouter in it."""

import heapq
from collections.abc import Generator
from typing import TypeAlias

Steps: TypeAlias = Generator[float, None, None]  # what is yielded: the milliseconds until the next step


class Life:
    """Something that goes on by itself: its steps, and the number of the turn that it waits for."""

    __slots__ = ("steps", "turn")

    def __init__(self, steps: Steps) -> None:
        """Take a life by its steps, which are gone one by one."""
        self.steps = steps
        self.turn = 0


class Clock:
    """The simulated time, and whose turn is next.

    `now_ms` has fractions, or a floor of thousands of tasks per second would lose them all to rounding.
    """

    def __init__(self, start_ms: float) -> None:
        """Start at `start_ms`, epoch milliseconds, with nobody alive."""
        self.now_ms = start_ms
        self._turns: list[tuple[float, int, Life]] = []
        self._given = 0

    def begin(self, steps: Steps, after_ms: float = 0.0) -> Life:
        """Begin a life whose first step comes after so many milliseconds."""
        life = Life(steps)
        self.wake(life, after_ms)
        return life

    def wake(self, life: Life, after_ms: float = 0.0) -> None:
        """Let a life go on after so many milliseconds, and not when it meant to."""
        self._given += 1
        life.turn = self._given
        heapq.heappush(self._turns, (self.now_ms + after_ms, self._given, life))

    def step(self) -> None:
        """Give the next turn: time moves to it, and its life goes on until it waits again or ends."""
        at_ms, number, life = heapq.heappop(self._turns)
        if number != life.turn:
            return  # it was woken earlier
        self.now_ms = at_ms
        wait_ms = next(life.steps, None)
        if wait_ms is not None:
            self.wake(life, wait_ms)
