"""[pure] image-match's words: 63 pieces of a signature, so that near copies share some of them exactly.

A word is 16 neighbouring values of the 648, reduced to their signs, read as a number of 16 ternary digits. The word
without any contrast says nothing and is left out (index.md). Source: Goldberg, as implemented by image-match.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.signature import FULL, Signature

WORDS = 63
LENGTH = 16

_STARTS = np.linspace(0, FULL, WORDS, endpoint=False).astype(np.intp)
_PLACES = _STARTS[:, None] + np.arange(LENGTH)[None, :]
_WEIGHTS = 3 ** np.arange(LENGTH, dtype=np.int64)
_VALUES = 3**LENGTH


def tokens(signature: Signature) -> list[str]:
    """The words with their places, as they are indexed and asked for; up to 63 short texts."""
    digits = np.sign(_padded(signature))[_PLACES]
    numbers = (digits + 1) @ _WEIGHTS + np.arange(WORDS) * _VALUES
    return [format(number, "x") for number in numbers[digits.any(axis=1)].tolist()]


def shared_words(max_distance: float, count: int) -> int:
    """How many of a query's ``count`` words a document must share to be looked at, as measured (index.md)."""
    wanted = next((needed for upto, needed in _NEEDED if max_distance <= upto), 1)
    return max(1, min(wanted, count // 4))


#: (distance up to which, words): all copies were found with so many
_NEEDED = ((0.15, 8), (0.20, 5), (0.25, 3), (0.30, 2))
#: beyond this words let too much through, and vectors are quicker
WORDS_UP_TO = 0.30


def _padded(signature: Signature) -> NDArray[np.int64]:
    """The 648, and zeros for the last word, which reaches beyond them."""
    return np.concatenate([signature.full.astype(np.int64), np.zeros(LENGTH, dtype=np.int64)])
