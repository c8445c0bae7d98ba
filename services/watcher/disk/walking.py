"""Walking from a root to a name, holding the folder: no link followed, nothing outside, listed names only. (S4, S9)"""

from __future__ import annotations

import contextlib
import errno
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from services.watcher.disk.attributes import read_attributes
from services.watcher.disk.errors import reading, settling, writing
from services.watcher.disk.mounts import mount_of
from services.watcher.disk.opening import LocalFile, open_entry
from services.watcher.disk.port import (
    PRIVATE,
    Attributes,
    FaultPoint,
    Mount,
    NameRefused,
    NotThere,
    Occupied,
    is_temporary,
)
from services.watcher.disk.syscalls import Descriptor, open_untouched, openat2, settle, stat_at
from shared.errors import UnsafePath
from shared.messages.base import FileStat
from shared.paths import LONGEST_PATH, printable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: openat2 is not there, or forbidden by a filter; EPERM is also what O_NOATIME answers for a stranger's folder
_WITHOUT_OPENAT2 = (errno.ENOSYS, errno.EPERM)


class LocalSpot:
    """See ``Spot``. ``rel`` is its path below the root; ``made`` the names taken in a folder that was made just now."""

    def __init__(self, folder: Descriptor, rel: bytes, made: set[str] | None) -> None:
        self.folder, self.rel, self._made = folder, rel, made
        self.name = rel.rpartition(b"/")[2]

    @property
    def fd(self) -> int:
        """Of the folder."""
        return self.folder.fileno()

    @property
    def is_ours(self) -> bool:
        """May be unlinked (D6): in a ``.photosift`` folder, or a temporary name of ours."""
        return self._is_private or is_temporary(self.name)

    @property
    def _is_private(self) -> bool:
        return PRIVATE in self.rel.split(b"/")[:-1]

    def look(self) -> FileStat | None:
        found = self.look_closely()
        return found and found[0]

    def look_closely(self) -> tuple[FileStat, int] | None:
        """Stat and mode, of a listed name only (D2)."""
        with reading(self.name), contextlib.suppress(FileNotFoundError):  # the folder went, or the name since listed
            if lists(self.folder, self.name):
                return stat_at(self.fd, self.name)
        return None

    def must_be_there(self) -> tuple[FileStat, int]:
        """Stat and mode. Raises ``NotThere``."""
        found = self.look_closely()
        if found is None:
            raise NotThere(printable(self.rel))
        return found

    def open(self) -> LocalFile:
        self.must_be_there()
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open_entry(self.folder, self.name))
            opened = LocalFile(file, stack.enter_context(self.folder.again()), self.name)
            stack.pop_all()
        return opened

    def open_anything(self) -> Descriptor:
        """The file or folder of this name, for its attributes."""
        self.must_be_there()
        return open_entry(self.folder, self.name, folders_too=True)

    def attributes(self) -> Attributes:
        with self.open_anything() as entry, reading(self.name):
            return read_attributes(entry.fileno())

    def mount(self) -> Mount:
        return mount_of(self.fd)

    def beside(self, name: bytes) -> LocalSpot:
        head = self.rel.rpartition(b"/")[0]
        if b"/" in name:
            raise UnsafePath(printable(name))
        rel = clean(head + b"/" + name if head else name)
        return LocalSpot(self.folder.again(), rel, self._made)

    def is_exclusively_ours(self) -> bool:
        """The private folder was made by this very spot's walk, and nothing of ours took this name there since (S10).

        A folder among the user's is never ours alone, however new: whoever sees it may put a file there.
        """
        return self._is_private and self._made is not None and _folded(self.name) not in self._made

    def note_taken(self) -> None:
        if self._made is not None:
            self._made.add(_folded(self.name))

    def settle_folder(self) -> None:
        with settling(self.rel):
            settle(self.fd)

    def close(self) -> None:
        self.folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalRoot:
    """See ``TreeRoot``."""

    def __init__(self, path: Path, fault: FaultPoint) -> None:
        self.path, self._fault = path, fault
        with reading(os.fsencode(path)):  # the user's own path to a root may lead through links
            self._top = Descriptor(open_untouched(path, _FOLDER & ~os.O_NOFOLLOW))

    def spot(self, rel: bytes, *, make_folders: bool = False) -> LocalSpot:
        parts = clean(rel).split(b"/")
        folder, made = self._walk(parts[:-1], make_folders)
        fresh = made and _is_empty(folder)  # someone may have put another in its place
        return LocalSpot(folder, rel, set() if fresh else None)

    def list_folder(self, rel: bytes) -> list[bytes]:
        folder, _ = self._walk(clean(rel).split(b"/") if rel else [], False)
        with folder, reading(rel), _entries(folder) as names:
            return list(names)

    def mount(self) -> Mount:
        return mount_of(self._top.fileno())

    def close(self) -> None:
        self._top.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _walk(self, parts: list[bytes], make: bool) -> tuple[Descriptor, bool]:
        """The folder at the end, and whether it was made here. Component by component: each folder must list the next
        name (D2), and a path may be longer than any system call takes."""
        folder, made = self._top.again(), False
        for name in parts:
            with folder:  # the one before is let go of whatever happens
                folder, made = self._step(folder, name, make)
        return folder, made

    def _step(self, folder: Descriptor, name: bytes, make: bool) -> tuple[Descriptor, bool]:
        made = make and not _lists(folder, name) and self._made_folder(folder, name)
        if not _lists(folder, name):
            raise Occupied(f"{printable(name)}: listed under another name") if make else NotThere(printable(name))
        with reading(name):
            below = Descriptor(_open_below(folder.fileno(), name))
        return below, made

    def _made_folder(self, folder: Descriptor, name: bytes) -> bool:
        self._fault("folders:before-mkdir")
        try:
            with creating(folder, name):
                os.mkdir(name, dir_fd=folder.fileno())
        except Occupied:  # someone else made it just now, or the folder folds this name into another
            return False
        self._fault("folders:before-fsync")
        with settling(name):
            settle(folder.fileno())
        return True


def clean(rel: bytes) -> bytes:
    """The path itself; ``UnsafePath`` for one that is absolute, empty, or has ``..``, ``.`` or empty parts (S9)."""
    bad = not rel or len(rel) > LONGEST_PATH or b"\0" in rel
    if bad or any(part in (b"", b".", b"..") for part in rel.split(b"/")):
        raise UnsafePath(printable(rel[:200]))
    return rel


def lists(folder: Descriptor, name: bytes) -> bool:
    """Does the folder list this name, byte for byte? (S4: case folding, stale caches and overlays answer a lookup)"""
    with _entries(folder) as names:
        return name in names


def _lists(folder: Descriptor, name: bytes) -> bool:
    with reading(name):
        return lists(folder, name)


@contextlib.contextmanager
def creating(folder: Descriptor, name: bytes) -> Iterator[None]:
    """``writing``, where ENOENT is about the name: exfat-fuse answers it for one with a newline or a colon."""
    try:
        with writing(name):
            yield
    except NotThere as error:
        _is_empty(folder)  # raises NotThere where it is the folder that is gone
        raise NameRefused(printable(name)) from error


def _is_empty(folder: Descriptor) -> bool:
    with reading(b"."), _entries(folder) as names:
        return next(names, None) is None


@contextlib.contextmanager
def _entries(folder: Descriptor) -> Iterator[Iterator[bytes]]:
    """The names, from a descriptor opened anew: one that was read before may go on where it stood, or from a cache."""
    with Descriptor(open_untouched(b".", _FOLDER, folder.fileno())) as fresh, os.scandir(fresh.fileno()) as entries:
        yield (os.fsencode(entry.name) for entry in entries)


def _open_below(folder: int, name: bytes) -> int:
    """``openat2`` where there is one; else O_NOFOLLOW on the one component, which says the same of a clean name."""
    try:
        return openat2(folder, name, _FOLDER | os.O_NOATIME)
    except OSError as error:
        if error.errno not in _WITHOUT_OPENAT2:
            raise
    return open_untouched(name, _FOLDER, folder)


def _folded(name: bytes) -> str:
    """Two names that any file system takes for one fold into one."""
    return unicodedata.normalize("NFKC", os.fsdecode(name)).casefold()
