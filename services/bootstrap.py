"""The only composition root: settings -> bus, index, disk -> services. Nobody else knows an adapter."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import structlog

from services.analyser.oldsignatures import OldSignatures
from services.analyser.service import AnalyserService
from services.analyser.takingover import TakingOver
from services.analyser.workers import WorkerPool
from services.busplaces import BusHome, bus_home, fenced, state_dir
from services.crew import Crew, queues_of
from services.indexplaces import opened_index, take, watch_index
from services.reconciling import Reconciling
from services.resolver.inheriting import Inheritance
from services.resolver.leading import Lead
from services.resolver.service import ResolverService
from services.resolver.standby import Standby
from services.resolver.store import DecisionStore
from services.stats import stats_server
from services.terminal import ApplyChoice
from services.watcher.disk.local import LocalDisk
from services.watcher.eyes.service import Eyes
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.hands.executor import AskedFor, any_command
from services.watcher.hands.service import Hands
from services.watcher.hands.sight import Sight
from shared import imaging
from shared.bus.jetstream import Steward
from shared.bus.port import Bus
from shared.clock import SystemClock
from shared.config import Settings
from shared.errors import UsageError
from shared.index.port import Index
from shared.lifecycle import Service, given_up_on, run
from shared.telemetry.health import Health

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def all_in_one(
    settings: Settings, *, apply: ApplyChoice | None = None, old: OldSignatures | None = None
) -> AsyncIterator[Crew]:
    """All services on one bus in this process, holding every part of the state folder.

    With ``apply`` the executor may act as that choice says, but the resolver only proposes until it is asked (ADR 10).
    With ``old`` the analyser decodes nothing: it takes those signatures over (ADR 17).
    Raises ``StateInUse``, ``UsageError``, ``IndexMismatch``, ``IndexUnavailable``.
    """
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(bus_home(settings))
        settings, health = fenced(settings, home), Health()
        deciding = settings.model_copy(update={"action": "propose"}) if apply else settings
        acting = settings.model_copy(update={"action": apply.action}) if apply else settings
        steward = await home.steward()
        stack.push_async_callback(steward.close)
        index = await opened_index(stack, settings, writable=True)
        watch_index(index, health)
        batches = set[str]()
        asked_for = (lambda c: c.batch_id in batches) if apply else _asked_since(SystemClock().now(), settings)
        eyes, hands, snapshot = await _watcher(stack, home, acting, health, asked_for=asked_for)
        reconciling = _reconciling(settings, snapshot, index, steward)
        await reconciling.before()
        analyser = await _analyser(stack, home, settings, index, health, leave_unnamed=True, old=old)
        resolver, deciding_alone = await _resolver(stack, home, deciding, index, health)
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
            reconciling=reconciling,
            health=health,
            services=(*ours, steward, hands, analyser, deciding_alone),
            batches=batches,
        )


def _reconciling(settings: Settings, snapshot: Snapshot, index: Index, steward: Steward | None) -> Reconciling:
    return Reconciling(
        snapshot=snapshot,
        index=index,
        roots=list(settings.of_this_watcher().watchers),
        limits=settings.analysis,
        queues=None if steward is None else queues_of(steward),
    )


def _asked_since(start: float, settings: Settings) -> AskedFor:
    """A person's word for one batch ends with the process that it was given to; what a service decided does not."""
    return lambda command: not command.confirmed or command.expires_at - settings.command_expiry_seconds >= start


async def _steward(stack: AsyncExitStack, home: BusHome) -> Steward | None:
    """Beside the watcher, where its passwords allow it: somebody has to clear the streams of what everyone has read."""
    if home.credentials and "setup-data" not in home.credentials:
        return None
    steward = await home.steward()
    stack.push_async_callback(steward.close)
    return steward


async def _connected(stack: AsyncExitStack, home: BusHome, service: str, health: Health) -> Bus:
    bus = await home.connect(service)
    stack.push_async_callback(bus.close)
    health.add(f"bus of the {service}", bus.complaint)
    return bus


async def _watcher(
    stack: AsyncExitStack, home: BusHome, settings: Settings, health: Health, *, asked_for: AskedFor = any_command
) -> tuple[Eyes, Hands, Snapshot]:
    """Eyes and hands of this process, told of each other, and what they know."""
    folder, clock = take(stack, settings, "watcher"), SystemClock()
    bus = await _connected(stack, home, "watcher", health)
    snapshot = await asyncio.to_thread(Snapshot, folder / "snapshot.sqlite", now=clock.now)
    stack.callback(snapshot.close)
    eyes = Eyes(
        bus=bus,
        snapshot=snapshot,
        settings=settings.of_this_watcher(),
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


async def _watcher_alone(
    stack: AsyncExitStack, home: BusHome, settings: Settings, health: Health
) -> tuple[Service, ...]:
    """The watcher in its own process. An index that it can reach too tells it where its versions begin (S18)."""
    steward = await _steward(stack, home)
    eyes, hands, snapshot = await _watcher(stack, home, settings, health)
    if settings.index_url:
        index = await opened_index(stack, settings, writable=False, patience=math.inf)
        await _reconciling(settings, snapshot, index, steward).before()
    return (eyes, hands, *([steward] if steward else []))


async def _analyser(
    stack: AsyncExitStack,
    home: BusHome,
    settings: Settings,
    index: Index,
    health: Health,
    *,
    leave_unnamed: bool = False,
    old: OldSignatures | None = None,
) -> AnalyserService:
    bus = await _connected(stack, home, "analyser", health)
    pool = await stack.enter_async_context(WorkerPool(settings.analysis))
    workers = pool if old is None else TakingOver(pool, old)
    roots = {root.name: root.path for root in settings.roots}
    return AnalyserService(
        bus=bus, index=index, workers=workers, roots=roots, settings=settings, leave_unnamed=leave_unnamed
    )


async def _resolver(
    stack: AsyncExitStack, home: BusHome, settings: Settings, index: Index, health: Health
) -> tuple[ResolverService, Standby]:
    """The resolver, and what lets it decide only while no other does."""
    store, clock = await asyncio.to_thread(DecisionStore, take(stack, settings, "resolver")), SystemClock()
    stack.callback(store.close)
    bus = await _connected(stack, home, "resolver", health)
    by, takeover = socket.gethostname(), settings.takeover_seconds
    lead = Lead(bus, holder=store.memory_id, by=by, wall=clock.now, takeover=takeover)
    service = ResolverService(bus=bus, index=index, store=store, settings=settings, clock=clock, in_charge=lead.holds)
    inheritance = Inheritance(bus=bus, store=store, answers=service.answers, clock=clock)
    return service, Standby(service, lead=lead, inheritance=inheritance, store=store)


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
            yield await _watcher_alone(stack, home, settings, health), health
            return
        if name == "steward":
            steward = await _steward(stack, home)
            yield ((steward,) if steward else ()), health
            return
        index = await opened_index(stack, settings, writable=name == "analyser", patience=math.inf)
        watch_index(index, health)
        if name == "analyser":
            yield (await _analyser(stack, home, settings, index, health),), health
            return
        _, deciding = await _resolver(stack, home, settings, index, health)
        yield (deciding,), health


async def run_service(name: str, settings: Settings, *, stop: asyncio.Event) -> None:
    """Run one service on an external bus until ``stop`` is set. Raises ``Stopped`` if it still waited for it."""
    async with AsyncExitStack() as stack:
        async with given_up_on(stop):
            services, health = await stack.enter_async_context(one_service(name, settings))
        with stats_server(settings, health):
            await run(services, stop)
