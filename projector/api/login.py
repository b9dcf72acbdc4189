"""Whose request it is: HTTP Basic, with one of the keys. The read API and the wallboard ask here."""

from flask import request

from projector.api.keys import Key, Keys, Patience
from projector.api.problems import not_authenticated, too_many_failures


class Login:
    """The keys, and how long whoever sent wrong ones has to wait."""

    def __init__(self, keys: Keys, patience: Patience | None = None) -> None:
        self._keys, self._patience = keys, patience or Patience()

    @property
    def nobody(self) -> bool:
        """Whether there is no key at all."""
        return not self._keys

    def key(self) -> Key:
        """The key of this request. Raises `Problem`. Without any it is asked for: so does every browser at first, and it is no failure."""
        given = request.authorization
        if given is None:
            raise not_authenticated()
        place = f"{request.remote_addr} {given.username or ''}"  # behind a proxy all come from one address
        if (wait_seconds := self._patience.wait_seconds(place)) > 0:
            raise too_many_failures(wait_seconds)
        found = self._keys.find(given.username or "", given.password or "") if given.type == "basic" else None
        if found is None:
            self._patience.failed(place)
            raise not_authenticated()
        self._patience.succeeded(place)
        return found
