"""Whose root it is: one executor acts in a root, and a second one only proposes. (S4, S6, S12, S23)

A claim is an flock on ``.photosift/owner.lock`` together with ``owner.json``: the id of the journal whose root this is,
a generation that every ``adopt`` raises, and the epoch of that journal. An flock is granted twice through a pool and
its branch, so the file is read again before every act. Nothing is written in a root before acting is allowed there.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.watcher.disk.port import PRIVATE, Disk, NotThere, TreeRoot
from services.watcher.hands.items import Items
from services.watcher.hands.journalfile import JournalFile
from services.watcher.hands.lockfile import OWNER, LockFile, LockHeld, Owner
from services.watcher.hands.quarantine import is_listed, item_names, joined, records_below_root, records_in_target
from services.watcher.hands.records import Record
from services.watcher.hands.refusals import Refusal
from services.watcher.hands.tokens import overlapping
from shared.clock import Clock
from shared.config import Root
from shared.errors import PermanentError, PhotosiftError


class NotAdopted(PermanentError):
    """The root cannot be taken over now."""

    code = "not-adopted"


@dataclass(frozen=True, kw_only=True)
class _Claim:
    lock: LockFile
    owner: Owner


class Ownership:
    """The claims of one executor; every method is called from its one thread."""

    def __init__(
        self,
        *,
        disk: Disk,
        folder: Path,
        file: JournalFile,
        items: Items,
        roots: Mapping[str, Root],
        target: Path | None,
        clock: Clock,
    ) -> None:
        self._disk, self._file, self._items, self._roots, self._target = disk, file, items, roots, target
        self._folder, self._clock = folder / "owners", clock
        self._claims: dict[str, _Claim] = {}
        self._overlaps: dict[str, str] = {}
        self._epoch_raised = False

    def close(self) -> None:
        for name in list(self._claims):
            self._let_go(name)

    # ---- asking ---------------------------------------------------------------------------------------------------

    def why_not(self, root: str) -> Refusal | None:
        """Why this executor may not act in the root, else None; claims it where it is free."""
        try:
            with self._disk.open_root(self._roots[root].path) as tree:
                return self._why_not(root, tree)
        except NotThere:
            self._let_go(root)
            return Refusal(code="root-unknown", explanation=f"the folder of root {root} is not there")  # S14
        except (PhotosiftError, OSError) as error:
            self._let_go(root)
            return Refusal(code="not-the-owner", explanation=f"root {root} cannot be claimed: {error}")

    def overlap(self, root: str) -> str | None:
        """Another root that shows the same files (S4)."""
        return self._overlaps.get(root)

    def history_unknown_before(self, root: str) -> float:
        """What was taken in the root before this moment (seconds since the epoch) may be remembered by nobody (S1)."""
        return float(self._file.meta(f"history-unknown-before:{root}") or 0.0)

    def generation(self, root: str) -> int:
        claim = self._claims.get(root)
        return claim.owner.generation if claim else 0

    def _why_not(self, root: str, tree: TreeRoot) -> Refusal | None:
        claim = self._claims.get(root)
        if claim is not None and claim.lock.is_at(tree) and claim.lock.read() == claim.owner:
            return None
        self._let_go(root)
        return self._claim(root, tree)

    def has_acted_in(self, root: str) -> bool:
        """Whether any executor ever claimed the root: only then may it be written to while merely proposing (S6)."""
        try:
            with self._disk.open_root(self._roots[root].path) as tree:
                known = is_listed(tree, joined(PRIVATE, OWNER)) or bool(item_names(tree))
            return known or bool(self._records_in_target(root))
        except (KeyError, PhotosiftError, OSError):
            return False

    # ---- claiming -------------------------------------------------------------------------------------------------

    def _claim(self, root: str, tree: TreeRoot) -> Refusal | None:
        try:
            lock = self._lock(root, tree)
        except LockHeld as error:
            return _held_elsewhere(root, error)
        try:
            owner = lock.read()
            refusal = self._stranger(root, tree, owner)
            if refusal is None:
                generation = owner.generation if owner else 1
                self._hold(root, lock, Owner(journal=self._file.id, generation=generation, epoch=0))
        finally:
            if root not in self._claims:
                lock.close()
        if refusal is not None:
            return refusal
        self._look_for_overlaps()
        return None

    def _stranger(self, root: str, tree: TreeRoot, owner: Owner | None) -> Refusal | None:
        """Whether the root knows of an owner, an epoch or items that this journal knows nothing of."""
        if owner is not None and owner.journal != self._file.id:
            return Refusal(
                code="not-adopted",
                explanation=f"root {root} belongs to another photosift; is it gone? Then say `photosift adopt {root}`",
            )
        if owner is None and self._file.meta(f"owned:{root}") == str(self._roots[root].path):
            return Refusal(  # S14: an empty mount point, or another disk at its place
                code="root-unknown",
                explanation=f"root {root} lost its marker: is it mounted? If it is, say `photosift adopt {root}`",
            )
        older = owner is not None and owner.epoch > self._file.epoch
        if older or item_names(tree) - self._items.known():
            return Refusal(
                code="older-journal",
                explanation=f"root {root} remembers more than this journal; `photosift adopt {root}` reads it back",
            )
        return None

    def _hold(self, root: str, lock: LockFile, owner: Owner) -> None:
        self._raise_epoch(owner.epoch)
        owner = Owner(journal=owner.journal, generation=owner.generation, epoch=self._file.epoch)
        lock.write(owner)
        self._file.set_meta(**{f"owned:{root}": str(self._roots[root].path)})
        self._claims[root] = _Claim(lock=lock, owner=owner)

    def _raise_epoch(self, above: int) -> None:
        """Once in a process, so that a journal copied earlier is seen to be older (S12); the journal first."""
        if not self._epoch_raised or self._file.epoch <= above:
            self._file.set_meta(epoch=str(max(self._file.epoch, above) + 1))
            self._epoch_raised = True

    def _lock(self, root: str, tree: TreeRoot) -> LockFile:
        digest = hashlib.sha256(root.encode()).hexdigest()[:16]
        if tree.mount().read_only:
            return LockFile.in_state(self._folder / digest)
        return LockFile.in_root(self._disk, tree)

    def _let_go(self, root: str) -> None:
        claim = self._claims.pop(root, None)
        if claim is not None:
            claim.lock.close()

    # ---- adopting -------------------------------------------------------------------------------------------------

    def adopt(self, root: str) -> int:
        """Take the root over, while its lock is free: how many items were read back. Raises ``NotAdopted``."""
        if root not in self._roots:
            raise NotAdopted(f"{root} is not a root of this executor")
        try:
            with self._disk.open_root(self._roots[root].path) as tree:
                return self._adopt(root, tree)
        except (PhotosiftError, OSError) as error:
            raise error if isinstance(error, NotAdopted) else NotAdopted(f"{root}: {error}") from error

    def take_over(self, root: str) -> Refusal | None:
        """``adopt`` as part of a person's confirmed batch: why not, else None (S23)."""
        try:
            self.adopt(root)
        except NotAdopted as error:
            return Refusal(code="not-adopted", explanation=str(error))
        return None

    def _adopt(self, root: str, tree: TreeRoot) -> int:
        self._let_go(root)
        try:
            lock = self._lock(root, tree)
        except LockHeld as error:
            raise NotAdopted(_held_elsewhere(root, error).explanation) from error
        try:
            found = self._items.absorb([*records_below_root(tree), *self._records_in_target(root)])
            before = lock.read_or_none()
            generation = (before.generation if before else 0) + 1
            owner = Owner(journal=self._file.id, generation=generation, epoch=before.epoch if before else 0)
            if before is None or before.journal != self._file.id or before.epoch > self._file.epoch:
                self._file.set_meta(**{f"history-unknown-before:{root}": repr(self._clock.now())})
            self._epoch_raised = False
            self._hold(root, lock, owner)
        except BaseException:
            lock.close()
            raise
        self._look_for_overlaps()
        return found

    def _records_in_target(self, root: str) -> list[Record]:
        return [record for record in self._all_in_target() if record.origin.root == root]

    def _all_in_target(self) -> list[Record]:
        if self._target is None or not self._target.is_dir():
            return []
        with self._disk.open_root(self._target) as tree:
            return list(records_in_target(tree))

    def roots_in_target(self) -> set[str]:
        """The names of the roots whose files lie in the target, by their records."""
        try:
            return {record.origin.root for record in self._all_in_target()}
        except (PhotosiftError, OSError):
            return set()

    def _look_for_overlaps(self) -> None:
        token = b"token-" + uuid.uuid4().hex.encode()
        writable = {name for name, claim in self._claims.items() if not claim.lock.is_in_state}
        paths = {name: self._roots[name].path for name in self._roots if name in self._claims}
        self._overlaps = overlapping(self._disk, paths, writable, token)


def _held_elsewhere(root: str, error: LockHeld) -> Refusal:
    return Refusal(
        code="not-the-owner",
        explanation=f"another photosift ({error.detail}) acts in root {root}; this one only proposes there",
    )
