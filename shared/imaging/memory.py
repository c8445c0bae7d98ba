"""[pure] How much memory a picture takes to decode, counted before anything is allocated."""

from __future__ import annotations

from shared.imaging.headers import JpegHeader
from shared.imaging.refusals import TooLarge

#: bytes of a pixel as Pillow keeps it
_OWN = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "LA": 4, "PA": 4, "I": 4, "F": 4}
#: bytes of a pixel that turning it into luma adds: the luma, for transparency also alpha and white paper
_TURNING = {"1": 1, "L": 0, "P": 1, "RGB": 1, "CMYK": 5, "HSV": 5, "LAB": 1, "YCbCr": 1}
_TURNING_ALPHA = 3
_TURNING_WIDE = 10
#: bytes of a pixel that the decoder itself holds beside Pillow's picture: planes, a second canvas, wavelet coefficients
_DECODER = {"WEBP": 12, "HEIF": 8, "AVIF": 8, "JXL": 20, "JPEG2000": 16}


def for_picture(kind: str, mode: str, width: int, height: int) -> int:
    """Bytes to decode a picture of a kind other than JPEG at its full size and to turn it into luma."""
    wide = mode in ("I", "F") or mode.startswith("I;")
    turning = _TURNING_WIDE if wide else _TURNING.get(mode, _TURNING_ALPHA)
    return width * height * (_OWN.get(mode, 4) + turning + _DECODER.get(kind, 0))


def for_jpeg(header: JpegHeader, scale: int, bytes_per_pixel: int = 1) -> int:
    """Bytes to decode a JPEG at 1/``scale``: the picture, and all coefficients (2 bytes) where it is progressive."""
    picture = -(-header.width // scale) * -(-header.height // scale) * bytes_per_pixel
    return picture + (header.blocks * 64 * 2 if header.progressive else 0)


def require(needed: int, limit: int, width: int, height: int) -> None:
    """Raises ``TooLarge`` where decoding needs more than ``limit`` bytes."""
    if needed > limit:
        raise TooLarge(f"{width} x {height} pixels need {needed >> 20} MB, at most {limit >> 20} MB are allowed.")


#: bytes of a pixel in ``exact``: Pillow's picture, float64 greys and their differences
EXACT_BYTES = 4 + 3 * 8
