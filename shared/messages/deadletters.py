"""[pure] DLQ and DLQC: what could not be handled, with its reason (S19)."""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import Message, digest_id


class DeadLetter(Message):
    """A message that a service could not handle, kept whole."""

    TYPE: ClassVar[str] = "photosift.deadletter.v1"

    #: subject it came on
    origin: str
    #: stream sequence it had
    origin_seq: int
    #: consumer that gave it up
    consumer: str
    #: code of the error
    reason: str
    explanation: str
    deliveries: int
    #: the payload as it came, base64
    payload_b64: str

    @property
    def message_id(self) -> str:
        return f"dlq:{digest_id(self.origin, self.origin_seq, self.consumer)}"

    @property
    def about(self) -> str:
        return self.reason
