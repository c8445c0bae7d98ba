"""The keeper: read back from the disk before an act, found again by name after it. (S2, S8)"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from services.watcher.disk.port import Mount, OpenFile
from services.watcher.hands.evidence import untouched
from services.watcher.hands.inspecting import Found, Inspecting
from services.watcher.hands.refusals import Refusal
from shared.errors import PhotosiftError
from shared.messages.base import FileStat
from shared.paths import PhotoPath


@dataclass(frozen=True, kw_only=True)
class _Held:
    path: PhotoPath
    file: OpenFile
    #: as it was hashed
    stat: FileStat
    sha256: str


class Keepers:
    """Reads keepers; the last one read stays open, so that its hash may serve the other victims of its group."""

    def __init__(self, inspecting: Inspecting) -> None:
        self._inspecting = inspecting
        self._held: _Held | None = None
        self._stack = ExitStack()

    def rest(self) -> None:
        """Let go of the keeper that is held (an open file keeps its mount busy)."""
        self._held = None
        self._stack.close()

    def read(self, path: PhotoPath, found: Found) -> str:
        """Hash of what the disk holds, after the file and its folder were fsynced (S2). Raises ``DiskFailure``."""
        spot, file = found.opened
        if self._serves(path, file.stat):
            assert self._held is not None
            return self._held.sha256
        file.settle_to_disk()
        sha256 = file.hash_from_disk()
        if may_be_held(spot.mount()):
            self._hold(path, file.stat, sha256)
        return sha256

    def again(self, path: PhotoPath, before: FileStat) -> Refusal | None:
        """After the act: walked from the root, listed, opened, the same file, untouched. Otherwise why not (S8)."""
        with ExitStack() as stack:
            try:
                found = self._inspecting.look_for(stack, path)
            except PhotosiftError as error:
                return Refusal(code="keeper-gone", explanation=f"{path.text} cannot be found again: {error}")
            return _compare(path, before, found)

    def _serves(self, path: PhotoPath, now: FileStat) -> bool:
        held = self._held
        if held is None or held.path != path:
            return False
        return untouched(held.stat, now) and untouched(held.stat, held.file.restat())

    def _hold(self, path: PhotoPath, hashed: FileStat, sha256: str) -> None:
        self.rest()
        found = self._inspecting.look_for(self._stack, path)
        if found.file is not None:
            self._held = _Held(path=path, file=found.file, stat=hashed, sha256=sha256)


def may_be_held(mount: Mount) -> bool:
    """A held descriptor proves nothing where others may write behind the kernel's back (S8)."""
    return not (mount.is_layered or mount.is_network)


def _compare(path: PhotoPath, before: FileStat, found: Found) -> Refusal | None:
    now = found.looked
    if now.problem is not None or now.stat is None:
        return Refusal(code="keeper-gone", explanation=f"{path.text} is gone since it was checked")
    if not untouched(before, now.stat):
        return Refusal(code="keeper-changed", explanation=f"{path.text} changed since it was checked")
    if now.in_use:
        return Refusal(code="keeper-in-use", explanation=f"another program has opened {path.text} since it was checked")
    return None
