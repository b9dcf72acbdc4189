"""A Workspace. Its name comes by mention (every callback carries it); its own callbacks only date it."""

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head


class Workspace(Head, frozen=True, kw_only=True):
    """A workspace's row; the key is `workspace_sid` itself."""


initial = Workspace()


def evolve(workspace: Workspace, _callback: Callback) -> Workspace:
    """Nothing but existence and deletion, which `head.py` keeps."""
    return workspace
