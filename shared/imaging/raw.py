"""RAW files: the largest embedded preview is their picture, the sensor's size their size."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

from shared.imaging import headers, kinds, memory, pillow, tiff
from shared.imaging.refusals import Corrupt, Unsupported
from shared.imaging.values import Exif

#: LibRaw's flip -> EXIF orientation
_FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}
#: a preview smaller than this on its short side is a thumbnail, unless the photo itself is little larger
_SMALLEST_PREVIEW = 240
#: JPEGs looked at inside one RAW
_MOST_JPEGS = 64
#: bytes of a pixel to develop a RAW at half its size, per sensor pixel
_DEVELOPING = 6


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A RAW's picture and what the RAW says of itself."""

    jpeg: bytes
    #: the sensor's pixels as stored, 0 where unknown
    width: int
    height: int
    #: EXIF orientation of the RAW
    orientation: int
    exif: Exif

    def turn_of(self, width: int, height: int) -> int:
        """How a preview without an orientation of its own is to be turned: not where it lies as shown already."""
        lies_like_sensor = (width >= height) == (self.width >= self.height)
        return self.orientation if lies_like_sensor or self.orientation in (1, 3) else 1


def largest_preview(data: bytes, kind: kinds.Kind | str, memory_limit: int) -> Preview:
    """The largest JPEG that the RAW carries, or the RAW developed at half its size where it has but a thumbnail.

    Raises ``Unsupported`` where there is neither, ``TooLarge``, ``Corrupt``.
    """
    exif = pillow.exif_of_tiff(data) if data[:4] in tiff.MAGICS else Exif()
    width, height, orientation = _own_size(data, exif)
    found = max(_jpegs(data), key=lambda j: j[0].width * j[0].height, default=None)
    if found is not None and _is_no_thumbnail(found[0], width, height):
        jpeg = data[found[1] :]
    else:
        jpeg = _developed(data, memory_limit)
    return Preview(jpeg=jpeg, width=width, height=height, orientation=orientation, exif=exif)


def _is_no_thumbnail(preview: headers.JpegHeader, width: int, height: int) -> bool:
    short = min(preview.width, preview.height)
    return short >= _SMALLEST_PREVIEW or short * 2 >= min(width, height) > 0


def _own_size(data: bytes, exif: Exif) -> tuple[int, int, int]:
    """(width, height, orientation) by rawpy, else by the directory that holds sensor data."""
    with contextlib.suppress(Exception):  # what rawpy cannot open, the directories may still tell
        return _size_by_rawpy(data)
    directories = tiff.directories(data) if data[:4] in tiff.MAGICS else []
    sizes = [(d.number(tiff.WIDTH), d.number(tiff.HEIGHT)) for d in directories]
    sensor = [size for size, d in zip(sizes, directories, strict=True) if d.is_sensor_data] or sizes or [(0, 0)]
    return (*max(sensor), exif.orientation)


def _size_by_rawpy(data: bytes) -> tuple[int, int, int]:
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as photo:
        sizes = photo.sizes
        return int(sizes.width), int(sizes.height), _FLIPS.get(int(sizes.flip), 1)


def _jpegs(data: bytes) -> Iterator[tuple[headers.JpegHeader, int]]:
    """(header, start) of the JPEGs inside, wherever the RAW keeps them; lossless ones are sensor data."""
    at = data.find(b"\xff\xd8\xff")
    for _ in range(_MOST_JPEGS):
        if at < 0:
            return
        header = headers.jpeg_header(data, at)
        if header is not None and header.width and header.height and not header.lossless:
            yield header, at
        at = data.find(b"\xff\xd8\xff", at + 3)


def _developed(data: bytes, memory_limit: int) -> bytes:
    """The RAW itself at half its size, as JPEG so that it takes the same path as every photo."""
    import rawpy
    from PIL import Image

    try:
        with rawpy.imread(io.BytesIO(data)) as photo:
            width, height = photo.sizes.width, photo.sizes.height
            memory.require(width * height * _DEVELOPING, memory_limit, width, height)
            pixels = photo.postprocess(half_size=True, use_camera_wb=True, user_flip=0)
    except rawpy.LibRawFileUnsupportedError as error:
        raise Unsupported("It is a RAW that holds no preview, from a camera that LibRaw does not know.") from error
    except rawpy.LibRawError as error:
        raise Corrupt("It is a RAW whose pixels cannot be developed.") from error
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
