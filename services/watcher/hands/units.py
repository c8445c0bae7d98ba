"""[pure] Is a file part of a unit? Until units are understood, such a file is never acted on. (S7)

A unit shows itself by its names: beside the file, in the same folder, lies another of the same stem and a different
*kind*. Two files of one kind and one stem (IMG.png beside IMG.jpg is no unit; IMG.jpg beside IMG.jpeg neither).
"""

from __future__ import annotations

from collections.abc import Iterable

_RAW = (
    "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "srf", "raf", "orf", "ori", "rw2", "raw", "rwl", "pef",
    "ptx", "srw", "x3f", "3fr", "fff", "iiq", "mrw", "mos", "mef", "erf", "kdc", "dcr", "gpr",
)  # fmt: skip
_KINDS: dict[str, str] = {
    **dict.fromkeys(_RAW, "RAW"),
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "JPEG"),
    **dict.fromkeys(("heic", "heif", "hif"), "HEIF"),
    **dict.fromkeys(("mov", "mp4", "m4v", "qt", "3gp"), "video"),
    "xmp": "XMP",
    "aae": "AAE",
    "json": "JSON",
}
#: kinds that may stand after the whole name: IMG.jpg.xmp, IMG.jpg.json, IMG.HEIC.supplemental-metadata.json
_SIDECARS = frozenset({"XMP", "AAE", "JSON"})
#: folders in which cameras and programs put the members of one kind, beside or below the others
_FOLDERS = frozenset({"raw", "raws", "jpgs", "jpegs", "video", "videos", "sidecar", "sidecars"})


def kind_of(name: bytes) -> str | None:
    """``RAW``, ``JPEG``, ``HEIF``, ``video``, ``XMP``, ``AAE``, ``JSON``; None for everything else."""
    _, dot, ending = name.rpartition(b".")
    return _KINDS.get(ending.lower().decode("latin-1")) if dot else None


def holds_one_kind(folder: bytes) -> bool:
    """Whether a folder of this name holds one kind of file of units whose others lie elsewhere: ``RAW``, ``JPG``."""
    low = folder.lower().decode("latin-1")
    return low in _FOLDERS or low in _KINDS


def stem_of(name: bytes) -> bytes:
    """The name without its ending, in lower case as far as ASCII goes."""
    stem, dot, _ = name.rpartition(b".")
    return (stem if dot else name).lower()


def part_of_a_unit(name: bytes, siblings: Iterable[bytes]) -> str | None:
    """Why the file belongs to a unit, as a sentence, or None. ``siblings``: the names that its folder lists."""
    kind, stem = kind_of(name), stem_of(name)
    for other in siblings:
        other_kind = kind_of(other)
        if other != name and other_kind and other_kind != kind and _belongs(name, kind, stem, other, other_kind):
            return f"{other_kind} of the same name beside it: {other.decode('utf-8', 'backslashreplace')}"
    return None


def _belongs(name: bytes, kind: str | None, stem: bytes, other: bytes, other_kind: str) -> bool:
    if other_kind in _SIDECARS and _beside_the_whole_name(stem_of(other), name.lower()):
        return True
    if kind in _SIDECARS and _beside_the_whole_name(stem, other.lower()):
        return True
    # a picture of a kind that forms no units (PNG, TIFF) still owns the sidecars of its stem
    return stem_of(other) == stem and (kind is not None or other_kind in _SIDECARS)


def _beside_the_whole_name(sidecar_stem: bytes, name: bytes) -> bool:
    """``img.jpg`` of ``img.jpg.xmp``; Takeout puts more words before its ending, and cuts long names."""
    return sidecar_stem == name or sidecar_stem.startswith(name + b".")
