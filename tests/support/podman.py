"""Debian's podman with storage, networks and configuration of the tests' own; nothing of the machine's is touched.

It works in namespaces that end with the tests, however those end: processes, mounts, bridges and firewall rules go
with them.
What it needs to run as root on a hybrid cgroup tree and without CAP_SYS_RESOURCE stands in its configuration: runc
(crun refuses the tree), cgroupfs, and the host's limits.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: as root; the programs of .ci/packages.txt
PROGRAMS = ("podman", "runc", "mmdebstrap", "ip", "nsenter", "unshare")
CACHE = Path("/var/cache/photosift")

_CONTAINERS = """\
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{home}/storage"
runroot = "/run/containers/storage"
[storage.options.overlay]
{program}
"""
#: an overlay cannot lie on an overlay
_FUSE = 'mount_program = "/usr/bin/fuse-overlayfs"'


#: ends with the tests, also where those are killed: its standard input does
_NAMESPACES = """\
set -e
ip link set lo up
for folder in containers libpod netns runc; do
  mkdir -p /run/$folder
  mount -t tmpfs tmpfs /run/$folder
done
echo ready
exec cat
"""


class NoPodman(Exception):
    """Containers cannot run here; the message says why."""


class Podman:
    """One storage, used by one test run at a time. Made by ``opened``."""

    def __init__(self, home: Path, namespaces: int) -> None:
        self.home, self._namespaces = home, namespaces
        below = subprocess.run(
            ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", home],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        (home / "containers.conf").write_text(_CONTAINERS.format(home=home))
        program = _FUSE if below == "overlay" else ""
        (home / "storage.conf").write_text(_STORAGE.format(home=home, program=program))
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
        }

    def __call__(self, *arguments: str | Path, timeout: float = 120) -> str:
        """Standard output of a podman command; what it said is raised where it failed."""
        return self.run(["podman", *map(str, arguments)], timeout=timeout).stdout

    def run(
        self, command: Sequence[str], *, timeout: float, check: bool = True, online: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the containers are; ``online``: with the machine's network, for what a build fetches."""
        done = subprocess.run(
            [*self._inside(online=online), *command],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return done

    @contextmanager
    def running(self, command: Sequence[str], *, log: Path, **variables: str) -> Iterator[None]:
        """A program on the containers' host, which is told to end when the block is left."""
        held = ["sh", "-c", '"$@" & read -r end; kill "$!"; wait "$!"', "sh"]
        with (
            log.open("w") as out,
            subprocess.Popen(
                [*self._inside(), *held, *command],
                env={**self._environment, **variables},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            ) as process,
        ):
            assert process.stdin
            try:
                yield
            finally:
                process.stdin.close()

    def _inside(self, *, online: bool = False) -> list[str]:
        kinds = ["--mount", "--pid", *([] if online else ["--net"])]
        return ["nsenter", "--target", str(self._namespaces), *kinds, "--"]

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("inspect", container))[0]
        return found

    def has_image(self, name: str) -> bool:
        return self.run(["podman", "image", "exists", name], timeout=60, check=False).returncode == 0

    def import_debian(self, name: str, packages: Sequence[str]) -> None:
        """A minimal Debian with these packages as an image, once."""
        if self.has_image(name):
            return
        archive = self.home / "debian.tar"
        include = f"--include={','.join(packages)}"
        try:
            self.run(["mmdebstrap", "--variant=minbase", include, "bookworm", str(archive)], timeout=500, online=True)
            self("import", archive, name, timeout=200)
        finally:
            archive.unlink(missing_ok=True)

    def build(self, name: str, context: Path, **folders: Path) -> None:
        """The image of ``context/Containerfile``, which may copy from further folders by their names.

        Layers that did not change are kept from the last time.
        """
        more = [f"--build-context={folder_name}={folder}" for folder_name, folder in folders.items()]
        self("build", *BUILD, *more, "--tag", name, "--file", context / "Containerfile", context, timeout=500)


#: the build's own programs need more files than podman gives them by itself
BUILD = ("--ulimit", "nofile=20000:20000")


@contextmanager
def opened(home: Path = CACHE / "containers") -> Iterator[Podman]:
    """Podman, tried out, for this process alone. Raises ``NoPodman``."""
    if sys.platform != "linux" or os.geteuid():
        raise NoPodman("containers are run as root on Linux")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise NoPodman(f"there is no {', '.join(missing)} (apt-get install, see .ci/packages.txt)")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _namespaces() as pid:
            podman = Podman(home, pid)
            tried = podman.run(["podman", "info"], timeout=60, check=False)
            if tried.returncode:
                raise NoPodman(f"podman does not work here: {tried.stderr.strip()[-300:]}")
            for left in (("rm", "--all"), ("network", "prune")):
                podman(*left, "--force")  # of a run that was killed
            yield podman
        _sweep_cgroups()


@contextmanager
def _namespaces() -> Iterator[int]:
    """The first process in them: all others end with it."""
    kinds = ["--mount", "--net", "--pid", "--mount-proc", "--propagation", "private"]
    command = ["unshare", *kinds, "--fork", "--kill-child", "sh", "-c", _NAMESPACES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin and holder.stdout and holder.stderr
        try:
            if holder.stdout.readline() != "ready\n":
                raise NoPodman(f"no namespaces here: {holder.stderr.read()[-300:]}")
            (first,) = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
            yield int(first)
        finally:
            holder.stdin.close()
            holder.wait(30)


def _sweep_cgroups() -> None:
    """Empty ones that podman leaves; one that is in use cannot be removed."""
    for parent in Path("/sys/fs/cgroup").glob("**/libpod_parent"):
        for folder in (*parent.iterdir(), parent):
            if folder.is_dir():
                with suppress(OSError):
                    folder.rmdir()


def for_pip(podman: Podman) -> list[str]:
    """Options by which pip inside a build is configured as pip outside is; files that it names are there too."""
    listed = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(listed, capture_output=True, text=True, check=False).stdout
    pairs = (line.partition("=") for line in said.splitlines())
    known = {name.rpartition(".")[2]: ast.literal_eval(value) for name, _, value in pairs}
    config = podman.home / "pip.conf"
    lines = ("{} = {}\n".format(name, value.replace("\n", "\n  ")) for name, value in known.items())
    config.write_text("[global]\n" + "".join(lines))
    named = {value for value in known.values() if Path(value).is_absolute() and Path(value).exists()}
    mounts = [f"{config}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in sorted(named))]
    return ["--network", "host", *(word for mount in mounts for word in ("--volume", mount))]
