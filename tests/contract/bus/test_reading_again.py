"""What is stored can be read again, and a message can be stored on a condition: what a resolver that stands by needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.bus.port import NotPermitted
from shared.messages.leading import LeadHeld
from shared.messages.subjects import subject_of
from tests.support.bus import RunningBus, running_bus, until_purged
from tests.support.messages import take


def lead(holder: str, at: float = 0.0) -> LeadHeld:
    return LeadHeld(holder=holder, session=holder, by="host", at=at)


SUBJECT = subject_of(lead("x"))


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[RunningBus]:
    async with running_bus(tmp_path) as running:
        yield running


async def test_of_those_who_claim_at_once_the_server_lets_one(bus: RunningBus) -> None:
    resolvers = [await bus.connect("resolver") for _ in range(3)]
    assert await resolvers[0].latest(SUBJECT) is None
    claims = [resolver.claim(lead(str(n)), after=0) for n, resolver in enumerate(resolvers)]
    won = [n for n, seq in enumerate(await asyncio.gather(*claims)) if seq is not None]
    assert len(won) == 1
    assert await resolvers[0].latest(SUBJECT) == (1, lead(str(won[0])))


async def test_a_claim_that_is_said_again_needs_the_sequence_that_it_had(bus: RunningBus) -> None:
    one, other = await bus.connect("resolver"), await bus.connect("resolver")
    first = await one.claim(lead("one"), after=0)
    assert first is not None
    second = await one.claim(lead("one", at=1.0), after=first)
    assert second is not None
    assert await other.claim(lead("other"), after=first) is None
    third = await other.claim(lead("other"), after=second)
    assert await one.claim(lead("one", at=2.0), after=second) is None
    assert await one.latest(SUBJECT) == (third, lead("other"))


async def test_what_is_stored_is_read_again_in_order_and_beyond_what_was_read(bus: RunningBus) -> None:
    resolver, steward = await bus.connect("resolver"), await bus.steward()
    asked = [take(str(n)) for n in range(5)]
    assert await resolver.span("CMD") == (1, 0)
    for command in asked:
        await resolver.publish(command)
    found = [(seq, message) async for seq, _, message in resolver.stored("CMD", after=0)]
    assert found == list(enumerate(asked, 1))
    assert [seq async for seq, _, _ in resolver.stored("CMD", after=3)] == [4, 5]
    assert [seq async for seq, _, _ in resolver.stored("CMD", after=5)] == []
    watcher = await bus.connect("watcher")
    async for batch in watcher.consume("executor-cmd", batch=5):
        for delivery in batch:
            await delivery.ack()
        if batch[-1].seq == 5:
            break
    await until_purged(steward, "CMD")
    assert await resolver.span("CMD") == (6, 5)
    assert [seq async for seq, _, _ in resolver.stored("CMD", after=0)] == []


async def test_what_does_not_belong_in_a_stream_is_left_out(bus: RunningBus) -> None:
    resolver = await bus.connect("resolver")
    link = resolver._links["resolver"]
    await link.ask("photosift.cmd.take", b"{}")
    await resolver.publish(take())
    assert [message async for _, _, message in resolver.stored("CMD", after=0)] == [take()]


@pytest.mark.parametrize("service", ["watcher", "analyser", "person"])
async def test_s20_only_a_resolver_claims_or_reads_again(bus: RunningBus, service: str) -> None:
    other = await bus.connect(service)
    with pytest.raises(NotPermitted):
        await other.claim(lead("me"), after=0)
    with pytest.raises(NotPermitted):
        await other.latest(SUBJECT)
