"""Letting quarantined files go for good: only after the retention, and only with a live copy read from disk now. (S11)

Nobody's word for the copy is taken: the executor opens it, fsyncs it, drops its cached pages, reads and hashes it.
What has no such copy is listed as *last copy* and stays, however long; ``releasing`` asks the resolver about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Literal

from services.watcher.hands.items import Item
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.lettinggo import LettingGo
from services.watcher.hands.orders import breaker_of
from services.watcher.hands.workbench import Workbench
from shared.clock import utc
from shared.errors import PhotosiftError
from shared.messages.base import FileRef, FileStat
from shared.paths import PhotoPath


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What one round did."""

    removed: int
    #: items whose time is over, but that are the last copy as far as the disk tells
    last_copies: tuple[Item, ...]
    #: those of them of whose bytes no live copy was found
    copyless: tuple[Item, ...]
    #: why it stopped early, or None
    stopped: str | None


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """A live file with the bytes of an item, and how it was when it was opened to be read."""

    path: PhotoPath
    stat: FileStat


class Removal:
    """Runs now and then. Raises ``JournalFailed``."""

    def __init__(self, bench: Workbench) -> None:
        self._b, self._letting = bench, LettingGo(bench)

    def note_today(self) -> None:
        """Retention counts days on which the service ran; a step of the clock only lengthens it."""
        self._b.counters.run_on(utc(self._b.clock.now()).date().isoformat())

    def due(self) -> list[Item]:
        """Items whose retention is over; none without a retention set by the user, or where deleting is not allowed."""
        if self._b.settings.retention_days is None or self._b.settings.acting != "delete":
            return []
        return [item for item in self._b.items.in_state("held") if self.is_due(item)]

    def is_due(self, item: Item) -> bool:
        days = self._b.settings.retention_days
        if days is None or self._b.settings.acting != "delete" or not _is_quarantined(item):
            return False
        return self._b.counters.days_since(item.day) > days

    def remove_due(self) -> Removed:
        """One round over what is due; stops where the breaker opens (S13)."""
        removed, last_copies, copyless = 0, list[Item](), list[Item]()
        stopped = None
        for item in self.due():
            root = item.record.origin.root
            if root not in self._b.roots or self._b.sight.doubt(root) or self._b.ownership.why_not(root):
                continue
            stopped = breaker_of(root, self._b)
            if stopped is not None:
                break
            match self._remove(item):
                case "removed":
                    removed += 1
                case "no-copy":
                    copyless.append(item)
                    last_copies.append(item)
                case "stays":
                    last_copies.append(item)
        return Removed(removed=removed, last_copies=tuple(last_copies), copyless=tuple(copyless), stopped=stopped)

    def _remove(self, item: Item) -> Literal["removed", "no-copy", "stays"]:
        try:
            with ExitStack() as stack:
                copy = self._live_copy(stack, item)
                if not self._letting.is_as_recorded(stack, item):
                    return "stays"
                if copy is None:
                    return "no-copy"
                if self._is_touched(copy):
                    return "stays"
                self._letting.release(stack, item, FileRef.of(copy.path))
        except JournalFailed:
            raise
        except (PhotosiftError, OSError):
            return "stays"  # the next round looks again
        return "removed"

    def _is_touched(self, copy: _Copy) -> bool:
        """Once more by name, as reading the item took its time (S8): after this there is no way back."""
        self._b.fault("remove:before-look-again")
        return self._b.keepers.again(copy.path, copy.stat) is not None

    def _live_copy(self, stack: ExitStack, item: Item) -> _Copy | None:
        """A live file, read from disk just now, with the item's bytes; None: nothing is known, and nothing released."""
        for path in self._candidates(item):
            with suppress(PhotosiftError):
                if (copy := self._as_live_copy(stack, path, item)) is not None:
                    return copy
        return None

    def _as_live_copy(self, stack: ExitStack, path: PhotoPath, item: Item) -> _Copy | None:
        if path.root not in self._b.roots or not self._may_stand(path, item):
            return None
        found = self._b.inspecting.look_for(stack, path)
        if found.file is None or found.looked.in_use or self._b.inspecting.not_live(found.tree, path):
            return None
        found.file.settle_to_disk()
        if found.file.hash_from_disk() != item.record.sha256:
            return None
        if self._letting.is_the_item(stack, found.file.stat, item):
            return None
        return _Copy(path=path, stat=found.file.stat)

    def _may_stand(self, path: PhotoPath, item: Item) -> bool:
        """S22, S14, S23: a live role, a root that is known, and ours."""
        role = self._b.roots[path.root].role
        if role == "backup" or (role == "incoming" and path.root != item.record.origin.root):
            return False
        known = self._b.sight.doubt(path.root) is None and self._b.ownership.why_not(path.root) is None
        return known and self._b.ownership.overlap(path.root) is None

    def _candidates(self, item: Item) -> Iterator[PhotoPath]:
        """The keeper it was taken for, and, where that was taken later, that one's own keeper, and so on."""
        seen: set[PhotoPath] = set()
        path: PhotoPath | None = item.record.keeper
        while path is not None and path not in seen:
            yield path
            seen.add(path)
            later = self._b.items.taken_from(path)
            path = later[0].record.keeper if later else None


def _is_quarantined(item: Item) -> bool:
    return item.record.tree == "root" and item.record.command.action == "delete"
