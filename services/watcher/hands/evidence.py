"""[pure] Are the files still what was decided about? Rules over folders, stat and hashes. (S4, S7, S8, S22, S24)

``judge_places`` comes before ``judge_contents``, because reading is dear. What is not known is refused: no fact that
could stop a command has a default.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.watcher.hands.refusals import Refusal, first_objection, named
from shared.messages.base import FileStat
from shared.messages.commands import Evidence, TakeFile
from shared.words import counted


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One file as it was found, or why it was not."""

    #: None: its folder does not list it, or is not there
    stat: FileStat | None
    #: why it could not be opened (a link, a folder, an error), else None
    problem: str | None = None
    #: another program has it open for writing (S8)
    in_use: bool = False


@dataclass(frozen=True, kw_only=True)
class PlaceFacts:
    """What folders and stat say."""

    victim: Looked
    keeper: Looked
    #: why a place is not live: snapshot, trash, quarantine, target (S22), else None
    victim_place: str | None
    keeper_place: str | None
    #: another program's folder that no person allowed by name (S24), else None
    managed: str | None
    #: the file with which the victim forms a unit (S7), else None
    unit: str | None
    #: how many names the victim has, its own included (hard links); 0: it was not opened
    victim_names: int
    #: the two lie on different mounts of which one is FUSE, overlay or network, and no token told them apart (S4)
    maybe_one_file: bool


@dataclass(frozen=True, kw_only=True)
class ContentFacts:
    """What was read: the victim's bytes, and the keeper's as the disk holds them (S2)."""

    victim_sha256: str
    keeper_sha256: str


def judge_places(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    return first_objection(_PLACE_RULES, command, facts)


def judge_contents(command: TakeFile, facts: ContentFacts) -> Refusal | None:
    return first_objection(_CONTENT_RULES, command, facts)


def differs(evidence: Evidence, stat: FileStat) -> str | None:
    """What tells the file from its evidence, in words; None when nothing does.

    Device and inode mean something within one mount only: a device that is another one now is no mismatch (S8).
    """
    if stat.size != evidence.size:
        return f"its size was {evidence.size} and is {stat.size}"
    if stat.mtime_ns != evidence.mtime_ns:
        return "it was modified"
    if stat.ctime_ns != evidence.ctime_ns:
        return "it was touched (its change time differs)"
    if stat.dev == evidence.dev and stat.ino != evidence.ino:
        return "another file has its name"
    return None


def same_file(a: FileStat, b: FileStat) -> bool:
    return (a.dev, a.ino) == (b.dev, b.ino)


def untouched(before: FileStat, now: FileStat) -> bool:
    """The same file, and nothing was done to it between two looks within one act (S8)."""
    return same_file(before, now) and (before.size, before.mtime_ns, before.ctime_ns) == (
        now.size,
        now.mtime_ns,
        now.ctime_ns,
    )


def has_other_names(name: str, others: int) -> Refusal:
    return Refusal(
        code="victim-has-other-names",
        explanation=f"{name} has {counted(others, 'further name')} (hard links): taking one wins no space, and an edit"
        f" under another would change what is held",
    )


def as_it_was(what: str, evidence: Evidence, looked: Looked) -> Refusal | None:
    """Whether the file is there and as its evidence says; ``what`` begins the refusal's code."""
    name = named(evidence)
    if looked.problem is not None:
        return Refusal(code=f"{what}-unreadable", explanation=f"{name} cannot be read: {looked.problem}")
    if looked.stat is None:
        return Refusal(code=f"{what}-gone", explanation=f"{name} is not there any more")
    if (why := differs(evidence, looked.stat)) is not None:
        return Refusal(code=f"{what}-changed", explanation=f"{name} is not as it was decided about: {why}")
    if looked.in_use:
        return Refusal(code=f"{what}-in-use", explanation=f"another program has {name} open")
    return None


def _places_are_live(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    for evidence, why in ((command.victim, facts.victim_place), (command.keeper, facts.keeper_place)):
        if why is not None:  # S22
            return Refusal(
                code="not-live", explanation=f"{named(evidence)} is in a place that is never acted on: {why}"
            )
    return None


def _folder_is_not_managed(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    if facts.managed is None:  # S24
        return None
    return Refusal(
        code="managed-folder",
        explanation=f"another program manages {facts.managed}, and may carry the loss of {named(command.victim)} to"
        f" other devices; say `photosift allow` with that folder if that is meant",
    )


def _is_no_part_of_a_unit(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    if facts.unit is None:  # S7
        return None
    return Refusal(code="part-of-a-unit", explanation=f"{named(command.victim)} belongs together with {facts.unit}")


def _victim_is_as_it_was(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    return as_it_was("victim", command.victim, facts.victim)


def _keeper_is_as_it_was(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    return as_it_was("keeper", command.keeper, facts.keeper)


def _are_two_files(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    victim, keeper = facts.victim.stat, facts.keeper.stat
    assert victim is not None and keeper is not None  # the rules before this one saw to it
    if same_file(victim, keeper):  # S4
        return Refusal(
            code="same-file",
            explanation=f"{named(command.victim)} and {named(command.keeper)} are two names of one file",
        )
    if facts.maybe_one_file:
        return Refusal(
            code="maybe-one-file",
            explanation=f"{named(command.victim)} and {named(command.keeper)} may be one file seen through two mounts",
        )
    return None


def _has_one_name(command: TakeFile, facts: PlaceFacts) -> Refusal | None:
    """Whoever edits a file in place under another name edits what is held; and no space is won before all are gone."""
    if facts.victim_names == 1:  # S4
        return None
    return has_other_names(named(command.victim), facts.victim_names - 1)


# ---- contents -----------------------------------------------------------------------------------------------------


def _victim_holds_its_bytes(command: TakeFile, facts: ContentFacts) -> Refusal | None:
    if facts.victim_sha256 == command.victim.sha256:  # S8
        return None
    return Refusal(
        code="victim-changed", explanation=f"the bytes of {named(command.victim)} are not those decided about"
    )


def _keeper_holds_its_bytes(command: TakeFile, facts: ContentFacts) -> Refusal | None:
    if facts.keeper_sha256 == command.keeper.sha256:  # S2
        return None
    return Refusal(
        code="keeper-changed",
        explanation=f"what the disk holds of {named(command.keeper)} is not what was decided about",
    )


_PLACE_RULES = (
    _places_are_live,
    _folder_is_not_managed,
    _is_no_part_of_a_unit,
    _victim_is_as_it_was,
    _keeper_is_as_it_was,
    _are_two_files,
    _has_one_name,
)
_CONTENT_RULES = (_victim_holds_its_bytes, _keeper_holds_its_bytes)
