"""[pure] Is a picture's file whole, by its container's own end and checksums? (S15)

Decoders forgive what an upload in progress looks like: a WebP whose last strip is missing, a TIFF full of zeros where
its data will be. Bytes after the container's own end do not count. A kind that has neither end mark nor checksum
cannot tell; there, zeros at the end of its data are a doubt, and a file in doubt is only ever proposed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from shared.imaging import headers, tiff
from shared.imaging.kinds import RAW_KINDS
from shared.words import counted

#: so many zeros at the end of the data are a doubt: the block in which file systems and uploads leave holes
ZEROS = 4096
ZERO_TAIL = "zero-tail"
#: blocks inside the file were never written
HOLE = "hole"
#: kinds whose data carries checksums: what was never written cannot pass
CHECKSUMMED = frozenset({"PNG"})

_PNG_START, _RIFF_START = 8, 12
_BOXED = frozenset({"HEIF", "AVIF", "JXL", "CR3", "JPEG2000"})
#: boxes that hold coded pixels; bare codestreams of JPEG XL and JPEG 2000
_PIXEL_BOXES = frozenset({b"mdat", b"jxlc", b"jxlp", b"jp2c"})
_KNOWN_BOXES = _PIXEL_BOXES | {
    b"ftyp",
    b"meta",
    b"moov",
    b"moof",
    b"free",
    b"skip",
    b"uuid",
    b"Exif",
    b"xml ",
    b"brob",
    b"jbrd",
}
_BARE = frozenset({b"\xff\x0a", b"\xff\x4f"})


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What the container says of its end."""

    #: the data reaches the container's own end
    complete: bool
    #: why not: ``truncated`` or ``corrupt``
    reason: str | None = None
    #: one sentence for a person
    explanation: str = ""
    #: ``zero-tail``: whole by its structure, but it may be a hole
    doubt: str | None = None


_WHOLE = Ending(complete=True)


def ending_of(data: bytes, kind: str) -> Ending:
    """How a file of this kind ends."""
    if kind in RAW_KINDS and data[:4] in tiff.MAGICS:
        return _tiff(data)
    if kind in _BOXED:
        return _boxes(data, kind)
    return _BY_KIND.get(kind, _no_end_mark)(data)


def _cut(explanation: str) -> Ending:
    return Ending(complete=False, reason="truncated", explanation=explanation)


def _up_to(data: bytes, end: int) -> Ending:
    """Whole; doubtful where the last of its data is zeros."""
    tail = data[max(end - ZEROS, 0) : end]
    return Ending(complete=True, doubt=ZERO_TAIL) if len(tail) == ZEROS and not tail.strip(b"\0") else _WHOLE


def _no_end_mark(data: bytes) -> Ending:
    return _up_to(data, len(data))


def _jpeg(data: bytes) -> Ending:
    """The end mark, somewhere behind the first scan: inside coded pixels it cannot stand.

    Decoders make pixels out of zeros: a fiftieth of a photo missing is decoded without complaint. What follows the
    end (previews, gain maps, a film of the moment) was written later, so it does not matter which end mark this is.
    """
    start = headers.jpeg_scan_start(data)
    if start is None or data.rfind(b"\xff\xd9", start) < 0:
        return _cut("the file ends before its end mark")
    return _WHOLE


def _png(data: bytes) -> Ending:
    """Every chunk with its checksum, up to IEND."""
    view, at = memoryview(data), _PNG_START
    while at + 12 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            shown = name.decode("ascii", "replace")
            return Ending(
                complete=False, reason="corrupt", explanation=f"the checksum of its {shown} chunk does not match"
            )
        if name == b"IEND":
            return _WHOLE
        at = end
    return _cut("the file ends before its IEND chunk")


def _gif(data: bytes) -> Ending:
    """Blocks up to the trailer."""
    at = 13 + _colour_table(data, 10)
    while at < len(data):
        block = data[at]
        if block == 0x3B:
            return _WHOLE
        if block == 0x2C:
            at = _gif_sub_blocks(data, at + 11 + _colour_table(data, at + 9))
        elif block == 0x21:
            at = _gif_sub_blocks(data, at + 2)
        else:
            at += 1  # decoders skip what is no block
    return _cut("the file ends before its trailer")


def _colour_table(data: bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_sub_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _webp(data: bytes) -> Ending:
    """The size that RIFF declares. VP8 has no checksum."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        return _cut(f"the file ends {counted(end - len(data), 'byte')} before the size it declares")
    last = _last_chunk_end(data, end)
    return _cut("its last chunk reaches beyond its end") if last > len(data) else _up_to(data, min(last, end))


def _last_chunk_end(data: bytes, end: int) -> int:
    at = last = _RIFF_START
    while at + 8 <= end:
        last = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        at = last + (last & 1)
    return last


def _bmp(data: bytes) -> Ending:
    """Where the pixels must end: by the size field, and by height and rows where they are not compressed."""
    if len(data) < 54 or int.from_bytes(data[14:18], "little") < 40:
        return _no_end_mark(data)
    start = int.from_bytes(data[10:14], "little")
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    bits, packed = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    size = int.from_bytes(data[34:38], "little")
    pixels = size if packed in (1, 2) else (abs(width) * bits + 31) // 32 * 4 * abs(height)
    end = start + pixels
    if end > len(data):
        return _cut(f"the file ends {counted(end - len(data), 'byte')} before its last row")
    return _up_to(data, end)


def _tiff(data: bytes) -> Ending:
    """Every strip, tile and embedded JPEG of every directory lies inside the file."""
    found = tiff.directories(data)
    if not found or any(d.torn or d.points_beyond for d in found):
        return _cut("a directory lies beyond the end of the file")
    ranges = [r for d in found for r in d.ranges]
    end = max((last for _, last in ranges), default=0)
    if end > len(data):
        return _cut(f"picture data reaches {counted(end - len(data), 'byte')} beyond the end of the file")
    ends = {end, *(d.ranges[-1][1] for d in found if d.ranges)}
    return next((e for e in (_up_to(data, end) for end in sorted(ends)) if e.doubt), _WHOLE)


def _raf(data: bytes) -> Ending:
    """Fujifilm's header names three parts: preview, sensor header, sensor data."""
    parts = [int.from_bytes(data[at : at + 4], "big") for at in range(84, 108, 4)]
    end = max((start + length for start, length in zip(parts[::2], parts[1::2], strict=True)), default=0)
    return _cut("sensor data reaches beyond the end of the file") if end > len(data) else _up_to(data, end or len(data))


def _boxes(data: bytes, kind: str) -> Ending:
    """ISO base media boxes, one after another, each with its size."""
    if data[:2] in _BARE:
        return _codestream(data, kind)
    bodies, seen, at = list[int](), set[bytes](), 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        size = int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size
        size = len(data) - at if size == 0 else size  # up to the end of the file
        if size < 8 or not _is_box(name, seen):  # something else follows the container
            break
        if at + size > len(data):
            missing = counted(at + size - len(data), "byte")
            return _cut(f"its {name.decode('latin-1')} box reaches {missing} beyond the end of the file")
        at += size
        seen.add(name)
        bodies += [at] if name in _PIXEL_BOXES else []
    if not bodies and b"meta" not in seen:  # small pictures may lie in their metadata
        return _cut("the file ends before its picture data")
    endings = [_codestream(data[:end], kind) for end in bodies or [at]]
    return next((e for e in endings if not e.complete or e.doubt), _WHOLE)


def _codestream(data: bytes, kind: str) -> Ending:
    """Coded pixels up to here: JPEG 2000 ends with a mark that cannot stand inside them, the others with none."""
    if kind != "JPEG2000":
        return _no_end_mark(data)
    start = data.find(b"\xff\x93")  # start of data
    return _WHOLE if start >= 0 and data.rfind(b"\xff\xd9", start) >= 0 else _cut("the file ends before its end mark")


def _is_box(name: bytes, seen: set[bytes]) -> bool:
    """Until the pixels have been seen anything may be a box; after them only what containers of pictures hold."""
    return name in _KNOWN_BOXES or (not seen & _PIXEL_BOXES and all(0x20 <= c < 0x7F for c in name))


_BY_KIND: dict[str, Callable[[bytes], Ending]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "RAF": _raf,
}
