"""What others tell the eyes: the hands, which file they took or put back; the index, which files it alone knows. (S16)

It is looked at like everything else, and told under versions of the eyes' own, so that nobody's word stands alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from services.watcher.known import Facts
from services.watcher.observing import Place
from services.watcher.outbox import Outbox
from services.watcher.snapshot import Snapshot
from services.watcher.stepping import Unreadable
from services.watcher.telling import Change
from shared.paths import PhotoPath


class Hearsay:
    """Part of ``Eyes``. ``unknown``: why nothing is known of a root now, or None (S14)."""

    def __init__(
        self,
        snapshot: Snapshot,
        outbox: Outbox,
        places: Mapping[str, Place],
        unknown: Callable[[str], str | None],
    ) -> None:
        self._snapshot, self._outbox, self._places, self._unknown = snapshot, outbox, places, unknown

    async def taken(self, photo: PhotoPath) -> None:
        """The executor moved this file away."""
        if self._snapshot.known(photo) is not None:
            await self._tell([Change("gone", photo, reason="taken")])

    async def restored(self, photo: PhotoPath) -> None:
        """The executor put this file back."""
        facts = await asyncio.to_thread(self._look_or_none, photo)
        if facts is not None and facts.is_file:
            await self._tell([Change("settled", photo, facts)])

    async def known_elsewhere(self, photos: Sequence[PhotoPath]) -> int:
        """Tell those gone that are neither known here nor there; returns how many.

        A root of which nothing is known now says nothing about them (S14).
        """
        gone = await asyncio.to_thread(lambda: [path for path in photos if self._is_nowhere(path)])
        if gone:
            await self._tell([Change("gone", path, reason="deleted") for path in gone])
        return len(gone)

    async def _tell(self, changes: Sequence[Change]) -> None:
        await asyncio.to_thread(self._snapshot.write, changes)
        await self._outbox.send()

    def _is_nowhere(self, photo: PhotoPath) -> bool:
        if self._snapshot.known(photo) is not None or self._unknown(photo.root) is not None:
            return False
        try:
            facts = self._look(photo)
        except Unreadable:
            return False
        return facts is None or self._places[photo.root].skips_name(photo.rel)

    def _look_or_none(self, photo: PhotoPath) -> Facts | None:
        try:
            return self._look(photo)
        except Unreadable:
            return None

    def _look(self, photo: PhotoPath) -> Facts | None:
        """None: its folder does not list it. Raises ``Unreadable`` where that cannot be told."""
        place = self._places.get(photo.root)
        if place is None:
            raise Unreadable(photo.text)
        with place.open() as tree:
            return tree.look(photo.rel)
