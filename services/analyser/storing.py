"""Many small writes as few: what arrives while one is under way goes into the next, so that a disk that syncs slowly
costs each file a share of one sync and not a whole one."""

from __future__ import annotations

from collections.abc import Sequence

from services.analyser.gathering import Gathering
from shared.index.port import ContentDoc, FileDoc, Index

#: how long the first of a batch waits for others, in seconds
_GATHER = 0.002
_MOST = 64

_Write = tuple[FileDoc, ContentDoc | None]


class Storing:
    """``put`` of single documents, gathered into batches."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._gathering = Gathering(self._write, linger=_GATHER, most=_MOST)

    async def put(self, file: FileDoc, content: ContentDoc | None = None) -> int | None:
        """Store durably. Returns None, or the equal or newer version that was there and stays (I2).

        Raises ``IndexUnavailable``; what else the index raises for a batch comes to each of it.
        """
        return await self._gathering.ask((file, content))

    async def finish(self) -> None:
        """Wait for the write that is under way."""
        await self._gathering.finish()

    async def _write(self, writes: Sequence[_Write]) -> list[int | None]:
        contents = {content.sha256: content for _, content in writes if content is not None}
        stored = await self._index.put([file for file, _ in writes], list(contents.values()))
        return [stored.stale.get(file.path.file_id) for file, _ in writes]
