from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from services.analyser import goldberg
from shared.imaging import PictureRefused, decode_exact_gray
from shared.signature import FULL, Signature, distance
from tests.support.data import DATA
from tests.support.photos import scene

VECTORS = DATA / "signatures" / "image_match_1_1_2.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason=f"no signatures in {VECTORS}")
#: read by other libraries than Pillow where the vectors were made, or with another treatment of a transparent colour
DIFFER = {"image-rs__hpredict_packbits.tiff", "image-rs__tm3n3p02.png", "image-rs__ycbcr_lzw_bt709.tif"}


@cache
def vectors() -> list[dict]:
    return json.loads(VECTORS.read_text())["signatures"] if VECTORS.is_file() else []


def is_binding(vector: dict) -> bool:
    return vector["format"] in ("JPEG", "PNG") and vector["mode"] in ("RGB", "L")


def exact_of(vector: dict) -> NDArray[np.int8]:
    return goldberg.exact(decode_exact_gray((DATA / vector["file"]).read_bytes(), memory_limit=2 << 30).luma)


@needs_vectors
@pytest.mark.parametrize("vector", [v for v in vectors() if is_binding(v)], ids=lambda v: v["file"])
def test_exact_is_element_for_element_what_image_match_made(vector: dict) -> None:
    assert exact_of(vector).tolist() == vector["signature"]


@needs_vectors
def test_exact_agrees_beyond_what_binds_except_where_another_reader_was_at_work() -> None:
    others = [v for v in vectors() if not is_binding(v)]
    assert len(others) > 20
    differing = set()
    for vector in others:
        try:
            same = exact_of(vector).tolist() == vector["signature"]
        except PictureRefused:
            same = False
        if not same:
            differing.add(vector["file"].rpartition("/")[2])
    assert differing == DIFFER


def luma(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("L"))


def canonical(picture: Image.Image) -> Signature:
    return Signature.from_full(goldberg.canonical(luma(picture)))


PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(PICTURES)
@settings(max_examples=200, deadline=None)
def test_every_picture_has_648_values_between_minus_two_and_two(picture: NDArray[np.uint8]) -> None:
    for signature in (goldberg.canonical(picture), goldberg.exact(picture / 255.0)):
        assert signature.shape == (FULL,)
        assert signature.dtype == np.int8
        assert set(signature.tolist()) <= {-2, -1, 0, 1, 2}


@given(PICTURES)
@settings(max_examples=200, deadline=None)
def test_the_272_kept_values_give_all_648_back(picture: NDArray[np.uint8]) -> None:
    signature = goldberg.canonical(picture)
    assert np.array_equal(Signature.from_full(signature).full, signature)


@given(PICTURES)
@settings(max_examples=100, deadline=None)
def test_canonical_in_integers_is_exact_in_floats(picture: NDArray[np.uint8]) -> None:
    """The canonical form differs in the picture it is given, not in what it computes (but for ties in the last bit)."""
    ours, floats = goldberg.canonical(picture), goldberg.exact(picture * np.float64(1 / 255.0))
    assert np.count_nonzero(ours != floats) <= FULL // 8


@pytest.mark.parametrize("seed", range(5))
def test_on_photos_canonical_and_exact_hardly_differ(seed: int) -> None:
    picture = luma(scene(seed, (683, 512)))
    ours, floats = goldberg.canonical(picture), goldberg.exact(picture * np.float64(1 / 255.0))
    assert np.count_nonzero(ours != floats) <= 4


@given(st.integers(0, 255), st.integers(2, 600), st.integers(2, 600))
@settings(max_examples=30, deadline=None)
def test_a_flat_picture_is_featureless(grey: int, height: int, width: int) -> None:
    assert not goldberg.canonical(np.full((height, width), grey, dtype=np.uint8)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 2)])
def test_a_picture_too_small_for_a_grid_is_no_error(shape: tuple[int, int]) -> None:
    assert goldberg.canonical(np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)).shape == (FULL,)
    assert goldberg.exact(np.zeros(shape)).shape == (FULL,)


@pytest.mark.parametrize("seed", range(5))
def test_a_negative_has_the_opposite_signature(seed: int) -> None:
    picture = luma(scene(seed, (683, 512)))
    signature, negative = goldberg.canonical(picture), goldberg.canonical(255 - picture)
    assert np.count_nonzero(signature != -negative) <= 4


@pytest.mark.parametrize("seed", range(8))
def test_distinct_scenes_are_far_apart(seed: int) -> None:
    assert distance(canonical(scene(seed, (683, 512))), canonical(scene(seed + 100, (683, 512)))) > 0.4
