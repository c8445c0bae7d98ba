"""The second half of a move: from the private place on to TARGET/<root name>/<path>. (S10, S11, S22)"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from services.watcher.disk.port import (
    CrossDevice,
    Disk,
    FaultPoint,
    NotThere,
    Occupied,
    Spot,
    TreeRoot,
)
from services.watcher.hands.homeward import numbered
from services.watcher.hands.journal import Journal
from services.watcher.hands.journalfile import JournalFile
from services.watcher.hands.quarantine import TARGET_MARKER, TARGET_RECORDS, content, discard, folder_of, joined
from services.watcher.hands.records import Record
from services.watcher.hands.refusals import Refusal
from shared.errors import PhotosiftError
from shared.paths import PhotoPath

#: says why the keeper does not stand for the victim any more, else None
KeeperAgain = Callable[[], Refusal | None]


class Moving:
    """Moves set-aside files on."""

    def __init__(
        self, *, disk: Disk, target: Path | None, file: JournalFile, journal: Journal, fault: FaultPoint
    ) -> None:
        self._disk, self._file, self._journal, self._fault = disk, file, journal, fault
        self._target = target

    # ---- before anything is touched -------------------------------------------------------------------------------

    def why_not(self, root: TreeRoot, *, confirmed: bool) -> Refusal | None:
        """Whether the target can take files of this root. Marks it as a target (S22)."""
        if self._target is None:
            return Refusal(code="target-not-mine", explanation="no target is set")
        made: list[Path] = []
        try:
            self._make_target(made)
            with self._disk.open_root(self._target) as target:
                refusal = self._fits(root, target)
                if refusal is not None:
                    _take_back(made)
                return refusal or self._recognise(target, confirmed=confirmed)
        except (PhotosiftError, OSError) as error:
            return Refusal(code="target-not-there", explanation=f"the target {self._target} cannot be used: {error}")

    def _make_target(self, made: list[Path]) -> None:
        """A target that was never used may be made; one that was used is missed, not made anew (S14)."""
        assert self._target is not None
        if self._file.meta(f"target:{self._target}") is None:
            made += [folder for folder in (self._target, *self._target.parents) if not folder.exists()]
            self._target.mkdir(parents=True, exist_ok=True)

    def _fits(self, root: TreeRoot, target: TreeRoot) -> Refusal | None:
        mount = target.mount()
        if not mount.is_volatile or mount.mount_id == root.mount().mount_id:
            return None
        return Refusal(  # S11
            code="target-volatile",
            explanation=f"the target {target.path} lies on {mount.kind}, where nothing lasts",
        )

    def _recognise(self, target: TreeRoot, *, confirmed: bool) -> Refusal | None:
        name, marker = f"target:{target.path}", _marker(target)
        known = self._file.meta(name)
        if known is not None and marker != known and not confirmed:
            return Refusal(
                code="target-changed",
                explanation=f"{target.path} is not the target it was: mounted? `scan --apply` takes it as it is",
            )
        if marker is None:
            marker = uuid.uuid4().hex
            with target.spot(TARGET_MARKER, make_folders=True) as spot:
                self._disk.write_private(spot, json.dumps({"id": marker, "kind": "photosift target"}).encode())
        if marker != known:
            self._file.set_meta(**{name: marker})
        return None

    # ---- the move -------------------------------------------------------------------------------------------------

    def move_on(self, root: TreeRoot, record: Record, keeper_again: KeeperAgain) -> Record | Refusal:
        """The item at its new place, or why it is still (or again) at its private one."""
        assert self._target is not None
        try:
            with self._disk.open_root(self._target) as target, root.spot(record.place_rel) as private:
                for rel in _names(record.origin):
                    moved = record.lying_at("target", rel, self._target)
                    answer = self._try(target, private, moved, keeper_again)
                    if answer is not None:
                        return answer
        except (PhotosiftError, OSError) as error:
            code = error.code if isinstance(error, PhotosiftError) else "disk-failure"
            return Refusal(code=code, explanation=f"{record.origin.text} cannot be moved to {self._target}: {error}")
        return Refusal(code="occupied", explanation=f"no free name for {record.origin.text} in {self._target}")

    def release(self, root: TreeRoot, record: Record) -> None:
        """The copy in the target is complete and was read back: let the private item go. Raises ``DiskFailure``."""
        with root.spot(record.place_rel) as private:
            self._disk.release(private)

    def clear(self, root: TreeRoot, record: Record) -> None:
        """The private record is of no more use; litter that stays harms nobody."""
        with suppress(PhotosiftError, OSError):
            discard(self._disk, root, folder_of(record.place_rel))

    def _try(
        self, target: TreeRoot, private: Spot, moved: Record, keeper_again: KeeperAgain
    ) -> Record | Refusal | None:
        """None: that name is taken."""
        with target.spot(moved.place_rel, make_folders=True) as to:
            if to.look() is not None:
                return None
            self._fault("execute:before-aim")
            self._journal.aim(moved.command.command_id, moved.place_rel)
            with target.spot(_record_name(moved), make_folders=True) as record:
                self._disk.write_private(record, moved.as_json())
                try:
                    refusal = self._carry(private, to, moved, keeper_again)
                except Occupied:
                    self._disk.release(record)
                    return None
                except PhotosiftError:
                    if private.look() is not None and to.look() is None:  # else it may be there, and needs its record
                        self._disk.release(record)
                    raise
        return moved if refusal is None else refusal

    def _carry(self, private: Spot, to: Spot, moved: Record, keeper_again: KeeperAgain) -> Refusal | None:
        self._fault("execute:before-move-on")
        copied = self._renamed_or_copied(private, to, moved) == "copied"
        self._fault("execute:before-second-look")
        refusal = keeper_again()  # S8: after the act; a copy takes its time, and a user needs none
        if refusal is None and copied:
            self._disk.release(private)
        return refusal

    def _renamed_or_copied(self, private: Spot, to: Spot, moved: Record) -> Literal["renamed", "copied"]:
        try:
            self._disk.rename(private, to)
        except CrossDevice:
            with private.open() as file:
                self._disk.copy(file, to, sha256=moved.sha256)
            return "copied"
        return "renamed"


def _take_back(made: list[Path]) -> None:
    """Folders that were made for a target which cannot be used, the deepest first; only what is still empty goes."""
    with suppress(OSError):
        for folder in made:
            folder.rmdir()


def _record_name(record: Record) -> bytes:
    return joined(TARGET_RECORDS, record.item_id.encode() + b".json")


def _names(origin: PhotoPath) -> Iterator[bytes]:
    """Below the target: by root and path, then with a number in the name."""
    root = origin.root.encode()
    top = b"_" + root if root.startswith(b".photosift") else root
    yield joined(top, origin.rel)
    for name in numbered(origin.name):
        yield joined(top, origin.folder, name)


def _marker(target: TreeRoot) -> str | None:
    payload = content(target, TARGET_MARKER)
    with suppress(ValueError, KeyError, TypeError, NotThere):
        return str(json.loads(payload or b"")["id"])
    return None
