"""A real Elasticsearch for tests and development, one for the whole test run.

``ELASTICSEARCH_URL`` names one that runs already; else a distribution is started (elasticsearch_distribution.py); else a
container. A keeper process holds it for the run: it ends, and takes its node along, when the process that started the
tests is gone, however that ended. The workers of pytest-xdist find the same keeper.

``make elasticsearch`` (``python -m tests.support.elasticsearch``) starts one in the foreground.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY
from tests.support.elasticsearch_distribution import VERSION, Missing, distribution, java_home
from tests.support.elasticsearch_server import Node, answers, node

KEPT_WITHIN = 600.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where it answers."""

    url: str
    ca_file: str = ""


def for_tests(*, fenced: bool = False) -> Server:
    """The server of this test run. Without one the test skips, and says why; where ``CI`` is true it fails."""
    try:
        return _of_this_run(fenced)
    except Missing as why:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"no Elasticsearch: {why}")
        pytest.skip(f"no Elasticsearch: {why}")


def _of_this_run(fenced: bool) -> Server:
    if not fenced and (url := os.environ.get("ELASTICSEARCH_URL")):
        return Server(url=url.rstrip("/"))
    run = _run_folder("fenced" if fenced else "open")
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = _kept(run)
        return there or _keep(run, fenced)


def _run_folder(kind: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"photosift-elasticsearch-{os.geteuid()}-{_run_pid()}-{kind}"
    folder.mkdir(mode=0o755, exist_ok=True)
    return folder


def _run_pid() -> int:
    """The process that was started to test: the parent of pytest-xdist's workers."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _kept(run: Path) -> Server | None:
    """What a keeper says, if it still keeps."""
    try:
        told = json.loads((run / "server.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    if "missing" in told:
        raise Missing(told["missing"])
    server = Server(**told)
    return server if answers(server.url, bool(server.ca_file), Path(server.ca_file)) else None


def _keep(run: Path, fenced: bool) -> Server:
    """Start a keeper and wait for what it says. It is nobody's child: it must outlive this worker."""
    command = [sys.executable, "-m", __name__, "keep", str(run), str(_run_pid()), *(["fenced"] if fenced else [])]
    (run / "server.json").unlink(missing_ok=True)
    with (run / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + KEPT_WITHIN
    while time.monotonic() < deadline:
        if (there := _kept(run)) is not None:
            keeper.returncode = 0  # not ours to wait for
            return there
        if keeper.poll() is not None:
            raise RuntimeError(f"no Elasticsearch for the tests:\n{(run / 'keeper.log').read_text()[-3000:]}")
        time.sleep(0.1)
    raise RuntimeError(f"no Elasticsearch for the tests within {KEPT_WITHIN:.0f} s")


def keep(run: Path, pid: int, *, fenced: bool) -> None:
    """Hold a server until the process ``pid`` is gone."""
    watched = os.pidfd_open(pid)
    try:
        distribution(), java_home()
    except Missing as why:
        return _keep_a_container(run, watched, why, fenced)
    with tempfile.TemporaryDirectory(prefix="photosift-node-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with node(Path(folder) / "node", name="fenced" if fenced else "test", fenced=fenced) as started:
            ca_file = str(started.ca_file) if fenced else ""
            _say(run, asdict(Server(url=started.url, ca_file=ca_file)))
            select.select([watched], [], [])
    _forget(run)


def _keep_a_container(run: Path, watched: int, why: Missing, fenced: bool) -> None:
    """With Docker and testcontainers at hand; not where certificates have to be ours."""
    try:
        from testcontainers.elasticsearch import ElasticSearchContainer  # type: ignore[import-not-found,unused-ignore]

        if fenced:
            raise Missing("a container has no users of ours")
        with ElasticSearchContainer(f"elasticsearch:{VERSION}") as container:
            _say(run, asdict(Server(url=container.get_url())))
            select.select([watched], [], [])
    except Exception as error:  # noqa: BLE001  no Docker, no image, no testcontainers: each its own kind of error
        _say(run, {"missing": f"{why}; and no container: {type(error).__name__}: {error}"[:500]})
        select.select([watched], [], [])
    _forget(run)


def _say(run: Path, told: dict[str, str]) -> None:
    (run / "said").write_text(json.dumps(told))
    (run / "said").rename(run / "server.json")


def _forget(run: Path) -> None:
    for name in ("server.json", "keeper.log", "lock"):
        (run / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run.rmdir()


@contextlib.contextmanager
def own_node(*, fenced: bool = False, extra: str = "") -> Iterator[Node]:
    """A node for one test alone, to be frozen, killed, or filled up. Skips as ``for_tests`` does."""
    try:
        distribution(), java_home()
    except Missing as why:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"no Elasticsearch: {why}")
        pytest.skip(f"no Elasticsearch: {why}")
    with tempfile.TemporaryDirectory(prefix="photosift-node-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with node(Path(folder) / "node", fenced=fenced, extra=extra) as started:
            yield started


def remove_indices(url: str, name: str) -> None:
    """What a test made there; other tests use the same server."""
    with urllib.request.urlopen(f"{url}/{name}-*/_settings?filter_path=*.settings.index.uuid", timeout=30) as answer:
        made = list(json.loads(answer.read() or b"{}"))
    for index in made:
        urllib.request.urlopen(urllib.request.Request(f"{url}/{index}", method="DELETE"), timeout=30).close()


def in_the_foreground() -> None:
    """For development: until Ctrl-C. What it held is gone then."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="photosift-node-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with node(Path(folder) / "node", name="development") as started:
            print(f"ELASTICSEARCH_URL={started.url}", flush=True)
            while True:
                signal.pause()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keep", run, pid, *fenced]:
            keep(Path(run), int(pid), fenced=bool(fenced))
        case _:
            try:
                in_the_foreground()
            except Missing as missing:
                sys.exit(f"no Elasticsearch: {missing}")
