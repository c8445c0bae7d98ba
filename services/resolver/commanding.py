"""[pure] Decisions become commands with evidence (S8): what is asked now, and what waits for a keeper's age (S15)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.resolver.planning import Decision, Verdict
from services.resolver.ranking import Candidate
from shared.messages.base import FileRef, digest_id
from shared.messages.commands import Evidence, TakeFile


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Under which terms a round of commands goes out."""

    batch_id: str
    target: str | None
    #: seconds since the epoch
    now: float
    expiry_seconds: float
    keeper_age_seconds: float
    confirmed: bool = False
    #: at most so many commands (S13: a person was shown this number); None: no limit
    at_most: int | None = None


@dataclass(frozen=True, kw_only=True)
class Round:
    """The commands of one round."""

    commands: tuple[TakeFile, ...] = ()
    #: when the first keeper is old enough for one that was held back, seconds since the epoch
    wake_at: float | None = None
    #: wanted, but beyond ``at_most``
    left_out: int = 0


def commands_for(decided: Sequence[tuple[str, Decision]], terms: Terms, was_refused: Callable[[str], bool]) -> Round:
    """Commands for every (decision id, decision), in order of the victims' paths.

    ``was_refused`` answers for an ``evidence_id`` whether the executor refused just this before: it is not asked again.
    """
    ready: list[TakeFile] = []
    wakes: list[float] = []
    for command, keeper in sorted(_wanted(decided, terms), key=lambda pair: pair[0].victim.file.photo):
        if was_refused(evidence_id(command)):
            continue
        old_enough = keeper.known_since + terms.keeper_age_seconds
        if not terms.confirmed and terms.now < old_enough:  # S15
            wakes.append(old_enough)
        else:
            ready.append(command)
    kept = ready if terms.at_most is None else ready[: terms.at_most]
    return Round(commands=tuple(kept), wake_at=min(wakes, default=None), left_out=len(ready) - len(kept))


def evidence_id(command: TakeFile) -> str:
    """The same for the same pair as it was seen, the same action and target, whatever decision asked."""
    return digest_id(command.action, command.target, command.victim, command.keeper)


def _wanted(decided: Sequence[tuple[str, Decision]], terms: Terms) -> Iterator[tuple[TakeFile, Candidate]]:
    for decision_id, decision in decided:
        for verdict in decision.verdicts:
            if verdict.action != "propose":
                yield _command(decision_id, decision.keeper, verdict, terms), decision.keeper


def _command(decision_id: str, keeper: Candidate, verdict: Verdict, terms: Terms) -> TakeFile:
    assert verdict.action != "propose"
    return TakeFile(
        decision_id=decision_id,
        batch_id=terms.batch_id,
        action=verdict.action,
        victim=evidence_of(verdict.file),
        keeper=evidence_of(keeper),
        match_class=verdict.match_class,
        distance=verdict.distance,
        expires_at=terms.now + terms.expiry_seconds,
        confirmed=terms.confirmed,
        target=terms.target if verdict.action == "move" else None,
    )


def evidence_of(file: Candidate) -> Evidence:
    """What the file was when it was decided about."""
    return Evidence(
        file=FileRef.of(file.path),
        size=file.stat.size,
        mtime_ns=file.stat.mtime_ns,
        ctime_ns=file.stat.ctime_ns,
        sha256=file.sha256,
        dev=file.stat.dev,
        ino=file.stat.ino,
        version=file.version,
    )
