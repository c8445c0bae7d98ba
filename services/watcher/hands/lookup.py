"""What the journal knows of one file, read beside the running executor, from any process."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from services.watcher.hands.items import ItemState
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.records import Record, parse
from shared.beside import read_beside

FILE = "journal.sqlite"
_AROUND = """SELECT record, state, (SELECT at FROM restored
   WHERE a = min(sha256, keeper_sha256) AND b = max(sha256, keeper_sha256))
   FROM items WHERE file_id = ? OR keeper_sha256 = ? ORDER BY taken_at, item_id"""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A file that was taken, and what became of it."""

    record: Record
    state: ItemState
    #: seconds since the epoch; None unless it was put back
    restored_at: float | None


def taken_around(folder: Path, *, file_id: str, sha256: str | None) -> list[Taken]:
    """Every item that was taken from this place, or for a keeper of these bytes; the oldest first.

    ``folder``: the watcher's part of the state folder; where there is no journal, nothing was taken.
    Raises ``JournalFailed``.
    """
    try:
        rows = read_beside(folder / FILE, lambda db: db.execute(_AROUND, (file_id, sha256)).fetchall())
    except sqlite3.Error as error:
        raise JournalFailed(str(error)) from error
    return [
        Taken(record=parse(record.encode()), state=state, restored_at=at if state == "restored" else None)
        for record, state, at in rows or ()
    ]
