"""A regular file, opened for reading: hashed, settled, asked for its attributes and writers. (S2, S6, S8, S15)"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
from collections.abc import Iterator
from typing import Self

from services.watcher.disk.attributes import read_attributes
from services.watcher.disk.errors import reading, settling
from services.watcher.disk.port import Attributes, NotAFile
from services.watcher.disk.syscalls import Descriptor, is_file, is_folder, names_of, open_untouched, settle, stat_at
from shared.errors import PermanentError
from shared.messages.base import FileStat
from shared.paths import printable

#: NONBLOCK: a FIFO, or a file under another program's lease, must not make the executor wait
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CHUNK = 1 << 20


class LocalFile:
    """See ``OpenFile``; holds the file and the folder that it was found in."""

    def __init__(self, file: Descriptor, folder: Descriptor, name: bytes) -> None:
        self._file, self._folder, self.name = file, folder, name
        self.stat: FileStat = self.restat()

    def fileno(self) -> int:
        return self._file.fileno()

    def restat(self) -> FileStat:
        with reading(self.name):
            return stat_at(self.fileno())[0]

    def sha256(self) -> str:
        with reading(self.name):
            return sha256_of(self.fileno())

    def hash_from_disk(self) -> str:
        """Only clean pages can be dropped: ``settle_to_disk`` comes first, or what is dirty is read from memory.

        On FUSE and network mounts the pages of this kernel's mount are dropped; what the server behind it keeps is not.
        """
        with reading(self.name):
            drop_pages(self.fileno())
            return sha256_of(self.fileno())

    def settle_to_disk(self) -> None:
        with settling(self.name):
            settle(self.fileno())
            settle(self._folder.fileno())

    def names(self) -> int:
        with reading(self.name):
            return names_of(self.fileno())

    def attributes(self) -> Attributes:
        with reading(self.name):
            return read_attributes(self.fileno())

    def content(self, limit: int) -> bytes:
        with reading(self.name):
            payload = b"".join(bytes(chunk) for chunk in chunks_of(self.fileno(), at_most=limit + 1))
        if len(payload) > limit:
            raise PermanentError(f"{printable(self.name)} is longer than {limit} bytes")
        return payload

    def is_open_elsewhere(self) -> bool:
        """Asked by a *read* lease, taken and given back at once: refused (EAGAIN) exactly while someone writes.

        Someone: any process of this kernel, this one too, with a descriptor or a shared mapping open for writing on
        this very mount's inode. Not seen: readers; writers through a pool's branch or another FUSE mount; other
        machines; and anything at all where leases are refused (file of another owner without CAP_LEASE, network).
        """
        return _has_writer(self.fileno())

    def close(self) -> None:
        self._file.close()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_entry(folder: Descriptor, name: bytes, *, folders_too: bool = False) -> Descriptor:
    """Open an entry for reading without following links; what is neither file nor (if asked) folder is ``NotAFile``.

    Its kind is looked at before, because opening a device does things, and again after, because names change hands.
    """
    _require(folder.fileno(), name, name, folders_too)
    with reading(name):
        entry = Descriptor(open_untouched(name, _READ, folder.fileno()))
    try:
        _require(entry.fileno(), b"", name, folders_too)
    except BaseException:
        entry.close()
        raise
    return entry


def drop_pages(fd: int) -> None:
    """Forget the clean cached pages, so that the next read is the disk's answer (S2)."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def sha256_of(fd: int) -> str:
    """64 hexadecimal digits over all bytes from the start; the descriptor's position is neither used nor moved."""
    digest = hashlib.sha256()
    for chunk in chunks_of(fd):
        digest.update(chunk)
    return digest.hexdigest()


def chunks_of(fd: int, *, at_most: int | None = None) -> Iterator[memoryview]:
    """The bytes from the start, in pieces of one buffer: each is valid until the next is asked for."""
    buffer, at = bytearray(CHUNK), 0
    view = memoryview(buffer)
    while at_most is None or at < at_most:
        count = os.preadv(fd, [view if at_most is None else view[: at_most - at]], at)
        if not count:
            return
        yield view[:count]
        at += count


def _require(fd: int, name: bytes, called: bytes, folders_too: bool) -> None:
    with reading(called):
        mode = stat_at(fd, name)[1]
    if not (is_file(mode) or (folders_too and is_folder(mode))):
        raise NotAFile(printable(called))


def _has_writer(fd: int) -> bool:
    # While the lease is held a new writer makes the kernel signal us, by default with SIGIO, which ends a process.
    # SIGURG is ignored unless someone asks for it.
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
