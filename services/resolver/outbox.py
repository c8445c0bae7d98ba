"""What is decided and not yet said: written with the decision, deleted when the bus has stored it (S18)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby

import structlog

from shared.bus.port import Bus, BusUnavailable
from shared.errors import PermanentError
from shared.messages.base import Message
from shared.messages.commands import TakeFile
from shared.messages.envelope import Envelope, message_types
from shared.messages.resolution import DecisionWithdrawn, GroupDecided

log = structlog.get_logger()


class NotInCharge(BusUnavailable):
    """Another resolver may be deciding by now."""

    code = "not-in-charge"


#: letters that are read at a time
_BUNDLE = 500
#: and published at the same time
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message that waits to be published."""

    seq: int
    message: Message
    #: whose story it continues
    cause: Envelope | None


class Outbox:
    """The letters, in order. Every call belongs to a transaction of the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, message: Message, cause: str | None = None) -> None:
        """``cause`` as ``pack`` made it."""
        self._db.execute(
            "INSERT INTO outbox (type, body, cause) VALUES (?, ?, ?)", (message.TYPE, message.model_dump_json(), cause)
        )

    def first(self, most: int) -> list[Letter]:
        rows = self._db.execute("SELECT seq, type, body, cause FROM outbox ORDER BY seq LIMIT ?", (most,))
        return [
            Letter(seq=seq, message=message_types()[kind].model_validate_json(body), cause=unpack(cause))
            for seq, kind, body, cause in rows
        ]

    def clear(self) -> None:
        """Nothing of it is to be said any more."""
        self._db.execute("DELETE FROM outbox")

    def sent(self, seqs: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in seqs])


def pack(cause: Envelope) -> str:
    """An envelope without its content: what a trace needs."""
    return cause.model_copy(update={"data": {}}).model_dump_json()


def unpack(cause: str | None) -> Envelope | None:
    return None if cause is None else Envelope.model_validate(json.loads(cause))


def runs(letters: Sequence[Letter]) -> list[list[Letter]]:
    """Neighbouring letters of one kind together: among those the order means nothing, between them it does."""
    return [list(run) for _, run in groupby(letters, key=lambda letter: letter.message.TYPE)]


def _log(letter: Letter) -> None:
    """What was said, under the correlation id of the story it continues."""
    about: dict[str, object]
    match letter.message:
        case GroupDecided(decision_id=decision, keeper=keeper, duplicates=duplicates):
            event, about = "group_decided", {"keeper": keeper.file.photo.text, "duplicates": len(duplicates)}
        case DecisionWithdrawn(decision_id=decision, reason=reason):
            event, about = "decision_withdrawn", {"reason": reason}
        case TakeFile(decision_id=decision, action=action, victim=victim):
            event, about = "file_commanded", {"action": action, "file": victim.file.photo.text}
        case _:
            return
    correlation = letter.cause.correlationid if letter.cause else None
    log.info(f"resolver.{event}", decision=decision, correlation=correlation, **about)


class Postman:
    """Empties the outbox, in order. One at a time."""

    def __init__(
        self,
        bus: Bus,
        outbox: Outbox,
        transaction: Callable[[], AbstractContextManager[None]],
        in_charge: Callable[[], bool] = lambda: True,
    ) -> None:
        """``in_charge``: whether this resolver still is the one who decides; asked before every word."""
        self._bus, self._outbox, self._transaction, self._in_charge = bus, outbox, transaction, in_charge
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def empty(self, stop: asyncio.Event) -> None:
        """Publishes what waits. Raises ``BusUnavailable``; what was not stored by the bus waits on."""
        while not stop.is_set() and (letters := await asyncio.to_thread(self._read)):
            for run in runs(letters):
                outcomes = await asyncio.gather(*map(self._publish, run), return_exceptions=True)
                for error in outcomes:
                    if error is not None:
                        raise error
            # said twice after a crash before this line, with the same ids: nobody minds (G1, S18)
            await asyncio.to_thread(self._forget, letters)

    async def _publish(self, letter: Letter) -> None:
        """What the bus will never take must not hold up the rest (S19); it stands in the log and in the store."""
        try:
            async with self._gate:
                if not self._in_charge():
                    raise NotInCharge
                await self._bus.publish(letter.message, cause=letter.cause)
            _log(letter)
        except PermanentError as error:
            log.error(
                "resolver.message_dropped", type=letter.message.TYPE, about=letter.message.about, error=str(error)
            )

    def _read(self) -> list[Letter]:
        with self._transaction():
            return self._outbox.first(_BUNDLE)

    def _forget(self, letters: Sequence[Letter]) -> None:
        with self._transaction():
            self._outbox.sent(letter.seq for letter in letters)
