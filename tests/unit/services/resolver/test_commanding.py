"""Decisions become commands with evidence; the same is not asked twice."""

from __future__ import annotations

from dataclasses import replace

from services.resolver.commanding import Terms, commands_for, evidence_id
from services.resolver.planning import Decision, Past, plan
from tests.support.model import candidate, policy, signature

TERMS = Terms(batch_id="b", target="/t", now=1_000.0, expiry_seconds=60.0, keeper_age_seconds=100.0)


def decided(names: str = "abc", **keeper) -> list[tuple[str, Decision]]:
    files = [candidate(f"{name}.jpg", content="x", **keeper) for name in names]
    return [("d1", d) for d in plan(files, {files[0].sha256: signature(1)}, policy(action="move"), Past())]


def never(_evidence: str) -> bool:
    return False


def test_s8_a_command_expires_and_names_both_files() -> None:
    first, second = commands_for(decided(), TERMS, never).commands
    assert (first.expires_at, first.batch_id, first.target, first.confirmed) == (1_060.0, "b", "/t", False)
    assert [c.victim.file.path for c in (first, second)] == ["b.jpg", "c.jpg"]
    assert first.keeper == second.keeper


def test_s15_a_young_keeper_is_waited_for_unless_a_person_confirmed() -> None:
    young = decided(known_since=950.0)
    waiting = commands_for(young, TERMS, never)
    assert (waiting.commands, waiting.wake_at) == ((), 1_050.0)
    assert len(commands_for(young, replace(TERMS, now=1_050.0), never).commands) == 2
    assert len(commands_for(young, replace(TERMS, confirmed=True), never).commands) == 2


def test_never_more_than_a_person_was_shown() -> None:
    limited = commands_for(decided("abcdef"), replace(TERMS, at_most=2), never)
    assert (len(limited.commands), limited.left_out) == (2, 3)
    assert len(commands_for(decided("abcdef"), replace(TERMS, at_most=0), never).commands) == 0


def test_what_was_asked_before_is_not_asked_again() -> None:
    first, _ = commands_for(decided(), TERMS, never).commands
    rest = commands_for(decided(), TERMS, {evidence_id(first)}.__contains__).commands
    assert [c.victim.file.path for c in rest] == ["c.jpg"]


def test_the_evidence_is_the_same_whoever_asks_and_another_when_a_file_changed() -> None:
    first, _ = commands_for(decided(), TERMS, never).commands
    later, _ = commands_for([("d2", d) for _, d in decided()], replace(TERMS, now=1_500.0), never).commands
    changed, _ = commands_for(decided(mtime=5.0), TERMS, never).commands
    assert evidence_id(first) == evidence_id(later) != evidence_id(changed)
    assert first.command_id != later.command_id


def test_a_quarantine_has_no_target() -> None:
    files = [candidate("a.jpg", content="x"), candidate("b.jpg", content="x")]
    (decision,) = plan(files, {files[0].sha256: signature(1)}, policy(action="delete"), Past())
    (command,) = commands_for([("d", decision)], TERMS, never).commands
    assert (command.action, command.target) == ("delete", None)
