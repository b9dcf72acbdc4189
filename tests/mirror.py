"""Twilio, played by our own read API over a projector that heard everything: it answers as Twilio does, Events and resources alike."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import WSGIRequestHandler, make_server

from projector.api.keys import Key
from projector.feeds.twilio import OneHost, Twilio
from tests.reading import Api

KEY = Key("AC" + "c" * 32, "secret-of-twilio")


class Quiet(WSGIRequestHandler):
    """Says nothing of its requests."""

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def served(api: Api) -> Iterator[str]:
    """The API on loopback, as Twilio's host."""
    server = make_server("127.0.0.1", 0, api.app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def twilio_at(url: str) -> Twilio:
    return Twilio(KEY.name, (KEY.name, KEY.secret), OneHost(url, KEY.name, threading.Event()))
