"""[pure] What a document of image-match's index is worth: its signature, and what says that it still holds.

Fields: ``path``, ``signature`` (648 numbers), ``timestamp`` (``datetime.now()`` of who wrote it), ``metadata``; in the
last py-image-dedup keeps ``filesize`` and ``file_modification_date``. Source: image-match's ``SignatureES`` and
``make_record``, py-image-dedup's ``ImageSignatureStore``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from shared.errors import UnsafePath
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import FULL, Signature

#: the fields that are read; words and the EXIF tags that py-image-dedup keeps are not
FIELDS = ("path", "signature", "timestamp", "metadata.filesize", "metadata.file_modification_date")
#: seconds; a time of modification went through a float on its way
_SAME_TIME = 2e-6


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """A signature, the file it was computed of, and what that file was then."""

    #: absolute, as the old index has it
    path: bytes
    signature: Signature
    #: bytes, and time of modification in seconds since the epoch; None where nobody noted them
    size: int | None
    mtime: float | None
    #: when it was indexed, in seconds since the epoch; None where nobody noted it
    indexed_at: float | None


@dataclass(frozen=True, kw_only=True)
class Unfit:
    """A document of which nothing can be taken over."""

    #: for people
    path: str
    reason: str
    explanation: str


def inherited(source: Mapping[str, Any]) -> Inherited | Unfit:
    """From the source of a document. Whatever stands in it, nothing is raised."""
    path = source.get("path")
    if not isinstance(path, str) or not path:
        return Unfit(path="(a document without a path)", reason="no-path", explanation="it names no file")
    try:
        signature = _signature(source.get("signature"))
        return Inherited(path=os.fsencode(path), signature=signature, **_then(source))
    except UnicodeEncodeError:
        return Unfit(path=repr(path), reason="no-path", explanation="its path is no name that a file can have")
    except ValueError as error:
        return Unfit(path=path, reason="wrong-signature", explanation=str(error))


def _signature(values: Any) -> Signature:
    """Raises ``ValueError`` for what image-match cannot have made with its standard parameters."""
    if not isinstance(values, list):
        raise ValueError("it has no signature")
    if len(values) != FULL:
        raise ValueError(f"its signature has {len(values)} values, not {FULL}")
    if not all(type(value) is int and -2 <= value <= 2 for value in values):
        raise ValueError("its signature has other values than -2 to 2")
    full = np.array(values, dtype=np.int8)
    signature = Signature.from_full(full)
    if (full[signature.full == 0] != 0).any():
        raise ValueError("its signature is not laid out as image-match's")
    return signature


def _then(source: Mapping[str, Any]) -> dict[str, Any]:
    metadata = source.get("metadata")
    noted = metadata if isinstance(metadata, Mapping) else {}
    size, mtime = noted.get("filesize"), noted.get("file_modification_date")
    return {
        "size": size if type(size) is int else None,
        "mtime": float(mtime) if isinstance(mtime, int | float) else None,
        "indexed_at": _earliest(source.get("timestamp")),
    }


def _earliest(timestamp: Any) -> float | None:
    """A time without a zone is that of this host, or of a container, which has UTC: the earlier of the two."""
    try:
        found = datetime.fromisoformat(timestamp)
        readings = [found] if found.tzinfo else [found, found.replace(tzinfo=UTC)]
        return min(reading.timestamp() for reading in readings)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def why_not_as_it_was(then: Inherited, now: FileStat) -> str | None:
    """Why the file may have other bytes than those that were signed; None where nothing says so.

    Size and time of modification, where they were noted; else nothing of it may be younger than the document, not
    even its change of status, since a copy may bring an older time along.
    """
    if then.size is not None and then.mtime is not None:
        if then.size != now.size:
            return f"it had {then.size} bytes when it was indexed, and has {now.size}"
        if abs(then.mtime - now.mtime_ns / 1e9) > _SAME_TIME:
            return "it was modified since it was indexed"
        return None
    if then.indexed_at is None:
        return "nothing says what it was when it was indexed"
    if max(now.mtime_ns, now.ctime_ns) / 1e9 > then.indexed_at:
        return "it was changed, or put there, after it was indexed"
    return None


def placed(path: bytes, roots: Mapping[str, Sequence[bytes]], moved: Sequence[tuple[bytes, bytes]]) -> PhotoPath | None:
    """Where the file is in our roots; None where it is in none of them.

    ``roots``: the absolute folders of each, under every name they have. ``moved``: (old, new) beginnings of paths, for
    an index that saw the folders elsewhere; the longest that fits counts.
    """
    here = _moved(_plain(path), moved)
    for root, folder in sorted(_folders(roots), key=lambda each: len(each[1]), reverse=True):
        rel = _below(here, folder)
        if rel:
            try:
                return PhotoPath(root, rel)
            except UnsafePath:
                return None
    return None


def _folders(roots: Mapping[str, Sequence[bytes]]) -> list[tuple[str, bytes]]:
    return [(root, _plain(folder)) for root, folders in roots.items() for folder in folders]


def _plain(path: bytes) -> bytes:
    """Without doubled slashes and dots; ``..`` stays and fits nowhere, since a link may stand before it."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    return (b"/" if path.startswith(b"/") else b"") + b"/".join(parts)


def _moved(path: bytes, moved: Sequence[tuple[bytes, bytes]]) -> bytes:
    for old, new in sorted(moved, key=lambda pair: len(pair[0]), reverse=True):
        rel = _below(path, _plain(old))
        if rel is not None:
            return _plain(new + b"/" + rel)
    return path


def _below(path: bytes, folder: bytes) -> bytes | None:
    """The part of ``path`` below ``folder``; None where it is not in there."""
    if path == folder:
        return b""
    start = folder if folder.endswith(b"/") else folder + b"/"
    return path.removeprefix(start) if path.startswith(start) else None
