"""Decoding: every kind, every mode, the size and turn that are shown, one path for all."""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
import pytest
from PIL import Image

from services.analyser.goldberg import canonical
from shared.imaging import decode_exact_gray, decode_luma, extensions, tones
from shared.imaging.values import Picture
from shared.signature import Signature, distance
from tests.support.data import DATA, needs_data
from tests.support.photos import jpeg, scene
from tests.support.pictures import TURNED, WRITERS, encoded

LIMIT = 1 << 30
FORMATS = DATA / "photos" / "formats"


def decoded(data: bytes, short_side: int | None = 512) -> Picture:
    return decode_luma(data, short_side=short_side, memory_limit=LIMIT)


def signature(data: bytes) -> Signature:
    return Signature.from_full(canonical(decoded(data).luma))


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_gives_the_same_picture(kind: str) -> None:
    original = scene(3, (680, 540))
    found = decoded(encoded(kind, original))
    assert found.luma.shape == (512, 645)
    assert (found.width, found.height) == (680, 540)
    difference = np.abs(found.luma.astype(int) - decoded(encoded("png", original)).luma.astype(int))
    assert difference.mean() < (12 if kind == "gif" else 4)
    assert distance(signature(encoded(kind, original)), signature(encoded("png", original))) < 0.1


UPRIGHT = scene(5, (680, 540))


@cache
def plain(kind: str) -> Picture:
    return decoded(encoded(kind, UPRIGHT))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", TURNED)
def test_a_picture_is_turned_as_it_is_shown(kind: str, orientation: int) -> None:
    found, upright = decoded(encoded(kind, UPRIGHT, orientation=orientation)), plain(kind)
    assert (found.width, found.height) == (680, 540)
    assert found.luma.shape == (512, 645)
    assert np.abs(found.luma.astype(int) - upright.luma.astype(int)).mean() < 3
    assert distance(*(Signature.from_full(canonical(p.luma)) for p in (found, upright))) < 0.05


def test_a_nonsense_orientation_is_none() -> None:
    for nonsense in (0, 9, 65_535):
        exif = Image.Exif()
        exif[274] = nonsense
        found = decoded(saved(scene(1), "JPEG", exif=exif))
        assert (found.width, found.height, found.orientation) == (640, 480, 1)


@pytest.mark.parametrize("size", [(640, 480), (512, 512), (100, 75), (1, 1), (3, 600), (600, 3)])
def test_nothing_is_enlarged(size: tuple[int, int]) -> None:
    found = decoded(encoded("png", scene(1, size)))
    assert found.luma.shape[0] <= size[1]
    assert found.luma.shape[1] <= size[0]
    assert min(found.luma.shape) == min(512, *size)


@pytest.mark.parametrize("scale", [1.0, 1.3, 1.9, 2.0, 3.1, 4.0, 6.3, 8.2])
def test_a_jpeg_of_any_size_is_reduced_to_the_same_picture(scale: float) -> None:
    """Decoded at 1, 1/2, 1/4 or 1/8 and averaged from there: copies of other sizes come out alike."""
    size = (int(683 * scale), int(512 * scale))
    found = decoded(jpeg(scene(2, (1366, 1024)).resize(size, Image.Resampling.BOX), 95))
    reference = decoded(jpeg(scene(2, (1366, 1024)).resize((683, 512), Image.Resampling.BOX), 95))
    assert min(found.luma.shape) == 512
    assert distance(Signature.from_full(canonical(found.luma)), Signature.from_full(canonical(reference.luma))) < 0.1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.5, 1 / 3])
def test_a_smaller_copy_has_nearly_the_same_signature(seed: int, share: float) -> None:
    large = scene(seed, (2000, 1500))
    small = large.resize((int(2000 * share), int(1500 * share)), Image.Resampling.LANCZOS)
    assert distance(signature(jpeg(large)), signature(jpeg(small))) < 0.1


def test_a_jpeg_whose_size_is_no_multiple_of_its_scale_is_not_shifted() -> None:
    """At 1/4 the last column holds one pixel's worth of four: it counts for as much of the picture as it is."""
    edge = np.zeros((2049, 2049), dtype=np.uint8)
    edge[:, 2048:] = 255
    found = decoded(saved(Image.fromarray(edge), "JPEG", quality=100))
    assert found.luma.shape == (512, 512)
    assert found.luma[:, :-1].max() < 40


MODES: dict[str, Image.Image] = {
    "1": scene(4).convert("1"),
    "L": scene(4).convert("L"),
    "P": scene(4).convert("P", palette=Image.Palette.ADAPTIVE),
    "RGB": scene(4),
    "RGBA": scene(4).convert("RGBA"),
    "LA": scene(4).convert("LA"),
    "CMYK": scene(4).convert("CMYK"),
    "I;16": Image.fromarray(np.asarray(scene(4).convert("L")).astype(np.uint16) * 257),
    "I": Image.fromarray(np.asarray(scene(4).convert("L")).astype(np.int32) * 257),
    "F": Image.fromarray(np.asarray(scene(4).convert("L")).astype(np.float32) / 255),
}


@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_mode_gives_sensible_luma(mode: str) -> None:
    found = decoded(saved(MODES[mode], "TIFF"))
    reference = np.asarray(scene(4).convert("L")).astype(int)
    if mode == "1":  # dithered: alike in the large
        assert abs(found.luma.mean() - reference.mean()) < 6
        return
    assert np.abs(found.luma.astype(int) - reference).mean() < (6 if mode == "P" else 2)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "HSV", "PA", "La", "RGBa", "RGBX"])
def test_modes_that_only_some_decoders_give_are_luma_too(mode: str) -> None:
    grey = scene(4).convert("L")
    if mode == "LAB":
        stored = Image.merge("LAB", [grey, *[Image.new("L", grey.size, 128)] * 2])
    else:
        way = {"PA": "LA", "La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")
        stored = grey.convert(way).convert(mode)
    found = np.asarray(tones.luma_of(stored)).astype(int)
    assert np.abs(found - np.asarray(grey).astype(int)).mean() < 3


@pytest.mark.parametrize(("depth", "kind"), [(10, "TIFF"), (12, "TIFF"), (14, "TIFF"), (16, "TIFF"), (16, "PNG")])
def test_greys_of_more_than_eight_bits_fill_the_range_that_they_have(depth: int, kind: str) -> None:
    values = np.asarray(scene(4).convert("L")).astype(np.uint16) << (depth - 8)
    values[0, 0] = (1 << depth) - 1
    found = decoded(saved(Image.fromarray(values), kind))
    assert np.abs(found.luma.astype(int) - np.asarray(scene(4).convert("L")).astype(int)).mean() < 1


@pytest.mark.parametrize("values", [np.full((20, 20), np.nan), np.full((20, 20), np.inf), np.full((20, 20), -7.5)])
def test_floats_that_are_no_greys_are_no_error(values: np.ndarray) -> None:
    assert decoded(saved(Image.fromarray(values.astype(np.float32)), "TIFF")).luma.shape == (20, 20)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_lies_on_white_paper(kind: str) -> None:
    picture = scene(4).convert("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 320, 480))
    picture.putalpha(alpha)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    luma = decoded(saved(picture, kind, **options)).luma
    assert luma[:, :300].min() == 255
    assert luma[:, 340:].mean() < 250


def test_a_transparent_colour_of_a_palette_is_white_too() -> None:
    picture = Image.new("P", (40, 30), 1)
    picture.putpalette([0, 0, 0, 10, 10, 10])
    assert decoded(saved(picture, "PNG", transparency=1)).luma.min() == 255
    assert decoded(saved(picture, "PNG")).luma.max() == 10


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_the_picture_and_all_are_counted(kind: str) -> None:
    frames = [scene(n, (200, 150)) for n in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decoded(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert found.frames == 3
    assert np.abs(found.luma.astype(int) - np.asarray(frames[0].convert("L")).astype(int)).mean() < 8


def test_exif_tags_are_there_for_every_kind_that_carries_them() -> None:
    for kind in ("jpeg", "png", "webp", "tiff", "heif", "avif"):
        found = decoded(encoded(kind, scene(1), orientation=1))
        assert found.exif.main.get(271) == "Maker", kind


def test_damaged_exif_costs_the_picture_nothing() -> None:
    for rubbish in (
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40),
    ):
        found = decoded(saved(scene(1), "JPEG", exif=rubbish))
        assert found.luma.shape == (480, 640)
        assert found.orientation == 1


def test_no_warning_of_a_decoder_escapes() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        decoded(saved(scene(1), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0"))
        decoded(saved(Image.new("1", (12_000, 12_000)), "PNG"))
    assert not heard


def test_exact_ignores_the_orientation_that_image_match_ignored() -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned, plain = (
        decode_exact_gray(saved(scene(1), "JPEG", **options), memory_limit=LIMIT) for options in ({"exif": exif}, {})
    )
    assert np.array_equal(turned.luma, plain.luma)
    assert (turned.width, turned.height) == (480, 640)  # as it is shown
    assert (plain.width, plain.height) == (640, 480)


def test_names_end_in_lower_case_with_a_dot_and_none_is_a_video() -> None:
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".heic",
        ".avif",
        ".jxl",
        ".tif",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raf",
    } <= extensions()
    assert all(e.startswith(".") and e == e.lower() for e in extensions())
    assert not {".mp4", ".mov", ".avi", ".txt", ".xmp", ".json", ".bin", ".md", ".fuzzed"} & extensions()


@needs_data
def test_a_picture_is_known_by_its_content_not_by_its_name() -> None:
    assert decoded((FORMATS / "photoprism__this-is-a-jpeg.png").read_bytes()).format == "JPEG"


@needs_data
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_eight_turns_of_one_real_photo_are_one_photo(orientation: int) -> None:
    folder = DATA / "photos" / "neardup" / "exif_Landscape"
    turned = sorted(folder.glob(f"*_{orientation}.jpg"))
    if not turned:
        pytest.skip(f"no turn {orientation} among the photos")
    first = sorted(folder.glob("*.jpg"))[0]
    assert distance(signature(turned[0].read_bytes()), signature(first.read_bytes())) < 0.1
