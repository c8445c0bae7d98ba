"""[pure] What ``scan --apply`` would take, for the person who is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from services.terminal import ApplyChoice, ApplyCount
from shared.messages.resolution import Duplicate, GroupDecided, MatchClass

Taken = tuple[MatchClass, int]


def count_of(decisions: Iterable[GroupDecided], choice: ApplyChoice, *, target: str | None, limit: int) -> ApplyCount:
    """How many files at most, of which class, and how many bytes. ``limit``: the breaker's (S13)."""
    taken = [one for decision in decisions for one in _of_group(decision, frozenset(choice.classes))]
    return ApplyCount(
        action=choice.action,
        classes=choice.classes,
        target=target if choice.action == "move" else None,
        by_class=Counter(match_class for match_class, _bytes in taken),
        files=len(taken),
        bytes=sum(size for _class, size in taken),
        limit=limit,
    )


def _of_group(decision: GroupDecided, classes: frozenset[MatchClass]) -> Iterator[Taken]:
    for duplicate in decision.duplicates:
        if duplicate.match_class in classes:
            yield duplicate.match_class, duplicate.member.bytes
    if "same-bytes" in classes and "similar" not in classes:
        yield from _exact_among_the_similar(decision.duplicates)


def _exact_among_the_similar(duplicates: Iterable[Duplicate]) -> Iterator[Taken]:
    """Exact copies of each other that are similar to the keeper: all but the best of each will go (ADR 8)."""
    seen: set[str] = set()
    for duplicate in duplicates:
        if duplicate.match_class == "similar":
            if duplicate.member.sha256 in seen:
                yield "same-bytes", duplicate.member.bytes
            seen.add(duplicate.member.sha256)
