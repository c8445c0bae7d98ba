"""The disk of this machine: the adapter of ``services.watcher.disk.port``. (S9, S10)"""

from __future__ import annotations

import os
from pathlib import Path

from services.watcher.disk.attributes import carry
from services.watcher.disk.copying import COPY_STEPS, WRITE_STEPS, copy, write
from services.watcher.disk.errors import reading, settling, writing
from services.watcher.disk.opening import LocalFile
from services.watcher.disk.placing import EXCLUSIVE_STEPS
from services.watcher.disk.port import Attributes, FaultPoint, OpenFile, Spot, no_fault
from services.watcher.disk.renaming import RENAME_STEPS, rename
from services.watcher.disk.syscalls import settle
from services.watcher.disk.walking import LocalRoot, LocalSpot
from shared.errors import PermanentError
from shared.paths import printable

#: every step that announces itself (D7), in the order of the acts
FAULT_POINTS = (
    "folders:before-mkdir",
    "folders:before-fsync",
    *RENAME_STEPS,
    *EXCLUSIVE_STEPS,
    *COPY_STEPS,
    *WRITE_STEPS,
    "attributes:before",
    "attributes:before-fsync",
    "release:before",
    "release:before-fsync",
    "remove-folder:before",
    "remove-folder:before-fsync",
)


class LocalDisk:
    """See ``Disk``. Without state: any number of threads may use one, each with spots and files of its own."""

    def __init__(self, fault_point: FaultPoint = no_fault) -> None:
        self._fault = fault_point

    def open_root(self, path: Path) -> LocalRoot:
        return LocalRoot(path, self._fault)

    def rename(self, source: Spot, to: Spot) -> None:
        rename(_local(source), _local(to), self._fault)

    def copy(self, source: OpenFile, to: Spot, *, sha256: str) -> tuple[str, ...]:
        if not isinstance(source, LocalFile):
            raise TypeError("a file of another disk")
        return copy(source, _local(to), sha256, self._fault)

    def restore_attributes(self, spot: Spot, attributes: Attributes) -> tuple[str, ...]:
        with _local(spot).open_anything() as entry:
            self._fault("attributes:before")
            with reading(spot.name):
                lost = carry(entry.fileno(), attributes)
            self._fault("attributes:before-fsync")
            with settling(spot.name):
                settle(entry.fileno())
        return lost

    def release(self, private: Spot) -> None:
        spot = _ours(private)
        spot.must_be_there()
        self._fault("release:before")
        with writing(spot.name):
            os.unlink(spot.name, dir_fd=spot.fd)
        self._fault("release:before-fsync")
        spot.settle_folder()

    def write_private(self, private: Spot, payload: bytes) -> None:
        write(_ours(private), payload, self._fault)

    def remove_folder(self, spot: Spot) -> None:
        folder = _local(spot)
        folder.must_be_there()
        self._fault("remove-folder:before")
        with writing(folder.name):
            os.rmdir(folder.name, dir_fd=folder.fd)
        self._fault("remove-folder:before-fsync")
        folder.settle_folder()


def _local(spot: Spot) -> LocalSpot:
    if not isinstance(spot, LocalSpot):
        raise TypeError("a spot of another disk")
    return spot


def _ours(spot: Spot) -> LocalSpot:
    """D6. Raises ``PermanentError`` for a user's name."""
    local = _local(spot)
    if not local.is_ours:
        raise PermanentError(f"{printable(local.rel)} is a user's name, not private")
    return local
