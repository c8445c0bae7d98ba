"""One resolver decides, others stand by with their own memories of what it does, and take over when it is silent."""

from __future__ import annotations

import asyncio

import structlog

from services.resolver.inheriting import Inheritance
from services.resolver.leading import Lead
from services.resolver.service import ResolverService
from services.resolver.store import DecisionStore, StoreUnavailable
from shared.bus.consuming import OUTAGES, patiently
from shared.bus.port import BusUnavailable
from shared.clock import SystemClock
from shared.lifecycle import unless_stopped

log = structlog.get_logger()

#: seconds between two comparisons of a standing-by memory with the index; at taking over it is compared once more
COMPARE_EVERY = 600.0
_OUTAGES = (*OUTAGES, StoreUnavailable)


class Standby:
    """A ``lifecycle.Service`` around a resolver: decides while it has the lead, follows while another has."""

    def __init__(
        self,
        service: ResolverService,
        *,
        lead: Lead,
        inheritance: Inheritance,
        store: DecisionStore,
        compare_every: float = COMPARE_EVERY,
    ) -> None:
        self._service, self._lead, self._inheritance, self._store = service, lead, inheritance, store
        self._compare_every = compare_every

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with asyncio.TaskGroup() as group:
                inherits = await self._taken(stop, group)
                if inherits is not None:
                    over = asyncio.Event()
                    group.create_task(self._lead.keep(over))
                    await self._decide(stop, over, inherits=inherits)
        await self._lead.release()

    async def _taken(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> bool | None:
        """Once the lead is ours: whether another had it before. None: stopped meanwhile."""
        following: asyncio.Task[None] | None = None
        enough = asyncio.Event()
        try:
            while not stop.is_set():
                other = await self._tried()
                if isinstance(other, bool):
                    return other
                if following is None and other is not None:
                    log.info("resolver.standing_by", active=other)
                    following = group.create_task(self._follow(enough))
                await unless_stopped(stop, self._lead.pause)
        finally:
            enough.set()
            if following is not None:
                await asyncio.wait([following])
        return None

    async def _tried(self) -> bool | str | None:
        """The lead taken: whether another had it. Else the host that has it; None: nobody can say."""
        try:
            other = await self._lead.somebody_else()
            if await self._lead.take():
                return other is not None
            return other or "a copy of this memory"
        except BusUnavailable as error:
            log.debug("resolver.lead_unknown", error=str(error))
            return None

    async def _follow(self, enough: asyncio.Event) -> None:
        """Keep this memory near the other's, and near the index."""
        clock, compared = SystemClock(), float("-inf")
        while not enough.is_set():
            await patiently(self._inheritance.follow, stop=enough, outages=_OUTAGES, what="following")
            if clock.monotonic() - compared >= self._compare_every and not enough.is_set():
                await patiently(lambda: self._service.prepare(enough), stop=enough, outages=_OUTAGES, what="sweep")
                compared = clock.monotonic()
            await unless_stopped(enough, self._lead.pause)

    async def _decide(self, stop: asyncio.Event, over: asyncio.Event, *, inherits: bool) -> None:
        ending = asyncio.create_task(_pass_on(stop, over))
        try:
            if inherits:
                await patiently(self._inheritance.complete, stop=over, outages=_OUTAGES, what="taking over")
            if not over.is_set():
                await asyncio.to_thread(self._store.take_note, "led_last", 1)
                await self._service.run(over, resumed=not inherits)
        finally:
            over.set()
            ending.cancel()


async def _pass_on(stop: asyncio.Event, over: asyncio.Event) -> None:
    await stop.wait()
    over.set()
