"""``run``: signals, one task group, drain. A service is anything with ``run(stop)``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class Service(Protocol):
    """A part that works until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then finish what is in hand, let go of everything and return."""


async def run(services: Sequence[Service], stop: asyncio.Event) -> None:
    """Run the services together. When one ends or fails, the others are told to stop; a failure is raised."""
    async with asyncio.TaskGroup() as group:
        for service in services:
            group.create_task(_run_one(service, stop), name=type(service).__name__)


async def _run_one(service: Service, stop: asyncio.Event) -> None:
    try:
        await service.run(stop)
    finally:
        stop.set()


@contextlib.asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process the usual way."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def first(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, first, number)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class Stopped(Exception):
    """``stop`` was set."""


@contextlib.asynccontextmanager
async def ended_by(stop: asyncio.Event) -> AsyncIterator[None]:
    """Cancel what is inside when ``stop`` is set, and raise ``Stopped``: for waiting that knows nothing of it."""
    limit = asyncio.timeout(None)

    async def end() -> None:
        await stop.wait()
        limit.reschedule(asyncio.get_running_loop().time())

    try:
        async with limit:
            ending = asyncio.create_task(end(), name="ended_by")
            try:
                yield
            finally:
                ending.cancel()
    except TimeoutError as error:
        if limit.expired():
            raise Stopped from error
        raise


async def unless_stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; True when the time is over, False when ``stop`` was set first."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return True
    return False
