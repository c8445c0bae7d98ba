"""All services in one process: ``run_all`` for every day, ``scan`` for one look, ``analyse_only`` for the index alone.

There is no shortcut between them: they meet on the bus, which alone tells ``scan`` when it is over (ADR 10).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from services.analyser.oldsignatures import OldSignatures
from services.bootstrap import all_in_one
from services.crew import Crew
from services.following import Following
from services.look import Look, teller
from services.report import Row, rows
from services.stats import stats_server
from services.terminal import ApplyChoice, ApplyCount, Progress
from shared.config import Settings
from shared.lifecycle import given_up_on, run
from shared.messages.base import Message

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """What a scan found and did."""

    #: the object of ``--format json``
    report: dict[str, Any]
    #: the same for people
    rows: list[Row]
    #: False when it was stopped before its end
    finished: bool


def _no_word() -> None: ...


async def run_all(
    settings: Settings, *, stop: asyncio.Event, host: Host | None = None, ready: Callable[[], None] = _no_word
) -> None:
    """The all-in-one: one full pass, then it stays and watches, until ``stop`` is set.

    ``host`` shows a person at a terminal what is going on; without one the log says it. ``ready`` is called once
    everything that may be refused has been granted: state folder, bus, index and the port of the metrics.
    """
    async with gathered(settings, stop) as crew:
        showing = () if host is None else (_Showing(crew, host),)
        with stats_server(settings, crew.health):
            ready()
            await run([*crew.services, *crew.watching, *showing], stop)


class Host(Protocol):
    """Who shows a person what ``run`` does."""

    progress: Progress

    def look_finished(self, result: ScanResult) -> None:
        """The first pass is over."""

    def heard(self, message: Message) -> None:
        """Something was said on the bus after that."""


class _Showing:
    """Tells the host of the first pass, then of whatever happens; a ``lifecycle.Service``."""

    def __init__(self, crew: Crew, host: Host) -> None:
        self._crew, self._host = crew, host
        self._looked = False
        self._tell = teller(host.progress)

    async def run(self, stop: asyncio.Event) -> None:
        following = Following(self._heard)
        listening = await following.start(self._crew.person)
        looking = asyncio.create_task(self._look(following), name="look")
        await stop.wait()
        for task in (looking, listening):
            task.cancel()
        await asyncio.wait([looking, listening])

    def _heard(self, message: Message) -> None:
        if self._looked:
            self._host.heard(message)
        else:
            self._tell(message)

    async def _look(self, following: Following) -> None:
        look, started = Look(crew=self._crew, following=following, progress=self._host.progress), time.time()
        await look.at_a_pass_of_the_eyes()
        report = await self._crew.report(since=started, seconds=look.seconds)
        self._looked = True
        self._host.look_finished(ScanResult(report=report, rows=rows(report), finished=True))


async def analyse_only(settings: Settings, *, progress: Progress, stop: asyncio.Event) -> bool:
    """Fill the index and stop. False when it was stopped before its end."""
    async with gathered(settings.model_copy(update={"dry_run": True}), stop) as crew:
        look = Look(crew=crew, following=Following(teller(progress)), progress=progress)
        return await beside(crew, look.following, stop, look.at_every_file()) is not None


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
    async with gathered(settings, stop, apply=apply) as crew:
        look = Look(crew=crew, following=Following(teller(progress)), progress=progress)
        finished = await beside(crew, look.following, stop, _to_the_end(look, apply, ask)) is not None
        report = await crew.report(since=started, seconds=look.seconds, folders_removed=look.following.folders_removed)
    return ScanResult(report=report, rows=rows(report), finished=finished)


@contextlib.asynccontextmanager
async def gathered(
    settings: Settings, stop: asyncio.Event, *, apply: ApplyChoice | None = None, old: OldSignatures | None = None
) -> AsyncIterator[Crew]:
    """``all_in_one``, given up when ``stop`` is set while it is put together. Raises ``Stopped`` too."""
    async with contextlib.AsyncExitStack() as stack:
        async with given_up_on(stop):
            crew = await stack.enter_async_context(all_in_one(settings, apply=apply, old=old))
        yield crew


async def _to_the_end(look: Look, apply: ApplyChoice | None, ask: Callable[[ApplyCount], bool]) -> bool:
    await look.at_every_file()
    await look.until_resolved()
    if apply is not None:
        await look.act(apply, ask)
    with look.phase("folders"):
        look.progress.advance("folders", look.following.folders_removed)
    return True


async def beside(crew: Crew, following: Following, stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
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
