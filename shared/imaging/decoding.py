"""One picture decoded: by kind, memory first, the same path for every photo (detection.md, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.imaging import foreign, headers, kinds, memory, pillow, raw, tones
from shared.imaging.refusals import Corrupt, NeedsDecoding, Truncated
from shared.imaging.values import Description, Exif, Picture
from shared.words import counted

if TYPE_CHECKING:
    from PIL.JpegImagePlugin import JpegImageFile

#: Rec. 709 weights in float64, as scikit-image's rgb2gray has them
_REC_709 = np.array([0.2125, 0.7154, 0.0721])


def decode_luma(data: bytes, *, short_side: int | None, memory_limit: int) -> Picture:
    """See ``shared.imaging.decode_luma``."""
    kind = _kind_of(data)
    with pillow.named_refusals(memory_limit):
        if kind == "JPEG":
            return _jpeg(data, short_side, memory_limit)
        if kind in kinds.RAW_KINDS:
            return _raw(data, kind, short_side, memory_limit)
        return _other(data, kind, short_side, memory_limit)


def decode_exact_gray(data: bytes, *, memory_limit: int) -> Picture:
    """See ``shared.imaging.decode_exact_gray``."""
    kind = _kind_of(data)
    with pillow.named_refusals(memory_limit):
        if kind in kinds.RAW_KINDS:
            found = raw.largest_preview(data, kind, memory_limit)
            return _as_raw(_exact(found.jpeg, "JPEG", memory_limit), found, kind)
        return _exact(data, kind, memory_limit)


def describe(data: bytes, *, memory_limit: int) -> Description:
    """See ``shared.imaging.describe``."""
    kind = _kind_of(data)
    if kind in kinds.NEED_DECODING or (kind == "PNG" and headers.png_tells_late(data)):
        raise NeedsDecoding(f"What this {kind} file says of its picture shows when it is decoded.")
    with pillow.named_refusals(memory_limit):
        return _opened(data, kind, memory_limit)[1]


def _kind_of(data: bytes) -> str:
    kind = kinds.kind_of(data)
    if kind is None:
        raise foreign.refusal_of(data)
    return kind


def _jpeg(data: bytes, short_side: int | None, memory_limit: int) -> Picture:
    """At the reduced scale of the cosine transform that still leaves ``short_side``: where the time goes."""
    header = _checked_jpeg_header(data)
    picture = pillow.open_jpeg(data)
    width, height = picture.size
    scale = _scale_for(width, height, short_side)
    memory.require(memory.for_jpeg(header, scale, 1 if picture.mode != "CMYK" else 10), memory_limit, width, height)
    drafted = picture.draft("L", (width // scale, height // scale))
    box = drafted[1] if drafted else None
    stored_mode = "L" if header.sampling[1:] == () else "CMYK" if picture.mode == "CMYK" else "RGB"
    picture.load()
    exif = pillow.exif_of(picture)
    small = tones.reduced(tones.luma_of(picture), short_side, box)
    pixels = tones.turned(np.asarray(small), exif.orientation)
    return _shown(pixels, size=(width, height), kind="JPEG", mode=stored_mode, exif=exif, orientation=exif.orientation)


def _checked_jpeg_header(data: bytes) -> headers.JpegHeader:
    header = headers.jpeg_header(data)
    if header is None or header.width == 0:
        raise Corrupt("No header says how large it is.")
    if header.cannot_be_whole(len(data)):
        raise Truncated(f"{header.width} x {header.height} pixels cannot stand in {counted(len(data), 'byte')}.")
    return header


def _scale_for(width: int, height: int, short_side: int | None) -> int:
    if short_side is None:
        return 1
    return next(s for s in (8, 4, 2, 1) if s == 1 or min(width, height) // s >= short_side)


def _other(data: bytes, kind: str, short_side: int | None, memory_limit: int) -> Picture:
    picture = pillow.open_picture(data, kind, memory_limit)
    mode, size, frames = picture.mode, picture.size, pillow.frames_of(picture)
    before = pillow.exif_of(picture) if kind == "TIFF" else None  # Pillow turns a TIFF itself and forgets that it did
    picture.load()
    exif = before or pillow.exif_of(picture)
    orientation = 1 if _is_turned_by_its_decoder(picture, kind) else exif.orientation
    size = picture.size if kind == "ICO" else size
    small = tones.reduced(tones.luma_of(picture), short_side, None)
    pixels = tones.turned(np.asarray(small), orientation)
    return _shown(pixels, size=size, kind=kind, mode=mode, frames=frames, exif=exif, orientation=orientation)


def _is_turned_by_its_decoder(picture: Image.Image, kind: str) -> bool:
    """TIFF by Pillow, HEIF by libheif, JPEG XL by libjxl, unless it holds a whole JPEG, which is taken out as it is."""
    return kind in ("TIFF", "HEIF") or (kind == "JXL" and not getattr(picture, "jpeg", False))


def _raw(data: bytes, kind: str, short_side: int | None, memory_limit: int) -> Picture:
    found = raw.largest_preview(data, kind, memory_limit)
    return _as_raw(_jpeg(found.jpeg, short_side, memory_limit), found, kind)


def _as_raw(preview: Picture, found: raw.Preview, kind: str) -> Picture:
    """The preview's pixels, the RAW's own size and tags, turned as the RAW says where the preview does not say it."""
    exif = found.exif if found.exif.main else preview.exif
    turn = 1 if preview.orientation != 1 else found.turn_of(preview.width, preview.height)
    sides = (found.width or preview.width, found.height or preview.height)
    shown_by = found.orientation if found.orientation != 1 else preview.orientation
    width, height = sides[::-1] if tones.swaps_sides(shown_by) else sides
    return Picture(
        luma=tones.turned(preview.luma, turn),
        width=width,
        height=height,
        format=kind,
        mode=preview.mode,
        frames=1,
        exif=exif,
        orientation=shown_by,
    )


def _shown(
    pixels: NDArray[Any],
    *,
    size: tuple[int, int],
    kind: str,
    mode: str,
    exif: Exif,
    orientation: int,
    frames: int = 1,
) -> Picture:
    """``size`` as stored; the picture has it as shown."""
    width, height = size[::-1] if tones.swaps_sides(orientation) else size
    return Picture(
        luma=pixels,
        width=width,
        height=height,
        format=kind,
        mode=mode,
        frames=frames,
        exif=exif,
        orientation=orientation,
    )


def _exact(data: bytes, kind: str, memory_limit: int) -> Picture:
    picture, said = _opened(data, kind, memory_limit)
    picture.load()
    if kind == "PNG" and headers.png_tells_late(data):
        said = _described(picture, kind, said.mode, picture.size, pillow.exif_of(picture))
    return Picture(luma=_gray_like_scikit_image(picture), **vars(said))


def _opened(data: bytes, kind: str, memory_limit: int) -> tuple[Image.Image, Description]:
    """A picture whose header is read, and what it says; for the exact signature, or for none.

    Nothing is decoded yet: Pillow would decode a PNG for tags that may stand behind its pixels, and forget its damage.
    """
    picture: Image.Image | JpegImageFile
    if kind == "JPEG":
        _checked_jpeg_header(data)
        picture = pillow.open_jpeg(data)
    else:
        picture = pillow.open_picture(data, kind, memory_limit)
    mode, size = picture.mode, picture.size
    memory.require(size[0] * size[1] * memory.EXACT_BYTES, memory_limit, *size)
    return picture, _described(picture, kind, mode, size, pillow.exif_unloaded(picture))


def _described(picture: Image.Image, kind: str, mode: str, size: tuple[int, int], exif: Exif) -> Description:
    turn = exif.orientation if kind not in ("HEIF", "JXL") else 1
    width, height = size[::-1] if tones.swaps_sides(turn) else size
    return Description(
        width=width,
        height=height,
        format=kind,
        mode=mode,
        frames=pillow.frames_of(picture),
        exif=exif,
        orientation=turn,
    )


def _gray_like_scikit_image(picture: Image.Image) -> NDArray[Any]:
    """What ``skimage.io.imread(…, as_gray=True)`` gives: float64 in 0..1, but one channel as it is, uint8 and all."""
    values = np.asarray(_like_imageio(picture))
    if values.ndim == 2:
        return values if values.dtype.kind in "uif" else values.astype(np.float64)
    gray = np.empty(values.shape[:2])
    for row in range(len(values)):  # a row at a time: the same products, without a float copy of the whole picture
        gray[row] = _row_gray(values[row])
    return gray


def _like_imageio(picture: Image.Image) -> Image.Image:
    if picture.mode == "P" and picture.palette is not None:
        return picture.convert("RGBA" if "transparency" in picture.info else picture.palette.mode)
    return picture.convert("RGB") if picture.mode == "LA" else picture


def _row_gray(row: NDArray[np.uint8]) -> NDArray[np.float64]:
    shares = np.multiply(row, 1.0 / 255, dtype=np.float64)
    if shares.shape[1] == 4:  # a fourth channel is taken for transparency on white, whatever it is
        alpha = shares[:, 3:]
        shares = np.clip((1 - alpha) + alpha * shares[:, :3], 0, 1)
    return np.asarray(shares @ _REC_709)
