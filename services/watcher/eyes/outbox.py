"""Publishing what the snapshot holds ready, in order, and forgetting it once the server has stored it. (S18)"""

from __future__ import annotations

import asyncio

import structlog

from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.telling import Pending
from shared.bus.consuming import patiently
from shared.bus.names import ANALYSER_FS
from shared.bus.port import Bus
from shared.lifecycle import unless_stopped
from shared.messages.envelope import correlation_of
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled
from shared.telemetry.metrics import FILE_EVENTS

log = structlog.get_logger()

#: a pass pauses while the analysers are this far behind, so that a live upload waits seconds, not hours
LONGEST_BACKLOG = 2_000
_BATCH = 500
_METRIC_NAMES: dict[type[FileEvent], str] = {FileSettled: "settled", FileMoved: "moved", FileGone: "gone"}


class Outbox:
    """One for all roots: what one file goes through is published in the order of its versions."""

    def __init__(self, bus: Bus, snapshot: Snapshot) -> None:
        self._bus, self._snapshot = bus, snapshot
        self._sending = asyncio.Lock()

    async def send(self, stop: asyncio.Event | None = None) -> bool:
        """Publish everything that waits. False when ``stop`` was set before all of it was stored."""
        async with self._sending:
            while pending := await asyncio.to_thread(self._snapshot.pending, _BATCH):
                messages = [one.message for one in pending]
                if not await patiently(lambda m=messages: self._bus.publish_many(m), stop=stop, what="file events"):  # type: ignore[misc]
                    return False
                await asyncio.to_thread(self._snapshot.acknowledged, pending)
                _note(pending)
        return True

    async def until_analysers_follow(self, stop: asyncio.Event | None = None) -> None:
        """Wait while the analysers' backlog is long."""
        pause = stop or asyncio.Event()
        while await self._backlog(stop) > LONGEST_BACKLOG and await unless_stopped(pause, 0.25):
            pass

    async def _backlog(self, stop: asyncio.Event | None) -> int:
        backlog = 0

        async def ask() -> None:
            nonlocal backlog
            backlog = await self._bus.backlog(ANALYSER_FS)

        await patiently(ask, stop=stop, what="backlog of the analysers")
        return backlog


def _note(pending: list[Pending]) -> None:
    """Count and log what was told: here each file's story begins."""
    for message in (one.message for one in pending):
        if isinstance(message, FileEvent):
            kind = _METRIC_NAMES[type(message)]
            FILE_EVENTS.labels(kind).inc()
            path, correlation = message.file.photo.text, correlation_of(message)
            log.info(f"watcher.file_{kind}", path=path, version=message.version, correlation=correlation)
