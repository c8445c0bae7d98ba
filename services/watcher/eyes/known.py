"""[pure] A file as the file system shows it, and a file as it was last told of."""

from __future__ import annotations

import stat
from typing import NamedTuple

from shared.messages.base import FileStat


class Facts(NamedTuple):
    """What the file system says of one entry; a tuple, because a pass makes a million of them."""

    mode: int
    nlink: int
    size: int
    mtime_ns: int
    ctime_ns: int
    dev: int
    ino: int
    #: None where the file system has no birth time
    birth_ns: int | None

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def as_stat(self) -> FileStat:
        return _stat_of(self)


class Known(NamedTuple):
    """A file as it was last told of; a tuple, because a pass reads a million of them."""

    folder: bytes
    name: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    dev: int
    ino: int
    birth_ns: int | None
    nlink: int
    version: int
    #: seconds since the epoch (S15)
    known_since: float

    @property
    def rel(self) -> bytes:
        return joined(self.folder, self.name)

    @property
    def stat(self) -> FileStat:
        return _stat_of(self)


def _stat_of(seen: Facts | Known) -> FileStat:
    return FileStat(
        size=seen.size,
        mtime_ns=seen.mtime_ns,
        ctime_ns=seen.ctime_ns,
        dev=seen.dev,
        ino=seen.ino,
        birth_ns=seen.birth_ns,
    )


def joined(folder: bytes, name: bytes) -> bytes:
    """Path below the root, from the folder's (empty for the root itself) and a name."""
    return folder + b"/" + name if folder else name
