"""[pure] What headers and decoding give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

_ORIENTATION = 274


@dataclass(frozen=True, kw_only=True)
class Exif:
    """EXIF tags by number, as the file has them."""

    main: Mapping[int, object] = field(default_factory=dict)
    photo: Mapping[int, object] = field(default_factory=dict)
    gps: Mapping[int, object] = field(default_factory=dict)

    @property
    def orientation(self) -> int:
        """1..8; 1 where there is none or nonsense."""
        value = self.main.get(_ORIENTATION)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file says of its picture."""

    #: pixels as it is shown, at its full size (for RAW the sensor's)
    width: int
    height: int
    #: the kind by content: ``JPEG``, ``PNG``, ``HEIF``, ``DNG`` …
    format: str
    #: Pillow's mode as stored: ``RGB``, ``L``, ``I;16`` …
    mode: str
    frames: int
    exif: Exif
    #: EXIF orientation 1..8 that was applied to what is stored
    orientation: int


@dataclass(frozen=True, kw_only=True)
class Picture(Description):
    """A decoded picture and what its file says of it."""

    #: shape (rows, columns), uint8, orientation applied; for ``decode_exact_gray`` float64 or uint8, not turned
    luma: NDArray[Any]
