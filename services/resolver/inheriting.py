"""What another resolver decided, asked and was answered, taken over from the bus by one that stands by. (S3, S18)

The streams hold what matters: CMD every command that no executor has answered, OUT every answer that no resolver has
taken in, DEC what stands, as long as its size allows. They are read again and again while standing by, so that little
is missing at the moment of taking over. What they do not hold any more is not guessed: what was replaced before is
unknown then (S1), and a decision that is not found is taken anew from the index, which is the truth (``sweep``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.resolver.answers import Answers
from services.resolver.applying import remember_answer
from services.resolver.commanding import evidence_id
from services.resolver.contentbook import EXPIRY_MARGIN
from services.resolver.outbox import pack
from services.resolver.store import DecisionStore
from shared.bus.port import Bus
from shared.clock import Clock
from shared.messages.base import Message
from shared.messages.commands import RemoveItem, TakeFile
from shared.messages.resolution import ApplyAccepted, DecisionWithdrawn, GroupDecided

log = structlog.get_logger()

#: in this order: an answer finds its command, a decision that is over is kept for the commands that name it
STREAMS = ("CMD", "DEC", "OUT", "REQ")
#: messages that are taken in at once
_PORTION = 256
#: a message, and its envelope without content
Heard = tuple[Message, str]


class Inheritance:
    """Reads on from where it stopped, into a store that nobody else writes to meanwhile."""

    def __init__(self, *, bus: Bus, store: DecisionStore, answers: Answers, clock: Clock) -> None:
        self._bus, self._store, self._answers, self._clock = bus, store, answers, clock

    async def follow(self) -> None:
        """Take in what was said since the last time. Raises what bus, index and store raise."""
        await asyncio.to_thread(self._store.forget_unsaid)
        for stream in STREAMS:
            await self._follow(stream)

    async def complete(self) -> None:
        """The last of it, when this resolver is the one that decides: from here on it answers for everything."""
        await self.follow()
        await asyncio.to_thread(self._take_over)

    def _take_over(self) -> None:
        with self._store.transaction():
            self._store.decisions.ask_unanswered_again(EXPIRY_MARGIN)
            self._store.contents.mark_all()
            standing, out = self._store.decisions.open_decisions(), self._store.decisions.open_commands(0.0)
        log.info("resolver.taken_over", open_decisions=standing, open_commands=out)

    async def _follow(self, stream: str) -> None:
        heard = int(await asyncio.to_thread(self._store.note, _place(stream)) or 0)
        first, last = await self._bus.span(stream)
        if last < heard or first > heard + 1:
            heard = first - 1
            await asyncio.to_thread(self._miss, stream, heard)
        portion: list[Heard] = []
        async for seq, envelope, message in self._bus.stored(stream, after=heard):
            portion.append((message, pack(envelope)))
            if len(portion) == _PORTION:
                await self._take_in(stream, seq, portion)
                portion = []
        await self._take_in(stream, last, portion)

    def _miss(self, stream: str, heard: int) -> None:
        """Some of it is gone unread: what it would have said of replaced files is unknown (S1)."""
        with self._store.transaction():
            self._store.take_note(_place(stream), heard)
            if stream == "OUT":
                self._store.take_note("unknown_before", self._clock.now())

    async def _take_in(self, stream: str, seq: int, portion: Sequence[Heard]) -> None:
        if stream == "OUT":
            await self._answers.learn(portion)
        await asyncio.to_thread(self._write_down, stream, seq, portion)

    def _write_down(self, stream: str, seq: int, portion: Sequence[Heard]) -> None:
        with self._store.transaction():
            for message, _ in portion:
                self._believe(message)
            if int(self._store.note(_place(stream)) or 0) != seq:
                self._store.take_note(_place(stream), seq)

    def _believe(self, message: Message) -> None:
        book = self._store.decisions
        match message:
            case TakeFile():
                book.ask(message, evidence_id(message))
            case RemoveItem():
                self._store.removals.ask(message)
            case GroupDecided():
                book.inherit(message)
            case DecisionWithdrawn(decision_id=known):
                if book.is_open(known):
                    book.close(known)
            case ApplyAccepted():
                remember_answer(self._store, message)
            case _:
                self._answers.take_request(message)


def _place(stream: str) -> str:
    return f"heard:{stream}"
