"""Where the file of an act is now: at its own name, aside, or in the target; and the way back from wherever. (S12)"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from services.watcher.disk.port import Disk
from services.watcher.hands.homeward import Homeward, Stays
from services.watcher.hands.journal import Journal
from services.watcher.hands.journalfile import JournalFile
from services.watcher.hands.quarantine import clear_temporaries, folder_of, is_listed
from services.watcher.hands.records import Record
from shared.config import Root
from shared.errors import PhotosiftError
from shared.messages.commands import TakeFile
from shared.paths import printable


class Places:
    """Finds items, and brings them back."""

    def __init__(
        self, *, disk: Disk, roots: Mapping[str, Root], file: JournalFile, journal: Journal, homeward: Homeward
    ) -> None:
        self._disk, self._roots, self._file = disk, roots, file
        self._journal, self._homeward = journal, homeward

    def where(self, record: Record) -> str:
        """The absolute path, for people."""
        top = self._roots[record.origin.root].path if record.tree == "root" else Path(record.target or "")
        return printable(os.path.join(os.fsencode(top), record.place_rel))

    def is_aside(self, record: Record) -> bool:
        """Whether it lies at the private place. Raises ``NotThere`` where the root is not."""
        with self._disk.open_root(self._roots[record.origin.root].path) as tree:
            return is_listed(tree, record.place_rel)

    def is_home(self, record: Record) -> bool:
        """Whether the root lists its own name."""
        with self._disk.open_root(self._roots[record.origin.root].path) as tree:
            return is_listed(tree, record.origin.rel)

    def target_of(self, command: TakeFile) -> Path | None:
        """The target that was acted into, whatever the settings say now; only one that was ours then (S9)."""
        known = command.target is not None and self._file.meta(f"target:{command.target}") is not None
        return Path(command.target) if known and command.target else None

    def in_target(self, record: Record) -> Record | None:
        """The item in the target, where the journal aimed at a name there and that holds its bytes."""
        entry = self._journal.lookup(record.command.command_id)
        target = None if entry is None else self.target_of(entry.command)
        if entry is None or entry.final is None or target is None:
            return None
        moved = record.lying_at("target", entry.final, target)
        with (
            suppress(PhotosiftError),
            self._disk.open_root(target) as tree,
            tree.spot(entry.final) as spot,
            spot.open() as file,
        ):
            return moved if file.sha256() == record.sha256 else None
        return None

    def clear_temporaries(self, record: Record, final: bytes | None) -> None:
        """What a crash may have left beside both ends of the way."""
        with suppress(PhotosiftError), self._disk.open_root(self._roots[record.origin.root].path) as tree:
            clear_temporaries(self._disk, tree, record.origin.folder)
        target = self.target_of(record.command)
        if final is not None and target is not None:
            with suppress(PhotosiftError), self._disk.open_root(target) as tree:
                clear_temporaries(self._disk, tree, folder_of(final))

    def bring_back(self, record: Record) -> tuple[Record, Stays | None]:
        """Back to its own name from wherever it is; where that fails, the record of where it lies."""
        record, stays = self._bring_back(record)
        self._homeward.finish_folders(record.origin.root)
        return record, stays

    def _bring_back(self, record: Record) -> tuple[Record, Stays | None]:
        moved = self.in_target(record)
        if moved is not None and not self._is_surely_aside(record):
            return moved, self._homeward.bring(moved)
        stays = self._homeward.bring(record)
        if stays is None and moved is not None:
            with suppress(PhotosiftError, OSError):
                self._homeward.retire_copy(moved)
        return record, stays

    def _is_surely_aside(self, record: Record) -> bool:
        with suppress(PhotosiftError):
            return self.is_aside(record)
        return False
