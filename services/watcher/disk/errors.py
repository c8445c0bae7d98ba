"""What the kernel's refusals are called here (architecture: foreign errors are translated at the edge)."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from services.watcher.disk.port import (
    CrossDevice,
    DiskFailure,
    InUse,
    NameRefused,
    NoSpace,
    NotAFile,
    NotThere,
    Occupied,
    ReadOnly,
)
from shared.errors import PhotosiftError
from shared.paths import printable

_WRITING: dict[int, type[PhotosiftError]] = {
    errno.EEXIST: Occupied,
    errno.ENOTEMPTY: Occupied,
    errno.EBUSY: Occupied,  # rmdir of a mount point (S25)
    errno.EXDEV: CrossDevice,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EROFS: ReadOnly,
    errno.EACCES: ReadOnly,
    errno.EPERM: ReadOnly,
    errno.ENOENT: NotThere,
    errno.ENOTDIR: NotAFile,
    errno.ELOOP: NotAFile,
    errno.EISDIR: NotAFile,
    errno.EILSEQ: NameRefused,
    errno.EINVAL: NameRefused,
    errno.ENAMETOOLONG: NameRefused,
}
_READING: dict[int, type[PhotosiftError]] = {
    errno.ENOENT: NotThere,
    errno.ENAMETOOLONG: NotThere,
    errno.ENOTDIR: NotAFile,
    errno.ELOOP: NotAFile,
    errno.EXDEV: NotAFile,  # openat2: it would lead out
    errno.ENXIO: NotAFile,
    errno.ENODEV: NotAFile,
    errno.EAGAIN: InUse,  # another program holds a lease (Samba's oplocks)
}


@contextlib.contextmanager
def writing(name: bytes) -> Iterator[None]:
    """A refusal to create, rename or remove this name, in the words of the port."""
    with _translating(_WRITING, name):
        yield


@contextlib.contextmanager
def reading(name: bytes) -> Iterator[None]:
    """A refusal to look or read; one for lack of permission is absence of knowledge, never ``NotThere``. (S14)"""
    with _translating(_READING, name):
        yield


@contextlib.contextmanager
def settling(name: bytes) -> Iterator[None]:
    """A failed fsync: always ``DiskFailure``, whatever the number, and never tried again. (S10)"""
    with _translating({}, name):
        yield


@contextlib.contextmanager
def _translating(words: dict[int, type[PhotosiftError]], name: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = words.get(error.errno or 0, DiskFailure)
        raise kind(f"{printable(name)}: {error.strerror}") from error
