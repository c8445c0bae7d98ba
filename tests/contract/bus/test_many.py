"""``publish_many``: one fsync for hundreds, and the same guarantees as one by one (G1)."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from shared.bus.jetstream import JetStreamBus
from shared.bus.jetstream.storing import Letter
from shared.bus.jetstream.together import BATCH, BATCH_BYTES, chunks
from shared.bus.port import BusUnavailable, NotPermitted
from shared.messages.base import Message
from tests.support.bus import RunningBus
from tests.support.messages import analysed, decided, done, settled, take

SOON = 20.0


async def test_more_than_one_batch_in_the_order_given(bus: RunningBus) -> None:
    watcher, audit = await bus.connect("watcher"), await bus.connect("audit")
    live = await audit.following("photosift.fs.>")
    events = [settled(f"{i}.jpg") for i in range(2 * BATCH + 17)]
    await watcher.publish_many(events)
    async with asyncio.timeout(SOON):
        heard = [(await anext(live))[1] for _ in events]
    assert heard == events


async def test_none_and_one_are_fine(bus: RunningBus) -> None:
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    await watcher.publish_many([])
    await watcher.publish_many([settled()])
    assert await steward.last_seq("FS") == 1


@pytest.mark.parametrize("again", [[0], [5], [19], list(range(20)), [3, 3]])
async def test_what_was_stored_before_is_not_stored_twice_and_the_rest_is(bus: RunningBus, again: list[int]) -> None:
    """A batch with an id that the server knows is refused whole; then it goes one by one."""
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    events = [settled(f"{i}.jpg") for i in range(20)]
    for i in again:
        await watcher.publish(events[i])
    await watcher.publish_many(events)
    await watcher.publish_many(events)
    assert await steward.last_seq("FS") == len(events)


async def test_the_same_message_twice_in_one_call_is_stored_once(bus: RunningBus) -> None:
    watcher, steward = await bus.connect("watcher"), await bus.steward()
    await watcher.publish_many([settled("a.jpg"), settled("b.jpg"), settled("a.jpg")])
    assert await steward.last_seq("FS") == 2


async def test_messages_of_several_streams_go_to_their_own(bus: RunningBus) -> None:
    resolver, steward = await bus.connect("resolver"), await bus.steward()
    await resolver.publish_many([decided("d1"), take("d1"), decided("d2"), take("d2")])
    assert [await steward.last_seq(s) for s in ("DEC", "CMD")] == [2, 2]


async def test_s20_one_that_is_not_permitted_keeps_all_back(bus: RunningBus) -> None:
    analyser, steward = await bus.connect("analyser"), await bus.steward()
    with pytest.raises(NotPermitted):
        await analyser.publish_many([done(), analysed(), take()])
    assert [await steward.last_seq(s) for s in ("SIG", "CMD", "OUT")] == [0, 0, 0]


async def test_a_server_killed_in_the_middle_leaves_nothing_missing_after_another_try(bus: RunningBus) -> None:
    watcher, stop = await bus.connect("watcher", answer_within=1.0), asyncio.Event()
    events: list[Message] = [settled(f"{i}.jpg") for i in range(4 * BATCH)]
    first = bus.server.pid
    supervisor = asyncio.create_task(bus.server.run(stop))
    try:
        async with asyncio.timeout(SOON):
            asyncio.get_running_loop().call_later(0.05, os.kill, first, signal.SIGKILL)
            while not await went_through(watcher, events) or bus.server.pid == first:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await supervisor
    assert await (await bus.steward()).last_seq("FS") == len(events)


async def went_through(watcher: JetStreamBus, events: list[Message]) -> bool:
    try:
        await watcher.publish_many(events)
    except BusUnavailable:
        return False
    return True


def test_a_batch_is_cut_by_number_and_by_bytes() -> None:
    def letters(*sizes: int) -> list[Letter]:
        return [Letter(subject=str(i), payload=b"x" * size, headers={}) for i, size in enumerate(sizes)]

    many = letters(*[1] * (2 * BATCH + 1))
    assert [len(c) for c in chunks(many)] == [BATCH, BATCH, 1]
    assert [letter for c in chunks(many) for letter in c] == many
    big = letters(BATCH_BYTES, 1, BATCH_BYTES + 1, BATCH_BYTES // 2, BATCH_BYTES // 2, 1)
    assert [len(c) for c in chunks(big)] == [1, 1, 1, 2, 1]
    assert list(chunks([])) == []
