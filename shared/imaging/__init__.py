"""Decode anything: the one place that knows Pillow and its plugins (pillow-heif, pillow-jxl-plugin) and rawpy.

A picture is known by its content, never by its name. Whatever is wrong with one is said as a ``PictureRefused``
(``refusals``); memory is counted before anything is allocated (``memory``). Light to import: the decoders are
loaded with the first picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.imaging.kinds import extensions
from shared.imaging.refusals import Corrupt, NeedsDecoding, NotAPicture, PictureRefused, TooLarge, Truncated

if TYPE_CHECKING:
    from shared.imaging.values import Description, Picture

__all__ = [
    "Corrupt",
    "NeedsDecoding",
    "NotAPicture",
    "PictureRefused",
    "TooLarge",
    "Truncated",
    "decode_exact_gray",
    "decode_luma",
    "describe",
    "extensions",
]


def decode_luma(data: bytes, *, short_side: int | None, memory_limit: int) -> Picture:
    """The picture as it is shown, in luma.

    ``short_side``: pixels of the short side that it is reduced to by area average; nothing is enlarged; None: as it is.
    ``memory_limit``: bytes that decoding may need. Raises ``PictureRefused``.
    """
    from shared.imaging import decoding

    return decoding.decode_luma(data, short_side=short_side, memory_limit=memory_limit)


def decode_exact_gray(data: bytes, *, memory_limit: int) -> Picture:
    """The picture as image-match's reader gives it: grey of every pixel, not turned. Raises ``PictureRefused``."""
    from shared.imaging import decoding

    return decoding.decode_exact_gray(data, memory_limit=memory_limit)


def describe(data: bytes, *, memory_limit: int) -> Description:
    """What ``decode_exact_gray`` says of a picture besides its pixels, from its headers: no pixel is decoded.

    Raises ``PictureRefused``; ``NeedsDecoding`` for kinds that do not say it without.
    """
    from shared.imaging import decoding

    return decoding.describe(data, memory_limit=memory_limit)
