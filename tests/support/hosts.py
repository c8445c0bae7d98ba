"""A deployment over several hosts, on one machine: a bus, an index, and for each process a host with its own settings.

The hosts share nothing but bus, index and photos: each has its settings file, its state folder, and its own path to the
roots, as two computers have that mount the same share.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.resolver.store import FILE, read_open_decisions
from shared.bus.accounts import SERVICE_USERS, Credential
from shared.messages.resolution import GroupDecided
from tests.support.program import PHOTOSIFT, end, environment


class Hosts:
    """Processes by name (``analyser-1``); what is killed is started again by ``start``."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        roots: Mapping[str, str],
        credentials: Mapping[str, Credential],
    ) -> None:
        """``roots``: which watcher has a root; the photos lie in ``folder/photos/<root>``. Each gets its passwords."""
        self.folder, self._settings, self._roots, self._credentials = folder, settings, roots, credentials
        self._running: dict[str, subprocess.Popen[str]] = {}

    def root(self, name: str) -> Path:
        return self.folder / "photos" / name

    def start(self, *names: str) -> None:
        for name in names:
            self._running[name] = self._started(name)

    def _started(self, name: str) -> subprocess.Popen[str]:
        host = self.folder / name
        config, state = host / "photosift.yaml", host / "state"
        if not host.exists():
            host.mkdir()
            config.write_text(json.dumps({**self._settings, **self._own(name, host), "state_dir": str(state)}))
        service = name.partition("-")[0]
        with (host / "log").open("a") as log:
            return subprocess.Popen(
                [PHOTOSIFT, service, "--config", str(config), "-v"],
                env=environment(state),
                cwd=host,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
            )

    def _own(self, name: str, host: Path) -> dict[str, Any]:
        service, _, which = name.partition("-")
        mounted, secrets = host / "mnt", host / "secrets"
        secrets.mkdir()
        for user in SERVICE_USERS[service]:
            (secrets / user).write_text(self._credentials[user].password)
        if service == "analyser":
            mounted.symlink_to(self.folder / "photos")
        at = {"watcher": self.folder / "photos"}.get(service, mounted)  # the resolver sees no photo
        roots = [{"name": root, "path": str(at / root), "watcher": its} for root, its in self._roots.items()]
        named = {"watcher": which} if service == "watcher" else {}
        return {"roots": roots, "nats_credentials_dir": str(secrets), **named}

    def kill(self, name: str) -> None:
        """kill -9, as a power cut would; its workers go with it."""
        process = self._running.pop(name)
        assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log(name)[-2000:]}"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        return (self.folder / name / "log").read_text()

    def logs(self, word: str) -> list[str]:
        """Lines of any host in which a word stands, each with the host's name."""
        found = [
            (path.parent.name, line) for path in self.folder.glob("*/log") for line in path.read_text().splitlines()
        ]
        return [f"{name}: {line}" for name, line in found if word in line]

    def decisions(self, name: str) -> list[GroupDecided]:
        """What stands in a resolver's memory, whether it decides or stands by."""
        return read_open_decisions(self.folder / name / "state" / "resolver")

    def memory(self, name: str) -> str | None:
        """The id of a resolver's memory."""
        file = self.folder / name / "state" / "resolver" / FILE
        if not file.exists():
            return None
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'memory_id'").fetchone()
        return None if row is None else str(row[0])

    def end(self) -> dict[str, int]:
        """SIGTERM to all; how each ended."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return {name: end(process) for name, process in self._running.items()}


@contextlib.contextmanager
def hosts_at_work(
    folder: Path,
    settings: Mapping[str, Any],
    roots: Mapping[str, str],
    credentials: Mapping[str, Credential],
    names: Sequence[str],
) -> Iterator[Hosts]:
    made = Hosts(folder, settings, roots, credentials)
    try:
        made.start(*names)
        yield made
    finally:
        made.end()
