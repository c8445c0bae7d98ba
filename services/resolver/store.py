"""What the resolver must remember, in one SQLite file of its state folder: WAL, ``synchronous=FULL``, one writer.

Three books share the file and its transactions: ``contents`` (which contents hang together, and where something
changed), ``decisions`` (what stands, what was asked and answered) and ``outbox`` (what is decided and not yet said).
A decision, its commands and the messages that tell of them are one transaction; the outbox is emptied in order, so a
crash between deciding and saying repeats a message and never loses or invents one (S18).
All calls block; the service makes them from a worker thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from services.resolver.contentbook import ContentBook
from services.resolver.decisionbook import DecisionBook
from services.resolver.history import History, decisions_in, history_in
from services.resolver.outbox import Outbox
from services.resolver.removalbook import RemovalBook
from services.resolver.schema import SCHEMA
from shared.beside import read_beside
from shared.errors import TransientError
from shared.messages.commands import RemoveItem, TakeFile
from shared.messages.resolution import GroupDecided

FILE = "resolver.sqlite"
T = TypeVar("T")


class StoreUnavailable(TransientError):
    """The resolver's memory cannot be read or written."""

    code = "store-unavailable"


class DecisionStore:
    """The resolver's memory. One transaction at a time, from whatever thread."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error
        self.contents = ContentBook(self._db)
        self.decisions = DecisionBook(self._db)
        self.removals = RemovalBook(self._db, self.decisions)
        self.outbox = Outbox(self._db)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when it ends. Raises ``StoreUnavailable``; nests as one."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreUnavailable(str(error)) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def note(self, key: str) -> str | None:
        """A remembered word, or None."""
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def take_note(self, key: str, value: object) -> None:
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))

    @property
    def memory_id(self) -> str:
        """Of this memory, for as long as it exists."""
        if (known := self.note("memory_id")) is None:
            self.take_note("memory_id", known := uuid.uuid4().hex)
        return known

    def forget_unsaid(self) -> None:
        """Another resolver decides now: what this one decided and did not say was never decided. Once after a reign."""
        with self.transaction():
            if self.note("led_last") is None:
                return
            for letter in self.outbox.first(-1):
                if isinstance(letter.message, TakeFile | RemoveItem):
                    self.decisions.never_asked(letter.message.command_id)
            self.outbox.clear()
            self.decisions.forget_what_stands()
            self._db.execute("DELETE FROM meta WHERE key IN ('led_last', 'heard:DEC')")

    def begin(self, now: float) -> None:
        """A memory that is new says since when it remembers: what files known before replaced, nobody knows (S1)."""
        with self.transaction():
            if self.note("unknown_before") is None:
                self.take_note("unknown_before", now)

    def close(self) -> None:
        with self._lock:
            self._db.close()


def read_open_decisions(folder: Path) -> list[GroupDecided]:
    """The open decisions, read beside the running resolver, from any process; none where there is no memory yet."""
    return _read(folder, decisions_in) or []


def read_history(folder: Path, file_id: str) -> History:
    """What is remembered of one file, read in the same way. Raises ``StoreUnavailable``."""
    return _read(folder, lambda db: history_in(db, file_id)) or History()


def _read(folder: Path, ask: Callable[[sqlite3.Connection], T]) -> T | None:
    try:
        return read_beside(folder / FILE, ask)
    except sqlite3.Error as error:
        raise StoreUnavailable(str(error)) from error
