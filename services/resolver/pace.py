"""Searches that follow each other closely wait a moment: more results gather meanwhile, and one search serves them all.

A refresh, a search and a transaction cost about the same for one result as for a hundred, and while a library is
analysed a result comes every few milliseconds. The first after a quiet time waits for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

#: of the time no more than one part in so many goes to searching
_PARTS = 10
#: seconds that results wait for others, at least and at most
SHORTEST = 0.2
LONGEST = 1.0


class Pace:
    """Keeps a distance between pieces of work, by how long they take."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._ended, self._took = float("-inf"), 0.0

    @asynccontextmanager
    async def keeping(self, *, full: bool) -> AsyncIterator[None]:
        """Work inside; ``full``: no more would come along, so it begins at once."""
        left = self._ended + pause_after(self._took) - self._clock()
        if left > 0 and not full:
            await self._sleep(left)
        started = self._clock()
        try:
            yield
        finally:
            self._ended = self._clock()
            self._took = self._ended - started


def pause_after(seconds: float) -> float:
    """[pure] How long to wait after work that took so long."""
    return min(LONGEST, max(SHORTEST, (_PARTS - 1) * seconds))
