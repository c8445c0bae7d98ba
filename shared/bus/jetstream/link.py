"""One user's connection: kept for ever, said once when it is lost, foreign errors translated (G7)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.accounts import Credential, inbox_prefix
from shared.bus.address import Address, NotTrusted, address
from shared.bus.jetstream.answers import NotDeclared, TooLong, checked
from shared.bus.port import BusUnavailable, NotPermitted
from shared.secrets import redacted

log = structlog.get_logger()

#: seconds the server may take to answer
ANSWER_WITHIN = 5.0
_RECONNECT_EVERY = 0.25
#: seconds between two looks at the client, and how often it may be found without a connection before it is replaced
_LOOK_EVERY, _PATIENT_LOOKS = 1.0, 15
#: a link that is open only at this end is given up after 20-30 s (bus.md, traps)
_PING_EVERY = 10
_CLOSED_WITHIN = 2.0
_REFUSED = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]+)\"", re.IGNORECASE)

Receiver = Callable[[Msg], Awaitable[None]]


class Link:
    """A connection that comes back by itself, with its subscriptions."""

    def __init__(
        self, where: str | Address, credential: Credential, *, service: str, answer_within: float = ANSWER_WITHIN
    ) -> None:
        self.user, self._answer_within = credential.user, answer_within
        self._address, self._credential, self._service = address(where), credential, service
        self._url = self._address.url
        self._client = Client()
        self._subscriptions: dict[str, Receiver] = {}
        self._when_back: set[Callable[[], None]] = set()
        self._connected, self._closing = asyncio.Event(), False
        self._refused: set[str] = set()
        #: of the questions that are out: an answer to them cannot come over another connection
        self._deadlines: set[asyncio.Timeout] = set()
        self._revival: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self, patience: float) -> None:
        """Connect, waiting for the server for ``patience`` seconds.

        Raises ``BusUnavailable``, ``NotPermitted`` (wrong password) or ``NotTrusted`` (wrong certificate, no TLS).
        """
        loop = asyncio.get_running_loop()
        deadline, said = loop.time() + patience, False
        while True:
            try:
                await self._connect()
                self._watching = asyncio.create_task(self._watch(), name=f"watch {self.user}")
                return
            except (OSError, nats.errors.Error, TimeoutError) as error:
                if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                    raise NotTrusted(f"{self._url}: {error}") from error
                if "authorization" in str(error).lower():  # no class of its own while connecting
                    raise NotPermitted(f"user {self.user} at {redacted(self._url)}: wrong password") from error
                if loop.time() >= deadline:
                    raise BusUnavailable(f"no answer from {redacted(self._url)}: {error!r}") from error
                if not said:
                    log.warning("bus.server_awaited", url=redacted(self._url), user=self.user, error=str(error))
                    said = True
            await asyncio.sleep(_RECONNECT_EVERY)

    async def _connect(self) -> None:
        client = Client()

        async def on_closed() -> None:
            if client is self._client:
                self._on_closed()

        options = self._options()
        # the first connection without reconnecting: wrong passwords and closed ports are told apart at once
        try:
            await client.connect(
                self._url, **options, closed_cb=on_closed, allow_reconnect=False, max_reconnect_attempts=1
            )
        except BaseException:
            await _closed(client)
            raise
        client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
        self._client = client
        for subject, receiver in self._subscriptions.items():
            await client.subscribe(subject, cb=receiver)
        self._connected.set()

    def _options(self) -> dict[str, Any]:
        known = {} if self.is_anonymous else {"user": self.user, "password": self._credential.password}
        return {
            **known,
            **self._encryption(),
            "name": f"photosift-{self._service}",
            "inbox_prefix": inbox_prefix(self.user),
            "connect_timeout": 2,
            "reconnect_time_wait": _RECONNECT_EVERY,
            "ping_interval": _PING_EVERY,
            "max_outstanding_pings": 2,
            "drain_timeout": 5,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_lost,
            "reconnected_cb": self._on_back,
        }

    def _encryption(self) -> dict[str, Any]:
        # nats-py starts TLS when the server's greeting asks for it, and would hand the password to a server that does
        # not; with the handshake first there is no greeting to be believed
        return {"tls": self._address.context(), "tls_handshake_first": True} if self._address.is_encrypted else {}

    async def _on_error(self, error: Exception) -> None:
        if refused := _REFUSED.search(str(error)):
            self._refused.add(refused.group(2))
            log.warning("bus.operation_refused", user=self.user, what=refused.group(1), subject=refused.group(2))
        elif isinstance(error, nats.errors.SlowConsumerError):
            log.warning("bus.messages_missed", user=self.user, subject=error.subject)
        else:  # attempts to reconnect: the loss was said once
            log.debug("bus.connection_troubled", user=self.user, error=repr(error))

    async def _watch(self) -> None:
        """The client's own closing and reconnecting may fail halfway (a reset connection in a drain), and then it tells
        nobody: look at it now and then, and replace one that is closed, or does not come back by itself."""
        lost = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            lost = 0 if self.is_up else lost + 1
            self._revive_if_closed()
            if lost >= _PATIENT_LOOKS and not self._client.is_closed:
                lost = 0
                with contextlib.suppress(OSError, nats.errors.Error, TimeoutError):
                    await self._client.close()

    def _revive_if_closed(self) -> None:
        if self._client.is_closed and not self._closing and (self._revival is None or self._revival.done()):
            self._revival = asyncio.create_task(self._revive(), name=f"revive {self.user}")

    async def _on_lost(self) -> None:
        if self._connected.is_set() and not self._closing:
            log.warning("bus.connection_lost", user=self.user)
        self._connected.clear()
        for deadline in tuple(self._deadlines):
            deadline.reschedule(asyncio.get_running_loop().time())

    async def _on_back(self) -> None:
        log.info("bus.connection_restored", user=self.user)
        self._connected.set()
        for tell in tuple(self._when_back):
            tell()

    def _on_closed(self) -> None:
        """The client gives up by itself after some errors of the server; photosift does not."""
        self._revive_if_closed()

    async def _revive(self) -> None:
        await self._on_lost()
        said = False
        while not self._closing:
            try:
                await self._connect()
            except (OSError, nats.errors.Error, TimeoutError) as error:
                if not said:  # a password that is no longer right is the usual reason, and wants a person
                    log.error("bus.connection_refused", user=self.user, error=str(error))
                    said = True
                await asyncio.sleep(4 * _RECONNECT_EVERY)
            else:
                return await self._on_back()

    @property
    def is_anonymous(self) -> bool:
        return self._credential.is_anonymous

    @property
    def is_up(self) -> bool:
        """May be asked from another thread."""
        return self._connected.is_set()

    async def wait_until_up(self) -> None:
        await self._connected.wait()

    def tell_when_back(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Call ``tell`` after every reconnection; returns what ends that."""
        self._when_back.add(tell)
        return lambda: self._when_back.discard(tell)

    def inbox(self) -> str:
        return str(self._client.new_inbox())

    async def subscribe(self, subject: str, receiver: Receiver) -> Callable[[], Awaitable[None]]:
        """Receive a subject until the returned call; the subscription stands on the server when this returns."""
        self._subscriptions[subject] = receiver
        try:
            subscription = await self._client.subscribe(subject, cb=receiver)
            # nats-py writes a PING past what it has buffered: only the second answer comes after the subscription
            for _ in range(2):
                await self._client.flush(int(ANSWER_WITHIN))
        except (nats.errors.Error, OSError, TimeoutError) as error:
            self._subscriptions.pop(subject, None)
            raise BusUnavailable(f"{subject}: {error!r}") from error

        async def end() -> None:
            self._subscriptions.pop(subject, None)
            try:
                await subscription.unsubscribe()
            except (nats.errors.Error, OSError):
                log.debug("bus.subscription_gone", subject=subject)

        return end

    async def send(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: Mapping[str, str] = {}
    ) -> None:
        """Publish without an answer. Raises ``BusUnavailable``."""
        try:
            await self._client.publish(subject, payload, reply=reply, headers=dict(headers) or None)
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailable(f"{subject}: {error!r}") from error

    async def ask(self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] = {}) -> bytes:
        """Publish and wait for the one answer. Raises ``BusUnavailable``, ``NotDeclared`` or ``NotPermitted``."""
        within = self._answer_within
        try:
            async with asyncio.timeout(within) as deadline:
                await self._connected.wait()
                self._deadlines.add(deadline)
                try:
                    answer = await self._client.request(subject, payload, timeout=within, headers=dict(headers) or None)
                finally:
                    self._deadlines.discard(deadline)
        except nats.errors.NoRespondersError as error:
            raise NotDeclared(f"nobody stores {subject}") from error
        except nats.errors.MaxPayloadError as error:
            raise TooLong(f"{len(payload)} bytes on {subject}") from error
        except (nats.errors.Error, OSError, TimeoutError) as error:
            if subject in self._refused:
                raise NotPermitted(f"{self.user} may not publish {subject}") from error
            raise BusUnavailable(f"no answer on {subject} within {within} s") from error
        return bytes(answer.data)

    async def call(self, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call of JetStream's API. Raises as ``ask``, and ``PermanentError`` for what the server refuses."""
        payload = json.dumps(request).encode() if request is not None else b""
        return checked(await self.ask(subject, payload), subject)

    async def close(self) -> None:
        """Send what is pending and disconnect; never waits for a server that is away."""
        self._closing = True
        helpers = [task for task in (self._watching, self._revival) if task is not None]
        for task in helpers:
            task.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        try:
            if self._client.is_connected:
                await self._client.flush(2)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            log.debug("bus.connection_troubled", user=self.user, error=repr(error))
        if self._client.options:  # a client that never tried has nothing to close, and says so loudly
            await _closed(self._client)


async def _closed(client: Client) -> None:
    """Close it; after a TLS handshake that failed nats-py would wait for ever for a stream that is closed already."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSED_WITHIN):
            try:
                await client.close()
            except OSError as error:  # what was pending met a server that had just died; nats-py stops half-way then
                log.debug("bus.connection_troubled", user=client.options.get("user"), error=repr(error))
                client._status = Client.DISCONNECTED
                await client.close()
