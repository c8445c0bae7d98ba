"""The eyes of the watcher: every root watched, every change published in the order of its versions. (S14, S16, S18)

A pass compares the disk with the snapshot, hints of the observer make that sooner, and whatever is written into the
snapshot's outbox is published. The hands tell of what they move themselves (``hearsay``).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from services.watcher.eyes import believing
from services.watcher.eyes.hearsay import Hearsay
from services.watcher.eyes.known import Facts
from services.watcher.eyes.observing import IDENTITY, Place
from services.watcher.eyes.outbox import Outbox
from services.watcher.eyes.passes import MANAGED, SKIPPED, Surroundings
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.roots import Top, overlapping, repeated
from services.watcher.eyes.rootstate import Means
from services.watcher.eyes.rootwatch import RootWatch
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.ignoring import Ignoring, compiled, managed_and_not_allowed, normalised
from shared.bus.port import Bus
from shared.clock import Clock
from shared.config import Settings
from shared.errors import PermanentError
from shared.messages.files import PassFinished
from shared.paths import PhotoPath, printable
from shared.words import are

log = structlog.get_logger()

#: folders that a person allowed by name (S24)
ALLOWED = "allowed"


class NoSuchRoot(PermanentError):
    """No root of the settings has this name."""

    code = "no-such-root"


class Skipped(NamedTuple):
    """An entry that is left out, and why."""

    root: str
    rel: bytes
    rule: str
    #: one sentence for a person
    reason: str


class Eyes:
    """See the module. A ``lifecycle.Service``; one instance a process."""

    def __init__(
        self,
        *,
        bus: Bus,
        snapshot: Snapshot,
        settings: Settings,
        clock: Clock,
        extensions: frozenset[str],
        private: Iterable[Path | None] = (),
    ) -> None:
        self._snapshot, self._settings = snapshot, settings
        self._outbox = Outbox(bus, snapshot)
        self._means = Means(snapshot=snapshot, outbox=self._outbox, clock=clock, watch=settings.watch)
        ignoring = _ignoring(settings, extensions, (*private, settings.target, settings.state_dir))
        places = (Place(name=root.name, path=_absolute(root.path), ignoring=ignoring) for root in settings.roots)
        self._places = {place.name: place for place in places}
        self._unknown: dict[str, str] = {}
        #: what the hands tell
        self.hearsay = Hearsay(snapshot, self._outbox, self._places)
        self._judging = threading.Lock()
        self._overlaps: dict[str, str] = {}
        self._watches: dict[str, RootWatch] = {}
        #: set when every root was looked at once
        self.first_pass_done = asyncio.Event()

    # --- passes ---------------------------------------------------------------------------------------------------

    async def full_pass(self, stop: asyncio.Event | None = None) -> dict[str, PassFinished]:
        """Look at every root once, young files waited for; returns when all of it is stored by the server."""
        stop = stop or asyncio.Event()
        await self._open()
        try:
            await self._outbox.send(stop)
            passes = {name: await watch.full_pass(stop, wait=True) for name, watch in self._watches.items()}
        finally:
            await self._close()
        self.first_pass_done.set()
        return passes

    async def run(self, stop: asyncio.Event) -> None:
        """Look at every root, then watch them, and look again from time to time, until told to stop."""
        await self._open()
        done: set[str] = set()
        try:
            await self._outbox.send(stop)
            async with asyncio.TaskGroup() as group:
                for watch in self._watches.values():
                    group.create_task(watch.run(stop, partial(self._one_done, done, watch.place.name)))
                if not self._watches:
                    self.first_pass_done.set()
                    await stop.wait()
        finally:
            await self._close()

    def _one_done(self, done: set[str], name: str) -> None:
        done.add(name)
        if done >= self._watches.keys():
            self.first_pass_done.set()

    async def _open(self) -> None:
        tops = await asyncio.to_thread(self._tops)
        self._overlaps = overlapping(tops)
        for reason in sorted(set(self._overlaps.values())):
            log.warning("watcher.roots_overlap", reason=f"{reason}: nothing is acted on in them (S4)")
        again = repeated(tops)
        for place in self._places.values():
            if place.name not in again:
                self._watches[place.name] = RootWatch(place, self._means, self._around(place, tops))
        await asyncio.to_thread(self._note_repeated, again)

    async def _close(self) -> None:
        watches, self._watches = self._watches, {}
        self._unknown = {name: watch.unknown for name, watch in watches.items() if watch.unknown}
        for watch in watches.values():
            await asyncio.to_thread(watch.close)

    def _tops(self) -> list[Top]:
        for place in self._places.values():
            self._snapshot.register(place.name, os.fsdecode(place.path))
        return [top for place in self._places.values() if (top := place.top()) is not None]

    def _around(self, place: Place, tops: list[Top]) -> Surroundings:
        others = {(top.dev, top.ino): top.name for top in tops if top.name != place.name}
        return Surroundings(other_tops=others, look=self._look, judging=self._judging)

    def _look(self, path: PhotoPath) -> Facts | None:
        """Raises ``Unreadable`` also for a root of which nothing is known (S14)."""
        place, watch = self._places.get(path.root), self._watches.get(path.root)
        if place is None or watch is None or watch.unknown:
            raise Unreadable(path.text)
        with place.open() as tree:
            return tree.look(path.rel)

    def _note_repeated(self, again: dict[str, str]) -> None:
        for name, first in again.items():
            note = Note(b"", "same-file-as", f"the same folder as the root {first}")
            self._snapshot.notes.remember(SKIPPED, name, [note])

    # --- what the hands ask ---------------------------------------------------------------------------------------

    def known_since(self, photo: PhotoPath) -> float | None:
        """Since when this content is known at this place, seconds since the epoch (S15); None: it is not known."""
        known = self._snapshot.known(photo)
        return known.known_since if known else None

    def file_count(self, root: str) -> int:
        return self._snapshot.count(root)

    def doubt(self, root: str) -> str | None:
        """Why nothing may be done in a root now (S4, S14), or None."""
        if unknown := self.unknown(root):
            return unknown
        waiting = believing.held(self._snapshot, root)
        return waiting.sentence if waiting else self._overlaps.get(root)

    def unknown(self, root: str) -> str | None:
        """Why nothing is known of a root now (S14), or None."""
        watch = self._watches.get(root)
        return watch.unknown if watch is not None else self._unknown.get(root)

    def managed_folder(self, photo: PhotoPath) -> bytes | None:
        """The folder around it that another program manages and no person has allowed (S24); ``b""`` is the root.

        By what lies in the root; what lies above it the executor asks the disk about.
        """
        notes = self._snapshot.notes
        marked = {note.rel for note in notes.recall(MANAGED, photo.root)} | self._listed_as_managed(photo.root)
        allowed = {note.rel for note in notes.recall(ALLOWED, photo.root)}
        return managed_and_not_allowed(photo.rel, marked, allowed)

    def _listed_as_managed(self, root: str) -> set[bytes]:
        place = self._places.get(root)
        if place is None:
            return set()
        own = [text.removeprefix(f"{root}:") for text in self._settings.managed_folders if text.startswith(f"{root}:")]
        listed = {os.fsencode(rel.strip("/")) for rel in own}
        for text in self._settings.managed_folders:
            absolute = os.fsencode(os.path.expanduser(text)).rstrip(b"/")
            if absolute == place.path or absolute.startswith(place.path + b"/"):
                listed.add(absolute[len(place.path) + 1 :])
        return listed

    async def allow(self, root: str, folder: bytes) -> None:
        """A person allows acting inside a folder that another program manages (S24)."""
        await asyncio.to_thread(self._snapshot.notes.add, ALLOWED, root, [Note(folder)])

    def look_again(self) -> None:
        """Something may have been missed: a pass over every root, soon."""
        for watch in self._watches.values():
            watch.look_again()

    # --- what a person says ---------------------------------------------------------------------------------------

    async def confirm_disappearances(self, root: str | None) -> str:
        """Believe that the files that vanished at once are gone (S14): looks again, then tells. Returns a sentence.

        Raises ``NoSuchRoot``.
        """
        names = [self._named(root)] if root else list(self._places)
        confirmed = {name: await asyncio.to_thread(believing.confirm, self._snapshot, name) for name in names}
        waiting = {name: held for name, held in confirmed.items() if held is not None}
        if not waiting:
            return "no disappearances are waiting"
        for name in waiting:
            if (watch := self._watches.get(name)) is not None:
                await watch.full_pass(asyncio.Event(), wait=False)
        left = [name for name in waiting if await asyncio.to_thread(believing.held, self._snapshot, name)]
        count = sum(held.count for name, held in waiting.items() if name not in left)
        gone = f"{are(count, 'file')} gone"
        if not left:
            return f"{gone}, and no longer known"
        return f"{gone}; {', '.join(map(printable, left))}: told at the next look"

    async def adopt(self, root: str) -> None:
        """Believe that the root, as it is now, is the root (S14). Raises ``NoSuchRoot``."""
        await asyncio.to_thread(self._snapshot.notes.remember, IDENTITY, self._named(root), ())
        if (watch := self._watches.get(root)) is not None:
            await watch.full_pass(asyncio.Event(), wait=False)

    def _named(self, root: str) -> str:
        if root not in self._places:
            raise NoSuchRoot(printable(root))
        return root

    # --- reports --------------------------------------------------------------------------------------------------

    def skipped(self, root: str | None = None) -> list[Skipped]:
        """What the last pass left out, by which rule."""
        names = [root] if root else list(self._places)
        return [Skipped(name, *note) for name in names for note in self._snapshot.notes.recall(SKIPPED, name)]

    def progress(self) -> dict[str, int]:
        """Files seen by the running pass, by root."""
        return {name: watch.seen for name, watch in self._watches.items()}

    def waiting(self) -> int:
        """How many files and folders have not been quiet for long enough, or are looked at right now."""
        return sum(watch.waiting for watch in self._watches.values())

    def complaint(self) -> str | None:
        """What a person should know, in one line, or None."""
        doubts = ((name, self.doubt(name)) for name in self._places)
        return "; ".join(f"{printable(name)}: {doubt}" for name, doubt in doubts if doubt) or None


def _absolute(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path.expanduser()))


def _ignoring(settings: Settings, extensions: frozenset[str], private: Iterable[Path | None]) -> Ignoring:
    own = {_absolute(path) for path in private if path is not None}
    return Ignoring(
        extensions=normalised(settings.watch.extensions or extensions),
        exclusions=compiled(settings.watch.exclusions),
        recursive=settings.watch.recursive,
        private=frozenset(own | {os.path.realpath(path) for path in own}),
    )
