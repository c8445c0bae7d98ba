"""[pure] Sizes from the headers of kinds whose decoders allocate before they can be asked."""

from __future__ import annotations

from dataclasses import dataclass

_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
#: start of frame: every 0xC0..0xCF but DHT, JPG and DAC
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0)) - {0xCC}

#: item properties stand before the pixels, hardly ever beyond this many bytes
_PROPERTIES_WITHIN = 1 << 16


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    """What a JPEG's start of frame says."""

    width: int
    height: int
    #: (horizontal, vertical) sampling of each component
    sampling: tuple[tuple[int, int], ...]
    #: needs the coefficients of the whole picture in memory
    progressive: bool
    #: sensor data inside a RAW
    lossless: bool
    arithmetic: bool

    @property
    def blocks(self) -> int:
        """8x8 blocks of all components, at least."""
        across, down = (max((s[i] for s in self.sampling), default=1) for i in (0, 1))
        share = sum(h * v for h, v in self.sampling) / (across * down)
        return int(self.width * self.height * share / 64)

    def cannot_be_whole(self, coded: int) -> bool:
        """Fewer coded bytes than the picture needs at the very least: a bit for each block (Huffman coding)."""
        return not self.arithmetic and coded < self.blocks // 8


def jpeg_header(data: bytes, start: int = 0) -> JpegHeader | None:
    """The frame header of the JPEG that begins at ``start``; None where there is none before the data."""
    at = start + 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1  # rubbish between segments is allowed for, as decoders do
            continue
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE or marker == 0:
            at += 2
        elif marker in _FRAMES:
            return _frame(data, at, marker)
        elif marker in (0xD9, 0xDA):
            return None
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg_scan_start(data: bytes) -> int | None:
    """Where the first scan's segment begins; coded pixels follow, and no end mark can stand inside them."""
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:
            at += 1
        elif marker == 0xDA:
            return at
        else:
            standalone = marker in _STANDALONE or marker == 0
            at += 2 if standalone else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _frame(data: bytes, at: int, marker: int) -> JpegHeader | None:
    components = data[at + 9] if at + 9 < len(data) else 0
    table = data[at + 10 : at + 10 + 3 * components]
    if len(table) < 3 * components or components == 0:
        return None
    sampling = tuple((max(table[i] >> 4, 1), max(table[i] & 15, 1)) for i in range(1, len(table), 3))
    return JpegHeader(
        height=int.from_bytes(data[at + 5 : at + 7], "big"),
        width=int.from_bytes(data[at + 7 : at + 9], "big"),
        sampling=sampling,
        progressive=marker in _PROGRESSIVE,
        lossless=marker in _LOSSLESS,
        arithmetic=marker in _ARITHMETIC,
    )


#: beginnings of PNG texts that hold EXIF tags, or an orientation
_TELLING_TEXTS = (b"Raw profile type exif", b"XML:com.adobe.xmp")


def png_tells_late(data: bytes) -> bool:
    """Whether tags stand behind a PNG's pixels, where only decoders look."""
    at, in_pixels = 8, False
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        in_pixels |= name == b"IDAT"
        if in_pixels and (name == b"eXIf" or data.startswith(_TELLING_TEXTS, at + 8)):
            return True
        at += 12 + size
    return False


def webp_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a WebP's canvas."""
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def boxes_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of the largest picture that a HEIF or AVIF declares (``ispe`` properties), by its pixels."""
    head, found, at = data[:_PROPERTIES_WITHIN], list[tuple[int, int]](), data.find(b"ispe", 0, _PROPERTIES_WITHIN)
    while at >= 0 and at + 16 <= len(head):
        found.append((int.from_bytes(head[at + 8 : at + 12], "big"), int.from_bytes(head[at + 12 : at + 16], "big")))
        at = head.find(b"ispe", at + 4)
    return max(found, key=lambda size: size[0] * size[1], default=None)


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG XL codestream, bare or in its container (ISO 18181-1, SizeHeader)."""
    start = 0 if data[:2] == b"\xff\x0a" else _jxl_codestream(data)
    if start is None or len(data) < start + 12:
        return None
    bits = _Bits(int.from_bytes(data[start + 2 : start + 12], "little"))
    small = bits.take(1)
    height = (bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1
    ratio = bits.take(3)
    if ratio:
        across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * across // down, height
    return ((bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1), height


class _Bits:
    """Bits, the lowest first."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def _jxl_codestream(data: bytes) -> int | None:
    """Where the codestream begins in a container: in its ``jxlc`` box, or the first ``jxlp`` (after its number)."""
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = at + 8
        if size == 1:
            size, body = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        if name in (b"jxlc", b"jxlp"):
            start = body + (4 if name == b"jxlp" else 0)
            return start if data[start : start + 2] == b"\xff\x0a" else None
        if size < 8:
            return None
        at += size
    return None
