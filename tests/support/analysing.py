"""The real analyser on a real bus, index and folder, and the words to tell it of files and to hear its answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from services.analyser.service import AnalyserService, Workers
from services.analyser.workers import WorkerPool
from shared.bus.port import Bus
from shared.config import Analysis, Settings
from shared.index.embedded import EmbeddedIndex
from shared.index.port import Index
from shared.messages.base import FileRef, FileStat, Message
from shared.messages.envelope import Envelope
from shared.messages.files import FileGone, FileMoved, FileSettled
from shared.paths import PhotoPath
from tests.support.bus import RunningBus, running_bus
from tests.support.working import at_work

ROOT = "photos"
SOON = 30.0
KNOWN_SINCE = 1_700_000_000.5


@dataclass(kw_only=True)
class Desk:
    """One analyser's surroundings; it runs only inside ``working``."""

    folder: Path
    server: RunningBus
    watcher: Bus
    index: Index
    workers: Workers
    settings: Settings
    _arriving: asyncio.Queue[tuple[Envelope, Message]]
    heard: list[tuple[Envelope, Message]] = field(default_factory=list)

    async def settled(self, name: str | bytes, version: int = 1, *, stat: FileStat | None = None) -> FileSettled:
        """Say that a file has settled, as it is now."""
        path = self.path(name)
        now = stat or self.stat(name)
        event = FileSettled(file=FileRef.of(path), version=version, stat=now, known_since=KNOWN_SINCE)
        await self.watcher.publish(event)
        return event

    async def moved(self, old: str, new: str, version: int = 1, *, stat: FileStat) -> FileMoved:
        event = FileMoved(
            file=FileRef.of(self.path(new)),
            moved_from=FileRef.of(self.path(old)),
            version=version,
            stat=stat,
            known_since=KNOWN_SINCE,
        )
        await self.watcher.publish(event)
        return event

    async def gone(self, name: str, version: int, reason: str = "deleted") -> None:
        await self.watcher.publish(FileGone(file=FileRef.of(self.path(name)), version=version, reason=reason))

    def path(self, name: str | bytes) -> PhotoPath:
        return PhotoPath(ROOT, os.fsencode(name))

    def stat(self, name: str | bytes) -> FileStat:
        s = os.stat(os.path.join(bytes(self.folder), os.fsencode(name)))
        return FileStat(size=s.st_size, mtime_ns=s.st_mtime_ns, ctime_ns=s.st_ctime_ns, dev=s.st_dev, ino=s.st_ino)

    async def hear(self, kind: type[Message]) -> Message:
        """The next message of a kind; others are kept in ``heard``."""
        async with asyncio.timeout(SOON):
            while True:
                envelope, message = await self._arriving.get()
                self.heard.append((envelope, message))
                if isinstance(message, kind):
                    return message

    async def document(self, name: str | bytes):
        file_id = self.path(name).file_id
        return (await self.index.files([file_id])).get(file_id)

    def said(self, kind: type[Message]) -> list[Message]:
        return [message for _, message in self.heard if isinstance(message, kind)]


@contextlib.asynccontextmanager
async def desk(
    tmp_path: Path, *, analysis: Analysis | None = None, workers: Workers | None = None
) -> AsyncIterator[Desk]:
    """``workers``: a stand-in for the processes, where a test needs to hold them."""
    analysis = analysis or Analysis(threads=2)
    folder = tmp_path / "library"
    folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_bus(tmp_path / "bus"))
        index = EmbeddedIndex.open(tmp_path / "index", writable=True, mode=analysis.signature)
        stack.push_async_callback(index.close)
        pool = workers or await stack.enter_async_context(WorkerPool(analysis))
        audit = await server.connect("audit")
        yield Desk(
            folder=folder,
            server=server,
            watcher=await server.connect("watcher"),
            index=index,
            workers=pool,
            settings=Settings(analysis=analysis),
            _arriving=await stack.enter_async_context(
                _queue_of(await audit.following("photosift.sig.>", "photosift.dlq.>"))
            ),
        )


@contextlib.asynccontextmanager
async def _queue_of(
    live: AsyncIterator[tuple[Envelope, Message]],
) -> AsyncIterator[asyncio.Queue[tuple[Envelope, Message]]]:
    """So that one may stop waiting for a message without ending the subscription."""
    queue: asyncio.Queue[tuple[Envelope, Message]] = asyncio.Queue()

    async def pump() -> None:
        async for heard in live:
            queue.put_nowait(heard)

    pumping = asyncio.create_task(pump())
    yield queue
    pumping.cancel()
    await asyncio.wait({pumping})


@contextlib.asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[None]:
    """The analyser at work; asked to stop at the end, as by a signal."""
    service = AnalyserService(
        bus=await desk.server.connect("analyser"),
        index=desk.index,
        workers=desk.workers,
        roots={ROOT: desk.folder},
        settings=desk.settings,
    )
    async with at_work(service):
        yield
