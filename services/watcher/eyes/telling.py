"""[pure] From what changed to rows and messages, each with its version. (S18)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.watcher.eyes.known import Facts
from shared.messages.base import FileRef
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled, PassFinished
from shared.paths import PhotoPath

PUT = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, NULL)"
END = "UPDATE files SET live = 0, gone = ?, version = ?, known_since = ? WHERE root = ? AND folder = ? AND name = ?"
REFRESH = "UPDATE files SET dev = ?, ino = ?, birth_ns = ?, nlink = ? WHERE root = ? AND folder = ? AND name = ?"


class Change(NamedTuple):
    """One thing to write down and to tell."""

    #: ``settled`` | ``moved`` | ``gone`` | ``refreshed`` (told to nobody: only device or inode numbers are new)
    kind: str
    path: PhotoPath
    #: None for ``gone``
    facts: Facts | None = None
    #: for ``moved``: the name it had; its own ``gone`` follows by itself
    moved_from: PhotoPath | None = None
    #: for ``gone``: deleted | renamed | taken | ignored
    reason: str = ""


class Pending(NamedTuple):
    """A message in the outbox."""

    seq: int
    message: FileEvent | PassFinished


class Teller:
    """Counts versions up from ``version`` and keeps statements and messages in the order of the changes."""

    def __init__(self, numbers: Mapping[str, int], version: int, now: float) -> None:
        self._numbers, self._version, self._now = numbers, version, now
        #: (statement, values) in order
        self.steps: list[tuple[str, tuple[object, ...]]] = []
        self.messages: list[FileEvent] = []

    def tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == "gone":
                self._gone(change.path, change.reason)
            elif change.kind == "refreshed":
                self._refreshed(change.path, _must(change.facts))
            else:
                self._here(change.path, _must(change.facts), change.moved_from)

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _place(self, path: PhotoPath) -> tuple[object, ...]:
        return (self._numbers[path.root], path.folder, path.name)

    def _here(self, path: PhotoPath, facts: Facts, moved_from: PhotoPath | None) -> None:
        version, file, stat, now = self._next(), FileRef.of(path), facts.as_stat(), self._now
        seen = (facts.size, facts.mtime_ns, facts.ctime_ns, facts.dev, signed(facts.ino), facts.birth_ns, facts.nlink)
        self.steps.append((PUT, (*self._place(path), *seen, version, now)))
        if moved_from is None:
            self.messages.append(FileSettled(file=file, version=version, stat=stat, known_since=now))
            return
        old = FileRef.of(moved_from)
        self.messages.append(FileMoved(file=file, version=version, stat=stat, known_since=now, moved_from=old))
        self._gone(moved_from, "renamed")

    def _gone(self, path: PhotoPath, reason: str) -> None:
        version = self._next()
        self.steps.append((END, (reason, version, self._now, *self._place(path))))
        self.messages.append(FileGone(file=FileRef.of(path), version=version, reason=reason))

    def _refreshed(self, path: PhotoPath, facts: Facts) -> None:
        self.steps.append((REFRESH, (facts.dev, signed(facts.ino), facts.birth_ns, facts.nlink, *self._place(path))))


def signed(ino: int) -> int:
    """An inode number as SQLite can hold it: pools and network shares use all 64 bits."""
    return ino - (1 << 64) if ino >= 1 << 63 else ino


def _must(facts: Facts | None) -> Facts:
    if facts is None:
        raise ValueError("a file that is there has facts")
    return facts


def roots_of(changes: Sequence[Change]) -> Iterator[str]:
    """Every root that the changes touch, with repeats."""
    for change in changes:
        yield change.path.root
        if change.moved_from is not None:
            yield change.moved_from.root
