"""The steward declares streams and consumers, clears up what everyone has acknowledged, and measures the queues."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from shared.bus.accounts import Credential, grant_of
from shared.bus.address import Address
from shared.bus.jetstream.answers import NotDeclared
from shared.bus.jetstream.bus import close_links, open_links
from shared.bus.jetstream.counting import Counter, unfinished
from shared.bus.jetstream.link import Link
from shared.bus.port import BusUnavailable
from shared.bus.topology import DUPLICATE_WINDOW, STORED, Account, Consumer, Stream, Topology, declared
from shared.errors import PermanentError
from shared.lifecycle import unless_stopped
from shared.telemetry import metrics

log = structlog.get_logger()

#: seconds between two rounds of clearing up
ROUND = 60.0
#: seconds between two looks at a queue that is empty
_A_MOMENT = 0.1
#: seconds after which the server has surely looked through a consumer's deliveries
_LOOKED_THROUGH_WITHIN = 0.4
#: seconds between two measurements of the queues: more often than anybody scrapes
MEASURE = 5.0
#: messages that are worth a purge
WORTH_IT = 1_000
#: The server counts a message for its consumers a moment after it has stored it: of 400 that were asked about at once
#: on a busy machine, 3 were not counted yet. What was stored so many seconds ago is; nothing shorter is concluded from.
COUNTED_WITHIN = 1.0


async def setup(
    where: str | Address,
    credentials: Mapping[str, Credential],
    topology: Topology | None = None,
    *,
    first_here: bool = False,
) -> None:
    """Declare or update everything; what is as it should be stays untouched. Raises as ``Steward.connect``.

    ``first_here``: nobody else is connected yet, so what was delivered and not answered has lost its worker.
    """
    steward = await Steward.connect(where, credentials, topology=topology)
    try:
        await steward.declare()
        if first_here:
            await steward.hand_out_again()
    finally:
        await steward.close()


class Steward:
    """Holds the ``setup`` users of both accounts."""

    def __init__(self, links: Mapping[str, Link], topology: Topology) -> None:
        self._links, self._topology = links, topology
        self._link = {Account(grant_of(user).account): link for user, link in links.items()}
        # never an old answer: "nothing is open any more" ends a scan
        self._counter = {account: Counter(link, good_for=0.0) for account, link in self._link.items()}
        self._marks = {stream.name: Mark() for stream in topology.streams}

    @classmethod
    async def connect(
        cls,
        where: str | Address,
        credentials: Mapping[str, Credential],
        *,
        topology: Topology | None = None,
        patience: float = 30.0,
    ) -> Steward:
        """Raises ``BusUnavailable``, ``NotPermitted``, ``NotTrusted``, ``UsageError``."""
        links = await open_links(where, credentials, service="steward", patience=patience)
        return cls(links, topology or declared())

    async def close(self) -> None:
        await close_links(self._links)

    async def declare(self) -> None:
        """Streams first, then the consumers that are missing or different."""
        for stream in self._topology.streams:
            await self._declare_stream(stream)
            known = await self._counter[stream.account].consumers(stream.name)
            wanted = self._topology.consumers_of(stream.name)
            await self._declare_all(c for c in wanted if not _is_as_wanted(known.get(c.name), c))

    async def _declare_stream(self, stream: Stream) -> None:
        link, config = self._link[stream.account], stream_config(stream)
        try:
            found = (await self._counter[stream.account].stream(stream.name))["config"]
        except NotDeclared:
            await link.call(f"$JS.API.STREAM.CREATE.{stream.name}", config)
        else:
            if any(found.get(key) != value for key, value in config.items()):
                await link.call(f"$JS.API.STREAM.UPDATE.{stream.name}", config)

    async def _declare_consumer(self, account: Account, consumer: Consumer) -> None:
        subject = ".".join(
            ("$JS.API.CONSUMER.CREATE", consumer.stream, consumer.name)
            + (consumer.filters if len(consumer.filters) == 1 else ())
        )
        await self._link[account].call(subject, {"stream_name": consumer.stream, "config": consumer_config(consumer)})

    async def hand_out_again(self) -> int:
        """Deliver what nobody answered again now, and not after its time to answer; returns how many messages.

        Only for a server on which nobody works: a worker's delivery would be handed out a second time. The server looks
        through a consumer's deliveries a tenth of a second after its ``ack_wait`` was changed.
        """
        orphaned = await self._unanswered()
        if orphaned:
            await self._declare_all(replace(consumer, ack_wait=0.001) for consumer in orphaned)
            await asyncio.sleep(_LOOKED_THROUGH_WITHIN)
            await self._declare_all(orphaned)
            log.info("bus.unanswered_handed_out", messages=sum(orphaned.values()))
        return sum(orphaned.values())

    async def _unanswered(self) -> dict[Consumer, int]:
        found: dict[Consumer, int] = {}
        for stream in {c.stream for c in self._topology.consumers}:
            infos = await self._counter_of(stream).consumers(stream)
            for consumer in self._topology.consumers_of(stream):
                if consumer.name in infos and (count := int(infos[consumer.name]["num_ack_pending"])):
                    found[consumer] = count
        return found

    async def _declare_all(self, consumers: Iterable[Consumer]) -> None:
        declaring = (self._declare_consumer(self._topology.stream(c.stream).account, c) for c in consumers)
        await asyncio.gather(*declaring)

    async def backlog(self, consumer: str) -> int:
        """As ``Bus.backlog``, for every consumer. Raises ``BusUnavailable``."""
        family = self._topology.family(consumer)
        return await self._counter_of(family[0].stream).backlog(family)

    async def is_idle(self, *consumers: str) -> bool:
        """Nothing that was stored before this call is open: empty twice, a moment apart. Raises ``BusUnavailable``."""
        if await self._has_work(consumers):
            return False
        await asyncio.sleep(_A_MOMENT)
        return not await self._has_work(consumers)

    async def _has_work(self, consumers: Sequence[str]) -> bool:
        return any(await asyncio.gather(*map(self.backlog, consumers)))

    async def last_seq(self, stream: str) -> int:
        """Sequence of the last message that a stream stored; 0 for none."""
        return await self._counter_of(stream).last_seq(stream)

    def _counter_of(self, stream: str) -> Counter:
        return self._counter[self._topology.stream(stream).account]

    async def purge_consumed(self, *, worth_it: int = WORTH_IT) -> dict[str, int]:
        """Purge every stream below what all its consumers have acknowledged; returns how many messages, by stream."""
        purged = {}
        for stream in self._topology.streams:
            consumers = self._topology.consumers_of(stream.name)
            if consumers:
                purged[stream.name] = await self._purge(stream, consumers, worth_it)
        return purged

    async def _purge(self, stream: Stream, consumers: Sequence[Consumer], worth_it: int) -> int:
        counter = self._counter[stream.account]
        state = (await counter.stream(stream.name))["state"]  # before the consumers: see floor()
        counted = self._marks[stream.name].counted(state["last_seq"], now=asyncio.get_running_loop().time())
        infos = await counter.consumers(stream.name)
        below = floor(counted, [infos.get(c.name) for c in consumers])
        if below - state["first_seq"] + 1 < worth_it:
            return 0
        answer = await self._link[stream.account].call(f"$JS.API.STREAM.PURGE.{stream.name}", {"seq": below + 1})
        return int(answer["purged"])

    async def run(self, stop: asyncio.Event, *, every: float = ROUND, measure_every: float = MEASURE) -> None:
        """Clear up, and measure, now and then (``lifecycle.Service``)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_now_and_then(self._clear_up, stop, every, first=every))
            group.create_task(_now_and_then(self.measure, stop, measure_every, first=0.0))

    async def _clear_up(self) -> None:
        await self.declare()
        await self.purge_consumed()

    async def measure(self) -> None:
        """Set the queue depths."""
        for stream in {c.stream for c in self._topology.consumers}:
            infos = await self._counter_of(stream).consumers(stream)
            depths: dict[str, int] = {}
            for name, info in infos.items():
                family = name.rstrip("0123456789").rstrip("-")
                depths[family] = depths.get(family, 0) + unfinished(info)
            for family, depth in depths.items():
                metrics.QUEUE_DEPTH.labels(family).set(depth)


async def _now_and_then(
    work: Callable[[], Awaitable[None]], stop: asyncio.Event, every: float, *, first: float
) -> None:
    pause = first
    while await unless_stopped(stop, pause):
        pause = every
        try:
            await work()
        except (BusUnavailable, PermanentError) as error:
            log.warning("bus.round_failed", error=str(error))


class Mark:
    """[pure] Where a stream stood so long ago that all of it is counted for its consumers (``COUNTED_WITHIN``)."""

    def __init__(self) -> None:
        self._counted, self._seen, self._seen_at = 0, 0, float("-inf")

    def counted(self, last_seq: int, *, now: float) -> int:
        """The sequence that is surely counted, given where the stream stands at ``now`` (seconds, monotonic)."""
        if now - self._seen_at >= COUNTED_WITHIN:
            self._counted, self._seen, self._seen_at = self._seen, last_seq, now
        self._counted = min(self._counted, last_seq)  # a stream that was made anew counts from 1
        return self._counted


def floor(counted: int, infos: Sequence[dict[str, Any] | None]) -> int:
    """[pure] The sequence up to which nobody needs a message any more.

    A consumer with nothing open needs nothing of what is counted for it; its own floor alone says little, since it
    stays at the last message that its filter let through. A missing one may need all.
    """
    return min(_floor_of(counted, info) if info else 0 for info in infos)


def _floor_of(counted: int, info: dict[str, Any]) -> int:
    acknowledged = int(info["ack_floor"]["stream_seq"])
    return acknowledged if unfinished(info) else max(acknowledged, counted)


def _is_as_wanted(info: dict[str, Any] | None, consumer: Consumer) -> bool:
    if info is None:
        return False
    found = info["config"]
    return all(found.get(key) == value for key, value in consumer_config(consumer).items())


def stream_config(stream: Stream) -> dict[str, Any]:
    """[pure] JetStream's stream configuration (ADR-2 names; times in ns)."""
    return {
        "name": stream.name,
        "subjects": [stream.subject],
        "storage": "file",
        "retention": "limits",
        "discard": "old" if stream.drops_oldest else "new",
        "compression": "s2",
        "max_bytes": stream.max_bytes,
        "max_msg_size": stream.max_message or -1,
        "max_age": 0,
        "num_replicas": 1,
        **({"max_msgs_per_subject": 1} if stream.keeps_last else {}),
        "duplicate_window": int(DUPLICATE_WINDOW * 1e9),
        "allow_atomic": True,
        "republish": {"src": stream.subject, "dest": f"{STORED}{stream.subject}"},
    }


def consumer_config(consumer: Consumer) -> dict[str, Any]:
    """[pure] JetStream's consumer configuration."""
    return {
        "durable_name": consumer.name,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": int(consumer.ack_wait * 1e9),
        "max_deliver": -1,
        **_filters(consumer),
        "max_ack_pending": consumer.max_ack_pending,
    }


def _filters(consumer: Consumer) -> dict[str, Any]:
    if len(consumer.filters) == 1:
        return {"filter_subject": consumer.filters[0]}
    return {"filter_subjects": list(consumer.filters)}
