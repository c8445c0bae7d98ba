"""A real nats-server in a temporary folder, with everything declared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import nats.errors
from nats.aio.client import Client

from shared.bus.accounts import Credential, Sync
from shared.bus.address import Address, address
from shared.bus.jetstream import JetStreamBus, Steward, connect, setup
from shared.bus.server import BundledServer
from shared.bus.topology import Topology, declared
from shared.clock import Clock

#: attempts follow each other fast in tests
QUICK = (0.01, 0.02, 0.03, 0.04)


class Server(Protocol):
    """Bundled, or started from deploy/nats (``tests.support.deployed``)."""

    pid: int

    @property
    def url(self) -> str: ...

    @property
    def credentials(self) -> Mapping[str, Credential]: ...


@dataclass(frozen=True, kw_only=True)
class RunningBus:
    """The server, and connections that are closed with it."""

    server: Server
    topology: Topology
    _open: contextlib.AsyncExitStack

    #: the server's own files
    folder: Path

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def where(self) -> Address:
        found: Address = getattr(self.server, "address", address(self.server.url))
        return found

    @property
    def credentials(self) -> Mapping[str, Credential]:
        return self.server.credentials

    async def connect(
        self,
        service: str,
        *,
        clock: Clock | None = None,
        back_off: Sequence[float] = QUICK,
        answer_within: float = 5.0,
    ) -> JetStreamBus:
        bus = await connect(
            self.where,
            self.credentials,
            service=service,
            topology=self.topology,
            clock=clock,
            back_off=back_off,
            answer_within=answer_within,
        )
        self._open.push_async_callback(bus.close)
        return bus

    async def steward(self) -> Steward:
        steward = await Steward.connect(self.where, self.credentials, topology=self.topology)
        self._open.push_async_callback(steward.close)
        return steward


async def until_nothing_is_open(steward: Steward, *consumers: str) -> None:
    """Acknowledgements are on their way for a moment."""
    async with asyncio.timeout(20):
        while not await steward.is_idle(*consumers):  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.05)


async def until_purged(steward: Steward, stream: str) -> int:
    """How many messages went, as soon as some may: acknowledgements and counts are on their way for a moment."""
    async with asyncio.timeout(20):
        while not (count := (await steward.purge_consumed(worth_it=1))[stream]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return count


async def until_backlog(bus: JetStreamBus, consumer: str, wanted: int) -> None:
    """The server counts a message for its consumers a moment after it is stored."""
    async with asyncio.timeout(20):
        while await bus.backlog(consumer) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def halt(pid: int) -> None:
    """SIGSTOP, and wait until every thread of the process stands."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    async with asyncio.timeout(20):
        while not all("State:\tT" in (t / "status").read_text() for t in tasks.iterdir()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def operator(bus: RunningBus) -> AsyncIterator[Client]:
    """Somebody with all rights in DATA, whom photosift itself does not have: added to the file, which is reloaded."""
    config = json.loads((bus.folder / "server.conf").read_text())
    config["accounts"]["DATA"]["users"].append({"user": "operator", "password": "x"})
    (bus.folder / "server.conf").write_text(json.dumps(config))
    os.kill(bus.server.pid, signal.SIGHUP)
    async with asyncio.timeout(20):
        while (client := await _operator(bus.url)) is None:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.05)
    try:
        yield client
    finally:
        await client.close()


async def _operator(url: str) -> Client | None:
    """None until the reload has happened."""
    client = Client()
    try:
        await client.connect(url, user="operator", password="x", allow_reconnect=False, error_cb=_quiet)
    except (nats.errors.Error, OSError):  # refused, or cut off by the reload itself
        await client.close()
        return None
    return client


async def _quiet(_error: Exception) -> None:
    """The error is raised as well."""


@contextlib.asynccontextmanager
async def running_bus(
    folder: Path,
    *,
    ack_wait: float = 60.0,
    size_factor: float = 0.05,
    sync: Sync = "fast",
    watchers: Mapping[str, str] | None = None,
) -> AsyncIterator[RunningBus]:
    """``sync="fast"``: no test cuts the power."""
    topology = declared(ack_wait=ack_wait, size_factor=size_factor, watchers=watchers)
    server = BundledServer(folder / "nats", sync=sync, topology=topology)
    try:
        await server.start()
        await setup(server.url, server.credentials, topology)
        async with contextlib.AsyncExitStack() as stack:
            yield RunningBus(server=server, topology=topology, folder=folder / "nats", _open=stack)
    finally:
        if server.is_running:  # an orderly end takes 0.7 s, which no test looks at
            os.kill(server.pid, signal.SIGKILL)
        await server.stop()
