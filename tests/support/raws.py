"""RAW files as far as a reader of previews looks: containers made here, with sensor data of the named kind."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 256, 257
_CFA = 32803
Entry = tuple[int, int, object]
SHORT, LONG, ASCII, BYTE = 3, 4, 2, 1


def jpeg_bytes(picture: Image.Image, *, orientation: int | None = None) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[274] = orientation
    picture.save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def tiff_raw(
    *,
    maker: str,
    sensor: tuple[int, int],
    preview: bytes | None,
    thumbnail: Image.Image,
    orientation: int = 1,
    dng: bool = False,
    cr2: bool = False,
) -> bytes:
    """First directory: an uncompressed thumbnail, as a TIFF reader would show; SubIFDs: preview and sensor data."""
    body = bytearray(16)
    grey = np.asarray(thumbnail.convert("L")).tobytes()
    small_at = _append(body, grey)
    sensor_at = _append(body, bytes(range(1, 256)) * (sensor[0] * sensor[1] * 2 // 255))
    sensor_size = len(body) - sensor_at
    subs = [
        _directory(
            body,
            [
                (WIDTH, LONG, sensor[0]),
                (HEIGHT, LONG, sensor[1]),
                (258, SHORT, 16),
                (259, SHORT, 1),
                (262, SHORT, _CFA),
                (273, LONG, sensor_at),
                (279, LONG, sensor_size),
            ],
        )
    ]
    if preview is not None:
        subs.insert(
            0, _directory(body, [(259, SHORT, 6), (513, LONG, _append(body, preview)), (514, LONG, len(preview))])
        )
    entries: list[Entry] = [
        (254, LONG, 1),
        (WIDTH, LONG, thumbnail.width),
        (HEIGHT, LONG, thumbnail.height),
        (258, SHORT, 8),
        (259, SHORT, 1),
        (262, SHORT, 1),
        (271, ASCII, maker.encode() + b"\0"),
        (272, ASCII, b"Model 7\0"),
        (273, LONG, small_at),
        (274, SHORT, orientation),
        (277, SHORT, 1),
        (279, LONG, len(grey)),
        (330, LONG, tuple(subs)),
    ]
    if dng:
        entries.append((50706, BYTE, (1, 4, 0, 0)))
    first = _directory(body, entries)
    body[:8] = struct.pack("<2sHI", b"II", 42, first)
    if cr2:
        body[8:12] = b"CR\x02\0"
    return bytes(body)


def raf(preview: bytes, sensor: bytes) -> bytes:
    """Fujifilm: a header that names preview, sensor header and sensor data."""
    head = bytearray(160)
    head[:16] = b"FUJIFILMCCD-RAW "
    at = len(head)
    parts = [(at, len(preview)), (at + len(preview), 16), (at + len(preview) + 16, len(sensor))]
    head[84:108] = struct.pack(">6I", *(n for part in parts for n in part))
    return bytes(head) + preview + bytes(16) + sensor


def cr3(preview: bytes, sensor: bytes) -> bytes:
    """Canon: boxes, the preview in one of its own."""
    boxes = [
        (b"ftyp", b"crx \0\0\0\1crx isom"),
        (b"moov", b"trak" * 4),
        (b"uuid", b"PRVW" * 5 + preview),
        (b"mdat", sensor),
    ]
    return b"".join(struct.pack(">I4s", 8 + len(body), name) + body for name, body in boxes)


def _append(body: bytearray, data: bytes) -> int:
    body.extend(bytes(-len(body) % 2))
    at = len(body)
    body.extend(data)
    return at


def _directory(body: bytearray, entries: list[Entry]) -> int:
    packed = [_entry(body, entry) for entry in sorted(entries, key=lambda e: e[0])]
    return _append(body, struct.pack("<H", len(packed)) + b"".join(packed) + bytes(4))


def _entry(body: bytearray, entry: Entry) -> bytes:
    tag, kind, value = entry
    numbers = value if isinstance(value, bytes | tuple) else (value,)
    code = {SHORT: "H", LONG: "I", ASCII: "B", BYTE: "B"}[kind]
    raw = struct.pack(f"<{len(numbers)}{code}", *numbers)
    stored = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", _append(body, raw))
    return struct.pack("<HHI", tag, kind, len(numbers)) + stored
