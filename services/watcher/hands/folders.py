"""Folders that their own decision emptied: what they had, how they go, and how they come back. (S10, S11, S25)

What the folders above a victim have is read before the act, and stands in the record beside the item, so that it comes
back without the journal too. An act changes the time of a folder: the times kept are those before photosift's own acts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from services.watcher.disk.port import Attributes, Disk, TreeRoot
from services.watcher.hands.items import Items, RemovedFolder
from services.watcher.hands.journal import Journal
from services.watcher.hands.journalfile import JournalFile
from services.watcher.hands.quarantine import is_listed
from services.watcher.hands.records import Record
from shared.clock import Clock
from shared.config import Root
from shared.errors import PhotosiftError
from shared.messages.base import FileRef
from shared.messages.outcomes import FolderRemoved
from shared.paths import PhotoPath, ancestors

#: of how many folders the times are remembered between acts
REMEMBERED = 1_000


class FolderLooks:
    """What folders have, with the times from before photosift's own acts in them.

    Written down when the process ends; one that is killed forgets those of its own acts: a time is lost, and no more.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        #: by root and folder: the time that an act left behind, and what the folder had before
        self._left: dict[tuple[str, bytes], tuple[int, Attributes]] = {
            (str(root), rel): (int(str(at)), _attributes(had))
            for root, rel, at, had in file.read("SELECT root, rel, mtime_ns, attributes FROM acted_in ORDER BY rowid")
            if isinstance(rel, bytes)
        }

    def keep(self) -> None:
        """For the next process. Raises ``JournalFailed``."""
        rows = [(*place, at, json.dumps(had.to_json())) for place, (at, had) in self._left.items()]

        def change(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM acted_in")
            db.executemany("INSERT INTO acted_in VALUES (?, ?, ?, ?)", rows)

        self._file.write(change)

    def above(self, tree: TreeRoot, path: PhotoPath) -> tuple[Attributes, ...]:
        """Of every folder from below the root down to the file's own. Raises as ``Spot.attributes`` does."""
        return tuple(self._look(tree, path.root, folder) for folder in ancestors(path.folder)[1:])

    def acted_in(self, tree: TreeRoot, root: str, folder: bytes, had: Attributes) -> None:
        """An act changed the folder's time just now."""
        with tree.spot(folder) as spot:
            self._left[root, folder] = (spot.attributes().mtime_ns, had)
        if len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]

    def _look(self, tree: TreeRoot, root: str, folder: bytes) -> Attributes:
        with tree.spot(folder) as spot:
            now = spot.attributes()
        left, had = self._left.pop((root, folder), (None, now))
        return with_times(now, had) if left == now.mtime_ns else now


class Folders:
    """Removes what a decision left empty: by ``rmdir``, innermost first, never a root, mount or managed folder."""

    def __init__(
        self,
        *,
        disk: Disk,
        roots: Mapping[str, Root],
        items: Items,
        journal: Journal,
        looks: FolderLooks,
        clock: Clock,
        may: Callable[[TreeRoot, PhotoPath], bool],
        enabled: bool,
    ) -> None:
        self._disk, self._roots, self._items, self._journal = disk, roots, items, journal
        self._looks, self._clock, self._may, self._enabled = looks, clock, may, enabled

    def after(self, record: Record) -> None:
        """Called once the act is recorded. What cannot be removed stays, and costs nothing."""
        if not self._enabled:
            return
        with suppress(PhotosiftError, OSError), self._disk.open_root(self._roots[record.origin.root].path) as tree:
            for folder in reversed(ancestors(record.origin.folder)[1:]):
                had = record.saved_folders.get(folder)
                if not self._remove(tree, folder, had, record):
                    if had is not None:
                        self._looks.acted_in(tree, record.origin.root, folder, had)
                    return

    def _remove(self, tree: TreeRoot, folder: bytes, had: Attributes | None, record: Record) -> bool:
        name = record.origin.root
        if tree.list_folder(folder) or not self._may(tree, PhotoPath(name, folder + b"/any")):
            return False
        with tree.spot(folder) as spot, tree.spot(folder + b"/any") as inside:
            if spot.mount().mount_id != inside.mount().mount_id:
                return False
            attributes, decision = spot.attributes(), record.command.decision_id
            attributes = attributes if had is None else with_times(attributes, had)
            noted = RemovedFolder(root=name, rel=folder, decision_id=decision, attributes=attributes)
            self._items.note_folder(noted, self._clock.now())
            try:
                self._disk.remove_folder(spot)
            except PhotosiftError:
                self._items.folder_is_back(name, folder)
                return False
        self._journal.say(self._message(name, folder, decision))
        return True

    def _message(self, root: str, folder: bytes, decision: str) -> FolderRemoved:
        reference = FileRef.of(PhotoPath(root, folder))
        return FolderRemoved(folder=reference, decision_id=decision, done_at=self._clock.now())


class FoldersBack:
    """Makes the folders again that a file goes home to. They get what they had once everything is back in them:
    a file that comes later would change their time, or not be let in by their mode."""

    def __init__(self, *, disk: Disk, items: Items) -> None:
        self._disk, self._items = disk, items

    def make(self, root: TreeRoot, record: Record) -> None:
        """Make what is missing; what it shall have is known from the journal, or from the record beside the item."""
        name, known = record.origin.root, record.saved_folders
        missing = [folder for folder in ancestors(record.origin.folder)[1:] if not is_listed(root, folder)]
        if not missing:
            return
        removed = {folder: self._items.removed_folder(name, folder) for folder in missing}
        had = {folder: gone.attributes if gone else known.get(folder) for folder, gone in removed.items()}
        self._items.expect_folders(name, {folder: value for folder, value in had.items() if value is not None})
        with root.spot(record.origin.rel, make_folders=True):
            pass

    def finish(self, name: str, root: TreeRoot) -> None:
        """Give those that were made what they had, the innermost first."""
        for folder, attributes in self._items.returning_folders(name).items():
            with suppress(PhotosiftError), root.spot(folder) as spot:
                self._disk.restore_attributes(spot, attributes)
            self._items.folder_is_back(name, folder)


def _attributes(text: object) -> Attributes:
    return Attributes.from_json(json.loads(str(text)))


def with_times(attributes: Attributes, other: Attributes) -> Attributes:
    return replace(attributes, atime_ns=other.atime_ns, mtime_ns=other.mtime_ns)
