"""A service's bus: publishing, consuming and following over the connections of its users (S20)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from nats.aio.msg import Msg

from shared.bus.accounts import SERVICE_USERS, Credential, Grant, covers, grant_of, may_publish
from shared.bus.address import Address
from shared.bus.jetstream.answers import CameSecond
from shared.bus.jetstream.counting import Counter
from shared.bus.jetstream.deliveries import BACK_OFF, Desk, JetStreamDelivery
from shared.bus.jetstream.hearing import Heard, read
from shared.bus.jetstream.link import ANSWER_WITHIN, Link
from shared.bus.jetstream.pulling import Puller
from shared.bus.jetstream.reading import from_then_on, last_on
from shared.bus.jetstream.storing import Author, Letter, store
from shared.bus.jetstream.together import store_many
from shared.bus.port import NotPermitted
from shared.bus.topology import STORED, Topology, declared
from shared.clock import Clock, SystemClock
from shared.errors import UsageError
from shared.messages.base import Message
from shared.messages.envelope import Envelope


async def connect(
    where: str | Address,
    credentials: Mapping[str, Credential],
    *,
    service: str,
    patience: float = 30.0,
    topology: Topology | None = None,
    clock: Clock | None = None,
    back_off: Sequence[float] = BACK_OFF,
    answer_within: float = ANSWER_WITHIN,
) -> JetStreamBus:
    """Connect a service's users. ``topology`` must be what was declared; ``back_off``: seconds between attempts;
    ``answer_within``: seconds that the server has for each answer.

    Raises ``BusUnavailable`` after ``patience`` seconds, ``NotPermitted`` (wrong password), ``NotTrusted`` (wrong
    certificate), ``UsageError`` (no password).
    """
    links = await open_links(where, credentials, service=service, patience=patience, answer_within=answer_within)
    author = Author(service=service, clock=clock or SystemClock())
    return JetStreamBus(links, topology or declared(), author, back_off)


async def open_links(
    where: str | Address,
    credentials: Mapping[str, Credential],
    *,
    service: str,
    patience: float,
    answer_within: float = ANSWER_WITHIN,
) -> dict[str, Link]:
    """One connection for each user of a service, or none at all. Without any credential: anonymous ones."""
    users = SERVICE_USERS[service]
    if not credentials:
        credentials = {user: Credential(user, "") for user in users}
    if missing := [user for user in users if user not in credentials]:
        raise UsageError(f"{service} needs the passwords of {', '.join(missing)}")
    links = {user: Link(where, credentials[user], service=service, answer_within=answer_within) for user in users}
    try:
        for link in links.values():
            await link.open(patience)
    except BaseException:
        await close_links(links)
        raise
    return links


async def close_links(links: Mapping[str, Link]) -> None:
    for link in links.values():
        await link.close()


class JetStreamBus:
    """What one service may do on the bus (``shared.bus.port.Bus``)."""

    def __init__(
        self, links: Mapping[str, Link], topology: Topology, author: Author, back_off: Sequence[float]
    ) -> None:
        self._links = links
        self._topology, self._author, self._back_off = topology, author, back_off
        self._counters = {user: Counter(link) for user, link in links.items()}
        self._followers: set[asyncio.Queue[Msg | None]] = set()

    async def publish(self, message: Message, *, cause: Envelope | None = None) -> None:
        letter = Letter.of(self._author.envelope(message, cause), message)
        await store(self._links[self._publisher_of(letter.subject)], letter)

    async def publish_many(self, messages: Sequence[Message], *, cause: Envelope | None = None) -> None:
        by_stream: dict[str, list[Letter]] = {}
        for message in messages:
            letter = Letter.of(self._author.envelope(message, cause), message)
            by_stream.setdefault(self._topology.stream_of(letter.subject).name, []).append(letter)
        for letters in by_stream.values():
            await store_many(self._links[self._publisher_of(letters[0].subject)], letters)

    async def claim(self, message: Message, *, after: int) -> int | None:
        letter = Letter.of(self._author.envelope(message, None), message)
        try:
            return await store(self._links[self._publisher_of(letter.subject)], letter, after=after)
        except CameSecond:
            return None

    async def latest(self, subject: str) -> tuple[int, Message] | None:
        stream = self._topology.stream_of(subject).name
        return await last_on(self._reader_of(stream), stream, subject)

    async def span(self, stream: str) -> tuple[int, int]:
        state = (await self._counter_of(stream).stream(stream))["state"]
        return (int(state["first_seq"]) if state["messages"] else int(state["last_seq"]) + 1), int(state["last_seq"])

    async def stored(self, stream: str, *, after: int) -> AsyncIterator[tuple[int, Envelope, Message]]:
        _, last = await self.span(stream)
        async for found in from_then_on(self._reader_of(stream), stream, after, last):
            yield found

    def _reader_of(self, stream: str) -> Link:
        return self._link_that(lambda grant: stream in grant.fetches, stream)

    def _publisher_of(self, subject: str) -> str:
        for user in self._links:
            if may_publish(grant_of(user), subject):
                return user
        raise NotPermitted(f"{self._author.service} may not publish {subject}")

    async def consume(self, consumer: str, *, batch: int = 1) -> AsyncIterator[Sequence[JetStreamDelivery]]:
        found = self._topology.consumer(consumer)
        link = self._link_that(lambda grant: any(consumer.startswith(family) for family in grant.consumes), consumer)
        desk = Desk(link=link, consumer=found, author=self._author, back_off=self._back_off)
        batches = Puller(desk, 1 if found.is_ordered else batch).batches()
        try:
            async for deliveries in batches:
                yield deliveries
        finally:
            await batches.aclose()

    def _link_that(self, may: Callable[[Grant], bool], what: str) -> Link:
        for user, link in self._links.items():
            if may(grant_of(user)):
                return link
        raise NotPermitted(f"{self._author.service} has no access to {what}")

    async def backlog(self, consumer: str) -> int:
        family = self._topology.family(consumer)
        if not family:
            raise NotPermitted(f"no consumer is called {consumer}")
        return await self._counter_of(family[0].stream).backlog(family)

    async def last_seq(self, stream: str) -> int:
        """Sequence of the last message that a stream stored; 0 for none. For those who may read the stream."""
        return await self._counter_of(stream).last_seq(stream)

    def _counter_of(self, stream: str) -> Counter:
        for user, counter in self._counters.items():
            if stream in grant_of(user).reads:
                return counter
        raise NotPermitted(f"{self._author.service} may not read {stream}")

    async def follow(self, *subjects: str) -> AsyncIterator[tuple[Envelope, Message]]:
        async for found in await self.following(*subjects):
            yield found

    async def following(self, *subjects: str) -> AsyncIterator[tuple[Envelope, Message]]:
        link = self._link_that(lambda grant: _may_follow(grant, subjects), ", ".join(subjects))
        arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        # accounts import what was stored under its plain name; without them it has its own
        prefix = STORED if link.is_anonymous else ""

        async def receive(raw: Msg) -> None:
            arrived.put_nowait(raw)

        ends = [await link.subscribe(prefix + subject, receive) for subject in subjects]
        self._followers.add(arrived)

        whole = {s.name for s in self._topology.streams if any(covers(wide, s.subject) for wide in subjects)}

        async def decoded() -> AsyncIterator[tuple[Envelope, Message]]:
            heard = Heard(whole)
            try:
                while (raw := await arrived.get()) is not None:
                    if heard.is_stored(raw) and (found := read(raw)) is not None:
                        yield found
            finally:
                self._followers.discard(arrived)
                for end in ends:
                    await end()

        return decoded()

    def complaint(self) -> str | None:
        """For the health check, from any thread: None while every connection is up."""
        lost = [user for user, link in self._links.items() if not link.is_up]
        return f"no connection for {', '.join(lost)}" if lost else None

    async def close(self) -> None:
        for follower in tuple(self._followers):
            follower.put_nowait(None)
        await close_links(self._links)


def _may_follow(grant: Grant, subjects: Sequence[str]) -> bool:
    return bool(subjects) and all(any(covers(wide, s) for wide in grant.follows) for s in subjects)
