"""The benchmarks run, and their document has the keys that whoever compares runs relies on. What they measured is not judged."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.cases import P2, P7, P10, Case
from tests.databases import Databases
from tests.harness import ROOT

SECONDS = 120
KEYS = {"id", "what", "against", "database", "unit", "smaller_is_better", "is_ratio", "figure", "ours", "theirs", "must", "aim",
        "verdict", "rounds", "details", "notes"}  # fmt: skip


def run(*arguments: str, server: str, module: str = "tests.bench") -> "subprocess.CompletedProcess[str]":
    """The command, over a PostgreSQL that is there already."""
    environment = {**os.environ, "PROJECTOR_TEST_DATABASE_URL": server}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_a_small_run_measures_what_was_asked_for(databases: Databases, tmp_path: Path) -> None:
    """Two measures on SQLite: a table for a person, a document for a program, nothing left behind."""
    server = databases.server_url().render_as_string(hide_password=False)
    path = tmp_path / "bench.json"
    done = run("P2", "p11", "--small", "--rounds", "1", "--on", "sqlite", "--json", str(path), server=server)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(path.read_text())
    assert found["failures"] == []
    assert found["machine"]["fdatasync_per_second"] > 0
    assert found["settings"]["sqlite"] == {"log synchronous": "FULL", "tables synchronous": "NORMAL"}
    assert "fsync" in found["settings"]["postgresql"]
    assert {(each["id"], each["database"]) for each in found["measures"]} == {
        ("P2", "sqlite"), ("P2i", "sqlite"), ("P11", None), ("P11", "sqlite"),
    }  # fmt: skip
    for each in found["measures"]:
        assert set(each) == KEYS
        assert [once["figure"] for once in each["rounds"]] == [each["figure"]["median"]]
        assert each["ours"]["median"] > 0
        assert each["id"] in done.stdout


def test_the_stages_are_told(databases: Databases) -> None:
    """Both ways of folding, on both databases, each stage with its microseconds."""
    server = databases.server_url().render_as_string(hide_password=False)
    done = run("--callbacks", "1000", server=server, module="tests.bench.stages")
    assert done.returncode == 0, done.stderr
    told = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in done.stdout.splitlines()
        if "│" in line
    }
    assert {"read", "decode", "mentions", "load", "group and fold", "write history", "sum"} <= told.keys()
    assert all(float(cell) > 0 for cell in told["sum"])
    assert len(told["sum"]) == 4


def test_a_measure_nobody_knows_is_refused() -> None:
    """In a sentence, before anything is started."""
    done = run("P99", server="")
    assert done.returncode == 2
    assert "P99 is no measure" in done.stderr


@pytest.mark.parametrize(
    ("case", "figure", "verdict"),
    [
        (P2, 15.0, "aim"), (P2, 8.0, "must"), (P2, 7.9, "below"), (P7, 1.1, "aim"), (P7, 1.5, "must"), (P7, 1.6, "below"),
        (P10, 100.0, "aim"), (P10, 251.0, "below"), (P2._replace(must=None), 100.0, "none"),
    ],
)  # fmt: skip
def test_a_verdict_knows_which_way_is_better(case: Case, figure: float, verdict: str) -> None:
    """At least, or at most."""
    assert case.verdict(figure) == verdict
