"""What the journal counts: acts for the breaker, running days for retention; what a person allowed. (S11, S13, S24)"""

from __future__ import annotations

import sqlite3

from services.watcher.hands.breaker import DAY, Counts, is_surprising
from services.watcher.hands.journalfile import Change, JournalFile

#: acts older than this are of no interest to any window
FORGET_AFTER = 60 * DAY


class Counters:
    """Durable: a restart resets nothing. Raises ``JournalFailed``."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def counts(self, now: float) -> Counts:
        """What counts towards the breaker now."""
        rows = self._file.read("SELECT root, count(*) FROM acts WHERE counted = 1 AND at > ? GROUP BY root", now - DAY)
        acts = {str(root): int(str(number)) for root, number in rows}
        return Counts(acts=acts, refusals_in_a_row=int(self._file.meta("refusals_in_a_row") or 0))

    def confirm(self, root: str | None) -> int:
        """A person has looked: what was counted so far counts no more. How many acts that were."""

        def change(db: sqlite3.Connection) -> int:
            db.execute("UPDATE meta SET value = '0' WHERE name = 'refusals_in_a_row'")
            where, values = ("", ()) if root is None else (" AND root = ?", (root,))
            return db.execute(f"UPDATE acts SET counted = 0 WHERE counted = 1{where}", values).rowcount

        return self._file.write(change)

    # ---- running days ---------------------------------------------------------------------------------------------

    def run_on(self, day: str) -> None:
        """The service runs on this day (ISO date): counted once, whatever the clock does (S11)."""
        self._file.write(lambda db: db.execute("INSERT OR IGNORE INTO days (day) VALUES (?)", (day,)))

    def days_since(self, day: int) -> int:
        """How many running days began after that one."""
        return int(str(self._file.read("SELECT count(*) FROM days WHERE seq > ?", day)[0][0]))

    # ---- allowed folders ------------------------------------------------------------------------------------------

    def allow(self, root: str, folder: bytes, at: float) -> None:
        values = (root, folder, at)
        self._file.write(lambda db: db.execute("INSERT OR REPLACE INTO allowed VALUES (?, ?, ?)", values))

    def allowed(self, root: str) -> set[bytes]:
        rows = self._file.read("SELECT folder FROM allowed WHERE root = ?", root)
        return {folder for (folder,) in rows if isinstance(folder, bytes)}


def count_act(root: str, kind: str, *, at: float, confirmed: bool) -> Change:
    """An act or removal went well: counted for the breaker unless a person confirmed it; ends a run of refusals."""

    def change(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO acts VALUES (?, ?, ?, ?)", (at, root, kind, 0 if confirmed else 1))
        db.execute("DELETE FROM acts WHERE at < ?", (at - FORGET_AFTER,))
        db.execute("UPDATE meta SET value = '0' WHERE name = 'refusals_in_a_row'")

    return change


def count_refusal(code: str | None, *, confirmed: bool) -> Change:
    """A refused or undone act: one more in a row, where it surprises and no person asked for it."""

    def change(db: sqlite3.Connection) -> None:
        if is_surprising(code) and not confirmed:
            db.execute("UPDATE meta SET value = value + 1 WHERE name = 'refusals_in_a_row'")

    return change
