"""A Workflow. Its name comes by mention; its own callbacks only date it."""

from projector.taskrouter.callback import Callback
from projector.taskrouter.head import Head


class Workflow(Head, frozen=True, kw_only=True):
    """A workflow's row."""

    workflow_sid: str = ""


initial = Workflow()


def evolve(workflow: Workflow, _callback: Callback) -> Workflow:
    """Nothing but existence and deletion, which `head.py` keeps."""
    return workflow
