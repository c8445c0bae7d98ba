"""[pure] May this command be carried out at all? Settings, roots, journal and breaker, before anything is looked at.

Every rule is one function; the first that objects names the refusal (S1, S3-S6, S12-S15, S22, S23). What the disk
says is judged by ``evidence``. What is not known is refused: no fact has a default that would let a command pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.watcher.hands.refusals import Refusal, first_objection, named
from shared.messages.commands import TakeFile
from shared.messages.resolution import MatchClass
from shared.paths import printable

#: how much longer than the settings say a command may still live before the clocks are doubted, in seconds
CLOCK_TOLERANCE = 300.0


@dataclass(frozen=True, kw_only=True)
class RootStanding:
    """What this executor is to a root."""

    role: Literal["library", "reference", "incoming", "backup"]
    #: why this executor does not act there (S23, S12), else None
    not_ours: Refusal | None
    #: another root that shows the same files (S4), else None
    overlaps: str | None
    #: why nothing can be said about the root now (S14), else None
    doubt: str | None


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """What is known before anything is looked at."""

    #: the executor's own clock (S8)
    now: float
    acting: Literal["propose", "move", "delete"]
    automatic_classes: tuple[MatchClass, ...]
    target: str | None
    expiry_seconds: float
    keeper_age_seconds: float
    #: since when the keeper is known at its place (S15); None: not known
    keeper_known_since: float | None
    roots: Mapping[str, RootStanding]
    #: the victim's content came back from this keeper's before, by a person's hand (S12)
    restored_pair: bool
    #: files of open acts: file id to what it is there (S3)
    open_files: Mapping[str, Literal["victim", "keeper"]]
    #: contents that the victim's content stands for since earlier acts (S1)
    stands_for: frozenset[str]
    #: since when the victim is known at its place; None: not known
    victim_known_since: float | None
    #: until when acts in the victim's root may be remembered by nobody (S1); 0: all are remembered
    history_unknown_before: float
    #: why the breaker is open (S13), else None
    breaker: str | None


def judge_order(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    return first_objection(_ORDER_RULES, command, facts)


def _acting_is_allowed(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.action == facts.acting:  # S6
        return None
    return Refusal(
        code="not-allowed-to-act",
        explanation=f"asked to {command.action} {named(command.victim)}, but the setting `action` is {facts.acting}",
    )


def _target_is_mine(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.action != "move" or (facts.target is not None and command.target == facts.target):
        return None
    return Refusal(
        code="target-not-mine",
        explanation=f"decided for target {printable(command.target or 'none')}, here it is {facts.target or 'none'}",
    )


def _has_not_expired(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    name = named(command.victim)
    if command.expires_at <= facts.now:
        return Refusal(code="expired", explanation=f"the command for {name} is too old; it will be decided anew")
    if command.expires_at > facts.now + facts.expiry_seconds + CLOCK_TOLERANCE:
        return Refusal(
            code="expired", explanation=f"the command for {name} comes from the future: compare the clocks of the hosts"
        )
    return None


def _roots_are_mine(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    for evidence, code in ((command.victim, "not-my-root"), (command.keeper, "keeper-out-of-reach")):
        root = evidence.file.root
        if root not in facts.roots:
            return Refusal(
                code=code,
                explanation=f"{named(evidence)} is in root {printable(root)}, which this executor has not got",
            )
        if facts.roots[root].not_ours is not None:  # S23: also the keeper's, only its executor checks keepers there
            return facts.roots[root].not_ours
    return None


def _roots_are_known(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    for root in (command.victim.file.root, command.keeper.file.root):
        standing = facts.roots[root]
        if standing.doubt is not None:  # S14
            return Refusal(
                code="root-unknown", explanation=f"nothing certain can be said about root {root}: {standing.doubt}"
            )
        if standing.overlaps is not None:  # S4
            return Refusal(
                code="roots-overlap",
                explanation=f"roots {root} and {standing.overlaps} show the same files: take one out of the settings",
            )
    return None


def _roles_allow(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    victim, keeper = command.victim.file.root, command.keeper.file.root
    if facts.roots[victim].role in ("reference", "backup"):  # S22
        return Refusal(
            code="victim-protected",
            explanation=f"{named(command.victim)} is in a {facts.roots[victim].role} root, whose files are never taken",
        )
    role = facts.roots[keeper].role
    if role == "backup" or (role == "incoming" and keeper != victim):
        return Refusal(
            code="keeper-not-live",
            explanation=f"{named(command.keeper)} keeps nothing of root {victim}: it is in {_article(role)} root",
        )
    return None


def _article(role: str) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def _not_one_name(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.victim.file.photo != command.keeper.file.photo:
        return None
    return Refusal(code="same-file", explanation=f"{named(command.victim)} was to be its own keeper")  # S4


def _class_is_allowed(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.confirmed or command.match_class in facts.automatic_classes:  # S5
        return None
    return Refusal(
        code="class-not-allowed",
        explanation=f"{named(command.victim)} is {command.match_class}, which `automatic_classes` does not name;"
        f" a person can confirm it with `scan --apply`",
    )


def _class_is_meant(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.match_class != "same-bytes" or command.victim.sha256 == command.keeper.sha256:
        return None
    return Refusal(code="not-same-bytes", explanation=f"{named(command.victim)} and its keeper differ in their bytes")


def _was_not_restored(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.confirmed or not facts.restored_pair:  # S12
        return None
    return Refusal(
        code="restored-by-a-person",
        explanation=f"a person put this content back before; {named(command.victim)} stays unless a person confirms it",
    )


def _not_entangled(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    victim, keeper = command.victim.file.photo, command.keeper.file.photo
    if (role := facts.open_files.get(victim.file_id)) is not None:  # S3
        code = "victim-is-keeper" if role == "keeper" else "victim-elsewhere"
        return Refusal(code=code, explanation=f"{victim.text} is the {role} of an act that is not settled")
    if facts.open_files.get(keeper.file_id) == "victim":
        return Refusal(
            code="keeper-elsewhere", explanation=f"{keeper.text} is itself being taken by an act that is not settled"
        )
    return None


def _stands_for_nothing_else(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    # S1 over time: the keeper was measured against the victim alone, so what that stands for must be one of the two
    if facts.stands_for <= {command.victim.sha256, command.keeper.sha256}:
        return None
    if command.victim.sha256 == command.keeper.sha256:
        return None
    return Refusal(
        code="stands-for-others",
        explanation=f"{named(command.victim)} stands for photos taken earlier; its keeper was not compared with them",
    )


def _history_is_known(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if facts.history_unknown_before == 0 or command.victim.sha256 == command.keeper.sha256:
        return None
    since = facts.victim_known_since
    if since is not None and min(since, command.victim.ctime_ns / 1e9) >= facts.history_unknown_before:
        return None
    return Refusal(  # S1: the journal was lost, whoever confirms
        code="history-unknown",
        explanation=f"{named(command.victim)} may stand for photos taken before this photosift adopted the root, which"
        f" its look-alike was not compared with",
    )


def _keeper_is_old_enough(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.confirmed or facts.keeper_age_seconds == 0:  # S15
        return None
    since = facts.keeper_known_since
    if since is not None and facts.now - since >= facts.keeper_age_seconds:
        return None
    return Refusal(
        code="keeper-too-young",
        explanation=f"{named(command.keeper)} is not known at its place for {facts.keeper_age_seconds:.0f} s yet",
    )


def _breaker_is_closed(command: TakeFile, facts: OrderFacts) -> Refusal | None:
    if command.confirmed or facts.breaker is None:  # S13
        return None
    return Refusal(code="breaker-open", explanation=facts.breaker)


_ORDER_RULES = (
    _acting_is_allowed,
    _target_is_mine,
    _has_not_expired,
    _roots_are_mine,
    _roots_are_known,
    _roles_allow,
    _not_one_name,
    _class_is_allowed,
    _class_is_meant,
    _was_not_restored,
    _not_entangled,
    _stands_for_nothing_else,
    _history_is_known,
    _keeper_is_old_enough,
    _breaker_is_closed,
)
