"""The only composition root: settings -> bus, index, disk -> services. Nobody else knows an adapter."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog

from services.analyser.service import AnalyserService
from services.analyser.workers import WorkerPool
from services.busplaces import BusHome, bus_home, fenced, state_dir
from services.indexplaces import opened_index, take, watch_index
from services.reconciling import reconcile
from services.report import Skipped, build
from services.resolver.service import ResolverService
from services.resolver.store import DecisionStore
from services.terminal import ApplyChoice
from services.watcher.breaker import limit
from services.watcher.executor import AskedFor, any_command
from services.watcher.eyes import Eyes
from services.watcher.hands import Hands
from services.watcher.localdisk import LocalDisk
from services.watcher.sight import Sight
from services.watcher.snapshot import Snapshot
from shared import imaging
from shared.bus.jetstream import Steward
from shared.bus.port import Bus
from shared.clock import SystemClock
from shared.config import Settings
from shared.errors import UsageError
from shared.index.port import FileDoc, Index
from shared.lifecycle import Service, run
from shared.telemetry.health import Health, StatsServer

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Everything of the all-in-one, put together and not yet working."""

    settings: Settings
    person: Bus
    steward: Steward
    eyes: Eyes
    resolver: ResolverService
    index: Index
    health: Health
    #: what runs beside the eyes, whose part differs: ``run`` watches, ``scan`` makes one pass
    services: tuple[Service, ...]
    #: ids of the batches that a person asks for here; with ``apply`` the executor takes no others
    batches: set[str] = field(default_factory=set)

    @property
    def target(self) -> str | None:
        return None if self.settings.target is None else str(self.settings.target)

    def breaker_limit(self) -> int:
        """How many files may go without ``--yes`` (S13)."""
        files = sum(self.eyes.file_count(root.name) for root in self.settings.roots)
        return limit(files, self.settings.breaker)

    async def report(self, *, since: float, seconds: Mapping[str, float]) -> dict[str, Any]:
        """The object of ``scan --format json``; what was done since then (seconds since the epoch) is part of it."""
        roots = {root.name: root.path for root in self.settings.roots}
        files = [doc async for doc in _walk_all(self.index, roots)]
        hashes = sorted({doc.sha256 for doc in files if doc.sha256})
        return build(
            files=files,
            contents=await self.index.contents(hashes),
            decisions=await self.resolver.open_decisions(),
            acted=await self.resolver.outcomes(since),
            skipped=_skipped(self.eyes, roots),
            seconds=seconds,
            roots=roots,
            version=version(),
        )


async def _walk_all(index: Index, roots: Mapping[str, Path]) -> AsyncIterator[FileDoc]:
    for root in roots:
        async for doc in index.walk(root):
            yield doc


def _skipped(eyes: Eyes, roots: Mapping[str, Path]) -> list[Skipped]:
    return [
        Skipped(path=os.path.join(os.fsencode(roots[one.root]), one.rel), rule=one.rule, reason=one.reason)
        for one in eyes.skipped()
        if one.root in roots
    ]


def version() -> str:
    """The version of photosift that is installed."""
    return metadata.version("photosift")


@contextlib.asynccontextmanager
async def all_in_one(settings: Settings, *, apply: ApplyChoice | None = None) -> AsyncIterator[Crew]:
    """All services on one bus in this process, holding every part of the state folder.

    With ``apply`` the executor may act as that choice says, but the resolver only proposes until it is asked (ADR 10).
    Raises ``StateInUse``, ``UsageError``, ``IndexMismatch``.
    """
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(bus_home(settings))
        settings = fenced(settings, home)
        deciding = settings.model_copy(update={"action": "propose"}) if apply else settings
        acting = settings.model_copy(update={"action": apply.action}) if apply else settings
        steward = await Steward.connect(home.url, home.credentials)
        stack.push_async_callback(steward.close)
        index = await opened_index(stack, settings, writable=True)
        batches = set[str]()
        asked_for = (lambda c: c.batch_id in batches) if apply else _asked_since(SystemClock().now(), settings)
        eyes, hands = await _watcher(stack, home, acting, index=index, steward=steward, asked_for=asked_for)
        analyser = await _analyser(stack, home, settings, index)
        resolver = await _resolver(stack, home, deciding, index)
        person = await _connected(stack, home, "person")
        health = Health()
        health.add("eyes", eyes.complaint)
        health.add("executor", hands.complaint)
        watch_index(index, health)
        ours = (home.server,) if home.server else ()
        yield Crew(
            settings=acting,
            person=person,
            steward=steward,
            eyes=eyes,
            resolver=resolver,
            index=index,
            health=health,
            services=(*ours, steward, hands, analyser, resolver),
            batches=batches,
        )


def _asked_since(start: float, settings: Settings) -> AskedFor:
    """A person's word for one batch ends with the process that it was given to; what a service decided does not."""
    return lambda command: not command.confirmed or command.expires_at - settings.command_expiry_seconds >= start


async def _steward(stack: AsyncExitStack, home: BusHome) -> Steward | None:
    """Beside the watcher, where its passwords allow it: somebody has to clear the streams of what everyone has read."""
    if home.credentials and "setup-data" not in home.credentials:
        return None
    steward = await Steward.connect(home.url, home.credentials)
    stack.push_async_callback(steward.close)
    return steward


async def _connected(stack: AsyncExitStack, home: BusHome, service: str) -> Bus:
    bus = await home.connect(service)
    stack.push_async_callback(bus.close)
    return bus


async def _watcher(
    stack: AsyncExitStack,
    home: BusHome,
    settings: Settings,
    *,
    index: Index | None = None,
    steward: Steward | None = None,
    asked_for: AskedFor = any_command,
) -> tuple[Eyes, Hands]:
    """Eyes and hands of this process, told of each other."""
    folder, clock = take(stack, settings, "watcher"), SystemClock()
    bus = await _connected(stack, home, "watcher")
    snapshot = await asyncio.to_thread(Snapshot, folder / "snapshot.sqlite", now=clock.now)
    stack.callback(snapshot.close)
    if index is not None:
        await reconcile(snapshot, index, steward, [root.name for root in settings.roots])
    eyes = Eyes(
        bus=bus,
        snapshot=snapshot,
        settings=settings,
        clock=clock,
        extensions=imaging.extensions(),
        private=(state_dir(settings),),
    )
    hands = Hands(
        bus=bus,
        disk=LocalDisk(),
        settings=settings,
        clock=clock,
        folder=folder,
        sight=Sight(known_since=eyes.known_since, files_in=eyes.file_count, doubt=eyes.doubt),
        on_taken=eyes.taken,
        on_restored=eyes.restored,
        confirm_disappearances=eyes.confirm_disappearances,
        adopt_for_eyes=eyes.adopt,
        allow_for_eyes=eyes.allow,
        asked_for=asked_for,
    )
    return eyes, hands


async def _watcher_alone(
    stack: AsyncExitStack, home: BusHome, settings: Settings, health: Health
) -> tuple[Service, ...]:
    """The watcher in its own process. An index that it can reach too tells it where its versions begin (S18)."""
    index = await opened_index(stack, settings, writable=False, patience=math.inf) if settings.index_url else None
    steward = await _steward(stack, home)
    eyes, hands = await _watcher(stack, home, settings, index=index, steward=steward)
    health.add("eyes", eyes.complaint)
    health.add("executor", hands.complaint)
    return (eyes, hands, *([steward] if steward else []))


async def _analyser(stack: AsyncExitStack, home: BusHome, settings: Settings, index: Index) -> AnalyserService:
    bus = await _connected(stack, home, "analyser")
    workers = await stack.enter_async_context(WorkerPool(settings.analysis))
    roots = {root.name: root.path for root in settings.roots}
    return AnalyserService(bus=bus, index=index, workers=workers, roots=roots, settings=settings)


async def _resolver(stack: AsyncExitStack, home: BusHome, settings: Settings, index: Index) -> ResolverService:
    store = await asyncio.to_thread(DecisionStore, take(stack, settings, "resolver"))
    stack.callback(store.close)
    bus = await _connected(stack, home, "resolver")
    return ResolverService(bus=bus, index=index, store=store, settings=settings, clock=SystemClock())


@contextlib.contextmanager
def stats_server(settings: Settings, health: Health) -> Iterator[None]:
    """Metrics and health, where the settings want them. Raises ``UsageError`` when the port is taken."""
    if not settings.stats_enabled:
        yield
        return
    try:
        server = StatsServer(settings.stats_host, settings.stats_port, health)
    except OSError as error:
        where = f"{settings.stats_host}:{settings.stats_port}"
        raise UsageError(
            f"metrics cannot listen on {where}: {error.strerror}; set stats_port (0: a free one)"
        ) from error
    try:
        yield
    finally:
        server.close()


@contextlib.asynccontextmanager
async def one_service(name: str, settings: Settings) -> AsyncIterator[tuple[tuple[Service, ...], Health]]:
    """The watcher, the analyser or the resolver alone, on an external bus."""
    async with AsyncExitStack() as stack:
        if not settings.nats_url:
            raise UsageError(
                f"photosift {name} needs a bus that the others share: set nats_url (or PHOTOSIFT_NATS_URL)"
            )
        home = await stack.enter_async_context(bus_home(settings))
        settings, health = fenced(settings, home), Health()
        if name == "watcher":
            yield await _watcher_alone(stack, home, settings, health), health
        elif name == "analyser":
            index = await opened_index(stack, settings, writable=True, patience=math.inf)
            watch_index(index, health)
            yield (await _analyser(stack, home, settings, index),), health
        else:
            index = await opened_index(stack, settings, writable=False, patience=math.inf)
            watch_index(index, health)
            yield (await _resolver(stack, home, settings, index),), health


async def run_service(name: str, settings: Settings, *, stop: asyncio.Event) -> None:
    """Run one service on an external bus until ``stop`` is set."""
    async with one_service(name, settings) as (services, health):
        with stats_server(settings, health):
            await run(services, stop)
