"""The journal's file: durable transactions, and space set aside for results. (S12)

SQLite, WAL, ``synchronous=FULL``: a committed row survives a power cut. Before an intent is recorded, space for its
result is set aside in a ballast file, which is given up when the disk is full at the wrong moment.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import TypeVar

from shared.errors import TransientError

#: room for many results; one takes a few kilobytes
BALLAST = 1 << 20
T = TypeVar("T")
#: something to be done inside a transaction
Change = Callable[[sqlite3.Connection], object]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS commands (
    command_id TEXT PRIMARY KEY, state TEXT NOT NULL, command TEXT NOT NULL, cause TEXT, victim TEXT NOT NULL,
    keeper TEXT NOT NULL, item_id TEXT, private BLOB, final BLOB, result TEXT, at REAL NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS commands_open ON commands (state) WHERE state = 'intent';
CREATE TABLE IF NOT EXISTS items (
    item_id TEXT PRIMARY KEY, state TEXT NOT NULL, root TEXT NOT NULL, file_id TEXT NOT NULL, sha256 TEXT NOT NULL,
    keeper_sha256 TEXT NOT NULL, decision_id TEXT NOT NULL, batch_id TEXT NOT NULL, taken_at REAL NOT NULL,
    day INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS items_by_file ON items (file_id);
CREATE INDEX IF NOT EXISTS items_by_keeper ON items (keeper_sha256);
CREATE TABLE IF NOT EXISTS stands (
    keeper_sha256 TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (keeper_sha256, sha256)) STRICT;
CREATE TABLE IF NOT EXISTS removals (
    item_id TEXT PRIMARY KEY, live_copy TEXT NOT NULL, command TEXT, cause TEXT) STRICT;
CREATE TABLE IF NOT EXISTS restored (a TEXT NOT NULL, b TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (a, b)) STRICT;
CREATE TABLE IF NOT EXISTS folders (
    root TEXT NOT NULL, rel BLOB NOT NULL, decision_id TEXT NOT NULL, attributes TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (root, rel)) STRICT;
CREATE TABLE IF NOT EXISTS coming_back (
    root TEXT NOT NULL, rel BLOB NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY (root, rel)) STRICT;
CREATE TABLE IF NOT EXISTS acted_in (
    root TEXT NOT NULL, rel BLOB NOT NULL, mtime_ns INTEGER NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (root, rel)) STRICT;
CREATE TABLE IF NOT EXISTS acts (at REAL NOT NULL, root TEXT NOT NULL, kind TEXT NOT NULL, counted INTEGER NOT NULL)
    STRICT;
CREATE TABLE IF NOT EXISTS days (seq INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS allowed (
    root TEXT NOT NULL, folder BLOB NOT NULL, at REAL NOT NULL, PRIMARY KEY (root, folder)) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, payload TEXT NOT NULL,
    cause TEXT) STRICT;
"""


class JournalFailed(TransientError):
    """The journal cannot be written: nothing is moved until it can be again."""

    code = "journal-failed"


class JournalFile:
    """The executor's memory. Every method raises ``JournalFailed`` when it cannot be written or read."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "journal.ballast"
        self._lock = RLock()
        try:
            self._db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise JournalFailed(f"{folder}: {error}") from error
        try:
            self._set_up()
        except BaseException:
            self._db.close()
            raise

    def _set_up(self) -> None:
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise JournalFailed(str(error)) from error
        if self.meta("id") is None:
            self.set_meta(id=uuid.uuid4().hex, epoch="0", refusals_in_a_row="0")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # ---- transactions ---------------------------------------------------------------------------------------------

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``change`` in one durable transaction; a full disk costs the ballast first, then raises."""
        with self._lock:
            try:
                return self._transaction(change)
            except sqlite3.Error as error:
                if not self._give_up_ballast():
                    raise JournalFailed(str(error)) from error
            try:
                return self._transaction(change)
            except sqlite3.Error as error:
                raise JournalFailed(str(error)) from error

    def read(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise JournalFailed(str(error)) from error

    def _transaction(self, change: Callable[[sqlite3.Connection], T]) -> T:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = change(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def reserve(self) -> None:
        """Set space for results aside (S12). Raises ``JournalFailed`` when there is none: then nothing may begin."""
        try:
            if self._ballast.exists() and self._ballast.stat().st_blocks * 512 >= BALLAST:
                return
            fd = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, BALLAST)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise JournalFailed(f"no space for results: {error.strerror}") from error

    def _give_up_ballast(self) -> bool:
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    # ---- who we are -----------------------------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        rows = self.read("SELECT value FROM meta WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def set_meta(self, **values: str) -> None:
        self.write(lambda db: db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items())))

    @property
    def id(self) -> str:
        """Made with the journal, never changed."""
        return self.meta("id") or ""

    @property
    def epoch(self) -> int:
        return int(self.meta("epoch") or 0)
