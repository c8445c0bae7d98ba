"""The server and the analysers are killed again and again: nothing missing, nothing out of order, nothing stored twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import defaultdict

import pytest
import structlog

from shared.bus.consuming import publish_patiently, work_through
from shared.bus.names import ANALYSER_FS, ANALYSER_FS_RETRY, RESOLVER_SIG
from shared.bus.port import Delivery
from shared.errors import TransientError
from shared.messages.analysis import FileForgotten
from shared.paths import PARTITIONS
from tests.support.bus import RunningBus, running_bus
from tests.support.messages import settled

log = structlog.get_logger()


@pytest.mark.parametrize(
    ("events", "kills"), [(400, 3), pytest.param(8_000, 45, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
async def test_s18_whatever_is_killed_every_event_has_its_result(tmp_path, events: int, kills: int) -> None:
    dice = random.Random(18)
    async with running_bus(tmp_path, ack_wait=2.0) as bus:
        run = Run(bus, events, dice)
        async with asyncio.timeout(600), asyncio.TaskGroup() as group:
            for part in (bus.server.run(run.over), run.resolve(), run.watch(), run.kill(kills)):
                group.create_task(part)
            for _ in range(2):
                group.create_task(run.analyse())
        steward = await bus.steward()
        assert set(run.results) == run.expected
        assert all(versions == sorted(versions) for versions in run.first_seen.values())
        assert await steward.last_seq("SIG") == len(run.expected), "each result is stored once"


class Run:
    """Watcher, analysers, a resolver and somebody who kills."""

    def __init__(self, bus: RunningBus, events: int, dice: random.Random) -> None:
        self._bus, self._dice, self.over = bus, dice, asyncio.Event()
        self._events = [settled(f"{i // 4}.jpg", 1 + i % 4) for i in range(events)]
        self.expected = {f"sig:{e.about}:{e.version}" for e in self._events}
        self.results: set[str] = set()
        #: versions of each file in the order in which they were first worked on, retried ones aside
        self.first_seen: dict[str, list[int]] = defaultdict(list)
        self._killed = asyncio.Event()
        self._analysing: list[asyncio.Task[None]] = []

    async def watch(self) -> None:
        watcher = await self._bus.connect("watcher")
        for i, event in enumerate(self._events):
            if i == len(self._events) - 20:  # so that it is not over before the last kill
                await self._killed.wait()
            assert await publish_patiently(watcher, event)
            await asyncio.sleep(0)

    async def analyse(self) -> None:
        """A service that is started again whenever it was cut off in the middle."""
        while not self.over.is_set():
            analyser = await self._bus.connect("analyser")
            task = asyncio.create_task(self._work(analyser))
            self._analysing.append(task)
            await asyncio.wait({task})
            self._analysing.remove(task)
            await analyser.close()

    async def _work(self, analyser) -> None:
        async def handle(delivery: Delivery) -> None:
            event = delivery.message
            if event.version not in self.first_seen[event.about]:
                self.first_seen[event.about].append(event.version)
            result = FileForgotten(file=event.file, version=event.version, reason="deleted")
            await publish_patiently(analyser, result, cause=delivery.envelope)
            if self._dice.random() < 0.01 and delivery.deliveries == 1:
                raise TransientError("bad luck")

        async with asyncio.TaskGroup() as group:
            for consumer in (*(f"{ANALYSER_FS}{n}" for n in range(PARTITIONS)), ANALYSER_FS_RETRY):
                group.create_task(work_through(analyser, consumer, handle, stop=self.over))

    async def resolve(self) -> None:
        resolver = await self._bus.connect("resolver")

        async def handle(delivery: Delivery) -> None:
            self.results.add(delivery.message.message_id)
            if self.results == self.expected:
                self.over.set()

        await work_through(resolver, RESOLVER_SIG, handle, stop=self.over)

    async def kill(self, kills: int) -> None:
        for i in range(kills):
            await asyncio.sleep(0.2 + self._dice.random() * 0.5)
            if i % 3 == 0 and self._bus.server.is_running:
                os.kill(self._bus.server.pid, signal.SIGKILL)
            elif self._analysing:
                self._dice.choice(self._analysing).cancel()
        self._killed.set()
