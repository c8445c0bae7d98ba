"""Passes over one root, and looks at what is due in it, from the disk to the server. (S14-S16, S18)"""

from __future__ import annotations

import asyncio
import uuid

import structlog

from services.watcher.eyes import believing
from services.watcher.eyes.looks import Looked, Looks
from services.watcher.eyes.observing import IDENTITY, RootSight, glance, observe
from services.watcher.eyes.passes import SKIPPED, Pass, Tally, look_of
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.roots import Unknown
from services.watcher.eyes.rootstate import RootState, has_stable_inodes
from services.watcher.eyes.settling import Moment
from services.watcher.eyes.stepping import Unreadable
from services.watcher.ignoring import STILL_WRITTEN
from shared.lifecycle import unless_stopped
from shared.messages.files import PassFinished

log = structlog.get_logger()

#: a file that is written to all the time is waited for so many settle times, at least so many seconds
_PATIENCE, _PATIENCE_SECONDS = 12, 60.0


class RootPass:
    """Looks; ``RootWatch`` says when."""

    def __init__(self, state: RootState) -> None:
        self._state, self._means = state, state.means
        self._name, self._snapshot = state.place.name, state.means.snapshot

    # --- the whole root -------------------------------------------------------------------------------------------

    async def over_everything(self, stop: asyncio.Event, *, wait: bool) -> PassFinished:
        """Look at everything; ``wait``: also wait for young files to settle. Returns when all of it is stored."""
        state = self._state
        async with state.passing:
            state.look_again.clear()
            sight = await state.in_thread(lambda: observe(state.place, self._snapshot))
            if isinstance(sight.verdict, Unknown):
                return await self._finish(state.become_unknown(sight.verdict.reason), Tally(), stop)
            unknown, tally = await self._look_through(sight, (b"",), stop, wait=wait)
            if stop.is_set():
                return self._finished("stopped before its end", tally)
            return await self._finish(unknown, tally, stop)

    async def _finish(self, unknown: str | None, tally: Tally, stop: asyncio.Event) -> PassFinished:
        finished = self._finished(unknown, tally)
        await self._state.in_thread(lambda: self._snapshot.write_pass(finished))
        await self._means.outbox.send(stop)
        return finished

    def _finished(self, unknown: str | None, tally: Tally) -> PassFinished:
        return PassFinished(
            root=self._name,
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
        state, look = self._state, self._pass(sight, starts)
        try:
            await self._step_through(look, stop)
            if not await state.in_thread(lambda: self._is_as_before(look, sight)):  # S14
                await state.in_thread(lambda: self._snapshot.missing.forget(self._name))
                return state.become_unknown("it changed while it was looked at"), look.tally
        except Unreadable as error:
            return state.become_unknown(error.detail), look.tally
        if not stop.is_set():
            await self._conclude(look, sight, stop, wait=wait)
        return None, look.tally

    def _is_as_before(self, look: Pass, sight: RootSight) -> bool:
        if look.is_full:
            return sight.agrees_with(observe(self._state.place, self._snapshot))
        return glance(self._state.place) == self._state.glance

    def _pass(self, sight: RootSight, starts: tuple[bytes, ...]) -> Pass:
        return Pass(
            self._state.place,
            self._snapshot,
            self._state.around,
            now=self._state.now(),
            settle=self._means.watch.settle_seconds,
            unknown_folders=sight.unknown_folders,
            stable_inodes=has_stable_inodes(sight),
            starts=starts,
        )

    async def _step_through(self, look: Pass, stop: asyncio.Event) -> None:
        steps = look.steps()
        try:
            while await self._state.in_thread(lambda: next(steps, True)) is None:
                if look.is_full:
                    self._state.seen = look.tally.files
                if not await self._means.outbox.send(stop) or stop.is_set():
                    return
                await self._means.outbox.until_analysers_follow(stop)
        finally:
            await self._state.in_thread(steps.close)

    async def _conclude(self, look: Pass, sight: RootSight, stop: asyncio.Event, *, wait: bool) -> None:
        state, now = self._state, self._state.now()
        for rel, facts in look.young.items():
            state.room.admit(rel, look_of(facts), now)
        if look.is_full:
            await state.in_thread(lambda: self._remember(sight))
            state.glance = await state.in_thread(lambda: glance(state.place))
            state.closed, state.sight, state.unknown = look.closed, sight, None
        state.woken.set()
        if wait and look.young:
            await self._wait_for_young(look, stop)
        if look.is_full or not state.passing.locked():  # else the pass that is under way decides about all of it
            await self._believe(look.tally, whole_root=look.is_full)
        await self._means.outbox.send(stop)

    def _remember(self, sight: RootSight) -> None:
        """What is unknown now stays remembered as it was known."""
        notes, unknown = self._snapshot.notes, sight.unknown_folders
        kept = [note for note in notes.recall(IDENTITY, self._name) if note.rel in unknown]
        found = [Note(rel, text=one.to_text()) for rel, one in sight.identities.items() if rel not in unknown]
        notes.remember(IDENTITY, self._name, [*kept, *found])

    # --- what is young, and what is gone --------------------------------------------------------------------------

    async def _wait_for_young(self, look: Pass, stop: asyncio.Event) -> None:
        """Until every young file of the pass has settled, or time is up for those that never do."""
        state, began = self._state, self._state.now().steady
        patience = max(_PATIENCE_SECONDS, _PATIENCE * self._means.watch.settle_seconds)
        while (left := look.young.keys() & state.room.files) and state.now().steady - began < patience:
            if not await unless_stopped(stop, max(0.01, (state.room.next_due() or 0.0) - state.now().steady)):
                return
            look.tally.add(await self.at_what_is_due(stop))
        look.tally.waited = state.now().steady - began
        if left:
            await state.in_thread(lambda: self._give_up(left))
            look.tally.skipped += len(left)
            look.tally.files -= len(left)

    def _give_up(self, files: set[bytes]) -> None:
        notes = [Note(rel, STILL_WRITTEN, "it was being written all the time") for rel in sorted(files)]
        self._snapshot.notes.add(SKIPPED, self._name, notes)
        self._state.room.give_up(files)

    async def _believe(self, tally: Tally, *, whole_root: bool) -> None:
        """Tell of files that are gone, as far as that is believed (S14)."""
        in_thread, snapshot, name = self._state.in_thread, self._snapshot, self._name
        told = [await self._tell("ignored")]
        waited = await in_thread(lambda: believing.held(snapshot, name))
        now, shares = self._means.clock.now(), self._means.shares
        if await in_thread(lambda: believing.is_believed(snapshot, name, shares, now, whole_root=whole_root)):
            told.append(await self._tell("deleted"))
            if waited is not None:
                await in_thread(lambda: believing.note_believed(snapshot, name, self._means.clock.now()))
        elif (waits := await in_thread(lambda: believing.held(snapshot, name))) != waited and waits:
            log.warning("watcher.disappearances_held", root=name, reason=waits.sentence)
        tally.add(Tally(published=sum(told), gone=sum(told)))

    async def _tell(self, reason: str) -> int:
        telling = believing.tell_missing(self._state.place, self._snapshot, reason)
        return await self._state.in_thread(lambda: sum(telling))

    # --- what is due ----------------------------------------------------------------------------------------------

    async def at_what_is_due(self, stop: asyncio.Event) -> Tally:
        """Look at the files and folders that are due now, and tell of them."""
        state, now, tally = self._state, self._state.now(), Tally()
        files, folders = state.room.take_files(now), state.room.take_folders(now, state.grace)
        state.room.count_time_anew()
        if not (files or folders) or not await self.is_still_there():
            return tally
        try:
            looked = await state.in_thread(lambda: self._looks(now).look(files))
        except Unreadable as error:
            state.become_unknown(error.detail)
            return tally
        tally.add(self._after(looked, now))
        if folders and state.sight is not None:
            _, more = await self._look_through(state.sight, tuple(folders), stop, wait=False)
            tally.add(more)
        elif looked.missing and not state.passing.locked():
            await self._believe(tally, whole_root=False)
        await self._means.outbox.send(stop)
        return tally

    async def is_still_there(self) -> bool:
        """The root and the mounts in it are what the last pass saw (S14); else a pass is asked for."""
        found = await self._state.in_thread(lambda: glance(self._state.place))
        if self._state.glance is not None and found == self._state.glance:
            return True
        self._state.ask_for_pass()
        return False

    def _looks(self, now: Moment) -> Looks:
        state = self._state
        return Looks(
            state.place,
            self._snapshot,
            state.around,
            now=now,
            seconds=self._means.watch.settle_seconds,
            grace=state.grace,
            out_of_sight={**state.closed, **(state.sight.unknown_folders if state.sight else {})},
            stable_inodes=has_stable_inodes(state.sight),
        )

    def _after(self, looked: Looked, now: Moment) -> Tally:
        for rel, (until, waiting) in looked.waiting.items():
            self._state.room.put_back(rel, until, waiting)
        for rel in looked.folders:
            self._state.room.hear_folder(rel, now)
        if looked.other_names:
            self._state.look_again.set()
        written = looked.written
        return Tally(published=written.messages, gone=written.gone, skipped=written.left_out, files=-written.left_out)
