"""[pure] FS, account data: what the watcher saw. Consumed by the analyser."""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import FileRef, FileStat, Message


class FileEvent(Message):
    """What the three file messages share."""

    file: FileRef
    #: epoch and per-file counter in one number (S18): every write that follows is fenced by it
    version: int

    @property
    def message_id(self) -> str:
        return f"fs:{self.file.photo.file_id}:{self.version}"

    @property
    def about(self) -> str:
        return self.file.photo.file_id


class FileSettled(FileEvent):
    """A new or modified file that has become quiet (S15)."""

    TYPE: ClassVar[str] = "photosift.file.settled.v1"

    stat: FileStat
    #: seconds since the epoch at which the watcher first knew this content at this place (S15)
    known_since: float


class FileMoved(FileEvent):
    """A file that was renamed; its bytes did not change (inode, size, mtime and birth time agree, S16)."""

    TYPE: ClassVar[str] = "photosift.file.moved.v1"

    stat: FileStat
    known_since: float
    #: the name it had; its own ``FileGone`` follows
    moved_from: FileRef


class FileGone(FileEvent):
    """A file that is known to be gone: its folder was read and does not list it (never mere absence, S14)."""

    TYPE: ClassVar[str] = "photosift.file.gone.v1"

    #: ``deleted`` | ``renamed`` | ``taken`` (by the executor) | ``ignored`` (a setting leaves it out now)
    reason: str


class PassFinished(Message):
    """The watcher has looked at a whole root once. Says how many events the pass published."""

    TYPE: ClassVar[str] = "photosift.file.pass-finished.v1"

    root: str
    pass_id: str
    #: files that the filters let through
    files: int
    #: file events published for it
    published: int
    #: files left out by a rule
    skipped: int
    gone: int
    #: seconds the pass waited for young files to settle
    waited: float
    #: why nothing can be said about the root (S14), or None
    unknown: str | None = None

    @property
    def message_id(self) -> str:
        return f"pass:{self.root}:{self.pass_id}"

    @property
    def about(self) -> str:
        return self.root
