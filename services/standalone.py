"""All services in one process: ``run_all`` for every day, ``scan`` for one look, ``analyse_only`` for the index alone.

There is no shortcut between them: they meet on the bus, which alone tells ``scan`` when it is over (ADR 10).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from services.applying import count_of
from services.bootstrap import Crew, all_in_one, stats_server
from services.following import Following
from services.report import Row, rows
from services.terminal import ApplyChoice, ApplyCount, Phase, Progress
from shared.bus.names import ANALYSER_FS, RESOLVER_OUT, RESOLVER_SIG
from shared.config import Settings
from shared.lifecycle import run
from shared.messages.analysis import Analysed
from shared.messages.base import Message
from shared.messages.files import PassFinished
from shared.messages.outcomes import CommandDone
from shared.messages.requests import ApplyRequested
from shared.messages.resolution import GroupDecided

T = TypeVar("T")
#: seconds between two looks at the queues while nothing is said on the bus
_LOOK_EVERY = 0.1


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """What a scan found and did."""

    #: the object of ``--format json``
    report: dict[str, Any]
    #: the same for people
    rows: list[Row]
    #: False when it was stopped before its end
    finished: bool


async def run_all(settings: Settings, *, stop: asyncio.Event) -> None:
    """The all-in-one: one full pass, then it stays and watches, until ``stop`` is set."""
    async with all_in_one(settings) as crew:
        with stats_server(settings, crew.health):
            await run([*crew.services, crew.eyes], stop)


async def analyse_only(settings: Settings, *, progress: Progress, stop: asyncio.Event) -> bool:
    """Fill the index and stop. False when it was stopped before its end."""
    async with all_in_one(settings.model_copy(update={"dry_run": True})) as crew:
        look = _Look(crew=crew, following=Following(_teller(progress)), progress=progress)
        return await _beside(crew, look.following, stop, look.at_every_file()) is not None


async def scan(
    settings: Settings,
    *,
    apply: ApplyChoice | None,
    progress: Progress,
    ask: Callable[[ApplyCount], bool],
    stop: asyncio.Event,
) -> ScanResult:
    """One look at every root, to its end; then, where a person says so, one batch of acts.

    ``ask`` is called in a thread with the count, and says whether to go on.
    """
    started = time.time()
    async with all_in_one(settings, apply=apply) as crew:
        look = _Look(crew=crew, following=Following(_teller(progress)), progress=progress)
        finished = await _beside(crew, look.following, stop, _to_the_end(look, apply, ask)) is not None
        report = await crew.report(since=started, seconds=look.seconds)
    return ScanResult(report=report, rows=rows(report), finished=finished)


async def _to_the_end(look: _Look, apply: ApplyChoice | None, ask: Callable[[ApplyCount], bool]) -> bool:
    await look.at_every_file()
    await look.until_resolved()
    if apply is not None:
        await look.act(apply, ask)
    with look.phase("folders"):
        look.progress.advance("folders", look.following.folders_removed)
    return True


async def _beside(crew: Crew, following: Following, stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do some work while the services run; None when they were told to stop before it was done.

    A service that fails ends the work, and its error is raised.
    """
    services_stop = asyncio.Event()
    listening = await following.start(crew.person)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run(crew.services, services_stop), name="services")
        working = group.create_task(work, name="work")
        stopping = group.create_task(stop.wait(), name="stop")
        await asyncio.wait({running, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        result = working.result() if working.done() else None
        for task in (working, stopping, listening):
            task.cancel()
        services_stop.set()
    return result


def _teller(progress: Progress) -> Callable[[Message], None]:
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
class _Look:
    """One look at the roots, phase by phase."""

    crew: Crew
    following: Following
    progress: Progress
    #: by phase; ``settle`` is the part of ``count`` that waited for young files
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        started = time.monotonic()
        self.progress.phase(name)
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 3)
            self.progress.done(name)

    async def at_every_file(self) -> bool:
        """Phases 1 to 3: every file of every root is known, and its result is in the index."""
        with self.phase("clean"), self.phase("count"):
            passes = await self.crew.eyes.full_pass()
            self._tell(passes.values())
        with self.phase("analyse"):
            self.progress.total("analyse", sum(p.published for p in passes.values()))
            await _until(lambda: self._is_empty(ANALYSER_FS))
        return True

    def _tell(self, passes: Iterable[PassFinished]) -> None:
        self.seconds["settle"] = round(max((p.waited for p in passes), default=0.0), 3)
        for one in passes:
            self.progress.advance("clean", one.gone)
            self.progress.advance("count", one.files)
            if one.unknown:
                self.progress.note(f"{one.root}: {one.unknown}")

    async def until_resolved(self) -> None:
        """Phase 4: the resolver has decided about the last result there is."""
        with self.phase("rank"):
            await self._until_caught_up()

    async def _until_caught_up(self) -> None:
        for consumers in (RESOLVER_OUT, ANALYSER_FS, RESOLVER_SIG):
            await _until(partial(self._is_empty, consumers))
        last = await self.crew.steward.last_seq("SIG")
        await self.following.until(lambda: self._resolved(last))

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
            )
            if not await asyncio.to_thread(ask, count) or count.files == 0:
                return
            await self._request(apply, count)

    async def _request(self, apply: ApplyChoice, count: ApplyCount) -> None:
        request = ApplyRequested(
            request_id=uuid.uuid4().hex,
            action=apply.action,
            classes=apply.classes,
            roots=tuple(root.name for root in self.crew.settings.roots),
            target=self.crew.target,
            at_most=count.files,
        )
        await self.crew.person.publish(request)
        await self.following.until(lambda: request.request_id in self.following.accepted)
        accepted = self.following.accepted[request.request_id]
        self.progress.total("act", accepted.commands)
        self.progress.note(accepted.explanation)
        # what was taken is gone for the watcher, then for the index, and then no decision names it any more
        await self.following.until(lambda: len(self.following.outcomes.get(accepted.batch_id, ())) >= accepted.commands)

    async def _is_empty(self, consumers: str) -> bool:
        return await self.crew.steward.backlog(consumers) == 0


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    # the server's queues are asked: nobody publishes that one has run empty
    while not await holds():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY)
