"""What the README says is so."""

import json
import os
import re
import subprocess
import sys
import tomllib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response

from projector.cli import commands
from projector.config import SETTINGS
from projector.database import disposing, open_engine
from projector.log import Entry, open_log
from projector.project import project
from projector.table_sink import TableSink
from projector.tables import document
from projector.taskrouter.event_types import EVENT_TYPES, SPELLINGS
from tests.bench.report import quoted
from tests.databases import Databases
from tests.given import START_MS, task_created, text_url, worker

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(header: str) -> dict[str, str]:
    """A table of the README: first cell → last cell."""
    body = README.partition(f"| {header} |")[2].partition("\n\n")[0]
    cells = [line.strip("|").split(" | ") for line in body.splitlines()[2:]]
    return {row[0].strip().strip("`"): row[-1].strip() for row in cells}


def test_the_event_table_is_the_one_in_the_code() -> None:
    """Every EventType stands in the README with the effect the code states."""
    expected = {name: event.effect for name, event in EVENT_TYPES.items()}
    expected |= {name: f"another spelling of `{canonical}`" for name, canonical in SPELLINGS.items()}
    assert rows("EventType | its loss is | what changes") == expected


def test_the_settings_table_is_the_one_in_the_code() -> None:
    """Every setting stands in the README with its meaning, and the code reads no other from the environment."""
    assert rows("setting | default | meaning") == {name: meaning for name, (_, meaning) in SETTINGS.items()}


def test_every_command_is_in_the_readme_and_has_an_example() -> None:
    """A command nobody can find is not there."""
    shown = [command for command in commands.commands.values() if not command.hidden]
    for command in shown:
        assert f"`projector {command.name}" in README
        assert "Example: projector" in (command.help or "")


def test_the_figures_are_those_of_the_last_benchmark() -> None:
    """The table under "How fast" is what docs/bench.json comes to: `make bench JSON=docs/bench.json` replaces both, in full alone."""
    found = json.loads((ROOT / "docs" / "bench.json").read_text())
    assert (found["small"], found["failures"]) == (False, [])
    assert quoted(found) in README


def test_the_page_of_the_data_model_is_the_metadata_s() -> None:
    """`make docs` wrote it since the metadata last changed."""
    assert (ROOT / "docs" / "tables.md").read_text() == document.page()


def test_the_api_page_s_client_sends_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example runs as it stands, and reads a list from the address it names."""
    asked: list[tuple[str, str, object]] = []

    def request(_: object, method: str, url: str, *__: object, auth: object = None, **___: object) -> Response:
        asked.append((method, url, auth))
        return Response(200, json.dumps({"meta": {"key": "workers", "next_page_url": None}, "workers": []}))

    monkeypatch.setattr(TwilioHttpClient, "request", request)
    page = (ROOT / "projector" / "api" / "pages" / "api.md").read_text()
    exec(page.partition("```python\n")[2].partition("```")[0], {})  # noqa: S102 (our own page)
    assert asked == [("GET", "https://projector.example.com/v1/Workspaces/WS…/Workers", ("reader", "password"))]


def test_every_make_target_of_the_readme_exists() -> None:
    """`make …` in the README names targets of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:\$ |`)make ([a-z-]+)", README)) <= targets


def test_the_commands_of_the_readme_run(databases: Databases, tmp_path: Path) -> None:
    """The console block under Commands, line by line, on an empty database."""
    block = README.partition("## Commands")[2].partition("```console\n")[2].partition("```")[0]
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(databases.new("sqlite", migrated=False))}
    lines = block.splitlines()
    ran = [line[2:] for line in lines if line.startswith("$ ")]
    assert len(ran) >= 4
    for line in ran:
        command = line.replace("projector", f"{sys.executable} -m projector", 1)
        done = subprocess.run(command, shell=True, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S602
        assert done.returncode == 0, (line, done.stderr)
        said = lines[lines.index(f"$ {line}") + 1 : lines.index(f"$ {line}") + 2]
        assert not said or said[0].startswith("$") or done.stdout.strip() == said[0]


def test_the_commands_of_the_history_page_run(databases: Databases, tmp_path: Path) -> None:
    """Every console line of docs/history.md, over a log that holds the Sids it names."""
    page = (ROOT / "docs" / "history.md").read_text()
    lines = [line[2:] for line in page.splitlines() if line.startswith("$ ")]
    named = dict.fromkeys(re.findall(r"\b(?:WK|WT)[0-9a-f]{32}\b", page))
    sids = {sid[:2]: sid for sid in named}
    url = databases.new("sqlite")
    at = (datetime(2026, 3, 17, 10, 0, tzinfo=UTC).timestamp() * 1000 - START_MS) / 1000
    with closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
        told = [worker("created", at, WorkerSid=sids["WK"]), task_created(at + 60, TaskSid=sids["WT"])]
        log.append([Entry.of(parameters, "callback", START_MS + round(at * 1000) + 60_000) for parameters in told])
        project(log, TableSink(engine))
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": text_url(url)}
    assert {line.split()[1] for line in lines} == {"at", "explain", "rebuild", "verify"}
    for line in lines:
        command = line.replace("projector", f"{sys.executable} -m projector", 1)
        done = subprocess.run(command, shell=True, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S602
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_compose_names_commands_that_exist_and_no_password() -> None:
    """Each service of ours runs a command of ours, with the health checks' paths; secrets have no default."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert [services[name]["command"][0] for name in ("migrate", "serve", "run")] == ["migrate", "serve", "run"]
    assert set(services["serve"]["environment"]) <= set(SETTINGS)
    for secret in ("PROJECTOR_DATABASE_PASSWORD", "TWILIO_AUTH_TOKEN"):
        assert f"${{{secret}:?" in (ROOT / "docker-compose.yml").read_text()
    assert "ports" not in services["postgres"]


def test_the_version_is_told_once() -> None:
    """Pyproject's version is what `projector --version` says."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    said = subprocess.run([sys.executable, "-m", "projector", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.strip().endswith(version)


@pytest.mark.parametrize("path", sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("projector/**/*.py")))
def test_no_module_is_named_for_nothing(path: str) -> None:
    """A module is named for what it knows."""
    assert Path(path).stem not in {"utils", "helpers", "manager", "common", "base", "misc"}


def test_the_commands_of_the_feeds_page_are_commands() -> None:
    """Each `$ projector …` there: the command is known, and so are its options. (What they do, their own tests try.)"""
    page = (ROOT / "docs" / "feeds.md").read_text()
    lines = [line.removeprefix("$ projector ").split() for line in page.splitlines() if line.startswith("$ projector ")]
    assert {line[0] for line in lines} == {"consume", "backfill", "adopt", "gaps", "stuck"}
    for line in lines:
        done = CliRunner().invoke(commands, [*line, "--help"])
        assert done.exit_code == 0, (line, done.output)
    assert CliRunner().invoke(commands, ["stuck", "--factors", "5", "--help"]).exit_code != 0
