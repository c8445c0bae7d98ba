"""What was taken, where it lies, what stands for what, and what a person put back. (S1, S11, S12, S25)"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from services.watcher.disk.port import Attributes
from services.watcher.hands.journal import cause_json, say
from services.watcher.hands.journalfile import Change, JournalFile
from services.watcher.hands.records import Record, parse
from shared.messages.base import FileRef, Message
from shared.messages.commands import RemoveItem
from shared.messages.envelope import Envelope
from shared.paths import PhotoPath

#: ``restoring`` and ``removing``: on its way, looked after at the next start
ItemState = Literal["held", "restoring", "restored", "removing", "removed"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file that was taken."""

    record: Record
    state: ItemState
    #: number of the running day on which it was taken (S11: retention counts those)
    day: int

    @property
    def item_id(self) -> str:
        return self.record.item_id


@dataclass(frozen=True, kw_only=True)
class RemovedFolder:
    """A folder that its own decision emptied, and that was removed (S25)."""

    root: str
    rel: bytes
    decision_id: str
    attributes: Attributes


@dataclass(frozen=True, kw_only=True)
class RemovalNote:
    """Why an item may go for good."""

    live_copy: FileRef
    #: the resolver's decision, where it was one
    command: RemoveItem | None = None
    #: whose story that continues, as the outbox keeps it
    cause: str | None = None

    @classmethod
    def of(cls, copy: FileRef, command: RemoveItem | None, cause: Envelope | None) -> RemovalNote:
        return cls(live_copy=copy, command=command, cause=cause_json(cause))


class Items:
    """The items of one journal. Raises ``JournalFailed``."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def get(self, item_id: str) -> Item | None:
        found = self._select("item_id = ?", item_id)
        return found[0] if found else None

    def of_file(self, path: PhotoPath) -> list[Item]:
        return self._select("file_id = ? AND state IN ('held', 'restoring')", path.file_id)

    def of_decision(self, decision_id: str) -> list[Item]:
        return self._select("decision_id = ? AND state IN ('held', 'restoring')", decision_id)

    def of_batch(self, batch_id: str) -> list[Item]:
        return self._select("batch_id = ? AND state IN ('held', 'restoring')", batch_id)

    def since(self, at: float) -> list[Item]:
        return self._select("taken_at >= ? AND state IN ('held', 'restoring')", at)

    def in_state(self, *states: ItemState) -> list[Item]:
        marks = ", ".join("?" * len(states))
        return self._select(f"state IN ({marks})", *states)

    def taken_from(self, path: PhotoPath) -> list[Item]:
        """Everything that was ever taken from this place and did not come back, newest first."""
        return self._select("file_id = ? AND state NOT IN ('restoring', 'restored')", path.file_id)[::-1]

    def known(self) -> set[str]:
        """Every item that this journal ever made, those of open intents among them."""
        sql = "SELECT item_id FROM items UNION SELECT item_id FROM commands WHERE item_id IS NOT NULL"
        return {str(row[0]) for row in self._file.read(sql)}

    def stands_for(self, sha256: str) -> frozenset[str]:
        """The contents that this content was kept for and that did not come back (S1)."""
        sql = """SELECT sha256 FROM items WHERE keeper_sha256 = ? AND state NOT IN ('restoring', 'restored')
                 UNION SELECT sha256 FROM stands WHERE keeper_sha256 = ?"""
        return frozenset(str(row[0]) for row in self._file.read(sql, sha256, sha256))

    def all_it_stood_for(self, sha256: str) -> frozenset[str]:
        """The same, and what those were kept for, and so on; without the content itself."""
        found, waiting = {sha256}, [sha256]
        while waiting:
            more = self.stands_for(waiting.pop()) - found
            found |= more
            waiting += more
        return frozenset(found - {sha256})

    def was_restored(self, a: str, b: str) -> bool:
        """A person put one of the two back where the other was its keeper; it holds in both directions (S12)."""
        return bool(self._file.read("SELECT 1 FROM restored WHERE a = ? AND b = ?", *sorted((a, b))))

    def mark(self, item_id: str, state: ItemState) -> None:
        self._file.write(lambda db: _mark(db, item_id, state))

    def finish(
        self,
        item: Item,
        state: Literal["restored", "removed"],
        message: Message,
        *,
        at: float,
        also: Sequence[Change] = (),
    ) -> None:
        """The item is gone from its place: state, the restored pair and the outcome in one transaction."""

        def change(db: sqlite3.Connection) -> None:
            _mark(db, item.item_id, state)
            if state == "restored":
                command = item.record.command
                pair = sorted((command.victim.sha256, command.keeper.sha256))
                db.execute("INSERT OR REPLACE INTO restored VALUES (?, ?, ?)", (*pair, at))
            for step in also:
                step(db)
            say(db, message, None)

        self._file.write(change)

    def begin_removal(self, item: Item, note: RemovalNote) -> None:
        """Durable before the item goes: what stands for it and, from now on, for all that it stood for (S1, S12)."""

        def change(db: sqlite3.Connection) -> None:
            _mark(db, item.item_id, "removing")
            command = note.command
            text = None if command is None else command.model_dump_json(exclude_none=True)
            row = (item.item_id, note.live_copy.model_dump_json(exclude_none=True), text, note.cause)
            db.execute("INSERT OR REPLACE INTO removals VALUES (?, ?, ?, ?)", row)
            if command is not None and command.sha256 != command.keeper.sha256:
                contents = {command.sha256, *(covered.sha256 for covered in command.covers)} - {command.keeper.sha256}
                rows = [(command.keeper.sha256, sha256) for sha256 in sorted(contents)]
                db.executemany("INSERT OR IGNORE INTO stands VALUES (?, ?)", rows)

        self._file.write(change)

    def removal_of(self, item: Item) -> RemovalNote:
        """What was noted when its removal began."""
        rows = self._file.read("SELECT live_copy, command, cause FROM removals WHERE item_id = ?", item.item_id)
        if not rows:  # begun by an earlier version
            return RemovalNote(live_copy=FileRef.of(item.record.keeper))
        copy, command, cause = rows[0]
        return RemovalNote(
            live_copy=FileRef.model_validate_json(str(copy)),
            command=None if command is None else RemoveItem.model_validate_json(str(command)),
            cause=None if cause is None else str(cause),
        )

    def absorb(self, records: Sequence[Record]) -> int:
        """Take records in that the journal does not know (it was lost, or is older): how many were new (S23)."""

        def change(db: sqlite3.Connection) -> int:
            return sum(insert(db, record, or_ignore=True) for record in records)

        return self._file.write(change)

    # ---- folders (S25) --------------------------------------------------------------------------------------------

    def note_folder(self, folder: RemovedFolder, at: float) -> None:
        """Durable before the folder goes, because its attributes go with it."""
        values = (folder.root, folder.rel, folder.decision_id, json.dumps(folder.attributes.to_json()), at)
        self._file.write(lambda db: db.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?, ?)", values))

    def removed_folder(self, root: str, rel: bytes) -> RemovedFolder | None:
        rows = self._file.read("SELECT decision_id, attributes FROM folders WHERE root = ? AND rel = ?", root, rel)
        if not rows:
            return None
        attributes: dict[str, Any] = json.loads(str(rows[0][1]))
        return RemovedFolder(
            root=root, rel=rel, decision_id=str(rows[0][0]), attributes=Attributes.from_json(attributes)
        )

    def folder_is_back(self, root: str, rel: bytes) -> None:
        def change(db: sqlite3.Connection) -> None:
            for table in ("folders", "coming_back"):
                db.execute(f"DELETE FROM {table} WHERE root = ? AND rel = ?", (root, rel))

        self._file.write(change)

    def expect_folders(self, root: str, folders: Mapping[bytes, Attributes]) -> None:
        """Note what folders shall have once everything is back in them, durably, before they are made."""
        rows = [(root, rel, json.dumps(attributes.to_json())) for rel, attributes in folders.items()]
        self._file.write(lambda db: db.executemany("INSERT OR IGNORE INTO coming_back VALUES (?, ?, ?)", rows))

    def returning_folders(self, root: str) -> dict[bytes, Attributes]:
        """The innermost first."""
        sql = "SELECT rel, attributes FROM coming_back WHERE root = ? ORDER BY length(rel) DESC"
        rows = self._file.read(sql, root)
        return {rel: Attributes.from_json(json.loads(str(had))) for rel, had in rows if isinstance(rel, bytes)}

    def roots_with_returning_folders(self) -> list[str]:
        return [str(row[0]) for row in self._file.read("SELECT DISTINCT root FROM coming_back ORDER BY root")]

    def _select(self, where: str, *values: object) -> list[Item]:
        sql = f"SELECT record, state, day FROM items WHERE {where} ORDER BY taken_at, item_id"
        return [_item(row) for row in self._file.read(sql, *values)]


def insert(db: sqlite3.Connection, record: Record, *, or_ignore: bool = False) -> int:
    """Put an item down as held since today; 1 when it was not known."""
    day = db.execute("SELECT coalesce(max(seq), 0) FROM days").fetchone()[0]
    command = record.command
    row = (
        record.item_id,
        "held",
        record.origin.root,
        record.origin.file_id,
        record.sha256,
        command.keeper.sha256,
        command.decision_id,
        command.batch_id,
        record.taken_at,
        day,
        record.as_json().decode(),
    )
    verb = "INSERT OR IGNORE" if or_ignore else "INSERT OR REPLACE"
    return db.execute(f"{verb} INTO items VALUES ({', '.join('?' * len(row))})", row).rowcount


def _mark(db: sqlite3.Connection, item_id: str, state: ItemState) -> None:
    db.execute("UPDATE items SET state = ? WHERE item_id = ?", (state, item_id))


def _item(row: tuple[object, ...]) -> Item:
    record, state, day = row
    return Item(record=parse(str(record).encode()), state=state, day=int(str(day)))  # type: ignore[arg-type]
