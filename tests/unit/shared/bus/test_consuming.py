"""What becomes of a delivery, whatever its handler does. The bus here is a list: the real one is in tests/contract."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import structlog.testing

from shared.bus.consuming import TOO_OFTEN, patiently, publish_patiently, work_through, work_through_batches
from shared.bus.port import BusUnavailable, NotPermitted
from shared.errors import PermanentError, TransientError
from shared.index.port import IndexUnavailable
from tests.support.messages import envelope_of, settled

SOON = 10.0


class Recorded:
    """A delivery that remembers how it was answered; ``fails`` times the bus is away while it is."""

    def __init__(self, number: int = 0, *, deliveries: int = 1, fails: int = 0) -> None:
        self.message = settled(f"{number}.jpg")
        self.envelope = envelope_of(self.message)
        self.seq, self.deliveries = number, deliveries
        self.answers: list[tuple[str, ...]] = []
        self.beats, self._fails = 0, fails

    def _answer(self, *answer: str) -> None:
        if self._fails > 0:
            self._fails -= 1
            raise BusUnavailable("away")
        if not self.answers:
            self.answers.append(answer)

    async def ack(self) -> None:
        self._answer("ack")

    async def in_progress(self) -> None:
        self.beats += 1

    async def retry(self, reason: str) -> None:
        self._answer("retry", reason)

    async def dead_letter(self, code: str, explanation: str) -> None:
        self._answer("dead", code, explanation)


class ListBus:
    """Hands out what it was given, then waits as the real one does."""

    def __init__(self, *batches: Sequence[Recorded]) -> None:
        self._batches = batches
        self.closed = False

    async def consume(self, consumer: str, *, batch: int = 1) -> AsyncIterator[Sequence[Recorded]]:
        try:
            for deliveries in self._batches:
                yield deliveries
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def worked(handler: Any, *deliveries: Recorded, together: bool = False, **options: Any) -> ListBus:
    """Work through the deliveries, one a batch or all in one, and stop after the last is answered."""
    bus = ListBus(*([deliveries] if together else [[d] for d in deliveries]))
    stop = asyncio.Event()

    async def stop_when_answered() -> None:
        while not all(d.answers for d in deliveries):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        stop.set()

    worker = work_through_batches if together else work_through
    if together:
        options["batch"] = len(deliveries)
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        group.create_task(stop_when_answered())
        group.create_task(worker(bus, "c", handler, stop=stop, **options))  # type: ignore[arg-type]
    assert bus.closed
    return bus


async def fine(_delivery: Any) -> None:
    """Handles everything."""


def raising(error: BaseException, times: int = 10**9) -> Any:
    left = times

    async def handler(_delivery: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error

    return handler


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (None, ("ack",)),
        (TransientError("busy"), ("retry", "transient: It may work when tried again. busy")),
        (PermanentError("no"), ("dead", "permanent", "Trying again will not help. no")),
        (NotPermitted("x"), ("dead", "not-permitted", "The bus does not let this user do that. x")),
        (ValueError("bug"), ("dead", "crashed", "ValueError('bug')")),
    ],
)
async def test_s19_every_end_of_a_handler_has_its_answer(error: Exception | None, answer: tuple[str, ...]) -> None:
    delivery = Recorded()
    await worked(raising(error) if error else fine, delivery)
    assert delivery.answers == [answer]


@pytest.mark.parametrize("outage", [BusUnavailable("x"), IndexUnavailable("x")])
async def test_an_outage_is_waited_out_and_is_no_messages_fault(outage: Exception) -> None:
    delivery = Recorded()
    with structlog.testing.capture_logs() as logs:
        await worked(raising(outage, times=3), delivery)
    assert delivery.answers == [("ack",)]
    events = [entry["event"] for entry in logs]
    assert events.count("bus.outage_awaited") == 1
    assert events.count("bus.outage_over") == 1


async def test_an_outage_that_lasts_ends_with_stop_and_leaves_the_delivery_open() -> None:
    delivery, stop = Recorded(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stop.set)
    async with asyncio.timeout(SOON):
        await work_through(ListBus([delivery]), "c", raising(BusUnavailable("x")), stop=stop)  # type: ignore[arg-type]
    assert delivery.answers == []


@pytest.mark.parametrize("error", [None, TransientError("x"), ValueError("x")])
async def test_an_answer_waits_for_the_bus(error: Exception | None) -> None:
    delivery = Recorded(fails=2)
    await worked(raising(error) if error else fine, delivery)
    assert delivery.answers[0][0] == {type(None): "ack", TransientError: "retry", ValueError: "dead"}[type(error)]


async def test_what_a_handler_said_itself_stands() -> None:
    async def handler(delivery: Recorded) -> None:
        await delivery.dead_letter("mine", "because")

    delivery = Recorded()
    await worked(handler, delivery)
    assert delivery.answers == [("dead", "mine", "because")]


async def test_s17_in_a_failing_batch_only_the_culprit_suffers() -> None:
    calls: list[int] = []

    async def handler(batch: Sequence[Recorded]) -> None:
        calls.append(len(batch))
        if any(d.seq == 3 for d in batch):
            raise PermanentError("three")

    deliveries = [Recorded(i) for i in range(5)]
    await worked(handler, *deliveries, together=True)
    assert [d.answers[0][0] for d in deliveries] == ["ack", "ack", "ack", "dead", "ack"]
    assert calls == [5, 1, 1, 1, 1, 1]


async def test_s17_what_was_handed_out_too_often_is_not_tried_again() -> None:
    """It may be what ends the process each time."""
    seen: list[int] = []

    async def handler(delivery: Recorded) -> None:
        seen.append(delivery.seq)

    bad, good = Recorded(1, deliveries=TOO_OFTEN), Recorded(2, deliveries=TOO_OFTEN - 1)
    await worked(handler, bad, good)
    assert seen == [2]
    assert bad.answers[0][:2] == ("dead", "delivered-too-often")


async def test_a_long_handler_says_that_it_is_at_it() -> None:
    async def slowly(_delivery: Recorded) -> None:
        await asyncio.sleep(0.2)

    delivery = Recorded()
    await worked(slowly, delivery, heartbeat=0.02)
    assert delivery.beats >= 3
    before = delivery.beats
    await asyncio.sleep(0.05)
    assert delivery.beats == before


async def test_stop_lets_what_is_in_hand_finish() -> None:
    stop, delivery = asyncio.Event(), Recorded()

    async def handler(_delivery: Recorded) -> None:
        stop.set()
        await asyncio.sleep(0.05)

    async with asyncio.timeout(SOON):
        await work_through(ListBus([delivery], [Recorded(1)]), "c", handler, stop=stop)  # type: ignore[arg-type]
    assert delivery.answers == [("ack",)]


async def test_stop_waits_only_so_long_and_what_was_cut_short_comes_again() -> None:
    stop, delivery, cancelled = asyncio.Event(), Recorded(), asyncio.Event()

    async def handler(_delivery: Recorded) -> None:
        stop.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with asyncio.timeout(SOON):
        await work_through(ListBus([delivery]), "c", handler, stop=stop, grace=0.05)  # type: ignore[arg-type]
    assert cancelled.is_set()
    assert delivery.answers == []


async def test_stop_ends_a_consumer_that_swallows_a_cancellation() -> None:
    """As a wait does that ends at the very moment at which it is cancelled."""
    stop, waits = asyncio.Event(), asyncio.Event()

    class Deaf(ListBus):
        async def consume(self, consumer: str, *, batch: int = 1) -> AsyncIterator[Sequence[Recorded]]:
            with contextlib.suppress(asyncio.CancelledError):
                waits.set()
                await asyncio.Event().wait()
            async for deliveries in super().consume(consumer):
                yield deliveries

    async def handler(_delivery: Any) -> None: ...

    bus = Deaf()
    working = asyncio.create_task(work_through(bus, "c", handler, stop=stop))  # type: ignore[arg-type]
    await waits.wait()
    stop.set()
    await asyncio.wait_for(working, SOON)
    assert bus.closed


async def test_being_cancelled_cancels_the_handler_and_closes_the_consumer() -> None:
    bus, started, cancelled = ListBus([Recorded()]), asyncio.Event(), asyncio.Event()

    async def handler(_delivery: Recorded) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    task = asyncio.create_task(work_through(bus, "c", handler, stop=asyncio.Event()))  # type: ignore[arg-type]
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()
    assert bus.closed


async def test_an_error_of_the_consumer_itself_is_raised() -> None:
    class Refusing:
        async def consume(self, consumer: str, *, batch: int = 1) -> AsyncIterator[Sequence[Recorded]]:
            raise NotPermitted(consumer)
            yield []

    with pytest.raises(ExceptionGroup) as caught:
        await work_through(Refusing(), "c", fine, stop=asyncio.Event())  # type: ignore[arg-type]
    assert caught.group_contains(NotPermitted)


async def test_publishing_patiently_tells_stop_from_stored() -> None:
    class Away:
        async def publish(self, *_args: Any, **_options: Any) -> None:
            raise BusUnavailable("away")

    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    assert await publish_patiently(Away(), settled(), stop=stop) is False  # type: ignore[arg-type]


async def test_patience_is_for_outages_alone() -> None:
    async def wrong() -> None:
        raise NotPermitted("x")

    with pytest.raises(NotPermitted):
        await patiently(wrong)
