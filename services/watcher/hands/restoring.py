"""Putting items back on a person's request, and never taking them again by itself. (S11, S12)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.watcher.hands.homeward import Stays
from services.watcher.hands.items import Item
from services.watcher.hands.lettinggo import LettingGo
from services.watcher.hands.refusals import Refusal
from services.watcher.hands.workbench import Workbench
from shared.messages.base import FileRef
from shared.messages.outcomes import ItemRestored
from shared.messages.requests import RestoreRequested
from shared.paths import PhotoPath


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of a request."""

    back: tuple[PhotoPath, ...]
    #: what stays where it lies, and why
    stays: tuple[tuple[Item, Stays], ...]


class Restoring:
    """Restores items. Raises ``JournalFailed``."""

    def __init__(self, bench: Workbench) -> None:
        self._b = bench

    def select(self, request: RestoreRequested) -> list[Item]:
        """The held items that a request means; a path only selects among them (S20). The latest taken first."""
        items = self._b.items
        if request.file is not None:
            found = items.of_file(request.file.photo)
        elif request.decision_id is not None:
            found = items.of_decision(request.decision_id)
        elif request.batch_id is not None:
            found = items.of_batch(request.batch_id)
        elif request.since is not None:
            found = items.since(request.since)
        else:
            found = []
        return found[::-1]

    def restore(self, items: Sequence[Item]) -> Restored:
        """Hash-verified, never overwriting, with the attributes they had; each by itself."""
        back, stays = [], []
        for item in items:
            why = self.restore_one(item)
            if why is None:
                back.append(item.record.origin)
            else:
                stays.append((item, why))
        self._finish_folders()
        return Restored(back=tuple(back), stays=tuple(stays))

    def restore_one(self, item: Item) -> Stays | None:
        objection = self._objection(item.record.origin.root)
        if objection is not None:
            return Stays(code=objection.code, explanation=objection.explanation)
        self._b.fault("restore:before-mark")
        self._b.items.mark(item.item_id, "restoring")
        self._b.fault("restore:before-bring")
        return self._bring(item)

    def take_up_again(self) -> None:
        """After a crash: restores that were begun are carried on, removals whose item still lies there are not."""
        for item in self._b.items.in_state("restoring"):
            if self._objection(item.record.origin.root) is None:
                self._b.places.clear_temporaries(item.record, None)
                self._bring(item)
        self._finish_folders()
        for item in self._b.items.in_state("removing"):
            if self._objection(item.record.origin.root) is None:
                self._settle_removal(item)

    def _finish_folders(self) -> None:
        """S25; where nothing may be done in a root now, its folders are finished later."""
        for root in self._b.items.roots_with_returning_folders():
            if self._objection(root) is None:
                self._b.fault("restore:before-folders")
                self._b.homeward.finish_folders(root)

    def _objection(self, root: str) -> Refusal | None:
        if root not in self._b.roots:
            return Refusal(code="not-my-root", explanation=f"root {root} is not in the settings")
        doubt = self._b.sight.doubt(root)
        if doubt is not None:
            return Refusal(code="root-unknown", explanation=f"nothing certain can be said about root {root}: {doubt}")
        return self._b.ownership.why_not(root)

    def _bring(self, item: Item) -> Stays | None:
        stays = self._b.homeward.bring(item.record)
        if stays is not None:
            self._b.items.mark(item.item_id, "held")
            return stays
        now = self._b.clock.now()
        self._b.fault("restore:before-result")
        self._b.items.finish(item, "restored", _message(item, now), at=now)
        return None

    def _settle_removal(self, item: Item) -> None:
        """Where it still lies it is held, and judged anew; where it is gone it was let go after its copy was read."""
        if self._b.places.is_aside(item.record):
            self._b.items.mark(item.item_id, "held")
            return
        LettingGo(self._b).finish(item, self._b.items.removal_of(item))


def _message(item: Item, now: float) -> ItemRestored:
    command = item.record.command
    return ItemRestored(
        item_id=item.item_id,
        decision_id=command.decision_id,
        batch_id=command.batch_id,
        file=FileRef.of(item.record.origin),
        sha256=item.record.sha256,
        keeper_sha256=command.keeper.sha256,
        done_at=now,
    )
