"""Many small questions to the index as few: what is asked while one is under way is asked in one go after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.index.port import FileDoc, Index

_Answer = asyncio.Future[dict[str, FileDoc]]


class Asking:
    """``Index.files`` for many who each ask for one or two."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._waiting: list[tuple[Sequence[str], _Answer]] = []
        self._asking: asyncio.Task[None] | None = None

    async def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        """As ``Index.files``, and as new. Raises ``IndexUnavailable``."""
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((file_ids, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def finish(self) -> None:
        """Wait for the question that is under way."""
        if self._asking is not None:
            await self._asking

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await self._index.files([each for ids, _ in batch for each in ids])
            except Exception as error:  # noqa: BLE001  given to each who waits
                _answer(batch, error)
            else:
                _answer(batch, found)


def _answer(batch: list[tuple[Sequence[str], _Answer]], said: dict[str, FileDoc] | Exception) -> None:
    for ids, answer in batch:
        if answer.done():  # who asked was cancelled
            continue
        if isinstance(said, Exception):
            answer.set_exception(said)
        else:
            answer.set_result({each: said[each] for each in ids if each in said})
