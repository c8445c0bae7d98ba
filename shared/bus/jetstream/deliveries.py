"""One message as a consumer handed it out: acknowledged, tried again, or given up for a reason (G2, G4, G5)."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg

from shared.bus.jetstream.link import Link
from shared.bus.jetstream.storing import MESSAGE_ID, TRACE, Author, Letter, header_text, store
from shared.bus.topology import Consumer, belongs, retry_subject
from shared.errors import MessageRejected
from shared.messages.base import Message
from shared.messages.deadletters import DeadLetter
from shared.messages.envelope import Envelope, decode
from shared.telemetry import metrics

log = structlog.get_logger()

#: after so many deliveries a message that failed again is given up
ATTEMPTS = 5
#: seconds before the second, third, … attempt
BACK_OFF: Sequence[float] = (1.0, 5.0, 15.0, 60.0)
#: how many deliveries came before the message was published again beside its partition
ATTEMPT = "Photosift-Attempt"
#: seconds since the epoch before which it is not tried again
NOT_BEFORE = "Photosift-Not-Before"

_ACK, _IN_PROGRESS = b"+ACK", b"+WPI"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every delivery of one consumer needs for its answer."""

    link: Link
    consumer: Consumer
    author: Author
    back_off: Sequence[float]


class JetStreamDelivery:
    """A delivery. Settled once: what is said after that (an ack after a dead letter) does nothing."""

    def __init__(self, desk: Desk, raw: Msg, envelope: Envelope, message: Message) -> None:
        self.message, self.envelope = message, envelope
        self.seq = stream_seq(raw)
        self.deliveries = deliveries(raw)
        self._desk, self._raw, self._settled = desk, raw, False

    async def ack(self) -> None:
        await self._settle(_ACK)

    async def in_progress(self) -> None:
        if not self._settled:
            await self._desk.link.send(self._raw.reply, _IN_PROGRESS)

    async def retry(self, reason: str) -> None:
        if self._settled:
            return
        if self.deliveries >= ATTEMPTS:
            log.warning("bus.retries_exhausted", consumer=self._desk.consumer.name, id=self.envelope.id, reason=reason)
            return await self.dead_letter("gave-up", f"{reason} ({self.deliveries} attempts)")
        back_off = self._desk.back_off
        delay = back_off[min(self.deliveries, len(back_off)) - 1]
        consumer = self._desk.consumer
        metrics.RETRIES.labels(_family(consumer)).inc()
        log.info("bus.message_retried", consumer=consumer.name, id=self.envelope.id, reason=reason, seconds=delay)
        if consumer.retry_prefix is None:
            return await self._settle(negative(delay))
        await store(self._desk.link, self._again(delay))
        await self._settle(_ACK)

    async def dead_letter(self, code: str, explanation: str) -> None:
        if self._settled:
            return
        await give_up(self._desk, self._raw, code=code, explanation=explanation, cause=self.envelope)
        await self._settle(_ACK)

    async def hand_back(self) -> None:
        """Nobody will handle it here: whoever asks next may have it now."""
        await self._settle(negative(0))

    async def _settle(self, answer: bytes) -> None:
        if not self._settled:
            await self._desk.link.send(self._raw.reply, answer)
            self._settled = True

    def _again(self, delay: float) -> Letter:
        """The same payload beside its partition, with an id of its own: the first is still in the server's window."""
        return Letter(
            subject=retry_subject(self._desk.consumer, self.message),
            payload=self._raw.data,
            headers={
                MESSAGE_ID: header_text(f"{self.envelope.id}#{self.seq}"),
                TRACE: header_text(self.envelope.traceparent),
                ATTEMPT: str(self.deliveries),
                NOT_BEFORE: str(self._desk.author.clock.now() + delay),
            },
        )


async def opened(desk: Desk, raw: Msg) -> JetStreamDelivery | None:
    """The delivery, or None where it does not decode or stands where it may not: given up by itself (G6)."""
    try:
        envelope, message = decode(raw.data)
        if not belongs(raw.subject, message):
            raise MessageRejected(f"{envelope.type} has no place on {raw.subject}")
    except MessageRejected as error:
        log.warning("bus.message_rejected", subject=raw.subject, seq=stream_seq(raw), error=str(error))
        await give_up(desk, raw, code=error.code, explanation=str(error), cause=None)
        await desk.link.send(raw.reply, _ACK)
        return None
    return JetStreamDelivery(desk, raw, envelope, message)


async def give_up(desk: Desk, raw: Msg, *, code: str, explanation: str, cause: Envelope | None) -> None:
    """Store the dead letter; the caller acknowledges when this has returned (G5)."""
    letter = DeadLetter(
        origin=raw.subject,
        origin_seq=stream_seq(raw),
        consumer=desk.consumer.name,
        reason=code,
        explanation=explanation[:4096],
        deliveries=deliveries(raw),
        payload_b64=b64encode(raw.data).decode(),
    )
    metrics.DEAD_LETTERS.labels(_family(desk.consumer), code).inc()
    log.info(  # whoever gave it up knows whether that is worth a person's attention
        "bus.message_given_up",
        consumer=desk.consumer.name,
        seq=letter.origin_seq,
        reason=code,
        explanation=letter.explanation,
        correlation=cause.correlationid if cause else None,
    )
    await store(desk.link, Letter.of(desk.author.envelope(letter, cause), letter))


def negative(delay: float) -> bytes:
    """Not acknowledged; to be delivered again after so many seconds."""
    return f"-NAK {json.dumps({'delay': int(delay * 1e9)})}".encode() if delay else b"-NAK"


def stream_seq(raw: Msg) -> int:
    return int(_metadata(raw)[1])


def deliveries(raw: Msg) -> int:
    """The server's count of this copy, plus what the copies before it had."""
    before = (raw.headers or {}).get(ATTEMPT, "0")
    return int(_metadata(raw)[0]) + (int(before) if before.isdigit() else 0)


def _metadata(raw: Msg) -> list[str]:
    """``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>``: from <delivered> on.

    A server with a domain puts domain and account before the stream (ADR-15).
    """
    tokens = raw.reply.split(".")
    return tokens[4:] if len(tokens) < 11 else tokens[6:]


def _family(consumer: Consumer) -> str:
    """One label for the partitions' consumers."""
    return consumer.name.rstrip("0123456789").rstrip("-")
