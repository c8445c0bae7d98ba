"""One root, watched: passes over it, and between them hints, until told to stop. (S16)"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.watcher.eyes.known import Facts
from services.watcher.eyes.listening import Listening
from services.watcher.eyes.looking import same_file
from services.watcher.eyes.observer import Hint
from services.watcher.eyes.observing import Place
from services.watcher.eyes.passes import MANAGED, Surroundings
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.rootpass import RootPass
from services.watcher.eyes.rootstate import Means, RootState
from services.watcher.eyes.tables import SnapshotFailure
from services.watcher.ignoring import Skip
from shared.lifecycle import unless_stopped
from shared.messages.files import PassFinished
from shared.telemetry.metrics import FILES

#: seconds between two looks at what is due
_BREATH = 0.05


class RootWatch:
    """Eyes on one root."""

    def __init__(self, place: Place, means: Means, around: Surroundings) -> None:
        self.place = place
        self._state = RootState(place, means, around)
        self._look = RootPass(self._state)
        self._watch, self._looking, self._pass_seconds = means.watch, 0, 0.0
        self._listening = Listening(place, means.watch, self._ask, self.hear)
        FILES.labels(place.name).set_function(self._files)

    def close(self) -> None:
        FILES.remove(self.place.name)
        self._state.close()

    def _files(self) -> float:
        """Counted when somebody scrapes; a snapshot that cannot be read takes no other metric along."""
        try:
            return self._state.means.snapshot.count(self.place.name)
        except SnapshotFailure:
            return float("nan")

    @property
    def unknown(self) -> str | None:
        """Why nothing is known of the root now (S14)."""
        return self._state.unknown

    @property
    def seen(self) -> int:
        """Files seen by the running, or last, pass."""
        return self._state.seen

    @property
    def waiting(self) -> int:
        """Files and folders to be looked at again, and the look that is under way."""
        return len(self._state.room) + self._looking

    async def full_pass(self, stop: asyncio.Event, *, wait: bool) -> PassFinished:
        """Look at everything; ``wait``: also wait for young files to settle. Returns when all of it is stored."""
        began = self._state.now().steady
        finished = await self._look.over_everything(stop, wait=wait)
        self._pass_seconds = self._state.now().steady - began - finished.waited
        return finished

    def hear(self, hint: Hint) -> None:
        """A hint from the observer, on the loop."""
        state = self._state
        if hint.kind == "file":
            state.room.hear_file(hint.rel, state.now())
        elif hint.kind == "folder":
            state.room.hear_folder(hint.rel, state.now())
        elif hint.kind == "managed":
            note = Note(hint.rel, hint.detail)
            state.later(lambda: state.means.snapshot.notes.add(MANAGED, self.place.name, [note]))
        else:
            if hint.kind == "exhausted":
                self._listening.exhausted(hint.detail)
            state.look_again.set()
        state.woken.set()

    def look_again(self) -> None:
        """A pass, soon."""
        self._state.look_again.set()

    async def run(self, stop: asyncio.Event, first_done: Callable[[], None]) -> None:
        """Watch until told to stop; a pass comes first, and again whenever it may be needed."""
        listening = self._listening
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_hints(stop))
            try:
                while not stop.is_set():
                    await listening.ensure(self._state.in_thread)
                    finished = await self.full_pass(stop, wait=False)
                    first_done()
                    if finished.unknown:
                        await self._state.in_thread(listening.end)
                    await self._until_next_pass(stop, listening.pause(finished.unknown, self._pass_seconds))
            finally:
                await self._state.in_thread(listening.end)

    def _ask(self, rel: bytes, facts: Facts) -> Skip | None:
        """Which folders need no watch: what belongs to another root."""
        other = self._state.around.other_tops.get((facts.dev, facts.ino))
        return same_file(f"the root {other}") if other else None

    async def _until_next_pass(self, stop: asyncio.Event, seconds: float) -> None:
        """A rescan is due, something asks for one, or the root is not what it was."""
        state = self._state
        deadline = state.now().steady + seconds
        while not stop.is_set() and (left := deadline - state.now().steady) > 0:
            if state.look_again.is_set():
                await unless_stopped(stop, state.grace)  # what comes in numbers is answered by one pass
                return
            await _first_of(stop, state.look_again, seconds=min(left, self._watch.polling_seconds))
            if state.unknown is None and not stop.is_set():
                await self._look.is_still_there()

    async def _follow_hints(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._state.woken.clear()
            await _first_of(stop, self._state.woken, seconds=self._until_due())
            await _first_of(stop, seconds=_BREATH)  # events come in floods; one look answers many
            if not stop.is_set() and self._state.may_look:
                self._looking = 1
                await self._look.at_what_is_due(stop)
                self._looking = 0

    def _until_due(self) -> float:
        due = self._state.room.next_due()
        pause = 3600.0 if due is None else due - self._state.now().steady
        return max(pause, _BREATH if self._state.may_look else 0.2)


async def _first_of(*events: asyncio.Event, seconds: float) -> None:
    """Until one of them is set, or the time is over."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
