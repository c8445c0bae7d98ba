"""What is said of content that gives no picture: broken, foreign, or no picture at all; in words without a decoder's."""

from __future__ import annotations

import re

import pytest

from shared.imaging import PictureRefused, decode_luma
from shared.imaging.foreign import refusal_of
from shared.imaging.refusals import Corrupt, NotAPicture, Truncated, Unsupported
from tests.support.pictures import encoded, grainy


def refused(data: bytes) -> PictureRefused:
    with pytest.raises(PictureRefused) as raised:
        decode_luma(data, short_side=None, memory_limit=1 << 30)
    return raised.value


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"IIU\0" + bytes(50), Unsupported, "It is a Panasonic RAW (RW2)."),
        (b"<?xml version='1.0'?><svg/>", Unsupported, "It is an SVG drawing."),
        (b"%PDF-1.7", NotAPicture, "It is a PDF."),
        (b"\0\0\0\x20ftypisom" + bytes(30), NotAPicture, "It is a video (MP4 or QuickTime)."),
        (b"RIFF\0\0\0\0WAVE", NotAPicture, "It is sound (WAV)."),
        ("grüße\n".encode() * 2000, NotAPicture, "It is text."),
        (bytes(5000), NotAPicture, "It is nothing but zeros."),
        (b"\xf1\xf2\x80\x81", NotAPicture, ""),
    ],
)
def test_content_that_is_not_decoded_is_named(data: bytes, kind: type[PictureRefused], said: str) -> None:
    found = refused(data)
    assert type(found) is kind
    assert type(refusal_of(data)) is kind
    assert found.detail == said


def test_what_a_decoder_stumbles_over_is_told_in_plain_words() -> None:
    png, jpeg = encoded("png", grainy()), encoded("jpeg", grainy())
    for data, kind in (
        (png[:12] + b"????" + png[16:], Corrupt),
        (png[: len(png) // 2], Truncated),
        (jpeg[:4], Corrupt),
    ):
        found = refused(data)
        assert isinstance(found, kind), found
        assert not re.search(r"Error|\(-?\d|object at|driver|[a-z]\(", str(found)), "no word of a program"
        assert str(found).endswith(".")


def test_a_variant_that_the_decoder_does_not_know_is_unsupported_and_not_broken() -> None:
    bmp = b"BM" + (118).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    bmp += (4).to_bytes(4, "little") * 2 + b"\1\0" + (30_000).to_bytes(2, "little") + bytes(88)
    found = refused(bmp)
    assert isinstance(found, Unsupported)
    assert "30000" in str(found)
