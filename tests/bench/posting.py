"""P1: posting signed callbacks at the shipped server, against the same application that stores nothing."""

from collections.abc import Iterator
from functools import cache

from sqlalchemy.engine import URL

from projector.config import read_config
from tests.bench.cases import P1, Measured, NotMeasured, Round
from tests.bench.databases import stored
from tests.bench.figures import percentile, shown, spread
from tests.bench.load import Posted, post_steadily
from tests.bench.processes import PROJECTOR, environment, serving
from tests.bench.run import Run, undisturbed
from tests.bench.storing_nothing import Setup, setups

CONNECTIONS = 32
REQUESTS_PER_SECOND = 8_000  # more than is answered: each is posted once in a stretch
SHIPPED = [str(PROJECTOR), "serve", "--no-project"]


def measure(run: Run, backend: str) -> Iterator[Measured]:
    """Both servers in turn, each over a database of its own."""
    tried = _tried(run)
    fastest = max(tried, key=lambda setup: tried[setup])
    ours: list[Posted] = []
    theirs: list[Posted] = []
    for _ in run.each_round(f"P1 on {backend}"):
        for command, kept in ((SHIPPED, ours), (fastest.command, theirs)):
            with run.databases.fresh(backend) as url:
                kept.append(_post(run, command, url, run.sizes.post_seconds))
                _check(kept[-1], stored(url), stores=kept is ours)
    ours_ms, theirs_ms = _latencies(ours), _latencies(theirs)
    cores = [max(posted.own_share for posted in stretches) for stretches in (ours, theirs)]
    details = {
        "servers_tried": {str(setup): rate for setup, rate in tried.items()},
        "fastest": str(fastest),
        "web_processes": read_config(environment(url)).web_processes,
        "ours_ms": ours_ms,
        "theirs_ms": theirs_ms,
        "acknowledged": sum(posted.acknowledged for posted in ours),
        "load_generator_cores": cores,
    }
    notes = [
        "storing nothing, 204s a second: "
        + ", ".join(f"{setup} {shown(rate)}" for setup, rate in tried.items())
        + f"; so {fastest}",
        f"the shipped server's default is PROJECTOR_WEB_PROCESSES={details['web_processes']}",
        f"latency {_told(ours_ms)} against {_told(theirs_ms)}; every 204 of ours was found in the log; "
        f"posting took {cores[0]:.2f} and {cores[1]:.2f} of a core",
    ]
    rounds = [Round(our.rate, their.rate) for our, their in zip(ours, theirs, strict=True)]
    yield run.tell(Measured(P1, backend, rounds, details, notes))


@cache
def _tried(run: Run) -> dict[Setup, float]:
    """204s a second of every server without a log, the shipped server's own setup among them: once in a run."""
    found = {}
    for setup in setups():
        run.say(f"P1: trying {setup}")
        with run.databases.fresh("sqlite") as url:
            found[setup] = _post(run, setup.command, url, run.sizes.probe_seconds).rate
    return found


def _post(run: Run, command: list[str], url: URL, seconds: float) -> Posted:
    requests = run.callbacks.requests(int(REQUESTS_PER_SECOND * (run.sizes.post_seconds + run.sizes.warm_seconds)))
    run.databases.rest(url)
    with serving(command, environment(url), run.folder / "server.log") as port, undisturbed():
        posted = post_steadily(port, requests, CONNECTIONS, run.sizes.warm_seconds, seconds)
    if posted.others:
        raise NotMeasured(f"Not every callback was answered 204: {posted.others} (status: how many; 0: the connection ended).")
    return posted


def _check(posted: Posted, rows: int, stores: bool) -> None:
    if stores and rows < posted.acknowledged:
        raise NotMeasured(f"{posted.acknowledged} callbacks were answered 204, and {rows} are in the log.")
    if not stores and rows:
        raise NotMeasured(f"The application that should store nothing stored {rows} callbacks.")


def _latencies(stretches: list[Posted]) -> dict[str, float]:
    """Medians over the rounds, milliseconds."""
    return {
        name: spread([percentile(posted.latencies, share) * 1000 for posted in stretches]).median
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


def _told(latencies: dict[str, float]) -> str:
    return f"p50 {shown(latencies['p50'])} ms, p99 {shown(latencies['p99'])} ms"
