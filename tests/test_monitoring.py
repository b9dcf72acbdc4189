"""Grafana's panels, asked as its role asks over a simulated floor; Prometheus's alerts, of metrics that are there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
import yaml
from sqlalchemy.engine import URL

from projector.log import Outcome
from projector.tables import iso
from tests.databases import Databases
from tests.given import task, task_completed, task_created, text_url
from tests.harness import Process, ending
from tests.posting import posting_to
from tests.readers import MINE, Reader, a_reader, two_workspaces
from tests.test_event_streams import SINK, batch
from tests.test_event_streams import post as post_batch

DOCS = Path(__file__).parent.parent / "docs"
COMPOSE = yaml.safe_load((DOCS.parent / "docker-compose.yml").read_text())["services"]
SOURCE = yaml.safe_load((DOCS / "grafana/provisioning/datasources/projector.yaml").read_text())["datasources"][0]
BOARDS = {path.name: json.loads(path.read_text()) for path in sorted((DOCS / "grafana/dashboards").glob("*.json"))}
PANELS = [pytest.param(panel, id=f"{name}: {panel['title']}") for name, board in BOARDS.items() for panel in board["panels"]]
VARIABLES = [
    pytest.param(each, id=f"{name}: {each['name']}") for name, board in BOARDS.items() for each in board["templating"]["list"]
]
ALERTS = yaml.safe_load((DOCS / "prometheus/alerts.yml").read_text())["groups"]


@pytest.fixture(scope="module")
def grafana(databases: Databases) -> Iterator[Reader]:
    """Its role, over an hour or so of two workspaces of which it sees one."""
    url = databases.new("postgresql")
    two_workspaces(url, callbacks=4_000, rate=1)
    with a_reader(url) as reader:
        yield reader.grant(MINE, sees_people=True)


@pytest.fixture(scope="module")
def shown(grafana: Reader) -> tuple[str, str]:
    """The time range that is shown: the hours in which it happened."""
    with grafana.connect() as connection:
        row = connection.execute(
            "SELECT date_trunc('hour', min(first_seen_at)) AS first, max(updated_at) AS last FROM reporting.task"
        ).fetchone()
    assert row is not None
    return tuple(iso(round(row[end].timestamp() * 1000)) for end in ("first", "last"))


@pytest.fixture(scope="module")
def queues(grafana: Reader) -> list[str]:
    """All of them, as the variable has them."""
    return [row["task_queue_sid"] for row in grafana.rows(["task_queue"])["task_queue"]]


def expanded(sql: str, shown: tuple[str, str], queues: list[str]) -> str:
    """The SQL that Grafana sends: its macros for PostgreSQL, and the dashboard's variables as `sqlstring`."""
    first, last = (f"'{at}'" for at in shown)
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN {first} AND {last}", sql)
    sql = re.sub(r"\$__timeGroupAlias\(([\w.]+), ?'(\d+)([mh])'\)", _time_group, sql)
    sql = sql.replace("$__timeFrom()", first).replace("$__timeTo()", last)
    sql = sql.replace("${workspace:sqlstring}", f"'{MINE}'").replace("${queue:sqlstring}", ",".join(f"'{sid}'" for sid in queues))
    assert "$" not in sql, sql
    return sql


def _time_group(match: re.Match[str]) -> str:
    seconds = int(match[2]) * {"m": 60, "h": 3600}[match[3]]
    return f'floor(extract(epoch from {match[1]})/{seconds})*{seconds} AS "time"'


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_shows_something(grafana: Reader, shown: tuple[str, str], queues: list[str], panel: dict[str, Any]) -> None:
    """Its SQL runs as Grafana's role and returns rows with figures; a time series has `time` first, in ascending order."""
    (target,) = panel["targets"]
    with grafana.connect() as connection:
        connection.execute("SET default_transaction_read_only = on")
        rows = connection.execute(expanded(target["rawSql"], shown, queues)).fetchall()
    assert rows
    columns = list(rows[0])
    for column in columns:
        assert any(row[column] is not None for row in rows), column
    if panel["type"] == "timeseries":
        times = [row["time"] for row in rows]
        assert (target["format"], columns[0]) == ("time_series", "time")
        assert times == sorted(times)
        assert len(set(times)) > 1
        assert all("metric" in row or not any(isinstance(value, str) for value in row.values()) for row in rows)
    else:
        assert target["format"] == "table"


@pytest.mark.parametrize("panel", PANELS)
def test_what_a_panel_formats_is_there(grafana: Reader, shown: tuple[str, str], queues: list[str], panel: dict[str, Any]) -> None:
    """Overrides name columns that the SQL returns."""
    with grafana.connect() as connection:
        cursor = connection.execute(expanded(panel["targets"][0]["rawSql"], shown, queues))
        columns = {column.name for column in cursor.description or ()}
    assert {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]} <= columns


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_has_choices(grafana: Reader, shown: tuple[str, str], variable: dict[str, Any]) -> None:
    """A text and a value each; of workspaces only the one that is granted."""
    with grafana.connect() as connection:
        rows = connection.execute(expanded(variable["query"], shown, [])).fetchall()
    assert rows
    assert [list(row) for row in rows] == [["__text", "__value"]] * len(rows)
    assert variable["name"] != "workspace" or [row["__value"] for row in rows] == [MINE]


def test_dashboards_hang_together() -> None:
    """Each panel has an id of its own, a place of its own and the provisioned data source; links lead to dashboards that are there."""
    uids = {board["uid"] for board in BOARDS.values()}
    assert set(BOARDS) == {"floor-now.json", "over-time.json"}
    assert len(uids) == len(BOARDS)
    for board in BOARDS.values():
        panels, variables = board["panels"], board["templating"]["list"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        asked = [*panels, *variables, *(target for panel in panels for target in panel["targets"])]
        assert {(each["datasource"]["uid"], each["datasource"]["type"]) for each in asked} == {(SOURCE["uid"], SOURCE["type"])}
        assert all(panel["description"] for panel in panels)
        taken = [(x, y) for panel in panels for x, y in _cells(panel["gridPos"])]
        assert len(taken) == len(set(taken))
        assert {link["url"].removeprefix("/d/") for link in board["links"]} <= uids


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    assert place["x"] + place["w"] <= 24
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_the_monitoring_profile_mounts_what_is_there_and_has_no_password() -> None:
    """Nobody gets it unasked; images are pinned, ports are this machine's; Grafana starts with passwords that were set, or not at all."""
    ours = {name: service for name, service in COMPOSE.items() if "profiles" in service}
    assert {name: service["profiles"] for name, service in ours.items()} == {
        "grafana": ["monitoring"],
        "prometheus": ["monitoring"],
    }
    for service in ours.values():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        mounted = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert all((DOCS.parent / folder).is_dir() for folder in mounted)
    secrets = ["GF_SECURITY_ADMIN_PASSWORD", "GRAFANA_DATABASE_PASSWORD"]
    assert ours["grafana"]["environment"] == secrets
    assert SOURCE["secureJsonData"] == {"password": f"${secrets[1]}"}
    script = ours["grafana"]["entrypoint"][-1].replace("$$", "$").replace("exec /run.sh", "echo started")
    for missing in secrets:
        environment = {name: "x" for name in secrets if name != missing}
        done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode != 0, missing in done.stderr) == (True, True)
    done = subprocess.run(["sh", "-c", script], env=dict.fromkeys(secrets, "x"), capture_output=True, text=True, check=True)
    assert done.stdout == "started\n"
    boards = yaml.safe_load((DOCS / "grafana/provisioning/dashboards/projector.yaml").read_text())["providers"][0]["options"][
        "path"
    ]
    assert f"./docs/grafana/dashboards:{boards}:ro" in ours["grafana"]["volumes"]


def test_the_sql_of_the_page_runs(databases: Databases) -> None:
    """As it stands: a role is made, sees the workspace, and does not any more."""
    page = (DOCS / "reporting.md").read_text()
    url = databases.new("postgresql")
    made, taken, settings = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    with psycopg.connect(text_url(url), autocommit=True) as connection:
        try:
            connection.execute(made)
            connection.execute(settings)
            assert connection.execute("SELECT role_name, sees_people FROM reporting.workspace_grant").fetchall() == [
                ("grafana", True)
            ]
            with psycopg.connect(text_url(url.set(username="grafana")), password="choose one") as reading:
                assert reading.execute("SELECT * FROM reporting.worker").fetchall() == []
            connection.execute(taken)
            assert connection.execute("SELECT * FROM reporting.workspace_grant").fetchall() == []
        finally:
            connection.execute("DROP ROLE grafana")
    assert SOURCE["user"] == "grafana"


# Prometheus


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in ALERTS for rule in group["rules"]}


def test_alerts_ask_for_metrics_that_are_there(url: URL) -> None:
    """Every metric and every label of the rules is one that `GET /metrics` shows."""
    with posting_to(url, event_streams_url=SINK) as webhook:
        webhook.post(task_created(at=0))
        webhook.post(task("task.updated", at=1), **{"X-Twilio-Signature": "no"})
        post_batch(webhook, batch(task_completed(at=2)))
        exposed = webhook.client.get("/metrics").get_data(as_text=True)
    metrics = set(re.findall(r"^# TYPE (projector_\w+)", exposed, re.MULTILINE))
    asked = {name for rule in _alerts().values() for name in re.findall(r"projector_\w+", rule["expr"])}
    assert len(asked) >= 8
    assert asked <= metrics
    for rule in _alerts().values():
        for metric, labels in re.findall(r"(projector_\w+)\{(.*?)\}", rule["expr"]):
            for label, value in re.findall(r'(\w+)=~?"(.*?)"', labels):
                told = {
                    re.search(rf'{label}="(.*?)"', line)[1] for line in exposed.splitlines() if line.startswith(f"{metric}{{")
                }  # type: ignore[index]
                assert told, (metric, label)
                if label == "route":
                    assert value in told
    outcomes = re.findall(r'outcome=~"(.*?)"', " ".join(rule["expr"] for rule in _alerts().values()))
    assert {value for each in outcomes for value in each.split("|")} <= {outcome.value for outcome in Outcome}


def test_the_shipped_server_counts_what_it_answers(databases: Databases) -> None:
    """By the command that people start, in all its processes together: what an alert asks for is there."""
    process = Process.serving(databases.new("sqlite"))
    with ending(process):
        process.start().wait_alive()
        assert process.post(task_created(at=0), task_created(at=1, task_="u")) == [204, 204]
        with urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=60) as answer:
            exposed = answer.read().decode()
    assert 'projector_http_answers_total{route="/callbacks",status="204"} 2.0' in exposed
    assert 'projector_callbacks_total{outcome="stored"} 2.0' in exposed


def test_alerts_say_what_it_is_and_what_to_do() -> None:
    """Each has a name of its own, a severity, a summary and the next step; Prometheus reads the file and scrapes the service."""
    names = [rule["alert"] for group in ALERTS for rule in group["rules"]]
    assert len(set(names)) == len(names) >= 8
    for rule in _alerts().values():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "next"}
    config = yaml.safe_load((DOCS / "prometheus/prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    (job,) = config["scrape_configs"]
    port = COMPOSE["serve"]["ports"][0].split(":")[-1]
    assert (job["job_name"], job["static_configs"]) == ("projector", [{"targets": [f"serve:{port}"]}])


def test_every_alert_is_tested() -> None:
    """One story in which it fires, and one in which everything is well and it does not."""
    stories = yaml.safe_load((DOCS / "prometheus/alerts-test.yml").read_text())["tests"]
    silent, *fires = stories
    assert {each["alertname"] for each in silent["alert_rule_test"]} == _alerts().keys()
    assert sorted(each["alertname"] for story in fires for each in story["alert_rule_test"]) == sorted(_alerts())
    assert all(each["exp_alerts"] for story in fires for each in story["alert_rule_test"])


def test_promtool_agrees() -> None:
    """Where it is installed it checks rules and configuration, and runs the rules' test; elsewhere the tests above have to do."""
    promtool = shutil.which("promtool")
    checks = ("check rules alerts.yml", "check config prometheus.yml", "test rules alerts-test.yml")
    for check in checks if promtool else ():
        done = subprocess.run(
            [str(promtool), *check.split()], cwd=DOCS / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
