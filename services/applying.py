"""[pure] What ``scan --apply`` would take, for the person who is asked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from services.absolute import AbsolutePaths
from services.terminal import ApplyChoice, ApplyCount
from shared.messages.resolution import Duplicate, GroupDecided, MatchClass, Member
from shared.paths import printable

#: a file that would go, and as what
Taken = tuple[MatchClass, Member]


def count_of(
    decisions: Iterable[GroupDecided],
    choice: ApplyChoice,
    *,
    target: str | None,
    limit: int,
    roots: Mapping[str, Path],
) -> ApplyCount:
    """How many files at most, of which class, how many bytes, from where. ``limit``: the breaker's (S13)."""
    taken = [one for decision in decisions for one in _of_group(decision, frozenset(choice.classes))]
    return ApplyCount(
        action=choice.action,
        classes=choice.classes,
        target=target if choice.action == "move" else None,
        by_class=Counter(match_class for match_class, _ in taken),
        files=len(taken),
        bytes=sum(member.bytes for _, member in taken),
        limit=limit,
        folders=_by_folder(taken, AbsolutePaths(roots)),
    )


def _by_folder(taken: Iterable[Taken], places: AbsolutePaths) -> Mapping[str, Mapping[MatchClass, int]]:
    found: dict[str, Counter[MatchClass]] = {}
    for match_class, member in taken:
        folder = printable(os.path.join(os.path.dirname(places.of(member.file.photo)), b""))
        found.setdefault(folder, Counter())[match_class] += 1
    return found


def _of_group(decision: GroupDecided, classes: frozenset[MatchClass]) -> Iterator[Taken]:
    for duplicate in decision.duplicates:
        if duplicate.match_class in classes:
            yield duplicate.match_class, duplicate.member
    if "same-bytes" in classes and "similar" not in classes:
        yield from _exact_among_the_similar(decision.duplicates)


def _exact_among_the_similar(duplicates: Iterable[Duplicate]) -> Iterator[Taken]:
    """Exact copies of each other that are similar to the keeper: all but the best of each will go (ADR 8)."""
    seen: set[str] = set()
    for duplicate in duplicates:
        if duplicate.match_class == "similar":
            if duplicate.member.sha256 in seen:
                yield "same-bytes", duplicate.member
            seen.add(duplicate.member.sha256)
