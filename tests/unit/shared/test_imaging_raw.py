"""RAW: the largest embedded preview is the picture, the sensor's size is its size, the thumbnail is never the photo."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from shared.imaging import PictureRefused, decode_luma, kinds
from shared.imaging.values import Picture
from tests.support.data import DATA, needs_data
from tests.support.photos import scene
from tests.support.raws import cr3, jpeg_bytes, raf, tiff_raw

LIMIT = 1 << 30
PREVIEW, STRANGER = scene(1, (1200, 800)), scene(2, (160, 120))
SENSOR = (2400, 1600)
SENSOR_DATA = bytes(range(1, 256)) * 500


def decoded(data: bytes) -> Picture:
    return decode_luma(data, short_side=512, memory_limit=LIMIT)


def shows(found: Picture, picture: Image.Image) -> bool:
    size = (found.luma.shape[1], found.luma.shape[0])
    reference = np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX)).astype(int)
    return bool(np.abs(found.luma.astype(int) - reference).mean() < 6)


def made(kind: str, preview: bytes | None, orientation: int = 1, sensor: tuple[int, int] = SENSOR) -> bytes:
    maker = {"NEF": "NIKON CORPORATION", "ARW": "SONY", "RAW": "PENTAX"}.get(kind, "Canon")
    return tiff_raw(
        maker=maker,
        sensor=sensor,
        preview=preview,
        thumbnail=STRANGER,
        orientation=orientation,
        dng=kind == "DNG",
        cr2=kind == "CR2",
    )


@pytest.mark.parametrize("kind", ["DNG", "CR2", "NEF", "ARW", "RAW"])
def test_what_a_tiff_reader_would_show_of_a_raw_is_never_the_photo(kind: str) -> None:
    data = made(kind, jpeg_bytes(PREVIEW))
    assert Image.open(io.BytesIO(data)).size == STRANGER.size  # the trap
    found = decoded(data)
    assert shows(found, PREVIEW)
    assert not shows(found, STRANGER)
    assert (found.format, found.width, found.height) == (kind, *SENSOR)
    assert found.exif.main[272] == "Model 7"


@pytest.mark.parametrize(
    ("kind", "data"), [("RAF", raf(jpeg_bytes(PREVIEW), SENSOR_DATA)), ("CR3", cr3(jpeg_bytes(PREVIEW), SENSOR_DATA))]
)
def test_containers_that_are_no_tiff_are_looked_through_for_their_preview(kind: str, data: bytes) -> None:
    found = decoded(data)
    assert found.format == kind
    assert shows(found, PREVIEW)


def test_the_largest_of_several_previews_is_taken() -> None:
    large = jpeg_bytes(PREVIEW)
    for data in (raf(jpeg_bytes(STRANGER) + large, SENSOR_DATA), raf(large + jpeg_bytes(STRANGER), SENSOR_DATA)):
        assert shows(decoded(data), PREVIEW)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_preview_without_an_orientation_is_turned_as_the_raw_says(orientation: int) -> None:
    upright = PREVIEW if orientation in (1, 3) else PREVIEW.resize((800, 1200))
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(orientation)
    found = decoded(made("NEF", jpeg_bytes(upright.transpose(undo) if undo else upright), orientation))
    assert shows(found, upright)
    assert (found.width, found.height) == (SENSOR if orientation in (1, 3) else SENSOR[::-1])


def test_a_preview_with_its_own_orientation_is_turned_once() -> None:
    upright = PREVIEW.resize((800, 1200))
    stored = jpeg_bytes(upright.transpose(Image.Transpose.ROTATE_90), orientation=6)
    found = decoded(made("NEF", stored, 6))
    assert shows(found, upright)
    assert (found.width, found.height) == SENSOR[::-1]


def test_a_preview_that_lies_as_shown_already_is_not_turned() -> None:
    upright = PREVIEW.resize((800, 1200))
    found = decoded(made("NEF", jpeg_bytes(upright), 6))
    assert shows(found, upright)
    assert (found.width, found.height) == SENSOR[::-1]


@pytest.mark.parametrize("preview", [None, jpeg_bytes(STRANGER)])
def test_a_raw_with_nothing_but_a_thumbnail_is_developed_not_known_by_it(preview: bytes | None) -> None:
    found = decoded(made("NEF", preview))
    assert not shows(found, STRANGER)
    assert (found.width, found.height) == SENSOR


def test_a_raw_that_can_be_neither_shown_nor_developed_is_refused() -> None:
    with pytest.raises(PictureRefused):
        decoded(made("NEF", None)[:-200_000])
    with pytest.raises(PictureRefused):
        decoded(raf(jpeg_bytes(STRANGER), SENSOR_DATA))


def test_a_plain_tiff_of_a_raw_makers_camera_is_a_tiff() -> None:
    exif = Image.Exif()
    exif[271] = "NIKON CORPORATION"
    buffer = io.BytesIO()
    PREVIEW.save(buffer, "TIFF", exif=exif)
    found = decoded(buffer.getvalue())
    assert (found.format, found.width) == ("TIFF", 1200)


@needs_data
def test_real_dngs_have_their_own_size_and_their_largest_preview() -> None:
    for path in sorted((DATA / "photos" / "formats").glob("*.dng")):
        data = path.read_bytes()
        found = decoded(data)
        assert kinds.kind_of(data) == found.format == "DNG"
        assert min(found.luma.shape) >= 400, path.name
        assert max(found.width, found.height) in (1224, 600), path.name
        assert found.exif.main, path.name
