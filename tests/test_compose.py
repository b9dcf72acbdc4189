"""What docker-compose.yml starts, started without Docker: the same commands, the same settings, a real PostgreSQL."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import yaml

from tests.databases import Databases
from tests.given import TOKEN, signed, task_created, text_url
from tests.test_cli import free_port

COMPOSE = yaml.safe_load((Path(__file__).parent.parent / "docker-compose.yml").read_text())


def test_migrate_then_serve_and_run(databases: Databases) -> None:
    """Migrate ends with 0; serve answers its health check and takes a signed callback; run projects it."""
    port = free_port()
    public_url = f"http://127.0.0.1:{port}/callbacks"
    environment = os.environ | {
        "PROJECTOR_DATABASE_URL": text_url(databases.new("postgresql", migrated=False)),
        "PROJECTOR_PUBLIC_URL": public_url,
        "TWILIO_AUTH_TOKEN": TOKEN,
    }

    def command(service: str) -> list[str]:
        said = [
            port if word == "8080" else "127.0.0.1" if word == "0.0.0.0" else word
            for word in COMPOSE["services"][service]["command"]
        ]
        return [sys.executable, "-m", "projector", *said]

    assert subprocess.run(command("migrate"), env=environment, timeout=120, check=False).returncode == 0
    with ExitStack() as ending:
        for service in ("serve", "run"):
            process = subprocess.Popen(command(service), env=environment, stderr=subprocess.DEVNULL)
            ending.callback(process.wait, timeout=30)
            ending.callback(process.terminate)
        until(f"http://127.0.0.1:{port}/healthz", lambda answer: answer == {"status": "alive"})
        body, headers = signed(task_created(at=0), url=public_url)
        posted = urllib.request.urlopen(urllib.request.Request(public_url, body, headers), timeout=30)
        assert posted.status == 204
        posted.close()
        until(f"http://127.0.0.1:{port}/readyz", lambda answer: (answer["log_position"], answer["projected_position"]) == (1, 1))


def until(address: str, holds: object, seconds: float = 60) -> None:
    """Ask until the answer holds; a generous deadline against hanging."""
    deadline = time.monotonic() + seconds
    answer: object = None
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                answer = json.load(response)
            if holds(answer):  # type: ignore[operator]
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{address} said {answer!r} to the end")
