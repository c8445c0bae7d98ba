"""One look at every root: its phases, and how the bus says that each is over (ADR 10)."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from services.applying import count_of
from services.crew import Crew
from services.following import Following
from services.terminal import ApplyChoice, ApplyCount, Phase, Progress
from shared.bus.names import ANALYSER_FS, RESOLVER_OUT, RESOLVER_SIG
from shared.messages.analysis import Analysed
from shared.messages.base import Message
from shared.messages.files import PassFinished
from shared.messages.outcomes import CommandDone
from shared.messages.requests import ApplyRequested
from shared.messages.resolution import GroupDecided
from shared.words import are

#: seconds between two looks at the queues while nothing is said on the bus
_LOOK_EVERY = 0.1
#: seconds after which they are looked at although results are still owed: some are never said aloud
_LOOK_ANYWAY = 1.0
#: a file that does not become quiet is waited for so many settle times
_PATIENCE = 3


def teller(progress: Progress) -> Callable[[Message], None]:
    """Moves the bars with what is said on the bus."""

    def tell(message: Message) -> None:
        if isinstance(message, Analysed):
            progress.advance("analyse")
        elif isinstance(message, GroupDecided):
            progress.advance("rank")
        elif isinstance(message, CommandDone):
            progress.advance("act")

    return tell


@dataclass(kw_only=True)
class Look:
    """One look at the roots, phase by phase."""

    crew: Crew
    following: Following
    progress: Progress
    #: work by phase; waiting for young files stands apart as ``settle``, waiting for a person's answer nowhere
    seconds: dict[str, float] = field(default_factory=dict)
    _waited: float = 0.0
    _owed: bool = True
    _sig_at_start: int = 0

    @contextlib.contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        started, before = time.monotonic(), self._waited
        self.progress.phase(name)
        try:
            yield
        finally:
            spent = time.monotonic() - started - (self._waited - before)
            self.seconds[name] = round(max(spent, 0.0), 3)
            self.progress.done(name)

    async def _begin(self) -> None:
        """Where SIG stands before the first event of this look: a resolver with a new memory counts from there."""
        self._owed = await self.crew.steward.backlog(RESOLVER_SIG) > 0
        self._sig_at_start = await self.crew.steward.last_seq("SIG")

    async def at_every_file(self) -> bool:
        """Phases 1 to 3: every file of every root is known, and its result is in the index."""
        await self.at_what_is_new()
        await self._put_right()
        return True

    async def at_what_is_new(self) -> bool:
        """The same, where the analyser may leave files: what the index lacks then is not told again now."""
        await self._begin()
        with self.phase("clean"), self.phase("count"):
            passes = await self._full_pass()
            self._tell(passes.values())
        await self.until_analysed(sum(p.published for p in passes.values()))
        return True

    async def _put_right(self) -> None:
        """What the index lacks after all that is told again, once; every file is in the report (S16)."""
        if told := await self.crew.reconciling.after():
            self.progress.note(f"told again, since the index did not agree with what was known: {told} files")
            await self.crew.eyes.full_pass()
            await _until(partial(self.crew.steward.is_idle, ANALYSER_FS))

    async def until_analysed(self, published: int) -> None:
        """Phase 3: every file event has its result."""
        with self.phase("analyse"):
            self.progress.total("analyse", published)
            await self._until_analyser_is_idle(published)
            # results are in the index before they are heard of here
            self.progress.advance("analyse", max(published - self.following.analysed, 0))

    async def _until_analyser_is_idle(self, published: int) -> None:
        """The results that are heard tell when a look at the queues, which costs the server more, is worth it."""
        while True:
            await self.following.until(lambda: self.following.analysed >= published, within=_LOOK_ANYWAY)
            if await self.crew.steward.is_idle(ANALYSER_FS):
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def _full_pass(self) -> Mapping[str, PassFinished]:
        """The pass of the eyes; that it waits for young files is said, since nothing else moves meanwhile."""
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell_of_the_young(), name="young")
            passes = await self.crew.eyes.full_pass()
            telling.cancel()
        return passes

    async def _tell_of_the_young(self) -> None:
        quiet, before = self.crew.settings.watch.settle_seconds, 0
        while True:
            waiting = self.crew.eyes.waiting()
            if waiting and not before:
                self.progress.note(f"{are(waiting, 'young file')} being waited for, until unchanged for {quiet:g} s")
            before = waiting
            await asyncio.sleep(_LOOK_EVERY)

    def _tell(self, passes: Collection[PassFinished]) -> None:
        settle = sum(p.waited for p in passes)  # one root after the other
        self._waited += settle
        self.seconds["settle"] = round(settle, 3)
        for one in passes:
            self.progress.advance("clean", one.gone)
            self.progress.advance("count", one.files)
            if one.unknown:
                self.progress.note(f"{one.root}: {one.unknown}")

    async def at_a_pass_of_the_eyes(self) -> None:
        """The same phases, while the eyes make the pass by themselves, as they do in ``run``."""
        await self._begin()
        with self.phase("clean"), self.phase("count"):
            await self.crew.eyes.first_pass_done.wait()
            self.progress.advance("clean", self.following.forgotten)
            await self._until_the_young_have_settled()
            self.progress.advance("count", sum(self.crew.eyes.progress().values()))
        await self.until_analysed(self.following.files)
        await self.until_resolved()

    async def _until_the_young_have_settled(self) -> None:
        """Photos written just now belong to the first outcome too; one that is written all the time does not."""
        started, settle = time.monotonic(), self.crew.settings.watch.settle_seconds
        if young := self.crew.eyes.waiting():
            self.progress.note(f"waiting until young files are quiet for {settle:g} s: {young}")
        # the eyes say how many, and not when there are none
        while self.crew.eyes.waiting() and time.monotonic() - started < _PATIENCE * settle + 1:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)
        self.seconds["settle"] = round(time.monotonic() - started, 3)

    async def until_resolved(self) -> None:
        """Phase 4: the resolver has decided about the last result there is."""
        with self.phase("rank"):
            await self._until_caught_up()

    async def _until_caught_up(self) -> None:
        # one after the other: what one of them works on becomes the next one's queue
        for consumers in (RESOLVER_OUT, ANALYSER_FS, RESOLVER_SIG):
            await _until(partial(self.crew.steward.is_idle, consumers))
        last = await self.crew.steward.last_seq("SIG")
        wanted = last if self._owed or last > self._sig_at_start else 0
        await self.following.until(lambda: self._resolved(wanted))

    def _resolved(self, last: int) -> bool:
        caught_up = self.following.caught_up
        return caught_up is not None and caught_up.sig_seq >= last and caught_up.open_commands == 0

    async def act(self, apply: ApplyChoice, ask: Callable[[ApplyCount], bool]) -> None:
        """Phase 5: a person's word for one batch, sent as any person would send it."""
        with self.phase("act"):
            count = count_of(
                await self.crew.resolver.open_decisions(),
                apply,
                target=self.crew.target,
                limit=self.crew.breaker_limit(),
                roots={root.name: root.path for root in self.crew.settings.roots},
            )
            if await self._agreed(ask, count) and count.files:
                await self._request(apply, count)

    async def _agreed(self, ask: Callable[[ApplyCount], bool], count: ApplyCount) -> bool:
        asked = time.monotonic()
        agreed = await asyncio.to_thread(ask, count)
        self._waited += time.monotonic() - asked
        return agreed

    async def _request(self, apply: ApplyChoice, count: ApplyCount) -> None:
        request = ApplyRequested(
            request_id=uuid.uuid4().hex,
            action=apply.action,
            classes=apply.classes,
            roots=tuple(root.name for root in self.crew.settings.roots),
            target=self.crew.target,
            at_most=count.files,
        )
        self.crew.batches.add(request.request_id)
        await self.crew.person.publish(request)
        await self.following.until(lambda: request.request_id in self.following.accepted)
        accepted = self.following.accepted[request.request_id]
        self.progress.total("act", accepted.commands)
        self.progress.note(accepted.explanation)
        # what was taken is gone for the watcher, then for the index, and then no decision names it any more
        await self.following.until(lambda: len(self.following.outcomes.get(accepted.batch_id, ())) >= accepted.commands)
        # an answer is heard here before the resolver has it, whom the report asks
        await _until(partial(self.crew.resolver.has_every_answer, accepted.batch_id))


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    # the server's queues are asked: nobody publishes that one has run empty
    while not await holds():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY)
