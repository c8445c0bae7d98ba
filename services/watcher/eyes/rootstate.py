"""What the parts of one root's watch share: its place, its thread, what waits, and whether it is recognised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.watcher.disk.mounts import has_fleeting_inodes
from services.watcher.eyes.observing import Glance, Place, RootSight
from services.watcher.eyes.outbox import Outbox
from services.watcher.eyes.passes import Surroundings, root_sentence
from services.watcher.eyes.roots import Shares
from services.watcher.eyes.settling import Moment
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.waitingroom import WaitingRoom
from services.watcher.ignoring import Skip
from shared.clock import Clock
from shared.config import Watch

log = structlog.get_logger()
T = TypeVar("T")

#: both ends of a rename are heard of within this, or the settle time where that is shorter
_GRACE = 1.0


@dataclass(frozen=True, kw_only=True)
class Means:
    """What every root's watch works with."""

    snapshot: Snapshot
    outbox: Outbox
    clock: Clock
    watch: Watch

    @property
    def shares(self) -> Shares:
        return Shares(self.watch.disappearance_share, self.watch.disappearance_floor)


class RootState:
    """Disk and snapshot are touched by the root's own thread alone, so that a dead mount stalls no other root."""

    def __init__(self, place: Place, means: Means, around: Surroundings) -> None:
        self.place, self.means, self.around = place, means, around
        self.room = WaitingRoom(means.watch.settle_seconds)
        #: held by the pass over the whole root that is under way
        self.passing = asyncio.Lock()
        #: a pass is asked for
        self.look_again = asyncio.Event()
        #: something new is in the waiting room
        self.woken = asyncio.Event()
        #: folders left out, as the last pass found them
        self.closed: dict[bytes, Skip] = {}
        #: how the root was observed by the last pass that recognised it
        self.sight: RootSight | None = None
        self.glance: Glance | None = None
        #: why nothing is known of it now (S14)
        self.unknown: str | None = None
        #: files seen by the running, or last, pass
        self.seen = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ThreadPoolExecutor-eyes")

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run blocking work in this root's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    def later(self, call: Callable[[], None]) -> None:
        """The same, without waiting for it."""
        self._worker.submit(call)

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def now(self) -> Moment:
        return Moment(self.means.clock.now(), self.means.clock.monotonic())

    @property
    def grace(self) -> float:
        return min(_GRACE, self.means.watch.settle_seconds)

    @property
    def may_look(self) -> bool:
        """A pass has recognised the root; until then hints wait."""
        return self.unknown is None and self.glance is not None

    def become_unknown(self, reason: str) -> str:
        """Nothing is said about the root until a pass recognises it; said once."""
        if self.unknown != reason:
            log.warning("watcher.root_unknown", root=self.place.name, reason=root_sentence(self.place.name, reason))
        self.unknown, self.glance = reason, None
        return reason

    def ask_for_pass(self) -> None:
        self.look_again.set()
        self.woken.set()


def has_stable_inodes(sight: RootSight | None) -> bool:
    """Whether an inode number is still that file's after the next mount (S8)."""
    mount = sight.mount if sight else None
    return mount is None or not has_fleeting_inodes(mount)
