"""The ways of searching that only a large index takes, on a small one: what they find, and that distances are exact."""

from __future__ import annotations

import numpy as np
import pytest

from shared.index.elastic import questions
from shared.index.port import Index
from shared.signature import COMPACT, Signature, distances
from tests.support.index import content, hash_of, signature_of

COPIES = 40


def copy_of(original: Signature, noise: float, seed: int) -> Signature:
    """As a resized or recompressed copy differs: some values a step up or down, sooner where they are near zero."""
    random = np.random.default_rng(seed)
    step = (random.random(COMPACT) < noise) * random.choice([-1, 1], COMPACT)
    return Signature(np.clip(original.values + step, -2, 2).astype(np.int8).tobytes())


@pytest.fixture
async def stored(index: Index) -> list[Signature]:
    originals = [signature_of(n) for n in range(400)]
    copies = [copy_of(originals[n], 0.01 + n / COPIES * 0.25, n) for n in range(COPIES)]
    signatures = [*originals, *copies]
    await index.put([], [content(n, signature=s) for n, s in enumerate(signatures)])
    await index.refresh()
    return signatures


@pytest.mark.parametrize("max_distance", [0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.60])
async def test_a_large_index_finds_the_copies_and_says_exact_distances(
    index: Index, stored: list[Signature], max_distance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "EXACT_UP_TO", 0)
    every = np.stack([s.values for s in stored])
    for query, answer in zip(stored[:COPIES], await index.neighbours(stored[:COPIES], max_distance), strict=True):
        within = {hash_of(n): d for n, d in enumerate(distances(query, every).tolist()) if d <= max_distance}
        assert dict(answer.hits).items() <= within.items()
        copies = {sha: d for sha, d in within.items() if d < 0.5}  # the others are no copies but chance
        assert copies.items() <= dict(answer.hits).items()
        assert not answer.truncated


async def test_a_list_longer_than_elasticsearch_gives_is_put_together_from_parts(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "LONGEST", 100)
    stored = [signature_of(0, changed=n % 60) for n in range(700)]
    await index.put([], [content(n, signature=s) for n, s in enumerate(stored)])
    await index.refresh()
    within = distances(stored[0], np.stack([s.values for s in stored]))
    for limit, truncated in ((650, True), (700, False), (10_000, False)):
        [answer] = await index.neighbours([stored[0]], 1.0, limit=limit)
        assert answer.truncated is truncated
        assert [d for _, d in answer.hits] == sorted(within.tolist())[:limit]
