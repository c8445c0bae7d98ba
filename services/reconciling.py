"""After a part of the state folder was lost: what the watcher believes told and the index does not have is told again.

Events are acknowledged by the server, then by the analyser once their result is stored (S18), so snapshot and index can
only differ by what is in the queues, unless somebody deleted or restored a folder. That is what is looked for here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.watcher.snapshot import Snapshot
from shared.bus.jetstream import Steward
from shared.bus.names import ANALYSER_FS
from shared.index.port import Index
from shared.paths import PhotoPath

log = structlog.get_logger()

#: files that are asked for at once
_BATCH = 2_000


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
