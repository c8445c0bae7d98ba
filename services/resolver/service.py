"""The resolver, top to bottom: take in what the analyser found, plan when it is quiet, say what was decided."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from services.resolver.answers import Answers
from services.resolver.applying import apply
from services.resolver.contentbook import EXPIRY_MARGIN, Change, Component
from services.resolver.neighbourhood import gather, neighbours_of
from services.resolver.outbox import Postman, pack
from services.resolver.pace import Pace
from services.resolver.removals import Removals
from services.resolver.rounds import Rounds, withdraw
from services.resolver.startup import prepare
from services.resolver.store import DecisionStore, StoreUnavailable
from services.resolver.sweep import Sweep
from shared.bus.consuming import OUTAGES, patiently, work_through, work_through_batches
from shared.bus.names import RESOLVER_OUT, RESOLVER_REQ, RESOLVER_SIG
from shared.bus.port import Bus, Delivery
from shared.clock import Clock
from shared.config import Settings
from shared.errors import UnsafePath
from shared.index.port import Index
from shared.lifecycle import unless_stopped
from shared.messages.analysis import Analysed, FileAnalysed
from shared.messages.outcomes import CommandDone
from shared.messages.requests import ApplyRequested
from shared.messages.resolution import CaughtUp, GroupDecided

log = structlog.get_logger()

#: (SIG sequence, open decisions, open commands)
State = tuple[int, int, int]
#: results that are taken in at once
_RESULTS = 256
#: no message's fault: waited for
_OUTAGES = (*OUTAGES, StoreUnavailable)


class ResolverService:
    """Consumes SIG, OUT and REQ; publishes decisions and commands. Closes neither bus nor index nor store."""

    def __init__(
        self,
        *,
        bus: Bus,
        index: Index,
        store: DecisionStore,
        settings: Settings,
        clock: Clock,
        quiet_seconds: float = 0.3,
        busy_seconds: float = 5.0,
        in_charge: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bus, self._index, self._store, self._settings, self._clock = bus, index, store, settings, clock
        #: it plans after so long without news, or so long after the first news
        self._quiet, self._busy = quiet_seconds, busy_seconds
        self._rounds = Rounds(store, settings)
        self._postman = Postman(bus, store.outbox, store.transaction, in_charge)
        self.answers = Answers(store, index, clock, Removals(store, index, settings, clock))
        #: taking in and planning take turns: nothing becomes dirty while it is being decided about
        self._turn = asyncio.Lock()
        self._pace = Pace()
        self._news = asyncio.Event()
        self._news_at = 0.0
        self._sweep = Sweep(store=store, index=index, settings=settings, turn=self._turn, tell=self._tell)
        self._said: State | None = None
        #: its memory was compared with the index, and it takes in what comes since
        self._is_prepared = False
        #: when to look again without news, seconds since the epoch
        self._due: float | None = None
        store.begin(clock.now())  # here, before any other part of the process works

    async def prepare(self, stop: asyncio.Event) -> None:
        """Compare with the index; also while another resolver decides. Raises what index and store raise."""
        await prepare(self._store, self._sweep, self._settings, self._clock, stop)

    async def run(self, stop: asyncio.Event, *, resumed: bool = False) -> None:
        """Decide until ``stop``; may be called again after it has returned.

        ``resumed``: nobody else decided since, so nothing is compared.
        """
        self._said = None
        if not (resumed and self._is_prepared):
            self._sweep.begin_anew()
            await patiently(lambda: self.prepare(stop), stop=stop, outages=_OUTAGES)
            self._is_prepared = not stop.is_set()
        self._tell()
        async with asyncio.TaskGroup() as group:
            batches = partial(work_through_batches, self._bus, stop=stop, outages=_OUTAGES)
            group.create_task(batches(RESOLVER_SIG, self.take_results, batch=_RESULTS))
            group.create_task(batches(RESOLVER_OUT, self.take_outcomes, batch=64))
            one_by_one = work_through(self._bus, RESOLVER_REQ, self.take_request, stop=stop, outages=_OUTAGES)
            group.create_task(one_by_one)
            group.create_task(self._plan_until(stop))
            group.create_task(self._sweep_until(stop))
            group.create_task(self._hear_the_end(stop))

    async def open_decisions(self) -> list[GroupDecided]:
        """What stands now; a refused duplicate is proposed, with the refusal as its reason."""
        return await asyncio.to_thread(self._standing)

    async def outcomes(self, since: float) -> list[tuple[GroupDecided, CommandDone]]:
        """What was answered at or after ``since`` (seconds since the epoch), each with the decision it belongs to."""
        return await asyncio.to_thread(self._outcomes, since)

    async def has_every_answer(self, batch_id: str) -> bool:
        """Whether ``outcomes`` tells of every command of a batch."""
        return await asyncio.to_thread(self._unanswered_in, batch_id) == 0

    def _standing(self) -> list[GroupDecided]:
        with self._store.transaction():
            return self._store.decisions.standing()

    def _outcomes(self, since: float) -> list[tuple[GroupDecided, CommandDone]]:
        with self._store.transaction():
            return self._store.decisions.outcomes(since)

    def _unanswered_in(self, batch_id: str) -> int:
        with self._store.transaction():
            return self._store.decisions.unanswered_in(batch_id)

    # taking in

    async def take_results(self, batch: Sequence[Delivery]) -> None:
        """Every pair at least once: refresh, then search, then write, then acknowledge (index.md)."""
        changes = [change for delivery in batch if (change := await _change_of(delivery)) is not None]
        async with self._pace.keeping(full=len(batch) >= _RESULTS), self._turn:
            await self._index.refresh()
            heard = [change.sha for change in changes if change.sha is not None]
            fresh = await asyncio.to_thread(self._store.contents.unsearched, heard)
            near = await neighbours_of(self._index, fresh, self._settings.deduplication.max_distance)
            await asyncio.to_thread(self._record, changes, near, batch)
        self._tell()

    def _record(self, changes: Sequence[Change], near: dict[str, tuple[str, ...]], batch: Sequence[Delivery]) -> None:
        with self._store.transaction():
            self._store.contents.record(changes, near)
            known = int(self._store.note("sig_seq") or 0)
            # a first delivery with a number that is behind us: the stream was made anew and counts from 1
            anew = any(d.deliveries == 1 and d.seq <= known for d in batch)
            self._store.take_note("sig_seq", max(0 if anew else known, *(d.seq for d in batch)))

    async def take_outcomes(self, batch: Sequence[Delivery]) -> None:
        async with self._turn:
            await self.answers.take(batch)
        self._tell()

    async def take_request(self, delivery: Delivery) -> None:
        async with self._turn:
            if isinstance(delivery.message, ApplyRequested):
                await apply(delivery.message, pack(delivery.envelope), self._rounds, self._index, self._clock.now())
            else:
                await asyncio.to_thread(self.answers.take_request, delivery.message)
        self._tell()

    # deciding

    async def _plan_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await patiently(lambda: self._round(stop), stop=stop, outages=_OUTAGES)
            await self._wait_for_news(stop)

    async def _round(self, stop: asyncio.Event) -> None:
        """Plans all that is dirty and not held up by a command, says it, and then says that all is said."""
        self._news.clear()
        await self._postman.empty(stop)
        state: State | None = None
        while state is None and not stop.is_set():
            async with self._turn:
                state = await self._plan_some()
            await self._postman.empty(stop)
        if state is not None and state != self._said and not stop.is_set():
            await self._bus.publish(_caught_up(state, self._clock.now()))
            self._said = state

    async def _plan_some(self) -> State | None:
        """Plans some; says how things stand where nothing was left to plan."""
        now = self._clock.now()
        work = await asyncio.to_thread(self._rise, now)
        if not work:
            return await asyncio.to_thread(self._state, now)
        gathered = await gather(self._index, work)
        await asyncio.to_thread(self._rounds.settle, work, gathered, now)
        return None

    def _rise(self, now: float) -> list[Component]:
        """What is due becomes dirty; then some of what is dirty."""
        with self._store.transaction():
            for asked in self._store.decisions.due_again(now):
                if self._store.decisions.is_open(asked.decision_id):
                    withdraw(self._store, asked.decision_id, "it is asked for anew", None)
                self._store.contents.mark([asked.victim_sha, asked.keeper_sha])
            self._store.contents.rise(now)
            return self._store.contents.work(now)

    def _state(self, now: float) -> State:
        """How things stand, and when the next look is due; as seen at the moment when nothing was left to plan."""
        contents, book = self._store.contents, self._store.decisions
        with self._store.transaction():
            times = (contents.next_wake(now), book.next_again())
            self._due = min((t for t in times if t is not None), default=None)
            open_commands = book.open_commands(now - EXPIRY_MARGIN)
            return int(self._store.note("sig_seq") or 0), book.open_decisions(), open_commands

    async def _sweep_until(self, stop: asyncio.Event) -> None:
        while await unless_stopped(stop, self._settings.sweep_seconds):
            await patiently(lambda: self._sweep.run(stop), stop=stop, outages=_OUTAGES, what="sweep")

    # waiting

    def _tell(self) -> None:
        self._news_at = asyncio.get_running_loop().time()
        self._news.set()

    async def _hear_the_end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._news.set()

    async def _wait_for_news(self, stop: asyncio.Event) -> None:
        """Until news came and it is quiet again, or has been busy for long, or a time is due."""
        while not self._news.is_set():
            if self._due is not None and self._clock.now() >= self._due:
                return
            with contextlib.suppress(TimeoutError):  # the clock may step: look at it again every second
                await asyncio.wait_for(self._news.wait(), None if self._due is None else 1.0)
        await self._wait_for_quiet(stop)

    async def _wait_for_quiet(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._busy
        while not stop.is_set():
            left = min(self._news_at + self._quiet, latest) - loop.time()
            if left <= 0:
                return
            await unless_stopped(stop, left)


async def _change_of(delivery: Delivery) -> Change | None:
    """What a result says of a file; a path that leads out of its root is given up (S9, S19)."""
    message = delivery.message
    assert isinstance(message, Analysed)
    try:
        file_id = message.file.photo.file_id
    except UnsafePath as error:
        await delivery.dead_letter(error.code, str(error))
        return None
    sha = message.sha256 if isinstance(message, FileAnalysed) else None
    return Change(file_id=file_id, version=message.version, sha=sha, cause=pack(delivery.envelope))


def _caught_up(state: State, now: float) -> CaughtUp:
    return CaughtUp(sig_seq=state[0], open_decisions=state[1], open_commands=state[2], at=now)
