"""The snapshot's tables, and one connection to them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.errors import PermanentError, TransientError

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS roots (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT);
CREATE TABLE IF NOT EXISTS files (
    root INTEGER NOT NULL, folder BLOB NOT NULL, name BLOB NOT NULL,
    size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, dev INTEGER, ino INTEGER, birth_ns INTEGER, nlink INTEGER,
    version INTEGER NOT NULL, known_since REAL NOT NULL, live INTEGER NOT NULL, gone TEXT,
    PRIMARY KEY (root, folder, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_inode ON files (ino) WHERE live;
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS missing (
    root INTEGER NOT NULL, folder BLOB NOT NULL, name BLOB NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (root, folder, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
    shelf TEXT NOT NULL, root INTEGER NOT NULL, rel BLOB NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (shelf, root, rel)
) WITHOUT ROWID;
"""

#: a file as the index knows it, where it knows more than the snapshot: the pass finds its ctime changed, or nothing
LEARN = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, -1, ?, ?, ?, 1, ?, ?, 1, NULL)
ON CONFLICT (root, folder, name) DO UPDATE SET
    size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = -1, dev = excluded.dev, ino = excluded.ino,
    birth_ns = excluded.birth_ns, live = 1, gone = NULL
WHERE excluded.version > files.version
"""
UNLEARN = "UPDATE files SET ctime_ns = -1 WHERE root = ? AND folder = ? AND name = ? AND live AND version < ?"
_COLUMNS = "folder, files.name, size, mtime_ns, ctime_ns, dev, ino, birth_ns, nlink, version, known_since"
KNOWN = f"SELECT {_COLUMNS} FROM files"
KNOWN_IN_ROOT = f"SELECT roots.name, {_COLUMNS} FROM files JOIN roots ON roots.number = files.root"


class SnapshotFailure(TransientError):
    """The snapshot of known files cannot be read or written."""

    code = "snapshot-failure"


class SnapshotFromLaterVersion(PermanentError):
    """The snapshot was made by a later version of photosift."""

    code = "snapshot-too-new"


class Database:
    """One connection for all threads, one at a time. Raises ``SnapshotFailure``."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise SnapshotFailure(f"{path}: {error}") from error
        try:
            self._prepare(path)
        except sqlite3.Error as error:
            self._db.close()
            raise SnapshotFailure(f"{path}: {error}") from error

    def _prepare(self, path: Path) -> None:
        """Durable at every commit (S18), readable while it is written."""
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA:
            self._db.close()
            raise SnapshotFromLaterVersion(str(path))
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -16000")
        self._db.executescript(_TABLES)
        self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or nothing."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise SnapshotFailure(str(error)) from error

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, tuple(values)).fetchall()
            except sqlite3.Error as error:
                raise SnapshotFailure(str(error)) from error


def number_of(db: Database, root: str) -> int:
    """The root's number in the tables; a name not seen before gets one."""
    if found := db.rows("SELECT number FROM roots WHERE name = ?", (root,)):
        return as_int(found[0][0])
    with db.writing() as connection:
        connection.execute("INSERT OR IGNORE INTO roots (name) VALUES (?)", (root,))
        return int(connection.execute("SELECT number FROM roots WHERE name = ?", (root,)).fetchone()[0])


def as_bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def as_int(value: object) -> int:
    assert isinstance(value, int)
    return value
