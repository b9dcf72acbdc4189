"""`/openapi.json` says what is served, and what is served is as it says; whatever is asked of it, nothing fails."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator
from schemathesis import GenerationMode
from sqlalchemy.engine import URL

from projector.api.document import PAGES_TO_READ, PARAMETERS, document
from projector.taskrouter import expression
from tests.contract import Contract, answers
from tests.reading import KEY, reading_from

CASES = 1_250  # of each kind on each database, by all operations together


def routes(app: Any) -> set[tuple[str, str]]:
    """What is served below /v1: method and path, without names of blanks."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1/Workspaces")]
    return {("POST" if "POST" in rule.methods else "GET", re.sub("<[^>]*>", "{}", rule.rule)) for rule in rules}


def test_all_that_is_served_is_documented(url: URL) -> None:
    """And all that is documented is served."""
    with reading_from(url) as api:
        told = {
            (method.upper(), re.sub("{[^}]*}", "{}", path))
            for path, operations in document("http://localhost")["paths"].items()
            for method in operations
            if method != "parameters"
        }
        assert told == routes(api.app)


def test_every_answer_is_as_documented(url: URL, tmp_path: Path) -> None:
    """All fields, no others, of the right type; over a floor, every list and each row in it."""
    path = tmp_path / "openapi.json"
    with reading_from(url) as api:
        told = api.web.get("/openapi.json").get_json()
        path.write_text(json.dumps(told))
        documented, asked = Contract(path, never_told=frozenset()), Counter[str]()
        for template, answer in answers(api, documented.gets()):
            asked[template] += 1
            assert documented.problems(template, answer) == [], template
        assert set(asked) == set(documented.gets())
        refused = api.get("/Tasks/WTnone").get_json()
        assert not list(OAS30Validator(told["components"]["schemas"]["Problem"]).iter_errors(refused))


def test_every_parameter_is_described_and_asked_for_somewhere() -> None:
    """None is left over."""
    paths = document("http://localhost")["paths"].values()
    operations = [each for path in paths for method, each in path.items() if method != "parameters"]
    assert {parameter["name"] for each in operations for parameter in each["parameters"]} == set(PARAMETERS)


def test_the_document_can_be_read_without_a_key_or_a_script(url: URL) -> None:
    """As a page, which loads nothing but its own style sheet."""
    with reading_from(url) as api:
        page = api.web.get("/api")
        assert page.status_code == 200
        assert "<script" not in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert all(path in page.text for path in document("http://localhost")["paths"])
        with api.web.get("/api/static/api.css") as style:
            assert (style.status_code, style.mimetype) == (200, "text/css")
        for name, title in PAGES_TO_READ.items():
            assert f"/api/pages/{name}.md" in page.text
            shown = api.web.get(f"/api/pages/{name}.md")
            assert (shown.status_code, f"<title>{title}</title>" in shown.text) == (200, True)
            assert "<table>" in shown.text
            linked = re.findall(r'href="(\w+)\.md"', shown.text)
            assert set(linked) <= set(PAGES_TO_READ)
        assert api.web.get("/api/pages/none.md").status_code == 404
        forwarded = api.web.get("/openapi.json", headers={"X-Forwarded-Proto": "https"}).get_json()
        assert forwarded["servers"] == [{"url": "https://localhost"}]


def test_the_grammar_that_is_documented_is_the_parser_s() -> None:
    """The page says it in the parser's own words."""
    grammar = (expression.__doc__ or "").split("\n\n")[1]
    assert grammar in document("http://localhost")["info"]["description"]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_nothing_fails(url: URL, mode: GenerationMode) -> None:
    """Generated requests, good and bad, mostly of what is there: no 5xx, and an answer that is documented."""
    with reading_from(url) as api:
        there = dict(answers(api, ["/v1/Workspaces/{WorkspaceSid}/Tasks", "/v1/Workspaces/{WorkspaceSid}/Workers"]))
        schema = schemathesis.openapi.from_wsgi("/openapi.json", api.app)
        operations = [each.ok() for each in schema.get_all_operations()]
        statuses = Counter[int]()
        for operation in operations:
            asked(operation, mode, -(-CASES // len(operations)), _sids(there), statuses)
        assert sum(statuses.values()) >= CASES
        assert not [status for status in statuses if status >= 500], statuses
        assert {200, 400, 404} <= set(statuses)


def asked(operation: Any, mode: GenerationMode, cases: int, sids: dict[str, str], statuses: Counter[int]) -> None:
    """So many requests of one operation; what they were answered is counted."""

    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), strange=st.integers(0, 9))
    def ask(case: Any, strange: int) -> None:
        if strange:
            case.path_parameters = {name: sids.get(name) or sids[_of(operation.path)] for name in case.path_parameters or {}}
        response = case.call(auth=(KEY.name, KEY.secret))
        statuses[response.status_code] += 1
        assert response.status_code < 500, (case, response.text)

    ask()


def _of(path: str) -> str:
    """Whose Sid a path's last blank is."""
    return "WorkerSid" if "/Workers" in path else "TaskSid"


def _sids(there: dict[str, Any]) -> dict[str, str]:
    tasks, workers = (next(answer[key] for answer in there.values() if key in answer) for key in ("tasks", "workers"))
    return {
        "WorkspaceSid": tasks[0]["workspace_sid"], "TaskSid": tasks[0]["sid"], "WorkerSid": workers[0]["sid"],
        "TaskQueueSid": tasks[0]["task_queue_sid"], "WorkflowSid": tasks[0]["workflow_sid"],
    }  # fmt: skip
