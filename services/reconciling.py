"""After a part of the state folder was lost: snapshot and index are brought together again.

Events are acknowledged by the server, then by the analyser once their result is stored (S18), so snapshot and index can
only differ by what is in the queues, unless somebody deleted or restored a folder. That is what is looked for here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.watcher.observing import IDENTITY
from services.watcher.remembering import Note
from services.watcher.roots import ELSEWHERE
from services.watcher.snapshot import Snapshot
from shared.bus.jetstream import Steward
from shared.bus.names import ANALYSER_FS
from shared.index.port import FileDoc, Index
from shared.paths import PhotoPath

log = structlog.get_logger()

#: files that are asked for at once
_BATCH = 2_000


async def reconcile(snapshot: Snapshot, index: Index, steward: Steward | None, roots: Sequence[str]) -> None:
    """Before the eyes open. Without a steward it cannot be told what is still under way, so nothing is told again."""
    await learn_what_the_index_knows(snapshot, index, roots)
    await asyncio.to_thread(snapshot.raise_epoch, await index.highest_version())  # S18
    if steward is not None:
        await tell_again_what_was_lost(snapshot, index, steward, roots)


async def learn_what_the_index_knows(snapshot: Snapshot, index: Index, roots: Sequence[str]) -> int:
    """Where the index is ahead, the snapshot is new or an older one: take over what it lacks (S18); how many files.

    Otherwise a file that went in the meantime would stay in the index for ever.
    """
    if await index.highest_version() <= await asyncio.to_thread(snapshot.highest_version):
        return 0
    learned = 0
    for root in roots:
        if here := await _learn(snapshot, index, root):
            learned += here
            await asyncio.to_thread(_known_by_hearsay, snapshot, root)
    if learned:
        log.warning("bootstrap.files_learned", files=learned, why="the index knows more than the state folder")
    return learned


async def _learn(snapshot: Snapshot, index: Index, root: str) -> int:
    learned, batch = 0, list[FileDoc]()
    async for doc in index.walk(root):
        batch.append(doc)
        if len(batch) == _BATCH:
            learned += await asyncio.to_thread(snapshot.learn, batch)
            batch = []
    return learned + await asyncio.to_thread(snapshot.learn, batch)


def _known_by_hearsay(snapshot: Snapshot, root: str) -> None:
    """A root of which only this is known is recognised by its files, or waits for a person (S14)."""
    if not any(note.rel == b"" for note in snapshot.notes.recall(IDENTITY, root)):
        snapshot.notes.add(IDENTITY, root, [Note(b"", text=ELSEWHERE.to_text())])


async def tell_again_what_was_lost(snapshot: Snapshot, index: Index, steward: Steward, roots: Sequence[str]) -> int:
    """Distrust what the snapshot knows and the index lacks; returns how many. Looks only where there is a sign."""
    if not await _may_be_lost(snapshot, index, steward):
        return 0
    lost = 0
    for root in roots:
        for folder in await asyncio.to_thread(snapshot.folders, root):
            lost += await _distrust_in(snapshot, index, root, folder)
    if lost:
        log.warning("bootstrap.files_told_again", files=lost, why="the index or the bus lost what was said of them")
    return lost


async def _may_be_lost(snapshot: Snapshot, index: Index, steward: Steward) -> bool:
    """Nothing is under way, and yet the bus is new or the index has not seen the last event."""
    if await asyncio.to_thread(snapshot.pending, 1) or await steward.backlog(ANALYSER_FS):
        return False
    behind = await index.highest_version() < await asyncio.to_thread(snapshot.highest_version)
    return behind or await steward.last_seq("FS") == 0


async def _distrust_in(snapshot: Snapshot, index: Index, root: str, folder: bytes) -> int:
    known = list((await asyncio.to_thread(snapshot.known_in, root, folder)).values())
    lost = 0
    for start in range(0, len(known), _BATCH):
        batch = {PhotoPath(root, each.rel): each.version for each in known[start : start + _BATCH]}
        stored = await index.files([path.file_id for path in batch])
        missing = [p for p, version in batch.items() if p.file_id not in stored or stored[p.file_id].version < version]
        await asyncio.to_thread(snapshot.distrust, missing)
        lost += len(missing)
    return lost
