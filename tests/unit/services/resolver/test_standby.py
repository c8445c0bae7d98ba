"""Two resolvers with memories of their own: one decides, the other takes over what it decided. (S3, S18)"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.resolver.inheriting import Inheritance
from services.resolver.leading import Lead
from services.resolver.service import ResolverService
from services.resolver.standby import Standby
from services.resolver.store import DecisionStore
from shared.messages.commands import TakeFile
from shared.messages.outcomes import ItemRestored
from shared.messages.resolution import DecisionWithdrawn, GroupDecided
from tests.support.model import candidate, signature
from tests.support.resolving import Bench, bench

MOVING = {"action": "move", "target": "/target", "keeper_age_seconds": 0.0}
#: a short one: the test waits for it
TAKEOVER = 1.2


class Host:
    """A resolver's process, as far as the others see it."""

    def __init__(self, at: Bench, name: str) -> None:
        self.folder = at.folder / name
        self.folder.mkdir(exist_ok=True)
        self.at = at
        self.store: DecisionStore
        self.lead: Lead

    @contextlib.asynccontextmanager
    async def working(self, **changes: object) -> AsyncIterator[Host]:
        """Until the block ends in order, or by ``die``."""
        self.store, bus = DecisionStore(self.folder), await self.at.server.connect("resolver")
        clock, settings = self.at.clock, self.at.settings.model_copy(update=changes)
        self.lead = Lead(bus, holder=self.store.memory_id, by=self.folder.name, wall=clock.now, takeover=TAKEOVER)
        service = ResolverService(
            bus=bus,
            index=self.at.index,
            store=self.store,
            settings=settings,
            clock=clock,
            quiet_seconds=0.05,
            in_charge=self.lead.holds,
        )
        inheritance = Inheritance(bus=bus, store=self.store, answers=service.answers, clock=clock)
        standby = Standby(service, lead=self.lead, inheritance=inheritance, store=self.store)
        self.stop = asyncio.Event()
        self.running = asyncio.create_task(standby.run(self.stop))
        try:
            yield self
        finally:
            self.stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running
            self.store.close()

    async def die(self) -> None:
        """Nothing more is said or released."""
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    async def leads(self) -> None:
        async with asyncio.timeout(20):
            while not self.lead.holds():  # noqa: ASYNC110  seen in the memory alone
                await asyncio.sleep(0.02)

    async def follows(self) -> None:
        """It has read what is there now."""
        async with asyncio.timeout(20):
            _, last = await (await self.at.server.connect("resolver")).span("DEC")
            while int(self.store.note("heard:DEC") or 0) < last:  # noqa: ASYNC110  seen in the memory alone
                await asyncio.sleep(0.02)

    def open_ids(self) -> set[str]:
        return {decided.decision_id for decided in self.store.decisions.standing()}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, **MOVING) as made:
        yield made


def copies(content: str, *names: str) -> list:
    return [(candidate(name, content=content, exif=9 - n), signature(len(content))) for n, name in enumerate(names)]


async def one_copy_taken(at: Bench) -> TakeFile:
    """Two files of the same bytes come, one is asked for, and its executor answers."""
    await at.add(*copies("x", "a.jpg", "b.jpg"))
    (command,) = await at.heard_of(TakeFile)
    await at.answer(command)
    await at.until(lambda: not at.standing())
    return command


async def settled(at: Bench, decisions: int, commands: int) -> None:
    await at.until(lambda: len(at.standing()) == decisions and len(at.all(TakeFile)) == commands)


async def test_the_one_that_stands_by_says_nothing(at: Bench) -> None:
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        async with other.working():
            await at.add(*copies("x", "a.jpg", "b.jpg"))
            await settled(at, 1, 1)
            await other.follows()
            assert not other.lead.holds()
            assert other.open_ids() == one.open_ids()
            assert len(at.all(GroupDecided)) == len(at.all(TakeFile)) == 1


async def test_open_decisions_are_taken_over_under_their_own_ids_and_no_command_is_given_twice(at: Bench) -> None:
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        async with other.working():
            await at.add(*copies("x", "a.jpg", "b.jpg"), *copies("yy", "c.jpg", "d.jpg"))
            await settled(at, 2, 2)
            stood = one.open_ids()
            await one.die()
            await other.leads()
            await at.add(*copies("zzz", "e.jpg", "f.jpg"))
            await settled(at, 3, 3)
            assert stood < other.open_ids()
            assert not at.all(DecisionWithdrawn)


async def test_s3_what_a_command_is_out_for_stays_untouched_by_the_next_resolver(at: Bench) -> None:
    """The open command promises a.jpg as a keeper; a better copy comes, and must wait for the answer."""
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        await at.add(*copies("x", "a.jpg", "b.jpg"))
        await settled(at, 1, 1)
        await one.die()
    async with other.working():
        await other.leads()
        await at.add((candidate("best.jpg", content="x", exif=99), signature(1)))
        await at.add(*copies("yy", "c.jpg", "d.jpg"))
        await settled(at, 2, 2)  # the other group is decided, this one is held up
        assert at.standing()["a.jpg"] == ["b.jpg"]
        first = next(c for c in at.all(TakeFile) if c.victim.file.path == "b.jpg")
        await at.answer(first, "refused", "victim-changed")
        await at.until(lambda: "best.jpg" in at.standing())


async def test_an_answer_that_only_the_first_heard_is_known_to_the_second(at: Bench) -> None:
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        async with other.working():
            await one_copy_taken(at)
            await one.die()
            await other.leads()
            await at.add(*copies("yy", "c.jpg", "d.jpg"))
            await settled(at, 1, 2)
            assert other.open_ids() == {d.decision_id for d in at.all(GroupDecided)[-1:]}


async def test_s12_what_a_person_put_back_is_remembered_by_the_next_resolver(at: Bench) -> None:
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        async with other.working():
            command = await one_copy_taken(at)
            sha = command.victim.sha256
            await at.executor.publish(
                ItemRestored(
                    item_id="i",
                    decision_id=command.decision_id,
                    batch_id=command.batch_id,
                    file=command.victim.file,
                    sha256=sha,
                    keeper_sha256=sha,
                    done_at=at.clock.now(),
                )
            )
            await at.add((candidate("b.jpg", content="x", exif=8, version=2), signature(1)))
            await settled(at, 1, 1)
            await one.die()
            await other.leads()
            await at.add(*copies("yy", "c.jpg", "d.jpg"))
            await settled(at, 2, 2)
            assert at.standing()["a.jpg"] == ["b.jpg"]


async def test_a_resolver_that_comes_back_forgets_what_it_did_not_say_and_learns_what_was_said(at: Bench) -> None:
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        await at.add(*copies("x", "a.jpg", "b.jpg"))
        await settled(at, 1, 1)
        (command,) = at.all(TakeFile)
        unsaid = command.model_copy(update={"decision_id": "never said"})
        await one.die()
        one.store.decisions.ask(unsaid, "evidence")
        one.store.outbox.put(unsaid)
    async with other.working():
        await other.leads()
        await at.answer(command)
        await at.until(lambda: not at.standing())
        await at.add(*copies("yy", "c.jpg", "d.jpg"))
        await settled(at, 1, 2)
        async with one.working():
            await one.follows()
            assert one.open_ids() == other.open_ids()
            assert one.store.decisions.asked(unsaid.command_id) is None
            other.stop.set()
            await other.running
            await one.leads()
            await at.add(*copies("zzz", "e.jpg", "f.jpg"))
            await settled(at, 2, 3)
            assert unsaid not in at.all(TakeFile)
            assert not [d for d in at.all(DecisionWithdrawn) if d.decision_id in one.open_ids()]


async def test_what_the_streams_hold_no_more_is_decided_anew_from_the_index(at: Bench) -> None:
    """S1: and what was replaced before is unknown."""
    one, other = Host(at, "one"), Host(at, "other")
    async with one.working():
        await one.leads()
        await at.add(*copies("x", "a.jpg", "b.jpg"))
        (command,) = await at.heard_of(TakeFile)
        await at.answer(command, "refused", "victim-changed")
        await at.until(lambda: one.store.decisions.asked(command.command_id).answered)  # type: ignore[union-attr]
        await one.die()
    steward = await at.server.steward()
    for stream in ("DEC", "OUT", "CMD"):
        await steward._link[steward._topology.stream(stream).account].call(f"$JS.API.STREAM.PURGE.{stream}", {})
    before = at.clock.now()
    async with other.working():
        await other.leads()
        await at.until(lambda: bool(other.open_ids()))
        assert float(other.store.note("unknown_before") or 0.0) > before
        assert set(at.standing()) == {"a.jpg"}
