"""Wrapping a message, and having it stored: what publishing, retrying and dead letters share (G1)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from shared.bus.jetstream.answers import TooLong, checked
from shared.bus.jetstream.link import Link
from shared.bus.topology import LONGEST_STORED
from shared.clock import Clock, utc
from shared.messages.base import Message, digest_id
from shared.messages.deadletters import DeadLetter
from shared.messages.envelope import Envelope, correlation_of, encode, wrap
from shared.messages.subjects import subject_of

#: the server drops a repeated one within its window
MESSAGE_ID = "Nats-Msg-Id"
#: the server stores a message only where the last on its subject has this sequence
LAST_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
TRACE = "traceparent"
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who writes the envelopes, and when."""

    service: str
    clock: Clock

    def envelope(self, message: Message, cause: Envelope | None) -> Envelope:
        """Trace and correlation go on from ``cause``, or begin here."""
        return wrap(
            message,
            source=self.service,
            time=utc(self.clock.now()).isoformat(),
            traceparent=_trace(cause),
            correlation=cause.correlationid if cause else correlation_of(message),
        )


def _trace(cause: Envelope | None) -> str:
    """W3C trace context, level 1: the cause's trace with a span of its own."""
    known = _TRACEPARENT.match(cause.traceparent) if cause else None
    return f"00-{known.group(1) if known else secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message as it goes over the wire."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]
    #: what the message is about: the order of those about the same is kept
    about: str = ""

    @classmethod
    def of(cls, envelope: Envelope, message: Message) -> Letter:
        """Raises ``TooLong`` for what no stream would take."""
        payload, subject = encode(envelope), subject_of(message)
        if len(payload) > LONGEST_STORED and not isinstance(message, DeadLetter):
            raise TooLong(f"{len(payload)} bytes on {subject}, at most {LONGEST_STORED}")
        headers = {MESSAGE_ID: header_text(envelope.id), TRACE: envelope.traceparent}
        return cls(subject=subject, payload=payload, headers=headers, about=message.about)


def header_text(text: str) -> str:
    """A header carries printable ASCII; other text is stood for by its hash."""
    return text if text.isascii() and text.isprintable() and text == text.strip() else digest_id(text)


async def store(link: Link, letter: Letter, *, after: int | None = None) -> int:
    """Returns the stream sequence when the server has stored it (G1).

    ``after``: only where that is the sequence of the last on its subject; raises ``CameSecond`` otherwise.
    Raises ``BusUnavailable``, ``NotPermitted``, ``TooLong``.
    """
    condition = {} if after is None else {LAST_ON_SUBJECT: str(after)}
    answer = await link.ask(letter.subject, letter.payload, headers={**letter.headers, **condition})
    return int(checked(answer, letter.subject)["seq"])
