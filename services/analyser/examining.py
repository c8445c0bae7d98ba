"""One file from its name to its result: read, hashed, checked for its end, decoded, signed; in a worker process."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Literal

from services.analyser import goldberg
from services.analyser.endings import CHECKSUMMED, HOLE, Ending, ending_of
from services.analyser.facts import facts_of
from services.analyser.reading import CannotRead, Reading, read_below
from services.analyser.results import Examined, Refused, Result, Task
from shared.config import Analysis
from shared.imaging import PictureRefused, decode_exact_gray, decode_luma, describe, kinds
from shared.imaging.values import Description, Picture
from shared.signature import Signature

Mode = Literal["canonical", "exact"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The settings that a result depends on."""

    mode: Mode
    use_exif: bool
    #: bytes that one file may take, its own bytes included
    memory_limit: int

    @classmethod
    def of(cls, analysis: Analysis) -> Options:
        return cls(mode=analysis.signature, use_exif=analysis.use_exif, memory_limit=analysis.memory_mb << 20)


def examine(task: Task, options: Options) -> Result:
    """The result for one file. Never raises for what a file may be (S17)."""
    try:
        reading = read_below(task.folder, task.rel, expected=task.expected, longest=options.memory_limit // 2)
    except CannotRead as error:
        return Refused(reason=error.reason, explanation=error.detail, stat=task.expected)
    return _examine_bytes(reading, options, task.signature)


def _examine_bytes(reading: Reading, options: Options, known: Signature | None) -> Result:
    digest = hashlib.sha256(reading.data).hexdigest()
    try:
        return _picture_of(reading, digest, options, known)
    except PictureRefused as error:
        return Refused(reason=error.code, explanation=str(error), sha256=digest, stat=reading.stat)
    except MemoryError:
        limit = f"it needs more than {options.memory_limit >> 20} MB to decode"
        return Refused(reason="too-large", explanation=limit, sha256=digest, stat=reading.stat)


def _picture_of(reading: Reading, digest: str, options: Options, known: Signature | None) -> Result:
    """``known``: the signature that the content is known to have; no pixel is decoded then."""
    ending, limit = _ending(reading.data), options.memory_limit - len(reading.data)
    picture: Description
    if known is None:
        picture, signature = sign(reading.data, options.mode, limit)
    else:
        picture, signature = describe(reading.data, memory_limit=limit), known
    if not ending.complete:  # said after decoding: a file that is no picture at all is said to be that
        return Refused(
            reason=ending.reason or "truncated",
            explanation=ending.explanation,
            sha256=digest,
            stat=reading.stat,
        )
    facts = facts_of(picture, size=len(reading.data), use_exif=options.use_exif)
    return Examined(
        sha256=digest,
        signature=signature,
        facts=facts,
        stat=reading.stat,
        doubt=_doubt(reading, picture.format, ending),
    )


def _doubt(reading: Reading, kind: str, ending: Ending) -> str | None:
    """Zeros where data should be, by the file system or at the end (S15); a checksum that holds rules them out."""
    if reading.has_hole and kind not in CHECKSUMMED:
        return HOLE
    return ending.doubt


def _ending(data: bytes) -> Ending:
    kind = kinds.kind_of(data)
    return ending_of(data, kind) if kind else Ending(complete=True)


def sign(data: bytes, mode: Mode, memory_limit: int) -> tuple[Picture, Signature]:
    """The decoded picture and its signature. Raises ``PictureRefused``."""
    if mode == "exact":
        picture = decode_exact_gray(data, memory_limit=memory_limit)
        return picture, Signature.from_full(goldberg.exact(picture.luma))
    picture = decode_luma(data, short_side=goldberg.CANONICAL_SIDE, memory_limit=memory_limit)
    return picture, Signature.from_full(goldberg.canonical(picture.luma))


def signature_of(path: bytes, mode: Mode, *, memory_limit: int = 1 << 30) -> list[int]:
    """The 648 values for a file named by a person: image-match's form of either signature.

    Raises ``CannotRead`` and ``PictureRefused``. A link in the path is followed: it is the person's own path.
    """
    folder, name = os.path.split(os.path.realpath(path))
    reading = read_below(folder, name, expected=None, longest=memory_limit // 2)
    _, signature = sign(reading.data, mode, memory_limit - len(reading.data))
    return [int(value) for value in signature.full]
