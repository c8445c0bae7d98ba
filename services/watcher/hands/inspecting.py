"""What the executor looks at before it acts: both files, their folders, their mounts. (S4, S7, S8, S22, S24)"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from services.watcher.disk.mounts import on_device
from services.watcher.disk.port import Disk, InUse, NotAFile, NotThere, OpenFile, Spot, TreeRoot
from services.watcher.hands.above import is_managed_above, not_live_above
from services.watcher.hands.counters import Counters
from services.watcher.hands.evidence import Looked, PlaceFacts
from services.watcher.hands.quarantine import TARGET_MARKER, is_listed, joined
from services.watcher.hands.tokens import told_apart
from services.watcher.hands.units import holds_one_kind, part_of_a_unit
from services.watcher.ignoring import managed_and_not_allowed, manager_by, not_live
from shared.config import Root
from shared.errors import PermanentError, PhotosiftError
from shared.messages.commands import TakeFile
from shared.paths import PhotoPath, ancestors, printable


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file as it was looked for. What is opened belongs to the caller's stack."""

    looked: Looked
    tree: TreeRoot
    spot: Spot | None = None
    file: OpenFile | None = None

    @property
    def opened(self) -> tuple[Spot, OpenFile]:
        """Raises ``NotThere``."""
        if self.spot is None or self.file is None:
            raise NotThere(str(self.tree.path))
        return self.spot, self.file


class RootGone(PermanentError):
    """The folder of a root is not there."""

    code = "root-unknown"


class Inspecting:
    """Looks; touches nothing but, where two mounts must be told apart, a token (S4)."""

    def __init__(
        self,
        *,
        disk: Disk,
        roots: Mapping[str, Root],
        target: Path | None,
        managed: tuple[str, ...],
        counters: Counters,
    ) -> None:
        self._disk, self._roots, self._target, self._counters = disk, roots, target, counters
        self._managed = {name: _listed_folders(root, managed) for name, root in roots.items()}

    def open_root(self, stack: ExitStack, root: str) -> TreeRoot:
        """Raises ``RootGone``."""
        try:
            return stack.enter_context(self._disk.open_root(self._roots[root].path))
        except NotThere as error:
            raise RootGone(root) from error

    def look_for(self, stack: ExitStack, path: PhotoPath) -> Found:
        """From its root by name: walked, listed, opened (S8, S9)."""
        tree = self.open_root(stack, path.root)
        try:
            spot = stack.enter_context(tree.spot(path.rel))
            stat = spot.look()
            if stat is None:
                return Found(looked=Looked(stat=None), tree=tree)
            file = stack.enter_context(spot.open())
        except NotThere:
            return Found(looked=Looked(stat=None), tree=tree)
        except InUse:
            return Found(looked=Looked(stat=stat, in_use=True), tree=tree)
        except PhotosiftError as error:
            return Found(looked=Looked(stat=None, problem=str(error)), tree=tree)
        looked = Looked(stat=file.stat, in_use=file.is_open_elsewhere())
        return Found(looked=looked, tree=tree, spot=spot, file=file)

    def places(self, command: TakeFile, victim: Found, keeper: Found) -> PlaceFacts:
        path, other = command.victim.file.photo, command.keeper.file.photo
        return PlaceFacts(
            victim=victim.looked,
            keeper=keeper.looked,
            victim_place=self.not_live(victim.tree, path) or self._shown_by_a_protected_root(victim.tree, path),
            keeper_place=self.not_live(keeper.tree, other),
            managed=self.manager(victim.tree, path),
            unit=_unit(victim.tree, path),
            victim_names=victim.file.names() if victim.file else 0,
            maybe_one_file=self._maybe_one_file(command, victim, keeper),
        )

    def not_live(self, tree: TreeRoot, path: PhotoPath) -> str | None:
        """Why nothing at this place is live (S22), else None."""
        skip = not_live(path.rel)
        if skip is not None:
            return skip.reason
        top = tree.path.resolve()
        if (reason := not_live_above(top)) is not None:
            return reason
        absolute = Path(os.fsdecode(path.below(os.fsencode(top))))
        if self._target is not None and absolute.is_relative_to(self._target.resolve()):
            return "the target, where taken files lie"
        if any(is_listed(tree, joined(above, TARGET_MARKER)) for above in ancestors(path.folder)):
            return "a target of photosift"
        return None

    def _shown_by_a_protected_root(self, tree: TreeRoot, path: PhotoPath) -> str | None:
        """Bind mounts: a library may show a part of a protected root, whose files are never taken (S4, S22)."""
        device, rel = on_device(path.below(os.fsencode(tree.path.resolve())))
        for root in self._roots.values():
            if root.role in ("reference", "backup") and root.name != path.root and root.path.exists():
                other, top = on_device(os.fsencode(root.path.resolve()))
                if device == other and rel.startswith(top.rstrip(b"/") + b"/"):
                    return f"the {root.role} root {root.name} shows the same file"
        return None

    def manager(self, tree: TreeRoot, path: PhotoPath) -> str | None:
        """The managed folder that a file lies in (S24); None where there is none, or a person allowed it by name."""
        marked = {above for above in ancestors(path.folder) if _has_manager(tree, above)}
        folder = managed_and_not_allowed(
            path.rel,
            marked | self._managed[path.root],
            self._counters.allowed(path.root),
            from_above=is_managed_above(tree.path.resolve()),
        )
        if folder is None:
            return None
        return f"{path.root}:{printable(folder)}" if folder else f"the whole root {path.root} ({tree.path})"

    def _maybe_one_file(self, command: TakeFile, victim: Found, keeper: Found) -> bool:
        """S4: equal in hash and mtime, on two mounts that may show one file, and no token tells them apart."""
        a, b = command.victim, command.keeper
        if victim.spot is None or keeper.spot is None or (a.sha256, a.mtime_ns) != (b.sha256, b.mtime_ns):
            return False
        one, other = victim.spot.mount(), keeper.spot.mount()
        if one.mount_id == other.mount_id or not any(m.is_layered or m.is_network for m in (one, other)):
            return False
        sides = ((victim.tree, a.file.photo.folder), (keeper.tree, b.file.photo.folder))
        return not told_apart(self._disk, *sides)


def _has_manager(tree: TreeRoot, folder: bytes) -> bool:
    try:
        return any(manager_by(name) for name in tree.list_folder(folder))
    except NotThere:
        return False


def _unit(tree: TreeRoot, path: PhotoPath) -> str | None:
    try:
        return part_of_a_unit(path.name, _beside(tree, path.folder))
    except NotThere:
        return None  # then the victim is not there either, which another rule says


def _beside(tree: TreeRoot, folder: bytes) -> Iterator[bytes]:
    """Names beside a file, also in RAW/ and JPG/ folders: below its own, or beside its own where that is one (S7)."""
    above, _, name = folder.rpartition(b"/")
    yield from tree.list_folder(folder)
    yield from _in_folders_of_a_kind(tree, folder)
    if folder and holds_one_kind(name):
        yield from tree.list_folder(above)
        yield from _in_folders_of_a_kind(tree, above)


def _in_folders_of_a_kind(tree: TreeRoot, folder: bytes) -> Iterator[bytes]:
    for name in tree.list_folder(folder):
        if holds_one_kind(name):
            with suppress(NotThere, NotAFile):
                yield from tree.list_folder(joined(folder, name))


def _listed_folders(root: Root, managed: tuple[str, ...]) -> set[bytes]:
    """The user's own list (absolute, or ``root:path``), as folders below this root."""
    found, top = set(), root.path.resolve()
    for entry in managed:
        name, colon, rel = entry.partition(":")
        absolute = top / rel.strip("/") if colon and name == root.name else Path(entry).resolve()
        if absolute.is_relative_to(top):
            below = str(absolute.relative_to(top))
            found.add(b"" if below == "." else os.fsencode(below))
        elif top.is_relative_to(absolute):
            found.add(b"")
    return found
