"""[pure] CloudEvents 1.0, structured JSON, around every message.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md ; ``traceparent`` and ``correlationid`` are
extension attributes: the correlation id is born with a file event and carried to the outcome.
"""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import MessageRejected, UnsafePath
from shared.messages import analysis, commands, deadletters, files, leading, outcomes, requests, resolution
from shared.messages.base import Message

#: a payload longer than this is refused before it is parsed
LONGEST_MESSAGE = 1_000_000

_MODULES = (files, analysis, resolution, commands, outcomes, requests, leading, deadletters)


class Envelope(BaseModel):
    """The attributes around a message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    specversion: str = "1.0"
    id: str
    #: ``/photosift/<service>``
    source: str
    type: str
    subject: str
    #: RFC 3339, UTC
    time: str
    datacontenttype: str = "application/json"
    #: W3C trace context
    traceparent: str
    #: the same from a file event to its outcome
    correlationid: str
    data: dict[str, Any]


@cache
def message_types() -> dict[str, type[Message]]:
    """Every message type by its CloudEvents type, in the order of the flow."""
    found: dict[str, type[Message]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Message) and "TYPE" in vars(value):
                found[value.TYPE] = value
    return found


def wrap(message: Message, *, source: str, time: str, traceparent: str, correlation: str) -> Envelope:
    """The envelope for a message; its id is the message's own, so that a repeated fact is the same event."""
    return Envelope(
        id=message.message_id,
        source=f"/photosift/{source}",
        type=message.TYPE,
        subject=message.about,
        time=time,
        traceparent=traceparent,
        correlationid=correlation,
        data=message.model_dump(mode="json", exclude_none=True),
    )


def correlation_of(message: Message) -> str:
    """The id of the story that begins with this message: derived, so that a fact told twice begins one story."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, message.message_id))


def encode(envelope: Envelope) -> bytes:
    return envelope.model_dump_json().encode()


def decode(payload: bytes) -> tuple[Envelope, Message]:
    """Envelope and message. Raises ``MessageRejected`` for a wrong schema, version or size; never anything else."""
    if len(payload) > LONGEST_MESSAGE:
        raise MessageRejected(f"{len(payload)} bytes, at most {LONGEST_MESSAGE}")
    try:
        envelope = Envelope.model_validate_json(payload)
        known = message_types().get(envelope.type)
        if envelope.specversion != "1.0" or known is None:
            raise MessageRejected(f"unknown type {envelope.type!r} (specversion {envelope.specversion!r})")
        message = known.model_validate(envelope.data)
        if message.message_id != envelope.id:
            raise MessageRejected(f"id {envelope.id!r} is not that of its content")
    except ValidationError as error:
        raise MessageRejected(_first_complaint(error)) from error
    except UnsafePath as error:  # S9
        raise MessageRejected(str(error)) from error
    return envelope, message


def _first_complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
