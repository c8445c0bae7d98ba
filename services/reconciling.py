"""What the watcher believes told and what the index has, compared where there is a sign that they differ. (S16, S18)

Events are acknowledged by the server, then by the analyser once their result is stored, so the two can only differ by
what is in the queues, unless somebody deleted or restored a part of the state folder, or events were left unread
because their root was not named. Then what the index lacks is told again, and what it alone knows is learned, to be
told gone if it is. Limits that changed make files worth another look that were too much for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from services.watcher.eyes.observing import IDENTITY
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.roots import ELSEWHERE
from services.watcher.eyes.service import Eyes
from services.watcher.eyes.snapshot import Snapshot
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
class Queues:
    """What the bus says of the way between them."""

    #: sequence of the last file event that was ever stored
    last_event: Callable[[], Awaitable[int]]
    #: whether a consumer's queue is empty
    is_idle: Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class Reconciling:
    """For a process that has both. ``queues``: None where nobody may ask; then nothing is told again."""

    snapshot: Snapshot
    index: Index
    #: the names in the settings
    roots: Sequence[str]
    limits: Analysis
    queues: Queues | None

    async def before(self) -> None:
        """Before anything works: nothing new is under way yet."""
        await self._learn_what_the_index_knows()
        await asyncio.to_thread(self.snapshot.raise_epoch, await self.index.highest_version())  # S18
        if self.queues is not None:
            await self._before(self.queues)
        for root in self.roots:
            await self._look_again_within_other_limits(root)

    async def _before(self, queues: Queues) -> None:
        if await asyncio.to_thread(self.snapshot.pending, 1) or not await queues.is_idle(ANALYSER_FS):
            await asyncio.to_thread(self._mark_the_unnamed)
        elif await self._all_is_suspect(queues):
            await self._tell_again(self.roots)
        else:
            await self._tell_again([root for root in self.roots if await self._is_suspect(root)])

    async def after(self) -> int:
        """When every root was looked at and every event has its result: how many files are to be told again."""
        return await self._tell_again([root for root in self.roots if await self._differs(root)])

    # --- signs ----------------------------------------------------------------------------------------------------

    async def _all_is_suspect(self, queues: Queues) -> bool:
        """The bus is new, or the index has not seen the last event."""
        behind = await self.index.highest_version() < await asyncio.to_thread(self.snapshot.highest_version)
        return behind or await queues.last_event() == 0

    async def _differs(self, root: str) -> bool:
        return await self.index.count(root) != await asyncio.to_thread(self.snapshot.count, root)

    def _mark_the_unnamed(self) -> None:
        """Their events are read now, by an analyser that is not told where they lie."""
        for root in set(self.snapshot.root_names()) - set(self.roots):
            self.snapshot.notes.remember(UNREAD, root, [Note(b"")])

    async def _is_suspect(self, root: str) -> bool:
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
            log.warning("bootstrap.files_told_again", files=lost, why="the index does not have what was said of them")
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

    async def _learn_what_the_index_knows(self) -> None:
        """Where the index is ahead, the snapshot is new or an older one: take over what it lacks (S18).

        Otherwise a file that went in the meantime would stay in the index for ever.
        """
        if await self.index.highest_version() <= await asyncio.to_thread(self.snapshot.highest_version):
            return
        for root in self.roots:
            learned = 0
            async for docs in _in_batches(self.index.walk(root)):
                learned += await asyncio.to_thread(self.snapshot.learn, docs)
            if learned:
                await asyncio.to_thread(self._know_by_hearsay, root)
                why = "the index knows more than the state folder"
                log.warning("bootstrap.files_learned", root=root, files=learned, why=why)

    def _know_by_hearsay(self, root: str) -> None:
        """A root of which only this is known is recognised by its files, or waits for a person (S14)."""
        if not any(note.rel == b"" for note in self.snapshot.notes.recall(IDENTITY, root)):
            self.snapshot.notes.add(IDENTITY, root, [Note(b"", text=ELSEWHERE.to_text())])

    async def _look_again_within_other_limits(self, root: str) -> None:
        now = f"{self.limits.memory_mb} MB, {self.limits.seconds_per_file} s"
        noted = await asyncio.to_thread(self.snapshot.notes.recall, LIMITS, root)
        if noted and noted[0].name != now:
            refused = (doc async for doc in self.index.walk(root) if _was_limited(doc))
            async for docs in _in_batches(refused):
                await asyncio.to_thread(self.snapshot.distrust, [doc.path for doc in docs])
        await asyncio.to_thread(self.snapshot.notes.remember, LIMITS, root, [Note(b"", now)])


@dataclass(frozen=True, kw_only=True)
class ReconcilingOnce:
    """The part of it that follows the first look of ``run``; a ``lifecycle.Service``."""

    reconciling: Reconciling
    eyes: Eyes
    queues: Queues

    async def run(self, stop: asyncio.Event) -> None:
        """Once everything of the first look has its result, compare; then only wait."""
        await _first(stop.wait(), self.eyes.first_pass_done.wait())
        while not stop.is_set() and not await self._is_idle(stop):
            await unless_stopped(stop, _LOOK_EVERY)
        if not stop.is_set() and await self.reconciling.after():
            self.eyes.look_again()
        await stop.wait()

    async def _is_idle(self, stop: asyncio.Event) -> bool:
        idle = False

        async def ask() -> None:
            nonlocal idle
            idle = await self.queues.is_idle(ANALYSER_FS)

        await patiently(ask, stop=stop, outages=(BusUnavailable,), what="backlog of the analysers")
        return idle


def _lacks(stored: FileDoc | None, version: int) -> bool:
    return stored is None or stored.version < version


def _was_limited(doc: FileDoc) -> bool:
    return doc.state == "unreadable" and doc.reason in LIMITED


async def _in_batches(docs: AsyncIterator[FileDoc]) -> AsyncIterator[list[FileDoc]]:
    batch: list[FileDoc] = []
    async for doc in docs:
        batch.append(doc)
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
