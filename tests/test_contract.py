"""Our answers are what Twilio's own OpenAPI document says, where that is at hand; and whoever checks that finds what is wrong."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from tests.contract import Contract, answers
from tests.reading import reading_from

THING = {
    "properties": {
        "sid": {"type": "string", "pattern": "^WA"},
        "size": {"type": "integer"},
        "name": {"type": "string", "nullable": True},
    }
}
LIST = {"properties": {"things": {"type": "array", "items": {"$ref": "#/components/schemas/thing"}}}}


def operation(schema: Any) -> Any:
    return {"get": {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}}


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """A document of one thing."""
    path = tmp_path / "document.json"
    paths = {
        "/Things": operation(LIST),
        "/Things/{Sid}": operation({"$ref": "#/components/schemas/thing"}),
        "/Things/Statistics": operation({}),
    }
    path.write_text(json.dumps({"paths": paths, "components": {"schemas": {"thing": THING}}}))
    return Contract(path)


@pytest.mark.parametrize(
    ("thing", "problems"),
    [
        ({"sid": "WA1", "size": 1, "name": None}, []),
        ({"sid": "WA1", "size": "1", "name": "x"}, ["size: '1' is not of type 'integer'"]),
        ({"sid": "WB1", "size": 1, "name": "x"}, ["sid: 'WB1' does not match '^WA'"]),
        ({"sid": "WA1", "size": None, "name": "x"}, ["size: None for not nullable", "size: None is not of type 'integer'"]),
        ({"sid": "WA1", "size": 1}, ["name is not there"]),
    ],
)
def test_what_is_not_as_documented_is_found(contract: Contract, thing: dict[str, Any], problems: list[str]) -> None:
    """In one thing, and in a list of them."""
    assert contract.gets() == ["/Things", "/Things/{Sid}", "/Things/Statistics"]
    assert contract.problems("/Things/{Sid}", thing) == problems
    in_list = [problem if problem.endswith("there") else f"things/1/{problem}" for problem in problems]
    good = {"sid": "WA0", "size": 0, "name": None}
    assert contract.problems("/Things", {"things": [good, thing]}) == in_list


SERVED = [
    "Activities",
    "TaskChannels",
    "TaskQueues",
    "Workflows",
    "Workers",
    "Tasks",
    "Events",
    "Statistics",
    "TaskQueues/{TaskQueueSid}/Statistics",
    "Workers/{WorkerSid}/Channels",
    "Tasks/{TaskSid}/Reservations",
]


def test_a_floor_is_answered_as_documented(url: URL) -> None:
    """Every list and each row in it; held against Twilio's document, where TWILIO_OPENAPI says where it is."""
    path = os.environ.get("TWILIO_OPENAPI")
    document = Contract(Path(path)) if path else None
    templates = document.gets() if document else [f"/v1/Workspaces/{{WorkspaceSid}}/{each}" for each in SERVED]
    asked, rows = Counter[str](), 0
    with reading_from(url) as api:
        for template, answer in answers(api, templates):
            asked[template] += 1
            rows += len(answer[answer["meta"]["key"]]) if "meta" in answer else 1
            assert document is None or document.problems(template, answer) == [], template
    assert set(asked) == set(templates)
    assert rows > 100
