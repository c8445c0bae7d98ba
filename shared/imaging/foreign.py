"""[pure] Content that photosift does not decode, by name: is a file broken, or only foreign?"""

from __future__ import annotations

from shared.imaging.refusals import NotAPicture, PictureRefused, Unsupported

#: beginnings of pictures in formats that are not decoded here
_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"IIU\0", "a Panasonic RAW (RW2)"),
    (b"IIRO", "an Olympus RAW (ORF)"),
    (b"IIRS", "an Olympus RAW (ORF)"),
    (b"MMOR", "an Olympus RAW (ORF)"),
    (b"FOVb", "a Sigma RAW (X3F)"),
    (b"\0MRM", "a Minolta RAW (MRW)"),
    (b"8BPS\0\2", "a large Photoshop document (PSB)"),
    (b"II\xbc\x01", "a JPEG XR"),
    (b"BPG\xfb", "a BPG"),
    (b"FLIF", "a FLIF"),
    (b"DDS ", "a DirectDraw surface (DDS)"),
    (b"icns", "an Apple icon (ICNS)"),
    (b"SIMPLE  =", "an astronomical picture (FITS)"),
    (b"\x76\x2f\x31\x01", "an OpenEXR"),
    (b"#?RADIANCE", "a Radiance HDR"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"AT&TFORM", "a DjVu"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
)
#: beginnings of what is no picture
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"PK\3\4", "an archive (ZIP)"),
    (b"\x1f\x8b", "an archive (gzip)"),
    (b"Rar!", "an archive (RAR)"),
    (b"7z\xbc\xaf", "an archive (7z)"),
    (b"\x1a\x45\xdf\xa3", "a video (Matroska)"),
    (b"\0\0\1\xba", "a video (MPEG)"),
    (b"FLV\1", "a video (Flash)"),
    (b"ID3", "music (MP3)"),
    (b"fLaC", "music (FLAC)"),
    (b"OggS", "music or a video (Ogg)"),
    (b"SQLite format 3", "a database (SQLite)"),
)
_TEXT_UP_TO = 4096


def refusal_of(data: bytes) -> PictureRefused:
    """For content that is of none of the kinds that are decoded; ``Unsupported`` where it is a picture all the same."""
    picture = next((name for start, name in _PICTURES if data.startswith(start)), None)
    if picture is None and b"<svg" in data[:_TEXT_UP_TO].lower():
        picture = "an SVG drawing"
    if picture is not None:
        return Unsupported(f"It is {picture}.")
    other = _other(data)
    return NotAPicture(f"It is {other}." if other else "")


def _other(data: bytes) -> str | None:
    named = next((name for start, name in _OTHERS if data.startswith(start)), None)
    if named is not None:
        return named
    if data[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "a video (MP4 or QuickTime)"
    if data[:4] == b"RIFF":
        return "a video (AVI)" if data[8:12] == b"AVI " else "sound (WAV)" if data[8:12] == b"WAVE" else None
    if not data.strip(b"\0"):
        return "nothing but zeros"
    return "text" if _is_text(data[:_TEXT_UP_TO]) else None


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # else a letter is cut in two
            return False
        text = start[: error.start].decode("utf-8")
    return text != "" and all(c.isprintable() or c.isspace() for c in text)
