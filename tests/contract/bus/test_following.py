"""People and audit see every message that was stored, once, from every stream, and nothing else."""

from __future__ import annotations

import asyncio
import json

import nats
import pytest

from shared.bus.accounts import inbox_prefix
from shared.bus.names import SUBJECT_OUT
from shared.bus.port import NotPermitted
from tests.support.bus import RunningBus
from tests.support.messages import analysed, answered, confirm, decided, done, samples, settled, take

SOON = 20.0


@pytest.mark.parametrize("who", ["person", "audit"])
async def test_what_is_stored_is_seen_once_in_every_stream(bus: RunningBus, who: str) -> None:
    reader = await bus.connect(who)
    services = {name: await bus.connect(name) for name in ("watcher", "analyser", "resolver", "person")}
    live = await reader.following("photosift.>")
    said = [
        ("watcher", settled()),
        ("watcher", settled()),  # dropped by the server: the same id
        ("analyser", analysed()),
        ("resolver", decided()),
        ("resolver", take()),
        ("watcher", done()),
        ("person", confirm()),
        ("resolver", answered("resolver")),
        ("watcher", answered("executor")),
    ]
    for service, message in said:
        await services[service].publish(message)
    seen = []
    async with asyncio.timeout(SOON):
        for _ in range(len(said) - 1):
            seen.append((await anext(live))[1])
    assert seen == [message for i, (_, message) in enumerate(said) if i != 1]


async def test_a_cause_is_carried_on_to_the_outcome(bus: RunningBus) -> None:
    watcher, resolver, person = [await bus.connect(s) for s in ("watcher", "resolver", "person")]
    live = await person.following("photosift.>")
    await watcher.publish(settled())
    async with asyncio.timeout(SOON):
        event, _ = await anext(live)
        await resolver.publish(take(), cause=event)
        command, _ = await anext(live)
        await watcher.publish(done(), cause=command)
        outcome, _ = await anext(live)
    assert event.correlationid == command.correlationid == outcome.correlationid
    traces = [e.traceparent.split("-") for e in (event, command, outcome)]
    assert len({t[1] for t in traces}) == 1
    assert len({t[2] for t in traces}) == 3


async def test_follow_subscribes_when_first_awaited(bus: RunningBus) -> None:
    person, resolver = await bus.connect("person"), await bus.connect("watcher")
    live = person.follow(SUBJECT_OUT)
    first = asyncio.ensure_future(anext(live))
    async with asyncio.timeout(SOON):
        while not first.done():
            await resolver.publish(done(str(asyncio.get_running_loop().time())))
            await asyncio.sleep(0.01)
    assert first.result()[1].TYPE == done().TYPE
    await live.aclose()  # type: ignore[attr-defined]


async def test_following_ends_when_the_bus_is_closed(bus: RunningBus) -> None:
    person = await bus.connect("person")
    live = await person.following("photosift.>")
    await person.close()
    async with asyncio.timeout(SOON):
        assert [found async for found in live] == []


async def test_s20_services_do_not_follow_what_is_not_theirs(bus: RunningBus) -> None:
    for service in ("watcher", "analyser", "resolver"):
        with pytest.raises(NotPermitted):
            await (await bus.connect(service)).following("photosift.>")


async def test_an_audit_needs_no_photosift(bus: RunningBus) -> None:
    """``nats sub 'photosift.>'`` shows envelopes, each with its stream sequence, so that a gap can be told."""
    client = await nats.connect(
        bus.url, user="audit", password=bus.credentials["audit"].password, inbox_prefix=inbox_prefix("audit")
    )
    try:
        subscription = await client.subscribe("photosift.>")
        for _ in range(2):
            await client.flush()
        watcher = await bus.connect("watcher")
        for version in (1, 2):
            await watcher.publish(settled(version=version))
        found = [await subscription.next_msg(SOON) for _ in range(2)]
        assert [m.headers["Nats-Sequence"] for m in found if m.headers] == ["1", "2"]
        assert json.loads(found[0].data)["specversion"] == "1.0"
    finally:
        await client.close()


async def test_every_type_has_a_publisher_and_a_stream(bus: RunningBus) -> None:
    """All messages go through, each published by the one service that may."""
    services = [await bus.connect(s) for s in ("watcher", "analyser", "resolver", "person")]
    for message in samples():
        accepted = []
        for service in services:
            try:
                await service.publish(message)
            except NotPermitted:
                continue
            accepted.append(service)
        assert len(accepted) == 1, message.TYPE
    steward = await bus.steward()
    stored = sum([await steward.last_seq(s.name) for s in bus.topology.streams])
    assert stored == len({message.message_id for message in samples()})
