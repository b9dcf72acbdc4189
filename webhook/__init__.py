"""The HTTP side: `POST /callbacks`, `POST /event-streams` and health. Sees the log and what a callback is; never the tables' makers."""

from webhook.app import create_app

__all__ = ["create_app"]
