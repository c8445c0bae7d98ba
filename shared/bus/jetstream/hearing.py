"""What a follower hears: stored messages alone, and that some were missed when they were."""

from __future__ import annotations

from collections.abc import Collection

import structlog
from nats.aio.msg import Msg

from shared.bus.topology import STORED, belongs
from shared.errors import MessageRejected
from shared.messages.base import Message
from shared.messages.envelope import Envelope, decode

log = structlog.get_logger()

_STREAM, _SEQUENCE = "Nats-Stream", "Nats-Sequence"


class Heard:
    """Follows the stream sequences that the server gives to what it has stored."""

    def __init__(self, whole: Collection[str]) -> None:
        #: the streams whose every message is followed, so that a gap means something
        self._whole = whole
        self._last: dict[str, int] = {}

    def is_stored(self, raw: Msg) -> bool:
        """False for a request that is only on its way: it is heard again when it has a sequence."""
        headers = raw.headers or {}
        stream, sequence = headers.get(_STREAM, ""), headers.get(_SEQUENCE, "")
        if not sequence.isdigit():
            return False
        self._compare(stream, int(sequence))
        return True

    def _compare(self, stream: str, sequence: int) -> None:
        last = self._last.get(stream)
        if last is not None and sequence > last + 1 and stream in self._whole:
            log.warning("bus.messages_missed", stream=stream, count=sequence - last - 1)
        self._last[stream] = sequence


def read(raw: Msg) -> tuple[Envelope, Message] | None:
    """The message; None, and a line in the log, for what does not decode or stands where it may not."""
    return opened(raw.subject.removeprefix(STORED), raw.data)


def opened(subject: str, data: bytes) -> tuple[Envelope, Message] | None:
    """The same, of a subject and what was stored on it (S20)."""
    try:
        envelope, message = decode(data)
        if not belongs(subject, message):
            raise MessageRejected(f"{envelope.type} has no place there")
    except MessageRejected as error:
        log.warning("bus.message_skipped", subject=subject, why=str(error))
        return None
    return envelope, message
