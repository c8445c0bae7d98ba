"""``statx`` through ctypes: the only way to a file's birth time, and one call for everything else. (S16)

Python's ``os.stat`` has no birth time on Linux. https://man7.org/linux/man-pages/man2/statx.2.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading

from services.watcher.eyes.known import Facts

AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT = 0x100, 0x1000, 0x800
STATX_BASIC_STATS, STATX_BTIME = 0x7FF, 0x800
#: answered by kernels and seccomp filters that do not know the call
_UNKNOWN_CALL = (errno.ENOSYS, errno.EPERM, errno.EINVAL)
#: mask, blksize, attributes, nlink, uid, gid, mode, ino, size, blocks, attributes_mask, 4 times, rdev, dev
_LAYOUT = struct.Struct("=IIQIIIHxxQQQQ" + "qIxxxx" * 4 + "IIII")

_libc = ctypes.CDLL(None, use_errno=True)
_statx = getattr(_libc, "statx", None)


class _Buffers(threading.local):
    """One result buffer a thread: statx lets go of the interpreter's lock."""

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(256)


_own = _Buffers()


def facts_at(folder: int, name: bytes = b"") -> Facts:
    """Facts of a name in a folder held by descriptor, links not followed; of the descriptor itself without a name.

    Raises ``OSError`` as ``os.stat`` does.
    """
    if _statx is None:
        return _plain(folder, name)
    flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (0 if name else AT_EMPTY_PATH)
    buffer = _own.buffer
    if _statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, buffer) == 0:
        return _read(buffer)
    number = ctypes.get_errno()
    if number in _UNKNOWN_CALL:
        return _plain(folder, name)
    raise OSError(number, os.strerror(number), name)


def _read(buffer: ctypes.Array[ctypes.c_char]) -> Facts:
    (mask, _, _, nlink, _, _, mode, ino, size, _, _, *rest) = _LAYOUT.unpack_from(buffer)
    _, _, born, born_ns, changed, changed_ns, modified, modified_ns, _, _, major, minor = rest
    return Facts(
        mode,
        nlink,
        size,
        modified * 1_000_000_000 + modified_ns,
        changed * 1_000_000_000 + changed_ns,
        os.makedev(major, minor),
        ino,
        # 0 is what an image builder leaves: nothing was born then
        (born * 1_000_000_000 + born_ns if mask & STATX_BTIME else 0) or None,
    )


def _plain(folder: int, name: bytes) -> Facts:
    s = os.stat(name, dir_fd=folder, follow_symlinks=False) if name else os.fstat(folder)
    return Facts(s.st_mode, s.st_nlink, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_dev, s.st_ino, None)
