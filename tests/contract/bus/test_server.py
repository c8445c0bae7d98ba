"""The bundled server: ready, private, gone with its parent, back after a crash, and never a second address."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.bus import server as server_module
from shared.bus.child import Child
from shared.bus.consuming import work_through
from shared.bus.jetstream import Steward, connect, setup
from shared.bus.names import RESOLVER_REQ
from shared.bus.passwords import read_credentials
from shared.bus.port import BusUnavailable
from shared.bus.server import BundledServer
from shared.errors import UsageError
from tests.support.bus import RunningBus, until_backlog
from tests.support.messages import confirm, settled

SOON = 20.0


async def test_it_is_ready_when_start_returns_and_its_passwords_are_private(tmp_path: Path) -> None:
    server = BundledServer(tmp_path / "nats")
    try:
        await server.start()
        steward = await Steward.connect(server.url, server.credentials, patience=0)
        await steward.close()
        for name in ("server.conf", "credentials.json"):
            assert (tmp_path / "nats" / name).stat().st_mode & 0o777 == 0o600
        url, credentials = read_credentials(tmp_path / "nats")
        assert (url, credentials) == (server.url, server.credentials)
        # S21: neither a password nor the store in the process list
        command = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert not any(c.password in command for c in credentials.values())
    finally:
        await server.stop()
    assert not (tmp_path / "nats" / "credentials.json").exists()
    with pytest.raises(UsageError):
        read_credentials(tmp_path / "nats")


async def test_it_listens_on_loopback_alone(bus: RunningBus) -> None:
    """S21: what is not on loopback would need more than passwords in a file."""
    sockets = {os.readlink(f) for f in Path(f"/proc/{bus.server.pid}/fd").iterdir()}
    inodes = {s[8:-1] for s in sockets if s.startswith("socket:[")}
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
    assert listening == {"0100007F"}


async def test_every_start_makes_new_passwords(tmp_path: Path) -> None:
    first, second = BundledServer(tmp_path / "a"), BundledServer(tmp_path / "b")
    passwords = [c.password for s in (first, second) for c in s.credentials.values()]
    assert len(set(passwords)) == len(passwords)
    assert min(map(len, passwords)) >= 32
    assert not any(password in repr(first.credentials) for password in passwords)


async def test_messages_outlive_an_orderly_stop(tmp_path: Path) -> None:
    for expected in (1, 2):
        server = BundledServer(tmp_path / "nats")
        try:
            await server.start()
            await setup(server.url, server.credentials)
            watcher = await connect(server.url, server.credentials, service="watcher")
            await watcher.publish(settled(version=expected))
            await until_backlog(watcher, "analyser-fs-", expected)
            await watcher.close()
        finally:
            await server.stop()


async def test_stop_ends_it_even_while_it_hangs(tmp_path: Path) -> None:
    server = BundledServer(tmp_path / "nats")
    await server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(SOON):
        await server.stop()
        await server.stop()
    assert not Path(f"/proc/{pid}").exists()


async def test_stop_before_start_does_nothing(tmp_path: Path) -> None:
    await BundledServer(tmp_path / "nats").stop()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path, bus: RunningBus) -> None:
    taken = int(bus.url.rpartition(":")[2])
    server = BundledServer(tmp_path / "other", port=taken)
    with pytest.raises(BusUnavailable, match="address already in use"):
        await server.start()
    await server.stop()


async def test_without_a_binary_the_advice_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="nats_url"):
        await BundledServer(tmp_path / "nats").start()


async def test_a_restart_keeps_port_passwords_and_messages(bus: RunningBus) -> None:
    url, stop = bus.url, asyncio.Event()
    watcher = await bus.connect("watcher")
    await watcher.publish(settled())
    supervisor = asyncio.create_task(bus.server.run(stop))
    try:
        for _ in range(2):
            before = bus.server.pid
            os.kill(before, signal.SIGKILL)
            async with asyncio.timeout(SOON):
                while not await published_again(watcher, before, bus):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        assert bus.url == url
        assert await (await bus.steward()).last_seq("FS") == 1
    finally:
        stop.set()
        await supervisor
    assert Path(f"/proc/{bus.server.pid}").exists(), "it runs on until stop() is called: others still drain"


async def published_again(watcher, before: int, bus: RunningBus) -> bool:
    try:
        await watcher.publish(settled())
    except BusUnavailable:
        return False
    return bus.server.pid != before


PARENT = """
import asyncio, os, sys, threading
from pathlib import Path
from shared.bus.server import BundledServer

async def main():
    server = BundledServer(Path(sys.argv[1]), sync="fast")
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(60)

# from a thread that is not the main one: what the kernel watches is a thread
starter = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
starter.start()
starter.join()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(tmp_path: Path, number: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "nats")], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        pidfd = os.pidfd_open(pid)
        try:
            parent.send_signal(number)
            assert ended(pidfd, SOON)
        finally:
            os.close(pidfd)


def ended(pidfd: int, within: float) -> bool:
    """Wait for the end of a process that is not a child of ours."""
    return bool(select.select([pidfd], [], [], within)[0])


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    """The kernel ends a child with the *thread* that started it; ours has a thread that lives as long as the child."""
    started: list[Child] = []

    async def start() -> int:
        started.append(Child(["/bin/sleep", "60"], print))
        return await started[0].pid()

    with ThreadPoolExecutor(1) as pool:
        pid = pool.submit(asyncio.run, start()).result()
    pidfd = os.pidfd_open(pid)
    try:
        assert not ended(pidfd, 0.3)
        os.kill(pid, signal.SIGKILL)
        assert ended(pidfd, SOON)
    finally:
        os.close(pidfd)
    started[0].join(SOON)


async def test_the_configuration_is_what_the_server_says_it_is(bus: RunningBus) -> None:
    """The file is JSON on purpose; nats-server itself checks it (``-t``)."""
    config = bus.folder / "server.conf"
    assert json.loads(config.read_text())["jetstream"]["store_dir"] == str(bus.folder / "jetstream")
    check = [str(server_module.nats_server()), "-t", "-c", str(config)]
    checked = await asyncio.to_thread(subprocess.run, check, capture_output=True, text=True, timeout=20, check=False)
    assert checked.returncode == 0, checked.stderr


# a server that somebody else runs


async def test_s20_a_bus_without_accounts_works_for_proposing(tmp_path: Path) -> None:
    """``nats_url`` without credentials: everything arrives, nothing is fenced (the composition root only proposes)."""
    config = tmp_path / "plain.conf"
    config.write_text(json.dumps({"listen": "127.0.0.1:-1", "jetstream": {"store_dir": str(tmp_path / "js")}}))
    said: list[str] = []
    child = Child([str(server_module.nats_server()), "-c", str(config)], said.append)
    try:
        async with asyncio.timeout(SOON):
            while not any("Server is ready" in line for line in said):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        port = next(line.rpartition(":")[2] for line in said if "Listening for client" in line)
        url = f"nats://127.0.0.1:{port}"
        await setup(url, {})
        person, resolver = await connect(url, {}, service="person"), await connect(url, {}, service="resolver")
        live, stop = await person.following("photosift.req.>"), asyncio.Event()

        async def handle(_delivery) -> None:
            stop.set()

        await person.publish(confirm())
        async with asyncio.timeout(SOON):
            await work_through(resolver, RESOLVER_REQ, handle, stop=stop)
            assert (await anext(live))[1] == confirm()
        await person.close()
        await resolver.close()
    finally:
        await child.end(SOON)


async def test_passwords_may_lie_in_files_of_their_users_names(tmp_path: Path) -> None:
    (tmp_path / "watcher").write_text("secret\n")
    url, credentials = read_credentials(tmp_path)
    assert url == ""
    assert {u: c.password for u, c in credentials.items()} == {"watcher": "secret"}
    with pytest.raises(UsageError, match="executor"):
        read_credentials(tmp_path, ["watcher", "executor"])
    with pytest.raises(UsageError, match="executor"):
        await connect("nats://127.0.0.1:1", credentials, service="watcher")


async def test_a_server_that_never_answers_is_unavailable_in_the_end() -> None:
    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1"):
        await connect("nats://127.0.0.1:1", {}, service="person", patience=0.1)
