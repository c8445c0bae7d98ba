"""[pure] A refusal: the name of the rule that objects, and a sentence for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from shared.messages.commands import Evidence, TakeFile

Facts = TypeVar("Facts")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why not."""

    #: the rule's name, e.g. ``victim-changed``
    code: str
    #: one sentence for a person: what, where, what now
    explanation: str


def first_objection(
    rules: Iterable[Callable[[TakeFile, Facts], Refusal | None]], command: TakeFile, facts: Facts
) -> Refusal | None:
    """The answer of the first rule that objects; None when all let the command pass."""
    return next((refusal for rule in rules if (refusal := rule(command, facts)) is not None), None)


def named(evidence: Evidence) -> str:
    """The file, for a person."""
    return evidence.file.photo.text
