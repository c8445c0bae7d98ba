"""Who decides: one resolver at a time, as the bus says it; whoever stands by takes over when the other is silent.

A lease in the stream LEAD. The active resolver says all the time that it lives, each time on the condition that its
own last word is still the last (``Bus.claim``), and believes itself only half as long as the others believe it: by then
what it asked the bus for has come or never will. Intervals are measured by a clock that goes on while the host sleeps;
no host's time of day is compared with another's.

A lease cannot stop a process that wakes in the middle of a sentence. That is why nothing depends on it that could lose
a photo: the executor judges every command as if there were many resolvers (S3, S8).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from shared.bus.port import Bus, BusUnavailable
from shared.lifecycle import unless_stopped
from shared.messages.leading import LeadHeld
from shared.messages.subjects import subject_of

log = structlog.get_logger()

#: seconds that the lease of a silent resolver is respected, unless the settings say otherwise
TAKEOVER = 20.0
#: of these, how much it may rely on the lease itself
_OWN_SHARE = 0.5
#: and how often it says that it lives
_RENEWALS = 6


def since_boot() -> float:
    """Seconds, also those that the host slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The last word about the lead, and since when it is the last."""

    seq: int = 0
    word: LeadHeld | None = None
    #: by this host's clock
    at: float = 0.0


def may_take(seen: Seen, now: float, takeover: float, me: str | None) -> bool:
    """[pure] Whether the lead is free. ``me``: the memory that may take what it held itself; None: it lost it."""
    if seen.word is None or seen.word.released or seen.word.holder == me:
        return True
    return now - seen.at >= takeover


class Lead:
    """The lead, as one process sees it. ``holder``: the id of its memory; ``by``: its host."""

    def __init__(
        self,
        bus: Bus,
        *,
        holder: str,
        by: str,
        wall: Callable[[], float],
        takeover: float = TAKEOVER,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self._bus, self._holder, self._by, self._wall = bus, holder, by, wall
        self._takeover, self._clock = takeover, clock
        self._session = uuid.uuid4().hex
        self._seen = Seen()
        self._looked = False
        #: until when it may decide; None: it does not lead
        self._until: float | None = None
        #: a memory that was lost to another process is not taken back at once: it may be a copy of this one
        self._lost = False

    @property
    def pause(self) -> float:
        """Seconds between two words, or two looks."""
        return self._takeover / _RENEWALS

    def holds(self) -> bool:
        """Whether it may decide at this moment."""
        return self._until is not None and self._clock() < self._until

    async def somebody_else(self) -> str | None:
        """The host of another that led last, whether or not it still does. Raises ``BusUnavailable``."""
        await self._look()
        word = self._seen.word
        return None if word is None or (word.holder == self._holder and not self._lost) else word.by

    async def take(self) -> bool:
        """Take the lead if it is free. Raises ``BusUnavailable``."""
        await self._look()
        me = None if self._lost else self._holder
        return may_take(self._seen, self._clock(), self._takeover, me) and await self._say()

    async def keep(self, over: asyncio.Event) -> None:
        """Say that it lives until ``over`` is set; sets it when the lead is lost."""
        while await unless_stopped(over, self.pause):
            if not await self._renewed():
                log.warning("resolver.lead_lost", to=self._seen.word.by if self._lost and self._seen.word else None)
                over.set()

    async def release(self) -> None:
        """It ends in order: whoever stands by need not wait. Best effort."""
        word = self._seen.word
        if word is None or word.session != self._session or self._bus.complaint() is not None:
            return
        try:
            await self._bus.claim(self._word(released=True), after=self._seen.seq)
        except BusUnavailable:
            log.debug("resolver.lead_not_released")

    async def _renewed(self) -> bool:
        """False once it is lost: another took it, or the bus was silent for too long."""
        try:
            if await self._say():
                return True
            await self._look()
        except BusUnavailable:
            return self.holds()
        word = self._seen.word
        if word is not None and word.session == self._session:
            return self.holds()  # its own word, of which it did not hear that it was stored
        self._lost, self._until = True, None
        return False

    async def _say(self) -> bool:
        asked, word = self._clock(), self._word()
        seq = await self._bus.claim(word, after=self._seen.seq)
        if seq is None:
            return False
        self._seen = Seen(seq=seq, word=word, at=asked)
        self._until, self._lost = asked + self._takeover * _OWN_SHARE, False
        return True

    async def _look(self) -> None:
        try:
            found = await self._bus.latest(subject_of(self._word()))
        except BusUnavailable:
            self._looked = False  # nobody could say anything meanwhile: the silence begins anew
            raise
        seq, word = found or (0, None)
        if seq != self._seen.seq or not self._looked:
            said = word if isinstance(word, LeadHeld) else None
            self._seen, self._looked = Seen(seq=seq, word=said, at=self._clock()), True

    def _word(self, *, released: bool = False) -> LeadHeld:
        return LeadHeld(holder=self._holder, session=self._session, by=self._by, at=self._wall(), released=released)
