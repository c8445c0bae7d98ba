"""The end of an item: noted, released, recorded; the same way whoever found what stands for it. (S11, S12)"""

from __future__ import annotations

from contextlib import ExitStack, suppress

from services.watcher.hands.counters import count_act
from services.watcher.hands.evidence import same_file
from services.watcher.hands.items import Item, RemovalNote
from services.watcher.hands.journal import say
from services.watcher.hands.journalfile import Change
from services.watcher.hands.quarantine import discard, folder_of
from services.watcher.hands.workbench import Workbench
from shared.errors import PhotosiftError
from shared.messages.base import FileRef, FileStat
from shared.messages.commands import RemoveItem
from shared.messages.envelope import Envelope
from shared.messages.outcomes import ItemRemoved, RemovalDone


class LettingGo:
    """Lets items go. Raises ``JournalFailed``, and what the disk raises."""

    def __init__(self, bench: Workbench) -> None:
        self._b = bench

    def is_as_recorded(self, stack: ExitStack, item: Item) -> bool:
        """The copy was compared with the record; what lies there must be it too, or it is a content of its own."""
        tree = self._b.inspecting.open_root(stack, item.record.origin.root)
        with tree.spot(item.record.place_rel) as spot, spot.open() as file:
            return not file.is_open_elsewhere() and file.sha256() == item.record.sha256

    def is_the_item(self, stack: ExitStack, stat: FileStat, item: Item) -> bool:
        """A hard link into the quarantine is no second copy."""
        tree = self._b.inspecting.open_root(stack, item.record.origin.root)
        with tree.spot(item.record.place_rel) as spot, spot.open() as file:
            return same_file(file.stat, stat)

    def release(
        self,
        stack: ExitStack,
        item: Item,
        copy: FileRef,
        command: RemoveItem | None = None,
        cause: Envelope | None = None,
    ) -> RemovalDone | None:
        """``copy`` was read from the disk just now; what it stands for from now on is noted first (S1)."""
        record = item.record
        tree = self._b.inspecting.open_root(stack, record.origin.root)
        self._b.fault("remove:before-mark")
        note = RemovalNote.of(copy, command, cause)
        self._b.items.begin_removal(item, note)
        self._b.fault("remove:before-release")
        with tree.spot(record.place_rel) as spot:
            self._b.disk.release(spot)
        self._b.fault("remove:before-result")
        done = self.finish(item, note)
        with suppress(PhotosiftError):
            discard(self._b.disk, tree, folder_of(record.place_rel))
        return done

    def finish(self, item: Item, note: RemovalNote) -> RemovalDone | None:
        """It is gone: recorded, counted (S13) and said."""
        record, now = item.record, self._b.clock.now()
        message = ItemRemoved(
            item_id=item.item_id,
            file=FileRef.of(record.origin),
            sha256=record.sha256,
            live_copy=note.live_copy,
            done_at=now,
        )
        also: list[Change] = [count_act(record.origin.root, "removed", at=now, confirmed=False)]
        done = None
        if note.command is not None:
            done = removed(note.command, at=now)
            also.append(_saying(done, note.cause))
        self._b.items.finish(item, "removed", message, at=now, also=also)
        return done


def removed(command: RemoveItem, *, at: float) -> RemovalDone:
    text = f"{command.file.photo.text} is removed for good; {command.keeper.file.photo.text} stands for it"
    return _done(command, "removed", None, text, at)


def kept(command: RemoveItem, code: str, explanation: str, *, at: float) -> RemovalDone:
    return _done(command, "kept", code, f"it stays, as the last copy: {explanation}", at)


def _done(command: RemoveItem, outcome: str, code: str | None, explanation: str, at: float) -> RemovalDone:
    return RemovalDone.model_validate(
        {
            "command_id": command.command_id,
            "decision_id": command.decision_id,
            "item_id": command.item_id,
            "outcome": outcome,
            "code": code,
            "explanation": explanation,
            "file": command.file,
            "sha256": command.sha256,
            "keeper": command.keeper.file,
            "keeper_sha256": command.keeper.sha256,
            "match_class": command.match_class,
            "distance": command.distance,
            "done_at": at,
        }
    )


def _saying(done: RemovalDone, cause: str | None) -> Change:
    return lambda db: say(db, done, cause)
