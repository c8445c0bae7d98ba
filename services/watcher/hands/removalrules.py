"""[pure] May this item go for good because of what the resolver names? What the journal says of it. (S1, S11)

What is asked of the file that shall stand for it is asked of every keeper, by ``guards`` and ``evidence``.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.watcher.hands.refusals import Refusal
from shared.messages.commands import RemoveItem


@dataclass(frozen=True, kw_only=True)
class ItemFacts:
    """The item as the journal knows it. What is not known is refused."""

    #: held in the quarantine of a root, neither on its way home nor in a target
    is_held: bool
    sha256: str
    #: the place it came from, for people: ``root:path``
    origin: str
    #: its retention is over, one was set, and deleting is allowed (S6, S11)
    is_due: bool
    #: everything its content was kept for, and what that was kept for, and so on (S1)
    stands_for: frozenset[str]
    #: the executor's own threshold
    max_distance: float


def judge_item(command: RemoveItem, facts: ItemFacts) -> Refusal | None:
    """The first rule that objects, else None."""
    rules = (_is_held, _is_meant, _is_due, _is_near, _all_is_covered)
    return next((refusal for rule in rules if (refusal := rule(command, facts)) is not None), None)


def covered_by(command: RemoveItem) -> frozenset[str]:
    """The contents that the named file stands for, with the item's own."""
    return frozenset({command.sha256, *(covered.sha256 for covered in command.covers)})


def _is_held(_command: RemoveItem, facts: ItemFacts) -> Refusal | None:
    if facts.is_held:
        return None
    return Refusal(code="not-held", explanation=f"{facts.origin} does not lie in the quarantine any more")


def _is_meant(command: RemoveItem, facts: ItemFacts) -> Refusal | None:
    if (command.sha256, command.file.photo.text) == (facts.sha256, facts.origin):
        return None
    return Refusal(code="item-differs", explanation=f"the item is {facts.origin}, which was not decided about")


def _is_due(_command: RemoveItem, facts: ItemFacts) -> Refusal | None:
    if facts.is_due:
        return None
    return Refusal(code="not-due", explanation=f"{facts.origin} is to be kept by the settings")


def _is_near(command: RemoveItem, facts: ItemFacts) -> Refusal | None:
    furthest = max([command.distance, *(covered.distance for covered in command.covers)])
    if furthest <= facts.max_distance:
        return None
    return Refusal(
        code="beyond-threshold",
        explanation=f"what shall stand for {facts.origin} is at {furthest:.4f}; the limit here is {facts.max_distance}",
    )


def _all_is_covered(command: RemoveItem, facts: ItemFacts) -> Refusal | None:
    # equal bytes go on standing for whatever these bytes stood for
    if command.sha256 == command.keeper.sha256 or facts.stands_for <= covered_by(command) | {command.keeper.sha256}:
        return None
    return Refusal(
        code="stands-for-others",
        explanation=f"{facts.origin} stands for photos taken earlier, with which its stand-in was not compared",
    )
