"""What Twilio shows of something now: evidence beside what the tables say, and nothing more."""

from threading import Event
from typing import Any

from projector.config import Config
from projector.errors import TwilioNotFound, TwilioRefused, TwilioUnavailable
from projector.feeds.twilio import Patience, Twilio, open_twilio, workspaces_of

Row = dict[str, Any]
UNKNOWN = "Twilio does not know it any more"


def shown(config: Config, rows: list[Row]) -> list[Row]:
    """Each row of a task or reservation with `at_twilio`: its status there, and since when; or why that is not known.

    Twilio is not waited for: where it does not answer one question, it is not asked the others.
    Raises `Misconfigured` without credentials, `TwilioRefused` for a workspace that no key is for.
    """
    accounts = open_twilio(config, Event(), Patience(total=20.0))
    of = {sid: account for account, sid in workspaces_of(accounts, frozenset({row["workspace_sid"] for row in rows}))}
    answers: list[str] = []
    away = ""
    for row in rows:
        try:
            answers.append(away or _shown(of[row["workspace_sid"]], row))
        except TwilioUnavailable as error:
            away = str(error)
            answers.append(away)
    return [row | {"at_twilio": answer} for row, answer in zip(rows, answers, strict=True)]


def _shown(twilio: Twilio, row: Row) -> str:
    path = f"/Workspaces/{row['workspace_sid']}/Tasks/{row['task_sid']}"
    path += f"/Reservations/{row['sid']}" if row["kind"] == "reservation" else ""
    try:
        record = twilio.record(path)
    except TwilioNotFound:
        return UNKNOWN
    except TwilioRefused as error:
        return str(error)
    status = record.get("reservation_status" if row["kind"] == "reservation" else "assignment_status")
    return f"{status} since {record.get('date_updated')}"
