"""[pure] The directories of a TIFF, as far as needed to know what it holds and where its data ends.

TIFF 6.0, BigTIFF, and the SubIFDs of TIFF/EP and DNG. Never raises for damaged bytes: what cannot be read is absent,
and ``Directory.torn`` says that something pointed beyond the end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

MAGICS = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*"})

WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 256, 257, 259, 262
MAKE, STRIP_OFFSETS, ORIENTATION, STRIP_COUNTS = 271, 273, 274, 279
TILE_OFFSETS, TILE_COUNTS, SUB_DIRECTORIES = 324, 325, 330
JPEG_OFFSET, JPEG_LENGTH, DNG_VERSION = 513, 514, 50706

#: photometric interpretations of sensor data: colour filter array, linear raw
_SENSOR = frozenset({32803, 34892})
_FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
#: a file with more directories than this is read no further
_MOST_DIRECTORIES = 256


@dataclass(frozen=True, kw_only=True)
class Directory:
    """One image file directory: where the values of each tag stand."""

    data: bytes
    order: str
    #: tag -> (type, count, offset of the values)
    entries: dict[int, tuple[int, int, int]]
    #: the directory itself reaches beyond the end of the file
    torn: bool

    def has(self, tag: int) -> bool:
        return tag in self.entries

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of a tag; empty where it is absent, of another type or beyond the end."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        code = _FORMATS.get(kind)
        if code is None or at + count * struct.calcsize(code) > len(self.data):
            return ()
        return struct.unpack_from(f"{self.order}{count}{code}", self.data, at)

    def number(self, tag: int, default: int = 0) -> int:
        return next(iter(self.numbers(tag)), default)

    def text(self, tag: int) -> bytes:
        return bytes(n & 0xFF for n in self.numbers(tag)[:64]).split(b"\0")[0].strip()

    @property
    def is_sensor_data(self) -> bool:
        return self.number(PHOTOMETRIC) in _SENSOR

    @cached_property
    def ranges(self) -> list[tuple[int, int]]:
        """(first, end) of every strip, tile and embedded JPEG, in the order of the picture."""
        found: list[tuple[int, int]] = []
        for offsets, counts in ((STRIP_OFFSETS, STRIP_COUNTS), (TILE_OFFSETS, TILE_COUNTS), (JPEG_OFFSET, JPEG_LENGTH)):
            found += [(o, o + n) for o, n in zip(self.numbers(offsets), self.numbers(counts), strict=False)]
        return found

    @property
    def points_beyond(self) -> bool:
        """Where the values of strips or tiles should stand, the file is already over."""
        return any(
            self.has(tag) and not self.numbers(tag) for tag in (STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS)
        )


def directories(data: bytes) -> list[Directory]:
    """All directories, the main chain first, SubIFDs after; empty where the header leads nowhere."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    first = _unpack(data, order + ("Q" if big else "I"), 8 if big else 4)
    waiting, seen, found = [first[0]] if first else [], set[int](), list[Directory]()
    while waiting and len(found) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at == 0 or at in seen:
            continue
        seen.add(at)
        directory, following = _directory(data, order, big, at)
        found.append(directory)
        waiting += [following, *directory.numbers(SUB_DIRECTORIES)[:16]]
    return found


def _directory(data: bytes, order: str, big: bool, at: int) -> tuple[Directory, int]:
    head, entry, link = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    count = _unpack(data, order + head, at)
    start = at + struct.calcsize(order + head)
    step = struct.calcsize(order + entry)
    entries: dict[int, tuple[int, int, int]] = {}
    number = count[0] if count else 0
    for i in range(min(number, 4096)):
        fields = _unpack(data, order + entry, start + i * step)
        if fields is None:
            break
        entries.setdefault(fields[0], (fields[1], fields[2], _values_at(data, order, big, start + i * step, fields)))
    following = _unpack(data, order + link, start + number * step)
    torn = count is None or start + number * step > len(data)
    return Directory(data=data, order=order, entries=entries, torn=torn), following[0] if following else 0


def _values_at(data: bytes, order: str, big: bool, entry_at: int, fields: tuple[int, ...]) -> int:
    """Where an entry's values stand: in the entry itself where they fit, else where it points to."""
    room = 8 if big else 4
    field_at = entry_at + (12 if big else 8)
    if fields[2] * struct.calcsize(_FORMATS.get(fields[1], "Q")) <= room:
        return field_at
    pointer = _unpack(data, order + ("Q" if big else "I"), field_at)
    return pointer[0] if pointer else len(data) + 1


def _unpack(data: bytes, layout: str, at: int) -> tuple[int, ...] | None:
    if at < 0 or at + struct.calcsize(layout) > len(data):
        return None
    return struct.unpack_from(layout, data, at)
