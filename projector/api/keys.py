"""Who may read: HTTP Basic, by keys that are bound to workspaces. Wrong ones are counted, and slowed where they come from."""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from msgspec import Struct
from prometheus_client import Counter

FAILURES = Counter("projector_api_failed_logins_total", "Requests of the read API or the wallboard with a wrong key.")
FREE_FAILURES = 5  # wrong keys in a row that cost nothing: somebody typing
WAIT_SECONDS = (1.0, 60.0)  # after one more; it doubles with each, up to this
REMEMBERED = 10_000  # places wrong keys came from; the oldest is forgotten


class Key(Struct, frozen=True):
    """A key. No `workspaces`: it may read all."""

    name: str
    secret: str
    workspaces: frozenset[str] = frozenset()

    def may_read(self, workspace_sid: str) -> bool:
        """Whether this workspace is there at all for whoever holds the key."""
        return not self.workspaces or workspace_sid in self.workspaces

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Key(name={self.name!r})"


class Keys:
    """All keys by name."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.name: key for key in keys}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._keys)

    def find(self, name: str, secret: str) -> Key | None:
        """The key with this name and secret. It takes as long whether the name or the secret is wrong, and wherever it differs."""
        key = self._keys.get(name)
        is_right = hmac.compare_digest(_digest(secret), _digest(key.secret if key else "no such key"))
        return key if key is not None and is_right else None


def _digest(secret: str) -> bytes:
    """Of one length, so that the length of a secret does not show in the time it takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Patience:
    """How long whoever sent wrong keys has to wait before the next one is looked at. `now_seconds` counts, and never goes back."""

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now = now_seconds
        self._lock = threading.Lock()
        # Where from → how often in a row, when it may try again.
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_seconds(self, place: str) -> float:
        """0 when it may try."""
        with self._lock:
            _, free_at = self._failed.get(place, (0, 0.0))
        return max(0.0, free_at - self._now())

    def failed(self, place: str) -> None:
        """One more wrong key came from there."""
        FAILURES.inc()
        with self._lock:
            times = self._failed.pop(place, (0, 0.0))[0] + 1
            first, most = WAIT_SECONDS
            wait = min(most, first * 2 ** min(times - FREE_FAILURES - 1, 10)) if times > FREE_FAILURES else 0.0
            self._failed[place] = (times, self._now() + wait)
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)

    def succeeded(self, place: str) -> None:
        """A right key came: what was before is forgotten."""
        with self._lock:
            self._failed.pop(place, None)
