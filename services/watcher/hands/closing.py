"""How every command ends: taken, put back, or never begun; journalled with all that belongs to it. (S12, S13)"""

from __future__ import annotations

from services.watcher.disk.port import FaultPoint
from services.watcher.hands.counters import count_act, count_refusal
from services.watcher.hands.folders import Folders
from services.watcher.hands.items import insert
from services.watcher.hands.journal import Journal
from services.watcher.hands.journalfile import Change
from services.watcher.hands.places import Places
from services.watcher.hands.records import Record
from services.watcher.hands.refusals import Refusal
from services.watcher.hands.results import Outcome, done, refused, undone
from shared.clock import Clock
from shared.messages.commands import TakeFile
from shared.messages.envelope import Envelope
from shared.messages.outcomes import CommandDone


class Closing:
    """Writes results down. Raises ``JournalFailed``; the file is safe by then, and a restart settles the rest."""

    def __init__(self, *, journal: Journal, places: Places, folders: Folders, clock: Clock, fault: FaultPoint) -> None:
        self._journal, self._places, self._folders = journal, places, folders
        self._clock, self._fault = clock, fault

    def refuse(self, command: TakeFile, cause: Envelope | None, refusal: Refusal) -> CommandDone:
        """Nothing was begun."""
        result = refused(command, refusal, at=self._clock.now())
        counted = count_refusal(refusal.code, confirmed=command.confirmed)
        self._journal.refuse(command, result, cause=cause, also=(counted,))
        return result

    def nothing_done(self, command: TakeFile, refusal: Refusal) -> CommandDone:
        """It was begun, and nothing could be moved."""
        result = refused(command, refusal, at=self._clock.now())
        self._journal.settle(result, also=(count_refusal(refusal.code, confirmed=command.confirmed),))
        return result

    def taken(self, record: Record) -> CommandDone:
        """It lies where the record says, and its keeper stands."""
        command, where, now = record.command, self._places.where(record), self._clock.now()
        outcome: Outcome = "moved" if command.action == "move" else "quarantined"
        text = f"{record.origin.text} is kept as {record.keeper.text}; it lies at {where}"
        result = done(command, outcome, at=now, explanation=text, item_id=record.item_id, where=where)
        self._fault("execute:before-result")
        counted = count_act(record.origin.root, outcome, at=now, confirmed=command.confirmed)
        self._journal.settle(result, also=(_item(record), counted))
        self._fault("execute:done")
        self._folders.after(record)
        return result

    def undo(self, record: Record, refusal: Refusal) -> CommandDone:
        """Put it back at its own name; where that cannot be, it is held as an item, listed and restorable (S10)."""
        record, stays = self._places.bring_back(record)
        command, now = record.command, self._clock.now()
        counted = count_refusal(refusal.code, confirmed=command.confirmed)
        self._fault("execute:before-result")
        if stays is None or stays.code == "item-gone":
            text = refusal.explanation if stays is None else f"{refusal.explanation}; {stays.explanation}"
            gone = Refusal(code=refusal.code, explanation=text)
            result = undone(command, gone, at=now, item_id=None, where=None)
            self._journal.settle(result, also=(counted,))
            return result
        where = self._places.where(record)
        text = f"{refusal.explanation}; it lies at {where} until it is restored: {stays.explanation}"
        held = Refusal(code=refusal.code, explanation=text)
        result = undone(command, held, at=now, item_id=record.item_id, where=where)
        self._journal.settle(result, also=(_item(record), counted))
        return result


def _item(record: Record) -> Change:
    return lambda db: insert(db, record)
