"""One root, seen: passes over it, and between them hints, until told to stop. (S14, S16)"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.watcher import believing
from services.watcher.believing import note_believed, tell_missing
from services.watcher.birth import Facts
from services.watcher.ignoring import STILL_WRITTEN, Skip
from services.watcher.listening import Listening
from services.watcher.looking import Unreadable
from services.watcher.looks import Looked, Looks
from services.watcher.mounts import has_fleeting_inodes
from services.watcher.observer import Hint
from services.watcher.observing import IDENTITY, Glance, Place, RootSight, glance, observe
from services.watcher.outbox import Outbox
from services.watcher.passes import MANAGED, SKIPPED, Pass, Surroundings, Tally, look_of, root_sentence
from services.watcher.remembering import Note
from services.watcher.roots import Shares, Unknown
from services.watcher.settling import Moment
from services.watcher.snapshot import Snapshot
from services.watcher.waitingroom import WaitingRoom
from shared.clock import Clock
from shared.config import Watch
from shared.lifecycle import unless_stopped
from shared.messages.files import PassFinished
from shared.telemetry.metrics import FILES

log = structlog.get_logger()
T = TypeVar("T")

#: a file that is written to all the time is waited for so many settle times, at least so many seconds
_PATIENCE, _PATIENCE_SECONDS = 12, 60.0
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


class RootWatch:
    """Eyes on one root. Disk and snapshot are touched by its own thread alone, so that a dead mount stalls no other."""

    def __init__(self, place: Place, means: Means, around: Surroundings) -> None:
        self.place, self._means, self._around = place, means, around
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ThreadPoolExecutor-eyes")
        self._passing = asyncio.Lock()
        self._room = WaitingRoom(means.watch.settle_seconds)
        self._look_again = asyncio.Event()
        self._woken = asyncio.Event()
        self._closed: dict[bytes, Skip] = {}
        self._glance: Glance | None = None
        self._sight: RootSight | None = None
        self.unknown: str | None = None
        self._looking = 0
        self.seen = 0
        self.pass_seconds = 0.0

    @property
    def waiting(self) -> int:
        """Files and folders to be looked at again, and the look that is under way."""
        return len(self._room) + self._looking

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run blocking work in this root's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _now(self) -> Moment:
        return Moment(self._means.clock.now(), self._means.clock.monotonic())

    @property
    def _grace(self) -> float:
        return min(_GRACE, self._means.watch.settle_seconds)

    # --- a pass ---------------------------------------------------------------------------------------------------

    async def full_pass(self, stop: asyncio.Event, *, wait: bool) -> PassFinished:
        """Look at everything; ``wait``: also wait for young files to settle. Returns when all of it is stored."""
        async with self._passing:
            began = self._now()
            self._look_again.clear()
            sight = await self.in_thread(lambda: observe(self.place, self._means.snapshot))
            if isinstance(sight.verdict, Unknown):
                return await self._finish(self._become_unknown(sight.verdict.reason), Tally(), stop)
            unknown, tally = await self._look_through(sight, (b"",), stop, wait=wait)
            if stop.is_set():
                return self._finished("stopped before its end", tally)
            self.pass_seconds = self._now().steady - began.steady - tally.waited
            return await self._finish(unknown, tally, stop)

    def _become_unknown(self, reason: str) -> str:
        if self.unknown != reason:
            log.warning("watcher.root_unknown", root=self.place.name, reason=root_sentence(self.place.name, reason))
        self.unknown = reason
        self._glance = None
        return reason

    async def _finish(self, unknown: str | None, tally: Tally, stop: asyncio.Event) -> PassFinished:
        finished = self._finished(unknown, tally)
        await self.in_thread(lambda: self._means.snapshot.write_pass(finished))
        await self._means.outbox.send(stop)
        FILES.labels(self.place.name).set(await self.in_thread(lambda: self._means.snapshot.count(self.place.name)))
        return finished

    def _finished(self, unknown: str | None, tally: Tally) -> PassFinished:
        return PassFinished(
            root=self.place.name,
            pass_id=uuid.uuid4().hex,
            files=tally.files,
            published=tally.published,
            skipped=tally.skipped,
            gone=tally.gone,
            waited=round(tally.waited, 3),
            unknown=unknown,
        )

    async def _look_through(
        self, sight: RootSight, starts: tuple[bytes, ...], stop: asyncio.Event, *, wait: bool
    ) -> tuple[str | None, Tally]:
        """Why nothing can be said after all, or None; and what was counted."""
        look = self._pass(sight, starts)
        try:
            await self._step_through(look, stop)
            again = await self.in_thread(lambda: observe(self.place, self._means.snapshot))
        except Unreadable as error:
            return self._become_unknown(error.detail), look.tally
        if not sight.agrees_with(again):  # S14
            await self.in_thread(lambda: self._means.snapshot.missing.forget(self.place.name))
            return self._become_unknown("it changed while it was looked at"), look.tally
        if not stop.is_set():
            await self._conclude(look, sight, stop, wait=wait)
        return None, look.tally

    def _pass(self, sight: RootSight, starts: tuple[bytes, ...]) -> Pass:
        return Pass(
            self.place,
            self._means.snapshot,
            self._around,
            now=self._now(),
            settle=self._means.watch.settle_seconds,
            unknown_folders=sight.unknown_folders,
            stable_inodes=_has_stable_inodes(sight),
            starts=starts,
        )

    async def _step_through(self, look: Pass, stop: asyncio.Event) -> None:
        steps = look.steps()
        try:
            while await self.in_thread(lambda: next(steps, True)) is None:
                self.seen = look.tally.files
                if not await self._means.outbox.send(stop) or stop.is_set():
                    return
                await self._means.outbox.until_analysers_follow(stop)
        finally:
            await self.in_thread(steps.close)

    async def _conclude(self, look: Pass, sight: RootSight, stop: asyncio.Event, *, wait: bool) -> None:
        now = self._now()
        for rel, facts in look.young.items():
            self._room.admit(rel, look_of(facts), now)
        self._woken.set()
        if look.is_full:
            self._closed, self._sight, self.unknown = look.closed, sight, None
            self._glance = await self.in_thread(lambda: glance(self.place))
            await self.in_thread(lambda: self._remember(sight))
        if wait and look.young:
            await self._wait_for_young(look, stop)
        if look.is_full or not self._passing.locked():  # else the pass that is under way decides about all of it
            await self._believe(look.tally, whole_root=look.is_full)
        await self._means.outbox.send(stop)

    def _remember(self, sight: RootSight) -> None:
        """What is unknown now stays remembered as it was known."""
        notes, unknown = self._means.snapshot.notes, sight.unknown_folders
        kept = [note for note in notes.recall(IDENTITY, self.place.name) if note.rel in unknown]
        found = [Note(rel, text=one.to_text()) for rel, one in sight.identities.items() if rel not in unknown]
        notes.remember(IDENTITY, self.place.name, [*kept, *found])

    async def _wait_for_young(self, look: Pass, stop: asyncio.Event) -> None:
        """Until every young file of the pass has settled, or time is up for those that never do."""
        began = self._now().steady
        patience = max(_PATIENCE_SECONDS, _PATIENCE * self._means.watch.settle_seconds)
        while (left := look.young.keys() & self._room.files) and self._now().steady - began < patience:
            if not await unless_stopped(stop, max(0.01, (self._room.next_due() or 0.0) - self._now().steady)):
                return
            tally = await self.look_at_due(stop)
            look.tally.published += tally.published
            look.tally.gone += tally.gone
            look.tally.skipped += tally.skipped
            look.tally.files -= tally.skipped
        look.tally.waited = self._now().steady - began
        if left:
            await self.in_thread(lambda: self._give_up(left))
            look.tally.skipped += len(left)

    def _give_up(self, files: set[bytes]) -> None:
        notes = [Note(rel, STILL_WRITTEN, "it was being written all the time") for rel in sorted(files)]
        self._means.snapshot.notes.add(SKIPPED, self.place.name, notes)
        self._room.give_up(files)

    async def _believe(self, tally: Tally, *, whole_root: bool) -> None:
        """Tell of files that are gone, as far as that is believed (S14)."""
        snapshot, name = self._means.snapshot, self.place.name
        told = [await self._tell("ignored")]
        waited = await self.in_thread(lambda: believing.held(snapshot, name))
        now, shares = self._means.clock.now(), self._means.shares
        if await self.in_thread(lambda: believing.is_believed(snapshot, name, shares, now, whole_root=whole_root)):
            told.append(await self._tell("deleted"))
            if waited is not None:
                await self.in_thread(lambda: note_believed(snapshot, name, self._means.clock.now()))
        elif (waits := await self.in_thread(lambda: believing.held(snapshot, name))) != waited and waits:
            log.warning("watcher.disappearances_held", root=name, reason=waits.sentence)
        tally.gone += sum(told)
        tally.published += sum(told)

    async def _tell(self, reason: str) -> int:
        return await self.in_thread(lambda: sum(tell_missing(self.place, self._means.snapshot, reason)))

    # --- hints ----------------------------------------------------------------------------------------------------

    def hear(self, hint: Hint) -> None:
        """A hint from the observer, on the loop."""
        now = self._now()
        if hint.kind == "file":
            self._room.hear_file(hint.rel, now)
        elif hint.kind == "folder":
            self._room.hear_folder(hint.rel, now)
        elif hint.kind == "managed":
            self._worker.submit(self._note_managed, hint)
        else:
            self._look_again.set()
        self._woken.set()

    def _note_managed(self, hint: Hint) -> None:
        self._means.snapshot.notes.add(MANAGED, self.place.name, [Note(hint.rel, hint.detail)])

    async def look_at_due(self, stop: asyncio.Event) -> Tally:
        """Look at what is due now, and tell of it."""
        now, tally = self._now(), Tally()
        files, folders = self._room.take_files(now), self._room.take_folders(now, self._grace)
        if not files and not folders:
            return tally
        if not await self._is_still_there():
            return tally
        try:
            looked = await self.in_thread(lambda: self._looks(now).look(files))
        except Unreadable as error:
            self._become_unknown(error.detail)
            return tally
        self._after(looked, now)
        tally.published, tally.gone = looked.written.messages, looked.written.gone
        tally.skipped = looked.written.left_out
        if folders and self._sight is not None:
            await self._look_through(self._sight, tuple(folders), stop, wait=False)
        elif looked.missing and not self._passing.locked():
            await self._believe(tally, whole_root=False)
        await self._means.outbox.send(stop)
        return tally

    async def _is_still_there(self) -> bool:
        """The root and the mounts in it are what the last pass saw (S14); else a pass is asked for."""
        found = await self.in_thread(lambda: glance(self.place))
        if self._glance is not None and found == self._glance:
            return True
        self._look_again.set()
        self._woken.set()
        return False

    def _looks(self, now: Moment) -> Looks:
        return Looks(
            self.place,
            self._means.snapshot,
            self._around,
            now=now,
            seconds=self._means.watch.settle_seconds,
            grace=self._grace,
            out_of_sight={**self._closed, **(self._sight.unknown_folders if self._sight else {})},
            stable_inodes=self._sight is None or _has_stable_inodes(self._sight),
        )

    def _after(self, looked: Looked, now: Moment) -> None:
        for rel, (until, state) in looked.waiting.items():
            self._room.put_back(rel, until, state)
        for rel in looked.folders:
            self._room.hear_folder(rel, now)
        if looked.other_names:
            self._look_again.set()

    # --- a service ------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event, first_done: Callable[[], None]) -> None:
        """Watch until told to stop; a pass comes first, and again whenever it may be needed."""
        listening = Listening(self.place, self._means.watch, self._ask, self.hear)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_hints(stop))
            try:
                while not stop.is_set():
                    await listening.ensure(self.in_thread)
                    finished = await self.full_pass(stop, wait=False)
                    first_done()
                    if finished.unknown:
                        await self.in_thread(listening.end)
                    await self._until_next_pass(stop, listening.pause(finished.unknown, self.pass_seconds))
            finally:
                await self.in_thread(listening.end)

    def _ask(self, rel: bytes, facts: Facts) -> Skip | None:
        """Which folders need no watch: what belongs to another root."""
        other = self._around.other_tops.get((facts.dev, facts.ino))
        return Skip("same-file-as", other) if other else None

    async def _until_next_pass(self, stop: asyncio.Event, seconds: float) -> None:
        """A rescan is due, something asks for one, or the root is not what it was."""
        deadline = self._now().steady + seconds
        while not stop.is_set() and (left := deadline - self._now().steady) > 0:
            if self._look_again.is_set():
                await unless_stopped(stop, self._grace)  # what comes in numbers is answered by one pass
                return
            await _first_of(stop, self._look_again, seconds=min(left, self._means.watch.polling_seconds))
            if self.unknown is None and not stop.is_set():
                await self._is_still_there()

    async def _follow_hints(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            await _first_of(stop, self._woken, seconds=self._until_due())
            if not stop.is_set() and self._may_look:
                self._looking = 1
                await self.look_at_due(stop)
                self._looking = 0

    @property
    def _may_look(self) -> bool:
        """A pass has recognised the root; until then hints wait."""
        return self.unknown is None and self._glance is not None

    def _until_due(self) -> float:
        due = self._room.next_due()
        pause = 3600.0 if due is None else due - self._now().steady
        return max(pause, 0.0 if self._may_look else 0.2)


async def _first_of(*events: asyncio.Event, seconds: float) -> None:
    """Until one of them is set, or the time is over."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _has_stable_inodes(sight: RootSight) -> bool:
    return sight.mount is None or not has_fleeting_inodes(sight.mount)
