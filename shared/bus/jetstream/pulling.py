"""Pulling from a consumer: one open request at a time, renewed after 5 s, a lost connection or a deleted consumer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import structlog
from nats.aio.msg import Msg

from shared.bus.jetstream.deliveries import NOT_BEFORE, Desk, JetStreamDelivery, negative, opened
from shared.bus.port import BusUnavailable

log = structlog.get_logger()

#: seconds; a request that the server forgot (it was killed) is missed for this long at most
EXPIRES: Final = 5.0
#: no wait before an attempt is longer, whatever the clocks say
LONGEST_WAIT: Final = 300.0
_TIMED_OUT: Final = ("404", "408")
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)


class Puller:
    """Deliveries of one consumer, for ever."""

    def __init__(self, desk: Desk, batch: int) -> None:
        self._desk, self._batch = desk, batch
        #: what arrived, with the time it came; None: the connection is back, open requests are lost
        self._arrived: asyncio.Queue[tuple[float, Msg] | None] = asyncio.Queue()
        self._wanted, self._until = 0, 0.0
        self._troubles = 0
        self._now = asyncio.get_running_loop().time

    async def batches(self) -> AsyncGenerator[list[JetStreamDelivery], None]:
        """Batches of 1..``batch`` deliveries; what was not yielded goes back when this is closed."""
        inbox = self._desk.link.inbox()
        unsubscribe = await self._subscribed(inbox)
        forget = self._desk.link.tell_when_back(lambda: self._arrived.put_nowait(None))
        in_hand: list[Msg] = []
        try:
            while True:
                await self._ask_if_needed(inbox)
                in_hand = await self._gather()
                for raw in in_hand:
                    await self._wait_for_its_time(raw)
                batch = [d for raw in in_hand if (d := await self._opened(raw)) is not None]
                in_hand = []
                if batch:
                    yield batch
        finally:
            forget()
            await unsubscribe()
            await self._hand_back(in_hand)

    async def _subscribed(self, inbox: str) -> Callable[[], Awaitable[None]]:
        while True:
            try:
                return await self._desk.link.subscribe(inbox, self._receive)
            except BusUnavailable:
                await asyncio.sleep(_PAUSES[0])

    async def _receive(self, raw: Msg) -> None:
        self._arrived.put_nowait((self._now(), raw))

    async def _ask_if_needed(self, inbox: str) -> None:
        if self._wanted > 0 and self._now() < self._until:
            return
        await self._desk.link.wait_until_up()
        consumer = self._desk.consumer
        request = {"batch": self._batch, "expires": int(EXPIRES * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        try:
            await self._desk.link.send(subject, json.dumps(request).encode(), reply=inbox)
        except BusUnavailable as error:
            return await self._pause(str(error))
        self._wanted, self._until = self._batch, self._now() + EXPIRES + 1

    async def _gather(self) -> list[Msg]:
        """Wait for one message, then take those that are here with it."""
        found: list[Msg] = []
        try:
            async with asyncio.timeout(max(0.0, self._until - self._now())):
                item = await self._arrived.get()
        except TimeoutError:
            return found
        while True:
            found += await self._sorted_out(item)
            if len(found) >= self._batch or self._arrived.empty():
                return found
            item = self._arrived.get_nowait()

    async def _sorted_out(self, item: tuple[float, Msg] | None) -> list[Msg]:
        """The message, if it is one and still ours."""
        if item is None:
            self._wanted = 0
            return []
        came, raw = item
        status = (raw.headers or {}).get("Status") if not raw.data else None
        if status is not None:
            await self._on_status(status, (raw.headers or {}).get("Description", ""))
            return []
        self._wanted, self._troubles = self._wanted - 1, 0
        # one that lay here too long is being delivered again; its first copy is dropped
        return [raw] if self._now() - came < 0.8 * self._desk.consumer.ack_wait else []

    async def _on_status(self, status: str, description: str) -> None:
        self._wanted = 0
        if status not in _TIMED_OUT:
            await self._pause(f"{status} {description}".strip())

    async def _pause(self, why: str) -> None:
        """Never spin: a consumer that is deleted stays so until somebody declares it again."""
        if self._troubles == 0:
            log.warning("bus.consumer_troubled", consumer=self._desk.consumer.name, why=why)
        await asyncio.sleep(_PAUSES[min(self._troubles, len(_PAUSES) - 1)])
        self._troubles += 1

    async def _wait_for_its_time(self, raw: Msg) -> None:
        """A retried message waits here, still ours: a delayed nak would count as a delivery."""
        header = (raw.headers or {}).get(NOT_BEFORE)
        if header is None or self._desk.consumer.retry_prefix is None:
            return
        wait = min(_seconds(header) - self._desk.author.clock.now(), LONGEST_WAIT)
        step = self._desk.consumer.ack_wait / 4
        while wait > 0:
            await asyncio.sleep(min(step, wait))
            wait -= step
            with contextlib.suppress(BusUnavailable):  # without a connection it comes again
                await self._desk.link.send(raw.reply, b"+WPI")

    async def _opened(self, raw: Msg) -> JetStreamDelivery | None:
        try:
            return await opened(self._desk, raw)
        except BusUnavailable as error:  # its dead letter could not be stored: it comes again (G2)
            await self._pause(str(error))
            return None

    async def _hand_back(self, in_hand: list[Msg]) -> None:
        while not self._arrived.empty():
            item = self._arrived.get_nowait()
            if item is not None and item[1].reply:
                in_hand.append(item[1])
        try:
            for raw in in_hand:
                await self._desk.link.send(raw.reply, negative(0))
        except BusUnavailable:
            log.debug("bus.messages_not_handed_back", consumer=self._desk.consumer.name)


def _seconds(header: str) -> float:
    try:
        return float(header)
    except ValueError:
        return 0.0
