"""Refusals in Twilio's shape: `{"code": 20404, "message": …, "more_info": …, "status": 404}`."""

from flask import Response, jsonify

MORE_INFO = "https://www.twilio.com/docs/errors/"


class Problem(Exception):
    """A request that is not answered. `status` is HTTP's, `code` Twilio's."""

    def __init__(self, status: int, code: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers

    def response(self) -> Response:
        """What is sent."""
        answer = jsonify(code=self.code, message=str(self), more_info=f"{MORE_INFO}{self.code}", status=self.status)
        answer.status_code = self.status
        answer.headers.update({name.replace("_", "-"): value for name, value in self.headers.items()})
        return answer


def not_found(path: str) -> Problem:
    """Nothing there, or nothing this key may see: the two look alike."""
    return Problem(404, 20404, f"The requested resource {path} was not found")


def not_authenticated() -> Problem:
    """No key, or a wrong one."""
    return Problem(401, 20003, "Authenticate", WWW_Authenticate='Basic realm="Twilio API"')


def too_many_failures(wait_seconds: float) -> Problem:
    """Wrong keys came again and again."""
    return Problem(429, 20429, "Too many failed logins. Wait before the next one.", Retry_After=str(max(1, round(wait_seconds))))


def invalid(parameter: str, text: str, wanted: str) -> Problem:
    """A parameter that cannot be read."""
    return Problem(400, 20001, f"Invalid {parameter}: {text[:100]!r}. Give it {wanted}.")


def read_only() -> Problem:
    """A verb that would change something."""
    return Problem(
        405, 20004, "Method not allowed: projector keeps what Twilio told it and changes nothing", Allow="GET, HEAD, OPTIONS"
    )
