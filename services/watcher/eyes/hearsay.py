"""What the hands tell the eyes: which file they took or put back. It is told on under versions of the eyes' own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from services.watcher.eyes.known import Facts
from services.watcher.eyes.observing import Place
from services.watcher.eyes.outbox import Outbox
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.eyes.telling import Change
from shared.paths import PhotoPath


class Hearsay:
    """Part of ``Eyes``."""

    def __init__(self, snapshot: Snapshot, outbox: Outbox, places: Mapping[str, Place]) -> None:
        self._snapshot, self._outbox, self._places = snapshot, outbox, places

    async def taken(self, photo: PhotoPath) -> None:
        """The executor moved this file away."""
        if self._snapshot.known(photo) is not None:
            await self._tell([Change("gone", photo, reason="taken")])

    async def restored(self, photo: PhotoPath) -> None:
        """The executor put this file back."""
        facts = await asyncio.to_thread(self._look, photo)
        if facts is not None and facts.is_file:
            await self._tell([Change("settled", photo, facts)])

    async def _tell(self, changes: Sequence[Change]) -> None:
        await asyncio.to_thread(self._snapshot.write, changes)
        await self._outbox.send()

    def _look(self, photo: PhotoPath) -> Facts | None:
        """None also where it cannot be told."""
        place = self._places.get(photo.root)
        if place is None:
            return None
        try:
            with place.open() as tree:
                return tree.look(photo.rel)
        except Unreadable:
            return None
