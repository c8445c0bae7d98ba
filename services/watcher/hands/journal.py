"""Commands with intent and result, and what is still to be said: what the executor must never forget. (S12, S18)

What the journal knows of items is in ``items``, what it counts in ``counters``; all three share one file, and what
belongs together is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.watcher.hands.journalfile import Change, JournalFile
from shared.messages.base import Message
from shared.messages.commands import TakeFile
from shared.messages.envelope import Envelope, message_types
from shared.messages.outcomes import CommandDone, RequestAnswered

State = Literal["intent", "done", "refused", "undone"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A command as the journal knows it."""

    command: TakeFile
    state: State
    cause: Envelope | None
    #: the item it makes, and where it is set aside below the victim's root; None for a refusal
    item_id: str | None
    private: bytes | None
    #: for a move: the name below the target that it is on its way to
    final: bytes | None
    result: CommandDone | None


@dataclass(frozen=True, kw_only=True)
class Unsaid:
    """A message that the server has not acknowledged yet."""

    seq: int
    message: Message
    cause: Envelope | None


class Journal:
    """The commands of one journal. Every method raises ``JournalFailed`` when it cannot be written or read."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def lookup(self, command_id: str) -> Entry | None:
        rows = self._file.read(f"SELECT {_ENTRY} FROM commands WHERE command_id = ?", command_id)
        return _entry(rows[0]) if rows else None

    def open_intents(self) -> list[Entry]:
        """Intents without a result, oldest first."""
        return [
            _entry(row) for row in self._file.read(f"SELECT {_ENTRY} FROM commands WHERE state = 'intent' ORDER BY at")
        ]

    def open_files(self) -> dict[str, Literal["victim", "keeper"]]:
        """The files of open intents (S3); one that is both counts as victim."""
        rows = self._file.read("SELECT victim, keeper FROM commands WHERE state = 'intent'")
        files: dict[str, Literal["victim", "keeper"]] = {str(keeper): "keeper" for _, keeper in rows}
        files.update({str(victim): "victim" for victim, _ in rows})
        return files

    def intend(self, command: TakeFile, *, cause: Envelope | None, item_id: str, private: bytes, at: float) -> None:
        """Record what is about to be done, durably, with space for its result (S12)."""
        self._file.reserve()
        row = (*_row(command, "intent", cause), item_id, private, None, None, at)
        self._file.write(lambda db: _put(db, row))

    def aim(self, command_id: str, final: bytes) -> None:
        """Record the name below the target, before the file is moved on to it."""
        self._file.write(
            lambda db: db.execute("UPDATE commands SET final = ? WHERE command_id = ?", (final, command_id))
        )

    def settle(
        self,
        result: CommandDone,
        *,
        also: Sequence[Change] = (),
        extra: Sequence[Message] = (),
    ) -> None:
        """Record the result of an intent, everything that belongs to it and what is to be said, in one transaction."""

        def change(db: sqlite3.Connection) -> None:
            state = _STATES[result.outcome]
            cause = db.execute("SELECT cause FROM commands WHERE command_id = ?", (result.command_id,)).fetchone()[0]
            values = (state, result.model_dump_json(exclude_none=True), result.command_id)
            db.execute("UPDATE commands SET state = ?, result = ? WHERE command_id = ?", values)
            for step in also:
                step(db)
            for message in (result, *extra):
                say(db, message, cause)

        self._file.write(change)

    def refuse(
        self,
        command: TakeFile,
        result: CommandDone,
        *,
        cause: Envelope | None,
        also: Sequence[Change] = (),
    ) -> None:
        """Record that nothing was done."""
        row = (
            *_row(command, "refused", cause),
            None,
            None,
            None,
            result.model_dump_json(exclude_none=True),
            result.done_at,
        )

        def change(db: sqlite3.Connection) -> None:
            _put(db, row)
            for step in also:
                step(db)
            say(db, result, cause_json(cause))

        self._file.write(change)

    # ---- what is to be said ---------------------------------------------------------------------------------------

    def say(self, *messages: Message, cause: Envelope | None = None) -> None:

        def change(db: sqlite3.Connection) -> None:
            for message in messages:
                say(db, message, cause_json(cause))

        self._file.write(change)

    def answer(self, answer: RequestAnswered, cause: Envelope | None) -> None:
        """Remember how a person's request was answered, and say so."""

        def change(db: sqlite3.Connection) -> None:
            values = (f"answer:{answer.request_id}", answer.model_dump_json())
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)
            say(db, answer, cause_json(cause))

        self._file.write(change)

    def answer_to(self, request_id: str) -> RequestAnswered | None:
        """What was answered, where the request was handled before."""
        text = self._file.meta(f"answer:{request_id}")
        return None if text is None else RequestAnswered.model_validate_json(text)

    def unsaid(self) -> list[Unsaid]:
        """What the server has not acknowledged yet, in order (S18)."""
        rows = self._file.read("SELECT seq, type, payload, cause FROM outbox ORDER BY seq")
        return [_unsaid(row) for row in rows]

    def said(self, seq: int) -> None:
        self._file.write(lambda db: db.execute("DELETE FROM outbox WHERE seq = ?", (seq,)))


_STATES: dict[str, State] = {"moved": "done", "quarantined": "done", "refused": "refused", "undone": "undone"}
_ENTRY = "command, state, cause, item_id, private, final, result"


def say(db: sqlite3.Connection, message: Message, cause: str | None) -> None:
    """Put a message into the outbox; the latest of one id counts."""
    row = (message.message_id, message.TYPE, message.model_dump_json(exclude_none=True), cause)
    db.execute("INSERT OR REPLACE INTO outbox (message_id, type, payload, cause) VALUES (?, ?, ?, ?)", row)


def _put(db: sqlite3.Connection, row: tuple[object, ...]) -> None:
    db.execute(f"INSERT OR REPLACE INTO commands VALUES ({', '.join('?' * len(row))})", row)


def _row(command: TakeFile, state: State, cause: Envelope | None) -> tuple[object, ...]:
    files = (command.victim.file.photo.file_id, command.keeper.file.photo.file_id)
    return (command.command_id, state, command.model_dump_json(exclude_none=True), cause_json(cause), *files)


def cause_json(cause: Envelope | None) -> str | None:
    """An envelope without its content: what a trace needs."""
    return None if cause is None else cause.model_copy(update={"data": {}}).model_dump_json()


def _cause(text: object) -> Envelope | None:
    return None if text is None else Envelope.model_validate_json(str(text))


def _entry(row: tuple[object, ...]) -> Entry:
    command, state, cause, item_id, private, final, result = row
    return Entry(
        command=TakeFile.model_validate_json(str(command)),
        state=state,  # type: ignore[arg-type]  # the schema's own words
        cause=_cause(cause),
        item_id=None if item_id is None else str(item_id),
        private=private if isinstance(private, bytes) else None,
        final=final if isinstance(final, bytes) else None,
        result=None if result is None else CommandDone.model_validate_json(str(result)),
    )


def _unsaid(row: tuple[object, ...]) -> Unsaid:
    seq, kind, payload, cause = row
    message = message_types()[str(kind)].model_validate_json(str(payload))
    return Unsaid(seq=int(str(seq)), message=message, cause=_cause(cause))
