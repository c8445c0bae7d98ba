"""A service at work for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from shared.lifecycle import Service


@contextlib.asynccontextmanager
async def at_work(service: Service) -> AsyncIterator[None]:
    """It is asked to stop at the end, as by a signal, and waited for; what it raises is raised here."""
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
