"""Photos on the NAS of the container tests: what their owner puts there, and where it goes."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.compose import PGID, PUID, Stack, eventually
from tests.support.photos import TAKEN, write_photo


def owned(path: Path, *, mode: int = 0o640) -> Path:
    """As the photos' owner put it there."""
    os.chown(path, PUID, PGID)
    os.chmod(path, mode)
    os.utime(path, ns=(TAKEN * 10**9 + 123456789, TAKEN * 10**9 + 987654321))
    return path


def into_the_library(stack: Stack, name: str, seed: int) -> Path:
    return owned(write_photo(stack.folder / "photos" / name, seed))


def dropped(stack: Stack, name: str, seed: int) -> tuple[Path, Path]:
    """A file that comes into the incoming folder, whole at once; and where it will lie if it is a duplicate."""
    ready = owned(write_photo(stack.folder / f".{name}", seed))
    return ready.rename(stack.folder / "incoming" / name), stack.folder / "duplicates" / "incoming" / name


def moved(stack: Stack, *pairs: tuple[Path, Path]) -> None:
    eventually(lambda: all(lies.exists() and not came.exists() for came, lies in pairs), stack)


def kept(path: Path) -> tuple[int, int, int, int, bytes]:
    s = path.stat()
    return s.st_uid, s.st_gid, s.st_mode & 0o7777, s.st_mtime_ns, path.read_bytes()
