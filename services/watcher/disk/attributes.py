"""What a file carries besides its bytes: read, given to another file, and compared by reading back. (S10, S11)"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from services.watcher.disk.port import Attributes

#: a file system's notes to itself: of an overlay in its upper layer (they would be obeyed elsewhere), and how xfs
#: stores an ACL, which is carried as one
_NOT_THE_FILES = ("trusted.overlay.", "user.overlay.", "trusted.SGI_ACL_")
#: ACLs that a new file or folder inherits from its folder, whether the original had any or not
_INHERITED = ("system.posix_acl_access", "system.posix_acl_default")
_ABSENT = (errno.ENODATA, errno.ENOTSUP)
#: FAT keeps two seconds, the coarsest there is
_COARSEST_NS = 2_000_000_000


def read_attributes(fd: int) -> Attributes:
    """Permission bits, owner, times and extended attributes of an open file or folder. Raises ``OSError``."""
    s = os.fstat(fd)
    return Attributes(
        mode=stat.S_IMODE(s.st_mode),
        uid=s.st_uid,
        gid=s.st_gid,
        atime_ns=s.st_atime_ns,
        mtime_ns=s.st_mtime_ns,
        xattrs=dict(_xattrs(fd)),
    )


def carry(fd: int, wanted: Attributes) -> tuple[str, ...]:
    """Give them to an open file or folder; the sorted names of those it does not show when read back.

    The order matters: a change of owner clears set-id bits and capabilities, an ACL changes the mode, all change times.
    """
    for owner in ((wanted.uid, -1), (-1, wanted.gid)):
        with contextlib.suppress(OSError):
            os.fchown(fd, *owner)
    _carry_xattrs(fd, wanted.xattrs)
    with contextlib.suppress(OSError):
        os.fchmod(fd, wanted.mode)
    with contextlib.suppress(OSError):
        os.utime(fd, ns=(wanted.atime_ns, wanted.mtime_ns))
    return tuple(sorted(missing(wanted, read_attributes(fd))))


def missing(wanted: Attributes, found: Attributes) -> Iterator[str]:
    """What differs: ``owner``, ``group``, ``mode``, ``mtime``, ``mtime-precision``, ``atime…``, ``xattr:<name>``."""
    plain = {"owner": "uid", "group": "gid", "mode": "mode"}
    yield from (name for name, field in plain.items() if getattr(wanted, field) != getattr(found, field))
    for name in ("atime", "mtime"):
        off = abs(getattr(wanted, f"{name}_ns") - getattr(found, f"{name}_ns"))
        if off:
            yield f"{name}-precision" if off < _COARSEST_NS else name
    yield from (f"xattr:{name}" for name, value in wanted.xattrs.items() if found.xattrs.get(name) != value)


def _carry_xattrs(fd: int, wanted: dict[str, bytes]) -> None:
    for name in _INHERITED:
        if name not in wanted:
            with contextlib.suppress(OSError):
                os.removexattr(fd, name)
    for name, value in wanted.items():
        with contextlib.suppress(OSError):
            os.setxattr(fd, name, value)


def _xattrs(fd: int) -> Iterator[tuple[str, bytes]]:
    for name in _names(fd):
        if name.startswith(_NOT_THE_FILES):
            continue
        try:
            value = os.getxattr(fd, name)
        except OSError as error:
            if error.errno in _ABSENT:  # taken away since it was listed
                continue
            raise
        yield name, value


def _names(fd: int) -> list[str]:
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise
