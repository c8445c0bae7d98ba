"""What the snapshot keeps beside the files: what was not found, and notes on shelves. (S14)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.watcher.eyes.known import joined
from services.watcher.eyes.tables import Database, as_bytes, as_int, number_of

_PUT_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?)"
_STILL_MISSING = "FROM missing JOIN files USING (root, folder, name) WHERE missing.root = ? AND live"


class Note(NamedTuple):
    """Something remembered of a path: which files were left out, what manages a folder, what a mount was …"""

    rel: bytes
    name: str = ""
    text: str = ""


class Missing:
    """Known files that a look did not find. Whether they are believed gone is decided elsewhere."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def forget(self, root: str) -> None:
        """A new look begins."""
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.execute("DELETE FROM missing WHERE root = ?", (number,))

    def note(self, root: str, files: Iterable[tuple[bytes, bytes, str]]) -> None:
        """(folder, name, reason) of known files that their folder does not list."""
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.executemany("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?)", ((number, *file) for file in files))

    def note_folders(self, root: str, folders: Iterable[tuple[bytes, str]]) -> None:
        """Every known file of these folders (not of those inside them), with the reason."""
        files = "SELECT root, folder, name, ? FROM files WHERE root = ? AND folder = ? AND live"
        sql = f"INSERT OR REPLACE INTO missing {files}"
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.executemany(sql, ((reason, number, folder) for folder, reason in folders))

    def found_again(self, root: str, files: Iterable[bytes]) -> None:
        """These are there after all."""
        number = number_of(self._db, root)
        split = (rel.rpartition(b"/") for rel in files)
        with self._db.writing() as db:
            sql = "DELETE FROM missing WHERE root = ? AND folder = ? AND name = ?"
            db.executemany(sql, ((number, folder, name) for folder, _, name in split))

    def by_device(self, root: str) -> dict[int, int]:
        """How many of the files found missing are still known: not found again under another name since."""
        sql = f"SELECT dev, count(*) {_STILL_MISSING} AND reason = 'deleted' GROUP BY dev"
        return {as_int(dev): as_int(count) for dev, count in self._db.rows(sql, (number_of(self._db, root),))}

    def some(self, root: str, reason: str, limit: int) -> list[bytes]:
        """Some of them: their paths below the root."""
        sql = f"SELECT missing.folder, missing.name {_STILL_MISSING} AND reason = ? LIMIT ?"
        rows = self._db.rows(sql, (number_of(self._db, root), reason, limit))
        return [joined(as_bytes(folder), as_bytes(name)) for folder, name in rows]


class Notes:
    """Shelves with notes, by root."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def remember(self, shelf: str, root: str, notes: Iterable[Note]) -> None:
        """Replace what lies on a shelf for a root."""
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.execute("DELETE FROM notes WHERE shelf = ? AND root = ?", (shelf, number))
            db.executemany(_PUT_NOTE, ((shelf, number, *note) for note in notes))

    def add(self, shelf: str, root: str, notes: Iterable[Note]) -> None:
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.executemany(_PUT_NOTE, ((shelf, number, *note) for note in notes))

    def drop(self, shelf: str, root: str, rel: bytes) -> None:
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.execute("DELETE FROM notes WHERE shelf = ? AND root = ? AND rel = ?", (shelf, number, rel))

    def recall(self, shelf: str, root: str) -> list[Note]:
        """In the order of the paths."""
        rows = self._db.rows(
            "SELECT rel, name, text FROM notes WHERE shelf = ? AND root = ? ORDER BY rel",
            (shelf, number_of(self._db, root)),
        )
        return [Note(as_bytes(rel), str(name), str(text)) for rel, name, text in rows]
