from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyser.facts import camera_of, captured_at, facts_of, tags_of
from shared.imaging.values import Exif, Picture

TAKEN, DIGITISED, WRITTEN = 36867, 36868, 306
SUB_SECONDS, OFFSET = 37521, 36881


def test_capture_time_has_sub_seconds_and_offset_where_the_camera_wrote_them() -> None:
    exif = Exif(photo={TAKEN: "2019:09:03 19:35:37", SUB_SECONDS: "042", OFFSET: "+02:00"})
    assert captured_at(exif) == "2019-09-03T19:35:37.042+02:00"


def test_capture_time_without_them_is_the_plain_second() -> None:
    assert captured_at(Exif(photo={TAKEN: "2019:09:03 19:35:37"})) == "2019-09-03T19:35:37"


def test_frames_of_one_burst_differ_in_their_sub_seconds() -> None:
    times = {captured_at(Exif(photo={TAKEN: "2019:09:03 19:35:37", SUB_SECONDS: s})) for s in ("04", "40", "4", None)}
    assert len(times) == 4


def test_the_time_a_program_wrote_the_file_is_not_when_it_was_taken() -> None:
    assert captured_at(Exif(main={WRITTEN: "2019:09:03 19:35:37"})) is None
    assert captured_at(Exif(photo={DIGITISED: "2019:09:03 19:35:37"})) == "2019-09-03T19:35:37"


@pytest.mark.parametrize(
    "nonsense",
    [
        "0000:00:00 00:00:00",
        "2019:13:03 19:35:37",
        "    :  :     :  :  ",
        "",
        "yesterday",
        b"\xff\xfe",
        7,
        None,
        ("2019",),
    ],
)
def test_a_clock_that_was_never_set_gives_no_time(nonsense: object) -> None:
    assert captured_at(Exif(photo={TAKEN: nonsense})) is None


@pytest.mark.parametrize("fraction", ["", "  ", "ab", "-1", "½", "1234567890123"])
def test_sub_seconds_that_are_no_digits_are_left_out(fraction: str) -> None:
    exif = Exif(photo={TAKEN: "2019:09:03 19:35:37", SUB_SECONDS: fraction})
    assert captured_at(exif) == "2019-09-03T19:35:37"


@pytest.mark.parametrize(
    ("maker", "model", "camera"),
    [
        ("Canon", "Canon EOS 1000D", "Canon EOS 1000D"),
        ("NIKON CORPORATION", "NIKON D70", "NIKON CORPORATION NIKON D70"),
        ("samsung\0\0", "SM-G935L\0rest", "samsung SM-G935L"),
        (b"Maker", None, "Maker"),
        (None, None, None),
        ("  ", "", None),
        ("Evil\n\x1b[2J", "X", "Evil  [2J X"),
    ],
)
def test_camera_is_maker_and_model(maker: object, model: object, camera: str | None) -> None:
    assert camera_of(Exif(main={271: maker, 272: model})) == camera


def test_tags_are_counted_over_the_three_directories_without_pointers() -> None:
    exif = Exif(main={271: "a", 34665: 100, 34853: 200}, photo={TAKEN: "x", SUB_SECONDS: "y"}, gps={1: "N"})
    assert tags_of(exif) == 4


def picture(exif: Exif) -> Picture:
    return Picture(
        luma=np.zeros((2, 3), dtype=np.uint8),
        width=3,
        height=2,
        format="JPEG",
        mode="RGB",
        frames=1,
        exif=exif,
        orientation=6,
    )


def test_without_exif_use_nothing_of_it_is_known_but_the_orientation() -> None:
    exif = Exif(main={271: "Canon"}, photo={TAKEN: "2019:09:03 19:35:37"})
    facts = facts_of(picture(exif), size=9, use_exif=False)
    assert (facts.exif_tags, facts.camera, facts.captured_at, facts.orientation) == (0, None, None, 6)
    assert facts_of(picture(exif), size=9, use_exif=True).exif_tags == 2


VALUES = st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.none(), st.tuples(st.integers()))


@given(
    st.dictionaries(st.sampled_from([271, 272, 306]), VALUES),
    st.dictionaries(st.sampled_from([TAKEN, SUB_SECONDS, OFFSET]), VALUES),
)
def test_whatever_the_tags_hold_facts_are_printable(main: dict[int, object], tags: dict[int, object]) -> None:
    facts = facts_of(picture(Exif(main=main, photo=tags)), size=1, use_exif=True)
    assert (facts.camera or "x").isprintable()
    assert (facts.captured_at or "x").isprintable()
