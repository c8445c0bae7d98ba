"""Documents for the index, places where one can live, and a double of the port that fails on demand."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from shared.index.elastic import Access, ElasticIndex
from shared.index.embedded import EmbeddedIndex, Mode
from shared.index.port import ContentDoc, FileDoc, Index, IndexUnavailable, Neighbours, Stored
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import COMPACT, Signature
from tests.support.elasticsearch import for_tests, remove_indices


def signature_of(seed: int, *, changed: int = 0) -> Signature:
    """A random signature, at about .6 from that of any other seed; ``changed`` of its values are another's."""
    values = np.random.default_rng(seed).integers(-2, 3, COMPACT).astype(np.int8)
    other = np.random.default_rng((seed, changed)).integers(-2, 3, COMPACT).astype(np.int8)
    return Signature(np.where(np.arange(COMPACT) < changed, other, values).tobytes())


def hash_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def content(number: int, *, signature: Signature | None = None) -> ContentDoc:
    facts = Facts(format="JPEG", width=4000 + number, height=3000, bytes=5_000_000 + number, camera="Make Model")
    return ContentDoc(sha256=hash_of(number), signature=signature or signature_of(number), facts=facts)


def photo_file(number: int, *, version: int = 1, of: int | None = None, root: str = "photos") -> FileDoc:
    """An analysed file of the content ``of`` (its own number unless given)."""
    return FileDoc(
        path=PhotoPath(root, f"2024/IMG_{number:06}.jpg".encode()),
        version=version,
        state="analysed",
        sha256=hash_of(number if of is None else of),
        stat=FileStat(size=5_000_000, mtime_ns=1_700_000_000_123_456_789, ctime_ns=2, dev=3, ino=number),
        known_since=1_700_000_000.25,
    )


def batch(numbers: Sequence[int], *, version: int = 1) -> tuple[list[FileDoc], list[ContentDoc]]:
    """Files and their contents, as ``put`` takes them."""
    return [photo_file(n, version=version) for n in numbers], [content(n) for n in numbers]


class Place:
    """Where an index can live, whatever its adapter."""

    async def open(self, *, writable: bool = True, mode: Mode = "canonical") -> Index:
        raise NotImplementedError

    @property
    def words(self) -> tuple[str, ...]:
        """The place, said to another process: ``place_of`` understands it."""
        raise NotImplementedError

    @property
    def process(self) -> list[str]:
        """The command of a process that opens the index here and does as it is told (index_process.py)."""
        return [sys.executable, "-m", "tests.support.index_process", *self.words]

    @contextlib.asynccontextmanager
    async def opened(self, *, writable: bool = True) -> AsyncIterator[Index]:
        index = await self.open(writable=writable)
        try:
            yield index
        finally:
            await index.close()


@dataclass(frozen=True)
class EmbeddedPlace(Place):
    """A folder for an embedded index."""

    folder: Path

    async def open(self, *, writable: bool = True, mode: Mode = "canonical") -> Index:
        return await asyncio.to_thread(EmbeddedIndex.open, self.folder, writable=writable, mode=mode)

    @property
    def words(self) -> tuple[str, ...]:
        return "embedded", str(self.folder)


@dataclass(frozen=True)
class ElasticPlace(Place):
    """Indices with a name of their own on a server."""

    url: str
    name: str

    async def open(self, *, writable: bool = True, mode: Mode = "canonical") -> Index:
        return await ElasticIndex.open(Access.of(self.url, name=self.name), writable=writable, mode=mode, patience=30)

    @property
    def words(self) -> tuple[str, ...]:
        return "elastic", self.url, self.name


@contextlib.contextmanager
def embedded_place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="photosift-index-") as folder:
        yield EmbeddedPlace(Path(folder))


@contextlib.contextmanager
def elastic_place() -> Iterator[ElasticPlace]:
    place = ElasticPlace(for_tests().url, f"test-{uuid4().hex[:12]}")
    try:
        yield place
    finally:
        remove_indices(place.url, place.name)


@contextlib.contextmanager
def elastic_settings() -> Iterator[dict[str, str]]:
    """photosift's settings for indices of a test's own."""
    with elastic_place() as place:
        yield {"index_url": place.url, "index_name": place.name}


def place_of(words: Sequence[str]) -> Place:
    kind, *where = words
    return EmbeddedPlace(Path(where[0])) if kind == "embedded" else ElasticPlace(*where)


class FaultyIndex:
    """The same port over another index; it is down, slow or behind when told to be."""

    def __init__(self, inner: Index) -> None:
        self.inner = inner
        #: every call fails
        self.down = False
        #: every call takes so much longer
        self.delay_seconds = 0.0
        #: ``refresh`` does nothing
        self.stale = False
        #: how often each method was called, failed calls included
        self.calls: Counter[str] = Counter()
        self._failures: list[str | None] = []

    def fail_next(self, times: int = 1, method: str | None = None) -> None:
        """The next calls (of this method) raise ``IndexUnavailable``, before anything is done."""
        self._failures += [method] * times

    async def _pass(self, method: str) -> None:
        self.calls[method] += 1
        await asyncio.sleep(self.delay_seconds)
        for wanted in (method, None):
            if wanted in self._failures:
                self._failures.remove(wanted)
                raise IndexUnavailable(f"told to fail at {method}")
        if self.down:
            raise IndexUnavailable("told to be down")

    async def put(self, files: Sequence[FileDoc], contents: Sequence[ContentDoc] = ()) -> Stored:
        await self._pass("put")
        return await self.inner.put(files, contents)

    async def refresh(self) -> None:
        await self._pass("refresh")
        if not self.stale:
            await self.inner.refresh()

    async def contents(self, hashes: Sequence[str]) -> dict[str, ContentDoc]:
        await self._pass("contents")
        return await self.inner.contents(hashes)

    async def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        await self._pass("files")
        return await self.inner.files(file_ids)

    async def files_of(self, hashes: Sequence[str]) -> dict[str, list[FileDoc]]:
        await self._pass("files_of")
        return await self.inner.files_of(hashes)

    async def neighbours(
        self, queries: Sequence[Signature], max_distance: float, *, limit: int = 10_000
    ) -> list[Neighbours]:
        await self._pass("neighbours")
        return await self.inner.neighbours(queries, max_distance, limit=limit)

    async def walk(self, root: str) -> AsyncIterator[FileDoc]:
        await self._pass("walk")
        async for doc in self.inner.walk(root):
            yield doc

    async def highest_version(self) -> int:
        await self._pass("highest_version")
        return await self.inner.highest_version()

    async def close(self) -> None:
        await self.inner.close()


async def all_of(index: Index, root: str = "photos") -> dict[str, FileDoc]:
    return {doc.path.file_id: doc async for doc in index.walk(root)}


async def say(process: asyncio.subprocess.Process, **command: Any) -> Any:
    """Tell an index process (index_process.py) what to do; its answer."""
    import json

    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(command).encode() + b"\n")
    await process.stdin.drain()
    return json.loads(await process.stdout.readline())
