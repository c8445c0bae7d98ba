"""How changes in one root are heard of: inotify where it works, else only passes, more often. (S16)"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from services.watcher.disk.mounts import mount_of
from services.watcher.disk.port import DiskFailure, NotThere
from services.watcher.eyes.looking import AskFolder
from services.watcher.eyes.observer import CannotWatch, Hint, Observer, WatchesExhausted
from services.watcher.eyes.observing import Glance, Place, glance
from services.watcher.eyes.stepping import Unreadable
from shared.config import Watch

log = structlog.get_logger()

#: a polled root is looked at again no sooner than so many times as long as a look takes
_REST = 5


class Listening:
    """The observer of one root, started, renewed and given up as needed. Its methods run in the root's thread."""

    def __init__(self, place: Place, watch: Watch, ask: AskFolder, heard: Callable[[Hint], None]) -> None:
        self._place, self._watch, self._ask, self._heard = place, watch, ask, heard
        self._observer: Observer | None = None
        self._glance: Glance | None = None
        self._exhausted = False
        self._said = ""
        self.polls = watch.observer == "polling"

    async def ensure(self, in_thread: Callable[[Callable[[], None]], Awaitable[Any]]) -> None:
        """Listen to the root as it is now, if that can be done."""
        loop = asyncio.get_running_loop()

        def heard(hint: Hint) -> None:
            loop.call_soon_threadsafe(self._heard, hint)

        await in_thread(lambda: self._ensure(heard))

    def _ensure(self, heard: Callable[[Hint], None]) -> None:
        found = glance(self._place)
        if self._observer is not None and self._observer.is_alive and found == self._glance and not self._exhausted:
            return
        self.end()
        self.polls = self._watch.observer == "polling" or self._exhausted or self._is_far()
        if found is not None and not self.polls:
            self._glance = found
            self._begin(heard)

    def _begin(self, heard: Callable[[Hint], None]) -> None:
        observer = Observer(self._place, self._ask, heard)
        try:
            observer.start()
        except WatchesExhausted as error:
            self.exhausted(error.remedy)
        except (CannotWatch, Unreadable) as error:
            self.polls = True
            if self._said != str(error):
                log.warning("watcher.root_not_watched", root=self._place.name, error=str(error))
            self._said = str(error)
        else:
            self._observer = observer

    def exhausted(self, remedy: str) -> None:
        """The kernel gives out no more watches: from the next pass on the root is polled. Said once."""
        if not self._exhausted:
            log.warning("watcher.watches_exhausted", root=self._place.name, what_now=remedy, until_then="it is polled")
        self.polls = self._exhausted = True

    def _is_far(self) -> bool:
        """On a network file system the kernel hears of this machine's changes only."""
        if self._watch.observer != "auto":
            return False
        try:
            return mount_of(self._place.path).is_network
        except (NotThere, DiskFailure):
            return False

    def end(self) -> None:
        """Listen no more."""
        observer, self._observer, self._glance = self._observer, None, None
        if observer is not None:
            observer.stop()

    def pause(self, unknown: str | None, pass_seconds: float) -> float:
        """Seconds until the next pass is due."""
        if unknown is not None:
            return min(self._watch.rescan_seconds, self._watch.polling_seconds)
        if not self.polls:
            return self._watch.rescan_seconds
        return min(self._watch.rescan_seconds, max(self._watch.polling_seconds, _REST * pass_seconds))
