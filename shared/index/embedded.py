"""The embedded index: SQLite for documents, an exact scan in this process for neighbours (index.md, ADR 3).

One writer on a folder (flock), any number of readers on the same host, in other processes too. A reader that is shown a
vector file that is not what SQLite says holds that block in memory; a writer puts the file right when it opens.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from shared.errors import UsageError
from shared.index import kernels, scan
from shared.index.documents import PAGE, Documents
from shared.index.port import ContentDoc, FileDoc, IndexUnavailable, Neighbours, Stored
from shared.index.sides import Reader, Writer
from shared.signature import COMPACT, Signature

T = TypeVar("T")
Mode = Literal["canonical", "exact"]
#: of the tables and of the vector file, whose checks are over its order of values and its blocks
FORMAT = "1"


class EmbeddedIndex:
    """An ``Index`` in a folder. Made by ``open``; safe to use from many tasks of one event loop."""

    def __init__(self, reader: Reader, writer: Writer | None, kernel: kernels.Kernel) -> None:
        self._reader = reader
        self._writer = writer
        self._kernel = kernel
        # One thread for each connection; searches one after the other, as each uses every processor.
        self._writes, self._reads, self._searches = (
            ThreadPoolExecutor(1, f"index-{use}") for use in ("put", "get", "find")
        )
        self._helpers = ThreadPoolExecutor(kernel.threads, "index-scan")
        self._closed = False

    @classmethod
    def open(cls, folder: Path, *, writable: bool, mode: Mode) -> EmbeddedIndex:
        """Open the index in the analyser's state folder; blocks while the vector file is checked (bench_index.py).

        A writer makes the index where there is none, and the vector file again where it is not what SQLite says. To a
        reader an index that is not there yet is an empty one. Raises ``IndexMismatch`` (made with other parameters),
        ``IndexUnavailable`` (SQLite, disk), ``StateInUse`` (a second writer).
        """
        parameters = {"format": FORMAT, "mode": mode, "values": str(COMPACT)}
        with translated(), contextlib.ExitStack() as opened:
            writer = Writer(folder, parameters) if writable else None
            if writer is not None:
                opened.callback(writer.close)
            reader = Reader(folder, parameters, writer.blocks if writer else ())
            opened.callback(reader.close)
            index = cls(reader, writer, kernels.choose())
            opened.pop_all()
            return index

    async def put(self, files: Sequence[FileDoc], contents: Sequence[ContentDoc] = ()) -> Stored:
        if self._writer is None:
            raise UsageError("this process opened the index for reading; only the analyser writes")
        return await self._in(self._writes, self._writer.put, files, contents)

    async def refresh(self) -> None:
        await self._in(self._reads, self._reader.refresh)

    async def contents(self, hashes: Sequence[str]) -> dict[str, ContentDoc]:
        return await self._read(lambda documents: documents.contents(hashes), {})

    async def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        return await self._read(lambda documents: documents.files(file_ids), {})

    async def files_of(self, hashes: Sequence[str]) -> dict[str, list[FileDoc]]:
        return await self._read(lambda documents: documents.files_of(hashes), {})

    async def neighbours(
        self, queries: Sequence[Signature], max_distance: float, *, limit: int = 10_000
    ) -> list[Neighbours]:
        found = await self._in(self._searches, self._search, queries, max_distance, limit)
        rows = [row for hits in found for row in hits.rows.tolist()]
        hashes = await self._read(lambda documents: documents.hashes(rows), dict[int, str]())
        if not hashes.keys() >= set(rows):
            raise IndexUnavailable("it was replaced during a search")
        return [_neighbours(hits, hashes) for hits in found]

    async def walk(self, root: str) -> AsyncIterator[FileDoc]:
        page = await self._page(root, "")
        while page:
            for doc in page:
                yield doc
            page = await self._page(root, page[-1].path.file_id) if len(page) == PAGE else []

    async def count(self, root: str) -> int:
        return await self._read(lambda documents: documents.count(root), 0)

    async def highest_version(self) -> int:
        return await self._read(Documents.highest_version, 0)

    async def close(self) -> None:
        """Finish what is under way, then let go. A second call does nothing."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for pool in (self._writes, self._searches, self._reads, self._helpers):
            pool.shutdown()
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def _search(self, queries: Sequence[Signature], max_distance: float, limit: int) -> list[scan.Hits]:
        rows = np.frombuffer(b"".join(query.compact for query in queries), dtype=np.int8).reshape(-1, COMPACT)
        blocks = self._reader.blocks
        return scan.search(blocks, rows, max_distance, limit=limit, kernel=self._kernel, pool=self._helpers)

    async def _page(self, root: str, after: str) -> list[FileDoc]:
        return await self._read(lambda documents: documents.page(root, after), [])

    async def _read(self, question: Callable[[Documents], T], without: T) -> T:
        """The answer of the documents, or ``without`` while there is no index."""

        def ask() -> T:
            documents = self._reader.documents
            return without if documents is None else question(documents)

        return await self._in(self._reads, ask)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
        if self._closed:
            raise IndexUnavailable("it is closed")
        with translated():
            return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def _neighbours(hits: scan.Hits, hashes: dict[int, str]) -> Neighbours:
    pairs = zip(hits.rows.tolist(), hits.distances.tolist(), strict=True)
    return Neighbours(hits=tuple((hashes[row], found) for row, found in pairs), truncated=hits.truncated)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """SQLite's and the disk's errors as ``IndexUnavailable``."""
    try:
        yield
    except sqlite3.Error as error:
        raise IndexUnavailable(f"SQLite: {error}") from error
    except OSError as error:
        raise IndexUnavailable(str(error)) from error
