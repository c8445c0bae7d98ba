"""Where the bus is: the bundled server as a child, the one that runs already, or one that somebody else runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import structlog

from shared.bus.accounts import Credential
from shared.bus.address import Address, address
from shared.bus.jetstream import Steward, connect, setup
from shared.bus.passwords import read_credentials
from shared.bus.port import Bus
from shared.bus.server import BundledServer
from shared.bus.topology import Topology, declared
from shared.config import Settings
from shared.errors import UsageError
from shared.lifecycle import Service
from shared.statefolder import StatePart

log = structlog.get_logger()


def state_dir(settings: Settings) -> Path:
    """Where photosift remembers: the setting, else the user's state folder."""
    return settings.state_dir or Path(platformdirs.user_state_dir("photosift"))


@dataclass(frozen=True, kw_only=True)
class BusHome:
    """Where the bus is, and whose passwords may be used there."""

    where: Address
    credentials: Mapping[str, Credential]
    topology: Topology
    #: the bundled server, as a service to run; None for an external one
    server: Service | None = None

    async def connect(self, service: str) -> Bus:
        return await connect(self.where, self.credentials, service=service, topology=self.topology)

    async def steward(self) -> Steward:
        return await Steward.connect(self.where, self.credentials, topology=self.topology)


def topology_of(settings: Settings) -> Topology:
    """What is declared on the bus: a consumer for every watcher among it (S23)."""
    return declared(watchers=settings.watchers)


@contextlib.asynccontextmanager
async def bus_home(settings: Settings) -> AsyncIterator[BusHome]:
    """The bundled server, started and set up; or the external one that the settings name, set up where we may."""
    if settings.nats_url:
        yield await external_bus(settings)
        return
    part = StatePart(state_dir(settings), "nats")
    server = BundledServer(part.folder, sync=settings.nats_sync)
    try:
        await server.start()
        topology = topology_of(settings)
        await setup(server.url, server.credentials, topology, first_here=True)
        yield BusHome(where=address(server.url), credentials=server.credentials, topology=topology, server=server)
    finally:
        await server.stop()
        part.release()


async def external_bus(settings: Settings) -> BusHome:
    """A server that somebody else runs. Without passwords it fences nothing, so nothing is acted on there (S20)."""
    home = _named_bus(settings)
    if not home.credentials or "setup-data" in home.credentials:
        await setup(home.where, home.credentials, home.topology)
    return home


def _named_bus(settings: Settings) -> BusHome:
    """The bus at ``nats_url``. Raises ``UsageError`` where the passwords would be readable on the way (S21)."""
    credentials: Mapping[str, Credential] = {}
    if settings.nats_credentials_dir:
        _, credentials = read_credentials(settings.nats_credentials_dir)
    where = Address(url=settings.nats_url, ca_file=settings.nats_ca_file)
    fenced_off = where.is_encrypted or where.stays_on_this_host or settings.nats_plaintext
    if (credentials or where.has_password) and not fenced_off:
        raise UsageError(
            "nats_url: the passwords would cross the network readable; use tls://, or set nats_plaintext: true "
            "where that network is yours alone"
        )
    return BusHome(where=where, credentials=credentials, topology=topology_of(settings))


async def declare(settings: Settings) -> Topology:
    """Declare streams and consumers at ``nats_url``, and return them. Raises ``UsageError`` where that is not ours."""
    if not settings.nats_url:
        raise UsageError("the bundled server sets itself up; for another one set nats_url (PHOTOSIFT_NATS_URL)")
    home = _named_bus(settings)
    if home.credentials and "setup-data" not in home.credentials:
        raise UsageError("nats_credentials_dir: no password of setup-data and setup-control, who may declare")
    await setup(home.where, home.credentials, home.topology)
    return home.topology


def fenced(settings: Settings, home: BusHome) -> Settings:
    """The settings as they may be on this bus: on one without accounts, only proposing (S20)."""
    if home.credentials or settings.acting == "propose":
        return settings
    log.warning(
        "bootstrap.acting_refused",
        why="the bus at nats_url has no accounts, so anybody there could forge a command (S20)",
        what_now="set nats_credentials_dir, or use the bundled server",
    )
    return settings.model_copy(update={"dry_run": True})


def running_bus(settings: Settings) -> BusHome:
    """The bus of the photosift that is running now on this state folder, or of the settings. Raises ``UsageError``."""
    if settings.nats_url:
        return _named_bus(settings)
    url, credentials = read_credentials(state_dir(settings) / "nats")
    return BusHome(where=address(url), credentials=credentials, topology=topology_of(settings))
