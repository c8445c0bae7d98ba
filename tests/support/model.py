"""Photos for the resolver's tests: files with signatures at wished-for distances, without a picture behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from services.resolver.clustering import Bounds
from services.resolver.planning import Policy
from services.resolver.ranking import Candidate, Role, rules_named
from shared.index.port import ContentDoc, FileDoc
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.settings_rules import DEFAULT_RULES
from shared.signature import COMPACT, Signature

RULES = rules_named(DEFAULT_RULES)
FLAT = Signature(bytes(COMPACT))


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def scene(seed: int) -> np.ndarray:
    """A signature of its own: two scenes are about 0.7 apart."""
    return np.random.default_rng(seed).integers(-2, 3, COMPACT).astype(np.int8)


def signature(seed: int, changed: int = 0) -> Signature:
    """A scene with its first ``changed`` values changed by one step each: 8 steps are about 0.06, 30 about 0.12."""
    values = scene(seed).copy()
    values[:changed] += np.where(values[:changed] > 0, -1, 1).astype(np.int8)
    return Signature(values.tobytes())


def candidate(
    name: str | bytes = "a.jpg",
    *,
    content: str | None = None,
    root: str = "photos",
    role: Role = "library",
    pixels: tuple[int, int] = (4_000, 3_000),
    exif: int = 10,
    size: int = 1_000,
    mtime: float = 1_600_000_000.0,
    version: int = 1,
    known_since: float = 0.0,
    doubt: str | None = None,
    distance: float = 0.0,
    ino: int | None = None,
    root_folder: bytes = b"/srv/photos",
) -> Candidate:
    raw = name.encode() if isinstance(name, str) else name
    path = PhotoPath(root, raw)
    return Candidate(
        path=path,
        version=version,
        sha256=sha_of(content or path.file_id),
        stat=FileStat(
            size=size,
            mtime_ns=int(mtime * 1e9),
            ctime_ns=int(mtime * 1e9),
            dev=1,
            ino=int(path.file_id[:12], 16) if ino is None else ino,
        ),
        facts=Facts(format="JPEG", width=pixels[0], height=pixels[1], bytes=size, exif_tags=exif),
        role=role,
        known_since=known_since,
        doubt=doubt,
        root_folder=root_folder,
        distance=distance,
    )


def bounds(max_distance: float = 0.10, *, across_roots: bool = False) -> Bounds:
    return Bounds(max_distance=max_distance, across_roots=across_roots, rules=RULES)


def policy(max_distance: float = 0.10, *, across_roots: bool = False, **changes: object) -> Policy:
    return Policy(bounds=bounds(max_distance, across_roots=across_roots), **changes)  # type: ignore[arg-type]


def document(file: Candidate) -> FileDoc:
    return FileDoc(
        path=file.path,
        version=file.version,
        state="analysed",
        sha256=file.sha256,
        stat=file.stat,
        known_since=file.known_since,
        doubt=file.doubt,
    )


def content(file: Candidate, its_signature: Signature) -> ContentDoc:
    return ContentDoc(sha256=file.sha256, signature=its_signature, facts=file.facts)


def names(files: Iterable[Candidate]) -> list[str]:
    return [file.path.rel.decode() for file in files]
