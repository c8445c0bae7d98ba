"""image-match's own way with Elasticsearch, for the benchmark: its documents, its query, its distance.

A document has a ``long`` field for each of 63 words and the 648 values; a search asks for documents that share any word
with it, takes the best 100 by relevance, and measures those. Kinder than the original in one point: the 648 values,
which image-match leaves to be indexed number by number, are only kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from elasticsearch import AsyncElasticsearch

from shared.signature import FULL, Signature

WORDS, LENGTH, SIZE = 63, 16, 100
STARTS = np.linspace(0, FULL, WORDS, endpoint=False).astype(int)
POWERS = 3 ** np.arange(LENGTH)
NAMES = [f"simple_word_{n}" for n in range(WORDS)]
SETTINGS = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "5s"}
MAPPINGS = {
    "properties": {
        "path": {"type": "keyword", "ignore_above": 256},
        "signature": {"type": "long", "index": False, "doc_values": False},
        **{name: {"type": "long"} for name in NAMES},
    }
}
Hits = list[tuple[str, float]]


def words(rows: np.ndarray) -> np.ndarray:
    """Shape (n, 63), of full signatures of shape (n, 648)."""
    padded = np.sign(np.pad(rows, ((0, 0), (0, LENGTH))).astype(np.int64))
    return (padded[:, STARTS[:, None] + np.arange(LENGTH)[None, :]] + 1) @ POWERS


def full(rows: np.ndarray) -> np.ndarray:
    """The 648 values of each, from the 272."""
    return np.stack([Signature(row.tobytes()).full for row in rows])


def bulk_lines(index: str, paths: Sequence[str], rows: np.ndarray) -> Iterator[str]:
    whole = full(rows)
    for path, values, numbers in zip(paths, whole.tolist(), words(whole).tolist(), strict=True):
        document = {"path": path, "signature": values, **dict(zip(NAMES, numbers, strict=True))}
        yield json.dumps({"index": {"_index": index, "_id": path}})
        yield json.dumps({**document, "timestamp": "2024-05-01T12:00:00.000000"})


def question(row: np.ndarray) -> dict[str, Any]:
    [numbers] = words(row[None, :]).tolist()
    terms = [{"term": {name: number}} for name, number in zip(NAMES, numbers, strict=True)]
    return {"query": {"bool": {"should": terms}}, "_source": {"excludes": ["simple_word_*"]}, "size": SIZE}


def measured(row: np.ndarray, answer: Any, max_distance: float) -> Hits:
    hits = answer["hits"]["hits"]
    if not hits:
        return []
    found = np.array([hit["_source"]["signature"] for hit in hits]).astype(int)
    wide = row.astype(int)
    far = np.linalg.norm(found - wide, axis=1) / (np.linalg.norm(found, axis=1) + np.linalg.norm(wide))
    return [(hit["_id"], float(d)) for hit, d in zip(hits, far, strict=True) if d <= max_distance]


class ImageMatch:
    """One index of it."""

    def __init__(self, client: AsyncElasticsearch, index: str) -> None:
        self.client, self.index = client, index

    async def create(self) -> None:
        await self.client.indices.create(index=self.index, settings=SETTINGS, mappings=MAPPINGS)

    async def put(self, paths: Sequence[str], rows: np.ndarray) -> float:
        """Seconds that the server and the client take for it; making the documents is not among them."""
        lines = list(bulk_lines(self.index, paths, rows))
        started = time.perf_counter()
        answer = await self.client.bulk(operations=lines)
        assert not answer["errors"]
        return time.perf_counter() - started

    async def neighbours(self, rows: np.ndarray, max_distance: float) -> list[Hits]:
        """One search for one row, else one ``_msearch``."""
        questions = [question(row) for row in rows]
        if len(rows) == 1:
            answers = [await self.client.search(index=self.index, **_named(questions[0]))]
        else:
            parts = [part for each in questions for part in ({"index": self.index}, each)]
            answers = (await self.client.msearch(searches=parts))["responses"]
        return [measured(row, answer, max_distance) for row, answer in zip(rows, answers, strict=True)]


def _named(body: dict[str, Any]) -> dict[str, Any]:
    return {"query": body["query"], "source_excludes": ["simple_word_*"], "size": body["size"]}
