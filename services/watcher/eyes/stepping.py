"""From folder to folder by descriptors: no link followed, no access time touched, no depth too deep. (S6, S9, S14)"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import TransientError
from shared.paths import printable

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: what says that a name is not a folder there, as opposed to a folder that cannot be read
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
#: deeper folders are reached from the last one held, so that a deep tree does not use up the descriptors
_HELD = 100


class Unreadable(TransientError):
    """A folder cannot be read, so nothing is known about what lies in it."""

    code = "unreadable-folder"


class Chain:
    """Holds the folders on the way to the current one, so that the next one is mostly a single step away."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._held: list[tuple[bytes, int]] = []

    @contextmanager
    def folder(self, rel: bytes) -> Iterator[int | None]:
        parts = rel.split(b"/") if rel else []
        self._keep_common(parts)
        for part in parts[len(self._held) : _HELD]:
            descriptor = walk(self._last(), [part])
            if descriptor is None:
                yield None
                return
            self._held.append((part, descriptor))
        if len(parts) <= _HELD:
            yield self._last()
            return
        deep = walk(self._last(), parts[_HELD:])
        try:
            yield deep
        finally:
            if deep is not None:
                os.close(deep)

    def _last(self) -> int:
        return self._held[-1][1] if self._held else self._top

    def _keep_common(self, parts: list[bytes]) -> None:
        common = 0
        while common < min(len(parts), len(self._held)) and self._held[common][0] == parts[common]:
            common += 1
        while len(self._held) > common:
            os.close(self._held.pop()[1])

    def close(self) -> None:
        self._keep_common([])


def walk(start: int, parts: list[bytes]) -> int | None:
    """A new descriptor of the folder, None where it is not there. Raises ``Unreadable``."""
    current = os.dup(start)
    for part in parts:
        try:
            following = open_quietly(part, current, FOLDER | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise Unreadable(f"{printable(part)}: {error.strerror}") from error
        finally:
            os.close(current)
        current = following
    return current


def open_quietly(name: bytes, folder: int | None, flags: int) -> int:
    """Open without touching the access time; where the kernel refuses that (a stranger's folder), plainly (S6)."""
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        return os.open(name, flags, dir_fd=folder)
