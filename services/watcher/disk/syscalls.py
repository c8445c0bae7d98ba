"""The system calls that Python has no words for, and the descriptors they work on. (S9, S10)

``renameat2``, ``openat2``, ``statx`` and ``fallocate`` through ctypes. Each raises ``OSError`` as ``os`` would; a
kernel or seccomp filter that does not know a call answers ``ENOSYS`` (older filters ``EPERM``): the caller falls back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import sys
import warnings
from pathlib import Path
from typing import Self

from shared.messages.base import FileStat

RENAME_NOREPLACE = 1
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
OPENAT2_NUMBER = 437  # the same on every architecture: it came after the numbers were unified
#: Linux' asm/unistd.h, by ``platform.machine()``
RENAMEAT2_NUMBERS = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "armv7l": 382, "i686": 353, "ppc64le": 357}
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC = -100, 0x100, 0x1000, 0x2000
STATX_BASIC_STATS, STATX_BTIME = 0x7FF, 0x800

_libc = ctypes.CDLL(None, use_errno=True)


class Descriptor:
    """An open descriptor; one that is forgotten says so (ResourceWarning) instead of leaking in silence."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        if self._number < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._number

    def again(self) -> Descriptor:
        """A second descriptor of the same open file."""
        return Descriptor(os.dup(self.fileno()))

    def close(self) -> None:
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._number >= 0 and not sys.is_finalizing():
            warnings.warn(f"descriptor {self._number} was never closed", ResourceWarning, source=self, stacklevel=2)
            self.close()


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _Timestamp(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_uint32), ("_pad", ctypes.c_int32))


class _Statx(ctypes.Structure):
    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("blksize", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("nlink", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("mode", ctypes.c_uint16),
        ("_pad", ctypes.c_uint16),
        ("ino", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("attributes_mask", ctypes.c_uint64),
        ("atime", _Timestamp),
        ("btime", _Timestamp),
        ("ctime", _Timestamp),
        ("mtime", _Timestamp),
        ("rdev", ctypes.c_uint32 * 2),
        ("dev", ctypes.c_uint32 * 2),
        ("_spare", ctypes.c_uint64 * 14),
    )


def rename_noreplace(from_dir: int, name: bytes, to_dir: int, new_name: bytes) -> None:
    """``renameat2(RENAME_NOREPLACE)``. EINVAL, ENOSYS or EOPNOTSUPP: this mount or kernel cannot; EEXIST: occupied."""
    number = RENAMEAT2_NUMBERS.get(platform.machine())
    paths = (ctypes.c_int(from_dir), name, ctypes.c_int(to_dir), new_name, ctypes.c_uint(RENAME_NOREPLACE))
    if hasattr(_libc, "renameat2"):
        _raise_on_error(_libc.renameat2(*paths))
    elif number is not None:
        _raise_on_error(_libc.syscall(ctypes.c_long(number), *paths))
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def openat2(dir_fd: int, name: bytes, flags: int) -> int:
    """Open below ``dir_fd``, where nothing on the way may be a link or lead out. EXDEV, ELOOP: something would."""
    how = _OpenHow(flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    arguments = (ctypes.c_int(dir_fd), name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    number: int = _libc.syscall(ctypes.c_long(OPENAT2_NUMBER), *arguments)
    _raise_on_error(number)
    return number


def fallocate(fd: int, size: int) -> None:
    """Reserve blocks. Where the file system cannot, EOPNOTSUPP: unlike ``posix_fallocate`` it never writes zeros."""
    call = getattr(_libc, "fallocate64", None) or _libc.fallocate  # musl has the one, with 64 bits
    if size:
        _raise_on_error(call(ctypes.c_int(fd), ctypes.c_int(0), ctypes.c_int64(0), ctypes.c_int64(size)))


def settle(fd: int) -> None:
    """fsync; and a look, because fsync of a folder says yes on an xfs that has shut down after failed writes (S10)."""
    os.fsync(fd)
    stat_at(fd)


def stat_at(dir_fd: int, name: bytes = b"") -> tuple[FileStat, int]:
    """Stat and mode of a name in a folder, links not followed; with an empty name, of the descriptor itself."""
    found = _statx(dir_fd, name)
    if found is None:
        return _plain_stat(dir_fd, name)
    born = _nanoseconds(found.btime) if found.mask & STATX_BTIME else None
    value = FileStat(
        size=found.size,
        mtime_ns=_nanoseconds(found.mtime),
        ctime_ns=_nanoseconds(found.ctime),
        dev=os.makedev(found.dev[0], found.dev[1]),
        ino=found.ino,
        birth_ns=born,
    )
    return value, found.mode


def names_of(fd: int) -> int:
    """How many names (hard links) the file of a descriptor has."""
    found = _statx(fd, b"")
    return os.fstat(fd).st_nlink if found is None else found.nlink


def _statx(dir_fd: int, name: bytes) -> _Statx | None:
    """None where there is no such call. With an empty name, of the descriptor itself.

    FORCE_SYNC asks a FUSE or network file system anew: mergerfs answers from its cache for a while (S8).
    """
    flags = AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC | (0 if name else AT_EMPTY_PATH)
    found = _Statx()
    wanted = ctypes.c_uint(STATX_BASIC_STATS | STATX_BTIME)
    try:
        _raise_on_error(_libc.statx(ctypes.c_int(dir_fd), name, ctypes.c_int(flags), wanted, ctypes.byref(found)))
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            raise
        return None
    return found


def _plain_stat(dir_fd: int, name: bytes) -> tuple[FileStat, int]:
    s = os.stat(name, dir_fd=dir_fd, follow_symlinks=False) if name else os.fstat(dir_fd)
    value = FileStat(size=s.st_size, mtime_ns=s.st_mtime_ns, ctime_ns=s.st_ctime_ns, dev=s.st_dev, ino=s.st_ino)
    return value, s.st_mode


def is_file(mode: int) -> bool:
    return stat.S_ISREG(mode)


def is_folder(mode: int) -> bool:
    return stat.S_ISDIR(mode)


def _nanoseconds(time: _Timestamp) -> int:
    return int(time.seconds) * 1_000_000_000 + int(time.nanoseconds)


def _raise_on_error(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_untouched(path: Path | bytes, flags: int, dir_fd: int | None = None) -> int:
    """A descriptor, with O_NOATIME where the kernel allows it: to the owner and to root (S6)."""
    try:
        return os.open(path, flags | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(path, flags, dir_fd=dir_fd)
