"""[pure] What JetStream answers, in photosift's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.bus.port import BusUnavailable
from shared.errors import PermanentError, PhotosiftError

#: the server's error numbers for: stream full (messages, bytes), storage or memory used up, too many of anything
_FULL = {10077, 10047, 10023, 10028, 10026, 10027}


class TooLong(PermanentError):
    """The message is longer than its stream takes."""

    code = "message-too-long"


class NotDeclared(BusUnavailable):
    """The stream or consumer is not declared on the server."""

    code = "not-declared"


class NoMessage(PermanentError):
    """There is no such message in the stream."""

    code = "no-message"


class CameSecond(PermanentError):
    """Another message was stored before it."""

    code = "came-second"


#: by the server's numbers: no stream, no consumer; no message; too long; not the last sequence that was expected
_KINDS: Mapping[Any, type[PhotosiftError]] = {
    **dict.fromkeys((10014, 10059), NotDeclared),
    10037: NoMessage,
    10054: TooLong,
    **dict.fromkeys((10071, 10164), CameSecond),
}


def checked(answer: bytes, subject: str) -> dict[str, Any]:
    """The answer's JSON; its ``error`` in photosift's words."""
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise BusUnavailable(f"{subject}: no JSON in the answer") from error
    if complaint := found.get("error"):
        raise translated(complaint, subject)
    return found


def translated(complaint: Mapping[str, Any], subject: str) -> Exception:
    """JetStream's error as photosift's: full and not declared may pass, the rest does not."""
    number, text = complaint.get("err_code"), f"{subject}: {complaint.get('description')}"
    if number in _FULL:
        return BusUnavailable(f"full: {text}")
    if (kind := _KINDS.get(number)) is not None:
        return kind(text)
    if complaint.get("code", 500) >= 500:
        return BusUnavailable(text)
    return PermanentError(text)
