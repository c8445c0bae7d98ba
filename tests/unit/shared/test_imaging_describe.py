"""What a file says of its picture without being decoded: the same as a decoder would find, or nothing at all."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from shared.imaging import NeedsDecoding, PictureRefused, TooLarge, decode_exact_gray, describe, headers
from shared.imaging.kinds import NEED_DECODING
from shared.imaging.values import Description, Picture
from tests.support.data import DATA, needs_data
from tests.support.photos import scene
from tests.support.pictures import TURNED, WRITERS, encoded

LIMIT = 1 << 30
FORMATS = DATA / "photos" / "formats"
UNDECODED = [kind for kind in WRITERS if not kind.startswith("jxl")]


def said_by(picture: Description) -> dict[str, object]:
    return {name: value for name, value in vars(picture).items() if name != "luma"}


def decoded(data: bytes) -> Picture:
    return decode_exact_gray(data, memory_limit=LIMIT)


@pytest.fixture
def _no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(picture: ImageFile.ImageFile) -> None:
        raise AssertionError(f"{type(picture).__name__} was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", UNDECODED)
def test_headers_say_what_decoding_finds(kind: str, orientation: int) -> None:
    turned = orientation if kind in TURNED else None
    data = encoded(kind, scene(3, (320, 200)), orientation=turned)
    assert said_by(describe(data, memory_limit=LIMIT)) == said_by(decoded(data))


@pytest.mark.usefixtures("_no_pixels")
@pytest.mark.parametrize("kind", UNDECODED)
def test_no_pixel_is_decoded_for_it(kind: str) -> None:
    assert describe(encoded(kind, scene(3, (320, 200))), memory_limit=LIMIT).width == 320


@pytest.mark.parametrize("kind", ["jxl", "jxl-container"])
def test_a_kind_that_is_decoded_to_be_opened_is_left(kind: str) -> None:
    with pytest.raises(NeedsDecoding, match="shows when it is decoded"):
        describe(encoded(kind, scene(3, (320, 200))), memory_limit=LIMIT)


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """The PNG with a chunk behind its pixels."""
    chunk = len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
    end = png.rindex(b"IEND") - 4
    return png[:end] + chunk + png[end:]


@pytest.mark.parametrize(
    ("name", "content"), [(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0"), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")]
)
def test_a_png_whose_tags_stand_behind_its_pixels_is_left(name: bytes, content: bytes) -> None:
    plain = encoded("png", scene(3, (320, 200)))
    with pytest.raises(NeedsDecoding):
        describe(with_chunk(plain, name, content), memory_limit=LIMIT)
    dated = with_chunk(plain, b"tEXt", b"date:create\x002019-09-03")
    assert said_by(describe(dated, memory_limit=LIMIT)) == said_by(decoded(dated))


def undecodable_png() -> bytes:
    """Whole by its structure and its checksums, and its pixels are no compressed stream."""
    data = encoded("png", scene(3, (64, 48)))
    at = data.index(b"IDAT") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    rubbish = b"IDAT" + b"\x55" * size
    return data[: at + 4] + rubbish + zlib.crc32(rubbish).to_bytes(4, "big") + data[at + 12 + size :]


def test_damaged_pixels_are_refused_by_decoders_also_where_tags_may_stand_behind_them() -> None:
    damaged = undecodable_png()
    for data in (damaged, with_chunk(damaged, b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0")):
        with pytest.raises(PictureRefused):
            decoded(data)
    assert describe(damaged, memory_limit=LIMIT).width == 64


def test_frames_are_counted_without_decoding() -> None:
    frames, buffer = [scene(n, (64, 48)) for n in range(3)], io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert describe(buffer.getvalue(), memory_limit=LIMIT).frames == decoded(buffer.getvalue()).frames == 3


def test_what_is_no_picture_is_refused_as_by_the_decoder() -> None:
    with pytest.raises(PictureRefused, match="text"):
        describe(b"only some text", memory_limit=LIMIT)
    image = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(image, "PNG")
    with pytest.raises(TooLarge):
        describe(image.getvalue(), memory_limit=64 << 20)


@needs_data
@pytest.mark.parametrize("path", sorted(FORMATS.rglob("*.*")), ids=lambda path: path.name)
def test_headers_of_real_files_say_what_decoding_finds(path: Path) -> None:
    data = path.read_bytes()
    try:
        whole = decoded(data)
    except PictureRefused:
        return  # damaged pixels show to decoders alone
    try:
        assert said_by(describe(data, memory_limit=LIMIT)) == said_by(whole)
    except NeedsDecoding:
        assert whole.format in NEED_DECODING or headers.png_tells_late(data)
