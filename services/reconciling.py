"""What the watcher believes told and what the index has, compared where there is a sign that they differ. (S16, S18)

Events are acknowledged by the server, then by the analyser once their result is stored, so the two can only differ by
what is in the queues, unless somebody deleted or restored a part of the state folder, or events were left unread
because their root was not named. Then files are told again that the index lacks, and files are told gone that it has
and nobody else does. Limits that changed make files worth another look that were too much for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from services.watcher.eyes import Eyes
from services.watcher.remembering import Note
from services.watcher.snapshot import Snapshot
from shared.bus.consuming import patiently
from shared.bus.names import ANALYSER_FS
from shared.bus.port import BusUnavailable
from shared.config import Analysis
from shared.index.port import FileDoc, Index
from shared.lifecycle import unless_stopped
from shared.paths import PhotoPath

log = structlog.get_logger()

#: files that are asked for at once
_BATCH = 2_000
#: shelves of the snapshot: roots with events that nobody will read; the limits that files were read within
UNREAD, LIMITS = "unread", "limits"
#: reasons that other limits may remove
LIMITED = frozenset({"too-large", "timeout", "worker-died"})
#: seconds between two looks at the queue
_LOOK_EVERY = 0.5


@dataclass(frozen=True, kw_only=True)
class Reconciling:
    """For the all-in-one, which holds both. ``roots``: the names in the settings."""

    snapshot: Snapshot
    index: Index
    roots: Sequence[str]
    limits: Analysis
    last_fs: Callable[[], Awaitable[int]]
    is_idle: Callable[[str], Awaitable[bool]]

    async def before(self) -> None:
        """Before anything works: nothing new is under way yet."""
        if await asyncio.to_thread(self.snapshot.pending, 1) or not await self.is_idle(ANALYSER_FS):
            await asyncio.to_thread(self._mark_the_unnamed)
        elif await self._all_is_suspect():
            await self._tell_again(self.roots)
        else:
            await self._tell_again([root for root in self.roots if await self._is_marked(root)])
        for root in self.roots:
            await self._look_again_within_other_limits(root)

    async def after(self, eyes: Eyes) -> int:
        """When every root was looked at and every event has its result: how many files are told anew."""
        suspect = [root for root in self.roots if await self._differs(root)]
        told = await self._tell_again(suspect)
        for root in suspect:
            told += await self._forget_what_is_not_there(root, eyes)
        return told

    # --- signs ----------------------------------------------------------------------------------------------------

    async def _all_is_suspect(self) -> bool:
        """The bus is new, or the index has not seen the last event."""
        behind = await self.index.highest_version() < await asyncio.to_thread(self.snapshot.highest_version)
        return behind or await self.last_fs() == 0

    async def _differs(self, root: str) -> bool:
        return await self.index.count(root) != await asyncio.to_thread(self.snapshot.count, root)

    def _mark_the_unnamed(self) -> None:
        """Their events are read now, by an analyser that is not told where they lie."""
        for root in set(self.snapshot.root_names()) - set(self.roots):
            self.snapshot.notes.remember(UNREAD, root, [Note(b"")])

    async def _is_marked(self, root: str) -> bool:
        return bool(await asyncio.to_thread(self.snapshot.notes.recall, UNREAD, root)) or await self._differs(root)

    # --- what is done ---------------------------------------------------------------------------------------------

    async def _tell_again(self, roots: Iterable[str]) -> int:
        """Distrust what the snapshot knows and the index lacks: the next look tells it again."""
        lost = 0
        for root in roots:
            for folder in await asyncio.to_thread(self.snapshot.folders, root):
                lost += await self._distrust_in(root, folder)
            await asyncio.to_thread(self.snapshot.notes.remember, UNREAD, root, ())
        if lost:
            log.warning("bootstrap.files_told_again", files=lost, why="the index or the bus lost what was said of them")
        return lost

    async def _distrust_in(self, root: str, folder: bytes) -> int:
        known = list((await asyncio.to_thread(self.snapshot.known_in, root, folder)).values())
        lost = 0
        for start in range(0, len(known), _BATCH):
            versions = {PhotoPath(root, each.rel): each.version for each in known[start : start + _BATCH]}
            stored = await self.index.files([path.file_id for path in versions])
            missing = [path for path, version in versions.items() if _lacks(stored.get(path.file_id), version)]
            await asyncio.to_thread(self.snapshot.distrust, missing)
            lost += len(missing)
        return lost

    async def _forget_what_is_not_there(self, root: str, eyes: Eyes) -> int:
        """What only the index has was told by a snapshot that is gone."""
        forgotten = 0
        async for some in _in_batches(doc.path async for doc in self.index.walk(root) if doc.state != "gone"):
            forgotten += await eyes.hearsay.known_elsewhere(some)
        if forgotten:
            log.warning("bootstrap.files_forgotten", root=root, files=forgotten, why="only the index knew of them")
        return forgotten

    async def _look_again_within_other_limits(self, root: str) -> None:
        now = f"{self.limits.memory_mb} MB, {self.limits.seconds_per_file} s"
        noted = await asyncio.to_thread(self.snapshot.notes.recall, LIMITS, root)
        if noted and noted[0].name != now:
            refused = (doc.path async for doc in self.index.walk(root) if _was_limited(doc))
            async for some in _in_batches(refused):
                await asyncio.to_thread(self.snapshot.distrust, some)
        await asyncio.to_thread(self.snapshot.notes.remember, LIMITS, root, [Note(b"", now)])


@dataclass(frozen=True, kw_only=True)
class ReconcilingOnce:
    """The part of it that follows the first look of ``run``; a ``lifecycle.Service``."""

    reconciling: Reconciling
    eyes: Eyes

    async def run(self, stop: asyncio.Event) -> None:
        """Once everything of the first look has its result, compare; then only wait."""
        await _first(stop.wait(), self.eyes.first_pass_done.wait())
        while not stop.is_set() and not await self._is_idle(stop):
            await unless_stopped(stop, _LOOK_EVERY)
        if not stop.is_set() and await self.reconciling.after(self.eyes):
            self.eyes.look_again()
        await stop.wait()

    async def _is_idle(self, stop: asyncio.Event) -> bool:
        idle = False

        async def ask() -> None:
            nonlocal idle
            idle = await self.reconciling.is_idle(ANALYSER_FS)

        await patiently(ask, stop=stop, outages=(BusUnavailable,), what="backlog of the analysers")
        return idle


def _lacks(stored: FileDoc | None, version: int) -> bool:
    return stored is None or stored.version < version


def _was_limited(doc: FileDoc) -> bool:
    return doc.state == "unreadable" and doc.reason in LIMITED


async def _in_batches(paths: AsyncIterator[PhotoPath]) -> AsyncIterator[list[PhotoPath]]:
    batch: list[PhotoPath] = []
    async for path in paths:
        batch.append(path)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _first(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
