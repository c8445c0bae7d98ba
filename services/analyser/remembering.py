"""[pure] What a file event asks for, given what the index has: nothing, the same again, a known content, or reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.index.port import FileDoc
from shared.messages.base import FileStat
from shared.messages.files import FileEvent, FileMoved, FileSettled


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do about one event, and why."""

    do: Literal["nothing", "say-again", "reuse", "read"]
    because: str
    #: for ``say-again`` what is stored; for ``reuse`` the document whose content it is
    known: FileDoc | None = None


def already_answered(event: FileEvent, own: FileDoc | None) -> Step | None:
    """Late and repeated events (S18): an older version than what is stored says nothing, the same is said again.

    The crash may have come between storing and publishing; the message id is the same, so nothing is said twice.
    """
    if own is None or own.version < event.version:
        return None
    if own.version > event.version:
        return Step(do="nothing", because=f"version {own.version} is known already")
    return Step(do="say-again", because="this version is stored already", known=own)


def step_for(event: FileSettled | FileMoved, own: FileDoc | None, source: FileDoc | None) -> Step:
    """``own``: the file's document; ``source``: for a renamed file the document of its old name, tombstone or not."""
    answered = already_answered(event, own)
    if answered is not None:
        return answered
    if own is not None and _untouched(own, event.stat):
        return Step(do="reuse", because="the file did not change", known=own)
    if isinstance(event, FileMoved) and source is not None and _renamed(source, event.stat):
        return Step(do="reuse", because="the file was renamed", known=source)
    return Step(do="read", because="its content is not known")


def _untouched(known: FileDoc, now: FileStat) -> bool:
    """Even ctime agrees: an edit that restores mtime changes it. A file that was gone came anew: it is read."""
    before = known.stat
    if known.state != "analysed" or known.sha256 is None or before is None:
        return False
    same_times = (before.mtime_ns, before.ctime_ns) == (now.mtime_ns, now.ctime_ns)
    return same_times and (before.size, before.ino) == (now.size, now.ino)


def _renamed(known: FileDoc, now: FileStat) -> bool:
    """Inode, size, mtime and, where both are known, birth time agree (S16: inodes are reused at once)."""
    before = known.stat
    if known.state == "unreadable" or known.sha256 is None or before is None:
        return False
    births = {birth for birth in (before.birth_ns, now.birth_ns) if birth is not None}
    return before.same_content_as(now) and before.ino == now.ino and len(births) <= 1
