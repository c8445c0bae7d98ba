"""Everything the executor works with, put together once over one journal."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from services.watcher.disk.port import Disk, FaultPoint, TreeRoot, no_fault
from services.watcher.hands.closing import Closing
from services.watcher.hands.counters import Counters
from services.watcher.hands.folders import FolderLooks, Folders, FoldersBack
from services.watcher.hands.homeward import Homeward
from services.watcher.hands.inspecting import Inspecting
from services.watcher.hands.items import Items
from services.watcher.hands.journal import Journal
from services.watcher.hands.journalfile import JournalFailed, JournalFile
from services.watcher.hands.keepers import Keepers
from services.watcher.hands.moving import Moving
from services.watcher.hands.ownership import Ownership
from services.watcher.hands.places import Places
from services.watcher.hands.settingaside import SettingAside
from services.watcher.hands.sight import Sight
from shared.clock import Clock
from shared.config import Settings
from shared.paths import PhotoPath


class Workbench:
    """Held by one executor; ``folder`` is the watcher's part of the state folder, locked by the caller.

    Raises ``JournalFailed``.
    """

    def __init__(
        self,
        *,
        disk: Disk,
        settings: Settings,
        clock: Clock,
        folder: Path,
        sight: Sight,
        fault_point: FaultPoint = no_fault,
    ) -> None:
        self.disk, self.settings, self.clock, self.sight, self.fault = disk, settings, clock, sight, fault_point
        self.roots = {root.name: root for root in settings.roots}
        self.file = JournalFile(folder)
        self.journal, self.items, self.counters = Journal(self.file), Items(self.file), Counters(self.file)
        self.ownership = Ownership(
            disk=disk,
            folder=folder,
            file=self.file,
            items=self.items,
            roots=self.roots,
            target=settings.target,
            clock=clock,
        )
        self.inspecting = Inspecting(
            disk=disk,
            roots=self.roots,
            target=settings.target,
            managed=settings.managed_folders,
            counters=self.counters,
        )
        self.folder_looks = FolderLooks(self.file)
        self.keepers = Keepers(self.inspecting)
        self.aside = SettingAside(disk, fault_point)
        self.moving = Moving(disk=disk, target=settings.target, file=self.file, journal=self.journal, fault=fault_point)
        self.homeward = Homeward(disk=disk, roots=self.roots, folders=FoldersBack(disk=disk, items=self.items))
        self.places = Places(disk=disk, roots=self.roots, file=self.file, journal=self.journal, homeward=self.homeward)
        self.closing = Closing(
            journal=self.journal, places=self.places, folders=self._folders(), clock=clock, fault=fault_point
        )

    def _folders(self) -> Folders:
        return Folders(
            disk=self.disk,
            roots=self.roots,
            items=self.items,
            journal=self.journal,
            looks=self.folder_looks,
            clock=self.clock,
            may=self._may_remove_folder,
            enabled=self.settings.remove_empty_folders,
        )

    def _may_remove_folder(self, tree: TreeRoot, inside: PhotoPath) -> bool:
        return self.inspecting.manager(tree, inside) is None

    def close(self) -> None:
        """Let go of every claim and file."""
        self.keepers.rest()
        with suppress(JournalFailed):
            self.folder_looks.keep()
        self.ownership.close()
        self.file.close()
