"""The owner's lock and name in a root: ``.photosift/owner.lock`` (flock) and ``owner.json``. (S23)

Opened through directory descriptors without following a link (S9). Only these two files are ever replaced in place,
and both are ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from services.watcher.disk.port import PRIVATE, Disk, TreeRoot
from shared.errors import PermanentError
from shared.messages.base import Value

LOCK = b"owner.lock"
OWNER = b"owner.json"
#: NONBLOCK: a FIFO that somebody left there must not make the executor wait
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LockHeld(PermanentError):
    """Another executor holds the lock."""

    code = "lock-held"


class OwnerUnreadable(PermanentError):
    """The owner's name in the root cannot be read."""

    code = "owner-unreadable"


class Owner(Value):
    """Whose root it is."""

    #: id of the journal that may act here
    journal: str
    #: raised by every ``adopt``
    generation: int
    #: epoch of that journal when it last claimed the root (S12)
    epoch: int


class LockFile:
    """A held lock; let go by ``close`` or the end of the process."""

    def __init__(self, folder_fd: int, *, is_in_state: bool) -> None:
        """Takes the descriptor over. Raises ``LockHeld``."""
        self._folder = folder_fd
        #: the root is read-only, so that its claim lies in the state folder
        self.is_in_state = is_in_state
        try:
            self._lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | _OPEN, 0o644, dir_fd=folder_fd)
        except OSError:
            os.close(folder_fd)
            raise
        try:
            self._take()
        except OSError:  # no file that could be locked
            self.close()
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 200, 0).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise LockHeld(holder) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)

    @classmethod
    def in_root(cls, disk: Disk, tree: TreeRoot) -> Self:
        """Raises ``LockHeld``, ``ReadOnly``, ``NotAFile`` (``.photosift`` is no folder), ``OSError``."""
        with tree.spot(PRIVATE + b"/" + LOCK, make_folders=True):
            pass  # the folder is there now, durably
        root = os.open(tree.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            folder = os.open(PRIVATE, os.O_RDONLY | os.O_DIRECTORY | _OPEN, dir_fd=root)
        finally:
            os.close(root)
        return cls(folder, is_in_state=False)

    @classmethod
    def in_state(cls, folder: Path) -> Self:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), is_in_state=True)

    def is_at(self, tree: TreeRoot) -> bool:
        """Whether the root still shows the file that is locked: not after a remount or an exchange."""
        if self.is_in_state:
            return tree.mount().read_only
        with tree.spot(PRIVATE + b"/" + LOCK) as spot:
            seen, held = spot.look(), os.fstat(self._lock)
        return seen is not None and (seen.dev, seen.ino) == (held.st_dev, held.st_ino)

    def read(self) -> Owner | None:
        """The owner that is written there; None where nobody is yet. Raises ``OwnerUnreadable``."""
        try:
            fd = os.open(OWNER, os.O_RDONLY | _OPEN, dir_fd=self._folder)
        except FileNotFoundError:
            return None
        try:
            return Owner.model_validate_json(os.read(fd, 4096))
        except ValidationError as error:
            raise OwnerUnreadable("owner.json; say `photosift adopt` with the root's name") from error
        finally:
            os.close(fd)

    def read_or_none(self) -> Owner | None:
        try:
            return self.read()
        except OwnerUnreadable:
            return None

    def write(self, owner: Owner) -> None:
        """Durably; the old name or the new one is there after a crash, never half of one."""
        fresh = OWNER + b".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=self._folder)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o644, dir_fd=self._folder)
        try:
            os.write(fd, owner.model_dump_json().encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(fresh, OWNER, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)

    def close(self) -> None:
        os.close(self._lock)
        os.close(self._folder)
