"""[pure] The signature value: 272 differences, their distance, and image-match's 648 and words at the edge.

Goldberg, "An image signature for any kind of image" (ICIP 2002), as implemented by image-match. Every difference
of the 9x9 grid stands twice in the 648 values (from either side, with opposite sign) and 104 places are the grid's
border, always zero; the 272 to the right, lower left, below and lower right give exactly the same distance (index.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

GRID = 9
FULL = GRID * GRID * 8
COMPACT = 272
#: image-match's order of the eight neighbours of a grid point: (row, column) offsets
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def _inside(row: int, column: int) -> bool:
    return 0 <= row < GRID and 0 <= column < GRID


def _compact_places() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where in the 648 the 272 stand, and where the same differences stand with the opposite sign."""
    kept, mirrored = [], []
    for row in range(GRID):
        for column in range(GRID):
            for k in range(4, 8):  # right, lower left, below, lower right
                down, right = NEIGHBOURS[k]
                if _inside(row + down, column + right):
                    kept.append((row * GRID + column) * 8 + k)
                    mirrored.append(((row + down) * GRID + column + right) * 8 + (7 - k))
    return np.array(kept, dtype=np.intp), np.array(mirrored, dtype=np.intp)


_KEPT, _MIRRORED = _compact_places()
assert len(_KEPT) == COMPACT


@dataclass(frozen=True)
class Signature:
    """272 values in -2..2, as bytes of int8 (so that it can be hashed, stored and compared)."""

    compact: bytes

    def __post_init__(self) -> None:
        if len(self.compact) != COMPACT:
            raise ValueError(f"a signature has {COMPACT} values, not {len(self.compact)}")

    @classmethod
    def from_full(cls, values: NDArray[np.int8]) -> Signature:
        """From image-match's 648 values (shape (648,))."""
        return cls(np.asarray(values, dtype=np.int8)[_KEPT].tobytes())

    @cached_property
    def values(self) -> NDArray[np.int8]:
        """Shape (272,), int8, read-only."""
        return np.frombuffer(self.compact, dtype=np.int8)

    @cached_property
    def full(self) -> NDArray[np.int8]:
        """image-match's form: shape (648,), int8."""
        out = np.zeros(FULL, dtype=np.int8)
        out[_KEPT] = self.values
        out[_MIRRORED] = -self.values
        return out

    @cached_property
    def squared_norm(self) -> int:
        wide = self.values.astype(np.int32)
        return int(wide @ wide)

    @property
    def is_featureless(self) -> bool:
        """A flat picture: 0/0 is no distance, so it never matches anything but its own bytes."""
        return self.squared_norm == 0


def distance(a: Signature, b: Signature) -> float:
    """``||a-b|| / (||a||+||b||)``, 0..1; 1.0 where either is featureless (never a match)."""
    return float(distances(a, np.stack([b.values]))[0])


def distances(query: Signature, others: NDArray[np.int8]) -> NDArray[np.float64]:
    """Distances from one signature to rows of shape (n, 272); featureless ones are at 1.0."""
    wide = others.astype(np.int32)
    squares = np.einsum("ij,ij->i", wide, wide)
    return from_dots(wide @ query.values.astype(np.int32), query.squared_norm, squares)


def from_dots(dots: NDArray[np.int32], query_square: int, squares: NDArray[np.int32]) -> NDArray[np.float64]:
    """Distances from integer dot products and squared norms: exact, so every kernel gives the same (index.md)."""
    norms = np.sqrt(float(query_square)) + np.sqrt(squares.astype(np.float64))
    gaps = np.sqrt(np.maximum(query_square + squares.astype(np.int64) - 2 * dots.astype(np.int64), 0))
    featureless = (squares == 0) | (query_square == 0)
    return np.where(featureless, 1.0, gaps / np.where(featureless, 1.0, norms))
