"""Words: image-match's, counted and compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.index.elastic.words import LENGTH, WORDS, shared_words, tokens
from shared.signature import COMPACT, FULL, Signature
from tests.support.index import signature_of

FEATURELESS = Signature(bytes(COMPACT))


def as_image_match_does(signature: Signature) -> list[int]:
    """Written after its description, word by word: signs, 16 at a time, read as ternary digits."""
    signs = [int(np.sign(value)) for value in signature.full] + [0] * LENGTH
    starts = [int(n * FULL / WORDS) for n in range(WORDS)]
    return [sum((signs[start + k] + 1) * 3**k for k in range(LENGTH)) for start in starts]


@given(st.integers(0, 10**6), st.integers(0, COMPACT))
def test_tokens_are_image_matchs_words_with_their_places(seed: int, changed: int) -> None:
    signature = signature_of(seed, changed=changed)
    silent = (3**LENGTH - 1) // 2
    expected = {(n, word) for n, word in enumerate(as_image_match_does(signature)) if word != silent}
    assert {divmod(int(token, 16), 3**LENGTH) for token in tokens(signature)} == expected


def test_a_featureless_picture_has_no_words() -> None:
    assert tokens(FEATURELESS) == []


def test_only_signs_count() -> None:
    strong = Signature((np.sign(signature_of(1).values) * 2).astype(np.int8).tobytes())
    assert tokens(strong) == tokens(signature_of(1))


@pytest.mark.parametrize(
    ("max_distance", "count", "needed"),
    [(0.0, 63, 8), (0.15, 63, 8), (0.16, 63, 5), (0.25, 63, 3), (0.3, 63, 2), (0.4, 63, 1), (0.1, 9, 2), (0.1, 1, 1)],
)
def test_the_tighter_the_threshold_the_more_words_are_shared(max_distance: float, count: int, needed: int) -> None:
    assert shared_words(max_distance, count) == needed
