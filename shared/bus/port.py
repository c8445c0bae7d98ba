"""The port to the bus, with its guarantees. Services see this; only the composition root sees an adapter.

**G1** ``publish`` returns only when the server has stored the message; it raises ``BusUnavailable`` otherwise, and
may then be called again: the server drops a repeated id within its window, and every handler is idempotent (S18).
**G2** A delivery that is neither acknowledged, retried nor dead-lettered comes again: after ``ack_wait``, a restart.
**G3** Deliveries of one *ordered* consumer (FS, per partition) come one at a time, in stream order.
**G4** ``retry`` publishes the message again beside its partition before it acknowledges: a retry blocks nobody.
**G5** ``dead_letter`` stores message and reason in the dead-letter stream before it acknowledges (S19).
**G6** Nothing is delivered that does not decode: such a message goes to the dead-letter stream by itself.
**G7** A connection lost is said once in the log and waited for; calls resume without the caller's help.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.errors import PermanentError, TransientError
from shared.messages.base import Message
from shared.messages.envelope import Envelope


class BusUnavailable(TransientError):
    """The bus does not answer."""

    code = "bus-unavailable"


class NotPermitted(PermanentError):
    """The bus does not let this user do that."""

    code = "not-permitted"


class Delivery(Protocol):
    """One message as it was delivered."""

    message: Message
    envelope: Envelope
    #: stream sequence of this copy
    seq: int
    #: 1 for the first time; counted by the server, plus the retries carried by the message
    deliveries: int

    async def ack(self) -> None:
        """The result is stored; do not send this again."""

    async def in_progress(self) -> None:
        """Still at it: restart the acknowledgement time."""

    async def retry(self, reason: str) -> None:
        """Try again later, with back-off, beside the partition (G4); after the last attempt: ``dead_letter``."""

    async def dead_letter(self, code: str, explanation: str) -> None:
        """Give it up for a reason (G5)."""


class Bus(Protocol):
    """What one service may do on the bus: publish what is its own, consume what is meant for it (S20)."""

    async def publish(self, message: Message, *, cause: Envelope | None = None) -> None:
        """Store a message (G1). Trace and correlation continue those of ``cause``.

        Raises ``BusUnavailable`` (transient) or ``NotPermitted`` (a subject that is not this service's).
        """

    async def publish_many(self, messages: Sequence[Message], *, cause: Envelope | None = None) -> None:
        """The same for many at once; all are stored when it returns. Order within one file is kept."""

    def consume(self, consumer: str, *, batch: int = 1) -> AsyncIterator[Sequence[Delivery]]:
        """Batches of 1..``batch`` deliveries from a declared consumer, for ever; an ordered consumer gives one a batch.

        For the per-partition FS consumers the name is ``analyser-fs-<partition>``, 0..63.
        """

    async def backlog(self, consumer: str) -> int:
        """How many messages the consumer (or the family of that prefix) has not acknowledged yet."""

    async def claim(self, message: Message, *, after: int) -> int | None:
        """Store it where ``after`` is the sequence of the last on its subject (0: there is none): its own sequence.

        None where another message came in between; the server decides. Raises as ``publish``.
        """

    async def latest(self, subject: str) -> tuple[int, Message] | None:
        """The last message that is stored on a subject, with its sequence; None where there is none."""

    async def span(self, stream: str) -> tuple[int, int]:
        """The first sequence that a stream still has (one above the last where it has none), and the last."""

    def stored(self, stream: str, *, after: int) -> AsyncIterator[tuple[int, Envelope, Message]]:
        """What a stream has now beyond a sequence, in its order, once; nothing is acknowledged by that."""

    def follow(self, *subjects: str) -> AsyncIterator[tuple[Envelope, Message]]:
        """Live messages from now on, without acknowledgement: for people, progress and audit.

        ``subjects`` as in the topology, e.g. ``photosift.out.>``. The subscription stands when the first
        ``__anext__`` is awaited; to be sure that nothing is missed, use ``following``.
        """

    async def following(self, *subjects: str) -> AsyncIterator[tuple[Envelope, Message]]:
        """Like ``follow``, but the subscription stands on the server when this returns."""

    def complaint(self) -> str | None:
        """What is wrong with the connection, or None; for ``Health``, from any thread."""

    async def close(self) -> None:
        """Drain and disconnect."""
