"""Whether a file is part of a unit. (S7)"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.watcher.hands.units import kind_of, part_of_a_unit


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (b"IMG_1.JPG", b"IMG_1.CR2"),
        (b"IMG_1.CR2", b"IMG_1.JPG"),
        (b"IMG_1.HEIC", b"IMG_1.MOV"),
        (b"IMG_1.HEIC", b"IMG_1.JPG"),
        (b"IMG_1.jpg", b"img_1.mp4"),
        (b"IMG_1.jpg", b"IMG_1.xmp"),
        (b"IMG_1.jpg", b"IMG_1.jpg.xmp"),
        (b"IMG_1.dng", b"IMG_1.AAE"),
        (b"IMG_1.jpg", b"IMG_1.jpg.json"),
        (b"IMG_1.jpg", b"IMG_1.jpg.supplemental-metadata.json"),
        (b"IMG_1.png", b"IMG_1.png.json"),
        (b"IMG_1.png", b"IMG_1.xmp"),
        (b"IMG_1.jpg.xmp", b"IMG_1.jpg"),
    ],
)
def test_s7_another_kind_of_the_same_name_makes_a_unit(name: bytes, other: bytes) -> None:
    reason = part_of_a_unit(name, [name, other, b"unrelated.jpg"])
    assert reason is not None
    assert other.decode() in reason


@pytest.mark.parametrize(
    ("name", "others"),
    [
        (b"IMG_1.jpg", []),
        (b"IMG_1.jpg", [b"IMG_1.jpg"]),
        (b"IMG_1.jpg", [b"IMG_1.jpeg", b"img_1.JPG"]),
        (b"IMG_1.jpg", [b"IMG_1.png", b"IMG_1.txt"]),
        (b"IMG_1.png", [b"IMG_1.jpg", b"IMG_1.tif"]),
        (b"IMG_1.jpg", [b"IMG_2.CR2", b"IMG_10.CR2", b"IMG_1 (1).CR2"]),
        (b"IMG_1.cr2", [b"IMG_1.nef"]),
        (b"IMG_1.jpg", [b"IMG_1", b"IMG_11.jpg.json"]),
    ],
)
def test_s7_one_kind_and_one_stem_are_no_unit(name: bytes, others: list[bytes]) -> None:
    assert part_of_a_unit(name, others) is None


def test_the_kind_is_told_by_the_ending_in_any_case() -> None:
    assert [kind_of(n) for n in (b"a.CR3", b"a.JPE", b"a.hif", b"a.Mov", b"a", b".jpg", b"a.png")] == [
        "RAW", "JPEG", "HEIF", "video", None, "JPEG", None,
    ]  # fmt: skip


@given(
    st.binary(min_size=1, max_size=12),
    st.sampled_from([b"jpg", b"CR2", b"heic", b"mov"]),
    st.sampled_from([b"jpg", b"CR2", b"heic", b"mov"]),
)
def test_s7_of_pictures_and_films_each_belongs_to_the_other(stem: bytes, one: bytes, other: bytes) -> None:
    a, b = stem + b"." + one, stem + b"." + other
    assert bool(part_of_a_unit(a, [b])) == bool(part_of_a_unit(b, [a])) == (kind_of(a) != kind_of(b))
