"""Reading a request's body, whole and within its bound."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge


def read_body(bytes_max: int) -> bytes:
    """The body. Raises `RequestEntityTooLarge` for one that is larger, whatever length it says."""
    request.max_content_length = bytes_max
    body = request.get_data(cache=False)
    if len(body) >= bytes_max and len(body) != request.content_length:  # Werkzeug cuts a body of unsaid length off
        raise RequestEntityTooLarge
    return body
