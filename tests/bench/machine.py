"""Where it ran: without this no figure means anything."""

import os
import platform
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

from projector.database import disposing, open_engine
from projector.log import open_log
from tests.bench.databases import Databases
from tests.given import text_url

PACKAGES = ("eventsourcing", "SQLAlchemy", "psycopg", "Flask", "granian", "gunicorn", "msgspec", "twilio", "taskrouter-projector")
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size")
SYNC_SECONDS = 1.0
BLOCK_BYTES = 8_192


def machine(folder: Path) -> dict[str, Any]:
    """Processor, memory, kernel, what else is going on, and how often a second its disk can be asked to keep a block."""
    return {
        "cpu": _found("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(_found("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "fdatasync_per_second": round(_fdatasyncs(folder)),
    }


def versions() -> dict[str, str]:
    """Of Python, SQLite and the packages that matter, where they are installed."""
    found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def settings(databases: Databases, with_sqlite: bool, with_postgresql: bool) -> dict[str, Mapping[str, str]]:
    """What a commit waits for, as the databases themselves say it."""
    found: dict[str, Mapping[str, str]] = {}
    if with_sqlite:
        with databases.fresh("sqlite") as url, closing(open_log(url)) as log, disposing(open_engine(url)) as engine:
            with engine.connect() as connection:
                tables = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
            levels = ("OFF", "NORMAL", "FULL", "EXTRA")
            found["sqlite"] = {"log synchronous": levels[log.synchronous()], "tables synchronous": levels[tables]}  # type: ignore[attr-defined]
    if with_postgresql:
        with psycopg.connect(text_url(databases.server_url())) as connection:
            names = ("server_version", *SETTINGS)
            found["postgresql"] = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in names}  # type: ignore[index]
    return found


def _fdatasyncs(folder: Path) -> float:
    """Blocks written and kept a second, one after another."""
    path, block, count = folder / "block", os.urandom(BLOCK_BYTES), 0
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < SYNC_SECONDS:
            os.pwrite(file.fileno(), block, 0)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / passed


def _found(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "0"
