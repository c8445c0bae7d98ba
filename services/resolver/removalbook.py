"""Removal decisions that are out: among the commands, and holding their keeper's group up like one (S3, S11)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from services.resolver.decisionbook import DecisionBook
from shared.messages.commands import RemoveItem
from shared.messages.outcomes import RemovalDone
from shared.messages.resolution import GroupDecided


class RemovalBook:
    """Every call that writes belongs to a transaction of the store."""

    def __init__(self, db: sqlite3.Connection, decisions: DecisionBook) -> None:
        self._db, self._decisions = db, decisions

    def may_go(self, file_ids: Sequence[str], living: float) -> set[str]:
        """Those that an open decision would take, or a command that expires after ``living`` (S3)."""
        query = "SELECT 1 FROM commands WHERE victim_file = ? AND outcome IS NULL AND expires_at > ?"
        found = {file_id for file_id in file_ids if self._db.execute(query, (file_id, living)).fetchone()}
        for known in self._decisions.involved([], file_ids).values():
            body = self._db.execute("SELECT body FROM decisions WHERE decision_id = ?", (known,)).fetchone()[0]
            duplicates = GroupDecided.model_validate_json(body).duplicates
            found.update(duplicate.member.file.photo.file_id for duplicate in duplicates)
        return found

    def was_decided(self, decision_id: str) -> bool:
        query = "SELECT 1 FROM commands WHERE decision_id = ? LIMIT 1"
        return self._db.execute(query, (decision_id,)).fetchone() is not None

    def ask(self, command: RemoveItem) -> None:
        """The item is no file of a root any more: its side of the row names no file."""
        keeper = command.keeper
        self._db.execute(
            "INSERT OR IGNORE INTO commands VALUES (?, ?, NULL, ?, '', 0, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)",
            (
                *(command.command_id, command.decision_id, command.model_dump_json(), command.sha256),
                *(keeper.file.photo.file_id, keeper.version, keeper.sha256),
                *(command.expires_at, command.decision_id),
            ),
        )

    def answer(self, done: RemovalDone) -> None:
        row = (done.outcome, done.model_dump_json(), done.done_at, done.command_id)
        self._db.execute("UPDATE commands SET outcome = ?, answer = ?, done_at = ? WHERE command_id = ?", row)
