"""Taking signatures over from an old index: the ``Workers`` of an analyser that decodes nothing.

A file that the old index has, and that is what it was, is read once, hashed and described. Everything else is left
unread: it stays unknown, and the next scan reads it.
"""

from __future__ import annotations

from pathlib import Path

from services.analyser.inheritance import why_not_as_it_was
from services.analyser.oldsignatures import OldSignatures
from services.analyser.results import Left, Refused, Result
from services.analyser.workers import WorkerPool
from shared.messages.base import FileStat
from shared.paths import PhotoPath


class TakingOver:
    """In place of a ``WorkerPool``, which does the reading."""

    def __init__(self, pool: WorkerPool, old: OldSignatures) -> None:
        self._pool, self._old = pool, old

    @property
    def size(self) -> int:
        return self._pool.size

    async def analyse(self, path: PhotoPath, folder: Path, expected: FileStat | None) -> Result | Left:
        """As ``WorkerPool.analyse``; why a file that the old index has was left is noted there."""
        then = self._old.of(path)
        if then is None:
            return Left(because="the old index does not have it")
        if expected is not None and (why := why_not_as_it_was(then, expected)) is not None:
            return self._leave(path, "changed", why)
        result = await self._pool.analyse(path, folder, expected, then.signature)
        if isinstance(result, Refused):
            return self._leave(path, result.reason, result.explanation)
        self._old.take(path)
        return result

    def _leave(self, path: PhotoPath, reason: str, explanation: str) -> Left:
        self._old.leave(path, reason, explanation)
        return Left(because=explanation)
