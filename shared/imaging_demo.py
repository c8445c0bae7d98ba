"""Drawn pictures for the demo library: each number gives another scene; a scene can be written in several ways."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_SIZE = (1200, 800)


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One way to write a scene."""

    #: share of the full size of 1200 x 800
    scale: float = 1.0
    #: JPEG quality; None writes PNG
    quality: int | None = 90
    #: as another programme's "enhance" button would
    brighter: bool = False


def drawn(number: int, how: Rendering) -> bytes:
    """The file's bytes; the same number and rendering always give the same."""
    from PIL import Image, ImageEnhance

    picture = _scene(number)
    if how.brighter:
        picture = ImageEnhance.Brightness(picture).enhance(1.06)
    if how.scale != 1.0:
        size = (round(_SIZE[0] * how.scale), round(_SIZE[1] * how.scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if how.quality is None:
        picture.save(out, "PNG")
    else:
        picture.save(out, "JPEG", quality=how.quality)
    return out.getvalue()


def _scene(number: int) -> Image.Image:
    """A sky, hills and a few houses, placed by the number."""
    from PIL import Image, ImageDraw, ImageFilter

    chance = random.Random(number)
    width, height = _SIZE
    sky = Image.new("RGB", (1, 2))
    sky.putdata([_colour(chance, 90, 250), _colour(chance, 140, 255)])
    picture = sky.resize(_SIZE, Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    _disc(pen, chance)
    for layer in range(3):
        level = height * (0.35 + 0.2 * layer)
        ridge = [(x, level + chance.uniform(-0.13, 0.13) * height) for x in range(0, width + 1, width // 6)]
        pen.polygon([(0, height), *ridge, (width, height)], fill=_colour(chance, 20, 200))
    for _ in range(chance.randint(3, 7)):
        _house(pen, chance)
    return Image.blend(picture, _light(chance), 0.3).filter(ImageFilter.GaussianBlur(1.2))


def _light(chance: random.Random) -> Image.Image:
    """Soft light and shade over everything: no photo has areas of one colour, and a signature tells little of those."""
    from PIL import Image

    patches = Image.frombytes("L", (12, 8), chance.randbytes(12 * 8))
    return patches.resize(_SIZE, Image.Resampling.BICUBIC).convert("RGB")


def _disc(pen: object, chance: random.Random) -> None:
    x, y, r = chance.uniform(100, 1100), chance.uniform(60, 260), chance.uniform(30, 90)
    pen.ellipse((x - r, y - r, x + r, y + r), fill=_colour(chance, 180, 255))  # type: ignore[attr-defined]


def _house(pen: object, chance: random.Random) -> None:
    x, y = chance.uniform(0, 1050), chance.uniform(380, 660)
    w, h = chance.uniform(70, 220), chance.uniform(60, 160)
    pen.rectangle((x, y, x + w, y + h), fill=_colour(chance, 30, 240))  # type: ignore[attr-defined]
    roof = [(x - 12, y), (x + w / 2, y - h / 2), (x + w + 12, y)]
    pen.polygon(roof, fill=_colour(chance, 60, 180))  # type: ignore[attr-defined]


def _colour(chance: random.Random, low: int, high: int) -> tuple[int, int, int]:
    return chance.randint(low, high), chance.randint(low, high), chance.randint(low, high)
