"""What the index knows of a group: who is near, and which files there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from services.resolver.contentbook import Component
from shared.index.port import ContentDoc, FileDoc, Index, IndexUnavailable, Neighbours
from shared.signature import Signature
from shared.telemetry.metrics import SEARCH_SECONDS

log = structlog.get_logger()

#: hits of one search; a truncated list is asked for again with ever more (I4)
FIRST_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The live files of some contents, and those contents that more than one file could be decided with."""

    files: dict[str, list[FileDoc]]
    contents: dict[str, ContentDoc]


async def neighbours_of(index: Index, hashes: Sequence[str], max_distance: float) -> dict[str, tuple[str, ...]]:
    """All contents within the distance of each, itself left out. Call only after ``refresh`` (I1).

    A content that the index does not know is left out, and searched for when it is heard of again. Raises
    ``IndexUnavailable`` where the index does not show yet what it has.
    """
    known = await index.contents(hashes)
    found: dict[str, tuple[str, ...]] = dict.fromkeys(known, ())
    waiting = [(sha, doc.signature) for sha, doc in known.items() if not doc.signature.is_featureless]
    limit = FIRST_LIMIT
    while waiting:
        with SEARCH_SECONDS.time():
            answers = await index.neighbours([s for _, s in waiting], max_distance, limit=limit)
        again: list[tuple[str, Signature]] = []
        for (sha, signature), answer in zip(waiting, answers, strict=True):
            if answer.truncated:
                again.append((sha, signature))
            else:
                found[sha] = _others(sha, answer)
        waiting, limit = again, limit * 8
    if len(known) < len(set(hashes)):
        log.warning("resolver.content_missing", count=len(set(hashes)) - len(known))
    return found


def _others(sha: str, answer: Neighbours) -> tuple[str, ...]:
    """Who is near. A search that does not see its own document may have missed others: it does not count (I1)."""
    others = tuple(hit for hit, _ in answer.hits if hit != sha)
    if len(others) == len(answer.hits):
        raise IndexUnavailable("a search does not show what is in the index yet")
    return others


async def gather(index: Index, work: Iterable[Component]) -> Gathered:
    """The files of the components, and the contents where there is something to decide."""
    components = list(work)
    hashes = [sha for c in components for sha in c.hashes]
    files = await index.files_of(hashes)
    shared = [c for c in components if sum(len(files.get(sha, ())) for sha in c.hashes) > 1]
    live = [sha for c in shared for sha in c.hashes if files.get(sha)]
    return Gathered(files=files, contents=await index.contents(live))
