"""One writer of the reader test: `python -m tests.writers URL NAME CALLBACKS SEED [unlocked]`, appending in batches of 1 to 20."""

import random
import sys
import time

from projector.database import database_url
from projector.errors import StoreUnavailable
from projector.log import Entry, open_log
from projector.log.postgres import PostgresLog
from tests.given import task_created


def write(url: str, name: str, callbacks: int, seed: int, *, locked: bool) -> None:
    """Append so many callbacks, each batch again until it is stored."""
    log = open_log(database_url(url))
    if not locked:
        assert isinstance(log, PostgresLog)
        log._lock = seed  # the bug to be seen, each writer a lock of its own: positions no longer become visible in order
    sizes, written = random.Random(seed), 0
    try:
        while written < callbacks:
            size = min(sizes.randint(1, 20), callbacks - written)
            batch = [Entry.of(task_created(written + n, f"{name} {written + n}"), "callback") for n in range(size)]
            while True:
                try:
                    log.append(batch)
                    break
                except StoreUnavailable:
                    time.sleep(0.01)
            written += size
    finally:
        log.close()


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), locked=sys.argv[5:] != ["unlocked"])
