from __future__ import annotations

import io
import struct
from functools import cache

import pytest
from PIL import Image, PngImagePlugin

from services.analyser.endings import ZERO_TAIL, ZEROS, ending_of
from shared.imaging import PictureRefused, decode_luma
from shared.imaging.kinds import kind_of
from tests.support.photos import scene
from tests.support.pictures import MARKED, WRITERS, cut, encoded, grainy, hollowed

SIZE = (1000, 760)
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)


@cache
def whole(kind: str) -> bytes:
    return encoded(kind, grainy(size=SIZE))


def verdict(data: bytes) -> str:
    """What the analyser makes of bytes: ``fine``, ``doubt`` or a reason."""
    kind = kind_of(data)
    if kind is None:
        return "not-a-picture"
    try:
        decode_luma(data, short_side=512, memory_limit=1 << 30)
    except PictureRefused as error:
        return error.code
    ending = ending_of(data, kind)
    return (ending.reason or "truncated") if not ending.complete else "doubt" if ending.doubt else "fine"


@pytest.mark.parametrize("kind", WRITERS)
def test_s15_a_whole_picture_is_whole_and_beyond_doubt(kind: str) -> None:
    assert verdict(whole(kind)) == "fine"


@pytest.mark.parametrize(
    "kind", sorted(WRITERS.keys() - {"jxl", "pcx", "ppm", "sgi"})
)  # these have no end of their own
def test_s15_bytes_after_the_containers_own_end_do_not_count(kind: str) -> None:
    assert verdict(whole(kind) + b"\xaa trailing notes of some program" * 9) == "fine"
    assert verdict(whole(kind) + bytes(2 * ZEROS)) == "fine"


@pytest.mark.parametrize(
    ("kind", "share"),
    # without an end mark fewer than 4 KiB of zeros may be the picture's own
    [(kind, share) for kind in WRITERS for share in SHARES if kind in MARKED or share >= 0.01],
)
def test_s15_a_tail_of_zeros_is_refused_or_doubted(kind: str, share: float) -> None:
    data = hollowed(whole(kind), share)
    assert kind in MARKED or len(data) * share > ZEROS + 64
    assert verdict(data) != "fine"


@pytest.mark.parametrize("share", (0.001, 0.02, 0.25))
@pytest.mark.parametrize("kind", WRITERS)
def test_s15_a_truncated_picture_is_refused(kind: str, share: float) -> None:
    assert verdict(cut(whole(kind), share)) not in ("fine", "doubt")


@pytest.mark.parametrize("kind", sorted(MARKED))
def test_s15_even_one_missing_byte_is_seen_where_there_is_an_end_mark(kind: str) -> None:
    assert verdict(whole(kind)[:-1]) in ("truncated", "corrupt")


def test_s15_zeros_that_a_decoder_turns_into_pixels_are_no_end_mark() -> None:
    """libjpeg decodes zeros without complaint; the end mark of an EXIF preview before them must not pass for the photo's."""
    exif = Image.Exif()
    exif[271] = "Maker"
    preview = io.BytesIO()
    scene(1, (160, 120)).save(preview, "JPEG")
    with_preview = exif.tobytes() + preview.getvalue()
    data = hollowed(encoded("jpeg", grainy(size=SIZE), exif=with_preview), 0.05)
    assert decode_luma(data, short_side=512, memory_limit=1 << 30).width == SIZE[0]
    assert verdict(data) == "truncated"


def test_s15_a_photo_followed_by_a_film_of_its_moment_is_whole() -> None:
    film = struct.pack(">I4s8s", 16, b"ftyp", b"mp42\0\0\0\0") + bytes(100_000)
    assert verdict(whole("jpeg") + film) == "fine"


def test_s15_a_png_with_one_flipped_bit_in_any_chunk_is_corrupt() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "a note that no decoder needs")
    buffer = io.BytesIO()
    scene(1).save(buffer, "PNG", pnginfo=notes)
    at = buffer.getvalue().index(b"a note")
    damaged = bytearray(buffer.getvalue())
    damaged[at] ^= 1
    ending = ending_of(bytes(damaged), "PNG")
    assert not ending.complete
    assert ending.reason == "corrupt"
    assert "tEXt" in ending.explanation


def test_s15_a_tiff_whose_strips_end_beyond_the_file_is_truncated() -> None:
    assert ending_of(whole("tiff")[:-10], "TIFF").reason == "truncated"


def test_s15_a_tiff_with_a_hole_in_its_second_page_is_doubted() -> None:
    buffer = io.BytesIO()
    grainy(1).save(buffer, "TIFF", save_all=True, append_images=[grainy(2)])
    data = buffer.getvalue()
    assert ending_of(data, "TIFF").doubt is None
    assert ending_of(data[: -2 * ZEROS] + bytes(2 * ZEROS), "TIFF").doubt == ZERO_TAIL


@pytest.mark.parametrize(
    "kind", ["PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG", "HEIF", "JXL", "JPEG2000", "RAF", "DNG", "SGI"]
)
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"II*\0\xff\xff\xff\xff", bytes(200), b"\xff" * 200, b"II*\0\x08\0\0\0\xff\xff"]
)
def test_nothing_is_raised_for_rubbish(kind: str, data: bytes) -> None:
    ending_of(data, kind)
