"""The first half of every act: the victim into a private place on its mount, and identified there. (S10, S11, S12)"""

from __future__ import annotations

from contextlib import suppress

from services.watcher.disk.port import CannotRename, CrossDevice, Disk, FaultPoint, OpenFile, Spot, TreeRoot
from services.watcher.hands.evidence import has_other_names, same_file
from services.watcher.hands.quarantine import PHOTO, discard, folder_of, is_listed, joined, remember_anchor
from services.watcher.hands.records import CORRECTED, RECORD, Record
from services.watcher.hands.refusals import Refusal
from shared.errors import PhotosiftError


class SettingAside:
    """Sets victims aside."""

    def __init__(self, disk: Disk, fault: FaultPoint) -> None:
        self._disk, self._fault = disk, fault

    def take(self, tree: TreeRoot, victim: Spot, record: Record) -> Refusal | None:
        """Rename the victim to the record's place; None when it lies there now, a refusal when nothing was moved.

        After a failure whose result is unknown the disk is asked; what lies there is then put back by the caller (S10).
        Record and photo share one fresh folder: some mounts rename safely only into such a one.
        """
        folder = folder_of(record.place_rel)
        try:
            self._fault("execute:before-record")
            with tree.spot(joined(folder, RECORD), make_folders=True) as beside, beside.beside(PHOTO) as place:
                self._disk.write_private(beside, record.as_json())
                self._fault("execute:before-set-aside")
                self._disk.rename(victim, place)
        except PhotosiftError as error:
            if is_listed(tree, record.place_rel):
                raise
            with suppress(PhotosiftError):
                discard(self._disk, tree, folder)
            return _not_taken(record, error)
        return None

    def remember(self, tree: TreeRoot, anchor: bytes) -> None:
        """Before the first private place below a nested mount is used. Raises ``DiskFailure``, ``ReadOnly``."""
        remember_anchor(self._disk, tree, anchor)

    def is_stranger(self, tree: TreeRoot, checked: OpenFile, record: Record) -> Refusal | None:
        """Whether something else than the checked file was taken: by descriptor, size, mtime and hash (S10)."""
        self._fault("execute:before-identify")
        with tree.spot(record.place_rel) as place, place.open() as taken:
            before, now = checked.restat(), taken.stat
            same = same_file(before, now) and (now.size, now.mtime_ns) == (record.size, record.mtime_ns)
            if same and taken.sha256() == record.sha256:
                others = taken.names() - 1  # S4: a link that was made since it was checked
                return has_other_names(record.origin.text, others) if others else None
        return Refusal(
            code="victim-changed",
            explanation=f"{record.origin.text} was replaced or changed at the moment of acting; it was put back",
        )

    def corrected(self, tree: TreeRoot, record: Record) -> Record:
        """The record of a stranger: what really lies there, so that it can be put back (S11)."""
        with tree.spot(record.place_rel) as place, place.open() as taken:
            found = {"sha256": taken.sha256(), "size": taken.stat.size, "mtime_ns": taken.stat.mtime_ns}
            record = record.model_copy(update={**found, "attributes": taken.attributes().to_json()})
        with suppress(PhotosiftError), tree.spot(joined(folder_of(record.place_rel), CORRECTED)) as spot:
            self._disk.write_private(spot, record.as_json())
        return record


def _not_taken(record: Record, error: PhotosiftError) -> Refusal:
    """Nothing was moved, and why."""
    if isinstance(error, CrossDevice | CannotRename):
        return Refusal(
            code="no-private-place",
            explanation=f"there is no private place on the mount of {record.origin.text}: {error}",
        )
    code = "victim-gone" if error.code == "not-there" else error.code
    return Refusal(code=code, explanation=f"{record.origin.text} could not be set aside: {error}")
