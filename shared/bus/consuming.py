"""Working through a consumer: every delivery is acknowledged, tried again, or dead-lettered for a reason (S18, S19)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import structlog

from shared.bus.port import Bus, BusUnavailable, Delivery
from shared.errors import PhotosiftError, TransientError
from shared.index.port import IndexUnavailable
from shared.lifecycle import unless_stopped
from shared.messages.base import Message
from shared.messages.envelope import Envelope

log = structlog.get_logger()

Handler = Callable[[Delivery], Awaitable[None]]
BatchHandler = Callable[[Sequence[Delivery]], Awaitable[None]]
Outages = tuple[type[TransientError], ...]

#: no message's fault: they are waited for, and never end in a dead letter
OUTAGES: Outages = (BusUnavailable, IndexUnavailable)
#: seconds; well below the consumer's ack_wait of 60
HEARTBEAT = 15.0
#: seconds that what is in hand may take after ``stop``
GRACE = 20.0
#: a delivery that ends the whole process each time must not do so for ever; a retry has long been given up by then
TOO_OFTEN = 20
#: seconds after which a fetch that has not ended is cancelled again
_AGAIN = 0.1
_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


async def work_through(
    bus: Bus,
    consumer: str,
    handler: Handler,
    *,
    stop: asyncio.Event,
    concurrency: int = 1,
    outages: Outages = OUTAGES,
    heartbeat: float = HEARTBEAT,
    grace: float = GRACE,
) -> None:
    """Hand every delivery to ``handler`` until ``stop`` is set; ``concurrency`` of them at once.

    Returned: acknowledged. An outage: called again until it is over. Another ``TransientError``: ``retry``.
    Anything else: dead letter. After ``stop`` what is in hand has ``grace`` seconds; cut short, it comes again.
    """

    async def one_by_one(batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            await handler(delivery)

    lane = partial(work_through_batches, stop=stop, batch=1, outages=outages, heartbeat=heartbeat, grace=grace)
    async with asyncio.TaskGroup() as lanes:
        for _ in range(concurrency):
            lanes.create_task(lane(bus, consumer, one_by_one))


async def work_through_batches(
    bus: Bus,
    consumer: str,
    handler: BatchHandler,
    *,
    stop: asyncio.Event,
    batch: int,
    outages: Outages = OUTAGES,
    heartbeat: float = HEARTBEAT,
    grace: float = GRACE,
) -> None:
    """The same with up to ``batch`` deliveries a call. A batch that fails is handled again one by one."""
    worker = _Worker(handler, consumer=consumer, stop=stop, outages=outages, heartbeat=heartbeat)
    stopping = asyncio.ensure_future(stop.wait())  # one for all: a task for every delivery costs more than small work
    try:
        coming = _until(stop, stopping, bus.consume(consumer, batch=batch))
        async with contextlib.aclosing(coming) as batches:
            async for deliveries in batches:
                await _with_grace(worker.work(deliveries), stopping, grace, consumer)
    finally:
        stopping.cancel()


async def _until(
    stop: asyncio.Event, stopping: asyncio.Future[Any], batches: AsyncIterator[Sequence[Delivery]]
) -> AsyncGenerator[Sequence[Delivery], None]:
    """Batches until ``stop``, which ``stopping`` waits for; a fetch that waits then is cancelled."""
    try:
        while not stop.is_set():
            fetching: asyncio.Future[Any] = asyncio.ensure_future(anext(batches))
            try:
                await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                while not fetching.done():  # a cancellation that meets the end of a wait inside may be swallowed
                    fetching.cancel()
                    await asyncio.wait({fetching}, timeout=_AGAIN)
            if fetching.cancelled():
                return
            yield fetching.result()
    finally:
        if (close := getattr(batches, "aclose", None)) is not None:
            await close()


async def _with_grace(work: Awaitable[None], stopping: asyncio.Future[Any], grace: float, consumer: str) -> None:
    """Do the work; once it is to stop, only so much longer. What is cut short is not acknowledged: it comes again."""
    working: asyncio.Future[Any] = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await asyncio.wait({working}, timeout=grace)
        if not working.done():
            log.warning("bus.work_cut_short", consumer=consumer, seconds=grace)
    finally:
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    if not working.cancelled():
        working.result()


class _Worker:
    """Handles batches and answers each of their deliveries."""

    def __init__(
        self, handler: BatchHandler, *, consumer: str, stop: asyncio.Event, outages: Outages, heartbeat: float
    ) -> None:
        self._handler, self._consumer, self._stop = handler, consumer, stop
        self._outages, self._heartbeat = outages, heartbeat

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        async with _in_progress(deliveries, self._heartbeat):
            with _correlated(deliveries):
                await self._work(deliveries)

    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        fresh = [d for d in deliveries if d.deliveries < TOO_OFTEN]
        for delivery in deliveries:
            if delivery.deliveries >= TOO_OFTEN:
                why = f"delivered {delivery.deliveries} times without an answer"
                await self._answer(partial(delivery.dead_letter, "delivered-too-often", why))
        if fresh:
            await self._handle(fresh)

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        try:
            done = await patiently(
                lambda: self._handler(deliveries), stop=self._stop, outages=self._outages, what=self._consumer
            )
        except Exception as error:  # noqa: BLE001  ends in a retry or a dead letter, with its reason (S19)
            if len(deliveries) == 1:
                return await self._give_back(deliveries[0], error)
            log.info("bus.batch_split", consumer=self._consumer, size=len(deliveries), error=repr(error))
            for delivery in deliveries:
                await self._handle([delivery])
        else:
            if done:
                await self._acknowledge(deliveries)

    async def _acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self._answer(delivery.ack)

    async def _give_back(self, delivery: Delivery, error: Exception) -> None:
        if isinstance(error, TransientError):
            return await self._answer(lambda: delivery.retry(f"{error.code}: {error}"))
        if isinstance(error, PhotosiftError):
            log.warning("bus.message_rejected", consumer=self._consumer, id=delivery.envelope.id, error=str(error))
            return await self._answer(lambda: delivery.dead_letter(error.code, str(error)))
        log.error("bus.handler_crashed", consumer=self._consumer, id=delivery.envelope.id, exc_info=error)
        await self._answer(lambda: delivery.dead_letter("crashed", repr(error)))

    async def _answer(self, answer: Callable[[], Awaitable[None]]) -> None:
        """Without the bus there is no answer; it is given when the bus is back, or the message comes again (G2)."""
        await patiently(answer, stop=self._stop, outages=(BusUnavailable,), what=self._consumer)


@contextlib.asynccontextmanager
async def _in_progress(deliveries: Sequence[Delivery], every: float) -> AsyncIterator[None]:
    """Say that the deliveries are still being worked on, for as long as they are."""

    async def beat() -> None:
        while True:
            for delivery in deliveries:
                with contextlib.suppress(BusUnavailable):  # then it comes again; the handler is idempotent (S18)
                    await delivery.in_progress()
            await asyncio.sleep(every)

    beating: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(every, lambda: beating.add(loop.create_task(beat())))  # most work is over long before
    try:
        yield
    finally:
        timer.cancel()
        for task in beating:
            task.cancel()
            await asyncio.wait({task})


@contextlib.contextmanager
def _correlated(deliveries: Sequence[Delivery]) -> Iterator[None]:
    """Bind a single delivery's correlation id to what is logged meanwhile."""
    if len(deliveries) != 1:
        yield
        return
    with structlog.contextvars.bound_contextvars(correlation=deliveries[0].envelope.correlationid):
        yield


async def publish_patiently(
    bus: Bus, message: Message, *, cause: Envelope | None = None, stop: asyncio.Event | None = None
) -> bool:
    """Publish, waiting for as long as the bus is away or the stream is full; says so once.

    True when it is stored, False when ``stop`` was set before. Raises what ``Bus.publish`` raises for good.
    """
    return await patiently(lambda: bus.publish(message, cause=cause), stop=stop, what=message.message_id)


async def patiently(
    call: Callable[[], Awaitable[object]],
    *,
    stop: asyncio.Event | None = None,
    outages: Outages = OUTAGES,
    what: str = "",
) -> bool:
    """Call until there is no outage; True when it was done, False when ``stop`` was set during one."""
    tries = 0
    while True:
        try:
            await call()
        except outages as error:
            if tries == 0:
                tell = log.debug if error.said else log.warning
                tell("bus.outage_awaited", what=what, code=error.code, error=str(error))
        else:
            if tries:
                log.info("bus.outage_over", what=what, tries=tries)
            return True
        pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
        tries += 1
        if not await unless_stopped(stop or asyncio.Event(), pause):
            return False
