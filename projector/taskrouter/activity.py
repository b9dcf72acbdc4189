"""An Activity: whether workers in it are available. Availability is fixed when the activity is created (Twilio's reference)
and told by `activity.*` callbacks only."""

from msgspec.structs import replace

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head
from projector.taskrouter.text import boolean


class Activity(Head, frozen=True, kw_only=True):
    """An activity's row. `available` is NULL until an `activity.*` callback tells."""

    activity_sid: str = ""
    available: bool | None = None


initial = Activity()


def evolve(activity: Activity, callback: Callback) -> Activity:
    """Availability as last told."""
    available = boolean(callback.fields.activity_available)
    return activity if available is None else replace(activity, available=available)
