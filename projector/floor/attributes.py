"""The JSON attributes of workers and tasks, as text in Twilio's own spelling: no blanks, slashes escaped (recorded).

A task's are a text with gaps: encoding JSON anew for every task is what a simulation would spend its time on. Nobody in
here exists: telephone numbers are of the range kept free for fiction, addresses are at example.com.
"""

import json
from random import Random
from typing import Any

FIRST_NAMES = ("Ana", "Ben", "Chloé", "Deniz", "Elif", "Femi", "Greta", "Hiro", "Inês", "Jonas", "Kofi", "Lena", "Mika", "Nadia")
LAST_NAMES = (
    "Adeyemi",
    "Bauer",
    "Costa",
    "Demir",
    "Eriksen",
    "Fischer",
    "García",
    "Haas",
    "Ito",
    "Jansen",
    "Kaya",
    "Lind",
    "Moreau",
)
CITIES = ("San Francisco", "Austin", "Portland", "Columbus", "Santa Fe")
PAGES = ("help/orders", "help/returns", "account/invoices", "plans/compare", "contact")


def twilio_json(value: Any) -> str:
    r"""JSON the way Twilio writes it: no blanks, `/` as `\/`."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


_VOICE = twilio_json(
    {
        "call_sid": "CA%(number)032x",
        "from": "+1202555%(line)04d",
        "to": "+12025550100",
        "skill": "%(skill)s",
        "language": "%(language)s",
        "from_city": "%(city)s",
        "ivr": "main/%(skill)s",
    }
)
_CHAT = twilio_json(
    {
        "conversationSid": "CH%(number)032x",
        "from": "%(name)s",
        "skill": "%(skill)s",
        "language": "%(language)s",
        "page": "example.com/%(page)s",
    }
)
_CUSTOMERS = tuple(twilio_json(f"{first} {last}")[1:-1] for first in FIRST_NAMES for last in LAST_NAMES)
_PAGES = tuple(twilio_json(page)[1:-1] for page in PAGES)


def voice_attributes(random: Random, skill: str, language: str) -> str:
    """Attributes of a call's task."""
    number, line = random.getrandbits(128), random.randrange(100, 200)
    return _VOICE % {"number": number, "line": line, "city": random.choice(CITIES), "skill": skill, "language": language}


def chat_attributes(random: Random, skill: str, language: str) -> str:
    """Attributes of a chat's task."""
    number, name, page = random.getrandbits(128), random.choice(_CUSTOMERS), random.choice(_PAGES)
    return _CHAT % {"number": number, "name": name, "page": page, "skill": skill, "language": language}


def with_outcome(attributes: str, outcome: str) -> str:
    """Attributes after the worker has noted how it went."""
    return f'{attributes[:-1]},"conversations":{{"outcome":"{outcome}"}}}}'


def worker_attributes(name: tuple[str, str], number: int, skills: tuple[str, ...], languages: tuple[str, ...], shift: str) -> str:
    """Attributes of a worker, in the shape Flex gives them (recorded 2023). `name` is the first and the last."""
    login = login_of(name, number)
    return twilio_json(
        {
            "routing": {"skills": skills, "levels": {}},
            "languages": languages,
            "full_name": " ".join(name),
            "image_url": f"https://example.com/{number}.png",
            "shift": shift,
            "contact_uri": f"client:{login}",
        }
    )


def login_of(name: tuple[str, str], number: int) -> str:
    """Friendly name of a worker: unique in a workspace (Twilio refuses others), hence the number."""
    return f"{name[0]}.{name[1]}".encode("ascii", "ignore").decode().lower() + f".{number}"
