"""The eyes on real folders, publishing to a real nats-server, with everything they said kept in a list."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.watcher.eyes.service import Eyes
from services.watcher.eyes.snapshot import Snapshot
from shared.bus.names import SUBJECT_FS
from shared.clock import Clock, SystemClock
from shared.config import Root, Settings, Watch
from shared.messages.base import Message
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled, PassFinished
from tests.support.bus import RunningBus, running_bus

#: short, so that tests are quick; long enough for a loaded machine to write two halves of a file within it
SETTLE = 0.4
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".heic", ".dng"})


def write(path: Path, content: bytes = b"photo", *, age: float = 3600.0) -> Path:
    """A file as it looks when it has been there for a while: its times cannot both be set back, so mtime only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    past = time.time() - age
    os.utime(path, (past, past))
    return path


@dataclass(kw_only=True)
class Heard:
    """What was published, in order."""

    messages: list[Message] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: Message) -> None:
        self.messages.append(message)
        self._news.set()

    def of(self, kind: type[Message]) -> list[Any]:
        return [m for m in self.messages if isinstance(m, kind)]

    @property
    def events(self) -> list[str]:
        """``settled a.jpg``, ``moved a.jpg > b.jpg``, ``gone a.jpg deleted``: in order, roots left out."""
        return [_told(m) for m in self.messages if isinstance(m, FileEvent)]

    async def until(self, done: Callable[[Heard], bool], *, within: float = 15.0) -> None:
        deadline = time.monotonic() + within
        while not done(self):
            left = deadline - time.monotonic()
            assert left > 0, f"heard only {self.events}"
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)

    async def until_told(self, *events: str, within: float = 15.0) -> None:
        await self.until(lambda h: set(events) <= set(h.events), within=within)

    async def until_passes(self, count: int, *, within: float = 15.0) -> None:
        await self.until(lambda h: len(h.of(PassFinished)) >= count, within=within)


def _told(message: FileEvent) -> str:
    path = message.file.path if message.file.path_b64 is None else message.file.path_b64
    if isinstance(message, FileMoved):
        return f"moved {message.moved_from.path} > {path}"
    if isinstance(message, FileGone):
        return f"gone {path} {message.reason}"
    assert isinstance(message, FileSettled)
    return f"settled {path}"


@dataclass(kw_only=True)
class Seeing:
    """One pair of eyes after the other on the same state and the same bus."""

    bus: RunningBus
    state: Path
    heard: Heard
    settings: Settings
    clock: Clock = field(default_factory=SystemClock)

    def change(self, **watch: Any) -> None:
        """Other settings for the eyes opened next."""
        self.settings = self.settings.model_copy(update={"watch": self.settings.watch.model_copy(update=watch)})

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Eyes]:
        """Eyes that do nothing yet."""
        snapshot = Snapshot(self.state / "snapshot.sqlite", now=self.clock.now)
        bus = await self.bus.connect("watcher")
        try:
            yield Eyes(
                bus=bus,
                snapshot=snapshot,
                settings=self.settings,
                clock=self.clock,
                extensions=EXTENSIONS,
                private=(self.state,),
            )
        finally:
            snapshot.close()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Eyes]:
        """Eyes that run, their first pass done, and every file of it told of."""
        async with self.opened() as eyes:
            stop = asyncio.Event()
            running = asyncio.create_task(eyes.run(stop))
            try:
                first = asyncio.create_task(eyes.first_pass_done.wait())
                await asyncio.wait({running, first}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
                assert first.done() or running.result() is None
                await _until_settled(eyes)
                yield eyes
            finally:
                stop.set()
                await asyncio.wait_for(running, 20)

    async def scan(self) -> dict[str, PassFinished]:
        """One pass over everything by new eyes, and everything it said heard."""
        async with self.opened() as eyes:
            passes = await eyes.full_pass()
        ids = {p.pass_id for p in passes.values()}
        await self.heard.until(lambda h: ids <= {p.pass_id for p in h.of(PassFinished)})
        return passes


@contextlib.asynccontextmanager
async def seeing(
    tmp_path: Path, roots: Iterable[Path], *, settle: float = SETTLE, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Seeing]:
    """``settings``: of ``Watch``, or of ``Settings`` where it has the name."""
    watch = {"settle_seconds": settle, "polling_seconds": 0.3, "rescan_seconds": 3600.0}
    own = {name: settings.pop(name) for name in list(settings) if name in Settings.model_fields}
    made = Settings(
        roots=tuple(Root(path=root, name=root.name) for root in roots), watch=Watch(**{**watch, **settings}), **own
    )
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    async with running_bus(tmp_path / "bus") as bus:
        audit, heard = await bus.connect("audit"), Heard()
        stream = await audit.following(SUBJECT_FS)
        listening = asyncio.create_task(_listen(stream, heard))
        try:
            yield Seeing(bus=bus, state=state, heard=heard, settings=made, clock=clock or SystemClock())
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening


async def _until_settled(eyes: Eyes) -> None:
    deadline = time.monotonic() + 30
    while eyes.waiting():
        assert time.monotonic() < deadline, f"{eyes.waiting()} still wait"
        await asyncio.sleep(0.02)


async def _listen(stream: AsyncIterator[Any], heard: Heard) -> None:
    async for _, message in stream:
        heard.take(message)
