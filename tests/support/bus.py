"""A real nats-server in a temporary folder, with everything declared."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.bus.accounts import Sync
from shared.bus.jetstream import JetStreamBus, Steward, connect, setup
from shared.bus.server import BundledServer
from shared.bus.topology import Topology, declared
from shared.clock import Clock

#: attempts follow each other fast in tests
QUICK = (0.01, 0.02, 0.03, 0.04)


@dataclass(frozen=True, kw_only=True)
class RunningBus:
    """The server, and connections that are closed with it."""

    server: BundledServer
    topology: Topology
    _open: contextlib.AsyncExitStack

    #: the server's own files
    folder: Path

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def credentials(self):
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
            self.url,
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
        steward = await Steward.connect(self.url, self.credentials, topology=self.topology)
        self._open.push_async_callback(steward.close)
        return steward


@contextlib.asynccontextmanager
async def running_bus(
    folder: Path, *, ack_wait: float = 60.0, size_factor: float = 0.05, sync: Sync = "fast"
) -> AsyncIterator[RunningBus]:
    """``sync="fast"``: no test cuts the power."""
    topology = declared(ack_wait=ack_wait, size_factor=size_factor)
    server = BundledServer(folder / "nats", sync=sync, topology=topology)
    try:
        await server.start()
        await setup(server.url, server.credentials, topology)
        async with contextlib.AsyncExitStack() as stack:
            yield RunningBus(server=server, topology=topology, folder=folder / "nats", _open=stack)
    finally:
        if server.pid:  # an orderly end takes 0.7 s, which no test looks at
            os.kill(server.pid, signal.SIGKILL)
        await server.stop()
