"""The index on Elasticsearch: the port's promises, kept with its means (index.md, ADR 11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from shared.errors import UsageError
from shared.index.elastic import search
from shared.index.elastic.access import Access
from shared.index.elastic.codec import content_doc, file_doc
from shared.index.elastic.layout import Parameters, parameters_for
from shared.index.elastic.link import Link
from shared.index.elastic.opening import found, make, reach, refuse_missing_rights
from shared.index.elastic.writing import put_contents, put_files
from shared.index.port import ContentDoc, FileDoc, IndexUnavailable, Neighbours, Stored
from shared.signature import Signature

#: contents whose files are asked for at once
HASHES = 500


class ElasticIndex:
    """An ``Index`` on a server. Made by ``open``; safe to use from many tasks of one event loop, by many processes."""

    def __init__(self, link: Link, parameters: Parameters, *, writable: bool) -> None:
        self._link, self._parameters, self._writable = link, parameters, writable
        #: whether the indices were seen: until then a reader's index is an empty one
        self._there = False

    @classmethod
    async def open(cls, access: Access, *, writable: bool, mode: str, patience: float) -> ElasticIndex:
        """Wait for the server, then find the indices; a writer makes them where there are none, or waits for them.

        To a reader an index that is not there yet is an empty one. Raises ``UsageError`` (password, version, rights),
        ``IndexMismatch`` (made with other parameters), ``IndexUnavailable`` (no answer within ``patience`` seconds).
        """
        index = cls(Link(access), parameters_for(mode), writable=writable)
        try:
            await reach(index._link, patience)
            await refuse_missing_rights(index._link, writable=writable)
            if writable:
                await make(index._link, index._parameters, patience)
            await index.refresh()
        except BaseException:
            await index.close()
            raise
        return index

    def complaint(self) -> str | None:
        """What is wrong now, for ``/readyz``."""
        return self._link.complaint()

    async def put(self, files: Sequence[FileDoc], contents: Sequence[ContentDoc] = ()) -> Stored:
        """Contents first: no file points to one that is not there."""
        if not self._writable:
            raise UsageError("this process opened the index for reading; only the analyser writes")
        await put_contents(self._link, contents)
        refused = await put_files(self._link, files)
        stored = await search.by_id(self._link, "files", refused, ["version"])
        if missing := set(refused) - stored.keys():
            raise IndexUnavailable(f"{len(missing)} files conflict with what is not there")
        stale = {file_id: int(source["version"]) for file_id, source in stored.items()}
        return Stored(written=len(files) - len(refused), stale=stale)

    async def refresh(self) -> None:
        """Of contents: what asks for files by anything but their ids refreshes them itself, and a refresh is dear."""
        if await self._is_there():
            await search.refresh(self._link, "contents")

    async def contents(self, hashes: Sequence[str]) -> dict[str, ContentDoc]:
        if not await self._is_there():
            return {}
        found = await search.by_id(self._link, "contents", hashes)
        return {sha256: content_doc(sha256, source) for sha256, source in found.items()}

    async def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        if not await self._is_there():
            return {}
        found = await search.by_id(self._link, "files", file_ids)
        return {file_id: file_doc(source) for file_id, source in found.items()}

    async def files_of(self, hashes: Sequence[str]) -> dict[str, list[FileDoc]]:
        found: dict[str, list[FileDoc]] = {}
        if not hashes or not await self._is_there():
            return found
        await search.refresh(self._link, "files")
        asked = list(dict.fromkeys(hashes))
        for start in range(0, len(asked), HASHES):
            live = [{"term": {"state": "analysed"}}, {"terms": {"sha256": asked[start : start + HASHES]}}]
            async for page in search.files(self._link, {"bool": {"filter": live}}):
                for doc in map(file_doc, page):
                    found.setdefault(doc.sha256 or "", []).append(doc)
        return found

    async def neighbours(
        self, queries: Sequence[Signature], max_distance: float, *, limit: int = 10_000
    ) -> list[Neighbours]:
        if not await self._is_there():
            return [Neighbours(hits=())] * len(queries)
        return await search.neighbours(self._link, queries, max_distance, limit)

    async def walk(self, root: str) -> AsyncIterator[FileDoc]:
        if not await self._is_there():
            return
        await search.refresh(self._link, "files")
        async for page in search.files(self._link, {"term": {"root": root}}):
            for source in page:
                yield file_doc(source)

    async def count(self, root: str) -> int:
        if not await self._is_there():
            return 0
        await search.refresh(self._link, "files")
        live = {"filter": {"term": {"root": root}}, "must_not": {"term": {"state": "gone"}}}
        return await search.count(self._link, "files", {"bool": live})

    async def highest_version(self) -> int:
        if not await self._is_there():
            return 0
        await search.refresh(self._link, "files")
        return await search.highest_version(self._link)

    async def close(self) -> None:
        await asyncio.shield(self._link.close())

    async def _is_there(self) -> bool:
        """Looked at until it is; afterwards one that is gone is an outage: nobody may conclude that photos are gone."""
        if not self._there:
            self._there = await found(self._link, self._parameters)
        return self._there
