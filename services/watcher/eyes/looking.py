"""Looking through a root by directory descriptors: no link followed, nothing written, no time touched. (S6, S9, S14)

Names are bytes and a path may be longer than PATH_MAX: every step opens one name in a folder that is held. What
cannot be read is said so (``Unreadable``); it is never the same as *not there*.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from services.watcher.eyes.birth import facts_at
from services.watcher.eyes.known import Facts, joined
from services.watcher.eyes.stepping import FOLDER, NOT_THERE, Chain, Unreadable, open_quietly, walk
from services.watcher.ignoring import (
    NOT_A_FILE,
    PRIVATE_FOLDER,
    SAME_FILE,
    SYMBOLIC_LINK,
    TARGET_MARKER,
    Ignoring,
    Skip,
    manager_by,
)
from shared.paths import LONGEST_PATH, printable

_NOTHING = Facts(0, 0, 0, 0, 0, 0, 0, None)


@dataclass(kw_only=True)
class FolderSeen:
    """One folder as it was listed."""

    rel: bytes
    #: its own facts
    facts: Facts
    #: files that the rules let through
    files: dict[bytes, Facts] = field(default_factory=dict)
    #: every name that the folder lists
    listed: set[bytes] = field(default_factory=set)
    #: what is left out, by name
    skipped: dict[bytes, Skip] = field(default_factory=dict)
    #: the folders among them
    closed: dict[bytes, Skip] = field(default_factory=dict)
    #: folders to enter, sorted
    folders: list[bytes] = field(default_factory=list)
    #: programs that manage this folder, by what lies in it (S24)
    managers: set[str] = field(default_factory=set)
    #: why it says nothing about its files (S14)
    unreadable: str | None = None


#: asked about every folder before it is entered: (its path below the root, its facts)
AskFolder = Callable[[bytes, Facts], Skip | None]


def _enter_all(_rel: bytes, _facts: Facts) -> Skip | None:
    return None


class Tree:
    """A root held by its top descriptor. Raises ``Unreadable``; close it when done."""

    def __init__(self, path: bytes, ignoring: Ignoring, ask_folder: AskFolder = _enter_all) -> None:
        self.path, self._ignoring, self._ask_folder = path.rstrip(b"/") or b"/", ignoring, ask_folder
        try:  # the user's own path to a root may lead through links
            self.top = open_quietly(path, None, FOLDER)
        except OSError as error:
            raise Unreadable(f"{printable(path)}: {error.strerror}") from error

    def close(self) -> None:
        os.close(self.top)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- single entries -------------------------------------------------------------------------------------------

    @contextmanager
    def folder(self, rel: bytes) -> Iterator[int | None]:
        """The descriptor of a folder, or None where no folder of that name is. Raises ``Unreadable``."""
        descriptor = walk(self.top, rel.split(b"/") if rel else [])
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def look(self, rel: bytes) -> Facts | None:
        """Facts of a name, if its folder lists it (S4); None where it is not there. Raises ``Unreadable``."""
        folder, _, name = rel.rpartition(b"/")
        with self.folder(folder) as descriptor:
            return None if descriptor is None else look_in(descriptor, name)

    def skip(self, rel: bytes, facts: Facts) -> Skip | None:
        """Why this entry, somewhere below the root, is left out."""
        *folders, name = rel.split(b"/")
        parent = self.path
        for folder in folders:
            if found := self._ignoring.folder(parent, folder):
                return found
            parent += b"/" + folder
        if facts.is_folder:
            return self._ignoring.folder(parent, name)
        return self._file_skip(parent, name, facts.mode)

    def _file_skip(self, parent: bytes, name: bytes, mode: int) -> Skip | None:
        if (found := self._ignoring.file(parent, name)) is not None:
            return found
        return _skip_of_kind(mode)

    def folders_in(self, rel: bytes, descriptor: int) -> list[bytes]:
        """Paths of the folders inside it that are entered."""
        seen = FolderSeen(rel=rel, facts=_NOTHING)
        absolute = joined(self.path, rel) if rel else self.path
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    self._sort_folder(seen, descriptor, absolute, os.fsencode(entry.name))
        return [joined(rel, name) for name in seen.folders]

    # --- everything -----------------------------------------------------------------------------------------------

    def scan(self, start: bytes = b"") -> Iterator[FolderSeen]:
        """Every folder at or below ``start``, each before those inside it, in the order of names."""
        waiting, chain = [start], Chain(self.top)
        try:
            while waiting:
                seen = self._list(chain, waiting.pop())
                if seen is not None:
                    waiting.extend(joined(seen.rel, name) for name in reversed(seen.folders))
                    yield seen
        finally:
            chain.close()

    def _list(self, chain: Chain, rel: bytes) -> FolderSeen | None:
        """None where the folder is not there any more."""
        try:
            with chain.folder(rel) as descriptor:
                if descriptor is None:
                    return None
                seen = FolderSeen(rel=rel, facts=facts_at(descriptor))
                self._fill(seen, descriptor)
                return seen
        except (OSError, Unreadable) as error:
            return FolderSeen(rel=rel, facts=_NOTHING, unreadable=str(getattr(error, "strerror", None) or error))

    def _fill(self, seen: FolderSeen, descriptor: int) -> None:
        absolute = joined(self.path, seen.rel) if seen.rel else self.path
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                seen.listed.add(name)
                if (manager := manager_by(name)) is not None:
                    seen.managers.add(manager)
                self._sort(seen, descriptor, absolute, name, entry)
        seen.folders.sort()
        if PRIVATE_FOLDER in seen.listed and _exists(descriptor, TARGET_MARKER):  # S22
            self._close_off(seen)

    @staticmethod
    def _close_off(seen: FolderSeen) -> None:
        private = Skip("private", "a target folder of photosift, by its marker")
        seen.skipped = dict.fromkeys((*seen.files, *seen.folders), private)
        seen.closed = dict.fromkeys(seen.folders, private)
        seen.files, seen.folders = {}, []

    def _sort(self, seen: FolderSeen, descriptor: int, absolute: bytes, name: bytes, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._sort_folder(seen, descriptor, absolute, name)
            return
        skip = self._ignoring.file(absolute, name)
        facts = None if skip else _facts_or_none(descriptor, name)
        if facts is not None:
            skip = _skip_of_kind(facts.mode)
        if skip is not None:
            seen.skipped[name] = skip
        elif facts is not None:
            seen.files[name] = facts

    def _sort_folder(self, seen: FolderSeen, descriptor: int, absolute: bytes, name: bytes) -> None:
        rel = joined(seen.rel, name)
        skip = self._ignoring.folder(absolute, name)
        if skip is None and len(rel) > LONGEST_PATH - 256:
            skip = Skip("path-too-long", f"a path of more than {LONGEST_PATH} bytes")
        if skip is None and (facts := _facts_or_none(descriptor, name)) is not None:
            skip = self._ask_folder(rel, facts)
        if skip is None:
            seen.folders.append(name)
        else:
            seen.skipped[name] = seen.closed[name] = skip


def folders_of(tree: Tree, start: bytes = b"") -> Iterator[tuple[bytes, int]]:
    """Path and descriptor of ``start`` and every folder below it that is entered, each before it is listed."""
    waiting, chain = [start], Chain(tree.top)
    try:
        while waiting:
            rel = waiting.pop()
            try:
                with chain.folder(rel) as descriptor:
                    if descriptor is not None:
                        yield rel, descriptor
                        waiting += tree.folders_in(rel, descriptor)
            except (OSError, Unreadable):  # a pass says so; here it just is not watched
                continue
    finally:
        chain.close()


def look_in(folder: int, name: bytes) -> Facts | None:
    """Facts of a name that the folder lists. Raises ``Unreadable``.

    Only a folder that folds case or Unicode finds a name it does not list (S4); one that finds this name in other
    letters too is asked for its list.
    """
    facts = _facts(folder, name)
    if facts is None:
        return None
    other = _facts(folder, name.swapcase()) if name.swapcase() != name else None
    if other is not None or not name.isascii():  # exFAT has another inode number for each spelling
        return facts if _lists(folder, name) else None
    return facts


def _facts(folder: int, name: bytes) -> Facts | None:
    try:
        return facts_at(folder, name)
    except OSError as error:
        if error.errno in (*NOT_THERE, errno.ENAMETOOLONG):
            return None
        raise Unreadable(f"{printable(name)}: {error.strerror}") from error


def _facts_or_none(folder: int, name: bytes) -> Facts | None:
    """None also where it cannot be told: the name is listed, so it is not missing, but nothing is known of it."""
    try:
        return facts_at(folder, name)
    except OSError:
        return None


def _lists(folder: int, name: bytes) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(os.fsencode(entry.name) == name for entry in entries)
    except OSError as error:
        raise Unreadable(f"{printable(name)}: {error.strerror}") from error


def _exists(folder: int, path: bytes) -> bool:
    try:
        facts_at(folder, path)
    except OSError:
        return False
    return True


def _skip_of_kind(mode: int) -> Skip | None:
    if stat.S_ISLNK(mode):
        return Skip(
            SYMBOLIC_LINK,
            "a symbolic link is not followed; what it names is looked at only where it lies below a root itself",
        )
    return None if stat.S_ISREG(mode) else Skip(NOT_A_FILE, "neither a file nor a folder")


def same_file(other: str) -> Skip:
    """A further name of a file that is looked at under another one (S4)."""
    return Skip(SAME_FILE, f"the same file as {other}")
