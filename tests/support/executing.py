"""A stage for the executor: roots, a target and a state folder on a real disk, and commands with true evidence."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import FaultPoint, no_fault
from services.watcher.hands.executor import Executor
from services.watcher.hands.items import Item
from services.watcher.hands.recovery import Recovery
from services.watcher.hands.removal import Removal
from services.watcher.hands.restoring import Restoring
from services.watcher.hands.sight import Sight
from services.watcher.hands.workbench import Workbench
from shared.config import Root, Settings
from shared.messages.base import FileRef
from shared.messages.commands import Evidence, TakeFile
from shared.paths import PhotoPath

#: a moment long after every file of a test was made
NOW = 2_000_000_000.0
DAY = 86_400.0


@dataclass
class SetClock:
    """A clock whose hands the test turns."""

    at: float = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@dataclass
class Hand:
    """One executor and all that belongs to it."""

    bench: Workbench
    executor: Executor
    recovery: Recovery
    restoring: Restoring
    removal: Removal

    def held(self) -> list[Item]:
        return self.bench.items.in_state("held")


@dataclass
class Stage:
    """Files and settings; ``hand`` opens an executor over them."""

    folder: Path
    clock: SetClock = field(default_factory=SetClock)
    settings: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=lambda: {"photos": "library"})
    paths: dict[str, Path] = field(default_factory=dict)
    sight: Sight = field(default_factory=lambda: Sight(known_since=lambda _: 0.0, files_in=lambda _: 10_000))

    def __post_init__(self) -> None:
        for name in self.roles:
            self.root(name).mkdir(parents=True, exist_ok=True)
        self.state.mkdir(exist_ok=True)

    def root(self, name: str = "photos") -> Path:
        return self.paths.get(name, self.folder / name)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def target(self) -> Path:
        return self.paths.get("target", self.folder / "target")

    def write(self, rel: str, data: bytes = b"picture", root: str = "photos") -> Path:
        path = self.root(root) / rel
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def pair(self, data: bytes = b"the same picture") -> tuple[Path, Path]:
        """``a/victim.jpg`` and ``b/keeper.jpg``, equal in their bytes."""
        return self.write("a/victim.jpg", data), self.write("b/keeper.jpg", data)

    def evidence(self, rel: str, root: str = "photos") -> Evidence:
        path = self.root(root) / rel
        stat = path.stat()
        return Evidence(
            file=FileRef.of(PhotoPath(root, os.fsencode(rel))),
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            ctime_ns=stat.st_ctime_ns,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            dev=stat.st_dev,
            ino=stat.st_ino,
            version=1,
        )

    def command(
        self,
        victim: str = "a/victim.jpg",
        keeper: str = "b/keeper.jpg",
        *,
        action: str = "delete",
        victim_root: str = "photos",
        keeper_root: str = "photos",
        **more: Any,
    ) -> TakeFile:
        """True as of now; ``more`` replaces fields."""
        values: dict[str, Any] = {
            "decision_id": f"decision of {victim!r}",
            "batch_id": "batch",
            "action": action,
            "victim": self.evidence(victim, victim_root),
            "keeper": self.evidence(keeper, keeper_root),
            "match_class": "same-bytes",
            "distance": 0.0,
            "expires_at": self.clock.at + 600,
            "target": str(self.target) if action == "move" else None,
        }
        return TakeFile(**(values | more))

    def made_settings(self, action: str = "delete", **more: Any) -> Settings:
        roots = tuple(
            Root(name=name, path=self.root(name), role=role)  # type: ignore[arg-type]
            for name, role in self.roles.items()
        )
        values = {
            "roots": roots,
            "action": action,
            "allow_delete": action == "delete",
            "target": self.target if action == "move" else None,
        }
        return Settings(**(values | self.settings | more))

    @contextmanager
    def hand(
        self,
        action: str = "delete",
        *,
        fault: FaultPoint = no_fault,
        state: Path | None = None,
        sight: Sight | None = None,
        **settings: Any,
    ) -> Iterator[Hand]:
        """An executor with a fresh process' memory: only the journal is kept from one to the next."""
        if state is not None:
            state.mkdir(exist_ok=True)
        bench = Workbench(
            disk=LocalDisk(fault),
            settings=self.made_settings(action, **settings),
            clock=self.clock,
            folder=state or self.state,
            sight=sight or self.sight,
            fault_point=fault,
        )
        try:
            executor = Executor(bench)
            restoring = Restoring(bench)
            yield Hand(bench, executor, Recovery(bench, executor, restoring), restoring, Removal(bench))
        finally:
            bench.close()


def photos_in(*folders: Path) -> list[Path]:
    """Every file below the folders that is a photo: also those aside, in quarantine and target; no records, no locks."""
    ours = {"record.json", "record-2.json", "owner.json", "owner.lock", "target.json"}
    return sorted(
        path
        for folder in folders
        if folder.exists()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ours and not _is_note(path)
    )


def _is_note(path: Path) -> bool:
    """A record in the target, a pointer, or such a note that a crash left half written (not a half-written photo)."""
    private = ".photosift" in path.parts
    return private and (path.parent.name in ("records", "places") or path.name.startswith(".photosift-copy-"))


def contents_in(*folders: Path) -> Mapping[bytes, int]:
    """How often each content is there."""
    found: dict[bytes, int] = {}
    for path in photos_in(*folders):
        data = path.read_bytes()
        found[data] = found.get(data, 0) + 1
    return found


def at_step(step: str, act: Any, *, times: int = 1) -> FaultPoint:
    """A fault point that does something when the named step comes: interleaving by name, not by time."""
    left = [times]

    def fault(now: str) -> None:
        if now == step and left[0]:
            left[0] -= 1
            act()

    return fault
