"""[pure] How near contents are asked for, and what an answer is worth.

Elasticsearch ranks by the cosine and cuts lists; photosift promises distances (I4). With d = ||a-b|| / (||a||+||b||)
and c the cosine, ``c >= 1 - 2d²`` whatever the lengths, with equality where they agree. So a cut at ``1 - 2t²`` loses
nothing within t, and whatever a list of k leaves out is at least ``sqrt((1 - c_k) / 2)`` away: up to there the
answer is settled, and beyond it a longer list is asked for. Distances come from the signatures themselves.

A large index is not compared whole: tight thresholds look at what shares words, loose ones rank by the bits in which
the values' steps differ, and look at three times as many as they need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shared.index.elastic.codec import LOTS, signature_in, steps
from shared.index.elastic.words import WORDS_UP_TO, shared_words, tokens
from shared.index.port import Neighbours
from shared.signature import Signature, distances

#: up to so many contents every vector is compared: a few milliseconds, and nothing can be missed
EXACT_UP_TO = 20_000
#: hits of the first question; most photos have a handful of neighbours
FIRST = 100
DEEPER = 8
#: the longest list that Elasticsearch gives; beyond it the contents are asked for in parts
LONGEST = 10_000
#: single precision on the server
MARGIN = 1e-4
#: of a list ranked by steps no more than one in so many may be within the threshold
OVERSAMPLE = 3

Hits = list[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Who is within ``max_distance`` of a signature, among the contents of some lots; the nearest ``limit`` suffice."""

    query: Signature
    max_distance: float
    limit: int
    #: contents in the index, roughly
    count: int
    k: int = FIRST
    #: first lot, and the one after the last
    lots: tuple[int, int] = (0, LOTS)

    @property
    def body(self) -> dict[str, Any]:
        """The search."""
        return {"knn": self._knn(), "size": self.k, "_source": ["signature"], "track_total_hits": False}

    def _knn(self) -> dict[str, Any]:
        filters = [*self._words(), *self._part()]
        return {
            **self._field(),
            "k": self.k,
            "num_candidates": self.k,
            **({"filter": filters} if filters else {}),
        }

    def _field(self) -> dict[str, Any]:
        if self.by_steps:
            return {"field": "steps", "query_vector": steps(self.query)}
        cut = {"similarity": 1 - 2 * self.max_distance**2 - MARGIN} if self.max_distance < 1 else {}
        return {"field": "vector", "query_vector": self.query.compact.hex(), **cut}

    @property
    def by_words(self) -> bool:
        return self.count > EXACT_UP_TO and self.max_distance <= WORDS_UP_TO and bool(tokens(self.query))

    @property
    def by_steps(self) -> bool:
        return self.count > EXACT_UP_TO and not self.by_words

    def _words(self) -> list[dict[str, Any]]:
        if not self.by_words:
            return []
        asked = tokens(self.query)
        terms = [{"term": {"words": token}} for token in asked]
        return [{"bool": {"should": terms, "minimum_should_match": shared_words(self.max_distance, len(asked))}}]

    def _part(self) -> list[dict[str, Any]]:
        first, end = self.lots
        return [] if self.lots == (0, LOTS) else [{"range": {"lot": {"gte": first, "lt": end}}}]

    def deeper(self) -> Sequence[Question]:
        """What to ask when the list was too short: a longer one, or the same of each half of the contents."""
        if self.k < LONGEST:
            return (replace(self, k=min(self.k * DEEPER, LONGEST)),)
        first, end = self.lots
        middle = (first + end) // 2  # an even spread: a single lot would need 65,536 times 10,000 neighbours
        return replace(self, lots=(first, middle)), replace(self, lots=(middle, end))


def settled(question: Question, answer: Mapping[str, Any]) -> Hits | None:
    """The hits, where they are all there are or at least the nearest ``limit`` and one more; else None: ask deeper."""
    found = answer["hits"]["hits"]
    near = _within(question, found)
    if len(found) < question.k:
        return near
    if question.by_steps:
        return near if min(len(near), question.limit + 1) * OVERSAMPLE <= question.k else None
    certain = _settled_up_to(found[-1]["_score"])
    if certain > question.max_distance:
        return near
    nearest = [hit for hit in near if hit[1] <= certain]
    return nearest if len(nearest) > question.limit else None


def _settled_up_to(score: float) -> float:
    """Nothing that a list left out is nearer than this; from the score of its last, which is (1 + cosine) / 2."""
    return math.sqrt(max(0.0, 1.0 - score - MARGIN))


def _within(question: Question, found: Sequence[Mapping[str, Any]]) -> Hits:
    """Exact distances, nearest first."""
    if not found:
        return []
    signatures = np.stack([signature_in(hit["_source"]).values for hit in found])
    far = distances(question.query, signatures).tolist()
    hits = [(hit["_id"], d) for hit, d in zip(found, far, strict=True) if d <= question.max_distance]
    return sorted(hits, key=lambda hit: (hit[1], hit[0]))


def answered(parts: Sequence[Hits], limit: int) -> Neighbours:
    """One answer from those of its parts."""
    hits = sorted((hit for part in parts for hit in part), key=lambda hit: (hit[1], hit[0]))
    return Neighbours(hits=tuple(hits[:limit]), truncated=len(hits) > limit)
