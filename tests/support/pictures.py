"""One picture in every kind that can be written here, whole, turned, cut off and hollowed out."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.support.photos import scene

#: kind -> (Pillow's writer, its options); each can be read back with ``decode_luma``
WRITERS: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg": ("JPEG", {"quality": 92}),
    "jpeg-progressive": ("JPEG", {"quality": 92, "progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {"quality": 92}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff-jpeg": ("TIFF", {"compression": "jpeg"}),
    "bmp": ("BMP", {}),
    "heif": ("HEIF", {"quality": 92}),
    "avif": ("AVIF", {"quality": 92, "speed": 9}),
    "jxl": ("JXL", {"quality": 92, "effort": 1}),
    "jxl-container": ("JXL", {"quality": 92, "effort": 1, "use_container": True}),
    "jp2": ("JPEG2000", {"no_jp2": False, "irreversible": True, "quality_mode": "rates", "quality_layers": [8]}),
    "j2k": ("JPEG2000", {"no_jp2": True, "irreversible": True, "quality_mode": "rates", "quality_layers": [8]}),
    "sgi": ("SGI", {}),
    "ppm": ("PPM", {}),
    "pcx": ("PCX", {}),
}
#: kinds whose EXIF orientation counts when they are shown
TURNED = ("jpeg", "png", "webp", "tiff", "tiff-lzw", "tiff-deflate", "avif", "heif")
#: kinds with an end mark, a checksum or a declared size: an end that is missing is always seen
MARKED = frozenset({"jpeg", "jpeg-progressive", "png", "gif", "jp2", "j2k"})

_ORIENTATION = 274
#: what has to be done to an upright picture so that EXIF orientation n shows it upright again
_UNTURN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _register() -> None:
    import pillow_heif
    from pillow_jxl import JpegXLImagePlugin  # noqa: F401

    pillow_heif.register_heif_opener()


def encoded(kind: str, picture: Image.Image, *, orientation: int | None = None, **options: object) -> bytes:
    """The picture in this kind; ``orientation``: stored turned, so that it is shown as it is."""
    _register()
    writer, own = WRITERS[kind]
    stored, exif = picture, Image.Exif()
    exif[271], exif[272] = "Maker", "Model 1"
    if orientation is not None:
        exif[_ORIENTATION] = orientation
        turn = _UNTURN[orientation]
        stored = picture if turn is None else picture.transpose(turn)
    buffer = io.BytesIO()
    extra = {"exif": exif.tobytes()} if kind.startswith(("jpeg", "png", "webp", "avif", "heif")) else {}
    if kind.startswith("tiff"):
        extra = {"exif": exif}
    stored.save(buffer, writer, **{**own, **extra, **options})
    return buffer.getvalue()


def grainy(seed: int = 1, size: tuple[int, int] = (1200, 900)) -> Image.Image:
    """A scene with so much grain that every kind needs some hundred kilobytes for it."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(scene(seed, size), dtype=np.int16) + rng.normal(0, 24, (size[1], size[0], 3)).astype(np.int16)
    return Image.fromarray(np.clip(pixels, 1, 255).astype(np.uint8))


def hollowed(data: bytes, share: float) -> bytes:
    """The last ``share`` of the file is zeros, as of an upload into space reserved for it."""
    count = max(1, int(len(data) * share))
    return data[:-count] + bytes(count)


def cut(data: bytes, share: float) -> bytes:
    """Without the last ``share`` of the file, at least a byte."""
    return data[: -max(1, int(len(data) * share))]
