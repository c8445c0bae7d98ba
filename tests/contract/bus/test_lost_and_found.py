"""G7 in the small: what is under way when a connection goes, passwords that change, followers that miss something."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import structlog.testing

from shared.bus.consuming import publish_patiently, work_through
from shared.bus.port import BusUnavailable
from shared.bus.server import BundledServer
from tests.support.bus import RunningBus, halt, running_bus
from tests.support.messages import settled

SOON = 20.0


async def test_g7_a_question_under_way_fails_with_its_connection_not_with_its_time(bus: RunningBus) -> None:
    """Else every publisher would wait out its 5 s after a crash that took 0.3 s."""
    watcher = await bus.connect("watcher", answer_within=60)
    await halt(bus.server.pid)
    asking = asyncio.create_task(watcher.publish(settled()))
    await asyncio.sleep(0.2)
    assert not asking.done()
    os.kill(bus.server.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        (failed,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(failed, BusUnavailable)


async def test_g7_an_idle_consumer_asks_again_as_soon_as_the_connection_is_back(bus: RunningBus) -> None:
    """The server forgot the open request; waiting it out would take 6 s."""
    analyser, watcher = await bus.connect("analyser"), await bus.connect("watcher")
    event, stop, loop = settled(), asyncio.Event(), asyncio.get_running_loop()

    async def handle(_delivery) -> None:
        stop.set()

    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        consumer = f"analyser-fs-{event.file.photo.partition}"
        group.create_task(work_through(analyser, consumer, handle, stop=stop))
        await asyncio.sleep(0.2)
        os.kill(bus.server.pid, signal.SIGKILL)
        while analyser.complaint() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await bus.server.start()
        assert await publish_patiently(watcher, event)
        stored_at = loop.time()
        await stop.wait()
    assert loop.time() - stored_at < 3.0


async def test_the_health_check_says_which_connection_is_lost(bus: RunningBus) -> None:
    watcher = await bus.connect("watcher")
    assert watcher.complaint() is None
    os.kill(bus.server.pid, signal.SIGKILL)
    async with asyncio.timeout(SOON):
        while watcher.complaint() != "no connection for watcher, executor":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await bus.server.start()
    async with asyncio.timeout(SOON):
        while watcher.complaint():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_g7_a_connection_that_the_server_ended_for_good_is_made_again(bus: RunningBus) -> None:
    """A changed password makes nats-py give up; it may be changed back, or the right one come with a restart."""
    analyser, watcher = await bus.connect("analyser"), await bus.connect("watcher")
    event, stop, seen = settled(), asyncio.Event(), []

    async def handle(delivery) -> None:
        seen.append(delivery.message)
        stop.set()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            consumer = f"analyser-fs-{event.file.photo.partition}"
            group.create_task(work_through(analyser, consumer, handle, stop=stop))
            await changed_password(bus, "analyser", "another")
            while not any(entry["event"] == "bus.connection_refused" for entry in logs):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await watcher.publish(event)
            await changed_password(bus, "analyser", bus.credentials["analyser"].password)
    assert seen == [event]
    said = [entry["event"] for entry in logs if entry.get("user") == "analyser"]
    assert said.count("bus.connection_lost") == said.count("bus.connection_refused") == 1
    assert said.count("bus.connection_restored") == 1


async def changed_password(bus: RunningBus, user: str, password: str) -> None:
    """As an operator would: edit the file, reload."""
    config = json.loads((bus.folder / "server.conf").read_text())
    (entry,) = [u for a in config["accounts"].values() for u in a["users"] if u["user"] == user]
    entry["password"] = password
    (bus.folder / "server.conf").write_text(json.dumps(config))
    os.kill(bus.server.pid, signal.SIGHUP)


async def test_two_servers_side_by_side_do_not_meet(tmp_path: Path) -> None:
    async with running_bus(tmp_path / "a") as a, running_bus(tmp_path / "b") as b:
        await (await a.connect("watcher")).publish(settled())
        assert a.url != b.url
        assert await (await b.steward()).last_seq("FS") == 0
        assert isinstance(b.server, BundledServer)
