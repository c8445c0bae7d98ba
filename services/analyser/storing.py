"""Many small writes as few: what arrives while one is under way goes into the next, so that a disk that syncs slowly
costs each file a share of one sync and not a whole one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.index.port import ContentDoc, FileDoc, Index

#: how long the first of a batch waits for others, in seconds
_GATHER = 0.002
_MOST = 64


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    file: FileDoc
    content: ContentDoc | None
    #: the version that was there already, or None where this one was written
    answer: asyncio.Future[int | None]


class Storing:
    """``put`` of single documents, gathered into batches."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, file: FileDoc, content: ContentDoc | None = None) -> int | None:
        """Store durably. Returns None, or the equal or newer version that was there and stays (I2).

        Raises ``IndexUnavailable``; what else the index raises for a batch comes to each of it.
        """
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(file=file, content=content, answer=answer))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await answer

    async def finish(self) -> None:
        """Wait for the write that is under way."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        await asyncio.sleep(_GATHER)
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            await self._write_batch(batch)

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        contents = {w.content.sha256: w.content for w in batch if w.content is not None}
        try:
            stored = await self._index.put([w.file for w in batch], list(contents.values()))
        except Exception as error:  # noqa: BLE001  given to each who waits; their handlers retry or dead-letter it
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_result(stored.stale.get(waiting.file.path.file_id))
