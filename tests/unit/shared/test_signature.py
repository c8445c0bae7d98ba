"""The 272 values say everything that image-match's 648 say, and the distance is exact."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.signature import COMPACT, FULL, GRID, NEIGHBOURS, Signature, distance, distances, from_dots
from tests.support.data import DATA

MADE_BY_IMAGE_MATCH = DATA / "signatures" / "image_match_1_1_2.json"
needs_signatures = pytest.mark.skipif(not MADE_BY_IMAGE_MATCH.is_file(), reason=f"no {MADE_BY_IMAGE_MATCH}")

signatures = st.binary(min_size=COMPACT, max_size=COMPACT).map(
    lambda raw: Signature((np.frombuffer(raw, dtype=np.uint8) % 5).astype(np.int8).__sub__(2).astype(np.int8).tobytes())
)
any_int8 = st.binary(min_size=COMPACT, max_size=COMPACT).map(Signature)


@cache
def by_image_match() -> np.ndarray:
    """Signatures of real photos, shape (n, 648)."""
    made = json.loads(MADE_BY_IMAGE_MATCH.read_text())
    return np.array([one["signature"] for one in made["signatures"]], dtype=np.int8)


def naive_full(grid: np.ndarray) -> np.ndarray:
    """image-match's layout, written out: for each grid point the sign of its difference to each of eight neighbours."""
    out = np.zeros((GRID, GRID, 8), dtype=np.int8)
    for row in range(GRID):
        for column in range(GRID):
            for k, (down, right) in enumerate(NEIGHBOURS):
                if 0 <= row + down < GRID and 0 <= column + right < GRID:
                    out[row, column, k] = np.sign(int(grid[row + down, column + right]) - int(grid[row, column]))
    return out.ravel()


def naive_distance(a: np.ndarray, b: np.ndarray) -> float:
    wide_a, wide_b = a.astype(float), b.astype(float)
    return float(np.linalg.norm(wide_a - wide_b) / (np.linalg.norm(wide_a) + np.linalg.norm(wide_b)))


@needs_signatures
def test_the_648_values_of_real_photos_come_back_from_the_272() -> None:
    made = by_image_match()
    assert made.shape[1] == FULL and len(made) > 50
    for values in made:
        assert np.array_equal(Signature.from_full(values).full, values)


@needs_signatures
def test_distances_of_the_272_are_those_of_the_648() -> None:
    made = by_image_match()
    compact = np.stack([Signature.from_full(values).values for values in made])
    for values, row in zip(made, compact, strict=True):
        found = distances(Signature(row.tobytes()), compact)
        if values.any():
            for other, other_distance in zip(made, found, strict=True):
                assert other_distance == pytest.approx(naive_distance(values, other) if other.any() else 1.0, abs=1e-12)


@given(grid=st.binary(min_size=GRID * GRID, max_size=GRID * GRID))
def test_any_grid_of_differences_survives_the_way_through_272(grid: bytes) -> None:
    full = naive_full(np.frombuffer(grid, dtype=np.uint8).reshape(GRID, GRID))
    signature = Signature.from_full(full)
    assert np.array_equal(signature.full, full)
    assert 2 * signature.squared_norm == int((full.astype(int) ** 2).sum())


@given(signature=signatures)
def test_full_and_back_is_the_same_signature(signature: Signature) -> None:
    assert Signature.from_full(signature.full) == signature
    assert hash(Signature.from_full(signature.full)) == hash(signature)


@given(a=signatures, b=signatures)
def test_the_distance_is_symmetric_within_0_and_1_and_0_only_for_equals(a: Signature, b: Signature) -> None:
    assert distance(a, b) == distance(b, a)
    assert 0.0 <= distance(a, b) <= 1.0
    if not a.is_featureless:
        assert distance(a, a) == 0.0
        assert (distance(a, b) == 0.0) == (a == b)


@given(a=any_int8, b=any_int8)
def test_the_distance_is_the_textbook_one_for_every_int8(a: Signature, b: Signature) -> None:
    if not a.is_featureless and not b.is_featureless:
        assert distance(a, b) == pytest.approx(naive_distance(a.values, b.values), rel=1e-12)


@given(query=any_int8, others=st.lists(any_int8, min_size=1, max_size=8))
def test_every_row_gets_the_distance_it_has_alone(query: Signature, others: list[Signature]) -> None:
    together = distances(query, np.stack([other.values for other in others]))
    assert together.tolist() == [distance(query, other) for other in others]


def test_the_opposite_is_at_distance_1() -> None:
    up = Signature(bytes([1]) * COMPACT)
    down = Signature(np.full(COMPACT, -1, dtype=np.int8).tobytes())
    assert distance(up, down) == 1.0


def test_one_changed_value_is_as_far_as_the_formula_says() -> None:
    values = np.full(COMPACT, 2, dtype=np.int8)
    changed = values.copy()
    changed[100] = 1
    norms = math.sqrt(4 * COMPACT) + math.sqrt(4 * COMPACT - 3)
    assert distance(Signature(values.tobytes()), Signature(changed.tobytes())) == 1 / norms


def test_the_featureless_are_at_1_from_everything_and_themselves() -> None:
    flat, other = Signature(bytes(COMPACT)), Signature(bytes([1]) * COMPACT)
    assert flat.is_featureless and not other.is_featureless
    assert distance(flat, flat) == distance(flat, other) == distance(other, flat) == 1.0


def test_dots_do_not_overflow_where_norms_are_largest() -> None:
    extreme = Signature(np.full(COMPACT, -128, dtype=np.int8).tobytes())
    opposite = Signature(np.full(COMPACT, 127, dtype=np.int8).tobytes())
    assert distance(extreme, extreme) == 0.0
    assert distance(extreme, opposite) == 1.0
    dots = np.array([-(2**31)], dtype=np.int32)
    assert from_dots(dots, 2**31, np.array([2**31 - 1], dtype=np.int32))[0] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("size", [0, COMPACT - 1, COMPACT + 1, FULL])
def test_a_signature_has_272_values(size: int) -> None:
    with pytest.raises(ValueError, match="272 values"):
        Signature(bytes(size))


def test_values_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Signature(bytes(COMPACT)).values[0] = 1
