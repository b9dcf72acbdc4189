"""`Floor`: a simulated contact center, as the stream of callbacks that TaskRouter would post about it."""

from collections.abc import Iterator
from random import Random

from projector.floor.chores import chores
from projector.floor.clock import Clock, Steps
from projector.floor.diary import Diary
from projector.floor.journey import arrivals
from projector.floor.office import Office, Pace
from projector.floor.shift import employ
from projector.floor.things import channel_told

START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z: no moment in particular, but always the same


class Floor:
    """A contact center with so many workers that posts about so many callbacks per second once it is warm.

    The same arguments are the same callbacks, Sids included; another seed is another center. How long tasks take follows
    from workers and rate: workers are busy for about 70 % of their capacity, so fast floors have short calls. It warms up
    while the first tasks are handled (`warm_ms`); what is set up at the start is said in the first moments.
    """

    def __init__(
        self,
        seed: int,
        workers: int = 40,
        callbacks_per_second: float = 20.0,
        start_ms: int = START_MS,
        account_sid: str | None = None,
        workspace_sid: str | None = None,
    ) -> None:
        """`start_ms` is the simulated time of the first callback, epoch milliseconds; Sids left out follow from the seed."""
        if workers < 1 or callbacks_per_second <= 0:
            raise ValueError(f"A floor needs workers and callbacks, not {workers} and {callbacks_per_second} per second.")
        names = Random(f"account and workspace of {seed}")
        self.seed, self.workers, self.start_ms = seed, workers, start_ms
        self.callbacks_per_second = callbacks_per_second
        self.account_sid = account_sid or f"AC{names.getrandbits(128):032x}"
        self.workspace_sid = workspace_sid or f"WS{names.getrandbits(128):032x}"
        self._pace = Pace(workers, callbacks_per_second)

    @property
    def warm_ms(self) -> int:
        """The simulated time from which the rate is the one asked for, epoch milliseconds."""
        return self.start_ms + int(10 * self._pace.turn_ms)

    def callbacks(self, diary: Diary | None = None) -> Iterator[tuple[int, dict[str, str]]]:
        """Every callback from the start, without end: when it is sent (epoch milliseconds, never going back), its parameters.

        `diary`, if one is given, is told what truly happens meanwhile.
        """
        clock = Clock(self.start_ms)
        office = Office(Random(self.seed), clock, self._pace, self.account_sid, self.workspace_sid, diary)
        clock.begin(_opening(office, self.workers))
        while True:
            clock.step()
            yield from office.said
            office.said.clear()


def _opening(office: Office, workers: int) -> Steps:
    """Say the workspace and what is in it, then the workers, several times as fast as the floor is later; then open the doors."""
    office.say_of_thing("workspace.created", {})
    for activity in (office.offline, office.available, office.on_break, office.unavailable):
        yield office.pace.opening_ms
        available = "true" if activity.available else "false"
        told = {"ActivitySid": activity.sid, "ActivityName": activity.name, "ActivityAvailable": available}
        office.say_of_thing("activity.created", told)
        office.note("activity created", activity.sid, activity.name, "available" if activity.available else "")
    for channel in office.channels.values():
        yield office.pace.opening_ms
        office.say_of_thing("task-channel.created", channel_told(channel.sid, channel.unique_name, channel.name))
    for queue in office.queues:
        yield office.pace.opening_ms
        office.say_of_thing("task-queue.created", queue.told | {"OperatingUnitSid": office.operating_unit_sid})
        office.note("task-queue created", queue.sid, queue.skill)
    yield office.pace.opening_ms
    office.say_of_thing("workflow.created", office.workflow_told)
    for number in range(workers):
        yield 4 * office.pace.opening_ms
        employ(office, number, workers)
    yield 5 * office.pace.opening_ms
    office.clock.begin(arrivals(office))
    office.clock.begin(chores(office))
