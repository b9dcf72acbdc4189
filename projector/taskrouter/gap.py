"""A gap: a callback that must have been, and is not here. What reveals it is another callback of the same unit.

Gaps are part of the fold, so they are a function of the set of callbacks: a gap that a late callback fills is gone.
"""

from msgspec import Struct


class Gap(Struct, frozen=True, kw_only=True):
    """One row of table `gap`. `n` counts the unit's gaps from 0."""

    workspace_sid: str = ""
    kind: str = ""
    sid: str = ""
    n: int = 0
    reason: str = ""
    event_sid: str | None = None
    revealed_ms: int = 0
    missing_event_type: str = ""
    missing_ms: int | None = None
    activity_sid: str | None = None
