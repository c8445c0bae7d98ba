"""Renaming that never replaces, on mounts that can do it and on those that cannot. (S10)

What a mount can do is learned from the act itself, on the name that is to be taken: where that is free, the kernel
answers EINVAL if it cannot rename without replacing; where it is occupied it says so, on every mount. Nothing is
remembered: the answer holds for this mount and this moment.
"""

from __future__ import annotations

import errno
import os

from services.watcher.disk.errors import settling, writing
from services.watcher.disk.placing import copy_exclusively
from services.watcher.disk.port import CannotRename, DiskFailure, FaultPoint
from services.watcher.disk.syscalls import is_folder, rename_noreplace
from services.watcher.disk.walking import LocalSpot
from shared.messages.base import FileStat
from shared.paths import printable

RENAME_STEPS = (
    "rename:before",
    "rename:before-mkdir",
    "rename:before-link",
    "rename:before-link-fsync",
    "rename:before-unlink",
    "rename:before-target-fsync",
    "rename:before-source-fsync",
    "rename:done",
)
_NO_FLAG = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
#: exFAT: EPERM, which protected_hardlinks and immutable files answer too; the copy then says what is the matter
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def rename(source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> None:
    """See ``Disk.rename``."""
    source.must_be_there()  # D2: a name that folds into this one is not this one
    fault("rename:before")
    place(source, to, fault)
    # the new name first: a crash in between may leave two names, never none
    fault("rename:before-target-fsync")
    to.settle_folder()
    fault("rename:before-source-fsync")
    source.settle_folder()
    fault("rename:done")


def place(source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> None:
    """The entry gets the free name ``to`` in the first way that the mount offers; fsync is left to the caller."""
    try:
        with writing(to.name):
            _rename_noreplace(source, to)
    except _CannotSay:
        _place_without_flag(source, to, fault)
    to.note_taken()


class _CannotSay(Exception):
    """The mount does not know RENAME_NOREPLACE."""


def _rename_noreplace(source: LocalSpot, to: LocalSpot) -> None:
    try:
        rename_noreplace(source.fd, source.name, to.fd, to.name)
    except OSError as error:
        if error.errno in _NO_FLAG:
            raise _CannotSay from error
        raise


def _place_without_flag(source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> None:
    if to.is_exclusively_ours():
        to.note_taken()  # before: after a failure nobody knows whether it is free
        with writing(to.name):
            os.rename(source.name, to.name, src_dir_fd=source.fd, dst_dir_fd=to.fd)
    elif is_folder(source.must_be_there()[1]):
        _rename_folder(source, to, fault)
    elif source.is_ours:
        _link_and_unlink(source, to, fault)
    else:
        raise CannotRename(printable(to.rel))


def _rename_folder(source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> None:
    """A folder replaces nothing but an empty folder, and that is the one which was made here: mkdir is exclusive."""
    fault("rename:before-mkdir")
    with writing(to.name):
        os.mkdir(to.name, dir_fd=to.fd)
        os.rename(source.name, to.name, src_dir_fd=source.fd, dst_dir_fd=to.fd)


def _link_and_unlink(source: LocalSpot, to: LocalSpot, fault: FaultPoint) -> None:
    """Onto a user's name; only the private name is unlinked, and only when the new one is durable and the same file."""
    fault("rename:before-link")
    try:
        os.link(source.name, to.name, src_dir_fd=source.fd, dst_dir_fd=to.fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            copy_exclusively(source, to, fault)
            return
        with writing(to.name):
            raise
    fault("rename:before-link-fsync")
    to.settle_folder()
    require_same_file(source, to)
    fault("rename:before-unlink")
    with settling(source.name):
        os.unlink(source.name, dir_fd=source.fd)


def require_same_file(source: LocalSpot, to: LocalSpot) -> None:
    """Two names of one inode, both listed; where the inodes differ (mergerfs numbers names unless told ``use_ino``), of
    the same bytes, read from the disk. Raises ``DiskFailure``: then both stay."""
    one, other = source.look(), to.look()
    if one is None or other is None or not (_one_inode(one, other) or _same_bytes(source, to)):
        raise DiskFailure(f"{printable(to.rel)} is not the file that was linked there")


def _one_inode(one: FileStat, other: FileStat) -> bool:
    return (one.dev, one.ino) == (other.dev, other.ino)


def _same_bytes(source: LocalSpot, to: LocalSpot) -> bool:
    with source.open() as one, to.open() as other:
        other.settle_to_disk()
        return one.sha256() == other.hash_from_disk()
