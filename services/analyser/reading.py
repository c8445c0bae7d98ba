"""Read a file once, from its root, following no link, sure that it did not change meanwhile. (S6, S9, S15, S17)"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import PermanentError
from shared.messages.base import FileStat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: O_NONBLOCK: a FIFO put in a file's place must not hold the worker
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: Linux hands over at most 2 GB a call
_PIECE = 1 << 30


#: nothing can be said of the file here; another host may see it
ROOT_AWAY = "root-away"


class CannotRead(PermanentError):
    """The file cannot be read."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The bytes of a file and what it was while they were read."""

    data: bytes
    stat: FileStat
    #: blocks were never written; the file system gives zeros for them
    has_hole: bool


def read_below(folder: bytes, rel: bytes, *, expected: FileStat | None, longest: int) -> Reading:
    """Read the file ``rel`` below ``folder``: component by component, no link followed (S9), however long the path.

    ``longest``: bytes that a file may have. Raises ``CannotRead`` with a reason of ``FileUnreadable``, or
    ``ROOT_AWAY``.
    """
    with _translated(folder), _opened(folder, rel) as descriptor:
        before = _stat_of(descriptor)
        _require_expected(before, expected)
        if before.size == 0:
            raise CannotRead("empty", "it has no bytes")
        if before.size > longest:
            raise CannotRead("too-large", f"it has {before.size >> 20} MB, at most {longest >> 20} MB are read")
        data = _read_all(descriptor, before.size)
        if len(data) != before.size or _moved_on(before, _stat_of(descriptor)):
            raise CannotRead("changed-while-read", "it changed while it was read")
        has_hole = _has_hole(descriptor, before.size)
    return Reading(data=data, stat=before, has_hole=has_hole)


def _require_expected(found: FileStat, expected: FileStat | None) -> None:
    if expected is not None and not found.same_content_as(expected):
        raise CannotRead("changed-while-read", "it changed after it had settled")


def _moved_on(before: FileStat, after: FileStat) -> bool:
    return (before.size, before.mtime_ns, before.ctime_ns) != (after.size, after.mtime_ns, after.ctime_ns)


@contextlib.contextmanager
def _translated(folder: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason, detail = _reason_of(error)
        if reason == "vanished" and _shows_nothing(folder):  # S14
            reason, detail = ROOT_AWAY, "its root is not there, or empty: is it mounted on this host?"
        raise CannotRead(reason, detail) from error


def _shows_nothing(folder: bytes) -> bool:
    """A root that is not mounted is missing, or an empty mount point: nothing is known of its files then."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _reason_of(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return "vanished", "it is not there any more"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no-permission", "photosift may not read it"
    if error.errno == errno.ELOOP:
        return "not-a-picture", "a symbolic link stands in the way"
    return "corrupt", f"the disk does not give it: {error.strerror}"


@contextlib.contextmanager
def _opened(folder: bytes, rel: bytes) -> Iterator[int]:
    """The file's descriptor; every folder on the way is held only until the next is open."""
    *folders, name = rel.split(b"/")
    held = os.open(folder, _FOLDER)
    try:
        for part in folders:
            held, left = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=held), held
            os.close(left)
        descriptor = _open_file(name, held)
    finally:
        os.close(held)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_file(name: bytes, folder: int) -> int:
    """Regular files only: opening a device may do something. The access time stays where the file is ours (S6)."""
    if not stat.S_ISREG(os.lstat(name, dir_fd=folder).st_mode):
        raise CannotRead("not-a-picture", "it is no regular file")
    try:
        return os.open(name, _FILE | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        return os.open(name, _FILE, dir_fd=folder)


def _stat_of(descriptor: int) -> FileStat:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise CannotRead("not-a-picture", "it is no regular file")
    return FileStat(
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        dev=found.st_dev,
        ino=found.st_ino,
    )


def _has_hole(descriptor: int, size: int) -> bool:
    """A file system that knows no holes says that the first is at the end."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_HOLE) < size
    except OSError:
        return False


def _read_all(descriptor: int, size: int) -> bytes:
    """``size`` bytes, and one more where the file grew."""
    pieces = [os.read(descriptor, min(size + 1, _PIECE))]
    got = len(pieces[0])
    while pieces[-1] and got <= size:
        pieces.append(os.read(descriptor, min(size + 1 - got, _PIECE)))
        got += len(pieces[-1])
    return pieces[0] if got == len(pieces[0]) else b"".join(pieces)
