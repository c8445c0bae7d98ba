"""How many files may be in hand at once, and how one is worked on alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Gate:
    """At most ``most`` at once; ``alone`` waits until all are through and lets nobody in meanwhile."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places = asyncio.Semaphore(most)
        self._one_alone = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def among_others(self) -> AsyncIterator[None]:
        async with self._places:
            yield

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        taken = 0
        async with self._one_alone:  # two who each hold half of the places would wait for ever
            try:
                while taken < self._most:
                    await self._places.acquire()
                    taken += 1
                yield
            finally:
                for _ in range(taken):
                    self._places.release()
