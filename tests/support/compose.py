"""The compose file that users get, up and running with podman in a folder of the test's own."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.data import REPOSITORY
from tests.support.podman import BUILD, Podman, for_pip

SERVICES = ("watcher", "analyser", "resolver", "steward", "nats", "elasticsearch")
#: the owner of the photos, unlike anybody on the machine
PUID, PGID = 12345, 23456
STATES = ("nats", "elasticsearch", "watcher", "resolver")
FOLDERS = ("photos", "incoming", "duplicates", "secrets", *(f"data/{name}" for name in STATES))
SETTINGS = """\
roots:
  - {name: photos, path: /photos}
  - {name: incoming, path: /incoming, role: incoming}
action: move
target: /duplicates
keeper_age_seconds: 0
breaker: {at_least: 200}
watch: {settle_seconds: 0.2, rescan_seconds: 3600}
deduplication: {across_roots: true}
analysis: {threads: 1, memory_mb: 256}
"""
_PROJECT = "io.podman.compose.project"


class Stack:
    """One project with its folders, containers and networks; ``down`` ends what it started, by id."""

    def __init__(self, podman: Podman, folder: Path, *overrides: str) -> None:
        self.podman, self.folder = podman, folder
        self._files = ["docker-compose.yml", *overrides, "tests/containers/compose.test.yml"]
        self.project = f"photosift-test-{secrets.token_hex(4)}"
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        (folder / "photosift.yaml").write_text(SETTINGS)
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in self._variables().items()))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, PUID, PGID)

    def _variables(self) -> dict[str, object]:
        folders = {name.upper(): self.folder / name for name in ("photos", "incoming", "duplicates", "data", "secrets")}
        base = "localhost/photosift-test-base"
        return {"PUID": PUID, "PGID": PGID, "BASE": base, "CONFIG": self.folder / "photosift.yaml", **folders}

    def up(self) -> None:
        """From nothing, as docs/operations.md says."""
        self.compose("build", "watcher", timeout=500)
        self.prepare()
        self.compose("up", "--detach", "--no-build")

    def prepare(self) -> None:
        """Make the passwords that are missing."""
        self.compose("--profile", "prepare", "run", "--rm", "-T", "prepare")

    def compose(self, *arguments: str, timeout: float = 200, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("podman-compose")), "--project-name", self.project]
        command += ["--in-pod", "false", "--env-file", str(self.folder / ".env"), "--podman-run-args=--ulimit host"]
        command += [f"--podman-build-args={shlex.join([*BUILD, *for_pip(self.podman)])}"]
        command += [word for file in self._files for word in ("--file", str(REPOSITORY / file))]
        return self.podman.run([*command, *arguments], timeout=timeout, check=check, online=arguments[0] == "build")

    def ask(self, *arguments: str) -> str:
        """What a person asks, as docs/operations.md says."""
        return self.compose("--profile", "ask", "run", "--rm", "-T", "ask", *arguments).stdout

    def container(self, service: str) -> str:
        """Its id."""
        (found,) = self.containers_of(service)
        return found

    def containers_of(self, service: str) -> list[str]:
        return self._ids("ps", "--all", "--filter", f"label=com.docker.compose.service={service}")

    def _ids(self, *listing: str) -> list[str]:
        return self.podman(*listing, "--filter", f"label={_PROJECT}={self.project}", "--quiet", "--no-trunc").split()

    def execute(self, service: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside a service's container."""
        return self.podman.run(["podman", "exec", self.container(service), *command], timeout=60, check=check)

    def python(self, service: str, code: str) -> str:
        return self.execute(service, "/opt/photosift/bin/python", "-c", code).stdout

    def process(self, service: str, file: str) -> list[str]:
        """Lines of a file that the kernel keeps of a service's first process."""
        pid = self.podman.inspect(self.container(service))["State"]["Pid"]
        return self.podman.run(["cat", f"/proc/{pid}/{file}"], timeout=60).stdout.splitlines()

    def is_well(self, service: str) -> bool:
        """Its own health check, run now: without systemd podman does not run it by itself."""
        command = ["podman", "healthcheck", "run", self.container(service)]
        return self.podman.run(command, timeout=60, check=False).returncode == 0

    def log(self, service: str, *options: str) -> str:
        done = self.podman.run(["podman", "logs", *options, self.container(service)], timeout=60)
        return done.stdout + done.stderr

    def last_words(self) -> str:
        return "\n".join(
            f"== {found}\n" + self.podman.run(["podman", "logs", "--tail", "15", found], timeout=60).stderr
            for found in self.containers()
        )

    def down(self) -> None:
        self.compose("down", timeout=300, check=False)
        if left := self._ids("ps", "--all"):
            self.podman("rm", "--force", "--time", "0", *left)
        if networks := self.networks():
            self.podman("network", "rm", "--force", *networks)

    def containers(self) -> list[str]:
        return self._ids("ps", "--all")

    def networks(self) -> list[str]:
        found = json.loads(self.podman("network", "ls", "--format", "json"))
        return [network["name"] for network in found if (network.get("labels") or {}).get(_PROJECT) == self.project]


def eventually(what: Callable[[], bool], stack: Stack, within: float = 180) -> None:
    """Containers have no common event to wait for; when the time is over, what they said is shown."""
    until = time.monotonic() + within
    while not what():
        if time.monotonic() > until:
            raise AssertionError(f"not within {within} s\n{stack.last_words()}")
        time.sleep(0.2)
