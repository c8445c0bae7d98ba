"""One resolver leads at a time: on a real server, with clocks that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.resolver.leading import Lead, Seen, may_take
from shared.messages.leading import LeadHeld
from tests.support.bus import RunningBus, running_bus
from tests.support.resolving import TurnableClock

TAKEOVER = 12.0


@dataclass
class Hosts:
    """Resolvers of several hosts, each with a clock of its own."""

    server: RunningBus
    clocks: dict[str, TurnableClock] = field(default_factory=dict)

    async def lead(self, holder: str, name: str | None = None) -> Lead:
        clock = self.clocks[name or holder] = TurnableClock(float(len(self.clocks)) * 1_000_000)
        bus = await self.server.connect("resolver")
        return Lead(
            bus, holder=holder, by=f"host of {holder}", wall=clock.now, takeover=TAKEOVER, clock=clock.monotonic
        )

    def pass_by(self, seconds: float) -> None:
        for clock in self.clocks.values():
            clock.time += seconds


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    async with running_bus(tmp_path) as server:
        yield Hosts(server)


WORD = LeadHeld(holder="a", session="1", by="nas", at=0.0)


@pytest.mark.parametrize(
    ("seen", "me", "free"),
    [
        (Seen(), "b", True),
        (Seen(seq=1, word=WORD, at=100.0), "b", False),
        (Seen(seq=1, word=WORD, at=100.0), "a", True),
        (Seen(seq=1, word=WORD, at=100.0), None, False),
        (Seen(seq=1, word=WORD.model_copy(update={"released": True}), at=100.0), "b", True),
        (Seen(seq=1, word=WORD, at=88.0), "b", True),
        (Seen(seq=1, word=WORD, at=88.1), "b", False),
    ],
)
def test_the_lead_is_free_when_nobody_has_it_or_its_holder_is_silent(seen: Seen, me: str | None, free: bool) -> None:
    assert may_take(seen, 100.0, TAKEOVER, me) is free


async def test_the_first_leads_and_the_second_stands_by_until_the_first_is_silent(hosts: Hosts) -> None:
    one, other = await hosts.lead("one"), await hosts.lead("other")
    assert await one.take() and one.holds()
    assert await one.somebody_else() is None
    assert not await other.take() and not other.holds()
    assert await other.somebody_else() == "host of one"
    hosts.pass_by(TAKEOVER - 1)
    assert not await other.take()
    assert await one._renewed()
    hosts.pass_by(TAKEOVER - 1)
    assert not await other.take()  # it sees the renewal only now
    hosts.pass_by(TAKEOVER + 1)
    assert await other.take() and other.holds()
    assert not await one._renewed() and not one.holds()
    assert not await one.take()


async def test_a_resolver_does_not_believe_itself_as_long_as_the_others_believe_it(hosts: Hosts) -> None:
    one, other = await hosts.lead("one"), await hosts.lead("other")
    await one.take()
    await other.take()
    hosts.pass_by(TAKEOVER / 2)
    assert not one.holds()
    assert not await other.take()


async def test_of_two_that_find_it_free_at_once_one_gets_it(hosts: Hosts) -> None:
    leads = [await hosts.lead(str(n)) for n in range(4)]
    assert sorted(await asyncio.gather(*(lead.take() for lead in leads))) == [False, False, False, True]


async def test_who_ends_in_order_need_not_be_waited_for(hosts: Hosts) -> None:
    one, other = await hosts.lead("one"), await hosts.lead("other")
    await one.take()
    await other.release()  # what it has not got it cannot give
    assert not await other.take()
    await one.release()
    assert await other.take()
    assert not await one.take()


async def test_a_memory_that_comes_back_takes_its_own_lead_at_once(hosts: Hosts) -> None:
    assert await (await hosts.lead("one")).take()
    assert await (await hosts.lead("one", "after a crash")).take()


async def test_two_that_hold_copies_of_one_memory_do_not_take_turns(hosts: Hosts) -> None:
    one, copy = await hosts.lead("one"), await hosts.lead("one", "copy")
    await one.take()
    assert await copy.take()
    assert not await one._renewed()
    assert not await one.take()
    assert await one.somebody_else() is not None
    assert await copy._renewed()


async def test_the_end_of_the_lead_is_told(tmp_path: Path) -> None:
    async with running_bus(tmp_path) as server:
        bus = await server.connect("resolver")
        one = Lead(bus, holder="one", by="x", wall=TurnableClock().now, takeover=0.6)
        await one.take()
        over = asyncio.Event()
        keeping = asyncio.create_task(one.keep(over))
        async with asyncio.timeout(20):
            while (await bus.latest("photosift.lead.held") or (0, None))[0] < 3:  # noqa: ASYNC110  it goes on saying so
                await asyncio.sleep(0.05)
            other = Lead(bus, holder="other", by="y", wall=TurnableClock().now, takeover=0.6)
            seq, _ = await bus.latest("photosift.lead.held") or (0, None)
            while await bus.claim(other._word(), after=seq) is None:
                seq, _ = await bus.latest("photosift.lead.held") or (0, None)
            await over.wait()
            await keeping
        assert not one.holds()


async def test_silence_of_the_bus_is_no_silence_of_the_other(hosts: Hosts, tmp_path: Path) -> None:
    """Whoever could not listen does not know that nobody spoke."""
    one, other = await hosts.lead("one"), await hosts.lead("other")
    await one.take()
    assert not await other.take()
    other._looked = False  # as a look leaves it that had no answer
    hosts.pass_by(TAKEOVER + 1)
    assert not await other.take()
    hosts.pass_by(TAKEOVER + 1)
    assert await other.take()
