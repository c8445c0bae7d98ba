"""Declaring is idempotent and repairs; clearing up takes only what everyone has acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from shared.bus.consuming import work_through
from shared.bus.jetstream import setup
from shared.bus.names import EXECUTOR_REQ, RESOLVER_REQ
from shared.bus.port import Delivery
from shared.bus.topology import declared
from shared.telemetry import metrics
from tests.support.bus import RunningBus, running_bus, until_nothing_is_open, until_purged
from tests.support.messages import confirm, settled

SOON = 20.0


async def handled(bus, consumer: str, count: int) -> None:
    stop, seen = asyncio.Event(), []

    async def handle(delivery) -> None:
        seen.append(delivery)
        if len(seen) == count:
            stop.set()

    async with asyncio.timeout(SOON):
        await work_through(bus, consumer, handle, stop=stop)


async def taken(batches: AsyncIterator[Sequence[Delivery]], count: int) -> list[Delivery]:
    """So many deliveries, which nobody will answer."""
    held: list[Delivery] = []
    async with asyncio.timeout(SOON):
        while len(held) < count:
            held += await anext(batches)
    return held


async def test_only_what_every_consumer_has_acknowledged_is_purged(bus: RunningBus) -> None:
    person, resolver, watcher = [await bus.connect(s) for s in ("person", "resolver", "watcher")]
    steward = await bus.steward()
    await person.publish_many([confirm(f"r{i}") for i in range(10)])
    await handled(resolver, RESOLVER_REQ, 10)
    assert (await steward.purge_consumed(worth_it=1))["REQ"] == 0, "the executor has not seen them"
    await handled(watcher, EXECUTOR_REQ, 4)
    assert await until_purged(steward, "REQ") == 4
    await handled(watcher, EXECUTOR_REQ, 6)
    assert await until_purged(steward, "REQ") == 6


async def test_an_idle_partition_does_not_hold_the_stream(bus: RunningBus) -> None:
    """63 consumers have never seen a message; their own floor would keep everything for ever."""
    watcher, analyser, steward = await bus.connect("watcher"), await bus.connect("analyser"), await bus.steward()
    event = settled()
    await watcher.publish(event)
    await handled(analyser, f"analyser-fs-{event.file.photo.partition}", 1)
    assert await until_purged(steward, "FS") == 1
    await watcher.publish(settled(version=2))
    assert (await steward.purge_consumed(worth_it=1))["FS"] == 0, "not handled yet"
    await handled(analyser, f"analyser-fs-{event.file.photo.partition}", 1)


async def test_s18_what_was_stored_just_now_is_not_purged_though_the_server_has_not_counted_it_yet(
    bus: RunningBus,
) -> None:
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    for n in range(300):
        await watcher.publish(settled(f"{n}.jpg"))
        assert (await steward.purge_consumed(worth_it=1))["FS"] == 0
    assert await steward.is_idle("analyser-fs-") is False


async def test_declaring_again_changes_nothing_and_a_change_is_carried_out(tmp_path: Path) -> None:
    async with running_bus(tmp_path) as bus:
        await (await bus.connect("watcher")).publish(settled())
        steward = await bus.steward()
        before = await steward._counter_of("FS").consumers("FS")
        await steward.declare()
        assert {n: c["created"] for n, c in (await steward._counter_of("FS").consumers("FS")).items()} == {
            n: c["created"] for n, c in before.items()
        }
        changed = declared(size_factor=0.06, ack_wait=30.0)
        await setup(bus.url, bus.credentials, changed)
        found = (await steward._counter_of("FS").consumers("FS"))["analyser-fs-0"]["config"]
        assert found["ack_wait"] == 30 * 10**9
        assert (await steward._counter_of("FS").stream("FS"))["config"]["max_bytes"] == changed.stream("FS").max_bytes
        assert await steward.last_seq("FS") == 1


async def test_what_nobody_answered_is_handed_out_at_once_by_a_server_that_starts(tmp_path: Path) -> None:
    async with running_bus(tmp_path) as bus:  # its ack_wait is a minute
        watcher, analyser, executor = [await bus.connect(s) for s in ("watcher", "analyser", "watcher")]
        event, asked = settled(), [confirm(f"r{i}") for i in range(3)]
        await watcher.publish(event)
        await (await bus.connect("person")).publish_many(asked)
        held = [
            *await taken(analyser.consume(f"analyser-fs-{event.file.photo.partition}"), 1),
            *await taken(executor.consume(EXECUTOR_REQ, batch=3), 3),
        ]
        assert [d.deliveries for d in held] == [1, 1, 1, 1]
        await bus.server.stop()
        await bus.server.start()
        steward = await bus.steward()
        async with asyncio.timeout(SOON):
            assert await steward.hand_out_again() == 4
            await handled(analyser, f"analyser-fs-{event.file.photo.partition}", 1)
            await handled(executor, EXECUTOR_REQ, 3)
            # answers travel on connections of their own
            await until_nothing_is_open(steward, "analyser-fs-", EXECUTOR_REQ)
            assert await steward.hand_out_again() == 0
        config = (await steward._counter_of("FS").consumers("FS"))["analyser-fs-0"]["config"]
        assert config["ack_wait"] == 60 * 10**9, "the time to answer is what it was"


async def test_the_queue_depths_are_measured(bus: RunningBus) -> None:
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    await watcher.publish_many([settled(f"{i}.jpg") for i in range(30)])
    await steward.measure()
    assert metrics.QUEUE_DEPTH.labels("analyser-fs")._value.get() == 30
    assert metrics.QUEUE_DEPTH.labels("resolver-sig")._value.get() == 0


async def test_it_goes_round_until_it_is_stopped_and_survives_a_lost_server(bus: RunningBus) -> None:
    steward, stop = await bus.steward(), asyncio.Event()
    watcher = await bus.connect("watcher")
    await watcher.publish(settled())
    going = asyncio.create_task(steward.run(stop, every=0.05, measure_every=0.05))
    async with asyncio.timeout(SOON):
        while metrics.QUEUE_DEPTH.labels("analyser-fs")._value.get() != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        stop.set()
        await going
