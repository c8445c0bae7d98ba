"""Folders that their own decision emptied. (S25)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from services.watcher.disk import Disk, TreeRoot
from services.watcher.items import Items, RemovedFolder
from services.watcher.journal import Journal
from services.watcher.quarantine import ancestors
from services.watcher.records import Record
from shared.clock import Clock
from shared.config import Root
from shared.errors import PhotosiftError
from shared.messages.base import FileRef
from shared.messages.outcomes import FolderRemoved
from shared.paths import PhotoPath


class Folders:
    """Removes what a decision left empty: by ``rmdir``, innermost first, never a root, mount or managed folder."""

    def __init__(
        self,
        *,
        disk: Disk,
        roots: Mapping[str, Root],
        items: Items,
        journal: Journal,
        clock: Clock,
        may: Callable[[TreeRoot, PhotoPath], bool],
        enabled: bool,
    ) -> None:
        self._disk, self._roots, self._items, self._journal = disk, roots, items, journal
        self._clock, self._may, self._enabled = clock, may, enabled

    def after(self, record: Record) -> None:
        """Called once the act is recorded. What cannot be removed stays, and costs nothing."""
        if not self._enabled:
            return
        with suppress(PhotosiftError, OSError), self._disk.open_root(self._roots[record.origin.root].path) as tree:
            for folder in reversed(ancestors(record.origin.folder)[1:]):
                if not self._remove(tree, folder, record):
                    return

    def _remove(self, tree: TreeRoot, folder: bytes, record: Record) -> bool:
        name = record.origin.root
        if tree.list_folder(folder) or not self._may(tree, PhotoPath(name, folder + b"/any")):
            return False
        with tree.spot(folder) as spot, tree.spot(folder + b"/any") as inside:
            if spot.mount().mount_id != inside.mount().mount_id:
                return False
            attributes, decision = spot.attributes(), record.command.decision_id
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
