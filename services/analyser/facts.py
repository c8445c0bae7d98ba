"""[pure] What is known of a content besides its signature: from its picture and its EXIF tags."""

from __future__ import annotations

import re
from fractions import Fraction

from shared.imaging.values import Description, Exif
from shared.messages.analysis import Facts

_MAKE, _MODEL = 271, 272
#: pointers to other directories and padding say nothing of the photo
_NO_TAGS = frozenset({34665, 34853, 40965, 59932, 59933})
#: (date and time, sub-seconds, offset) as taken, then as digitised; 306 is when a program last wrote the file
_TIMES = ((36867, 37521, 36881), (36868, 37522, 36882))
_DATE = re.compile(r"(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d|Z")
_LONGEST_CAMERA = 120


def facts_of(picture: Description, *, size: int, use_exif: bool) -> Facts:
    """``size``: bytes of the file. Without EXIF use no tag counts and neither camera nor time is read."""
    exif = picture.exif if use_exif else Exif()
    return Facts(
        format=picture.format,
        width=picture.width,
        height=picture.height,
        bytes=size,
        exif_tags=tags_of(exif),
        camera=camera_of(exif),
        captured_at=captured_at(exif),
        orientation=picture.orientation,
        frames=picture.frames,
    )


def tags_of(exif: Exif) -> int:
    """How many tags its main, photo and GPS directories hold."""
    return sum(len(tags.keys() - _NO_TAGS) for tags in (exif.main, exif.photo, exif.gps))


def camera_of(exif: Exif) -> str | None:
    """``maker model``; the maker once where the model repeats it."""
    maker, model = _text(exif.main.get(_MAKE)), _text(exif.main.get(_MODEL))
    whole = model if maker and model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()
    return whole[:_LONGEST_CAMERA] or None


def captured_at(exif: Exif) -> str | None:
    """ISO 8601 with sub-seconds and offset where present: ``2019-09-03T19:35:37.042+02:00``; None where unknown."""
    for moment, fraction, offset in _TIMES:
        date = _DATE.match(_text(_first(exif, moment)))
        if date and _is_possible(date.groups()):
            year, month, day, hour, minute, second = date.groups()
            return f"{year}-{month}-{day}T{hour}:{minute}:{second}{_fraction(exif, fraction)}{_offset(exif, offset)}"
    return None


def _first(exif: Exif, tag: int) -> object:
    """Some programs write the photo's tags into the main directory."""
    return exif.photo.get(tag, exif.main.get(tag))


def _is_possible(parts: tuple[str, ...]) -> bool:
    """A camera whose clock was never set writes zeros."""
    year, month, day, hour, minute, second = map(int, parts)
    return year > 0 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60


def _fraction(exif: Exif, tag: int) -> str:
    """The digits as written: 04 is four hundredths, and another time than 040 would be precise to."""
    digits = _text(_first(exif, tag))
    return f".{digits}" if digits.isascii() and digits.isdigit() and len(digits) <= 9 else ""


def _offset(exif: Exif, tag: int) -> str:
    found = _OFFSET.match(_text(_first(exif, tag)))
    return found.group() if found else ""


def _text(value: object) -> str:
    """Text of a tag: up to its first NUL, printable, without spaces around."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, int | Fraction) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value.split("\0")[0]).strip()
