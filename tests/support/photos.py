"""Pictures that tests make themselves: distinct scenes by seed, and copies of them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

#: when all pictures of a small library were taken, seconds since the epoch
TAKEN = 1_700_000_000


def scene(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A picture unlike that of any other seed: soft blobs of colour with some fine grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    grain = rng.normal(0, 4, (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.asarray(picture, dtype=np.float64) + grain, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_photo(path: Path, seed: int, *, size: tuple[int, int] = (640, 480), quality: int = 90) -> Path:
    """Write the scene of this seed as JPEG; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(scene(seed).resize(size), quality))
    return path


def small_library(folder: Path, *, scenes: int = 6) -> dict[str, Path]:
    """``scenes`` distinct photos; of the first an exact copy and a half-size one, of the second an exact copy."""
    made = {f"scene-{n}": write_photo(folder / f"{n:03}.jpg", n) for n in range(scenes)}
    made["copy-0"] = folder / "copies" / "000 - Copy.jpg"
    made["copy-0"].parent.mkdir(parents=True, exist_ok=True)
    made["copy-0"].write_bytes(made["scene-0"].read_bytes())
    made["half-0"] = write_photo(folder / "small" / "000.jpg", 0, size=(320, 240))
    made["copy-1"] = folder / "copies" / "001.jpg"
    made["copy-1"].write_bytes(made["scene-1"].read_bytes())
    for path in made.values():  # a copy keeps its time, as `cp -p` and cameras do
        os.utime(path, (TAKEN, TAKEN))
    return made
