"""The scan leaves out nothing, whatever path it takes: heads or whole rows, one thread or two, cut early or late."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.index import scan
from shared.index.kernels import Kernel, numpy_kernel
from shared.index.vectors import Block, Checks, block_in_memory, panels
from shared.signature import COMPACT, Signature, distances


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def block_of(number: int, rows: np.ndarray) -> Block:
    block = block_in_memory(number)
    block.head[: len(rows)], block.tail[: len(rows)] = panels(rows)
    grown = block.grown(Checks(block=number).followed_by(*panels(rows)))
    assert grown is not None
    return grown


def related(count: int, seed: int) -> np.ndarray:
    """Rows at every distance from the first, some flat, some faint, some with values far beyond a signature's."""
    random = np.random.default_rng(seed)
    rows = np.repeat(random.integers(-2, 3, (1, COMPACT)), count, axis=0)
    changed = random.random((count, COMPACT)) < random.random((count, 1))
    rows[changed] = random.integers(-2, 3, (count, COMPACT))[changed]
    rows[5::17] = 0
    rows[7::19][:, 3:] = 0
    rows[8::23] = random.integers(-128, 128, rows[8::23].shape)
    return rows.astype(np.int8)


def expected(
    query: np.ndarray, rows: np.ndarray, max_distance: float, limit: int
) -> tuple[list[int], list[float], bool]:
    found = distances(Signature(query.tobytes()), rows)
    within = [n for n in np.argsort(found, kind="stable") if found[n] <= max_distance and rows[n].any() and query.any()]
    return within[:limit], found[within[:limit]].tolist(), len(within) > limit


@pytest.mark.parametrize("dense", [-1.0, 1 / 256, 2.0], ids=["whole rows", "as it is", "heads only"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("collected", [50, 1_000_000], ids=["cut early", "cut late"])
def test_every_path_finds_what_comparing_one_by_one_finds(
    monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor, dense: float, threads: int, collected: int
) -> None:
    monkeypatch.setattr(scan, "DENSE", dense)
    monkeypatch.setattr(scan, "COLLECTED", collected)
    kernel = replace(numpy_kernel(), threads=threads)
    rows = related(1_500, seed=1)
    blocks = [block_of(0, rows)]
    queries = np.vstack([rows[:66], related(9, seed=2)])
    for max_distance, limit in ((0.0, 10), (0.1, 5), (0.1, 10_000), (0.45, 40), (0.7, 10_000), (1.0, 200)):
        found = scan.search(blocks, queries, max_distance, limit=limit, kernel=kernel, pool=pool)
        for query, hits in zip(queries, found, strict=True):
            answer = hits.rows.tolist(), hits.distances.tolist(), hits.truncated
            assert answer == expected(query, rows, max_distance, limit)


def passing(rows: np.ndarray, queries: np.ndarray, max_distance: float) -> set[tuple[int, int]]:
    """Pairs (row, query) that pass the head test."""
    group, block, count = scan._group(queries, max_distance, 10), block_of(0, rows), len(rows)
    dots = block.head[:count].astype(np.int32) @ group.head.astype(np.int32).T
    bound = scan.Bound.of(group.head_squares, block.head_squares[:count], block.norms[:count], group)
    return set(zip(*(found.tolist() for found in bound.strict(dots, bound.generous(dots))), strict=True))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), max_distance=st.floats(0, 1), scale=st.sampled_from([2, 5, 127]))
def test_a_pair_within_the_threshold_always_passes_the_head_test(seed: int, max_distance: float, scale: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(-scale, scale + 1, (40, COMPACT)).astype(np.int8)
    rows[random.random(rows.shape) < random.random((40, 1))] = 0
    rows[0, :] = 1
    passed = passing(rows, rows, max_distance)
    for number, row in enumerate(rows):
        within = (distances(Signature(row.tobytes()), rows) <= max_distance) & (rows.any(axis=1)) & row.any()
        assert {(other, number) for other in np.flatnonzero(within).tolist()} <= passed


def test_the_head_test_rules_out_everything_unrelated() -> None:
    rows = np.random.default_rng(3).integers(-2, 3, (2_000, COMPACT)).astype(np.int8)
    assert passing(rows, rows[:64], 0.1) == {(n, n) for n in range(64)}


def test_equal_distances_come_in_the_order_they_were_stored(pool: ThreadPoolExecutor) -> None:
    rows = np.repeat(related(1, seed=4), 500, axis=0)
    [hits] = scan.search([block_of(0, rows)], rows[:1], 0.1, limit=100, kernel=numpy_kernel(), pool=pool)
    assert hits.rows.tolist() == list(range(100))
    assert hits.truncated


def test_an_error_in_a_helper_thread_is_raised(pool: ThreadPoolExecutor) -> None:
    def fails(queries: np.ndarray) -> scan.Dots:
        raise MemoryError

    kernel = Kernel(name="fails", against=fails, threads=2)
    rows = related(5_000, seed=5)
    with pytest.raises(MemoryError):
        scan.search([block_of(0, rows)], rows[:64], 0.1, limit=10, kernel=kernel, pool=pool)
