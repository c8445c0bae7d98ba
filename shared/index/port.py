"""The port to the index, with its guarantees. One contract suite runs against every adapter.

**I1 Visibility** After ``put`` and ``refresh`` every search sees what was put, also from another process. A searcher
that searches only after its own document is visible sees every pair at least once (index.md).
**I2 Fence** A file document replaces an older version only; an equal or newer one stays, and ``put`` says so (S18).
**I3 Content is immutable**: a content put twice stays as it was first stored.
**I4 Exact** Distances are exact (``shared.signature``); a list cut at ``limit`` says ``truncated``, never silently.
**I5 Tombstones** A file that is gone stays as a document of state ``gone``, with its content and stat.
**I6 Crash** What ``put`` has returned survives a crash of the process; derived files are rebuilt when missing or stale.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.errors import PermanentError, TransientError
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import Signature


class IndexUnavailable(TransientError):
    """The index does not answer."""

    code = "index-unavailable"


class IndexMismatch(PermanentError):
    """The index was made with other signature parameters."""

    code = "index-mismatch"


@dataclass(frozen=True, kw_only=True)
class ContentDoc:
    """A content: immutable, known by the hash of its bytes."""

    sha256: str
    signature: Signature
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class FileDoc:
    """A file: a name pointing to a content."""

    path: PhotoPath
    version: int
    state: Literal["analysed", "unreadable", "gone"]
    #: the content; for a tombstone what it had
    sha256: str | None = None
    stat: FileStat | None = None
    #: seconds since the epoch (S15)
    known_since: float = 0.0
    #: for ``unreadable`` and ``gone``: short name
    reason: str | None = None
    #: for ``unreadable``: a sentence for a person
    explanation: str | None = None
    #: why it may only be proposed (S15)
    doubt: str | None = None


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """What lies within the threshold of one query, nearest first."""

    #: (sha256, distance); contains the query's own content where it is in the index
    hits: tuple[tuple[str, float], ...]
    #: more lie within the threshold than the limit let through
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What ``put`` did with the file documents."""

    written: int = 0
    #: file ids for which an equal or newer version was there, with that version (I2)
    stale: Mapping[str, int] = field(default_factory=dict)


class Index(Protocol):
    """What the services may do with the index. ``put`` is the analyser's; the others read."""

    async def put(self, files: Sequence[FileDoc], contents: Sequence[ContentDoc] = ()) -> Stored:
        """Store contents (I3), then files (I2), durably (I6). Raises ``IndexUnavailable``."""

    async def refresh(self) -> None:
        """Make everything put so far, by whomever, visible to searches (I1)."""

    async def contents(self, hashes: Sequence[str]) -> dict[str, ContentDoc]:
        """The contents known under these hashes."""

    async def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        """The file documents under these ids, tombstones included."""

    async def files_of(self, hashes: Sequence[str]) -> dict[str, list[FileDoc]]:
        """The live (``analysed``) files of each content."""

    async def neighbours(
        self, queries: Sequence[Signature], max_distance: float, *, limit: int = 10_000
    ) -> list[Neighbours]:
        """For each query the contents within ``max_distance`` (inclusive), nearest first (I4).

        A featureless query has none.
        """

    def walk(self, root: str) -> AsyncIterator[FileDoc]:
        """All file documents of a root, tombstones included, in no particular order."""

    async def count(self, root: str) -> int:
        """How many files of a root are known, those that are gone left out."""

    async def highest_version(self) -> int:
        """The highest file version in the index; 0 when empty (S18: an older snapshot must start above it)."""

    async def close(self) -> None: ...
