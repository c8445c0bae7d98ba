"""Memory is counted before anything is allocated, and whatever is wrong has a name."""

from __future__ import annotations

import io
import resource
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.imaging import (
    Corrupt,
    NotAPicture,
    PictureRefused,
    TooLarge,
    Truncated,
    decode_exact_gray,
    decode_luma,
    headers,
    kinds,
    tiff,
)
from shared.imaging.values import Picture
from tests.support.data import DATA, needs_data
from tests.support.photos import jpeg, scene
from tests.support.pictures import WRITERS, encoded

MB = 1 << 20
BAD = DATA / "photos" / "bad"


def decoded(data: bytes, limit: int = 1024 * MB) -> Picture:
    return decode_luma(data, short_side=512, memory_limit=limit)


def png_claiming(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def jpeg_claiming(width: int, height: int) -> bytes:
    """A whole small JPEG whose frame header claims another size."""
    data = bytearray(jpeg(scene(1, (64, 48))))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_jpeg_of_some_hundred_bytes_that_claims_2016_megapixels_is_refused_at_once() -> None:
    before = peak()
    with pytest.raises((TooLarge, Truncated)):
        decoded(jpeg_claiming(48_000, 42_000))
    assert peak() - before < 64 * MB


@pytest.mark.parametrize("make", [lambda: png_claiming(60_000, 60_000), lambda: png_claiming(16_383, 16_383, 16, 6)])
def test_a_png_beyond_the_limit_is_refused_before_it_is_loaded(make) -> None:
    before = peak()
    with pytest.raises(TooLarge):
        decoded(make())
    assert peak() - before < 64 * MB


def test_a_large_flat_png_decodes_within_the_limit_or_is_refused_by_name() -> None:
    buffer = io.BytesIO()
    Image.new("1", (16_383, 16_383), 1).save(buffer, "PNG")
    assert decoded(buffer.getvalue(), 700 * MB).width == 16_383
    with pytest.raises(TooLarge, match="million pixels"):
        decoded(buffer.getvalue(), 200 * MB)


def test_the_reduced_scale_of_a_jpeg_counts_and_so_do_the_coefficients_of_a_progressive_one() -> None:
    picture = Image.new("RGB", (9_000, 9_000), "red")
    assert decoded(jpeg(picture), 20 * MB).width == 9_000
    with pytest.raises(TooLarge):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", progressive=True)
        decoded(buffer.getvalue(), 20 * MB)
    with pytest.raises(TooLarge):
        decode_exact_gray(jpeg(picture), memory_limit=1024 * MB)


@pytest.mark.parametrize(
    "kind", ["webp", "webp-lossless", "heif", "avif", "jxl", "jxl-container", "jp2", "gif", "bmp", "tiff"]
)
def test_every_kind_is_refused_by_name_beyond_the_limit(kind: str) -> None:
    data = encoded(kind, scene(1, (400, 300)))
    with pytest.raises(TooLarge):
        decoded(data, 50_000)
    assert decoded(data).width == 400


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (256, 256), (257, 300), (1000, 750), (1920, 1080), (300, 200), (3000, 64)]
)
def test_sizes_are_read_from_headers_before_the_decoder_opens(size: tuple[int, int]) -> None:
    picture = scene(1, size)
    for kind in ("webp", "webp-lossless"):
        assert headers.webp_size(encoded(kind, picture)) == size
    for kind in ("jxl", "jxl-container"):
        assert headers.jxl_size(encoded(kind, picture)) == size
    animated = io.BytesIO()
    picture.save(animated, "WEBP", save_all=True, append_images=[picture.transpose(Image.Transpose.ROTATE_180)])
    assert headers.webp_size(animated.getvalue()) == size


def test_a_header_of_a_jpeg_says_how_it_is_coded() -> None:
    plain, progressive = headers.jpeg_header(jpeg(scene(1))), headers.jpeg_header(encoded("jpeg-progressive", scene(1)))
    assert plain is not None
    assert progressive is not None
    assert (plain.width, plain.height, plain.progressive) == (640, 480, False)
    assert progressive.progressive


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"just text", NotAPicture),
        (b"", NotAPicture),
        (b"%PDF-1.7", NotAPicture),
        (struct.pack(">I4s8s", 16, b"ftyp", b"mp42\0\0\0\0") + bytes(99), NotAPicture),
        (b"\xff\xd8\xff\xe0", Corrupt),
        (b"\x89PNG\r\n\x1a\n", PictureRefused),
        (jpeg(scene(1))[:5000], Truncated),
        (encoded("png", scene(1))[:9000], Truncated),
    ],
)
def test_what_is_wrong_has_a_name(data: bytes, refusal: type[PictureRefused]) -> None:
    with pytest.raises(refusal):
        decoded(data)


@pytest.mark.parametrize("kind", sorted(WRITERS.keys() - {"heif", "avif"}))
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_s17_flipped_bytes_end_in_a_picture_or_a_named_refusal(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(kind, SMALL))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(len(whole), 4000) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded(bytes(whole[: data.draw(st.integers(1, len(whole)))]), 64 * MB)
    except PictureRefused as error:
        assert error.code in ("not-a-picture", "unsupported", "truncated", "corrupt", "too-large")


SMALL = scene(1, (48, 40))


@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]), st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_directories_of_rubbish_are_read_without_complaint(magic: bytes, rest: bytes) -> None:
    for directory in tiff.directories(magic + rest):
        assert isinstance(directory.ranges, list)
        assert isinstance(directory.points_beyond, bool)
        directory.text(tiff.MAKE)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_have_a_kind_or_none(data: bytes) -> None:
    for start in (b"", b"\0\0\0\x1cftyp", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff", b"II*\0", b"\xff\x0a", b"P6 "):
        kinds.kind_of(start + data)
        headers.jpeg_header(start + data)
        headers.jxl_size(start + data)
        headers.webp_size(start + data)
        headers.boxes_size(start + data)


@needs_data
def test_the_bombs_among_the_real_files_are_refused_or_decode_within_the_limit() -> None:
    before = peak()
    verdicts = {}
    for path in sorted((BAD / "huge_but_valid_268_and_280_megapixels").iterdir()):
        verdicts[path.name] = decoded(path.read_bytes()).width
    assert verdicts == {"sharp__giant-image.jpg": 20_000, "thumbor__16383x16383.png": 16_383}
    assert peak() - before < 1024 * MB
