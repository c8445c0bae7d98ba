"""Two watchers on one bus, each with its own root and state folder, as on two hosts. (S23)"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.hands.service import Hands
from shared.bus.jetstream import JetStreamBus
from shared.bus.names import SUBJECT_OUT
from shared.messages.base import Message
from shared.messages.outcomes import CommandDone, RequestAnswered
from shared.messages.requests import AdoptRequested, ConfirmRequested, RestoreRequested
from tests.support.bus import RunningBus, running_bus
from tests.support.executing import Stage

WATCHERS = {"photos": "nas", "attic": "box"}
ROOT_OF = {"nas": "photos", "box": "attic"}


@dataclass
class Hosts:
    """One stage for both: files are seen by their names, acted on by the watcher that has the root."""

    stage: Stage
    server: RunningBus
    resolver: JetStreamBus
    person: JetStreamBus
    outcomes: Any

    @contextlib.asynccontextmanager
    async def at_work(self, *names: str) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task((await self.hands(name)).run(stop))
            yield
            stop.set()

    async def hands(self, name: str) -> Hands:
        made = self.stage.made_settings("delete", nats_url="nats://elsewhere", watcher=name)
        roots = tuple(root.model_copy(update={"watcher": WATCHERS[root.name]}) for root in made.roots)
        folder = self.stage.folder / name
        folder.mkdir(exist_ok=True)
        return Hands(
            bus=await self.server.connect("watcher"),
            disk=LocalDisk(),
            settings=made.model_copy(update={"roots": roots}),
            clock=self.stage.clock,
            folder=folder,
            sight=self.stage.sight,
        )

    async def next(self, kind: type[Message]) -> Any:
        _, message = await asyncio.wait_for(anext(self.outcomes), 30)
        assert isinstance(message, kind), message
        return message


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    stage = Stage(tmp_path, roles={"photos": "library", "attic": "library"})
    for root in WATCHERS:
        for name in ("victim.jpg", "keeper.jpg"):
            stage.write(name, b"the same picture", root=root)
    async with running_bus(tmp_path, watchers=WATCHERS) as server:
        resolver, person = await server.connect("resolver"), await server.connect("person")
        yield Hosts(stage, server, resolver, person, await person.following(SUBJECT_OUT))


async def test_s23_each_command_is_carried_out_by_the_watcher_of_its_root(hosts: Hosts) -> None:
    """Also one that comes while the other watcher alone is at work: it waits for the right one."""
    asked = {
        root: hosts.stage.command("victim.jpg", "keeper.jpg", victim_root=root, keeper_root=root) for root in WATCHERS
    }
    async with hosts.at_work("nas"):
        for command in reversed(asked.values()):
            await hosts.resolver.publish(command)
        done = await hosts.next(CommandDone)
        assert (done.victim.root, done.outcome) == ("photos", "quarantined")
    assert (hosts.stage.root("attic") / "victim.jpg").exists()
    async with hosts.at_work("nas", "box"):
        done = await hosts.next(CommandDone)
    assert (done.victim.root, done.outcome) == ("attic", "quarantined")


async def test_s23_a_keeper_in_the_root_of_another_watcher_is_out_of_reach(hosts: Hosts) -> None:
    async with hosts.at_work("nas", "box"):
        await hosts.resolver.publish(
            hosts.stage.command("victim.jpg", "keeper.jpg", victim_root="photos", keeper_root="attic")
        )
        done = await hosts.next(CommandDone)
    assert (done.outcome, done.code) == ("refused", "keeper-out-of-reach")
    assert (hosts.stage.root("photos") / "victim.jpg").exists()


async def test_a_request_about_one_root_is_answered_by_its_watcher_and_one_about_all_by_both(hosts: Hosts) -> None:
    async with hosts.at_work("nas", "box"):
        for name, root in ROOT_OF.items():
            await hosts.person.publish(AdoptRequested(request_id=f"adopt {root}", root=root))
            answer = await hosts.next(RequestAnswered)
            assert (answer.request_id, answer.done) == (f"adopt {root}", True)
            assert answer.by.startswith(f"executor-{name}@")
        for request in (
            RestoreRequested(request_id="back", since=0.0),
            ConfirmRequested(request_id="go on", what="breaker"),
        ):
            await hosts.person.publish(request)
            answers = [await hosts.next(RequestAnswered) for _ in ROOT_OF]
            assert len({answer.by for answer in answers}) == 2
            assert {answer.request_id for answer in answers} == {request.request_id}
