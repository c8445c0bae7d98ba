"""Bytes from one descriptor to another, read back from the disk and compared; and the copy that stands in for a rename
where a mount can neither rename without replacing nor link (exFAT). (S2, S10)"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from services.watcher.disk.attributes import carry
from services.watcher.disk.errors import reading, settling, writing
from services.watcher.disk.opening import chunks_of, drop_pages, sha256_of
from services.watcher.disk.port import (
    TEMPORARY_PREFIX,
    Attributes,
    CopyDiffers,
    DiskFailure,
    FaultPoint,
)
from services.watcher.disk.syscalls import Descriptor, fallocate, settle, stat_at
from services.watcher.disk.walking import LocalSpot, creating
from shared.paths import printable

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

EXCLUSIVE_STEPS = (
    "exclusive:before-create",
    "exclusive:before-write",
    "exclusive:before-fsync",
    "exclusive:before-reread",
    "exclusive:before-attributes",
    "exclusive:before-folder-fsync",
    "exclusive:before-unlink",
    "exclusive:before-discard",
)


def create(spot: LocalSpot) -> Descriptor:
    """A new file of this name, for its owner alone until it gets its attributes. Raises ``Occupied``, ``NoSpace``, …"""
    with creating(spot.folder, spot.name):
        return Descriptor(os.open(spot.name, _NEW, 0o600, dir_fd=spot.fd))


def temporary_name() -> bytes:
    return TEMPORARY_PREFIX + os.urandom(16).hex().encode()


def transfer(
    source: int, target: int, *, name: bytes, sha256: str, wanted: Attributes, fault: FaultPoint, act: str
) -> tuple[str, ...]:
    """All bytes and attributes, durable, dropped from the cache, read back and compared with ``sha256``.

    Returns the names of the attributes that ``target`` does not show. Raises ``CopyDiffers``, ``NoSpace``, …
    """
    fault(f"{act}:before-write")
    with writing(name):
        reserve(target, stat_at(source)[0].size)
    for chunk in _read(source, name):
        with writing(name):
            write_all(target, chunk)
    fault(f"{act}:before-fsync")
    with settling(name):
        settle(target)
    fault(f"{act}:before-reread")
    require_hash(target, sha256, name)
    fault(f"{act}:before-attributes")  # after reading, which changes the access time behind FUSE
    with settling(name):
        lost = carry(target, wanted)
        settle(target)
    return lost


def require_hash(fd: int, sha256: str, name: bytes) -> None:
    """What the disk holds is what was meant (S10). Raises ``CopyDiffers``, ``DiskFailure``."""
    with settling(name):
        drop_pages(fd)
        found = sha256_of(fd)
    if found != sha256:
        raise CopyDiffers(f"{printable(name)}: {found} instead of {sha256}")


def reserve(fd: int, size: int) -> None:
    """Say that there is no space before anything is written, where the file system can."""
    try:
        fallocate(fd, size)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise


def write_all(fd: int, chunk: memoryview | bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]


def copy_exclusively(source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> None:
    """Copy our own file onto a free name, then unlink ours. A crash leaves an incomplete file under the user's name,
    and ours complete. Raises ``Occupied``, ``NoSpace``, ``CopyDiffers``, ``DiskFailure``; then ours stays."""
    with source.open() as original:
        wanted, sha256 = original.attributes(), original.sha256()
        fault("exclusive:before-create")
        with create(to) as new, _discarded_on_failure(new, source, to, fault):
            transfer(
                original.fileno(),
                new.fileno(),
                name=to.name,
                sha256=sha256,
                wanted=wanted,
                fault=fault,
                act="exclusive",
            )
    fault("exclusive:before-folder-fsync")
    to.settle_folder()
    fault("exclusive:before-unlink")
    with settling(source.name):
        os.unlink(source.name, dir_fd=source.fd)


@contextlib.contextmanager
def _discarded_on_failure(new: Descriptor, source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> Iterator[None]:
    try:
        yield
    except BaseException:
        fault("exclusive:before-discard")
        _discard(new, source, to)
        raise


def _discard(new: Descriptor, source: LocalSpot, to: LocalSpot) -> None:
    """A user's name is never unlinked (S10): what was begun there is first renamed into a private folder made for it,
    and goes only if it is the file that was begun."""
    with source.beside(temporary_name()) as pen, settling(to.name):
        if not _is_entry(new, to.fd, to.name):
            return  # someone put another file there: not ours to touch
        os.mkdir(pen.name, dir_fd=pen.fd)
        os.rename(to.name, pen.name + b"/begun", src_dir_fd=to.fd, dst_dir_fd=pen.fd)
        if not _is_entry(new, pen.fd, pen.name + b"/begun"):
            raise DiskFailure(f"{printable(to.rel)} was replaced meanwhile, and now lies in {printable(pen.rel)}/begun")
        new.close()  # or FUSE keeps it there under another name
        os.unlink(pen.name + b"/begun", dir_fd=pen.fd)
        os.rmdir(pen.name, dir_fd=pen.fd)


def _is_entry(file: Descriptor, folder: int, name: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        mine, there = stat_at(file.fileno())[0], stat_at(folder, name)[0]
        return (mine.dev, mine.ino) == (there.dev, there.ino)
    return False


def _read(fd: int, name: bytes) -> Iterator[memoryview]:
    with reading(name):
        yield from chunks_of(fd)
