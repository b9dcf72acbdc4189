"""Workspaces know nothing of each other: whoever may read one is told of it alone, even where another has the same Sids in it."""

import re
from typing import Any

import pytest
from sqlalchemy.engine import URL

from projector.api.document import document
from tests.contract import answers, floor
from tests.databases import Databases
from tests.given import ACCOUNT, START_MS, WORKSPACE, Parameters, callback, sid, task_created, worker
from tests.reading import KEY, Key, reading_from

OTHER = "WS" + "c" * 32
SHIFTED_MS = 70_000  # the other workspace lives the same lives a little later, under other names
LATER = str(START_MS + 3_600_000)
GETS = [path for path, operations in document("http://localhost")["paths"].items() if "get" in operations]
BELOW = [path for path in GETS if path != "/v1/Workspaces"]


def elsewhere(body: Parameters) -> Parameters:
    """The same callback of the other workspace and another account: same Sids but its own, later, other names."""
    stamp = int(body["TimestampMs"]) + SHIFTED_MS
    names = {name: f"other {value}" for name, value in body.items() if name.endswith("Name") and name != "TaskChannelUniqueName"}
    moved = {
        "WorkspaceSid": OTHER,
        "Sid": sid("EV", body["Sid"]),
        "AccountSid": "AC" + "d" * 32,
        "TimestampMs": str(stamp),
        "Timestamp": str(stamp // 1000),
    }
    return body | names | moved


def of_others_alone() -> list[Parameters]:
    """What only the other workspace has: things and people, and that its activities are available."""
    return [
        *(
            callback("activity.created", 0, ActivitySid=sid("WA", name), ActivityName=name, ActivityAvailable="true")
            for name in ("Idle", "Busy", "Away", "Theirs")
        ),
        callback(
            "task-queue.created", 0, TaskQueueSid=sid("WQ", "theirs"), TaskQueueName="Theirs", TaskQueueTargetExpression="1==1"
        ),
        worker("created", 0, "theirs", "Theirs"),
        task_created(0, "theirs"),
    ]


def read(url: URL, *before: Parameters) -> list[tuple[str, Any]]:
    """Everything there is to read of the workspace, after these callbacks had come."""
    with reading_from(url, Key("reader", "secret", frozenset({WORKSPACE}))) as api:
        if before:
            api.told(*before)
        return [(template, _without_places(answer)) for template, answer in answers(api, GETS, AsOf=LATER, Explain="true")]


def _without_places(answer: Any) -> Any:
    """Without `meta`: a page of events is named by positions in the log, which workspaces share."""
    return {name: value for name, value in answer.items() if name != "meta"}


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_all_answers_are_the_same_beside_another_workspace(databases: Databases, backend: str) -> None:
    """Lists, single resources, statistics, timelines, the callbacks behind figures: to the letter."""
    alone = read(databases.new(backend))
    beside = read(databases.new(backend), *map(elsewhere, [*of_others_alone(), *floor()]))
    assert [template for template, _ in alone] == [template for template, _ in beside]
    for (template, one), (_, other) in zip(alone, beside, strict=True):
        assert one == other, template


@pytest.mark.parametrize("path", BELOW)
def test_nothing_of_it_is_there_for_another_key(url: URL, path: str) -> None:
    """404, as for a workspace that does not exist; and what is posted for figures too."""
    mine = Key("mine", "secret", frozenset({OTHER}))
    with reading_from(url, KEY, mine) as api:
        api.told(*floor())
        there = api.json("/Tasks", Ended="true")["tasks"][0]
        sids = {
            "WorkspaceSid": WORKSPACE, "TaskSid": there["sid"], "TaskQueueSid": there["task_queue_sid"], "WorkflowSid": there["workflow_sid"],
            "WorkerSid": sid("WK", "worker 1"), "Sid": WORKSPACE,
        }  # fmt: skip
        filled = re.sub(r"{(\w+)}", lambda name: sids[name[1]], path)
        assert "{" in path
        answer, unknown = api.get(filled, mine), api.get(filled.replace(WORKSPACE, "WS" + "e" * 32), mine)
        assert (answer.status_code, unknown.status_code) == (404, 404)
        assert answer.get_json()["message"].replace(WORKSPACE, "WS" + "e" * 32) == unknown.get_json()["message"]
        if path.endswith("/TaskQueues/Statistics"):
            bulk = api.web.post(
                filled.replace("/Statistics", "/RealTimeStatistics"),
                json={"QueueSids": [sid("WQ", "support")]},
                auth=("mine", "secret"),
            )
            assert (bulk.status_code, ACCOUNT in bulk.text) == (404, False)


@pytest.mark.parametrize(
    "path",
    [
        f"/Workers/{sid('WK', 'theirs')}", f"/Workers/{sid('WK', 'theirs')}/Timeline", f"/Workers/{sid('WK', 'theirs')}/Statistics",
        f"/Workers/{sid('WK', 'theirs')}/Channels", f"/Workers/{sid('WK', 'theirs')}/Performance", f"/Tasks/{sid('WT', 'theirs')}",
        f"/Tasks/{sid('WT', 'theirs')}/Timeline", f"/TaskQueues/{sid('WQ', 'theirs')}/RealTimeStatistics", f"/TaskQueues/{sid('WQ', 'theirs')}",
    ],
)  # fmt: skip
def test_what_another_workspace_has_is_not_in_this_one(url: URL, path: str) -> None:
    """Whoever may read both finds it where it is."""
    with reading_from(url) as api:
        api.told(*floor(), *map(elsewhere, of_others_alone()))
        assert api.get(path).status_code == 404
        assert api.get(f"/v1/Workspaces/{OTHER}{path}").status_code == 200
