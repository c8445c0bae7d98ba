"""``run``: signals, one task group, drain. A service is anything with ``run(stop)``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import structlog

from shared.errors import PhotosiftError

log = structlog.get_logger()


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
    """An event that SIGINT and SIGTERM set; a second signal ends the process the usual way.

    What a client's own task fails of, which nobody waits for, goes to the log like everything else.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.set_exception_handler(_say)

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


def _say(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.warning("process.task_failed", what=context.get("message"), error=repr(context.get("exception")))


class Stopped(PhotosiftError):
    """Stopped before it had begun."""

    code = "stopped"


@contextlib.asynccontextmanager
async def given_up_on(stop: asyncio.Event) -> AsyncIterator[None]:
    """What is inside is cancelled when ``stop`` is set: for what waits and knows nothing of it. Raises ``Stopped``."""
    try:
        async with asyncio.timeout(None) as patience:
            hearing = asyncio.create_task(_expire_when(stop, patience))
            try:
                yield
            finally:
                hearing.cancel()
    except TimeoutError:
        if not stop.is_set():
            raise
        raise Stopped from None


async def _expire_when(stop: asyncio.Event, patience: asyncio.Timeout) -> None:
    await stop.wait()
    patience.reschedule(0)


async def unless_stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; True when the time is over, False when ``stop`` was set first."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return True
    return False
