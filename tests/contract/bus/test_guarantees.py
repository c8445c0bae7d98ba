"""G1 to G7 of ``shared.bus.port``, against a real server."""

from __future__ import annotations

import asyncio
import os
import signal
from base64 import b64decode
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import structlog.testing

from shared.bus.consuming import publish_patiently, work_through, work_through_batches
from shared.bus.names import ANALYSER_FS, ANALYSER_FS_RETRY, EXECUTOR_REQ, RESOLVER_REQ, RESOLVER_SIG
from shared.bus.port import BusUnavailable, Delivery, NotPermitted
from shared.errors import PermanentError, TransientError
from shared.messages.base import Message
from shared.messages.deadletters import DeadLetter
from shared.messages.envelope import decode
from shared.paths import PARTITIONS
from tests.support.bus import RunningBus, halt, operator, running_bus, until_nothing_is_open, until_purged
from tests.support.messages import analysed, confirm, settled, take

SOON = 20.0


def partition(message: Message) -> str:
    """The consumer of a file event."""
    return f"{ANALYSER_FS}{message.file.photo.partition}"  # type: ignore[attr-defined]


def in_one_partition(count: int) -> list[Message]:
    """File events of different files that share a partition."""
    wanted = settled("0.jpg").file.photo.partition
    events = (settled(f"{i}.jpg") for i in range(count * PARTITIONS * 4))
    return [e for e in events if e.file.photo.partition == wanted][:count]


class Collector:
    """Collects messages and says when there are enough."""

    def __init__(self, enough: int) -> None:
        self.deliveries: list[Delivery] = []
        self.stop, self._enough = asyncio.Event(), enough

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if len(self.deliveries) >= self._enough:
            self.stop.set()

    @property
    def ids(self) -> list[str]:
        return [d.message.message_id for d in self.deliveries]


# G1: stored when it returns


async def test_g1_what_was_published_is_stored_when_publish_returns(bus: RunningBus) -> None:
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    await watcher.publish(settled())
    assert await steward.last_seq("FS") == 1


async def test_g1_the_same_id_is_stored_once(bus: RunningBus) -> None:
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    for _ in range(3):
        await watcher.publish(settled())
    await watcher.publish_many([settled()] * 5)
    assert await steward.last_seq("FS") == 1


async def test_g1_many_are_all_stored_and_in_order_within_one_file(bus: RunningBus) -> None:
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser")
    steward = await bus.steward()
    events = [settled(f"{i}.jpg", version) for version in range(1, 6) for i in range(300)]
    await watcher.publish_many(events)
    assert await steward.last_seq("FS") == len(events)
    collect = Collector(len(events))
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        for n in range(PARTITIONS):
            group.create_task(work_through(analyser, f"{ANALYSER_FS}{n}", collect, stop=collect.stop))
    versions = defaultdict(list)
    for delivery in collect.deliveries:
        versions[delivery.message.about].append(delivery.message.version)  # type: ignore[attr-defined]
    assert len(versions) == 300
    assert all(v == [1, 2, 3, 4, 5] for v in versions.values())


async def test_g1_a_server_that_does_not_answer_is_unavailable(bus: RunningBus) -> None:
    watcher = await bus.connect("watcher", answer_within=0.3)
    await halt(bus.server.pid)
    try:
        with pytest.raises(BusUnavailable):
            await watcher.publish(settled())
        patient = asyncio.create_task(publish_patiently(watcher, settled()))
    finally:
        os.kill(bus.server.pid, signal.SIGCONT)
    async with asyncio.timeout(SOON):
        assert await patient is True
    assert await (await bus.steward()).last_seq("FS") == 1


async def test_g1_a_full_stream_is_unavailable_until_the_steward_has_cleared_it(tmp_path: Path) -> None:
    async with running_bus(tmp_path, size_factor=0.002) as bus:  # 2 MiB
        watcher, analyser, steward = await bus.connect("watcher"), await bus.connect("analyser"), await bus.steward()
        *events, late = (settled("x" * 30_000 + str(i)) for i in range(100))
        with pytest.raises(BusUnavailable, match="full"):
            await watcher.publish_many(events)
        with pytest.raises(BusUnavailable, match="full"):
            for event in events:  # a batch is refused whole; what is left takes some more
                await watcher.publish(event)
        waiting = asyncio.create_task(publish_patiently(watcher, late))
        collect = Collector(await steward.last_seq("FS"))
        async with asyncio.timeout(SOON):
            async with asyncio.TaskGroup() as group:
                for n in range(PARTITIONS):
                    group.create_task(work_through(analyser, f"{ANALYSER_FS}{n}", collect, stop=collect.stop))
            assert not waiting.done()
            assert await until_purged(steward, "FS") == len(collect.deliveries)
            assert await waiting is True


async def test_g1_what_is_too_long_is_refused_for_good(bus: RunningBus) -> None:
    person = await bus.connect("person")
    with pytest.raises(PermanentError, match="at most"):
        await person.publish(confirm("r" * 800_000))


async def test_g1_what_is_not_this_services_is_not_permitted(bus: RunningBus) -> None:
    for service in ("watcher", "analyser", "person", "audit"):
        other = await bus.connect(service)
        with pytest.raises(NotPermitted):
            await other.publish(take())


# G2: what is not answered comes again


async def test_g2_an_unanswered_delivery_comes_again_after_its_ack_wait(bus: RunningBus) -> None:
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser")
    await watcher.publish(settled())
    deliveries = analyser.consume(partition(settled()))
    async with asyncio.timeout(SOON):
        (first,) = await anext(deliveries)
        (second,) = await anext(deliveries)
    assert (first.deliveries, second.deliveries) == (1, 2)
    assert first.seq == second.seq
    await deliveries.aclose()  # type: ignore[attr-defined]


async def test_g2_in_progress_keeps_a_delivery_from_coming_again(bus: RunningBus) -> None:
    """ack_wait is 2 s here; the handler takes longer, with a heartbeat."""
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser")
    await watcher.publish(settled())
    stop, calls = asyncio.Event(), []

    async def slowly(delivery: Delivery) -> None:
        calls.append(delivery.deliveries)
        await asyncio.sleep(3.0)
        stop.set()

    async with asyncio.timeout(SOON):
        await work_through(analyser, partition(settled()), slowly, stop=stop, heartbeat=0.5)
    assert calls == [1]
    await until_nothing_is_open(await bus.steward(), ANALYSER_FS)


async def one_in_hand_and_nine_waiting(bus: RunningBus) -> AsyncIterator[Sequence[Delivery]]:
    """A consumer of which one delivery was taken; nine more lie here, handed out by the server."""
    person, resolver = await bus.connect("person"), await bus.connect("resolver")
    deliveries = resolver.consume(RESOLVER_REQ, batch=10)
    await person.publish(confirm("r0"))
    (first,) = await anext(deliveries)
    await first.ack()
    for i in range(1, 10):
        await person.publish(confirm(f"r{i}"))
    counter = (await bus.steward())._counter_of("REQ")
    while (await counter.consumers("REQ"))[RESOLVER_REQ]["num_ack_pending"] < 9:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return deliveries


async def test_g2_what_was_handed_out_but_not_taken_comes_again_at_once(tmp_path: Path) -> None:
    async with running_bus(tmp_path, ack_wait=60) as bus, asyncio.timeout(SOON):
        deliveries = await one_in_hand_and_nine_waiting(bus)
        await deliveries.aclose()  # type: ignore[attr-defined]
        collect = Collector(9)
        await work_through(await bus.connect("resolver"), RESOLVER_REQ, collect, stop=collect.stop)
        assert sorted(collect.ids) == [f"req:r{i}" for i in range(1, 10)]


async def test_g2_what_lay_here_too_long_is_taken_in_its_next_copy_alone(bus: RunningBus) -> None:
    """ack_wait is 2 s here: the server has given up the nine, and hands them out again."""
    async with asyncio.timeout(SOON):
        deliveries = await one_in_hand_and_nine_waiting(bus)
        await asyncio.sleep(2.2)
        taken: list[Delivery] = []
        while len(taken) < 9:
            for delivery in await anext(deliveries):
                taken.append(delivery)
                await delivery.ack()
        await deliveries.aclose()  # type: ignore[attr-defined]
    assert sorted(d.message.message_id for d in taken) == [f"req:r{i}" for i in range(1, 10)]
    assert {d.deliveries for d in taken} == {2}


async def test_g2_stop_ends_an_idle_fetch_promptly(bus: RunningBus) -> None:
    analyser, stop = await bus.connect("analyser"), asyncio.Event()
    working = asyncio.create_task(work_through(analyser, f"{ANALYSER_FS}0", Collector(1), stop=stop))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.wait_for(working, 1.0)


# G3: one at a time, in order


async def test_g3_a_partition_is_handled_one_at_a_time_in_order_by_any_number_of_analysers(bus: RunningBus) -> None:
    watcher = await bus.connect("watcher")
    events = in_one_partition(40)
    for event in events:
        await watcher.publish(event)
    collect, at_once, most = Collector(len(events)), 0, 0

    async def handle(delivery: Delivery) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        await collect(delivery)

    analysers = [await bus.connect("analyser") for _ in range(3)]
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        for analyser in analysers:
            group.create_task(work_through(analyser, partition(events[0]), handle, stop=collect.stop, concurrency=2))
    assert collect.ids == [e.message_id for e in events]
    assert most == 1


# G4: a retry blocks nobody


async def test_g4_a_retry_does_not_block_its_partition(bus: RunningBus) -> None:
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser", back_off=(2.0,))
    bad, *good = in_one_partition(4)
    for event in (bad, *good):
        await watcher.publish(event)
    collect, fine = Collector(5), []

    async def handle(delivery: Delivery) -> None:
        await collect(delivery)
        if delivery.message == bad and delivery.deliveries == 1:
            raise TransientError("not now")
        fine.append(delivery.message)

    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        for consumer in (partition(bad), ANALYSER_FS_RETRY):
            group.create_task(work_through(analyser, consumer, handle, stop=collect.stop))
    assert fine == [*good, bad]
    assert collect.deliveries[-1].deliveries == 2
    await until_nothing_is_open(await bus.steward(), ANALYSER_FS)


async def test_g4_a_retry_waits_for_its_time(bus: RunningBus) -> None:
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser", back_off=(1.0,))
    await watcher.publish(settled())
    loop, times = asyncio.get_running_loop(), []
    collect = Collector(2)

    async def handle(delivery: Delivery) -> None:
        times.append(loop.time())
        await collect(delivery)
        if delivery.deliveries == 1:
            raise TransientError("not now")

    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        for consumer in (partition(settled()), ANALYSER_FS_RETRY):
            group.create_task(work_through(analyser, consumer, handle, stop=collect.stop))
    assert times[1] - times[0] >= 0.9


@pytest.mark.parametrize("kind", ["beside", "in place"])
async def test_g4_after_five_attempts_it_is_given_up(bus: RunningBus, kind: str) -> None:
    person, attempts, stop = await bus.connect("person"), [], asyncio.Event()
    letters = await person.following("photosift.dlq.>", "photosift.dlqc.>")
    if kind == "beside":
        await (await bus.connect("watcher")).publish(settled())
        worker, consumers = await bus.connect("analyser"), (partition(settled()), ANALYSER_FS_RETRY)
    else:
        await person.publish(confirm())
        worker, consumers = await bus.connect("watcher"), (EXECUTOR_REQ,)

    async def never(delivery: Delivery) -> None:
        attempts.append(delivery.deliveries)
        raise TransientError("never")

    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        for consumer in consumers:
            group.create_task(work_through(worker, consumer, never, stop=stop))
        _, letter = await anext(letters)
        stop.set()
    assert attempts == [1, 2, 3, 4, 5]
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.deliveries) == ("gave-up", 5)
    assert "never" in letter.explanation
    await until_nothing_is_open(await bus.steward(), consumers[0])


# G5, G6: dead letters


async def test_g5_s19_a_dead_letter_carries_reason_and_payload_and_blocks_nobody(bus: RunningBus) -> None:
    watcher, analyser, person = await bus.connect("watcher"), await bus.connect("analyser"), await bus.connect("person")
    letters = await person.following("photosift.dlq.>")
    bad, good = in_one_partition(2)
    await watcher.publish(bad)
    await watcher.publish(good)
    collect = Collector(2)

    async def handle(delivery: Delivery) -> None:
        await collect(delivery)
        if delivery.message == bad:
            raise ValueError("what is this?")

    async with asyncio.timeout(SOON):
        await work_through(analyser, partition(bad), handle, stop=collect.stop)
        envelope, letter = await anext(letters)
    assert collect.ids == [bad.message_id, good.message_id]
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.consumer, letter.deliveries) == ("crashed", partition(bad), 1)
    assert "what is this?" in letter.explanation
    assert decode(b64decode(letter.payload_b64))[1] == bad
    assert envelope.correlationid == collect.deliveries[0].envelope.correlationid


async def test_g5_s19_a_permanent_error_is_given_up_at_once_with_its_code(bus: RunningBus) -> None:
    watcher, analyser, person = await bus.connect("watcher"), await bus.connect("analyser"), await bus.connect("person")
    letters, stop = await person.following("photosift.dlq.>"), asyncio.Event()
    await watcher.publish(settled())

    async def refuse(_delivery: Delivery) -> None:
        stop.set()
        raise PermanentError("no")

    async with asyncio.timeout(SOON):
        await work_through(analyser, partition(settled()), refuse, stop=stop)
        _, letter = await anext(letters)
    assert letter.reason == "permanent"  # type: ignore[attr-defined]


async def test_g5_in_a_failing_batch_only_the_culprit_is_given_up(bus: RunningBus) -> None:
    analyser, resolver, person = (
        await bus.connect("analyser"),
        await bus.connect("resolver"),
        await bus.connect("person"),
    )
    letters, stop, done = await person.following("photosift.dlq.>"), asyncio.Event(), set()
    await analyser.publish_many([analysed(f"{i}.jpg") for i in range(20)])

    async def handle(batch) -> None:
        if any(d.message.file.path == "7.jpg" for d in batch):
            raise ValueError("seven")
        done.update(d.message.file.path for d in batch)
        if len(done) == 19:
            stop.set()

    async with asyncio.timeout(SOON):
        await work_through_batches(resolver, RESOLVER_SIG, handle, stop=stop, batch=64)
        _, letter = await anext(letters)
    assert decode(b64decode(letter.payload_b64))[1].file.path == "7.jpg"
    assert done == {f"{i}.jpg" for i in range(20)} - {"7.jpg"}


async def test_g5_s18_a_dead_letter_that_cannot_be_stored_keeps_its_message(bus: RunningBus) -> None:
    watcher, analyser, person = await bus.connect("watcher"), await bus.connect("analyser"), await bus.connect("person")
    letters, steward, tried = await person.following("photosift.dlq.>"), await bus.steward(), asyncio.Event()
    await watcher.publish(settled())
    async with operator(bus) as client:
        await client.jetstream().delete_stream("DLQ")
    stop = asyncio.Event()

    async def crash(_delivery: Delivery) -> None:
        tried.set()
        raise ValueError("x")

    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        group.create_task(work_through(analyser, partition(settled()), crash, stop=stop))
        await tried.wait()
        await asyncio.sleep(0.3)
        assert await steward.backlog(partition(settled())) == 1
        await steward.declare()
        _, letter = await anext(letters)
        await until_nothing_is_open(steward, partition(settled()))
        stop.set()
    assert decode(b64decode(letter.payload_b64))[1] == settled()  # type: ignore[attr-defined]


@pytest.mark.parametrize("payload", [b"", b"\0\xff", b"{}", b'{"specversion":"1.0"}', b"[" * 50_000], ids=range(5))
async def test_g6_what_does_not_decode_goes_to_the_dead_letters_by_itself(bus: RunningBus, payload: bytes) -> None:
    watcher, analyser, person = await bus.connect("watcher"), await bus.connect("analyser"), await bus.connect("person")
    letters, good = await person.following("photosift.dlq.>"), settled()
    subject = f"photosift.fs.{good.file.photo.partition}.settled"
    await watcher._links["watcher"].ask(subject, payload)
    await watcher.publish(good)
    collect = Collector(1)
    async with asyncio.timeout(SOON):
        await work_through(analyser, partition(good), collect, stop=collect.stop)
        _, letter = await anext(letters)
    assert collect.ids == [good.message_id]
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.origin, letter.origin_seq) == ("message-rejected", subject, 1)
    assert b64decode(letter.payload_b64) == payload


# G7: lost and found


async def test_g7_a_killed_server_is_said_once_and_everything_goes_on(bus: RunningBus) -> None:
    """kill -9 in the middle; the supervisor starts it again on the same port. Nothing is missing afterwards."""
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser")
    events = [settled(f"{i}.jpg") for i in range(400)]
    collect, seen, over = Collector(10**9), set(), asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        await collect(delivery)
        seen.add(delivery.message.message_id)
        if len(seen) == len(events):
            over.set()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            supervisor = group.create_task(bus.server.run(over))
            for n in range(PARTITIONS):
                group.create_task(work_through(analyser, f"{ANALYSER_FS}{n}", handle, stop=over))
            first_pid = bus.server.pid
            for i, event in enumerate(events):
                if i == 200:
                    os.kill(first_pid, signal.SIGKILL)
                assert await publish_patiently(watcher, event)
            await over.wait()
            await supervisor
    assert seen == {e.message_id for e in events}
    assert bus.server.pid != first_pid
    lost = [entry["user"] for entry in logs if entry["event"] == "bus.connection_lost"]
    assert sorted(lost) == ["analyser", "executor", "watcher"]
    assert sum(entry["event"] == "bus.server_died" for entry in logs) == 1


async def test_g7_a_stopped_server_is_waited_for(bus: RunningBus) -> None:
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser")
    collect = Collector(2)
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        group.create_task(work_through(analyser, partition(settled()), collect, stop=collect.stop))
        await watcher.publish(settled(version=1))
        await halt(bus.server.pid)
        try:
            patient = asyncio.create_task(publish_patiently(watcher, settled(version=2)))
            await asyncio.sleep(0.5)
            assert not patient.done()
        finally:
            os.kill(bus.server.pid, signal.SIGCONT)
        assert await patient
    assert collect.ids == [settled(version=1).message_id, settled(version=2).message_id]


async def test_g7_a_deleted_consumer_is_said_once_and_works_again_when_declared(bus: RunningBus) -> None:
    watcher, analyser, steward = await bus.connect("watcher"), await bus.connect("analyser"), await bus.steward()
    consumer, collect = partition(settled()), Collector(1)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            group.create_task(work_through(analyser, consumer, collect, stop=collect.stop))
            async with operator(bus) as client:
                await client.jetstream().delete_consumer("FS", consumer)
            await watcher.publish(settled())
            await asyncio.sleep(1.0)
            assert collect.deliveries == []
            await steward.declare()
    assert collect.ids == [settled().message_id]
    assert sum(entry["event"] == "bus.consumer_troubled" for entry in logs) == 1
