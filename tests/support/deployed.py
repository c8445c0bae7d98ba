"""A real nats-server as a deployment starts it: with deploy/nats, and passwords made by ``photosift setup``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from shared.bus.accounts import SERVICE_USERS
from shared.bus.address import Address
from shared.bus.child import Child
from shared.bus.deployed import PASSWORDS_FILE, make_secrets
from shared.bus.jetstream import setup
from shared.bus.passwords import read_credentials
from shared.bus.server import nats_server
from shared.bus.topology import declared
from tests.support.bus import RunningBus
from tests.support.certificates import make_certificates
from tests.support.data import REPOSITORY

READY_WITHIN = 20.0


class DeployedServer:
    """What ``RunningBus`` wants to know of a server; and the folder of the services' passwords.

    Started with the repository's files as they are; only address, port and data folder are the test's.
    """

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.secrets, self._folder, self._tls = folder / "secrets", folder, tls
        self._made = make_certificates(folder / "certificates", "IP:127.0.0.1") if tls else None
        make_secrets(self.secrets)
        shutil.copytree(REPOSITORY / "deploy" / "nats", folder / "etc")
        shutil.copy(self.secrets / "nats" / PASSWORDS_FILE, folder / "etc")
        self.credentials = {u: c for s in SERVICE_USERS for u, c in read_credentials(self.secrets / s)[1].items()}
        self.pid, self._port = 0, -1
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"{'tls' if self._tls else 'nats'}://127.0.0.1:{self._port}"

    @property
    def address(self) -> Address:
        return Address(url=self.url, ca_file=self._made.authority if self._made else None)

    async def start(self) -> None:
        said: asyncio.Queue[str] = asyncio.Queue()
        self._child = Child([*self._environment(), str(nats_server()), *self._options()], said.put_nowait)
        self.pid = await self._child.pid()
        self._port = await _port(said)

    def _environment(self) -> list[str]:
        made = self._made
        return ["/usr/bin/env", *([f"NATS_CERTIFICATE={made.certificate}", f"NATS_KEY={made.key}"] if made else [])]

    def _options(self) -> list[str]:
        config = self._folder / "etc" / ("tls.conf" if self._tls else "server.conf")
        places = {"addr": "127.0.0.1", "port": self._port, "http_port": -1, "store_dir": self._folder / "data"}
        return [
            "--config",
            str(config),
            *(word for name, value in places.items() for word in (f"--{name}", str(value))),
        ]

    async def kill(self) -> None:
        """An orderly end takes 0.7 s, which no test looks at."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await self._child.end(READY_WITHIN)


async def _port(said: asyncio.Queue[str]) -> int:
    lines: list[str] = []
    async with asyncio.timeout(READY_WITHIN):
        while not lines or "Server is ready" not in lines[-1]:
            lines.append(await said.get())
    (port,) = (line.rpartition(":")[2] for line in lines if "Listening for client" in line)
    return int(port)


@contextlib.asynccontextmanager
async def deployed_server(folder: Path, *, tls: bool = False) -> AsyncIterator[DeployedServer]:
    server = DeployedServer(folder, tls=tls)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@contextlib.asynccontextmanager
async def deployed_bus(folder: Path, *, tls: bool = False) -> AsyncIterator[RunningBus]:
    """As ``running_bus``, on ``deployed_server``."""
    async with deployed_server(folder, tls=tls) as server:
        await setup(server.address, server.credentials)
        async with contextlib.AsyncExitStack() as stack:
            yield RunningBus(server=server, topology=declared(), folder=folder / "etc", _open=stack)
