"""The checks every arrival passes, whatever feed it came by: into the log, or beside it with a reason.

A signature does not say where names end and values begin, so a captured request can be cut anew and still verify. Hence
strict Sids, one value per field, and no callback without a Sid whose signed text holds one. Nothing signed is refused:
what cannot be trusted is quarantined.
"""

import re
from collections.abc import Collection, Mapping

import msgspec

from projector.log.entry import Entry, Rejected
from projector.taskrouter.callback import EVENT_SID, OBSERVATION_SID, WORKSPACE_SID, signed_text

# Observations have Sids of our own making: nobody may send one by a feed of Twilio's.
_SIDS = {"rest": OBSERVATION_SID, "import": re.compile(f"{EVENT_SID.pattern}|{OBSERVATION_SID.pattern}")}
MOVED_SID = re.compile(r"SidEV[0-9a-fA-F]{32}")


def admit(
    parameters: Mapping[str, str], source: str, repeated: Collection[str] = (), recorded_ms: int | None = None
) -> Entry | Rejected:
    """The entry for these parameters, or why they stay out of the log. `repeated`: names that came with several values."""
    reason = _doubt(parameters, repeated, _SIDS.get(source, EVENT_SID))
    if reason is not None:
        return Rejected(reason, msgspec.json.encode(parameters), source)
    return Entry.of(parameters, source, recorded_ms)


def _doubt(parameters: Mapping[str, str], repeated: Collection[str], its_sid: re.Pattern[str]) -> str | None:
    if repeated:
        return "a field came with several values"
    if not WORKSPACE_SID.fullmatch(parameters.get("WorkspaceSid", "")):
        return "WorkspaceSid is missing or malformed"
    sid = parameters.get("Sid", "")
    if sid and not its_sid.fullmatch(sid):
        return "Sid is malformed"
    if not sid and MOVED_SID.search(signed_text(parameters)):
        return "Sid was moved into another field"
    return None
