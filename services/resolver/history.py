"""What stands, and what stood and came of it, as the resolver's memory tells whoever reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from shared.messages.outcomes import CommandDone
from shared.messages.resolution import Duplicate, GroupDecided


@dataclass(frozen=True, kw_only=True)
class History:
    """What the resolver remembers of one file."""

    #: decisions that concern it, and whether each stands; the oldest first
    decisions: tuple[tuple[GroupDecided, bool], ...] = ()
    #: what was answered to commands about it as victim or keeper, in order of time
    answers: tuple[CommandDone, ...] = ()


def decisions_in(db: sqlite3.Connection) -> list[GroupDecided]:
    """The open decisions; where the executor refused, the duplicate is proposed only, with its reason."""
    refusals = {
        (victim, version, keeper): CommandDone.model_validate_json(answer)
        for victim, version, keeper, answer in db.execute(
            """SELECT victim_file, victim_version, keeper_file, answer FROM commands
               WHERE outcome IN ('refused', 'undone') ORDER BY done_at"""
        )
    }
    bodies = db.execute("SELECT body FROM decisions WHERE is_open ORDER BY decision_id").fetchall()
    return [_with_refusals(GroupDecided.model_validate_json(body), refusals) for (body,) in bodies]


def history_in(db: sqlite3.Connection, file_id: str) -> History:
    """What stands and stood about a file, and what came of it."""
    standing = {decided.decision_id: decided for decided in decisions_in(db)}
    bodies = db.execute(
        """SELECT body, is_open FROM decisions WHERE decision_id IN (
             SELECT decision_id FROM members WHERE file_id = ?1
             UNION SELECT decision_id FROM commands WHERE victim_file = ?1 OR keeper_file = ?1)""",
        (file_id,),
    ).fetchall()
    decisions = [(GroupDecided.model_validate_json(body), bool(is_open)) for body, is_open in bodies]
    answers = db.execute(
        """SELECT answer FROM commands WHERE answer IS NOT NULL AND (victim_file = ?1 OR keeper_file = ?1)
           ORDER BY done_at""",
        (file_id,),
    ).fetchall()
    return History(
        decisions=tuple(
            (standing.get(decided.decision_id, decided), is_open)
            for decided, is_open in sorted(decisions, key=lambda pair: (pair[0].decided_at, pair[0].decision_id))
        ),
        answers=tuple(CommandDone.model_validate_json(answer) for (answer,) in answers),
    )


def _with_refusals(decided: GroupDecided, refusals: Mapping[tuple[str, int, str], CommandDone]) -> GroupDecided:
    keeper = decided.keeper.file.photo.file_id
    return decided.model_copy(
        update={
            "duplicates": tuple(
                _with_refusal(d, refusals.get((d.member.file.photo.file_id, d.member.version, keeper)))
                for d in decided.duplicates
            )
        }
    )


def _with_refusal(duplicate: Duplicate, refusal: CommandDone | None) -> Duplicate:
    if refusal is None or duplicate.action == "propose":
        return duplicate
    return duplicate.model_copy(
        update={"action": "propose", "reason": f"{refusal.code or refusal.outcome}: {refusal.explanation}"}
    )
