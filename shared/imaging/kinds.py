"""[pure] Which kind of picture bytes are, by their first bytes; and how names of such pictures usually end."""

from __future__ import annotations

import re
from typing import Literal

from shared.imaging import tiff

Kind = Literal[
    "JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "HEIF", "AVIF", "JXL", "JPEG2000",
    "ICO", "PSD", "SGI", "PPM", "PCX", "QOI",
    "DNG", "CR2", "CR3", "NEF", "ARW", "RAF", "RAW",
]  # fmt: skip

#: RAW kinds: their photo is an embedded preview, their size the sensor's
RAW_KINDS: frozenset[str] = frozenset({"DNG", "CR2", "CR3", "NEF", "ARW", "RAF", "RAW"})
#: kinds that say nothing of their picture before its pixels are decoded; Pillow decodes the last two to open them
NEED_DECODING: frozenset[str] = RAW_KINDS | {"ICO", "JXL"}

_ENDINGS: dict[str, str] = {
    "JPEG": "jpg jpeg jpe jfif mpo",
    "PNG": "png apng",
    "GIF": "gif",
    "WEBP": "webp",
    "TIFF": "tif tiff",
    "BMP": "bmp dib",
    "HEIF": "heic heics heif heifs hif",
    "AVIF": "avif avifs",
    "JXL": "jxl",
    "JPEG2000": "jp2 j2k j2c jpc jpx",
    "ICO": "ico",
    "PSD": "psd",
    "SGI": "sgi",
    "PPM": "pbm pgm pnm ppm",
    "PCX": "pcx",
    "QOI": "qoi",
    "RAW": "dng cr2 cr3 nef nrw arw raf",
}

_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"\xff\x0a", "JXL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"8BPS\x00\x01", "PSD"),
    (b"\x01\xda", "SGI"),
    (b"qoif", "QOI"),
    (b"FUJIFILMCCD-RAW", "RAF"),
)
_PNM = re.compile(rb"P[1-6][\s#]")
_PCX = re.compile(rb"\x0a[\x00\x02\x03\x05][\x00\x01][\x01\x02\x04\x08]", re.DOTALL)
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_MAKERS: tuple[tuple[bytes, Kind], ...] = ((b"NIKON", "NEF"), (b"SONY", "ARW"))


def extensions() -> frozenset[str]:
    """Endings of the names of all pictures that decode: lower case, with their dot."""
    return frozenset(f".{ending}" for endings in _ENDINGS.values() for ending in endings.split())


def kind_of(data: bytes) -> Kind | None:
    """The kind that the content shows, or None for what is no picture (text, videos, archives …)."""
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] in tiff.MAGICS:
        return _tiff_kind(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _kind_by_brands(data)
    if _PNM.match(data):
        return "PPM"
    return "PCX" if _PCX.match(data) else None


def _kind_by_brands(data: bytes) -> Kind | None:
    """Major and compatible brands of an ISO base media file; a video's are none of these."""
    size = min(int.from_bytes(data[:4], "big"), 4096, len(data))
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))]
    if brands[0] == b"crx ":
        return "CR3"
    if _AVIF_BRANDS & {brands[0]} or (brands[0] in _HEIF_BRANDS and _AVIF_BRANDS & set(brands)):
        return "AVIF"
    return "HEIF" if brands[0] in _HEIF_BRANDS else None


def _tiff_kind(data: bytes) -> Kind:
    """A TIFF that holds sensor data is a RAW: what a TIFF reader would show of it is its thumbnail."""
    if data[8:10] == b"CR":
        return "CR2"
    directories = tiff.directories(data)
    if not directories:
        return "TIFF"
    if directories[0].has(tiff.DNG_VERSION):
        return "DNG"
    if not any(d.is_sensor_data for d in directories):
        return "TIFF"
    maker = directories[0].text(tiff.MAKE).upper()
    return next((kind for name, kind in _MAKERS if maker.startswith(name)), "RAW")
