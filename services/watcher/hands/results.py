"""[pure] What is said of a command in the end."""

from __future__ import annotations

from typing import Literal

from services.watcher.hands.refusals import Refusal
from shared.messages.base import FileStat
from shared.messages.commands import TakeFile
from shared.messages.outcomes import CommandDone

Outcome = Literal["moved", "quarantined", "refused", "undone"]


def done(
    command: TakeFile,
    outcome: Outcome,
    *,
    at: float,
    explanation: str,
    code: str | None = None,
    item_id: str | None = None,
    where: str | None = None,
) -> CommandDone:
    return CommandDone(
        command_id=command.command_id,
        decision_id=command.decision_id,
        batch_id=command.batch_id,
        action=command.action,
        outcome=outcome,
        code=code,
        explanation=explanation,
        victim=command.victim.file,
        keeper=command.keeper.file,
        sha256=command.victim.sha256,
        match_class=command.match_class,
        distance=command.distance,
        item_id=item_id,
        where=where,
        done_at=at,
    )


def refused(command: TakeFile, refusal: Refusal, *, at: float) -> CommandDone:
    """Nothing was touched."""
    return done(command, "refused", at=at, code=refusal.code, explanation=refusal.explanation)


def undone(command: TakeFile, refusal: Refusal, *, at: float, item_id: str | None, where: str | None) -> CommandDone:
    """It was set aside and put back, or, where that could not be, is held as an item that ``restore`` brings back."""
    return done(
        command, "undone", at=at, code=refusal.code, explanation=refusal.explanation, item_id=item_id, where=where
    )


def evidence_holds(command: TakeFile, stat: FileStat) -> bool:
    """Size and mtime of the victim where it lies now: its own rename changed path and ctime (S12)."""
    return (stat.size, stat.mtime_ns) == (command.victim.size, command.victim.mtime_ns)
