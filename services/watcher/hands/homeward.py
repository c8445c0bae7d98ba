"""The way back: an item to its own name, whether an act is undone or a person restores it. (S10, S11, S12, S25)

Never onto a taken name; what could not go back stays where it lies. Works again after a crash at any step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.watcher.disk.port import CrossDevice, Disk, NotAFile, NotThere, Occupied, Spot, TreeRoot
from services.watcher.hands.evidence import same_file
from services.watcher.hands.folders import FoldersBack
from services.watcher.hands.quarantine import (
    ASIDE,
    PHOTO,
    TARGET_RECORDS,
    discard,
    folder_of,
    is_listed,
    joined,
)
from services.watcher.hands.records import Record
from shared.config import Root
from shared.errors import PhotosiftError
from shared.messages.base import FileStat
from shared.paths import printable


@dataclass(frozen=True, kw_only=True)
class Stays:
    """Why an item stays where it lies."""

    code: str
    explanation: str


class Homeward:
    """Brings items home."""

    def __init__(self, *, disk: Disk, roots: Mapping[str, Root], folders: FoldersBack) -> None:
        self._disk, self._roots, self._folders = disk, roots, folders

    def bring(self, record: Record) -> Stays | None:
        """Put the item back at its own name; None when it is there. Nothing is lost, whatever is raised or returned."""
        try:
            with self._disk.open_root(self._roots[record.origin.root].path) as root:
                return self._bring(root, record)
        except KeyError:
            return Stays(code="not-my-root", explanation=f"root {record.origin.root} is not in the settings")
        except (PhotosiftError, OSError) as error:
            code = error.code if isinstance(error, PhotosiftError) else "disk-failure"
            return Stays(code=code, explanation=f"{record.origin.text} cannot go back: {error}")

    def finish_folders(self, root: str) -> None:
        """Folders that were made on the way home get what they had: called when everything is back (S25)."""
        with suppress(KeyError, PhotosiftError, OSError), self._disk.open_root(self._roots[root].path) as tree:
            self._folders.finish(root, tree)

    def _bring(self, root: TreeRoot, record: Record) -> Stays | None:
        if record.tree == "root":
            return self._from(root, root, record)
        with self._disk.open_root(Path(record.target or "")) as target:
            return self._from(target, root, record)

    def _from(self, tree: TreeRoot, root: TreeRoot, record: Record) -> Stays | None:
        if not is_listed(tree, record.place_rel):
            stays = self._is_home(root, record)
            if stays is None:
                self._clear_up_after_a_crash(tree, record)
            return stays
        with tree.spot(record.place_rel) as source:
            stays = _is_itself(source, record)
            if stays is not None:
                return stays
            self._folders.make(root, record)
            with root.spot(record.origin.rel) as origin:
                stays = self._place(tree, source, origin, record)
        if stays is None:
            self._clear(tree, record)
        return stays

    def _place(self, tree: TreeRoot, source: Spot, origin: Spot, record: Record) -> Stays | None:
        there = origin.look()
        if there is not None and not _is_the_same(source, origin, there, record):
            return _occupied(origin, record)
        if there is None:
            try:
                self._disk.rename(source, origin)
            except Occupied:
                return _occupied(origin, record)
            except CrossDevice:
                with source.open() as file:
                    self._disk.copy(file, origin, sha256=record.sha256)
        if record.tree == "target":
            self._disk.restore_attributes(origin, record.saved_attributes)  # what the target could not hold (S10)
        if source.look() is not None:
            self._retire(tree, record)
        return None

    def retire_copy(self, moved: Record) -> None:
        """A complete copy in the target, whose first one is home again, goes with its record."""
        with self._disk.open_root(Path(moved.target or "")) as tree:
            self._retire(tree, moved)
            self._clear(tree, moved)

    def _retire(self, tree: TreeRoot, record: Record) -> None:
        """Let a second copy go whose first one is home, read back from disk: from a private name only (D6)."""
        private = record.place_rel
        if record.tree == "target":
            private = _retired(record)
            with tree.spot(record.place_rel) as source, tree.spot(private, make_folders=True) as aside:
                self._disk.rename(source, aside)
        self._release(tree, private, record)

    def _release(self, tree: TreeRoot, private: bytes, record: Record) -> None:
        with tree.spot(private) as spot:
            with spot.open() as file:
                ours = file.sha256() == record.sha256
            if ours:
                self._disk.release(spot)
        discard(self._disk, tree, folder_of(private))

    def _clear_up_after_a_crash(self, tree: TreeRoot, record: Record) -> None:
        if record.tree == "target" and is_listed(tree, _retired(record)):
            self._release(tree, _retired(record), record)
        self._clear(tree, record)

    def _is_home(self, root: TreeRoot, record: Record) -> Stays | None:
        """It is not where it should lie: a crash may have come after it went home."""
        with suppress(NotThere, NotAFile), root.spot(record.origin.rel) as origin, origin.open() as file:
            if file.sha256() == record.sha256:
                return None
        return Stays(code="item-gone", explanation=f"{record.place} does not hold {record.origin.text} any more")

    def _clear(self, tree: TreeRoot, record: Record) -> None:
        """The record is of no more use; litter that stays harms nobody."""
        with suppress(PhotosiftError, OSError):
            if record.tree == "root":
                discard(self._disk, tree, folder_of(record.place_rel))
            else:
                with tree.spot(joined(TARGET_RECORDS, record.item_id.encode() + b".json")) as spot:
                    self._disk.release(spot)


def _retired(record: Record) -> bytes:
    """The private name below a target by which a second copy goes."""
    return joined(ASIDE, record.item_id.encode(), PHOTO)


def _is_itself(source: Spot, record: Record) -> Stays | None:
    """Hash-verified before it goes anywhere (S11)."""
    with source.open() as file:
        if file.sha256() == record.sha256:
            return None
    return Stays(code="item-changed", explanation=f"what lies at {record.place} is not {record.origin.text} any more")


def _is_the_same(source: Spot, origin: Spot, there: FileStat, record: Record) -> bool:
    """Both names are there after a crash between link and unlink, or between copy and release."""
    try:
        with source.open() as aside:
            if same_file(aside.stat, there):
                return True
        with origin.open() as file:
            file.settle_to_disk()
            return file.hash_from_disk() == record.sha256
    except (NotThere, NotAFile):
        return False


def _occupied(origin: Spot, record: Record) -> Stays:
    free = next(name for name in numbered(origin.name) if _is_free(origin, name))
    beside = os.path.join(printable(record.origin.folder), printable(free))
    return Stays(
        code="occupied",
        explanation=f"{record.origin.text} is taken by another file, and nothing is overwritten; {beside} is free",
    )


def _is_free(origin: Spot, name: bytes) -> bool:
    with origin.beside(name) as spot:
        return spot.look() is None


def numbered(name: bytes) -> list[bytes]:
    """``photo.jpg`` -> ``photo (2).jpg`` … ``photo (999).jpg``."""
    stem, dot, ending = name.rpartition(b".")
    if not stem:
        stem, dot, ending = name, b"", b""
    return [b"%s (%d)%s%s" % (stem, n, dot, ending) for n in range(2, 1000)]
