"""The search itself: every row is looked at, in blocks, and nothing within the threshold is missed (I4).

With d = ||a-b|| / (||a||+||b||) a pair lies within t exactly when ``||a-b||² <= t²(||a||+||b||)²``. The squared
distance over the first 64 values is never larger than that over all 272, so a pair whose heads are already too far
apart is out after reading a quarter of it. The test is a comparison of dot products: for each row there is a least
``dot - ||a||²/2`` that can pass, rounded to the safe side. The few pairs that pass get their whole dot product and
``signature.from_dots``, so what is reported is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.index.kernels import Dots, Kernel
from shared.index.vectors import Block, panels, squared
from shared.signature import from_dots

#: queries that are scanned together; more gain nothing (bench_index.py)
GROUP = 64
#: dot products that stand in memory at once, for each thread: 512 KB, the size of a second-level cache
AT_ONCE = 131_072
#: Where more than this share of the pairs passes the head test (loose thresholds), whole products in bulk are cheaper.
DENSE = 1 / 256
#: collected pairs, for each thread, after which they are cut down to the nearest
COLLECTED = 1_000_000

Rows = NDArray[np.int64]
Distances = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What one query found: row numbers, nearest first, equal distances by row number."""

    rows: Rows
    distances: Distances
    truncated: bool = False


NOTHING = Hits(rows=np.empty(0, dtype=np.int64), distances=np.empty(0))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Queries that are scanned together."""

    #: shapes (q, 64) and (q, 208), as the vector file keeps them
    head: NDArray[np.int8]
    tail: NDArray[np.int8]
    #: squared norms, shape (q,)
    squares: NDArray[np.int32]
    head_squares: NDArray[np.int32]
    max_distance: float
    limit: int

    @property
    def longest(self) -> float:
        return float(np.sqrt(self.squares.max()))


@dataclass
class Collected:
    """Pairs that may be hits, as one thread finds them."""

    group: Group
    hits: list[Hits] = field(default_factory=list)
    #: (query, row, dot product, squared norm of the row) of each pair
    pairs: list[tuple[NDArray[Any], ...]] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.hits = [NOTHING] * len(self.group.squares)

    def add(self, *pair: NDArray[Any]) -> None:
        self.pairs.append(pair)
        self.count += len(pair[0])
        if self.count > COLLECTED:
            self.settle()

    def settle(self) -> list[Hits]:
        """Turn pairs into hits: exact distances, cut at the limit."""
        if self.pairs:
            queries, *rest = (np.concatenate(part) for part in zip(*self.pairs, strict=True))
            order = np.argsort(queries, kind="stable")
            edges = np.searchsorted(queries[order], np.arange(len(self.hits) + 1))
            for query in np.unique(queries):
                chosen = order[edges[query] : edges[query + 1]]
                self.hits[query] = merged(
                    [self.hits[query], self._hits(query, *(part[chosen] for part in rest))], self.group.limit
                )
            self.pairs, self.count = [], 0
        return self.hits

    def _hits(self, query: int, rows: Rows, dots: NDArray[np.int32], squares: NDArray[np.int32]) -> Hits:
        found = from_dots(dots, int(self.group.squares[query]), squares)
        within = (found <= self.group.max_distance) & (squares > 0)
        return Hits(rows=rows[within], distances=found[within])


def merged(parts: Sequence[Hits], limit: int) -> Hits:
    """The nearest ``limit`` of several lists."""
    rows = np.concatenate([part.rows for part in parts])
    distances = np.concatenate([part.distances for part in parts])
    order = np.lexsort((rows, distances))[:limit]
    truncated = len(rows) > limit or any(part.truncated for part in parts)
    return Hits(rows=rows[order], distances=distances[order], truncated=truncated)


def search(
    blocks: Sequence[Block],
    queries: NDArray[np.int8],
    max_distance: float,
    *,
    limit: int,
    kernel: Kernel,
    pool: Executor,
) -> list[Hits]:
    """For each query, shape (q, 272), the rows within ``max_distance``. The featureless match nothing, not at 1.0."""
    found, squares = [NOTHING] * len(queries), squared(queries)
    asking = np.flatnonzero(squares).tolist() if max_distance >= 0 else []
    ordered = sorted(asking, key=lambda query: squares[query])  # like norms together: a tighter test
    for start in range(0, len(ordered), GROUP):
        chosen = ordered[start : start + GROUP]
        group = _group(queries[chosen], max_distance, limit)
        for query, hits in zip(chosen, _scan(blocks, group, kernel, pool), strict=True):
            found[query] = hits
    return found


def _group(queries: NDArray[np.int8], max_distance: float, limit: int) -> Group:
    head, tail = panels(queries)
    head_squares = squared(head)
    return Group(
        head=head,
        tail=tail,
        squares=head_squares + squared(tail),
        head_squares=head_squares,
        max_distance=max_distance,
        limit=limit,
    )


def _scan(blocks: Sequence[Block], group: Group, kernel: Kernel, pool: Executor) -> list[Hits]:
    parts = list(_parts(blocks, max(1024, AT_ONCE // len(group.squares))))
    shares = [parts[n :: kernel.threads] for n in range(min(kernel.threads, len(parts)))]
    futures = [pool.submit(_scan_parts, share, group, kernel) for share in shares[1:]]
    lists = [_scan_parts(share, group, kernel) for share in shares[:1]] + [future.result() for future in futures]
    return [merged(hits, group.limit) for hits in zip(*lists, strict=True)] or [NOTHING] * len(group.squares)


def _parts(blocks: Sequence[Block], step: int) -> Iterator[tuple[Block, slice]]:
    for block in blocks:
        for start in range(0, block.checks.rows, step):
            yield block, slice(start, min(start + step, block.checks.rows))


def _scan_parts(parts: Sequence[tuple[Block, slice]], group: Group, kernel: Kernel) -> list[Hits]:
    head, tail, out = kernel.against(group.head), kernel.against(group.tail), Collected(group)
    for block, part in parts:
        rows, queries, products = _candidates(block, part, group, head, tail)
        if len(rows):
            out.add(queries, rows + (block.first_row + part.start), products, block.squares[part][rows])
    return out.settle()


def _candidates(
    block: Block, part: slice, group: Group, head: Dots, tail: Dots
) -> tuple[Rows, Rows, NDArray[np.int32]]:
    """Rows of the part, queries, and their whole dot products: the pairs that may lie within the threshold."""
    dots = head(block.head[part])
    bound = Bound.of(group.head_squares, block.head_squares[part], block.norms[part], group)
    passing = bound.generous(dots)
    dense = np.count_nonzero(passing) > dots.size * DENSE
    if dense:
        dots = dots + tail(block.tail[part])
        bound = Bound.of(group.squares, block.squares[part], block.norms[part], group)
        passing = bound.generous(dots)
    rows, queries = bound.strict(dots, passing)
    products = dots[rows, queries].astype(np.int32)
    if not dense:
        here, there = block.tail[part][rows].astype(np.int32), group.tail[queries].astype(np.int32)
        products += np.einsum("ij,ij->i", here, there)
    return rows, queries, products


class Bound(NamedTuple):
    """What a dot product must be for its pair to lie within the threshold: at least the row's plus the query's part.

    Bounds are rounded down, with a margin for float32, so that no pair within the threshold is left out.
    """

    #: shape (n,)
    rows: NDArray[np.float32]
    #: half of the squared norms, shape (q,)
    queries: NDArray[np.float32]

    @classmethod
    def of(
        cls, queries: NDArray[np.int32], squares: NDArray[np.int32], norms: NDArray[np.float32], group: Group
    ) -> Bound:
        """From squared norms over the values of the dot products, and norms of the whole rows."""
        reach = (norms + np.float32(group.longest)) * np.float32(min(group.max_distance, 1.0))  # no pair is beyond 1
        least = np.floor((squares - reach * reach * np.float32(1 + 1e-5)) * np.float32(0.5)) - 1
        return cls(least.astype(np.float32), (queries // 2).astype(np.float32))

    def generous(self, dots: NDArray[Any]) -> NDArray[np.bool_]:
        """One comparison for every pair, with the part of the query that has the least; shape (n, q)."""
        passing: NDArray[np.bool_] = dots >= (self.rows + self.queries.min()).astype(dots.dtype)[:, None]
        return passing

    def strict(self, dots: NDArray[Any], passing: NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Of the pairs that are left, those that pass with their own query's part: rows and queries."""
        rows, queries = np.divmod(np.flatnonzero(passing), dots.shape[1])
        passed = dots[rows, queries] >= self.rows[rows] + self.queries[queries]
        return rows[passed], queries[passed]
