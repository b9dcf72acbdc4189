"""A `projector` that is killed at a chosen append to the log: `python -m tests.dying 3 after consume kinesis …`.

Signals from outside seldom hit the moment between two transactions; this always does.
"""

import itertools
import os
import signal
import sys
from typing import Any

from projector.cli import main
from projector.log.postgres import PostgresLog
from projector.log.sqlite import SQLiteLog


def dying(append: Any, number: int, moment: str) -> Any:
    """An append that is the last thing this process does, or never begins, when it is the `number`th."""
    numbers = itertools.count(1)

    def last(*given: Any) -> Any:
        is_last = next(numbers) == number
        if is_last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        outcomes = append(*given)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcomes

    return last


if __name__ == "__main__":
    _, number, moment, *arguments = sys.argv
    for log in (SQLiteLog, PostgresLog):
        log.append = dying(log.append, int(number), moment)  # type: ignore[method-assign]  # to end in the middle of it
    sys.argv = ["projector", *arguments]
    main()
