"""The only composition root: settings -> bus, index, disk -> services. Nobody else knows an adapter."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog

from services.analyser.service import AnalyserService
from services.analyser.workers import WorkerPool
from services.busplaces import BusHome, bus_home, fenced, state_dir
from services.reconciling import Reconciling, ReconcilingOnce
from services.report import Skipped, build
from services.resolver.service import ResolverService
from services.resolver.store import DecisionStore
from services.stats import stats_server
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
from shared.index.embedded import EmbeddedIndex
from shared.index.port import FileDoc, Index
from shared.lifecycle import Service, given_up_on, run
from shared.statefolder import StatePart
from shared.telemetry.health import Health

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
    reconciling: Reconciling
    health: Health
    #: what runs beside the eyes, whose part differs: ``run`` watches, ``scan`` makes one pass
    services: tuple[Service, ...]
    #: ids of the batches that a person asks for here; with ``apply`` the executor takes no others
    batches: set[str] = field(default_factory=set)

    @property
    def watching(self) -> tuple[Service, ...]:
        """What ``run`` has beside ``services``: eyes that stay open, and a comparison once they have seen all."""
        return (self.eyes, ReconcilingOnce(reconciling=self.reconciling, eyes=self.eyes))

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
        steward = await Steward.connect(home.where, home.credentials)
        stack.push_async_callback(steward.close)
        analyser_part = _take(stack, settings, "analyser")
        index = await _opened_index(stack, settings, analyser_part, writable=True)
        batches = set[str]()
        asked_for = (lambda c: c.batch_id in batches) if apply else _asked_since(SystemClock().now(), settings)
        health = Health()
        eyes, hands, snapshot = await _watcher(stack, home, acting, health, index=index, asked_for=asked_for)
        reconciling = _reconciling(settings, snapshot, index, steward)
        await reconciling.before()
        analyser = await _analyser(stack, home, settings, index, health, leave_unnamed=True)
        resolver = await _resolver(stack, home, deciding, index, health)
        person = await home.connect("person")
        stack.push_async_callback(person.close)
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
            reconciling=reconciling,
        )


def _reconciling(settings: Settings, snapshot: Snapshot, index: Index, steward: Steward) -> Reconciling:
    return Reconciling(
        snapshot=snapshot,
        index=index,
        roots=[root.name for root in settings.roots],
        limits=settings.analysis,
        last_fs=partial(steward.last_seq, "FS"),
        is_idle=steward.is_idle,
    )


def _asked_since(start: float, settings: Settings) -> AskedFor:
    """A person's word for one batch ends with the process that it was given to; what a service decided does not."""
    return lambda command: not command.confirmed or command.expires_at - settings.command_expiry_seconds >= start


async def _steward(stack: AsyncExitStack, home: BusHome) -> tuple[Service, ...]:
    """Beside the watcher, where its passwords allow it: somebody has to clear the streams of what everyone has read."""
    if home.credentials and "setup-data" not in home.credentials:
        return ()
    steward = await Steward.connect(home.where, home.credentials)
    stack.push_async_callback(steward.close)
    return (steward,)


def _take(stack: AsyncExitStack, settings: Settings, part: str) -> Path:
    """Hold a part of the state folder until the stack is left."""
    held = StatePart(state_dir(settings), part)
    stack.callback(held.release)
    return held.folder


async def _connected(stack: AsyncExitStack, home: BusHome, service: str, health: Health) -> Bus:
    bus = await home.connect(service)
    stack.push_async_callback(bus.close)
    health.add(f"bus of the {service}", bus.complaint)
    return bus


async def _opened_index(stack: AsyncExitStack, settings: Settings, folder: Path, *, writable: bool) -> EmbeddedIndex:
    if settings.index_url:
        raise UsageError("index_url: Elasticsearch is not supported yet; leave it empty for the embedded index")
    index = await asyncio.to_thread(EmbeddedIndex.open, folder, writable=writable, mode=settings.analysis.signature)
    stack.push_async_callback(index.close)
    return index


@contextlib.asynccontextmanager
async def index_to_read(settings: Settings) -> AsyncIterator[Index]:
    """The index as it is now, beside a running service too."""
    async with AsyncExitStack() as stack:
        yield await _opened_index(stack, settings, state_dir(settings) / "analyser", writable=False)


async def _watcher(
    stack: AsyncExitStack,
    home: BusHome,
    settings: Settings,
    health: Health,
    *,
    index: Index | None = None,
    asked_for: AskedFor = any_command,
) -> tuple[Eyes, Hands, Snapshot]:
    """Eyes and hands of this process, told of each other, and what they know."""
    folder, clock = _take(stack, settings, "watcher"), SystemClock()
    bus = await _connected(stack, home, "watcher", health)
    snapshot = await asyncio.to_thread(Snapshot, folder / "snapshot.sqlite", now=clock.now)
    stack.callback(snapshot.close)
    if index is not None:
        await asyncio.to_thread(snapshot.raise_epoch, await index.highest_version())  # S18
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
        on_taken=eyes.hearsay.taken,
        on_restored=eyes.hearsay.restored,
        confirm_disappearances=eyes.confirm_disappearances,
        adopt_for_eyes=eyes.adopt,
        allow_for_eyes=eyes.allow,
        asked_for=asked_for,
    )
    health.add("eyes", eyes.complaint)
    health.add("executor", hands.complaint)
    return eyes, hands, snapshot


async def _analyser(
    stack: AsyncExitStack,
    home: BusHome,
    settings: Settings,
    index: Index,
    health: Health,
    *,
    leave_unnamed: bool = False,
) -> AnalyserService:
    bus = await _connected(stack, home, "analyser", health)
    workers = await stack.enter_async_context(WorkerPool(settings.analysis))
    roots = {root.name: root.path for root in settings.roots}
    return AnalyserService(
        bus=bus, index=index, workers=workers, roots=roots, settings=settings, leave_unnamed=leave_unnamed
    )


async def _resolver(
    stack: AsyncExitStack, home: BusHome, settings: Settings, index: Index, health: Health
) -> ResolverService:
    store = await asyncio.to_thread(DecisionStore, _take(stack, settings, "resolver"))
    stack.callback(store.close)
    bus = await _connected(stack, home, "resolver", health)
    return ResolverService(bus=bus, index=index, store=store, settings=settings, clock=SystemClock())


@contextlib.asynccontextmanager
async def one_service(name: str, settings: Settings) -> AsyncIterator[tuple[tuple[Service, ...], Health]]:
    """The watcher, the analyser, the resolver or the steward alone, on an external bus."""
    async with AsyncExitStack() as stack:
        if not settings.nats_url:
            raise UsageError(
                f"photosift {name} needs a bus that the others share: set nats_url (or PHOTOSIFT_NATS_URL)"
            )
        home = await stack.enter_async_context(bus_home(settings))
        settings, health = fenced(settings, home), Health()
        if name == "watcher":
            eyes, hands, _ = await _watcher(stack, home, settings, health)
            yield (eyes, hands, *await _steward(stack, home)), health
        elif name == "analyser":
            index = await _opened_index(stack, settings, _take(stack, settings, "analyser"), writable=True)
            yield (await _analyser(stack, home, settings, index, health),), health
        elif name == "steward":
            yield await _steward(stack, home), health
        else:
            index = await _opened_index(stack, settings, state_dir(settings) / "analyser", writable=False)
            yield (await _resolver(stack, home, settings, index, health),), health


async def run_service(name: str, settings: Settings, *, stop: asyncio.Event) -> None:
    """Run one service on an external bus until ``stop`` is set. Raises ``Stopped`` if it still waited for it."""
    async with AsyncExitStack() as stack:
        async with given_up_on(stop):
            services, health = await stack.enter_async_context(one_service(name, settings))
        with stats_server(settings, health):
            await run(services, stop)
