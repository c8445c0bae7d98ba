"""Many small questions to the index as few: what is asked while one is under way is asked in one go after it."""

from __future__ import annotations

from collections.abc import Sequence

from services.analyser.gathering import Gathering
from shared.index.port import FileDoc, Index


class Asking:
    """``Index.files`` for many who each ask for one or two."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._gathering = Gathering(self._ask)

    async def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        """As ``Index.files``, and as new. Raises ``IndexUnavailable``."""
        return await self._gathering.ask(file_ids)

    async def finish(self) -> None:
        """Wait for the question that is under way."""
        await self._gathering.finish()

    async def _ask(self, questions: Sequence[Sequence[str]]) -> list[dict[str, FileDoc]]:
        found = await self._index.files([each for ids in questions for each in ids])
        return [{each: found[each] for each in ids if each in found} for ids in questions]
