"""Our answers against Twilio's own OpenAPI document. `python -m tests.contract PATH/TO/twilio_taskrouter_v1.json`.

The document is https://github.com/twilio/twilio-oai/blob/main/spec/json/twilio_taskrouter_v1.json. Every GET of it that we serve is asked of a
simulated floor, and what comes is held against the schema of its 200: all fields are there, of the right type and format. `NEVER_TOLD`
lists what no callback carries and is null although the document does not say that it may be.
"""

import json
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker

from projector.database import database_url
from projector.migrate import migrate
from tests.given import WORKSPACE, Parameters, sid, worker
from tests.harness import Workload
from tests.reading import Api, reading_from

NEVER_TOLD = {
    "timeout",  # of a task: its workflow's configuration
    "task_reservation_timeout",  # of a workflow
    "max_reserved_workers", "task_order",  # of a queue
    "prioritize_queue_order",  # of a workspace
    "configured_capacity", "available_capacity_percentage",  # of a channel of which nobody has told the capacity yet
    "avg_task_acceptance_time",  # of no acceptance: there is no average
    "total_eligible_workers", "total_available_workers",  # of a queue whose TargetWorkers nobody told, or that cannot be read
}  # fmt: skip
CALLBACKS = 300
EVERYTHING = {"Ended": "true", "StartDate": "2000-01-01T00:00:00Z"}  # or lists would leave out what is long ago


class Contract:
    """The document, and which of its fields may be null whatever it says."""

    def __init__(self, path: Path, never_told: Collection[str] = frozenset(NEVER_TOLD)) -> None:
        self._document, self._never_told = json.loads(path.read_text()), never_told

    def gets(self) -> list[str]:
        """The path templates that can be read."""
        return [path for path, operations in self._document["paths"].items() if "get" in operations]

    def problems(self, path: str, answer: Any) -> list[str]:
        """What is wrong with an answer's JSON, in words; nothing when it is as the document says."""
        schema = self._document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        rooted = {**schema, "components": self._document["components"]}
        found = OAS30Validator(rooted, format_checker=oas30_format_checker).iter_errors(self._told(answer))
        wrong = [f"{'/'.join(map(str, each.absolute_path))}: {each.message[:120]}" for each in found]
        return wrong + [f"{name} is not there" for name in self._missing(schema, answer)]

    def _missing(self, schema: Any, answer: Any) -> Iterator[str]:
        schema = self._at(schema)
        needed = schema.get("required", schema.get("properties", {}))  # Twilio's document does not say: all of them
        for name, of in schema.get("properties", {}).items():
            if name not in answer:
                yield from [name] if name in needed else []
            elif isinstance(answer[name], list) and "items" in of:
                for row in answer[name]:
                    yield from self._missing(of["items"], row)

    def _told(self, answer: Any) -> Any:
        """The answer without what no callback carries, where it is null."""
        if isinstance(answer, list):
            return [self._told(each) for each in answer]
        if not isinstance(answer, dict):
            return answer
        return {name: self._told(value) for name, value in answer.items() if value is not None or name not in self._never_told}

    def _at(self, schema: Any) -> Any:
        while "$ref" in schema:
            found = self._document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema


def answers(api: Api, templates: Sequence[str], **more: str) -> Iterator[tuple[str, Any]]:
    """Each path template, over a simulated floor, with what is answered to it: for a list once, for one of a list so many times as there are rows.

    `more` is asked for everywhere beside.
    """
    workspace = WORKSPACE
    api.told(*floor())
    for template in templates:
        for path in _filled(
            api, template.replace("{WorkspaceSid}", workspace).replace("Workspaces/{Sid}", f"Workspaces/{workspace}")
        ):
            yield template, api.json(path, **({} if "{Sid}" in template else EVERYTHING), **more)


def floor() -> list[Parameters]:
    """Some hundred callbacks of small lives, and a channel's capacity."""
    workload, voice = Workload(3), {"TaskChannelSid": sid("TC", "voice"), "TaskChannelUniqueName": "voice"}
    bodies = [workload.next() for _ in range(CALLBACKS)]
    return [*bodies, worker("capacity.update", 0, **voice, WorkerChannelAvailableCapacity="2")]


def _filled(api: Api, template: str) -> Iterator[str]:
    """The template with the Sids of every row in place of its first blank, and so on."""
    before, blank, after = template.partition("/{")
    if not blank:
        yield template
        return
    rest = after.partition("}")[2]
    answer = api.json(before, PageSize="1000", **EVERYTHING)
    for row in answer[answer["meta"]["key"]]:
        yield from _filled(api, f"{before}/{row['sid'] or row['task_channel_sid']}{rest}")


def main(path: Path) -> int:
    """Check all; print what is wrong. 1 if anything is."""
    contract, wrong, checked = Contract(path), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        url = database_url(f"sqlite:///{folder}/projector.db")
        migrate(url)
        with reading_from(url) as api:
            for template, answer in answers(api, contract.gets()):
                checked += 1
                for problem in contract.problems(template, answer):
                    wrong += 1
                    print(f"{template}: {problem}")  # noqa: T201 (a command's output)
    print(f"{checked} answers to {len(contract.gets())} paths checked: {wrong} problems.")  # noqa: T201 (a command's output)
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
