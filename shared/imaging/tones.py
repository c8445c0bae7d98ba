"""Any of Pillow's modes as luma, and luma reduced and turned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PAPER = 255
_TRANSPARENT = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
#: the first channel of these is luma already
_LUMA_FIRST = frozenset({"YCbCr", "LAB"})
#: depths that pictures in wider containers really have
_DEPTHS = (8, 10, 12, 14, 16)

#: EXIF orientation -> how rows and columns are turned
_TURNS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: a.T[:, ::-1],
    7: lambda a: a.T[::-1, ::-1],
    8: lambda a: a.T[::-1],
}


def luma_of(picture: Image.Image) -> Image.Image:
    """A loaded picture of any mode in mode L; transparency lies on white paper."""
    if picture.mode == "L" and "transparency" not in picture.info:
        return picture
    if picture.mode in _LUMA_FIRST:
        return picture.getchannel(0)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return Image.fromarray(_eight_bits(np.asarray(picture)))
    if picture.mode in _TRANSPARENT or "transparency" in picture.info:
        return _on_paper(picture)
    if picture.mode in ("CMYK", "HSV"):
        return picture.convert("RGB").convert("L")
    return picture.convert("L")


def _on_paper(picture: Image.Image) -> Image.Image:
    whole = picture if picture.mode in ("RGBA", "LA") else picture.convert("LA" if picture.mode == "La" else "RGBA")
    paper = Image.new("L", whole.size, _PAPER)
    paper.paste(whole.convert("L"), mask=whole.getchannel("A"))
    return paper


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Wider greys in 0..255: whole numbers by the depth they use, others from their lowest to their highest."""
    if values.dtype.kind in "ui":
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high < 1 << _DEPTHS[-1]:
            depth = next(bits for bits in _DEPTHS if high < 1 << bits)
            return (values >> (depth - 8)).astype(np.uint8)
    return _stretched(values)


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    finite = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= 255:  # shares of 1, or greys already
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.asarray(np.clip((finite - low) * scale + 0.5, 0, 255), dtype=np.uint8)


def reduced(luma: Image.Image, short_side: int | None, box: tuple[float, float, float, float] | None) -> Image.Image:
    """Luma at ``short_side`` pixels by area average; never enlarged.

    ``box``: the part that is the picture, in (fractions of) pixels: a JPEG decoded at 1/4 ends within a pixel.
    """
    width, height = (box[2], box[3]) if box else luma.size
    if short_side is None or min(width, height) <= short_side:
        return luma
    share = short_side / min(width, height)
    size = (max(short_side, round(width * share)), max(short_side, round(height * share)))
    return luma.resize(size, Image.Resampling.BOX, box=box)


def turned(luma: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """As it is shown, by its EXIF orientation; rows contiguous in memory."""
    turn = _TURNS.get(orientation)
    return luma if turn is None else np.ascontiguousarray(turn(luma))


def swaps_sides(orientation: int) -> bool:
    return orientation in (5, 6, 7, 8)
